"""The main of the fork server: a process that has imported what the experiment needs, and copies itself.

Knows: its control socket, worker processes. May not know: tasks, queues, what workers tell.

It is a copy of the program where one is sound (`fork`), and else a process started for it. It runs one thread,
and forks only as long as that is true of the whole process: libraries may start threads when they are imported.
Otherwise, and where forking is not safe, each worker is a fresh process. It is the parent of
all workers, so it is who learns how they end; being the adopter of orphans, it ends what a dead worker left behind.
It ends with everything below it when the supervisor's end of the socket is gone.

    supervisor -> server   ("spawn", place, +2 descriptors), ("kill", pid, signal), ("close",)
    server -> supervisor   ("ready",), ("broken", text), ("differs", found), ("started", slot, pid),
                           ("exit", slot, pid, code, peak)
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.errors import Unsendable, WorkersDiffer
from memento.executors.processes import channel, fork, launch
from memento.executors.processes.slots import Slots
from memento.executors.processes.worker import Place, work_until_told
from memento.values import pickling
from memento.worker import failures
from memento.worker.source_texts import install
from memento.worker.work import Work

if TYPE_CHECKING:
    import subprocess

_LOOK = 0.5  # seconds between looks for a parent that is gone without closing the socket
_ROUNDS = 200  # looks at 5 ms for the end of what was killed
_LETTING_GO = 30.0  # seconds for killed processes to let go of their GPUs, which a driver may delay
_CLEANING = 3.0  # seconds for who removes what a dead worker's processes have left in shared memory


def send(control: socket.socket, message: tuple[Any, ...], descriptors: tuple[int, ...] = ()) -> None:
    """Send one message, with descriptors if there are any."""
    data = channel.pack(channel.CONTROL, message)
    if descriptors:
        data = data[socket.send_fds(control, [data], descriptors) :]
    control.sendall(data)


class Server:
    """Starts workers on request and tells how they end."""

    def __init__(self, control: socket.socket, told: dict[str, Any], work: Work | None = None) -> None:
        self._control, self._told = control, told
        self._parent: int = told["parent"]
        self._slots_file: int = told["slots"]
        self._work_file: int | None = told.get("work")
        self._work = work or launch.read_work(told["work"])
        self._function: Callable[..., Any] | None = None
        self._refuses = False  # workers would not see what the program sees: none is started
        self._frames = channel.Frames()
        self._descriptors: list[int] = []
        self._workers: dict[int, int] = {}  # pid -> slot
        self._cleaning: dict[int, float] = {}  # pid of who cleans up -> when it is ended
        self._fresh: dict[int, subprocess.Popen[bytes]] = {}
        # Workers whose GPUs a dead one's processes may still hold: place, descriptors, how long that is waited for.
        self._waiting: list[tuple[Place, int, int, float]] = []

    def load(self) -> None:
        """Import what the function needs; tell when that fails."""
        try:
            self._function = self._work.function.here
            if self._function is None:
                self._function = launch.arrive(self._work)
                if self._work.initializer is None:  # else each worker does, after it
                    launch.compare(self._work, self._function)
            else:
                install(self._work.sources)
                pickling.keep_main(self._work.script)
            self._work.settings.load()
        except WorkersDiffer as exc:
            self._refuses = True
            send(self._control, ("differs", exc.found))
            return
        except BaseException as exc:  # SystemExit of a module among them
            told = failures.raised(exc, pickled=False)
            send(self._control, ("broken", told.traceback or told.message))
            return
        for data in self._work.values if self._work.function.here is None else ():
            with contextlib.suppress(Exception):  # the task that uses it will tell
                pickling.loads(data)  # what a few of them import is imported once, here
        gc.freeze()  # the collector of a copy would touch, and so copy, every page
        send(self._control, ("ready",))

    def serve(self) -> None:
        """Do as told until the supervisor closes or is gone."""
        self._woken, self._waker = os.pipe()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, _do_nothing)  # what has no handler wakes nobody
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._woken, select.POLLIN)
        while os.getppid() == self._parent:
            ready = {descriptor for descriptor, _ in poller.poll(_LOOK * 1000)}
            if self._control.fileno() in ready and not self._obey():
                break
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._reap()
            if self._waiting:
                for place, read, write, _ in self._ready():
                    self._spawn(place, read, write)

    def _obey(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 64)
        except OSError:
            data, descriptors = b"", []  # reset: the supervisor was killed with our messages unread
        if not data:
            return False
        self._frames.add(data)
        self._descriptors += descriptors
        for kind, body in self._frames:
            message = channel.unpack(kind, body)
            if message[0] == "spawn":
                read, write = self._descriptors.pop(0), self._descriptors.pop(0)
                place = Place(*message[1])
                if place.gpus and self._end_orphans(spare=True):
                    self._waiting.append((place, read, write, SYSTEM_CLOCK.monotonic() + _LETTING_GO))
                else:
                    self._spawn(place, read, write)
            elif message[0] == "kill":
                if message[1] in self._workers:
                    self._kill(message[1], message[2])
            elif message[0] == "close":
                return False
        return True

    def _ready(self) -> list[tuple[Place, int, int, float]]:
        """Take those off the list that need wait no more: nobody holds GPUs, or it takes too long."""
        held, now = self._end_orphans(spare=True), SYSTEM_CLOCK.monotonic()
        ready = [waiting for waiting in self._waiting if not held or now >= waiting[3]]
        self._waiting = [waiting for waiting in self._waiting if waiting not in ready]
        return ready

    def _spawn(self, place: Place, read: int, write: int) -> None:
        pid = None
        if self._refuses:
            os.close(read)
            os.close(write)
            return
        if self._function is not None and system.can_fork() and not fork.holds_gpu():
            pid = fork.fork()
            if pid == 0:
                self._become_worker(place, read, write)
        try:
            pid = pid or self._start_fresh(place, read, write)
        except Unsendable as exc:  # a copy of the program can no more be copied, and not pickle what it has
            send(self._control, ("broken", str(exc)))
            return
        finally:
            os.close(read)
            os.close(write)
        self._workers[pid] = place.slot
        send(self._control, ("started", place.slot, pid))

    def _become_worker(self, place: Place, read: int, write: int) -> None:
        """Go on as a worker, in the copy; never returns."""
        try:
            os.setsid()
            server = os.getppid()
            self._control.close()
            for descriptor in (self._woken, self._waker, *self._descriptors):
                os.close(descriptor)
            slots = Slots(self._slots_file, place.slots)
            work_until_told(self._work, place, read, write, slots, server, self._function)
        finally:
            os._exit(1)

    def _start_fresh(self, place: Place, read: int, write: int) -> int:
        if self._work_file is None:
            self._work_file = launch.write_work(self._work)
        import json

        told = {
            "slots": self._slots_file,
            "work": self._work_file,
            "read": read,
            "write": write,
            "parent": os.getpid(),
            "place": place._asdict(),
        }
        process = launch.start_python(
            "memento.executors.processes.worker",
            json.dumps(told),
            launch.path_for(self._work),
            (read, write, self._slots_file, self._work_file),
        )
        self._fresh[process.pid] = process
        return process.pid

    def _kill(self, worker: int, number: int) -> None:
        # Of a dead worker whose processes are ours by now, `_reap` ends those that are to be ended.
        if number != signal.SIGKILL or not self._is_cleaned_up_after(worker):
            system.kill_tree(worker, number)
        else:
            _signal(os.kill, worker, number)

    def _reap(self) -> None:
        """Tell of ended workers, and end what they left behind."""
        ended = False
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            pid = found.si_pid
            if pid in self._workers and not self._is_cleaned_up_after(pid):
                # Before it is waited for: until then nobody else can get its number, nor its group's.
                _signal(os.killpg, pid, signal.SIGKILL)
            _, status, used = os.wait4(pid, 0)
            slot = self._workers.pop(pid, None)
            if slot is not None:
                ended = True
                process = self._fresh.pop(pid, None)
                if process is not None:
                    process.returncode = 0  # it was waited for here
                with contextlib.suppress(OSError):  # while ending, nobody may listen any more
                    code = os.waitstatus_to_exitcode(status)
                    send(self._control, ("exit", slot, pid, code, system.peak_of(used)))
        if ended:
            self._end_orphans()

    def _end_orphans(self, *, spare: bool = False) -> bool:
        """Kill what is our child and no worker: workers adopt, so these are left by dead ones.

        Tells whether there was any; with `spare`, who only cleans up does not count.
        """
        found, now = False, SYSTEM_CLOCK.monotonic()
        for pid in system.descendants(os.getpid()):
            if pid not in self._workers and not self._is_below_worker(pid):
                cleans = system.is_resource_tracker(pid)
                found = found or not (cleans and spare)
                if cleans and now < self._cleaning.setdefault(pid, now + _CLEANING):
                    continue
                _signal(os.kill, pid, signal.SIGKILL)
        return found

    def _is_cleaned_up_after(self, worker: int) -> bool:
        """Tell whether a dead worker has left who removes what is in shared memory: it is spared for a while."""
        for pid in system.descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(pid) == worker and system.is_resource_tracker(pid):
                    return True
        return False

    def _is_below_worker(self, pid: int) -> bool:
        # Upwards: among descendants one is missing whose parent ends meanwhile, and it would be taken for an orphan.
        above = pid
        while above not in self._workers:
            parent = system.parent_of(above)
            if parent is None and above != pid:
                parent = pid  # whose parent has ended: it has another one by now
            if parent is None or parent in (0, 1, os.getpid()):
                return False
            above = parent
        return True

    def end_all(self) -> None:
        """End every worker and everything below them, and wait until they are gone."""
        for pid in list(self._workers):
            self._kill(pid, signal.SIGKILL)
        end = SYSTEM_CLOCK.monotonic() + _CLEANING
        for number in itertools.count():
            if number >= _ROUNDS and (not self._cleaning or SYSTEM_CLOCK.monotonic() > end):
                break
            self._reap()
            if not self._workers and not self._end_orphans():
                break
            select.select([], [], [], min(0.0005 * 2 ** min(number, 10), 0.005))


def _signal(kill: Callable[[int, int], None], target: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        kill(target, number)


_MEANT_FOR_OTHERS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def stay_deaf() -> None:
    """Live on when a task signals its parent: the supervisor says when this process is to end."""
    for number in _MEANT_FOR_OTHERS:
        # A handler that does nothing: unlike an ignored signal, it does not outlast the start of a program.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(*_: object) -> None:
    pass


def main() -> None:
    """Be the server, in a process that was started for it: `argv` has the descriptors."""
    import json

    serve(json.loads(sys.argv[1]))


def serve_in_copy(told: dict[str, Any], work: Work, environment: dict[str, str], output: int | None) -> None:
    """Be the server, in a copy of the program; never returns."""
    try:
        fork.start_anew((told["control"], told["slots"]), output)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(work.cwd)
        if work.function.here is None:  # the copy is of a pilot
            work = work._replace(layouts=(), values=())  # which are there only when their tasks are
            sys.path[:] = launch.path_for(work)
            sys.argv[1:] = []
        serve(told, work)
    finally:
        os._exit(1)


def serve(told: dict[str, Any], work: Work | None = None) -> None:
    """Serve the supervisor whose descriptors are told; ends the process. A copy of the program has the work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stay_deaf()
    system.die_with(told["parent"])  # while importing: nothing is below us yet
    system.adopt_orphans()
    control = socket.socket(fileno=told["control"])
    for name in ("control", "slots", "work"):
        if name in told:
            os.set_inheritable(told[name], False)
    server = Server(control, told, work)
    server.load()
    system.outlive_parent()  # from here on we end our workers first
    try:
        server.serve()
    finally:
        server.end_all()
    os._exit(0)
