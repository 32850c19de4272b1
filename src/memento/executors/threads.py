"""Run tasks in threads of this process: for tasks that wait, or that release the interpreter's lock.

Knows: task runners. May not know: other processes.

Owners
    calling thread   the queue, the table of workers, the inbox it returns
    worker threads   one task each; take from `_handed`, put into `_returned`
Limits: the process' random generators, and what libraries keep for all of it, belong to a task only where one thread
runs (what a thread has for itself is put back); what tasks print is not told apart; `timeout` is soft: a task over it
is reported as timed out at once, and its thread, which nothing can end, is left to itself and replaced. Threads are
daemons, so none keeps a program alive.
Time in which this process was suspended is not the task's: it is seen by looking at the clock several times a second.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memento import system
from memento.clock import SYSTEM_CLOCK, Clock
from memento.context import Resources
from memento.executors.base import Executor, Message, Note, Running, Update, cancelled, take_out
from memento.executors.calling_thread import CallingThread
from memento.executors.pace import Pace
from memento.records import Outcome
from memento.worker import failures
from memento.worker.options import Options
from memento.worker.portable import initialize
from memento.worker.task_runner import Conditions, TaskRunner, local_runner, verdict
from memento.worker.work import Task, Work

_LOOK = 0.25  # seconds between looks at the clock, where a task's time is limited
_GAP = (
    0.5  # seconds without a look: this process computed all the time, or was suspended, or too busy to judge
)
_NEVER = float("inf")


@dataclass(eq=False)
class Hand:
    """One thread and what it does. `task` is set by the calling thread, and cleared by it."""

    name: str
    tasks: queue.SimpleQueue[Task | None]
    task: Task | None = None
    begun: float = 0.0  # monotonic seconds, when the task was handed over
    paused: float = 0.0  # seconds of it in which this process was suspended
    ends: float = _NEVER  # monotonic seconds; its task was told to stop, and is given up then
    given_up: bool = False  # whatever its task returns is dropped
    alone: bool = (
        False  # made as the only thread: its tasks have the process' random generators for themselves
    )


class Threads(Executor):
    """Runs tasks in threads.

    Parameters
    ----------
    num_workers : int, optional
        How many; by default as many as the run asks for.

    Examples
    --------
    >>> Threads(4).name
    'threads'
    """

    name = "threads"
    shares_memory = True
    resizable = True

    def __init__(self, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.workers, self._clock = num_workers, clock
        self._queue: deque[Task] = deque()
        self._hands: list[Hand] = []
        self._inbox: list[Message] = []
        self._returned: queue.SimpleQueue[tuple[Hand, Outcome | Exception] | Update | None] = (
            queue.SimpleQueue()
        )
        self._stopping = threading.Event()
        self._looked, self._computed = _NEVER, 0.0  # monotonic seconds; processor time of this process then
        self._pace = Pace()
        self._made = 0
        self._work: Work | None = None
        self._first: TaskRunner | None = None  # it knows how the program had its random generators

    def start(self, work: Work) -> None:
        self._work = work
        initialize(work.initializer)
        self._like = CallingThread()
        self._wanted = max(self.workers or work.num_workers, 1)
        self.alone = self._wanted == 1

    def want(self) -> int:
        if self._stopping.is_set():
            return 0
        in_hand = len(self._queue) + sum(hand.task is not None for hand in self._hands)
        return self._pace.wanted(self._wanted, in_hand)

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping.is_set():
            self._inbox += cancelled(tasks)
            return
        self._queue.extend(tasks)
        self._feed()

    def _feed(self) -> None:
        if self._stopping.is_set():
            return
        for hand in list(self._hands):
            if hand.task is None and (len(self._hands) > self._wanted or hand.alone > self.alone):
                self._dismiss(hand)
            elif hand.task is None and self._queue:
                self._give(hand, self._queue.popleft())
        if not self.alone and any(hand.alone for hand in self._hands):
            return  # its task may draw from generators that a second one would draw from as well
        while self._queue and len(self._hands) < self._wanted:
            self._give(self._hire(), self._queue.popleft())

    def _give(self, hand: Hand, task: Task) -> None:
        hand.task, hand.begun, hand.paused, hand.ends = task, self._clock.monotonic(), 0.0, _NEVER
        hand.tasks.put(task)

    def _hire(self) -> Hand:
        assert self._work is not None, "start() comes first"
        self._made += 1
        hand = Hand(f"{system.hostname()}/{os.getpid()}-{self._made}", queue.SimpleQueue(), alone=self.alone)
        self._hands.append(hand)
        threading.Thread(
            target=self._like.call,
            args=(self._serve, hand, self._work),
            name=f"memento-{self._made}",
            daemon=True,
        ).start()
        return hand

    def _serve(self, hand: Hand, work: Work) -> None:
        """Run what is handed over, until None comes. The body of a worker thread."""

        def tell(number: int, done: float, total: float | None, metrics: dict[str, float]) -> None:
            if not hand.given_up:
                self._returned.put(Update(number, hand.name, done, total, metrics))

        conditions = Conditions(
            worker=hand.name,
            resources=Resources(work.cpus_per_task, (), work.memory_limit),
            stopping=lambda: hand.ends < _NEVER or hand.given_up or self._stopping.is_set(),
            live=tell,
            shared_process=True,
            alone=hand.alone,
            clock=self._clock,
        )
        runner: TaskRunner | None = None
        options: Options | None = None
        while (task := hand.tasks.get()) is not None:
            try:
                if runner is None or options is None:
                    runner = local_runner(work, conditions)
                    self._first = self._first or runner
                    options = Options(local=not conditions.alone)
                outcome = runner.run(task)
                options.put_back()
                self._returned.put((hand, outcome))
            except Exception as exc:
                self._returned.put((hand, exc))

    def poll(self, timeout: float) -> list[Message]:
        messages, self._inbox = self._inbox, []
        wait = 0.0 if messages else self._patience(timeout)
        while True:
            try:
                item = self._returned.get(timeout=wait) if wait > 0 else self._returned.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            if isinstance(item, Update):
                messages.append(item)
            elif item is not None:
                self._take(*item, messages)
        messages += self._overdue()
        self._feed()
        return messages

    def _take(self, hand: Hand, result: Outcome | Exception, messages: list[Message]) -> None:
        if hand.given_up:
            return
        if isinstance(result, Exception):
            raise result
        hand.task = None
        self._pace.learn(result.runtime)
        messages.append(result)

    def _patience(self, timeout: float) -> float:
        """Wait no longer than until the next task is over its time."""
        ends = [timeout]
        limit = self._work.timeout if self._work is not None else None
        now = self._clock.monotonic()
        if limit is not None:
            ends.append(_LOOK)
            ends += [hand.begun + hand.paused + limit - now for hand in self._hands if hand.task is not None]
        ends += [hand.ends - now for hand in self._hands if hand.task is not None]
        return max(min(ends), 0.001)

    def _overdue(self) -> list[Message]:
        """Give up the tasks that ran too long, and those whose grace is over."""
        now, messages = self._clock.monotonic(), list[Message]()
        limit = self._work.timeout if self._work is not None else None
        self._see_suspended(now)
        for hand in list(self._hands):
            if hand.task is None:
                continue
            ran = now - hand.begun
            if limit is not None and ran - hand.paused >= limit:
                failure = failures.timed_out(limit)
                messages.append(
                    Note(f"thread {hand.name} is left to itself: nothing can end a task in a thread")
                )
            elif now >= hand.ends:
                failure = failures.stopped()
            else:
                continue
            messages.insert(0, verdict(hand.task, failure, self._clock.now() - ran, ran, hand.name))
            self._dismiss(hand)
        return messages

    def _see_suspended(self, now: float) -> None:
        """Leave out of the tasks' times for how long nobody could look."""
        gap, computed = now - self._looked, time.process_time()
        # Who computed was not suspended: a task in C may have kept us from looking.
        lost = gap if gap > _GAP and computed - self._computed < gap / 2 else 0.0
        self._looked, self._computed = now, computed
        for hand in self._hands:
            hand.ends += lost
            hand.paused += min(lost, max(now - hand.begun - hand.paused, 0.0))

    def _dismiss(self, hand: Hand) -> None:
        hand.given_up, hand.task = True, None
        hand.tasks.put(None)
        self._hands.remove(hand)

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        return [Running(h.name, h.task.number, now - h.begun) for h in self._hands if h.task is not None]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        wanted = None if numbers is None else set(numbers)
        self._inbox += cancelled(take_out(self._queue, wanted))
        if not running or self._work is None:
            return
        if wanted is None:
            self._stopping.set()
        for hand in self._hands:
            if hand.task is not None and (wanted is None or hand.task.number in wanted):
                hand.ends = min(hand.ends, self._clock.monotonic() + self._work.grace)

    def resize(self, workers: int) -> None:
        self._wanted = max(workers, 1)
        self.alone = self.alone and self._wanted == 1
        self._feed()

    def wake(self) -> None:
        self._returned.put(None)  # SimpleQueue.put is reentrant: safe in a signal handler

    def close(self) -> None:
        self._queue.clear()
        self._stopping.set()
        for hand in list(self._hands):
            self._dismiss(hand)
        if self._first is not None:
            self._first.close()
            self._first = None
