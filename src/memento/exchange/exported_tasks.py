"""The finished tasks of an experiment as other programs take them: one by one, in the matrix's order, in pieces.

Knows: a store's read side, how results name parameters. May not know: formats, files, other programs.

Nothing is unpickled, and no file of a value is opened: what is large is told by its description. A piece of some
thousand tasks is in memory at once, of the others a few numbers each.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import plain
from memento.errors import MementoError
from memento.records import DAMAGED, DONE, TaskRecord
from memento.results.loading import source_of
from memento.store.store import Store
from memento.values.describe import LargeValue, flat_items, is_scalar, items_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memento.results.parameters import Axis

PIECE = 2_000  # tasks in memory at once; a value in its row has 16 kB at most
_SETTING = "settings."  # before the names of settings among parameters


class Exported(NamedTuple):
    """One finished task."""

    record: TaskRecord
    # Plain values as themselves, others by texts that tell them apart: as in a frame.
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    repeat: int | None  # None where the experiment has no repeats
    value: Any  # what it returned: plain data, or a `LargeValue` that says what it is
    metrics: Mapping[str, float]  # the last value of each

    @property
    def key(self) -> str:
        """The task's key, in hex."""
        return self.record.key.hex()


class ExportedTasks:
    """Those tasks of an experiment that have one of these `ids` (None: all) and this status."""

    def __init__(
        self, store: Store, experiment: str, ids: Collection[int] | None = None, status: str | None = None
    ) -> None:
        self.store, self.experiment, self._status = store, experiment, status
        self._source = source_of(store, experiment)
        rows = self._source.rows
        self._numbers: Sequence[int] = range(len(rows))
        if ids is not None:
            wanted = frozenset(ids)
            self._numbers = [number for number, row in enumerate(rows) if row in wanted]
        self._settings: dict[str, Mapping[str, Any]] = {}  # each run's JSON, once

    @cached_property
    def _axes(self) -> list[Axis]:
        import numpy as np

        numbers: NDArray[np.int64] = np.arange(len(self._source.rows), dtype=np.int64)
        return [axis for axis in self._source.tasks.axes(numbers) if not axis.name.startswith(_SETTING)]

    def __iter__(self) -> Iterator[Exported]:
        """Read the tasks as they are now; may be asked again."""
        for start in range(0, len(self._numbers), PIECE):
            yield from self._piece(self._numbers[start : start + PIECE])

    def _piece(self, numbers: Sequence[int]) -> Iterator[Exported]:
        found = zip(numbers, self._source.records(numbers), strict=True)
        records = {
            number: record
            for number, record in found
            if record is not None and self._status in (None, record.status)
        }
        lasts = self._last_metrics(records.values())
        axes = [(axis.name, axis.parameter.cells, axis.codes[list(records)].tolist()) for axis in self._axes]
        repeated = self._source.tasks.repeats > 1
        for place, record in enumerate(records.values()):
            yield Exported(
                record,
                {name: cells[codes[place]] for name, cells, codes in axes if codes[place] >= 0},
                self._settings_of(record),
                record.repeat if repeated else None,
                value_of(self.store, record),
                lasts.get(record.id, {}),
            )

    def _settings_of(self, record: TaskRecord) -> Mapping[str, Any]:
        known = self._settings.get(record.settings)
        if known is None:
            try:
                known = json.loads(record.settings)
            except ValueError:
                known = {}
            known = self._settings[record.settings] = known if isinstance(known, dict) else {}
        return known

    def _last_metrics(self, records: Collection[TaskRecord]) -> dict[int, dict[str, float]]:
        lasts: dict[int, dict[str, float]] = {}
        for piece in self.store.index.last_metrics(sorted(record.id for record in records)):
            for name, (ids, values) in piece.items():
                for number, value in zip(ids.tolist(), values.tolist(), strict=True):
                    lasts.setdefault(number, {})[name] = value
        return lasts


Series = dict[str, tuple[Any, Any]]  # of each metric x and y, as arrays


def with_series(store: Store, tasks: Iterable[Exported]) -> Iterator[tuple[Exported, Series]]:
    """Yield tasks with all that they recorded over time."""
    tasks = iter(tasks)
    while piece := list(islice(tasks, PIECE)):
        with_any = sorted(task.record.id for task in piece if task.metrics)
        found = dict(store.index.curves(with_any))
        for task in piece:
            yield task, found.get(task.record.id, {})


def value_of(store: Store, record: TaskRecord) -> Any:
    """Return what a task returned: plain data, or a `LargeValue` that says what it is; None for one that failed."""
    encoded = record.value
    if record.status != DONE or encoded is None:
        return None
    if encoded.format == DAMAGED:
        return "<damaged>"
    if encoded.data is not None:
        found, value = store.readable(record)
        if found:
            return plain(value)
        if encoded.format == "npy":
            try:
                return plain_data(store.value(record))
            except MementoError:  # it is damaged
                return "<damaged>"
    return LargeValue.of(encoded)


def plain_data(array: Any) -> Any:
    """Return an array as lists of numbers, where it has no others in it.

    >>> import numpy as np
    >>> plain_data(np.array([[1, 2]])), plain_data(np.array(0.5))
    ([[1, 2]], 0.5)
    """
    return array.tolist() if array.dtype.kind in "biufU" else str(array.tolist())


def taken_apart(value: Any, depth: int | None = None) -> tuple[Mapping[tuple[str, ...], Any], Any]:
    """Return the scalars that a value holds by name, and the value where these are not all of it.

    Those in it so deep are looked for: 0 for none, None for all.

    Examples
    --------
    >>> taken_apart({"acc": 0.5, "test": {"f1": 0.6}})
    ({('acc',): 0.5, ('test', 'f1'): 0.6}, None)
    >>> taken_apart({"acc": 0.5, "scores": [1, 2]})
    ({('acc',): 0.5}, {'acc': 0.5, 'scores': [1, 2]})
    >>> taken_apart(0.5)
    ({}, 0.5)
    """
    known = items_of(value)
    if not known or depth == 0:
        return {}, value
    found = flat_items(known)
    items = {
        (name,) if isinstance(name, str) else name: item
        for name, item in found.items()
        if is_scalar(type(item)) and (depth is None or isinstance(name, str))
    }
    whole = len(items) == len(found) and all(isinstance(name, str) for name in known)
    return items, None if whole and items else value
