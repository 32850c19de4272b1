"""Give every task of a matrix its key, its values' numbers and its readable parameters.

Knows: matrices and keys. May not know: stores, executors, what has been done before.

A task is a number until somebody needs more: row `number // repeats` of the matrix's table, and its repeat.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, repeat, zip_longest
from operator import add
from typing import TYPE_CHECKING, Any

from memento.config import TaskParameters
from memento.errors import MatrixError
from memento.keys.task_key import TaskKeys, part, repeat_part, task_digest
from memento.keys.value_digest import digest
from memento.matrix.labels import labels_at, listed_twice
from memento.matrix.values import equal, quoted, token
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from typing import TypeVar

    from memento.matrix.matrix import Matrix

    T = TypeVar("T")

KEY_SIZE = 16
_SAID = frozenset((bool, int, float, str, type(None)))  # readable JSON says what nearly all of these are


class KeyedTasks:
    """The tasks of one matrix for one experiment, by number.

    With `sample`, so many of them, or that share, chosen so that each value has its share: whole configurations, with
    all their repeats. `matrix` is of these alone then, and `whole` how many tasks there would be.
    """

    def __init__(
        self,
        matrix: Matrix,
        experiment: str,
        held: Mapping[str, Any] | None = None,
        sample: float | None = None,
    ) -> None:
        self.matrix = matrix
        self.held = held or {}  # what the experiment's own defaults give to tasks that lack it
        self.experiment = experiment
        self.table = matrix.table()
        self.repeats = matrix.repeats
        self.names = self.table.names
        sizes = [len(slots) for slots in self.table.values]
        # Where the numbers of each column's values begin.
        self._offsets = [0, *accumulate(sizes)][: len(sizes)]
        self._layouts: dict[tuple[int, ...], int] = {}
        self.layouts: list[tuple[str, ...]] = []
        self._fragments = [_Fragments(slots) for slots in self.table.values]
        self._pairs = _Pairs(self.names, self._fragments, self._offsets)
        # By column and slot, of values that are more than JSON says.
        self.digests: list[dict[int, bytes]] = [{} for _ in self.names]
        parts = [self._parts_of(column) for column in range(len(self.names))]
        self.whole = len(self.table)
        if sample is not None:
            self._sample(sample, parts)
        self.distinct = all(map(self._tell_apart, parts))  # no two tasks share a key, as far as columns tell
        self.keys = self._make_keys(parts)

    def __len__(self) -> int:
        return len(self.table)

    def key(self, number: int) -> bytes:
        """Return the 16-byte key of a task."""
        return self.keys[number * KEY_SIZE : (number + 1) * KEY_SIZE]

    def each_key(self) -> Iterator[bytes]:
        """Yield the key of every task."""
        return chain.from_iterable(struct.iter_unpack(f"{KEY_SIZE}s", self.keys))

    def parameters(self, number: int) -> Mapping[str, Any]:
        """Return a task's parameters, and its repeat where there are several."""
        row, repeat_number = divmod(number, self.repeats)
        parameters = self.table.row(row)
        if self.repeats > 1:
            parameters["repeat"] = repeat_number
        return TaskParameters(parameters, self.labels_of(number)) if self.labels else parameters

    @cached_property
    def labels(self) -> dict[int, str]:
        """The labels of values, by their numbers in `places`."""
        found: dict[int, str] = {}
        for name, offset in zip(self.names, self._offsets, strict=True):
            labels = self.matrix.labels.get(name, ())
            found.update((offset + slot, label) for slot, label in enumerate(labels) if label)
        return found

    def twins(self) -> Iterator[str]:
        """Say which labels of a parameter are those of one value."""
        for name, labels in self.matrix.labels.items() if not self.distinct else ():
            column, seen = self.names.index(name), dict[object, int]()
            for slot, value in enumerate(self.table.values[column][: len(labels)]):
                first = seen.setdefault(self.digests[column].get(slot) or token(value), slot)
                if first < slot:
                    yield listed_twice(name, self.matrix.parameters[name], first, slot)
                    break

    def labels_of(self, number: int) -> dict[str, str]:
        """Return the labels of a task's values by the names of its parameters."""
        return labels_at(self.names, self.slots(number), self.matrix.labels)

    def slots(self, number: int) -> list[int]:
        """Return the slot of each name's value; -1 where the parameter is absent."""
        return self.table.slots(number // self.repeats)

    def along(self, column: int, things: Sequence[T]) -> Iterator[T]:
        """Yield for each task what stands in `things` at its slot; the last serves where the name is absent."""
        rows = self.table.along(column, things)
        return rows if self.repeats == 1 else chain.from_iterable(map(repeat, rows, repeat(self.repeats)))

    def keys_of(self, numbers: Iterable[int]) -> list[bytes]:
        """Return the keys of many tasks."""
        keys = self.keys
        return [keys[at : at + KEY_SIZE] for at in map(KEY_SIZE.__mul__, numbers)]

    def numbers_of(self, keys: Iterable[bytes]) -> Iterator[int]:
        """Yield the first task of each of these keys, where there is one."""
        for key in keys:
            at = self.keys.find(key)
            if at >= 0 and at % KEY_SIZE == 0:
                yield at // KEY_SIZE

    def places(self, numbers: Sequence[int]) -> tuple[Iterable[int], Iterable[tuple[int, ...]]]:
        """Return for each task the number of its layout of names; and the numbers of its values in `values`."""
        rows = numbers if self.repeats == 1 else [number // self.repeats for number in numbers]
        if not self.names:
            return repeat(self._layout(())), repeat((), len(numbers))
        slots = self.table.slots_of(rows)
        if self.table.may_lack:
            layouts, placed = zip(*map(self._place, zip(*slots, strict=True)), strict=True)
            return layouts, placed
        values = [
            map(add, column, repeat(offset)) for column, offset in zip(slots, self._offsets, strict=True)
        ]
        return repeat(self._layout(range(len(self.names)))), zip(*values, strict=True)

    def _place(self, slots: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        present = tuple([i for i, slot in enumerate(slots) if slot >= 0])
        return self._layout(present), tuple([self._offsets[i] + slots[i] for i in present])

    def _layout(self, present: Sequence[int]) -> int:
        layout = self._layouts.setdefault(tuple(present), len(self.layouts))
        if layout == len(self.layouts):
            self.layouts.append(tuple(self.names[i] for i in present))
        return layout

    def params(self, values: Iterable[Iterable[int]]) -> list[str]:
        """Return tasks' parameters as readable JSON, given for each the numbers of its values in `places`."""
        pair, join = self._pairs.__getitem__, ", ".join
        return ["{" + join(map(pair, numbers)) + "}" for numbers in values]

    def fragments(self, column: int) -> list[str]:
        """Return the readable JSON of a column's values, in slot order."""
        texts = self._fragments[column]
        return [texts[slot] for slot in range(len(self.table.values[column]))]

    def call(self, column: int, fragments: Sequence[str]) -> None:
        """Take other readable JSON for a column's values, which tells them apart from all that a store knows."""
        known = self._fragments[column]
        for slot, text in enumerate(fragments):
            if known[slot] != text:
                known[slot] = text
                self._pairs.pop(self._offsets[column] + slot, None)

    def value(self, number: int) -> Any:
        """Return the value that stands at `number` in the numbering of `places`."""
        column = _column_of(number, self._offsets)
        return self.table.values[column][number - self._offsets[column]]

    def name_of_value(self, number: int) -> str:
        """Return the name of the parameter whose value stands at `number`."""
        return self.names[_column_of(number, self._offsets)]

    @property
    def value_count(self) -> int:
        """How many value numbers there are."""
        return sum(len(slots) for slots in self.table.values)

    def _sample(self, sample: float, parts: list[list[bytes]]) -> None:
        from memento.matrix.sample import chosen_rows

        rows = self.table.rows
        wanted = sample // self.repeats if hasattr(sample, "__index__") else round(sample * rows)
        if wanted < rows:
            self.matrix = self.matrix.of_rows(chosen_rows(self.table.columns, parts, max(1, int(wanted))))
            self.table = self.matrix.table()

    def _make_keys(self, parts: list[list[bytes]]) -> bytes:
        hasher = TaskKeys(self.experiment, self._settings_parts())
        order = sorted(range(len(self.names)), key=self.names.__getitem__)
        columns = [self.table.along(column, parts[column]) for column in order]
        rows: Iterator[tuple[bytes, ...]] = (
            zip(*columns, strict=True) if columns else repeat((), self.table.rows)
        )
        if self.repeats > 1:
            lasts = [(repeat_part(number),) for number in range(self.repeats)]
            rows = (row + last for row in rows for last in lasts)
        return hasher.keys(rows)

    def _tell_apart(self, parts: list[bytes]) -> bool:
        """Tell whether tasks that differ in this parameter alone have different keys."""
        told = parts if self.table.may_lack else parts[:-1]
        return len(set(told)) == len(told)

    def _parts_of(self, column: int) -> list[bytes]:
        name, parts = self.names[column], []
        default, labels = self.defaults.get(name), self.matrix.labels.get(name, ())
        for slot, value in enumerate(self.table.values[column]):
            place = repr(labels[slot]) if slot < len(labels) and labels[slot] else slot
            value_digest = self.digest(name, value, f"parameters[{name!r}][{place}]")
            if value_digest is not None and type(value) not in _SAID:
                self.digests[column][slot] = value_digest
            parts.append(part("p", name, value_digest) if value_digest != default else b"")
        # The last place serves slot -1: an absent parameter contributes nothing.
        return [*parts, b""]

    def _settings_parts(self) -> list[bytes]:
        parts = []
        for name, value in self.matrix.settings.items():
            value_digest = self.digest(name, value, f"settings[{name!r}]")
            parts.append(part("s", name, value_digest) if value_digest != self.defaults.get(name) else b"")
        return parts

    def digest(self, name: str, value: Any, where: str = "") -> bytes | None:
        """Return the digest of a value; None where that is volatile."""
        if name in self.matrix.volatile:
            return None
        if isinstance(value, UpstreamValue):
            return task_digest(value.key, self.experiment)
        return digest(value, where)

    @cached_property
    def defaults(self) -> dict[str, bytes]:
        """The digests of defaults."""
        defaults = [(n, value) for n, value in self.matrix.defaults.items() if n not in self.matrix.volatile]
        return {name: digest(value, f"defaults[{name!r}]") for name, value in defaults}


class _Fragments(dict[int, str]):
    """Readable JSON of a column's values by slot, made when first needed."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values

    def __missing__(self, slot: int) -> str:
        value = self._values[slot]
        if isinstance(value, UpstreamValue):
            text = value.fragment()
        else:
            from memento.keys.readable import json_fragment

            text = json_fragment(value)
        self[slot] = text
        return text


class _Pairs(dict[int, str]):
    """A parameter's name with its value, as readable JSON, by the value's number, made when first needed."""

    def __init__(self, names: Sequence[str], fragments: Sequence[_Fragments], offsets: Sequence[int]) -> None:
        self._names, self._fragments, self._offsets = names, fragments, offsets

    def __missing__(self, number: int) -> str:
        column = _column_of(number, self._offsets)
        from json import dumps

        fragment = self._fragments[column][number - self._offsets[column]]
        text = self[number] = f"{dumps(self._names[column])}: {fragment}"
        return text


def _column_of(number: int, offsets: Sequence[int]) -> int:
    """Return the column in whose range of numbers a value stands."""
    return next(column for column in reversed(range(len(offsets))) if offsets[column] <= number)


# -- volatile parameters ---------------------------------------------------------------------------------


def check_volatile(tasks: KeyedTasks) -> None:
    """Raise MatrixError where a volatile parameter's values make several tasks of one key.

    One value of it to a key is well: it may advance with another parameter, or rules may choose it.
    """
    columns = [
        column
        for column, name in enumerate(tasks.names)
        if name in tasks.matrix.volatile and (len(tasks.table.values[column]) > 1 or tasks.table.may_lack)
    ]
    if not columns or tasks.distinct:
        return
    first: dict[bytes, tuple[int, ...]] = {}
    numbers = [tasks.along(column, [*range(len(tasks.table.values[column])), -1]) for column in columns]
    slots = zip(*numbers, strict=True)
    for key, own in zip(tasks.each_key(), slots, strict=True):
        other = first.setdefault(key, own)
        if other == own:
            continue
        for column, one, two in zip(columns, other, own, strict=True):
            values = tasks.table.values[column]
            if one != two and (min(one, two) < 0 or not equal(values[one], values[two])):
                raise _several(tasks, column, one, two)


def _several(tasks: KeyedTasks, column: int, one: int, two: int) -> MatrixError:
    name, values = tasks.names[column], tasks.table.values[column]
    labels = tasks.matrix.labels.get(name, ())
    named = [repr(label) if label else quoted(value) for label, value in zip_longest(labels, values)]
    first, second = ("absent" if slot < 0 else named[slot] for slot in (one, two))
    return MatrixError(
        "volatile",
        f"{name!r} is {first} and {second} in tasks that have one key, so only one of them would run: what is volatile"
        " is no part of a task's key.",
        f"Give {name!r} one value (in 'settings', or a list of one), let it advance with another parameter ('zip'), or"
        f" take it out of 'volatile' to run each value.",
    )
