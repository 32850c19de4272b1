"""A real Slurm of two nodes on loopback, as the current user: nothing under /etc, no systemd, free ports.

Knows: Slurm's daemons, munge; how often Memento looks. May not know: what it does.

    cluster = Cluster(folder); cluster.up(); ...; cluster.down()      one that a test configures
    slurm (fixture)                                                  one for the session, with empty queue for each test

`Shim` stands before Slurm's commands in PATH: it counts calls, and has them hang, fail or answer nonsense.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.engines.ports import free_ports

HOW_TO_GET_IT = "Slurm is not installed: apt-get install --no-install-recommends slurm-wlm munge"
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch")
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sacct", "sinfo")
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_PATIENCE = 300.0  # seconds

_CONF = """\
ClusterName=loop
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock,cred_expire=15
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
JobRequeue=1
KillWait=3
SlurmdTimeout=60
SlurmctldTimeout=60
InactiveLimit=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MailProg=/bin/true
"""
_OPTIONS = {
    "SelectTypeParameters": "CR_Core",
    "SchedulerParameters": "sched_interval=2,bf_interval=2,requeue_delay=1,batch_sched_delay=0,sched_min_interval=0",
    "MinJobAge": "300",
    "MaxArraySize": "1001",
    "AccountingStorageType": "accounting_storage/none",
}


def require_slurm() -> None:
    """Skip where there is no Slurm to start."""
    if any(shutil.which(program, path=_PATH) is None for program in PROGRAMS):
        pytest.skip(HOW_TO_GET_IT)


class Cluster:
    """One Slurm; `options` go into its slurm.conf, like ``MaxArraySize="5"``."""

    def __init__(
        self, folder: Path, nodes: int = 2, cpus: int = 4, options: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.cpus = folder, cpus
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self.options = {**_OPTIONS, **(options or {})}
        self.conf = folder / "slurm.conf"
        self.environment = {"SLURM_CONF": str(self.conf), "PATH": _PATH}
        self._daemons: list[str] = []

    def up(self) -> None:
        """Start it, and wait until both nodes are idle."""
        for name in ("state", "spool", "log", "run"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)  # munge wants its socket's folder to be of others, too
        self._write_conf()
        self._start_munge()
        self.before_controller()
        self.run("slurmctld", "-f", str(self.conf))
        for node in self.nodes:
            self.start_node(node)
        wait_until(lambda: self.idle() == len(self.nodes), "the nodes are idle")

    def before_controller(self) -> None:
        """Start what the controller needs."""

    def down(self) -> None:
        """End jobs, then every daemon that was started."""
        self.clear()
        names = ["slurmctld", *(f"slurmd.{node}" for node in self.nodes), "munged"]
        for name in names:
            self.end(name)

    def _write_conf(self) -> None:
        port, *ports = free_ports(1 + len(self.nodes))
        host = socket.gethostname().split(".")[0]
        lines = [_CONF.format(host=host, port=port, user=getpass.getuser(), folder=self.folder)]
        lines += [f"{name}={value}\n" for name, value in self.options.items()]
        lines += [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={own} CPUs={self.cpus} RealMemory=4000\n"
            for node, own in zip(self.nodes, ports, strict=True)
        ]
        nodes = ",".join(self.nodes)
        lines.append(
            f"PartitionName=main Nodes={nodes} Default=YES PriorityTier=1 MaxTime=INFINITE State=UP\n"
        )
        lines.append(
            f"PartitionName=high Nodes={nodes} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP\n"
        )
        lines.append(f"PartitionName=short Nodes={nodes} PriorityTier=1 MaxTime=00:30:00 State=UP\n")
        self.conf.write_text("".join(lines))

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        folder = self.folder
        self.run(
            "munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.sock",
            f"--pid-file={folder}/run/munged.pid", f"--log-file={folder}/log/munged.log",
            f"--seed-file={folder}/munge.seed", "--num-threads=1",
        )  # fmt: skip

    # -- looking

    def run(self, *command: str, check: bool = True, seconds: float = _PATIENCE) -> str:
        """Run a command beside this Slurm; return what it prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def idle(self) -> int:
        """Return how many nodes are idle."""
        return len(self.run("sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N", check=False).split())

    def jobs(self, *states: str) -> list[str]:
        """Return the ids of jobs that have not ended, or are in one of these states."""
        chosen = ("-t", ",".join(states)) if states else ()
        return self.run("squeue", "-h", "-r", "-o", "%i", *chosen).split()

    def nodes_of(self, job: str) -> str:
        """Return where a job runs."""
        return self.run("squeue", "-h", "-j", job, "-o", "%N").strip()

    # -- doing

    def clear(self) -> None:
        """Cancel every job, and wait until none is left."""
        self.run("scancel", "-f", "-u", getpass.getuser(), check=False)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self.run("squeue", "-h", check=False):
            time.sleep(0.1)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        (self.folder / "spool" / node).mkdir(parents=True, exist_ok=True)
        self.run("slurmd", "-f", str(self.conf), "-N", node)

    def kill_node(self, node: str) -> None:
        """Kill a node's daemon; the processes of its jobs live on, as they do where a network is cut."""
        self.end(f"slurmd.{node}", signal.SIGKILL)

    def fail_node(self, node: str) -> None:
        """Have Slurm give up a node at once: its jobs are requeued or NODE_FAIL; the node comes back by itself."""
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def drain(self, node: str) -> None:
        """Have a node take no more jobs."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self, node: str) -> None:
        """Have a node take jobs again; one that came back by itself says no, which is as good."""
        self.run("scontrol", "update", f"nodename={node}", "state=resume", check=False)

    def preempt(self, node: str) -> str:
        """Have a job of higher priority take a node from what runs there, for a moment; return its id."""
        script = "#!/bin/sh\nsleep 1\n"
        (self.folder / "preempt.sh").write_text(script)
        told = self.run(
            "sbatch",
            "--parsable",
            "-p",
            "high",
            "-w",
            node,
            "-c",
            str(self.cpus),
            "-o",
            "/dev/null",
            "preempt.sh",
        )
        return told.strip()

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        path = self.folder / "run" / f"{name}.pid"
        if not path.exists() or not path.read_text().strip():
            return
        pid = int(path.read_text())
        for number in (how, signal.SIGKILL):
            if not is_alive(pid):
                break
            os.kill(pid, number)
            end = time.monotonic() + 3.0
            while is_alive(pid) and time.monotonic() < end:
                time.sleep(0.05)
        path.unlink(missing_ok=True)


class Shim:
    """Stands before Slurm's commands in PATH; see `calls`, `hang`, `fail`, `answer`."""

    def __init__(self, folder: Path, real: str = _PATH) -> None:
        self.folder = folder
        self.path = os.pathsep.join((str(folder / "bin"), real))
        (folder / "bin").mkdir(parents=True)
        for command in COMMANDS:
            own = shutil.which(command, path=real) or "/bin/false"
            script = folder / "bin" / command
            script.write_text(_SHIM.format(folder=folder, command=command, own=own))
            script.chmod(0o755)
        (folder / "calls").touch()

    def calls(self, command: str | None = None) -> list[str]:
        """Return the calls so far, each with its arguments."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if command is None or line.split(" ", 1)[0] == command]

    def hang(self, command: str) -> None:
        """Have a command hang until `heal`."""
        self._rule(command, f"exec sleep {int(_PATIENCE)}")

    def fail(self, command: str, text: str, times: int = 1_000_000) -> None:
        """Have the next calls of a command fail with a text."""
        (self.folder / f"{command}.times").write_text("\n" * times)
        left = self.folder / f"{command}.times"
        self._rule(
            command,
            f'if [ -s "{left}" ]; then sed -i 1d "{left}"; echo "{text}" >&2; exit 1; fi',
        )

    def answer(self, command: str, text: str) -> None:
        """Have a command print a text, and do nothing."""
        (self.folder / f"{command}.answer").write_text(text)
        self._rule(command, f'cat "{self.folder}/{command}.answer"; exit 0')

    def rewrite(self, command: str, old: str, new: str) -> None:
        """Have a command say something else for one word."""
        own = shutil.which(command, path=_PATH)
        self._rule(command, f'"{own}" "$@" | sed "s/{old}/{new}/"; exit')

    def heal(self, command: str) -> None:
        """Let a command be itself again."""
        (self.folder / f"{command}.rule").unlink(missing_ok=True)

    def _rule(self, command: str, text: str) -> None:
        unfinished = self.folder / f"{command}.rule.new"
        unfinished.write_text(text + "\n")
        unfinished.replace(self.folder / f"{command}.rule")


_SHIM = """\
#!/bin/sh
echo "{command} $*" >> "{folder}/calls"
if [ -f "{folder}/{command}.rule" ]; then . "{folder}/{command}.rule"; fi
exec "{own}" "$@"
"""


def wait_until(done: Callable[[], object], what: str, seconds: float = _PATIENCE) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain until {what}"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; what has ended and is not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def started(options: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Yield a Slurm that is up, and take it down; its folder is short, as its sockets need."""
    require_slurm()
    folder = Path(tempfile.mkdtemp(prefix="ms", dir="/tmp"))
    cluster = Cluster(folder, options=options)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[Cluster]:
    """Start a Slurm for the session."""
    yield from started()


@pytest.fixture
def slurm(slurm_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Have Slurm's commands speak to the session's Slurm; its queue is empty before and after."""
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_cluster
    slurm_cluster.clear()
    for node in slurm_cluster.nodes:
        if not (slurm_cluster.folder / "run" / f"slurmd.{node}.pid").exists():
            slurm_cluster.start_node(node)
        slurm_cluster.resume(node)
    wait_until(lambda: slurm_cluster.idle() == len(slurm_cluster.nodes), "the nodes are idle again")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have looks at the queue follow quickly, as no site would like it: tests wait for what they show."""
    monkeypatch.setattr("memento.executors.slurm.job_queue.SHORT", 1.0)
    monkeypatch.setattr("memento.executors.slurm.jobs.MOST_CALLS", 10_000)
    monkeypatch.setattr("memento.executors.slurm.jobs.MOST_SUBMISSIONS", 10_000)
    monkeypatch.setattr("memento.executors.slurm.engine.SILENT", 2.0)


@pytest.fixture
def shim(slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shim:
    """Put a shim before Slurm's commands."""
    made = Shim(tmp_path / "shim")
    monkeypatch.setenv("PATH", made.path)
    return made
