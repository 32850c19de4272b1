"""Watch how large the store gets, and how much room its disk has, while a run goes on.

Knows: outcomes, sizes of files. May not know: tasks' values, how a run ends.

With a limit the store is measured when the run begins. From then on each outcome says what came with it: its value,
log, artifacts, steps; what tasks that are at work have saved so far is looked up twice a second. So the store is
walked through again only once in a while, since other runs may write too, and before this one is told to end, since
a value that many tasks return is one file. A run overshoots its limit by what is running when it is reached.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from memento import layout, system
from memento.clock import Clock
from memento.errors import StoreLimitReached
from memento.events import Event, Said
from memento.wording import size_text

if TYPE_CHECKING:
    from memento.records import Outcome
    from memento.store.store import Store
    from memento.worker.work import Task

_EVERY = 60.0  # seconds between two walks through the store, and ...
_SHARE = 0.02  # ... at most this share of the coordinator's time
_NEAR = 0.8  # of the limit: said once
_LOW_BYTES, _LOW_SHARE = 2**30, 0.05  # a disk with less than both is said to get full


class StoreRoom:
    """Watches one store for one run; `limit` is in bytes, None where only the disk bounds it."""

    def __init__(self, store: str, limit: int | None, emit: Callable[[Event], None], clock: Clock) -> None:
        self.limit, self.is_full = limit, False
        self._store, self._emit, self._clock = store, emit, clock
        self._has_warned_of_limit = self._has_warned_of_disk = False
        if limit is not None:
            self._measure(())
            self._soonest = 0.0  # of what came since, the first that looks like too much is worth another

    def note(self, ended: Sequence[tuple[Task, Outcome]], flying: Iterable[Task]) -> bool:
        """Add what came with outcomes; tell whether the limit is reached."""
        if self.limit is not None:
            self._grown += sum(self._came_with(_folder(task), outcome) for task, outcome in ended)
        return self.is_over(flying)

    def look(self, flying: Iterable[Task]) -> bool:
        """Look at the disk, and at what tasks that are with the executor have saved; tell as `note` does."""
        if not self._has_warned_of_disk:
            self._look_at_disk()
        return self.is_over(flying)

    def is_over(self, flying: Iterable[Task] = ()) -> bool:
        """Tell whether the limit is reached."""
        if self.limit is None or self.is_full:
            return self.is_full
        folders = {_folder(task) for task in flying}
        size, now = self._size(folders), self._clock.monotonic()
        if now >= self._latest or (size >= self.limit and now >= self._soonest):
            self._measure(folders)
            size = self._measured
            self.is_full = size >= self.limit
        if size >= _NEAR * self.limit and not self.is_full and not self._has_warned_of_limit:
            self._has_warned_of_limit = True
            self._warn(
                f"{self._store} has {size_text(size)} of store_limit={size_text(self.limit)}. When it has all of it, no"
                " more tasks are started."
            )
        return self.is_full

    def _measure(self, flying: Collection[str]) -> None:
        """Walk through the store; what grows from now on is added to that."""
        from memento.store.sizes import measure
        from memento.store.step_records import names

        began = self._clock.monotonic()
        self._measured, self._grown = measure(self._store).total, 0
        self._index, self._states = self._index_size(), self._states_size(flying)
        self._steps = set(names(self._store))
        ended = self._clock.monotonic()
        self._soonest = ended + (ended - began) / _SHARE
        self._latest = max(ended + _EVERY, self._soonest)

    def _look_at_disk(self) -> None:
        """Say once that the disk gets full."""
        free, whole = system.disk_space(self._store)
        if whole and free < min(_LOW_BYTES, _LOW_SHARE * whole):
            self._has_warned_of_disk = True
            self._warn(
                f"the disk of {self._store} has {size_text(free)} left. When it is full the run ends; what finished is"
                " kept. `memento status` says what of the store is how large, `memento gc` frees what nobody needs."
            )

    def _warn(self, text: str) -> None:
        self._emit(Said(text, "warning"))

    def _size(self, flying: Collection[str]) -> int:
        grown = self._grown + self._index_size() - self._index
        return self._measured + grown + self._states_size(flying) - self._states

    def _came_with(self, folder: str, outcome: Outcome) -> int:
        from memento.store.sizes import size_of
        from memento.store.step_records import read_record

        value, log = outcome.value, outcome.log
        size = value.size if value is not None and value.ref is not None else 0
        if log is not None:
            size += log.end - log.start
        if outcome.artifacts:
            size += size_of(layout.Layout(self._store).artifacts(folder))
        for step in outcome.steps or ():
            if step.hex() not in self._steps:
                self._steps.add(step.hex())
                record = read_record(self._store, step)
                size += record.value.size if record is not None else 0
        return size + size_of(layout.Layout(self._store).work(folder))

    def _index_size(self) -> int:
        from memento.store.sizes import size_of

        index = os.path.join(self._store, layout.INDEX)
        return size_of(index) + size_of(f"{index}-wal")

    def _states_size(self, flying: Collection[str]) -> int:
        """Return the bytes that tasks which are at work have saved so far."""
        from memento.store.sizes import size_of

        place = layout.Layout(self._store)
        with suppress(OSError):  # one look at a folder that is empty for most grids
            there = set(os.listdir(place.checkpoints)).intersection(flying)
            return sum(size_of(place.checkpoint(name)) for name in there)
        return 0


def _folder(task: Task) -> str:
    return layout.fenced(task.key.hex(), task.fence)


def limit_reached(store: Store, limit: int, left: int) -> StoreLimitReached:
    """Say what of the store is how large, and how to go on; best when no run lives that `gc` has to spare."""
    sizes = store.sizes()
    frees = f"`memento gc` frees {size_text(sizes.garbage)}; " if sizes.garbage else ""
    tasks = "1 task is" if left == 1 else f"{left:,} tasks are"
    return StoreLimitReached(
        str(store.location),
        f"it has {size_text(sizes.total)}, and store_limit is {size_text(limit)}: {sizes.text}. {tasks} not computed;"
        " everything that finished is kept.",
        f"Make room, or raise the limit, and run again: {frees}`memento gc --keep SIZE` gives up what is cheapest to"
        " lose.",
    )
