"""An executor of as many workers as one likes, in simulated time: the coordinator far past this machine.

Knows: the executor protocol, a clock that it moves. May not know: runners, stores.

Time passes in two ways. While the coordinator computes, the clock goes as fast as its processor time; while it waits in
`poll`, the clock jumps to the next thing that happens. What the simulation itself computes takes no time. So a
coordinator that is too slow for its workers falls behind here as it would in earnest: outcomes wait, workers idle.
Outcomes and updates travel as the frames in which worker processes send them: taking them apart is the coordinator's.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from memento.executors.base import Executor, Message, Note, Running, Update, cancelled, take_out
from memento.executors.processes import channel
from memento.records import DIED, Outcome
from memento.worker.work import Task, Work

_EPOCH = 1_800_000_000.0  # UTC seconds at which simulated time begins


class SimulatedClock:
    """A clock that runs with the coordinator's processor time, and jumps where it waits.

    Parameters
    ----------
    spent : callable
        Processor seconds of this process so far; one that stands still makes the simulation repeatable.
    """

    def __init__(self, spent: Callable[[], float] = time.process_time) -> None:
        self.busy = 0.0  # seconds that the coordinator computed
        self._spent, self._mark = spent, spent()
        self._time = 0.0
        self._aside = False

    def monotonic(self) -> float:
        if not self._aside:
            self._charge()
        return self._time

    def now(self) -> float:
        return _EPOCH + self.monotonic()

    def _charge(self) -> None:
        mark = self._spent()
        self._time += mark - self._mark
        self.busy += mark - self._mark
        self._mark = mark

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let no time pass for what is computed here."""
        self._charge()
        self._aside = True
        yield
        self._aside = False
        self._mark = self._spent()

    def jump(self, to: float) -> None:
        """Go forward to a time."""
        self._time = max(self._time, to)


class Fate(NamedTuple):
    """What becomes of an attempt."""

    seconds: float
    reports: bool = False  # it tells of its progress while it runs


class Simulated(Executor):
    """Runs tasks on simulated workers.

    Parameters
    ----------
    workers : int
        How many there are.
    clock : SimulatedClock
        The clock of the whole run.
    fate : callable
        How long an attempt takes.
    outcome : callable
        What it ends with, given the times at which it began and ended; asked for when it ends.
    """

    name = "simulated"

    def __init__(
        self,
        workers: int,
        clock: SimulatedClock,
        fate: Callable[[Task], Fate],
        outcome: Callable[[Task, float, float], Outcome],
    ) -> None:
        self._workers, self._clock, self._fate, self._outcome = workers, clock, fate, outcome
        self._free = list(range(workers))
        self._names = [f"node{worker // 64:04}/{worker}" for worker in range(workers)]
        self._queue: deque[Task] = deque()
        self._flying: dict[int, tuple[int, Task, float]] = {}  # number -> worker, task, start
        self._events: list[tuple[float, int, int, bool]] = []  # when, order, number, whether it is an end
        self._order = 0
        self._pace = 1.0
        self._inbox: list[Message] = []
        self._work: Work | None = None
        self._stopping = self._woken = False
        self._told: set[int] = set()  # tasks that were told to stop by number
        self.updates = 0

    def is_told(self, number: int) -> bool:
        """Tell whether a running task was told to stop."""
        return self._stopping or number in self._told

    def start(self, work: Work) -> None:
        self._work = work

    def want(self) -> int:
        if self._stopping:
            return 0
        second = min(max(int(self._workers / max(self._pace, 1e-5)), 2 * self._workers), 20_000)
        return max(second - len(self._queue) - len(self._flying), 0)

    def submit(self, tasks: Sequence[Task]) -> None:
        with self._clock.aside():
            if self._stopping:
                self._inbox += cancelled(tasks)
                return
            self._queue.extend(tasks)
            self._begin()

    def _begin(self) -> None:
        while self._queue and self._free and not self._stopping:
            task, worker = self._queue.popleft(), self._free.pop()
            now = self._clock.monotonic()
            fate = self._fate(task)
            self._flying[task.number] = (worker, task, now)
            self._expect(now + fate.seconds, task.number, end=True)
            assert self._work is not None, "start() comes first"
            if fate.reports and fate.seconds > self._work.live_every:
                self._expect(now + self._work.live_every, task.number, end=False)

    def _expect(self, when: float, number: int, *, end: bool) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, number, end))

    def poll(self, timeout: float) -> list[Message]:
        with self._clock.aside():
            now = self._clock.monotonic()
            nothing = not self._inbox and not self._woken and not self._stopping
            if nothing and (not self._events or self._events[0][0] > now):
                next_one = self._events[0][0] if self._events else float("inf")
                self._clock.jump(min(now + timeout, next_one))
            updates, ends = self._happened(self._clock.monotonic())
            messages, self._inbox, self._woken = self._inbox, [], False
            self._begin()
        for body in updates:
            number, done, total, metrics = channel.unpack(channel.UPDATE, memoryview(body))
            messages.append(Update(number, self._name(number), done, total, metrics))
        frames = channel.Frames()
        frames.add(b"".join(ends))
        outcomes: list[Outcome] = [channel.unpack(kind, body) for kind, body in frames]
        messages += outcomes
        for outcome in outcomes:
            if outcome.failure is not None and outcome.failure.kind == DIED:
                messages.append(Note(f"worker {outcome.worker} ended; another was started"))
        return messages

    def _happened(self, now: float) -> tuple[list[bytes], list[bytes]]:
        """Return the updates and the outcomes of what has happened, as they come from workers."""
        updates, ends = [], []
        while self._events and self._events[0][0] <= now:
            when, _, number, end = heapq.heappop(self._events)
            if number not in self._flying:
                continue
            worker, task, began = self._flying[number]
            if end:
                ends.append(self._end(worker, task, began, when))
            else:
                update = (number, when - began, None, {"loss": when - began})
                updates.append(channel.pack(channel.UPDATE, update)[channel.HEADER.size :])
                self.updates += 1
                assert self._work is not None
                self._expect(when + self._work.live_every, number, end=False)
        return updates, ends

    def _end(self, worker: int, task: Task, began: float, when: float) -> bytes:
        del self._flying[task.number]
        self._free.append(worker)
        self._pace += 0.05 * (max(when - began, 1e-5) - self._pace)
        return channel.pack_outcome(self._outcome(task, began, when))

    def _name(self, number: int) -> str:
        flying = self._flying.get(number)
        return self._names[flying[0]] if flying else ""

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        return [
            Running(self._names[worker], number, now - began)
            for number, (worker, _, began) in self._flying.items()
        ]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        with self._clock.aside():
            wanted = None if numbers is None else set(numbers)
            self._inbox += cancelled(take_out(self._queue, wanted))
            if running and not self._stopping:
                self._stopping = wanted is None
                self._told |= wanted or set()
                now = self._clock.monotonic()
                for number in self._flying if wanted is None else wanted:  # all of them listen, and end now
                    self._expect(now, number, end=True)

    def wake(self) -> None:
        self._woken = True

    def close(self) -> None:
        self._queue.clear()
        self._flying.clear()
        self._events.clear()
