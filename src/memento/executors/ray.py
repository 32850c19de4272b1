"""Run tasks on a Ray cluster: pilots are Ray tasks, each of which runs as many tasks at once as it has cores.

Knows: Ray's tasks, what its nodes have. May not know: what pilots do, who asked.

    coordinator ──remote()──> Ray ──> worker on some node: `pilots.lent_worker.run_child` ──> pilot

Ray places pilots where there is what they ask for, and a cluster that grows by what is asked grows by them. It never
runs one again: when a node is lost, the tasks of its pilots go on elsewhere. What pilots are told goes through the
store, seen by all nodes. A Ray that the program has started already is used as it is, and left running.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import WorkerStartError
from memento.executors.base import Note
from memento.executors.gpus import devices_needed, tasks_on
from memento.executors.own_folder import own_folder
from memento.executors.pilots.charter import pilot_command
from memento.executors.pilots.executor import PilotExecutor
from memento.executors.pilots.lent_worker import Ended, run_child, sent
from memento.optional_packages import imported
from memento.wording import number_of
from memento.worker.work import Work

_LOOK = 0.1  # seconds between two looks at which pilots have ended
_CONNECT = 10.0  # seconds in which an address has to answer
_FAREWELL = 5.0  # seconds that pilots get to end
_HEAD_LOOK = 2.0  # seconds between two looks whether Ray's head is there
_HEADLESS = 30.0  # seconds without it after which the run ends; after 60 Ray would end this very program
_OBJECTS = 100 << 20  # bytes of a Ray of our own for objects: it gets none
_KEPT = "What has finished is kept: start Ray and run again"
_FOLDER = "ray-"  # how the folder of a Ray of our own begins
_LONGEST = 30  # letters of a folder below which Ray's sockets have names that are short enough
_OURS = {  # what a Ray of our own is told by the environment: nothing of it goes to the home folder, or away
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@cache
def _token() -> str:
    """Return what lets processes of this program's own Rays in; Ray reads it once a process."""
    return secrets.token_hex(32)


def _own_environment() -> dict[str, str]:
    """Return what a Ray of our own is to read, as long as it reads anything: that is when Ray is imported.

    It listens to the network, and whoever may come in may run anything: so nobody may without the token. A program
    that has imported Ray itself has settled that.
    """
    if "ray" in sys.modules and not _token.cache_info().currsize:
        return {**_OURS, "RAY_AUTH_MODE": "disabled"}
    return {**_OURS, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}


class Ray(PilotExecutor):
    """Runs tasks on a Ray cluster.

    Parameters
    ----------
    address : str, optional
        Of the cluster: "auto" for the one of this host, or "host:port". By default the one that the program has
        started, or `RAY_ADDRESS` names; else one on this machine, which is ended at the end.
    num_workers : int, optional
        How many tasks run at once; by default as many as the cluster's cores, or GPUs, are enough for.
    num_cpus, num_gpus : float, optional
        What each pilot asks for; by default a whole node, or as much of one as the run needs.
    resources : dict of str to float, optional
        What each pilot asks for beside, like ``{"big_disk": 1}``.
    runtime_env : dict, optional
        Ray's environment of the pilots.

    Examples
    --------
    >>> Ray("auto", num_cpus=8, num_gpus=1).name
    'ray'
    """

    name = "ray"
    outlives = False  # a pilot ends with its Ray task, and that with its driver
    idle = 5.0  # another is there in no time, and another run may wait for the cores

    def __init__(
        self,
        address: str | None = None,
        num_workers: int | None = None,
        *,
        num_cpus: float | None = None,
        num_gpus: float | None = None,
        resources: Mapping[str, float] | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(num_workers, clock=clock)
        self._address, self._asked = address, num_workers
        self._cpus, self._gpus = num_cpus, num_gpus
        self._resources = dict(resources or {})
        self._runtime_env = dict(runtime_env or {})
        self._ray: Any = None
        self._closing = contextlib.ExitStack()

    def _begin(self) -> None:
        super()._begin()
        self._refs: dict[str, Any] = {}  # by pilot
        self._gone: dict[str, str] = {}
        self._ending: dict[Any, float] = {}  # calls whose pilots are to end: when they have to have done so
        self._looked = self._head_looked = -1e9
        self._headless: float | None = None  # since when Ray's head does not answer
        self._head = ""  # its address
        self._holds = False  # whether this program is a task of Ray's, which has a part of a node

    # -- life

    def start(self, work: Work) -> None:
        self._ray = self._connected(work)
        self.workers = self._fit(work)
        super().start(work)
        self._head = str(getattr(self._ray.get_runtime_context(), "gcs_address", ""))

    def _connected(self, work: Work) -> Any:
        elsewhere = bool(self._address or os.environ.get("RAY_ADDRESS"))
        if not elsewhere:
            self._closing.enter_context(_environment(_own_environment()))
        ray = _ray()
        if ray.is_initialized():
            return ray
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if self._runtime_env:
            options["runtime_env"] = self._runtime_env
        if elsewhere:
            options["address"] = self._address
            _ask_for(self._address or os.environ["RAY_ADDRESS"])
        else:
            tasks = self._asked or work.num_workers
            options |= {
                "num_cpus": max(tasks * work.cpus_per_task, int(self._cpus or 0)),
                "include_dashboard": False,
                "object_store_memory": _OBJECTS,
                "_temp_dir": self._closing.enter_context(_short_folder()),
            }
        self._closing.callback(ray.shutdown)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it warns of what later releases of it will do
                ray.init(**options)
        except Exception as exc:  # a node that is late is no more than an Exception to Ray
            where = f"at {options['address']!r}" if "address" in options else "on this machine"
            raise WorkerStartError(f"cannot use Ray {where}: {exc}") from exc
        return ray

    def _fit(self, work: Work) -> int:
        """Choose what a pilot asks for; return how many tasks run at once."""
        nodes = self._nodes()
        able = [node for node in nodes if node.get("CPU", 0) >= work.cpus_per_task]
        if work.gpus_per_task:
            able = [node for node in able if node.get("GPU", 0) >= min(work.gpus_per_task, 1)]
        rooms = [_room(node, work) for node in able]
        if not rooms:
            if self._cpus is None:
                raise WorkerStartError(_too_small(nodes, work, self._holds))
            rooms = [1]  # a node that is there later
        asked = self._asked or work.asked_workers
        width = min(rooms) if self._cpus is None else max(int(self._cpus // work.cpus_per_task), 1)
        if self._gpus is not None and work.gpus_per_task:
            width = max(min(width, int(self._gpus // work.gpus_per_task)), 1)
        count = asked or sum(rooms)
        self.width = min(width, count)
        return count

    def _nodes(self) -> list[dict[str, float]]:
        """Return what each node has; where this program is a task of Ray's, without what that holds."""
        nodes = {node["NodeID"]: dict(node["Resources"]) for node in self._ray.nodes() if node["Alive"]}
        context = self._ray.get_runtime_context()
        with contextlib.suppress(AssertionError):  # it is none
            here = nodes.get(context.get_node_id(), {})
            for name, held in context.get_assigned_resources().items():
                here[name] = here.get(name, 0) - held
                self._holds = True
        return list(nodes.values())

    def close(self) -> None:
        super().close()
        if self._ray is not None and self._ending and self._ray.is_initialized():
            refs = list(self._ending)
            self._ray.wait(refs, num_returns=len(refs), timeout=_FAREWELL, fetch_local=False)
            self._cancel_overdue(self._clock.monotonic() + _FAREWELL)
        self._ray, self.workers = None, self._asked
        closing, self._closing = self._closing, contextlib.ExitStack()
        closing.close()

    # -- what an engine does

    def ask(self, count: int) -> Collection[str]:
        names = [self.new_pilot() for _ in range(count)]
        run, work = str(self._handing.folder), self._work
        cpus = self.width * work.cpus_per_task if self._cpus is None else self._cpus
        gpus = self.width * work.gpus_per_task if self._gpus is None else self._gpus
        if self._gpus is None and (gpus > 1 or work.gpu_memory):  # Ray has no shares of several
            gpus = devices_needed(self.width, work.gpus_per_task, work.gpu_memory)
        options: dict[str, Any] = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "resources": self._resources,
            "max_retries": 0,
        }
        if self._runtime_env:
            options["runtime_env"] = self._runtime_env
        more = "".join(f", {name}={need:g}" for name, need in self._resources.items())
        self._asks = f"{cpus:g} CPUs" + (f", {gpus:g} GPUs" if gpus else "") + more
        call = self._ray.remote(**options)(sent(_run_in_task))
        for name in names:
            command = pilot_command(run, name, "--with-parent", forked=True)
            self._refs[name] = call.remote(run, command, str(self.pilots[name].output))
        return names

    def waits(self) -> str:
        """Say what pilots that Ray has not started ask for; `ray status` tells what there is."""
        waiting = sum(pilot.here is None for pilot in self.pilots.values())
        return f"Ray has not started {number_of(waiting, 'pilot')} yet: {self._asks} each" if waiting else ""

    def gone(self) -> Mapping[str, str]:
        now = self._clock.monotonic()
        if not self._ray.is_initialized():  # whatever is asked of it now would start another
            raise WorkerStartError(f"Ray was shut down in this program while it ran. {_KEPT}")
        if self._head and now - self._head_looked >= _HEAD_LOOK:
            self._look_for_head(now)
            self._head_looked = self._clock.monotonic()
        if now - self._looked < _LOOK or not (self._refs or self._ending):
            return dict(self._gone)
        self._looked = now
        self._cancel_overdue(now)
        waiting = {ref: name for name, ref in self._refs.items() if name not in self._gone}
        refs = list(waiting)
        ended, _ = (
            self._ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False) if refs else ((), ())
        )
        for ref in ended:
            self._gone[waiting[ref]] = self._why_ended(waiting[ref], ref)
        return dict(self._gone)

    def _look_for_head(self, now: float) -> None:
        """Wait a while for a head that has gone; raise WorkerStartError before Ray ends this program."""
        try:
            _knock(self._head, 1.0)
        except OSError as exc:
            if self._headless is None:
                self._headless = now
                told = f"Ray's head at {self._head} does not answer ({exc.strerror or exc}): it may come back"
                self._inbox.append(Note(f"{told} within {_HEADLESS:.0f} s"))
            elif now - self._headless >= _HEADLESS:
                raise WorkerStartError(
                    f"Ray is gone: its head at {self._head} has not answered for {_HEADLESS:.0f} s. {_KEPT}"
                ) from exc
        else:
            self._headless = None

    def _why_ended(self, name: str, ref: Any) -> str:
        try:
            ended = Ended(*self._ray.get(ref))
        except Exception as exc:  # its worker or its node was lost, or Ray could not start it
            words = str(exc).strip().splitlines() or [""]
            return f"Ray lost pilot {name} ({type(exc).__name__}: {words[0]})"
        why = ended.reason(name, self._handing.folder, self.pilots[name].output)
        if ended.is_hopeless and not any(pilot.is_here for pilot in self.pilots.values()):
            raise WorkerStartError(why)
        return why

    def end(self, names: Collection[str]) -> None:
        # A pilot that has begun is told through its stream. To cancel a task that ends just then would end this very
        # program: Ray 2.60 takes it for an unexpected state.
        for name in names:
            ref = self._refs.pop(name, None)
            over = self._gone.pop(name, None) is not None
            if ref is None or over:
                continue
            pilot = self.pilots.get(name)
            if pilot is None or pilot.here is not None:
                self._ending[ref] = self._clock.monotonic() + _FAREWELL
            else:
                self._cancel(ref)

    def _cancel_overdue(self, now: float) -> None:
        """End the places of pilots that did not hear that they are to end."""
        if self._ending:
            refs = list(self._ending)
            ended, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False)
            for ref in ended:
                del self._ending[ref]
            for ref in [ref for ref, deadline in self._ending.items() if now >= deadline]:
                del self._ending[ref]
                self._cancel(ref)

    def _cancel(self, ref: Any) -> None:
        if not self._ray.is_initialized():
            return
        with contextlib.suppress(Exception):  # Ray is gone, and with it all that it ran
            self._ray.cancel(ref, force=True)  # a pilot ends with the process that runs it


def _ray() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray = imported("ray", "executor='ray'", "ray")
    # Its hook, which notes for its pages what has ended a program, would hide that the program has none of its own.
    worker: Any = sys.modules.get("ray._private.worker")
    if sys.excepthook is getattr(worker, "custom_excepthook", None):
        sys.excepthook = worker.normal_excepthook
    return ray


def _knock(address: str, seconds: float) -> None:
    """Raise OSError where nobody listens at "host:port"."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), seconds).close()


def _ask_for(address: str) -> None:
    """Raise WorkerStartError where nobody listens at an address: Ray itself would wait for minutes, and say little."""
    if "//" in address or not address.rpartition(":")[2].isdecimal():  # "auto", "ray://host:port"
        return
    try:
        _knock(address, _CONNECT)
    except OSError as exc:
        raise WorkerStartError(f"no Ray answers at {address!r}: {exc.strerror or exc}") from exc


def _room(node: Mapping[str, float], work: Work) -> int:
    """Return how many tasks a node has cores, and GPUs, for."""
    room = int(node.get("CPU", 0) // work.cpus_per_task)
    return min(room, tasks_on(int(node.get("GPU", 0)), work.gpus_per_task)) if work.gpus_per_task else room


def _too_small(nodes: list[dict[str, float]], work: Work, holds: bool) -> str:
    cores = max((node.get("CPU", 0) for node in nodes), default=0)
    gpus = max((node.get("GPU", 0) for node in nodes), default=0)
    without = ", without what this very task of Ray's holds (with num_cpus=0 it holds none)" if holds else ""
    return (
        f"no node of Ray's has room for a task of cpus_per_task={work.cpus_per_task},"
        f" gpus_per_task={work.gpus_per_task:g}: the largest has {cores:g} CPUs and {gpus:g} GPUs{without}. Ask for"
        " less; or say what a pilot is to ask for where a node will come: executors.Ray(num_cpus=..., num_gpus=...)"
    )


def _short_folder() -> contextlib.AbstractContextManager[str]:
    """Make a folder for a Ray of our own, whose sockets' names may have 107 letters."""
    long = len(tempfile.gettempdir()) > _LONGEST
    return own_folder(_FOLDER, "/tmp" if long and os.path.isdir("/tmp") else tempfile.gettempdir())


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Have these in the environment, where nothing else is said there."""
    missing = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _run_in_task(folder: str, command: list[str], output: str) -> tuple[str, str, str]:
    """Run a pilot's command until it ends; called in a worker of Ray's."""
    import ray

    place = str(ray.get_runtime_context().get_node_id())
    # Where Ray is of this run alone its workers end with it, and so do forkers.
    return run_child(folder, command, output, place, keep=True)
