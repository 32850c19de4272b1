"""The fork server as its supervisor sees it: started, told, heard, ended.

Knows: the server's process, its socket, its output, the workers' process numbers. May not know: tasks, limits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from memento import system
from memento.errors import MementoError, Unsendable, WorkersDiffer, WorkerStartError
from memento.executors.processes import channel, fork, launch, server
from memento.executors.processes.slots import make_file
from memento.executors.processes.worker import Place
from memento.worker import failures
from memento.worker.work import Work

if TYPE_CHECKING:
    import subprocess
    from typing import IO, NoReturn

_ENDING = 5.0  # seconds that the server gets to end everything
_TO_LOAD = (
    "Workers import what the function needs by name. Install the missing module, start from the folder"
    " it is in, or set PYTHONPATH; and keep what opens connections or devices inside the function."
)
_TAIL_LINES = 20


class ServerGone(WorkerStartError):
    """The server has ended, and all workers with it."""


class Control:
    """The server, and our end of its socket: a copy of this program where that is sound, or as `copy` says."""

    def __init__(self, work: Work, slots_file: int, copy: bool | None = None, *, blank: bool = False) -> None:
        # Asked before anything of ours is open.
        objection = "copy=False was asked for" if copy is False else _objection(work, blank)
        self.notes: list[str] = []  # what people should know of how workers come to be
        self.socket, theirs = socket.socketpair()
        self._frames = channel.Frames()
        self._workers: set[int] = set()
        self.proven = False  # it has started a worker: what the experiment needs can be imported
        self._mark = launch.mark(work)
        told = {"control": theirs.fileno(), "slots": slots_file, "parent": os.getpid()}
        self._log: IO[bytes] | None = None
        if work.log_output:
            self._log = open(make_file("memento-log", 0), "w+b", buffering=0)  # noqa: SIM115  # closed in `close`
        try:
            made = _copy(work, told, self._log, objection)
            self._why = objection or "a library runs threads"
            if made is None and copy:
                raise OSError(self._why)
            if made is None:
                if work.carried is None:  # else another program has told what it has set
                    work = launch.for_fresh(work)
                self.notes += _notes(work, self._why) if copy is None and not blank else ()
            self._process = made or _start(work, told, self._log)
        except (OSError, Unsendable) as exc:
            self.socket.close()
            if self._log is not None:
                self._log.close()
            if isinstance(exc, MementoError):  # it says what to do, a full disk too
                raise
            what = "copy this program" if copy else f"start {sys.executable!r} in {work.cwd!r}"
            raise WorkerStartError(f"cannot {what}: {exc}") from exc
        finally:
            theirs.close()
        self.socket.setblocking(False)

    @property
    def pid(self) -> int:
        """Return the server's process number."""
        return self._process.pid

    def spawn(self, place: Place, theirs: tuple[int, int]) -> None:
        """Have a worker started, with its ends of the pipes."""
        self._say(("spawn", tuple(place)), theirs)

    def kill(self, pid: int, number: int) -> None:
        """Have a worker and everything below it sent a signal."""
        self._say(("kill", pid, int(number)))

    def _say(self, message: tuple[object, ...], descriptors: tuple[int, ...] = ()) -> None:
        try:
            self.socket.setblocking(True)
            server.send(self.socket, message, descriptors)
        except OSError:
            self._ended()
        finally:
            self.socket.setblocking(False)

    def hear(self) -> list[tuple[Any, ...]]:
        """Return what the server said: ("started", slot, pid), ("exit", slot, pid, code, peak bytes)."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self._ended()
        self._frames.add(data)
        messages: list[tuple[Any, ...]] = [channel.unpack(kind, body) for kind, body in self._frames]
        for message in messages:
            if message[0] == "started":
                self._workers.add(message[2])
                self.proven = True
            elif message[0] == "exit":
                self._workers.discard(message[2])
            elif message[0] in ("broken", "differs"):
                raise self.cannot_start(*message)
        return messages

    def _ended(self) -> NoReturn:
        process = self._process
        if not fork.ends(process, _ENDING):
            process.kill()
            fork.ends(process, _ENDING)
        code = -signal.SIGKILL if process.returncode is None else process.returncode
        # The workers die with it, and what they started has nobody then to adopt it.
        system.kill_marked(launch.MARK, self._mark, launch.shared_name(self._mark))
        self._workers.clear()
        raise ServerGone(
            f"the process that starts workers ended with {failures.exit_name(code)} while it imported"
            f" what the experiment needs, or was killed.\n{self.output()}".rstrip()
        )

    def cannot_start(self, how: str, told: Any) -> WorkerStartError:
        """Say why workers cannot run anything: "broken" or "initializer" with a traceback, or "differs"."""
        if how == "differs":
            return WorkersDiffer(told, self._why)
        text, output = str(told), self.output()
        what, todo = "workers cannot load the experiment", _TO_LOAD
        if how == "initializer":
            what, todo = "the initializer failed in a worker", ""
        return WorkerStartError(
            f"{what}, so no task can run:\n{text.rstrip()}"
            + (f"\n{todo}" if todo else "")
            + (f"\nThey printed:\n{output}" if output else "")
        )

    def fruitless(self, count: int, code: int, told: str) -> WorkerStartError:
        """Say that workers end before they run anything: how many, how the last has ended, and what it printed."""
        return WorkerStartError(
            f"{count} workers in a row ended before they ran anything, the last with"
            f" {failures.exit_name(code)}. {self.output()}\n{told}".rstrip()
        )

    def output(self) -> str:
        """Return the last lines that the server printed."""
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def close(self) -> None:
        """End the server and all workers, and wait until they are gone."""
        process = self._process
        if self._workers:
            with contextlib.suppress(OSError):
                self.socket.setblocking(True)
                server.send(self.socket, ("close",))
        elif process.poll() is None:
            # It may be importing for seconds, deaf; as far as we know it has nothing to clean up.
            system.kill_tree(process.pid, signal.SIGKILL)
        if not fork.ends(process, _ENDING):
            for pid in self._workers:
                system.kill_tree(pid, signal.SIGKILL)
            process.kill()
            fork.ends(process, _ENDING)
        self.socket.close()
        if self._log is not None:
            self._log.close()


def _copy(work: Work, told: dict[str, Any], log: IO[bytes] | None, objection: str) -> fork.Copy | None:
    """Start the server as a copy of this program; None where that is not sound."""
    environment = launch.environment(work)
    pid = None if objection else fork.fork(launch.pool_threads(work))
    if pid == 0:
        server.serve_in_copy(told, work, environment, log.fileno() if log else None)
    return fork.Copy(pid) if pid else None


def _objection(work: Work, blank: bool) -> str:
    if work.environment:
        return "libraries have read the environment that its workers should have changed"
    if blank:
        return launch.hidden_by(work) or fork.objection(work.store)
    if work.memory_limit is not None:
        return "a memory limit is about what a task takes, not about what the program holds"
    if type(sys.modules.get("__main__")) is not ModuleType:
        return "its __main__ is of its own making"
    return fork.objection(work.store)


def _notes(work: Work, why: str) -> list[str]:
    """Say that workers are fresh processes, why, and what they lack."""
    notes = []
    # With a memory limit, and in notebooks, it is so at every run: no news, and nothing that anybody could change.
    if work.memory_limit is None and "ipykernel" not in sys.modules:
        notes.append(f"workers are fresh processes, not copies of this program, since {why}")
    if work.carried.left:
        left = ", ".join(work.carried.left)
        notes.append(
            f"workers log without {left}: make it in each of them, with Memento(..., initializer=function)"
        )
    return notes


def _start(work: Work, told: dict[str, Any], log: IO[bytes] | None) -> subprocess.Popen[bytes]:
    """Start the server as a fresh process, which imports what the experiment needs."""
    import json

    work_file = launch.write_work(work)
    try:
        return launch.start_python(
            "memento.executors.processes.server",
            json.dumps({**told, "work": work_file}),
            launch.path_for(work),
            (told["control"], told["slots"], work_file),
            env=launch.environment(work),
            cwd=work.cwd,
            **({"stdout": log, "stderr": log} if log else {}),
        )
    finally:
        os.close(work_file)
