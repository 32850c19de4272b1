"""Supervise worker processes on this machine.

Knows: tasks, outcomes, workers, limits. May not know: SQL, matrices, retry rules, displays.

One thread, the caller's, runs everything here, inside `poll`. Who owns what:

    supervisor   the table of workers, its ends of all pipes, the shared memory
      feeding    the queue; decides who gets what
      limits     decides whose task has to be ended
      watch      looks at what nobody tells
      control    the server's process and socket
    server       all worker processes (it starts them, waits for them, ends them); see `server`
    worker       its ends of two pipes, its log file, its slot's first two words

When a worker ends, all that it wrote is read first; then the task at its slot's position is blamed if its
outcome has not arrived, the rest goes back to the front of the queue, and another worker is started. When the server
ends, so do all workers; it is started again, and what they ran is run again, one by one, but not a third time.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter

from memento import system
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MementoError, WorkerStartError
from memento.executors.base import Executor, Message, Note, Running, Update, cancelled, take_out
from memento.executors.processes import launch, output, wire
from memento.executors.processes.control import Control, ServerGone
from memento.executors.processes.ends import Sentence, garbled, why_ended
from memento.executors.processes.feeding import Feeding
from memento.executors.processes.limits import Limits
from memento.executors.processes.link import Link, make_pipes
from memento.executors.processes.slots import Slots, make_file
from memento.executors.processes.telling import RING_EVERY, Listener
from memento.executors.processes.watching import EVERY as WATCH_EVERY
from memento.executors.processes.watching import Watch
from memento.executors.processes.worker import Place
from memento.layout import Layout
from memento.records import OUT_OF_MEMORY, LogSlice, Outcome
from memento.worker import failures
from memento.worker.sending import Portable
from memento.worker.task_runner import verdict
from memento.worker.work import Task, Work

_NUMBER, _RUNTIME = itemgetter(0), attrgetter("runtime")
_QUIET = 3 * RING_EVERY  # seconds that outcomes of short tasks gather
_RESTARTS = 3  # of the server, in a row, without a task that ends
# What reading a message raises that is none.
_UNREADABLE = (EOFError, ValueError, TypeError, LookupError, pickle.UnpicklingError, struct.error)
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

    Examples
    --------
    >>> Processes(2).name
    'processes'
    """

    name = "processes"
    isolates = True
    preempts = True

    _work: Work
    _feeding: Feeding
    _limits: Limits

    def __init__(
        self,
        num_workers: int | None = None,
        *,
        copy: bool | None = None,
        initializer: Callable[[], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.workers, self._copy, self._clock = num_workers, copy, clock
        self._initializer = initializer
        self._links: dict[int, Link] = {}  # by slot
        self._inbox: list[Message] = []
        self._fruitless = 0
        self._made = 0
        self._restarts = 0
        self._distrusted: set[int] = set()  # pids of workers that wrote what is no message
        self._noted: set[str] = set()
        self._stopping = False
        self._heard = False  # some worker told something since the last look
        self._look_at: float | None = None  # monotonic seconds: again at the workers' outboxes
        self._called = False  # somebody wants `poll` to return
        self._control: Control | None = None  # between `start` and `close`

    # -- life

    def start(self, work: Work) -> None:
        if sys.platform == "win32":
            raise WorkerStartError(
                "worker processes need Linux or macOS: use executor='threads', or a ProcessPool"
            )
        if self._initializer is not None:
            work = work._replace(initializer=Portable(self._initializer, "the initializer"))
        self._work = work
        _ = work.settings.data  # what cannot be pickled is told now
        count = max(self.workers or work.num_workers, 1)
        self._gpus: list[tuple[str, ...]] = [()] * count
        if work.gpus_per_task:
            from memento.executors.gpus import assign, visible_gpus

            self._gpus = assign(visible_gpus(os.environ), work.gpus_per_task, count)
            if len(self._gpus) < count:
                self._note(f"{len(self._gpus)} workers, not {count}: there are no more GPUs")
                count = len(self._gpus)
        self._count = count
        self._logs = Layout(work.store).log(work.run)
        if work.log_output:
            os.makedirs(self._logs, exist_ok=True)
        self._slots_file = make_file(launch.shared_name(launch.mark(work)), Slots.size(count))
        self._slots = Slots(self._slots_file, count)
        try:
            control = self._control = Control(work, self._slots_file, self._copy)
        except MementoError:
            os.close(self._slots_file)
            raise
        for text in control.notes:
            self._inbox.append(Note(text, "info"))
        self._feeding = Feeding(work, count, self._slots, self._links, self._inbox, self._clock)
        self._limits = Limits(work, self._slots, self._links)
        logs = self._logs if work.log_output else None
        self._watch = Watch(control.pid, logs, self._slots, self._links, self._limits)
        self._selector = selectors.DefaultSelector()
        self._quiet = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        for selector in (self._selector, self._quiet):
            selector.register(self._woken, selectors.EVENT_READ, None)
            selector.register(control.socket, selectors.EVENT_READ, None)

    @property
    def server_pid(self) -> int:
        """Return the process from which all workers come; 0 before `start` and after `close`."""
        return self._control.pid if self._control is not None else 0

    def close(self) -> None:
        control, self._control = self._control, None
        if control is None:
            return
        self._feeding.queue.clear()
        control.close()
        for link in self._links.values():
            link.close()
            self._drop_empty_log(link)
        self._watch.close()
        self._links.clear()
        self._selector.close()
        self._quiet.close()
        self._waker.close()
        self._woken.close()
        self._slots.close()
        os.close(self._slots_file)

    def _drop_empty_log(self, link: Link) -> None:
        with contextlib.suppress(OSError):
            if link.place.log and os.path.getsize(link.place.log) == 0:
                os.unlink(link.place.log)

    # -- what the runner says

    def want(self) -> int:
        return 0 if self._stopping or self._control is None else self._feeding.want()

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._feeding.lose(tasks)
            return
        self._feeding.add(tasks)
        with self._surviving():
            self._feed()

    def running(self) -> list[Running]:
        now, found = self._clock.monotonic(), []
        for link in self._links.values():
            position = self._slots.position(link.place.slot)
            entry = link.in_flight.get(position)
            if entry is not None:
                since = max(now - self._slots.start(link.place.slot), 0.0)
                found.append(Running(self._worker_name(link), entry[0].number, since))
        return found

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        if self._control is None:
            return
        if numbers is not None:
            self._inbox += cancelled(take_out(self._feeding.queue, numbers))
            return
        self._feeding.give_back()
        if running and not self._stopping:
            self._stopping = True
            self._limits.stop(self._clock.monotonic())
            self._slots.stop()

    def wake(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # full: it wakes up anyway; not started, closed
            self._waker.send(b"\0")

    # -- the loop

    def poll(self, timeout: float) -> list[Message]:
        if self._control is None:
            return self._hand_over()
        until = self._clock.monotonic() + timeout
        self._called = False
        with self._surviving():
            self._look_around(self._control, timeout)
            # Short looks that found nothing are no reason to hand the runner nothing: it would commit what it has.
            while not self._inbox and not self._called and (left := until - self._clock.monotonic()) > 0:
                self._look_around(self._control, left)
        return self._hand_over()

    def _look_around(self, control: Control, timeout: float) -> None:
        self._feed()
        now = self._clock.monotonic()
        wait = 0.0 if self._inbox else max(min(timeout, self._limits.next_look(now) - now, WATCH_EVERY), 0.0)
        quick = wait > _QUIET and self._feeding.pace < 0.001
        if quick and all(link.load > _QUIET for link in self._links.values()):
            # Short tasks and busy workers: one look for many outcomes, so that looking takes no core from them.
            self._quiet.select(_QUIET)
            wait = 0.0
        elif self._look_at is not None:
            wait = min(wait, max(self._look_at - now, 0.0))
        self._listen(control, wait)
        self._keep_limits(control)
        for text in self._watch.look(self._clock.monotonic()):
            self._note_once(text)
        self._feed()

    def _listen(self, control: Control, wait: float) -> None:
        """Wait for whoever tells something, and hear all of it."""
        for key, events in self._selector.select(wait):
            if key.fileobj is self._woken:
                with contextlib.suppress(BlockingIOError):
                    self._woken.recv(4096)
                self._called = True
            elif key.fileobj is control.socket:
                self._hear(control)
            else:
                link: Link = key.data
                if link.read >= 0 and events & selectors.EVENT_READ and key.fd == link.read:
                    self._collect(link)
                elif link.write >= 0 and key.fd == link.write and link.flush():
                    self._selector.unregister(link.write)
        now = self._clock.monotonic()
        for link in self._links.values():
            self._collect(link, pipe=False)
        if self._heard:
            # Nobody rings for what is left in the next moment.
            self._look_at, self._heard = now + _QUIET, False
        elif self._look_at is not None and now >= self._look_at:
            self._look_at = None

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
            for link in list(self._links.values()):
                link.leaving = True
                self._bury(control, link, -signal.SIGKILL, 0, forgiving=True)
            for selector in (self._selector, self._quiet):
                selector.unregister(control.socket)
            control.close()
            control = self._control = Control(self._work, self._slots_file, self._copy)
            for selector in (self._selector, self._quiet):
                selector.register(control.socket, selectors.EVENT_READ, None)
            self._watch.follow(control.pid)
            self._note(
                "the process that starts workers was killed: it was started again, with what was running"
            )

    def _hand_over(self) -> list[Message]:
        messages = self._inbox.copy()
        self._inbox.clear()
        return messages

    def _feed(self) -> None:
        """Send tasks to those who need some; start workers; take back what waits in vain."""
        if self._control is None:
            return
        self._feeding.take_back()
        for slot in self._feeding.empty_slots():
            self._spawn(self._control, slot)
        for link in self._feeding.fill():
            if link.out and not link.flush():
                with contextlib.suppress(KeyError):
                    self._selector.register(link.write, selectors.EVENT_WRITE, link)
            if self._feeding.left_of(link) <= 0 and not link.in_flight and not link.leaving:
                self._dismiss(link)  # it has had its share, be it that some of that was taken back
        self._feeding.steal()

    def _spawn(self, control: Control, slot: int) -> None:
        self._made += 1
        name = f"{self._work.run}/{self._made:04d}.log"
        log = os.path.join(self._logs, f"{self._made:04d}.log") if self._work.log_output else ""
        self._slots.clear(slot)
        theirs_in, ours_out, ours_in, theirs_out = make_pipes()
        place = Place(slot, self._count, log, name, self._gpus[slot])
        link = self._links[slot] = Link(place, ours_in, ours_out, Listener(ours_in, self._slots.outbox(slot)))
        try:
            control.spawn(link, (theirs_in, theirs_out))
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        self._selector.register(ours_in, selectors.EVENT_READ, link)

    # -- hearing

    def _hear(self, control: Control) -> None:
        for message in control.hear():
            if message[0] == "started":
                self._links[message[1]].pid = message[2]
            elif message[0] == "exit":
                # What a worker ran whose outcomes nobody reads any more is not to blame.
                forgiving = message[2] in self._distrusted
                self._bury(control, self._links[message[1]], message[3], message[4], forgiving=forgiving)

    def _collect(self, link: Link, *, pipe: bool = True) -> None:
        """Take what a worker has told."""
        if link.pid in self._distrusted:
            return
        try:
            self._take(link, pipe)
        except _UNREADABLE:
            self._distrust(link)

    def _take(self, link: Link, pipe: bool) -> None:
        items, frames = link.listener.take(pipe=pipe)
        self._heard = self._heard or bool(items or frames)
        for kind, body in frames:
            if kind == wire.UPDATE:
                number, done, total, metrics = wire.unpack(body)
                self._inbox.append(Update(number, self._worker_name(link), done, total, metrics))
            elif kind == wire.BROKEN and self._control is not None:
                raise self._control.cannot_start(*wire.unpack(body))
        outcomes = wire.unpack_outcomes(items)
        if outcomes:
            self._finished(link, outcomes)
            return
        for item in items:
            if len(item) == wire.OUTCOME or item[0] == wire.PICKLED:
                self._finished(link, [wire.unpack_outcome(item)])
            elif item[0] == wire.PASSED:
                self._feeding.passed(link, item[1])
            elif item[0] == wire.LEAVING:
                self._leaves(link, item[1], item[2])
            else:
                raise ValueError("what a worker left is no item")

    def _finished(self, link: Link, outcomes: list[Outcome]) -> None:
        """Take outcomes, which come in the order in which the tasks were sent."""
        tasks = link.finish_oldest(len(outcomes))
        if list(map(_NUMBER, tasks)) != list(map(_NUMBER, outcomes)):
            raise AssertionError((tasks, outcomes))
        self._feeding.learn(list(map(_RUNTIME, outcomes)))
        self._feeding.clear(tasks)
        self._inbox += outcomes
        self._fruitless = self._restarts = 0

    def _distrust(self, link: Link) -> None:
        """A worker wrote what is no message: blame the task whose outcome was due, and end it unheard."""
        self._distrusted.add(link.pid)
        link.leaving = True
        if link.in_flight:
            task = link.finish(link.oldest())
            assert task is not None
            name, now = self._worker_name(link), self._clock.now()
            self._inbox.append(verdict(task, garbled(), now, 0.0, name, None, None))
        if self._control is not None:
            self._control.kill(link.pid, signal.SIGKILL)

    def _leaves(self, link: Link, position: int, left: str) -> None:
        """A task left something that only a new process is free of."""
        link.leaving = True
        self._feeding.requeue(link.take_back(position + 1))
        self._note_once(f"a task {left}: its worker was replaced")

    def _dismiss(self, link: Link) -> None:
        """Let a worker end by itself: it reads the end of its pipe."""
        link.leaving = True
        if link.write >= 0:
            with contextlib.suppress(KeyError):
                self._selector.unregister(link.write)
            os.close(link.write)
            link.write = -1

    def _note_once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._note(text)

    def _note(self, text: str) -> None:
        self._inbox.append(Note(text))

    def _worker_name(self, link: Link) -> str:
        return f"{system.hostname()}/{link.pid}"

    # -- ends

    def _keep_limits(self, control: Control) -> None:
        """End what runs too long, takes too much, or outlasts the run."""
        now = self._clock.monotonic()
        for link in self._links.values():
            if link.kill_at is not None and now >= link.kill_at:
                link.kill_at = None
                control.kill(link.pid, signal.SIGKILL)
        for link, sentence, grace in self._limits.exceeded(now):
            self._collect(link)
            position = self._slots.position(link.place.slot)
            if sentence.position not in link.in_flight or position != sentence.position:
                continue  # it finished just now
            link.sentence = sentence
            link.kill_at = now + grace if grace > 0 else None
            control.kill(link.pid, signal.SIGTERM if grace > 0 else signal.SIGKILL)

    def _bury(self, control: Control, link: Link, code: int, peak: int, *, forgiving: bool = False) -> None:
        """A worker's process has ended: blame the task it ran, requeue the rest, make room."""
        for _ in range(1_000):  # all that it wrote comes first
            before = link.listener.heard
            self._collect(link)
            if link.listener.heard == before:
                break
        slot = link.place.slot
        position = self._slots.position(slot)
        begun = position in link.in_flight and position < self._slots.skipped(slot)
        if begun and forgiving and link.in_flight[position][0].number not in self._feeding.suspects:
            self._feeding.suspects.add(link.in_flight[position][0].number)
        elif begun:
            task = link.finish(position)
            assert task is not None
            self._inbox.append(self._last_words(link, task, code, peak))
            self._fruitless = 0
        elif not link.leaving and link.sentence is None and link.sent == len(link.in_flight):
            self._fruitless += 1
        self._feeding.requeue(link.take_back(0))
        self._selector.unregister(link.read)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(link.write)
        link.close()
        del self._links[slot]
        told = failures.tail(link.place.log) if link.place.log else ""
        self._drop_empty_log(link)
        if self._fruitless >= _FRUITLESS:
            raise WorkerStartError(
                f"{_FRUITLESS} workers in a row ended before they ran anything, the last with"
                f" {failures.exit_name(code)}. {control.output()}\n{told}".rstrip()
            )

    def _last_words(self, link: Link, task: Task, code: int, peak: int) -> Outcome:
        """Make the outcome of a task whose worker has ended."""
        position = self._slots.position(link.place.slot)
        runtime = max(self._clock.monotonic() - self._slots.start(link.place.slot), 0.0)
        log, told = None, ""
        if link.place.log:
            begun = self._slots.printed(link.place.slot)
            with contextlib.suppress(OSError):
                end = output.shorten_path(link.place.log, begun, os.path.getsize(link.place.log))
                if end > begun:
                    log = LogSlice(link.place.log_name, begun, end)
                    told = failures.tail(link.place.log, begun, end)
        memory = (max(link.peak or 0, peak) if link.peak_position == position else peak) or None
        sentence: Sentence | None = link.sentence
        if sentence is not None and sentence.position != position:
            sentence = None
        struck = memory if code == -signal.SIGKILL and self._watch.struck() else None
        failure = why_ended(self._work, sentence, code, told, struck=struck)
        if failure.code == OUT_OF_MEMORY and len(self._links) > 1:
            most = self._feeding.shrink()
            self._note(f"memory ran out: from now on {most} worker{'s' if most > 1 else ''} at once")
        name = self._worker_name(link)
        return verdict(task, failure, self._clock.now() - runtime, runtime, name, memory, log)
