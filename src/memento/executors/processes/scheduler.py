"""Decide which worker gets which tasks, and when some are taken back.

Knows: the queue, what each worker has in hand, what tasks cost so far. May not know: pipes' readiness, limits, ends.

What ran when the server was killed (a suspect) is run again with nothing beside it, so that the next time it is
known who did it. A task that may use more memory than others has fewer beside it: what all may use is there.

A worker has one batch in hand and one waiting; a batch lasts about 50 ms. When a worker has nothing to do and the
queue is empty, what others have not begun is taken back from them (`slots` tells how, without a message).
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from operator import attrgetter

from memento import system
from memento.clock import Clock
from memento.executors.base import Message, cancelled, take_out
from memento.executors.processes.worker_handle import WorkerHandle
from memento.records import Outcome
from memento.worker.work import Task, Work

_BATCH = 0.050  # seconds that a batch lasts
_LEAST = 0.005  # seconds that one lasts even towards the end: what is left of it can be taken back
_OWN = 2e-5  # seconds that a task takes a worker that does nothing
_WAITING = 2.0  # seconds; a longer task is sent only to a worker that has nothing else
_MOST = 4_000  # tasks in a batch
_AT_ONCE = 2_000  # tasks that the runner brings; while it makes more of them ready, workers may run out of what to do
_FIRST = 10  # outcomes, each of which counts for half of the pace
_LIMIT = attrgetter("memory_limit")
_GROWTH = 4  # how many times as large as the last a batch of tasks may be whose cost nobody knows


class Scheduler:
    """The queue, and the way from it to the workers."""

    def __init__(
        self,
        work: Work,
        count: int,
        handles: dict[int, WorkerHandle],
        inbox: list[Message],
        clock: Clock,
    ) -> None:
        self._work, self._count = work, count
        self._handles, self._inbox = handles, inbox  # the supervisor's own, which change
        self._clock = clock
        self._most = count  # workers at once; fewer than `count` once memory has run out
        self.queue: deque[Task] = deque()
        self.pace = 1.0  # seconds a task, lately
        self._seen = 0  # outcomes
        self._growth = 1  # size of the last batch of tasks whose cost nobody knows
        self._unwanted: dict[int, bool] = {}  # tasks at workers that are not to begin -> nor to go on
        self._suspects: set[int] = set()  # numbers of tasks
        self._memory = 0  # bytes that this machine has; asked for once a task has a limit of its own

    # -- what the runner says

    def want(self) -> int:
        """Return how many more tasks keep everybody busy for about a second."""
        second = min(max(int(self._count / self.pace), 2 * self._count), 20_000)
        wanted = second - len(self.queue) - sum(len(handle.in_flight) for handle in self._handles.values())
        # Not one for each that ends: what the runner brings, it claims in a transaction.
        if wanted < (second // 4 if self.queue else 1):
            return 0
        return min(wanted, _AT_ONCE)

    def add(self, tasks: Sequence[Task]) -> None:
        """Queue tasks."""
        self.queue.extend(tasks)
        if not self._memory and any(map(_LIMIT, tasks)):
            self._memory = (system.memory_left(os.getpid()) or (0, sys.maxsize))[1]

    def cancel(self, numbers: set[int] | None, *, running: bool) -> None:
        """Give the runner back what has not begun: at once what is queued, the rest when workers let go of it.

        Of these tasks, or of all. With `running`, those of them that have begun are told to stop.
        """
        self.lose(take_out(self.queue, numbers))
        now = self._clock.monotonic()
        for handle in self._handles.values():
            begun, first = handle.position(), None
            for position, (task, _) in handle.in_flight.items():
                if numbers is None or task.number in numbers:
                    self._unwanted[task.number] = running or self._unwanted.get(task.number, False)
                    if first is None and position > begun:
                        first = position
            if first is not None:
                handle.revoke(first, now)
        self._stop_unwanted()

    def _stop_unwanted(self) -> None:
        """Stop what has begun of the tasks that are to stop; it may have done so before its worker was told."""
        if self._unwanted:
            now = self._clock.monotonic()
            for handle in self._handles.values():
                position = handle.running()
                if position >= 0 and self._unwanted.get(handle.in_flight[position][0].number):
                    handle.stop(now, self._work.grace)

    def lose(self, tasks: Sequence[Task]) -> None:
        """Tell the runner that these were not begun."""
        for task in tasks:
            self._unwanted.pop(task.number, None)
        self._inbox += cancelled(tasks)

    def requeue(self, tasks: list[Task]) -> None:
        """Put tasks that nobody began to the front of the queue."""
        queue = deque(tasks)
        self.lose(take_out(queue, self._unwanted))
        self.queue.extendleft(reversed(queue))

    def suspect(self, number: int) -> bool:
        """Let a task have nobody beside it when it runs again; False where that has been so."""
        known = number in self._suspects
        self._suspects.add(number)
        return not known

    def ended(self, number: int) -> None:
        """Take note that a task has an outcome."""
        self._unwanted.pop(number, None)

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of what tasks cost, in the order of their ends, and that none of them is a suspect any more."""
        if self._suspects or self._unwanted:
            for outcome in outcomes:
                self._suspects.discard(outcome.number)
                self._unwanted.pop(outcome.number, None)
        mean = sum(max(outcome.runtime, _OWN) for outcome in outcomes) / len(outcomes)
        kept = 0.5 if self._seen < _FIRST else 0.95  # of what was believed, after each of them
        self._seen += len(outcomes)
        self.pace = mean + kept ** len(outcomes) * (self.pace - mean)

    def shrink(self) -> int:
        """Let one worker fewer live from now on; return how many."""
        self._most = max(min(self._most, len(self._handles)) - 1, 1)
        return self._most

    def resize(self, count: int) -> list[WorkerHandle]:
        """Let so many workers live from now on; return those that are to end with what they run."""
        self._count = self._most = count
        # Whoever has least ends, of equals the last: the first slots have the best GPUs, each before any is shared.
        staying = [handle for handle in self._handles.values() if not handle.leaving]
        staying.sort(key=lambda handle: (handle.load, -handle.place.slot))
        too_many = staying[: max(len(staying) - count, 0)]
        for handle in too_many:
            handle.revoke(0, self._clock.monotonic())
        return too_many

    # -- giving

    def empty_slots(self) -> Iterator[int]:
        """Name the slots that need a worker of their own for what is queued."""
        idle = sum(not handle.in_flight and not handle.leaving for handle in self._handles.values())
        for slot in range(self._count):
            if len(self._handles) >= self._most:
                return
            if slot not in self._handles and len(self.queue) > idle:
                yield slot
                idle += 1

    def fill(self) -> Iterator[WorkerHandle]:
        """Send tasks to those who need some; each worker is named when it has what it needs."""
        handles = list(self._handles.values())
        while self.queue:
            # Whoever has least comes first, batch for batch, so that all have as much.
            handle = min(filter(self._may_send, handles), key=_load, default=None)
            if handle is None:
                break
            handle.queue_batch(self._work, *self._next_batch(handle))
        yield from handles

    def _may_send(self, handle: WorkerHandle) -> bool:
        if handle.leaving or handle.decided is not None or handle.revoked is not None or handle.write < 0:
            return False
        if self.left_of(handle) <= 0 or (self._suspects and self._has_to_wait()):
            return False
        if self._memory and not self._has_room(handle):
            return False
        if not handle.in_flight or handle.load < _BATCH:
            return True
        return len(handle.in_flight) == 1 and self._cost(self.queue[0]) < _WAITING and handle.load < _WAITING

    def _has_to_wait(self) -> bool:
        """Tell whether the next task may not run beside what runs, since one or the other is a suspect."""
        running = [task.number for handle in self._handles.values() for task, _ in handle.in_flight.values()]
        return bool(running) and not self._suspects.isdisjoint([*running, self.queue[0].number])

    def _has_room(self, handle: WorkerHandle) -> bool:
        """Tell whether the machine has what the next task and all beside it may use, if one has a limit of its own."""
        others = [one for one in self._handles.values() if one is not handle and one.in_flight]
        own = self.queue[0].memory_limit
        if own is None and not any(one.has_limits for one in (handle, *others)):
            return True
        promised = sum(one.memory_promised(self._work) for one in others)
        wanted = max(own or self._work.memory_limit or 0, handle.memory_promised(self._work))
        return not others or promised + wanted <= self._memory

    def left_of(self, handle: WorkerHandle) -> int:
        """Return how many more tasks this worker may get before it is replaced."""
        most = self._work.max_tasks_per_worker
        return _MOST if most is None else most - handle.sent

    def _cost(self, task: Task) -> float:
        return task.cost or self.pace

    def _next_batch(self, handle: WorkerHandle) -> tuple[list[Task], list[float]]:
        """Take tasks for about 50 ms off the queue; fewer towards its end, so that all end together."""
        share = max(len(self.queue) // (2 * self._count), int(_LEAST / self.pace), 1)
        most = min(share, _MOST, self.left_of(handle), _GROWTH * self._growth)
        batch: list[Task] = []
        costs: list[float] = []
        queue, pace, total = self.queue, self.pace, 0.0
        while queue and len(batch) < most:
            if (
                batch
                and self._suspects
                and not self._suspects.isdisjoint((batch[-1].number, queue[0].number))
            ):
                break
            if batch and batch[-1].memory_limit != queue[0].memory_limit:
                break  # whether there is room for it is asked for each
            cost = queue[0].cost or pace
            total += cost
            if batch and total > _BATCH:
                break
            batch.append(queue.popleft())
            costs.append(cost)
        self._growth = max(len(batch), self._growth if len(batch) < most else 1)
        return batch, costs

    # -- taking back

    def steal(self) -> None:
        """Take back what busy workers have not begun, when others have nothing to do."""
        if self.queue:
            return
        idle = self._most - sum(bool(handle.in_flight) for handle in self._handles.values())
        if idle <= 0:
            return
        now = self._clock.monotonic()
        for handle in self._handles.values():
            begun = handle.position()
            waiting = [position for position in handle.in_flight if position > begun]
            ran = now - handle.start()
            if len(waiting) == len(handle.in_flight):
                # The first of them begins at any moment: nobody else would be sooner.
                waiting, ran = waiting[1:], 0.0
            if not waiting or handle.decided is not None:
                continue
            if ran > _BATCH / 10 or handle.load > _BATCH / 5:
                handle.revoke(waiting[0], now)

    def take_back(self) -> None:
        """Take back what was revoked a moment ago."""
        now = self._clock.monotonic()
        for handle in self._handles.values():
            if handle.revoked is not None and not handle.drained and now >= handle.settles:
                self.requeue(handle.drain())
        self._stop_unwanted()


def _load(handle: WorkerHandle) -> float:
    return handle.load
