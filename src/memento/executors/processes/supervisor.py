"""Supervise worker processes on this machine.

Knows: tasks, outcomes, workers, limits. May not know: SQL, matrices, retry rules, displays.

One thread, the caller's, runs everything here, inside `poll`. Who owns what:

    supervisor     the table of workers, its ends of all pipes, the shared memory
      scheduler    the queue; decides who gets what
      monitor      decides whose task has to be ended; looks at what nobody tells
      control      the server's process and socket
    server         all worker processes (it starts them, waits for them, ends them); see `server`
    worker         its ends of two pipes, its log file, its slot's first two words

The way of an outcome:

    worker ──(pickled, one write)──> channel ──(pipe)──> supervisor ──(poll)──> runner

When a worker ends, all that it wrote is read first; then the task at its slot's position is blamed if its
outcome has not arrived, the rest goes back to the front of the queue, and another worker is started. When the server
ends, so do all workers; it is started again, and what they ran is run again, one by one, but not a third time.

Long because one thread does all of this, and who reads it follows one thing from its start to its end.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MementoError, WorkerStartError
from memento.executors.base import Executor, Message, Note, Running, Update
from memento.executors.processes import channel
from memento.executors.processes.channel import Garbled
from memento.executors.processes.control import Control, ServerGone
from memento.executors.processes.exit_reason import garbled
from memento.executors.processes.monitor import LOOK_EVERY, Monitor
from memento.executors.processes.scheduler import Scheduler
from memento.executors.processes.worker_handle import WorkerHandle, Workers
from memento.records import OUT_OF_MEMORY, Outcome
from memento.wording import number_of
from memento.worker import failures
from memento.worker.portable import Portable
from memento.worker.task_runner import verdict
from memento.worker.work import Task, Work

if TYPE_CHECKING:
    from memento.executors.gpus import Seats

_QUIET = 0.003  # seconds that outcomes of short tasks gather
_RESTARTS = 3  # of the server, in a row, without a task that ends
_FRUITLESS = 3  # workers that end before any task, in a row


class Processes(Executor):
    """Runs tasks in worker processes of this machine.

    Parameters
    ----------
    num_workers : int, optional
        How many; by default as many as the run asks for.
    copy : bool, optional
        Whether workers are copies of this program, with all that it has imported; else they come from a fresh
        process that imports what the function needs. By default they are copies where that is sound: on Linux,
        where the program has one thread and no connections or files open.
    initializer : callable, optional
        Called once in each worker, without arguments, before any task: for what a fresh process has not. It takes the
        place of that of `Memento`.
    blank : bool, optional
        Whether this program has nothing of the experiment, as a pilot: then a copy of it imports what the function
        needs, as a fresh process does.
    log_prefix : str, optional
        Begins the names of workers' logs, where others write logs of the same run.

    Examples
    --------
    >>> Processes(2).name
    'processes'
    """

    name = "processes"
    isolates = True
    preempts = True
    same_host = True
    resizable = True
    gives_gpus = True
    tells = True
    keeps_output = True

    def __init__(
        self,
        num_workers: int | None = None,
        *,
        copy: bool | None = None,
        initializer: Callable[[], object] | None = None,
        blank: bool = False,
        log_prefix: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.workers, self._copy, self._clock = num_workers, copy, clock
        self._log_prefix, self._initializer, self._blank = log_prefix, initializer, blank
        self._handles: dict[int, WorkerHandle] = {}  # by slot
        self._inbox: list[Message] = []
        self._stopping = self._called = False  # the latter: somebody wants `poll` to return
        self._control: Control | None = None  # between `start` and `close`
        self._seats: Seats | None = None  # found for the next run

    # -- life

    def gpu_places(self, per_task: float, memory: int | None) -> int:
        from memento.executors.gpus import seats_for

        self._seats = seats_for(per_task, memory, os.environ)
        return len(self._seats.seats)

    def start(self, work: Work) -> None:
        if sys.platform == "win32":
            raise WorkerStartError("worker processes need Linux or macOS: use executor='threads', or a pool")
        if self._initializer is not None:
            work = work._replace(initializer=Portable(self._initializer, "the initializer"))
        self._work = work
        self._stopping, self._fruitless, self._restarts = False, 0, 0  # whatever an earlier run has left
        self._inbox.clear()
        self._noted: set[str] = set()
        _ = work.settings.data  # what cannot be pickled is told now
        count = max(self.workers or work.num_workers, 1)
        found, self._seats = self._seats, None
        workers = self._workers = Workers(work, count, self._log_prefix, found)
        self._handles = workers.handles
        try:
            control = self._control = Control(work, workers.file, self._copy, blank=self._blank)
        except MementoError:
            workers.close()
            raise
        count = self._at_most(count) if found is None else min(count, workers.most)  # else it was told before
        self._inbox += [Note(text, "info") for text in control.notes]
        self._inbox += [Note(text) for text in workers.notes]
        self._scheduler = Scheduler(work, count, self._handles, self._inbox, self._clock)
        self._monitor = Monitor(work, self._handles, control.pid, workers.logs)
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(control.socket, selectors.EVENT_READ)
        for slot in range(min(count, work.num_workers)):  # they start while the runner gets ready
            self._start_worker(control, slot)

    @property
    def server_pid(self) -> int:
        """Return the process from which all workers come; 0 before `start` and after `close`."""
        return self._control.pid if self._control is not None else 0

    def close(self) -> None:
        control, self._control = self._control, None
        if control is None:
            return
        self._scheduler.queue.clear()
        for owned in (control, self._monitor, self._selector, self._waker, self._woken, self._workers):
            owned.close()

    def _at_most(self, count: int) -> int:
        """Return how many workers there can be where so many are wished for."""
        if count > self._workers.most:
            self._note(f"{number_of(self._workers.most, 'worker')}, not {count}: there are no more GPUs")
        return min(count, self._workers.most)

    # -- what the runner says

    def want(self) -> int:
        return 0 if self._stopping or self._control is None else self._scheduler.want()

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._scheduler.lose(tasks)
            return
        self._scheduler.add(tasks)
        with self._surviving():
            self._feed()

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        found = [handle.at_work(now) for handle in self._handles.values()]
        return [running for running in found if running is not None]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        if self._control is None:
            return
        wanted = None if numbers is None else set(numbers)
        self._scheduler.cancel(wanted, running=running)
        if running and wanted is None and not self._stopping:
            self._stopping = True
            self._monitor.stop(self._clock.monotonic())
            self._workers.slots.stop_all()

    def resize(self, workers: int) -> None:
        if self._control is not None:
            for handle in self._scheduler.resize(self._at_most(max(workers, 1))):
                self._dismiss(handle)

    def wake(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # full: it wakes up anyway; not started, closed
            self._waker.send(b"\0")

    # -- the loop

    def poll(self, timeout: float) -> list[Message]:
        if self._control is not None:
            until = self._clock.monotonic() + timeout
            self._called = False
            with self._surviving():
                self._look_around(self._control, timeout)
                # To hand over nothing after a short look would have the runner commit what it has.
                while not self._inbox and not self._called and (left := until - self._clock.monotonic()) > 0:
                    self._look_around(self._control, left)
        messages = self._inbox.copy()
        self._inbox.clear()
        return messages

    def _look_around(self, control: Control, timeout: float) -> None:
        self._feed()
        now = self._clock.monotonic()
        wait = 0.0 if self._inbox else max(min(timeout, self._monitor.next_look(now) - now, LOOK_EVERY), 0.0)
        quick = wait > _QUIET and self._scheduler.pace < 0.001
        if quick and all(handle.load > _QUIET for handle in self._handles.values()):
            # Short tasks and busy workers: one look for many outcomes, so that looking takes no core from them.
            select.select([], [], [], _QUIET)
            wait = 0.0
        self._listen(control, wait)
        self._keep_limits(control)
        for text in self._monitor.look(self._clock.monotonic()):
            self._note(text)
        self._feed()

    def _listen(self, control: Control, wait: float) -> None:
        """Wait for whoever tells something, and hear all of it."""
        for key, _ in self._selector.select(wait):
            if key.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                self._called = True
            elif key.fileobj is control.socket:
                self._hear(control)
            else:
                handle: WorkerHandle = key.data
                if key.fd == handle.read:
                    self._collect(handle)
                elif key.fd == handle.write and handle.flush():
                    self._selector.unregister(handle.write)

    @contextlib.contextmanager
    def _surviving(self) -> Iterator[None]:
        """Start the server again where it was killed."""
        try:
            yield
        except ServerGone:
            control = self._control
            if control is None or not control.proven or self._restarts >= _RESTARTS:
                raise
            self._restarts += 1
            for handle in list(self._handles.values()):
                handle.leaving = True
                self._bury(control, handle, -signal.SIGKILL, 0, forgiving=True)
            self._selector.unregister(control.socket)
            control.close()
            control = self._control = Control(self._work, self._workers.file, self._copy, blank=self._blank)
            control.proven = True  # as the one before it; a task may kill it before it can say so
            self._selector.register(control.socket, selectors.EVENT_READ)
            self._monitor.follow(control.pid)
            self._note(
                "the process that starts workers was killed: it was started again, with what was running"
            )

    def _feed(self) -> None:
        """Send tasks to those who need some; start workers; take back what waits in vain."""
        if self._control is None:
            return
        self._scheduler.take_back()
        for slot in self._scheduler.empty_slots():
            self._start_worker(self._control, slot)
        for handle in self._scheduler.fill():
            if handle.out and not handle.flush():
                with contextlib.suppress(KeyError):
                    self._selector.register(handle.write, selectors.EVENT_WRITE, handle)
            if self._scheduler.left_of(handle) <= 0 and not handle.in_flight and not handle.leaving:
                self._dismiss(handle)  # it has had its share, be it that some of that was taken back
        self._scheduler.steal()

    def _start_worker(self, control: Control, slot: int) -> None:
        handle = self._workers.start(control, slot)
        self._selector.register(handle.read, selectors.EVENT_READ, handle)

    # -- hearing

    def _hear(self, control: Control) -> None:
        for message in control.hear():
            if message[0] == "started":
                self._handles[message[1]].pid = message[2]
            elif message[0] == "exit":
                handle = self._handles[message[1]]
                # What a worker ran whose outcomes nobody reads any more is not to blame.
                self._bury(control, handle, message[3], message[4], forgiving=handle.distrusted)

    def _collect(self, handle: WorkerHandle) -> None:
        """Take what a worker has told."""
        if not handle.distrusted:
            try:
                self._take(handle)
            except Garbled:
                self._distrust(handle)
            if handle.receiver.ended:  # or it would be ready for ever
                self._unwatch(handle.read)

    def _take(self, handle: WorkerHandle) -> None:
        outcomes: list[Outcome] = []
        try:
            for kind, content in handle.receiver.messages():
                if kind == channel.OUTCOME:
                    handle.finish_oldest(content.number)
                    outcomes.append(content)
                elif kind == channel.UPDATE:
                    number, done, total, metrics, doing = content
                    self._inbox.append(Update(number, handle.name, done, total, metrics, doing))
                elif kind == channel.PASSED:
                    self._scheduler.requeue(handle.passed(content))
                elif kind == channel.LEAVING:  # a task left something that only a new process is free of
                    position, left = content
                    handle.leaving = True
                    self._scheduler.requeue(handle.take_back(position + 1))
                    self._note(f"a task {left}: its worker was replaced")
                elif kind == channel.BROKEN and self._control is not None:
                    raise self._control.cannot_start(*content)
                else:
                    raise Garbled
        finally:  # what came before something garbled counts
            if outcomes:
                self._scheduler.learn(outcomes)
                self._inbox += outcomes
                self._fruitless = self._restarts = 0

    def _distrust(self, handle: WorkerHandle) -> None:
        """A worker wrote what is no message: blame the task whose outcome was due, and end it unheard."""
        handle.distrusted = handle.leaving = True
        if handle.in_flight:
            task = handle.finish(handle.oldest())
            self._scheduler.ended(task.number)
            self._inbox.append(verdict(task, garbled(), self._clock.now(), 0.0, handle.name))
        if self._control is not None:
            self._control.kill(handle.pid, signal.SIGKILL)

    def _dismiss(self, handle: WorkerHandle) -> None:
        """Let a worker end by itself: it reads the end of its pipe."""
        handle.leaving = True
        self._unwatch(handle.write)
        handle.close_writing()

    def _unwatch(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError, ValueError):  # it is not watched, or closed
            self._selector.unregister(descriptor)

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._inbox.append(Note(text))

    # -- ends

    def _keep_limits(self, control: Control) -> None:
        """End what runs too long, takes too much, or outlasts the run."""
        now = self._clock.monotonic()
        for handle in self._handles.values():
            if handle.kill_at is not None and now >= handle.kill_at:
                handle.kill_at = None
                control.kill(handle.pid, signal.SIGKILL)
        for handle, reason, grace in self._monitor.exceeded(now):
            self._collect(handle)
            if handle.running() != reason.position:
                continue  # it finished just now
            # Or what comes next would be begun, and ended in its place, where it finishes before it is ended.
            handle.revoke(reason.position + 1, now)
            handle.decided = reason
            handle.kill_at = now + grace if grace > 0 else None
            control.kill(handle.pid, signal.SIGTERM if grace > 0 else signal.SIGKILL)

    def _bury(
        self, control: Control, handle: WorkerHandle, code: int, peak: int, *, forgiving: bool = False
    ) -> None:
        """A worker's process has ended: blame the task it ran, requeue the rest, make room."""
        self._collect(handle)  # all that it wrote comes first
        begun = (position := handle.running()) >= 0
        if begun and handle.was_ended_for_another(position, code):
            pass  # it is run again, as if it had not been begun
        elif begun and not (forgiving and self._scheduler.suspect(handle.in_flight[position][0].number)):
            struck = code == -signal.SIGKILL and self._monitor.struck()
            outcome = handle.last_outcome(self._work, code, peak, self._clock, struck=struck)
            self._scheduler.ended(outcome.number)
            self._inbox.append(outcome)
            self._fruitless = 0
            assert outcome.failure is not None
            if outcome.failure.code == OUT_OF_MEMORY and len(self._handles) > 1:
                most = self._scheduler.shrink()
                self._note(f"memory ran out: from now on {most} worker{'s' if most > 1 else ''} at once")
        elif not (begun or handle.leaving or handle.decided) and handle.sent == len(handle.in_flight):
            self._fruitless += 1
        self._scheduler.requeue(handle.take_back(0))
        told = failures.tail(handle.place.log) if handle.place.log else ""
        self._unwatch(handle.read)
        self._unwatch(handle.write)
        self._workers.forget(handle)
        if self._fruitless >= _FRUITLESS:
            raise control.fruitless(_FRUITLESS, code, told)
