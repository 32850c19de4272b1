"""Open finished work anywhere: results without the program that made them, without running anything.

Knows: stores, the readable JSON of parameters. May not know: matrices, the user's classes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from memento.config import Config
from memento.index.axes import SHORT_KEY, Item
from memento.keys.task_key import task_digest
from memento.keys.value_digest import digest
from memento.matrix.arguments import explained
from memento.records import TaskRecord
from memento.results.axes import LIMIT, Axis, Column, Tasks, axes_of, columns_of, labels_of
from memento.results.parameter import Parameter, Told
from memento.results.results import Results
from memento.results.select import unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_CHUNK = 10_000
_SETTING = "settings."
_TASK = "task "


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
        One for each stored task, in the order of the matrix (of the latest one, where values or tasks stand in
        several). Parameters are what the store's readable JSON says: plain values as themselves, classes and
        functions by name; filters and tables know them as after the run. Settings that differ between the tasks
        stand beside the parameters, as `settings.name`.

    Raises
    ------
    NotAStore
        The folder holds something else, or nothing.
    ValueError
        The store has no results, or several experiments and none was named.
    """
    from memento.keys.project_files import script_folder
    from memento.store.location import find_store
    from memento.store.store import Store

    store = Store.open(
        find_store(path, home=script_folder()), create=False, readonly=True, trusted=trusted, mmap=mmap
    )
    name = _experiment(experiment, [found for found, _, _ in store.index.experiments()], str(store.path))
    known = list(store.index.known(name))
    return stored_results(store, [row.id for row in known], name)


def stored_results(store: Any, ids: Sequence[int], experiment: str) -> Results:
    """Make the results of the tasks with these ids, in the order of the matrix."""
    import numpy as np

    tasks = StoredTasks(experiment, store.index.axes(experiment))
    keys, rows = [], []
    for start in range(0, len(ids), _CHUNK):
        for record in store.index.records(ids[start : start + _CHUNK]):
            tasks.add(record)
            keys.append(record.key)
            rows.append(record.id)
    order = tasks.freeze(keys, store.index.order(experiment))
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


class TaskName(str):
    """The readable JSON of an upstream task's result, which knows that task's parameters."""

    digest: bytes  # what stands for the task in keys
    _origins: Mapping[bytes, Mapping[str, Any]]

    @classmethod
    def of(cls, text: str, digest: bytes, origins: Mapping[bytes, Mapping[str, Any]]) -> TaskName:
        """Make one, given the parameters of tasks by what stands for them in keys."""
        self = cls(text)
        self.digest, self._origins = digest, origins
        return self

    def origin(self) -> Mapping[str, Any] | None:
        """Return the parameters of the task."""
        return self._origins.get(self.digest)


class StoredTasks(Tasks):
    """Tasks rebuilt from what a store tells of their parameters, as columns of values.

    Parameters
    ----------
    experiment : str
        Whose tasks they are.
    axes : sequence of (str, sequence of (object, Item or None)), optional
        The experiment's parameters, each with its values, in the matrix's order; see `Store.axes`.
    """

    def __init__(
        self, experiment: str, axes: Sequence[tuple[str, Sequence[tuple[Any, Item | None]]]] = ()
    ) -> None:
        self._experiment = experiment
        self._origins: dict[bytes, Mapping[str, Any]] = {}
        self._found: dict[str, _Values] = {name: self._values(items) for name, items in axes}
        self._settings: dict[str, Mapping[str, Any]] = {}  # each run's JSON, once
        self._settings_of: list[str] = []
        self._repeat_of: list[int] = []
        self._keys: list[bytes] = []

    def _values(self, items: Sequence[tuple[Any, Item | None]]) -> _Values:
        return _Values(items, self._experiment, self._origins)

    def add(self, record: TaskRecord) -> None:
        """Take one more task."""
        number = len(self._repeat_of)
        found = self._found
        for name, value in _object(record.params).items():
            values = found.get(name)
            if values is None:
                values = found[name] = self._values(())
            values.add(number, value)
        if record.settings not in self._settings:
            self._settings[record.settings] = _object(record.settings)
        self._settings_of.append(record.settings)
        self._repeat_of.append(record.repeat)

    def freeze(self, keys: Sequence[bytes], known_order: bytes = b"") -> NDArray[np.int64]:
        """Finish; bring the tasks into the matrix's order and return it.

        Parameters
        ----------
        keys : sequence of bytes
            The tasks' keys, as they were added.
        known_order : bytes
            The first 8 bytes of keys, in the order of their tasks, where it does not follow from the values.
        """
        import numpy as np

        count = len(self._repeat_of)
        for name in self._differing():
            values = self._values(())
            for number, text in enumerate(self._settings_of):
                settings = self._settings[text]
                if name in settings:
                    values.add(number, settings[name])
            self._found[_SETTING + name] = values
        found = {name: values for name, values in self._found.items() if values.used}
        codes = {name: values.codes(count) for name, values in found.items()}
        repeats = np.array(self._repeat_of, dtype=np.int64)
        # The last key sorts first; settings decide before parameters.
        names = sorted(codes, key=lambda name: not name.startswith(_SETTING))
        by: list[NDArray[Any]] = [repeats, *(codes[name] for name in reversed(names))]
        if known_order:
            by.append(_ranks(keys, known_order))
        order = np.lexsort(by)
        self._names = list(found)
        self._codes = np.array([codes[name][order] for name in found], dtype=np.int32).reshape(
            len(found), count
        )
        self._repeats = repeats[order]
        self._settings_of = [self._settings_of[i] for i in order.tolist()]
        self._parameters = [
            found[name].parameter(name, bool((self._codes[place] < 0).any()))
            for place, name in enumerate(found)
        ]
        self._know_origins(keys, order.tolist())
        return order

    def _know_origins(self, keys: Sequence[bytes], order: Sequence[int]) -> None:
        """Note the parameters of the tasks that others took the results of."""
        named = {
            value.digest
            for parameter in self._parameters
            for value in parameter.values
            if isinstance(value, TaskName)
        }
        digests = [task_digest(keys[place], self._experiment) for place in order] if named else []
        numbers = {stands: number for number, stands in enumerate(digests) if stands in named}
        repeated = any(self._repeats[number] for number in numbers.values())
        for stands, number in numbers.items():
            self._origins[stands] = {
                parameter.name: parameter.stored(code)
                for parameter, code in zip(self._parameters, self._codes[:, number].tolist(), strict=True)
                if code >= 0 and not parameter.name.startswith(_SETTING)
            } | ({"repeat": int(self._repeats[number])} if repeated else {})

    def _differing(self) -> list[str]:
        texts: dict[str, set[str]] = {}
        for settings in self._settings.values():
            for name in settings:
                texts.setdefault(name, set())
        for name, found in texts.items():
            found.update(json.dumps(s.get(name), sort_keys=True) for s in self._settings.values())
        return [name for name, found in texts.items() if len(found) > 1]

    @cached_property
    def columns(self) -> list[Column]:
        """All parameters and the settings that differ, each upstream task followed by its own parameters."""
        return [
            column
            for source, parameter in enumerate(self._parameters)
            for column in columns_of(parameter, source)
        ]

    @property
    def repeats(self) -> int:
        """How often a configuration is a task, at most."""
        return int(self._repeats.max(initial=0)) + 1

    def config(self, number: int) -> Config:
        """Return the configuration as the store tells it."""
        parameters = {
            parameter.name: parameter.values[code]
            for parameter, code in zip(self._parameters, self._codes[:, number].tolist(), strict=True)
            if code >= 0 and not parameter.name.startswith(_SETTING)
        }
        settings = self._settings[self._settings_of[number]]
        return Config.build(parameters, settings, int(self._repeats[number])).told_by(
            partial(self.labels, number)
        )

    def labels(self, number: int, limit: int = LIMIT) -> dict[str, str]:
        """Name each value of a task's in a few words; "" stands for its repeat, where there are several."""
        labels = labels_of(self.columns, self._codes[:, number].tolist(), limit)
        if self.repeats > 1:
            labels[""] = str(self._repeats[number])
        return labels

    def axes(self, numbers: NDArray[np.int64]) -> list[Axis]:
        """Return the parameters of the tasks with these numbers."""
        return axes_of(self.columns, lambda source: self._codes[source, numbers])

    def repeat_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which repeat of its configuration each of these tasks is."""
        return self._repeats[numbers]


class _Values:
    """One parameter's values while tasks come in.

    Parameters
    ----------
    items : sequence of (object, Item or None)
        What the store tells of them, in the matrix's order; values that it does not tell of follow.
    experiment : str
        Whose they are.
    origins : mapping
        The parameters of upstream tasks by what stands for them in keys, once they are known.
    """

    def __init__(
        self,
        items: Sequence[tuple[Any, Item | None]],
        experiment: str,
        origins: Mapping[bytes, Mapping[str, Any]],
    ) -> None:
        self._experiment, self._origins = experiment, origins
        self._values: list[Any] = []
        self._told: dict[int, Told] = {}
        self._slots: dict[object, int] = {}
        self._tasks: list[int] = []
        self._found: list[int] = []
        for value, item in items:
            self._slots[_name(value)] = len(self._values)
            if item is None:
                self._values.append(value)
            else:
                self._take(value, item)
        self._certain = len(self._values)

    @property
    def used(self) -> bool:
        """Whether any task has the parameter."""
        return bool(self._tasks)

    def add(self, task: int, value: Any) -> None:
        """Note a task's value."""
        name = _name(value)
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self._values)
            self._take(value, None)
        self._tasks.append(task)
        self._found.append(slot)

    def _take(self, value: Any, item: Item | None) -> None:
        slot = len(self._values)
        if isinstance(value, str) and (item is None or item.text) and _is_task(value):
            key = bytes.fromhex(value.removeprefix(_TASK))
            # A renamed task has another key, and in keys the same stands for it.
            stands = item.digest if item is not None else task_digest(key, self._experiment)
            value = TaskName.of(value, stands, self._origins)
            self._told[slot] = Told(f"{_TASK}{key.hex()[:8]}", "", stands)
        elif item is None:
            if isinstance(value, str):  # a text, or how a store shows something else
                self._told[slot] = Told(value, "", b"")
        elif item.text:
            meant = _plain(item)
            if meant is None:
                self._told[slot] = Told(item.text, item.home, item.digest)
            else:
                value = meant
        self._values.append(value)

    def codes(self, count: int) -> NDArray[np.int32]:
        """Return each task's slot: values in the matrix's order, or numbers in ascending order before others."""
        import numpy as np

        used = sorted(set(self._found))
        if not self._certain:
            used.sort(key=lambda slot: _rank(self._values[slot]))
        self._told = {place: self._told[slot] for place, slot in enumerate(used) if slot in self._told}
        self._values = [self._values[slot] for slot in used]
        place = {slot: i for i, slot in enumerate(used)}
        codes = np.full(count, -1, dtype=np.int32)
        codes[self._tasks] = [place[slot] for slot in self._found]
        return codes

    def parameter(self, name: str, may_lack: bool) -> Parameter:
        """Return what was found, once the codes are made."""
        return Parameter(name, self._values, self._told, may_lack)


def _name(value: Any) -> object:
    """Return something hashable that is equal for equal JSON."""
    if isinstance(value, list | dict):
        return value.__class__, json.dumps(value, sort_keys=True)
    if value.__class__ is float and value == 0:  # 0.0 and -0.0 are two values
        return float, str(value)
    return value.__class__, value


def _is_task(text: str) -> bool:
    digits = text.removeprefix(_TASK)
    return len(text) == len(_TASK) + 32 and len(digits) == 32 and not digits.strip("0123456789abcdef")


def _plain(item: Item) -> float | int | str | None:
    """Return the plain value that JSON cannot say: nan, infinity, many digits; a text that another value is called."""
    for kind in (str, float, int):
        try:
            value: float | int | str = kind(item.text)
        except ValueError:
            continue
        if digest(value) == item.digest:
            return value
    return None


def _ranks(keys: Sequence[bytes], known_order: bytes) -> NDArray[np.int64]:
    """Return where each task stands in the known order; those that do not stand in it come last."""
    import numpy as np

    places = {known_order[at : at + SHORT_KEY]: at for at in range(0, len(known_order), SHORT_KEY)}
    last = len(known_order)
    return np.array([places.get(key[:SHORT_KEY], last) for key in keys], dtype=np.int64)


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
