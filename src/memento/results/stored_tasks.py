"""Tasks rebuilt from what a store tells of their parameters: the readable JSON of values, as columns.

Knows: the readable JSON of parameters. May not know: stores, matrices, the user's classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from memento.config import Config, OfTask, TaskParameters
from memento.index.declared_values import SHORT_KEY, Item
from memento.keys.task_key import task_digest
from memento.keys.value_digest import digest
from memento.records import TaskRecord
from memento.results.distinct_texts import LIMIT
from memento.results.parameters import Axis, Column, Parameter, Stored, Tasks, Told, columns_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SETTING = "settings."
_TASK = "task "


class TaskName(str, OfTask):
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
        stored = self.stored_origin()
        return (
            None
            if stored is None
            else TaskParameters(
                {n: v.value if isinstance(v, Stored) else v for n, v in stored.items()},
                {n: v.label for n, v in stored.items() if isinstance(v, Stored) and v.label},
            )
        )

    def stored_origin(self) -> Mapping[str, Any] | None:
        """Return the parameters of the task, each with what a store tells of its value."""
        return self._origins.get(self.digest)


class StoredTasks(Tasks):
    """Tasks of an experiment, whose parameters and values the store tells in the matrix's order; see `Store.axes`."""

    def __init__(
        self, experiment: str, axes: Sequence[tuple[str, Sequence[tuple[Any, Item | None]]]] = ()
    ) -> None:
        self._experiment = experiment
        self._origins: dict[bytes, Mapping[str, Any]] = {}
        self._found: dict[str, _Values] = {name: self._values(items) for name, items in axes}
        self._settings: dict[str, Mapping[str, Any]] = {}  # each run's JSON, once
        self._settings_of: list[str] = []
        self._repeat_of: list[int] = []

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

        `keys` are those of the tasks, as they were added; `known_order` begins each key with its first bytes, in the
        order of the tasks, where that does not follow from the values.
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
                parameter.name: parameter.stored(code) for parameter, code in self._parameters_of(number)
            } | ({"repeat": int(self._repeats[number])} if repeated else {})

    def _differing(self) -> list[str]:
        """Return the names of the settings that are not the same for all tasks."""
        every = self._settings.values()
        return [
            name
            for name in dict.fromkeys(name for settings in every for name in settings)
            if len({json.dumps(settings.get(name), sort_keys=True) for settings in every}) > 1
        ]

    def _parameters_of(self, number: int) -> Iterator[tuple[Parameter, int]]:
        """Yield a task's parameters, without settings, and the place of its value in each."""
        for parameter, code in zip(self._parameters, self._codes[:, number].tolist(), strict=True):
            if code >= 0 and not parameter.name.startswith(_SETTING):
                yield parameter, code

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
            parameter.name: parameter.values[code] for parameter, code in self._parameters_of(number)
        }
        settings = self._settings[self._settings_of[number]]
        return Config.build(parameters, settings, int(self._repeats[number])).told_by(
            partial(self.labels, number)
        )

    def labels(self, number: int, limit: int = LIMIT) -> dict[str, str]:
        """Name each value of a task's in a few words; "" stands for its repeat, where there are several."""
        return self._labels(self._codes[:, number].tolist(), int(self._repeats[number]), limit)

    def axes(self, numbers: NDArray[np.int64]) -> list[Axis]:
        """Return the parameters of the tasks with these numbers."""
        return self._axes(lambda source: self._codes[source, numbers])

    def repeat_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which repeat of its configuration each of these tasks is."""
        return self._repeats[numbers]


def stored_parameter(
    name: str, items: Sequence[tuple[Any, Item | None]], experiment: str, may_lack: bool = True
) -> Parameter:
    """Return a parameter with all the values that a store tells of it, in their order; see `Index.axes`."""
    if not any(item for _, item in items):  # a million numbers
        return Parameter(name, [value for value, _ in items], None, may_lack)
    return _Values(items, experiment, {}).parameter(name, may_lack)


class _Values:
    """One parameter's values while tasks come in; values that the store does not tell of follow those in `items`."""

    def __init__(
        self,
        items: Sequence[tuple[Any, Item | None]],
        experiment: str,
        origins: Mapping[bytes, Mapping[str, Any]],
    ) -> None:
        self._experiment, self._origins = experiment, origins
        self._values: list[Any] = []
        self._told: dict[int, Told] = {}
        self._labels: dict[int, str] = {}
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
        if item is not None and item.label:
            self._labels[slot] = item.label
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
        self._labels = {place: self._labels[slot] for place, slot in enumerate(used) if slot in self._labels}
        self._values = [self._values[slot] for slot in used]
        place = {slot: i for i, slot in enumerate(used)}
        codes = np.full(count, -1, dtype=np.int32)
        codes[self._tasks] = [place[slot] for slot in self._found]
        return codes

    def parameter(self, name: str, may_lack: bool) -> Parameter:
        """Return what was found, once the codes are made."""
        return Parameter(name, self._values, self._told, may_lack, labels=self._labels)


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
