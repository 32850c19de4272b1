"""The tasks of a run that are still to be handed to its executor, in order.

Knows: numbers of tasks. May not know: what they are, who runs them, other runs.

Each number stands at one place at most: among those that come first, those that wait for their time, or the rest of the
plan. What is moved out of the rest is only marked there, so that a plan of a million tasks stays one array.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memento.records import Outcome
    from memento.worker.work import Task


class TaskQueue:
    """Hands out tasks: those whose time has come, then those put first, then the plan's in its order.

    `attempts` has the number of the next attempt at each task for which it is not the first.

    >>> queue = TaskQueue([0, 1, 2, 3, 4])
    >>> queue.put_first([3])
    [3]
    >>> queue.drop([1])
    [1]
    >>> queue.take(3, now=0.0), queue.is_empty
    ([3, 0, 2], False)
    """

    def __init__(self, todo: Sequence[int]) -> None:
        self.attempts: dict[int, int] = {}
        self._todo, self._at = todo, 0
        self._first: deque[int] = deque()
        self._delayed: list[tuple[float, int]] = []  # a heap of (due, number)
        self._moved: set[int] = set()  # of the rest of the plan: those that stand elsewhere now, or nowhere

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        return not (self._first or self._delayed or len(self._todo) - self._at > len(self._moved))

    @property
    def due(self) -> float | None:
        """When the next of those that wait for their time may start; None where none waits."""
        return self._delayed[0][0] if self._delayed else None

    # A run may go on for ever, unless `TasksThatFit` says otherwise.

    unfit: Sequence[int] = ()  # tasks that are not handed out, since they would not have ended in time

    @property
    def is_over(self) -> bool:
        """Whether time is up, so that what runs is to stop."""
        return False

    @property
    def ends_in(self) -> float | None:
        """Seconds until that is so; None for never."""
        return None

    def notes(self) -> Iterable[str]:
        """Yield what people should know, once."""
        return ()

    def note(self, ended: Iterable[tuple[Task, Outcome]]) -> None:
        """Learn from how tasks have ended."""

    def resize(self, workers: int) -> None:
        """Know that so many tasks run at once."""

    def take(self, want: int, now: float, flying: Collection[Task] = ()) -> list[int]:
        """Remove and return up to `want` tasks; `flying` are those that were taken and have not ended."""
        numbers: list[int] = []
        while self._delayed and self._delayed[0][0] <= now and len(numbers) < want:
            numbers.append(heapq.heappop(self._delayed)[1])
        numbers += [self._first.popleft() for _ in range(min(want - len(numbers), len(self._first)))]
        while len(numbers) < want and self._at < len(self._todo):
            piece = self._todo[self._at : self._at + want - len(numbers)]
            self._at += len(piece)
            if self._moved:
                numbers += [number for number in piece if number not in self._moved]
                self._moved.difference_update(piece)
            else:
                numbers += piece
        return numbers

    def give_back(self, numbers: Iterable[int]) -> None:
        """Put tasks that were taken back before the plan's rest, after those that were put first."""
        self._first.extend(numbers)

    def put_first(self, numbers: Iterable[int]) -> list[int]:
        """Move those of these tasks that are here to the front, in this order; return them."""
        rest = self._rest()
        here = rest.union(self._first)
        chosen = [number for number in numbers if number in here]
        taken = set(chosen)
        self._first = deque([*chosen, *(number for number in self._first if number not in taken)])
        self._moved |= rest & taken
        return chosen

    def delay(self, number: int, due: float) -> None:
        """Have a task wait for its time."""
        heapq.heappush(self._delayed, (due, number))

    def drop(self, numbers: Collection[int]) -> list[int]:
        """Remove those of these tasks that are here; return them."""
        wanted, rest = set(numbers), self._rest()
        dropped = [number for number in self._first if number in wanted]
        dropped += [number for _, number in self._delayed if number in wanted]
        self._first = deque(number for number in self._first if number not in wanted)
        self._delayed = [pair for pair in self._delayed if pair[1] not in wanted]
        heapq.heapify(self._delayed)
        self._moved |= rest & wanted
        return [*dropped, *(rest & wanted)]

    @property
    def delayed(self) -> list[int]:
        """Those that wait for their time."""
        return [number for _, number in self._delayed]

    def drop_delayed(self) -> list[int]:
        """Remove those that wait for their time; return them."""
        return self.drop(self.delayed)

    def rest(self) -> list[int]:
        """Return what is left of the plan, in order, but for what was moved to the front or waits for its time."""
        return [number for number in self._todo[self._at :] if number not in self._moved]

    def replace_rest(self, rest: Sequence[int]) -> None:
        """Have these tasks, in this order, be what is left of the plan."""
        self._todo, self._at, self._moved = rest, 0, set()

    def _rest(self) -> set[int]:
        return set(self._todo[self._at :]) - self._moved
