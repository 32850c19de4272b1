"""Some tasks of a store: which they are, and what the store knows of them; all that results are made from.

Knows: tasks by number, rows of a store. May not know: how results are shown, how anything is run.

A million tasks are three arrays and a string of keys. NumPy sees the same arrays, where a frame, a choice or a count
asks for all tasks at once; one by one they need no NumPy.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from memento.config import config_text
from memento.results.scan import CHUNK, IS_DONE, IS_FAILED, IS_MISSING, Scan, scan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.records import TaskRecord
    from memento.results.parameters import Axis, Tasks
    from memento.store.store import Store

KEY = 16  # bytes


class LargeValues:
    """Large values by the id of their row: the last that was asked for, and those that somebody holds.

    >>> values = LargeValues()
    >>> values.get(1, lambda: [0.5]) is values.get(1, lambda: [0.5])
    True
    """

    def __init__(self) -> None:
        self._last: tuple[int, Any] | None = None
        self._held: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def get(self, row: int, load: Callable[[], Any]) -> Any:
        """Return a value, loading it where it is not at hand."""
        last = self._last
        if last is not None and last[0] == row:
            return last[1]
        value = self._held.get(row)
        if value is None:
            self._last = last = None  # before the next is loaded: two may not fit
            value = load()
            with suppress(TypeError):  # nobody can tell who holds a dict or a list
                self._held[row] = value
        self._last = row, value
        return value


class Source:
    """Where the results of a matrix come from; shared by all that show some of them.

    `keys` has 16 bytes of each task; `rows` the store's id of each task's row, -1 for one that has not been run;
    `cached` 1 for each task whose result was there before this run. With an `experiment`, rows that a later run has
    replaced are found again. `upstream` has where the results come from that tasks took, by the parameter's name;
    None where they are of this source itself.
    """

    # No dataclass: these bring `inspect`, 7 ms of a run whose results are all there.
    def __init__(
        self,
        store: Store,
        tasks: Tasks,
        keys: bytes,
        rows: array[int],
        cached: bytearray,
        experiment: str | None = None,
    ) -> None:
        assert len(keys) == KEY * len(rows), (len(keys), len(rows))
        self.store, self.tasks, self.keys, self.rows = store, tasks, keys, rows
        self.cached, self.experiment = cached, experiment
        self.large_values = LargeValues()
        self.upstream: Mapping[str, Source] | None = None

    def key(self, number: int) -> bytes:
        """Return a task's key."""
        return self.keys[number * KEY : (number + 1) * KEY]

    def named(self, number: int) -> str:
        """Name a task's configuration in one line."""
        return config_text(self.tasks.config(number))

    def owner(self, record: TaskRecord) -> str:
        """Name the configuration of the task that a record is of."""
        return self.named(self.rows.index(record.id))

    def records(self, numbers: Sequence[int]) -> list[TaskRecord | None]:
        """Read these tasks' records, None for a task that has not been run."""
        rows = [self.rows[number] for number in numbers]
        found: dict[int, TaskRecord] = {}
        for start in range(0, len(rows), CHUNK):
            wanted = sorted({row for row in rows[start : start + CHUNK] if row >= 0})
            found |= {record.id: record for record in self.store.index.records(wanted)}
        gone = [number for number, row in zip(numbers, rows, strict=True) if row >= 0 and row not in found]
        if gone:
            self.find_again(gone)
            return self.records(numbers)
        return [found.get(row) for row in rows]

    def find_again(self, gone: Sequence[int]) -> None:
        """Look these tasks up by key: a later run has replaced their rows, or they were forgotten.

        Afterwards each has another row or none, so that whoever asks again gets an answer.
        """
        known = self.store.index.known(self.experiment) if self.experiment is not None else ()
        rows = {row.key: row.id for row in known}
        for number in gone:
            row = rows.get(self.key(number), -1)
            self.rows[number] = row if row != self.rows[number] else -1


class Selection:
    """Some of a source's tasks, by number."""

    def __init__(self, source: Source, places: Sequence[int] | NDArray[np.int64] | None = None) -> None:
        self.source = source
        self.tasks = source.tasks
        if places is None:
            places = range(len(source.rows))
        elif not isinstance(places, (range, array)):
            places = array("q", places)
        self.places: Sequence[int] = places  # the tasks' numbers, as Python's integers

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The tasks' numbers."""
        import numpy as np

        if isinstance(self.places, range):
            return np.arange(self.places.start, self.places.stop, self.places.step)
        return np.asarray(self.places, dtype=np.int64)

    @property
    def rows(self) -> NDArray[np.int64]:
        """The store's id of each task's row."""
        import numpy as np

        return np.frombuffer(self.source.rows, dtype=np.int64)[self.numbers]

    @property
    def cached(self) -> NDArray[np.bool_]:
        """Which of the tasks' results were there before."""
        import numpy as np

        return np.frombuffer(self.source.cached, dtype=np.bool_)[self.numbers]

    def named(self, place: int) -> str:
        """Name a task's configuration in one line."""
        return self.source.named(self.places[place])

    # -- what the store knows

    @cached_property
    def scan(self) -> Scan:
        """How every task went, without values."""
        return self.read()

    @property
    def is_read(self) -> bool:
        """Whether `scan` is at hand."""
        return "scan" in vars(self)

    @property
    def status(self) -> NDArray[np.int8]:
        """How each task ended: places in `scan.STATUSES`."""
        return self.scan.status

    def read(self, *, values: bool = False, metrics: bool = False) -> Scan:
        """Read all tasks at once."""

        read = scan(self.source.store, self.rows, self.source.owner, values=values, metrics=metrics)
        gone = (read.status == IS_MISSING) & (self.rows >= 0)
        if gone.any():
            self.source.find_again(self.numbers[gone].tolist())
            return self.read(values=values, metrics=metrics)
        # Kept without the values: whoever has made a frame need not read again to count.
        self.__dict__["scan"] = read._replace(values=None, metrics={})
        return read

    def counts(self) -> dict[str, int]:
        """How many are done, of these cached, failed, and missing."""
        done = self.status == IS_DONE
        return {
            "done": int(done.sum()),
            "cached": int((done & self.cached).sum()),
            "failed": int((self.status == IS_FAILED).sum()),
            "missing": int((self.status == IS_MISSING).sum()),
        }

    # -- their parameters

    def axes(self, *, with_repeat: bool = False) -> list[Axis]:
        """Return the tasks' parameters, and which repeat each is where there are several."""
        axes = self.tasks.axes(self.numbers)
        if with_repeat and self.tasks.repeats > 1:
            axes.append(self.tasks.repeat_axis(self.numbers))
        return axes

    def repeats(self) -> NDArray[np.int64]:
        """Return which repeat of its configuration each task is."""
        return self.tasks.repeat_of(self.numbers)
