"""Open finished work anywhere: results without the program that made them, without running anything.

Knows: stores, the readable JSON of parameters. May not know: matrices, the user's classes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.config import Config
from memento.matrix.arguments import explained
from memento.results.axes import Axis, Tasks
from memento.results.results import Results
from memento.results.select import unknown
from memento.store.records import TaskRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK = 10_000
_SETTING = "settings."


@explained
def load(
    path: str | os.PathLike[str] | None = None,
    experiment: str | None = None,
    trusted: bool = True,
    *,
    mmap: bool = False,
) -> Results:
    """Open the results in a store.

    Parameters
    ----------
    path : path, optional
        The store's folder; by default the project's, found as a run finds it.
    experiment : str, optional
        Which experiment's: its full name, or its last part; needed where the store has several.
    trusted : bool
        Whether values that are pickles may be opened. Unpickling runs code: say False for a stranger's store.
    mmap : bool
        Serve large arrays from their files, verified, without copying them into memory: for results that are together
        larger than it. What is changed in one stays in this process. On disks that may fail or go away while
        results are used (a network's), leave it off: the system ends a program whose mapped file cannot be read.

    Returns
    -------
    Results
        One for each stored task, ordered by parameters. Parameters are what the store's readable JSON
        says: plain values as themselves, classes and functions by name. Settings that differ between
        the tasks stand beside the parameters, as `settings.name`.

    Raises
    ------
    NotAStore
        The folder holds something else, or nothing.
    ValueError
        The store has no results, or several experiments and none was named.
    """
    from memento.keys import script_folder
    from memento.store import Store, find_store

    store = Store.open(
        find_store(path, home=script_folder()), create=False, readonly=True, trusted=trusted, mmap=mmap
    )
    name = _experiment(experiment, [found for found, _, _ in store.experiments()], str(store.path))
    known = list(store.known(name))
    return stored_results(store, [row.id for row in known], name)


def stored_results(store: Any, ids: Sequence[int], experiment: str) -> Results:
    """Make the results of the tasks with these ids, ordered by parameters."""
    import numpy as np

    tasks = StoredTasks()
    keys, rows = [], []
    for start in range(0, len(ids), _CHUNK):
        for record in store.records(ids[start : start + _CHUNK]):
            tasks.add(record)
            keys.append(record.key)
            rows.append(record.id)
    order = tasks.freeze()
    ordered = b"".join([keys[i] for i in order.tolist()])
    return Results(store, tasks, ordered, np.array(rows, dtype=np.int64)[order], experiment=experiment)


def _experiment(asked: str | None, names: list[str], path: str) -> str:
    if not names:
        raise ValueError(f"{path} is a store without results")
    if asked is None:
        if len(names) > 1:
            listed = ", ".join(repr(name) for name in names)
            raise ValueError(
                f"{path} has several experiments: {listed}. Name one: load(..., experiment={names[0]!r})"
            )
        return names[0]
    found = [name for name in names if name == asked] or [
        name for name in names if asked in (name.rpartition(":")[2], name.partition(":")[0])
    ]
    if len(found) != 1:
        if found:
            raise ValueError(f"{asked!r} names several experiments of {path}: {', '.join(map(repr, found))}")
        raise ValueError(f"{path}: " + unknown("experiment", asked, names))
    return found[0]


class StoredTasks(Tasks):
    """Tasks rebuilt from the readable JSON of a store, as columns of values."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._settings: dict[str, Mapping[str, Any]] = {}  # each run's JSON, once
        self._settings_of: list[str] = []
        self._repeat_of: list[int] = []

    def add(self, record: TaskRecord) -> None:
        """Take one more task."""
        number = len(self._repeat_of)
        columns = self._columns
        for name, value in _object(record.params).items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = _Column()
            column.add(number, value)
        if record.settings not in self._settings:
            self._settings[record.settings] = _object(record.settings)
        self._settings_of.append(record.settings)
        self._repeat_of.append(record.repeat)

    def freeze(self) -> NDArray[np.int64]:
        """Finish; order the tasks by their parameters and return that order."""
        import numpy as np

        count = len(self._repeat_of)
        for name in self._differing():
            column = _Column()
            for number, text in enumerate(self._settings_of):
                settings = self._settings[text]
                if name in settings:
                    column.add(number, settings[name])
            self._columns[_SETTING + name] = column
        codes = {name: column.codes(count) for name, column in self._columns.items()}
        repeats = np.array(self._repeat_of, dtype=np.int64)
        # The last key sorts first; settings decide before parameters.
        names = sorted(codes, key=lambda name: not name.startswith(_SETTING))
        by: list[NDArray[Any]] = [repeats, *(codes[name] for name in reversed(names))]
        order = np.lexsort(by)
        self._axes = [Axis(name, column.values, codes[name][order]) for name, column in self._columns.items()]
        self._repeats = repeats[order]
        self._settings_of = [self._settings_of[i] for i in order.tolist()]
        return order

    def _differing(self) -> list[str]:
        texts: dict[str, set[str]] = {}
        for settings in self._settings.values():
            for name in settings:
                texts.setdefault(name, set())
        for name, found in texts.items():
            found.update(json.dumps(s.get(name), sort_keys=True) for s in self._settings.values())
        return [name for name, found in texts.items() if len(found) > 1]

    @property
    def names(self) -> tuple[str, ...]:
        """All parameters, and the settings that differ."""
        return tuple(axis.name for axis in self._axes)

    @property
    def repeats(self) -> int:
        """How often a configuration is a task, at most."""
        return int(self._repeats.max(initial=0)) + 1

    def config(self, number: int) -> Config:
        """Return the configuration as the store tells it."""
        parameters = {
            axis.name: axis.values[axis.codes[number]]
            for axis in self._axes
            if axis.codes[number] >= 0 and not axis.name.startswith(_SETTING)
        }
        settings = self._settings[self._settings_of[number]]
        return Config.build(parameters, settings, int(self._repeats[number]))

    def axes(self, numbers: NDArray[np.int64]) -> list[Axis]:
        """Return the parameters of the tasks with these numbers."""
        return [Axis(axis.name, axis.values, axis.codes[numbers]) for axis in self._axes]

    def repeat_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which repeat of its configuration each of these tasks is."""
        return self._repeats[numbers]


class _Column:
    """One parameter's values while tasks come in."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._slots: dict[Any, int] = {}
        self._tasks: list[int] = []
        self._found: list[int] = []

    def add(self, task: int, value: Any) -> None:
        try:
            name = (value.__class__, value)
            slot = self._slots.get(name)
        except TypeError:  # a list or a dict
            name = (value.__class__, json.dumps(value, sort_keys=True))
            slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self.values)
            self.values.append(value)
        self._tasks.append(task)
        self._found.append(slot)

    def codes(self, count: int) -> NDArray[np.int32]:
        """Return each task's slot; numbers in ascending order, other values as they came."""
        import numpy as np

        ranked = sorted(range(len(self.values)), key=lambda slot: _rank(self.values[slot]))
        self.values = [self.values[slot] for slot in ranked]
        place = np.empty(len(ranked), dtype=np.int32)
        place[ranked] = np.arange(len(ranked), dtype=np.int32)
        codes = np.full(count, -1, dtype=np.int32)
        codes[self._tasks] = place[self._found]
        return codes


def _rank(value: Any) -> tuple[int, float]:
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value:
        return 0, value
    return 1, 0.0


def _object(text: str) -> Mapping[str, Any]:
    try:
        loaded = json.loads(text)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}
