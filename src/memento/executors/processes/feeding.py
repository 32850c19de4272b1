"""Decide which worker gets which tasks, and when some are taken back.

Knows: the queue, what each worker has in hand, what tasks cost so far. May not know: pipes' readiness, limits, ends.

What ran when the server was killed (a suspect) is run again with nothing beside it, so that the next time it is
known who did it.

A worker has one batch in hand and one waiting; a batch lasts about 50 ms. When a worker has nothing to do and the
queue is empty, what others have not begun is taken back from them (`slots` tells how, without a message).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import repeat

from memento.clock import Clock
from memento.executors.base import Message, cancelled
from memento.executors.processes.link import Link
from memento.executors.processes.slots import SETTLE, Slots
from memento.worker.work import Task, Work

_BATCH = 0.050  # seconds that a batch lasts
_LEAST = 0.005  # seconds that one lasts even towards the end: what is left of it can be taken back
_OWN = 2e-5  # seconds that a task takes a worker that does nothing
_WAITING = 2.0  # seconds; a longer task is sent only to a worker that has nothing else
_MOST = 4_000  # tasks in a batch
_AT_ONCE = 2_000  # tasks that the runner brings; while it makes more of them ready, workers may run out of what to do
_FIRST = 10  # outcomes, each of which counts for half of the pace
_GROWTH = 4  # how many times as large as the last a batch of tasks may be whose cost nobody knows


class Feeding:
    """The queue, and the way from it to the workers.

    Parameters
    ----------
    work : Work
        What is run.
    count : int
        How many workers there may be.
    slots : Slots
        The memory shared with them.
    links : dict of int to Link
        The workers by slot; the supervisor's own table, which changes.
    inbox : list of Message
        What the runner is told next; the supervisor's own list.
    clock : Clock
        Its monotonic time is that of the slots.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        slots: Slots,
        links: dict[int, Link],
        inbox: list[Message],
        clock: Clock,
    ) -> None:
        self._work, self._count, self._slots = work, count, slots
        self._links, self._inbox, self._clock = links, inbox, clock
        self._most = count  # workers at once; fewer than `count` once memory has run out
        self.queue: deque[Task] = deque()
        self.pace = 1.0  # seconds a task, lately
        self._seen = 0  # outcomes
        self._growth = 1  # size of the last batch of tasks whose cost nobody knows
        self._giving_back = False  # what is taken back goes to the runner, not to the queue
        self.suspects: set[int] = set()  # numbers of tasks

    # -- what the runner says

    def want(self) -> int:
        """Return how many more tasks keep everybody busy for about a second."""
        second = min(max(int(self._count / self.pace), 2 * self._count), 20_000)
        wanted = second - len(self.queue) - sum(len(link.in_flight) for link in self._links.values())
        # Not one for each that ends: what the runner brings, it claims in a transaction.
        if wanted < (second // 4 if self.queue else 1):
            return 0
        return min(wanted, _AT_ONCE)

    def add(self, tasks: Sequence[Task]) -> None:
        """Queue tasks."""
        self._giving_back = False
        self.queue.extend(tasks)

    def give_back(self) -> None:
        """Give the runner back what has not begun: at once what is queued, the rest when workers let go of it."""
        self.lose(self.queue)
        self.queue.clear()
        self._giving_back = True
        for link in self._links.values():
            self._revoke(link)

    def lose(self, tasks: Sequence[Task] | deque[Task]) -> None:
        """Tell the runner that these were not begun."""
        self._inbox += cancelled(tasks)

    def requeue(self, tasks: list[Task]) -> None:
        """Put tasks that nobody began to the front of the queue."""
        if self._giving_back:
            self.lose(tasks)
        else:
            self.queue.extendleft(reversed(tasks))

    def learn(self, runtimes: Sequence[float]) -> None:
        """Take note of what tasks cost, in the order of their ends."""
        mean = sum(map(max, runtimes, repeat(_OWN))) / len(runtimes)
        kept = 0.5 if self._seen < _FIRST else 0.95  # of what was believed, after each of them
        self._seen += len(runtimes)
        self.pace = mean + kept ** len(runtimes) * (self.pace - mean)

    def clear(self, tasks: Sequence[Task]) -> None:
        """Take note that tasks have ended: whatever they were suspected of, they did not do it."""
        if self.suspects:
            self.suspects.difference_update(task.number for task in tasks)

    def shrink(self) -> int:
        """Let one worker fewer live from now on; return how many."""
        self._most = max(min(self._most, len(self._links)) - 1, 1)
        return self._most

    # -- giving

    def empty_slots(self) -> Iterator[int]:
        """Name the slots that need a worker of their own for what is queued."""
        idle = sum(not link.in_flight and not link.leaving for link in self._links.values())
        for slot in range(self._count):
            if len(self._links) >= self._most:
                return
            if slot not in self._links and len(self.queue) > idle:
                yield slot
                idle += 1

    def fill(self) -> Iterator[Link]:
        """Send tasks to those who need some; each worker is named when it has what it needs."""
        links = list(self._links.values())
        while self.queue:
            # Whoever has least comes first, batch for batch, so that all have as much.
            link = min(filter(self._may_send, links), key=_load, default=None)
            if link is None:
                break
            link.queue_batch(self._work, *self._next_batch(link))
        yield from links

    def _may_send(self, link: Link) -> bool:
        if link.leaving or link.sentence is not None or link.revoked is not None or link.write < 0:
            return False
        if self.left_of(link) <= 0 or (self.suspects and self._has_to_wait()):
            return False
        if not link.in_flight or link.load < _BATCH:
            return True
        return len(link.in_flight) == 1 and self._cost(self.queue[0]) < _WAITING and link.load < _WAITING

    def _has_to_wait(self) -> bool:
        """Tell whether the next task may not run beside what runs, since one or the other is a suspect."""
        running = [task.number for link in self._links.values() for task, _ in link.in_flight.values()]
        return bool(running) and not self.suspects.isdisjoint([*running, self.queue[0].number])

    def left_of(self, link: Link) -> int:
        """Return how many more tasks this worker may get before it is replaced."""
        most = self._work.max_tasks_per_worker
        return _MOST if most is None else most - link.sent

    def _cost(self, task: Task) -> float:
        return task.cost or self.pace

    def _next_batch(self, link: Link) -> tuple[list[Task], list[float]]:
        """Take tasks for about 50 ms off the queue; fewer towards its end, so that all end together."""
        share = max(len(self.queue) // (2 * self._count), int(_LEAST / self.pace), 1)
        most = min(share, _MOST, self.left_of(link), _GROWTH * self._growth)
        batch: list[Task] = []
        costs: list[float] = []
        queue, pace, total = self.queue, self.pace, 0.0
        while queue and len(batch) < most:
            if batch and self.suspects and not self.suspects.isdisjoint((batch[-1].number, queue[0].number)):
                break
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
        if self.queue or self._giving_back:
            return
        idle = self._most - sum(bool(link.in_flight) for link in self._links.values())
        if idle == 0:
            return
        now = self._clock.monotonic()
        for link in self._links.values():
            slot = link.place.slot
            waiting = [position for position in link.in_flight if position > self._slots.position(slot)]
            ran = now - self._slots.start(slot)
            if len(waiting) == len(link.in_flight):
                # The first of them begins at any moment: nobody else would be sooner.
                waiting, ran = waiting[1:], 0.0
            if not waiting or link.revoked is not None or link.sentence is not None:
                continue
            if ran > _BATCH / 10 or link.load > _BATCH / 5:
                self._revoke(link, waiting[0])

    def _revoke(self, link: Link, first: int = 0) -> None:
        """Let a worker begin nothing new, or nothing from a position on; what that leaves is known a moment later."""
        if link.revoked is None and link.in_flight:
            link.revoked = max(self._slots.position(link.place.slot) + 1, first)
            link.settles = self._clock.monotonic() + SETTLE
            link.drained = False
            self._slots.set_limit(link.place.slot, link.revoked)

    def take_back(self) -> None:
        """Take back what was revoked a moment ago."""
        now = self._clock.monotonic()
        for link in self._links.values():
            if link.revoked is not None and not link.drained and now >= link.settles:
                self._drain(link, link.revoked)

    def _drain(self, link: Link, revoked: int) -> None:
        """Take back what was revoked: the worker's position tells what it had begun by then."""
        slot = link.place.slot
        # What it reached while it was being told, it runs; unless it says that it skipped that.
        first = min(max(revoked, self._slots.position(slot) + 1), self._slots.skipped(slot))
        tasks = link.take_back(first)
        link.drained = True
        self.requeue(tasks)
        if first >= link.sent:  # it had begun all
            link.revoked = None
            self._slots.lift_limit(slot)

    def passed(self, link: Link, position: int) -> None:
        """Take note that a worker has passed everything up to a position."""
        # Outcomes of what it ran came before this: what is still open up to here was skipped.
        if position < link.sent - 1 and link.revoked is not None:
            return  # more of what was revoked is on its way to it
        self.requeue(link.take_back(0, position))
        link.revoked = None
        self._slots.lift_limit(link.place.slot)


def _load(link: Link) -> float:
    return link.load
