"""Give out the fences of a run's tasks: in which of its folders an attempt works.

Knows: which tasks lost a place, or may be computed by somebody whom nobody hears. May not know: what is in a folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from memento.store.fences import give_out, highest_fences

if TYPE_CHECKING:
    from memento.worker.work import Task


class GivenFences:
    """The fences of one run's tasks; `store` is "" where there is none: then there are no folders to keep apart."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._there = highest_fences(store) if store else {}
        self._given: dict[bytes, int] = {}
        self._looked: set[str] = set()  # dead runs
        self._elsewhere: set[bytes] = set()  # tasks that their workers may be at
        self._is_doubtful = False  # ... and nobody knows which

    def look(self, runs: Iterable[str]) -> None:
        """Find out what workers of dead runs may be at."""
        from memento.executors.pilots.account import tasks_in_hand

        for run in set(runs) - self._looked:
            self._looked.add(run)
            keys = tasks_in_hand(self._store, run)
            self._elsewhere |= keys or set()
            self._is_doubtful = self._is_doubtful or keys is None

    def put_on(self, tasks: list[Task]) -> list[Task]:
        """Return tasks that are about to be submitted with their fences; raises StoreUnwritable."""
        return [task._replace(fence=self._of(task.key)) for task in tasks]

    def _of(self, key: bytes) -> int:
        if key not in self._given and (self._is_doubtful or key in self._there or key in self._elsewhere):
            self.lose([key])
        return self._given.get(key, 0)

    def lose(self, keys: Iterable[bytes]) -> None:
        """Give out these tasks' next fences, since their last attempts may live on; raises StoreUnwritable."""
        for key in keys:
            fence = max(self._given.get(key, 0), self._there.get(key, 0)) + 1
            self._given[key] = give_out(self._store, key.hex(), fence) if self._store else fence
