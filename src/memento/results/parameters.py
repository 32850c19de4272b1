"""The parameters of many tasks: their values told apart, and as columns of value numbers.

Knows: digests of values, how values are named, matrices. May not know: stores, frames, how anything is shown.

What is one value in keys is one value here: np.int64(4) and 4, two estimators with the same parameters.
A million tasks are a million small integers a parameter; nothing here makes an object a task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import Config, Deferred, OfTask, labels_in, plain, short_text
from memento.keys.readable import described
from memento.keys.value_digest import identity
from memento.results.distinct_texts import LIMIT, Name, distinct_texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.matrix.matrix import Matrix
    from memento.matrix.table import TaskTable

ABSENT = "-"  # what stands for a parameter that a task does not have
PLAIN = frozenset((bool, int, float, str, type(None)))
_ALIKE = (bool, int, float, str)  # different values of one of these have different texts


class Told(NamedTuple):
    """What a store tells of a value that is none of JSON's."""

    text: str
    home: str
    digest: bytes  # b"" where the value had none


class Stored(NamedTuple):
    """A value of an upstream task's, as a store has it."""

    value: object
    told: Told | None
    label: str


class Parameter:
    """The values of one parameter in the matrix's order, the same one perhaps twice, and how they are told apart.

    `told` is what a store tells of the value at a place; `digests` are known already: an array of a gigabyte is
    read once. With `may_lack` some tasks are without the parameter. `labels` are what it was declared with, by place.
    """

    def __init__(
        self,
        name: str,
        values: Sequence[object],
        told: Mapping[int, Told] | None = None,
        may_lack: bool = False,
        digests: Mapping[int, bytes] | None = None,
        labels: Mapping[int, str] | None = None,
    ) -> None:
        self.name, self.values, self.may_lack = name, values, may_lack
        self.labels = {place: label for place, label in (labels or {}).items() if label}
        self._digests, self._told = digests or {}, told or {}
        self._texts: dict[int, list[str]] = {}

    @cached_property
    def _kinds(self) -> set[type]:
        return set(map(type, self.values))

    @cached_property
    def first(self) -> list[int] | None:
        """For each place the first at which the same value stands; None where each stands there once."""
        if self._kinds <= PLAIN and not self._told:
            nan = float in self._kinds and any(value != value for value in self.values)
            each = (
                self.values
                if len(self._kinds) == 1
                else zip(map(type, self.values), self.values, strict=True)
            )
            if not nan and len(set(each)) == len(self.values):
                return None
        seen: dict[object, int] = {}
        first = [seen.setdefault(identity, place) for place, identity in enumerate(self.identities)]
        return first if len(seen) < len(first) else None

    def is_plainly(self, kind: type) -> bool:
        """Whether each value is of this plain kind, and nothing more is told of any."""
        return self._kinds == {kind} and not self._told and not self.labels

    @cached_property
    def identities(self) -> list[object]:
        """What is equal for values that are one in keys: a digest, or what stands in for it."""
        told, digests = self._told, self._digests
        return [
            (told[place].digest or ("told", told[place].text))
            if place in told
            else digests.get(place) or identity(value)
            for place, value in enumerate(self.values)
        ]

    @cached_property
    def places(self) -> dict[object, int]:
        """The first place of each identity."""
        found: dict[object, int] = {}
        for place, one in enumerate(self.identities):
            found.setdefault(one, place)
        return found

    def called(self, text: str) -> set[int]:
        """Return the places of the values that people call so: by label, as shown, with or without a module."""
        found = {place for place, label in self.labels.items() if label == text}
        found = found or {place for place, shown in enumerate(self.texts()) if shown == text}
        for name_of in (self._name, self._other_name):
            if text and not found:
                names = map(name_of, range(len(self.values)))
                found = {at for at, (n, home, _) in enumerate(names) if text in (n, home and f"{home}:{n}")}
        return self._first_of(found)

    def uncertain(self, text: str) -> set[int]:
        """Return the places of the values of which a store tells no more than this text."""
        found = {place for place, told in self._told.items() if not told.digest and told.text == text}
        return self._first_of(found)

    def _first_of(self, places: set[int]) -> set[int]:
        first = self.first
        return places if first is None else {first[place] for place in places}

    def _other_name(self, place: int) -> Name:
        """A text of which a store tells no more may be that of a class: "module:name"."""
        told = self._told.get(place)
        return Name("" if told is None or told.digest else told.text.rpartition(":")[2])

    def stored(self, place: int) -> Stored:
        """Return a value with what a store tells of it."""
        return Stored(self.values[place], self._told.get(place), self.labels.get(place, ""))

    def texts(self, limit: int = LIMIT) -> list[str]:
        """Return a few words for each value, different ones for different values."""
        if limit not in self._texts:
            first = self.first or range(len(self.values))
            once = sorted(set(first))
            taken = (ABSENT,) if self.may_lack else ()
            texts: dict[int, str] = {}
            for places in (
                [p for p in once if p in self.labels],
                [p for p in once if p not in self.labels],
            ):
                found = distinct_texts(list(map(self._shown, places)), (*taken, *texts.values()), limit)
                texts.update(zip(places, found, strict=True))
            self._texts[limit] = [texts[place] for place in first]
        return self._texts[limit]

    @cached_property
    def cells(self) -> Sequence[object]:
        """Each value as it stands in a frame: a plain one as itself, another by its text; different ones differ."""
        kind = next(iter(self._kinds)) if len(self._kinds) == 1 and not self._told else None
        if (
            kind in _ALIKE
            and not self.labels
            and self.first is None
            and not (self.may_lack and ABSENT in self.values)
        ):
            return self.values
        texts, shown = self.texts(), self.labels
        cells: list[object] = []
        for place, text in enumerate(texts):
            value = plain(self.values[place])
            quoted = isinstance(value, str) and value != text == repr(value)
            itself = type(value) in PLAIN and not quoted and place not in self._told and place not in shown
            cells.append(value if itself else text)
        first = self.first or range(len(cells))
        equal: dict[object, set[int]] = {}  # 1, 1.0 and True are equal to pandas
        reads: dict[str, set[int]] = {ABSENT: {-1}} if self.may_lack else {}
        for place, cell in enumerate(cells):
            equal.setdefault(cell, set()).add(first[place])
            reads.setdefault(str(cell), set()).add(first[place])
        return [
            text if len(equal[cell]) > 1 or len(reads[str(cell)]) > 1 else cell
            for cell, text in zip(cells, texts, strict=True)
        ]

    def text(self, place: int, limit: int = LIMIT) -> str:
        """Return a few words for one value."""
        if limit not in self._texts and self._longest <= limit:  # of a million values, a few are shown
            return str(self.values[place])
        return self.texts(limit)[place]

    @cached_property
    def _longest(self) -> float:
        """The length of the longest value, where each reads as itself and like no other; infinite elsewhere."""
        texts = list(map(str, self.values))
        if self._kinds == {str}:
            itself = all(map(str.isprintable, texts)) and not (self.may_lack and ABSENT in texts)
        else:
            itself = self._kinds == {int} or self._kinds == {float}
        if not itself or self._told or self.labels or self.first is not None:
            return float("inf")
        return max(map(len, texts))

    def _shown(self, place: int) -> Name:
        label = self.labels.get(place, "")
        return Name(short_text(label, 1000), "", repr(label)) if label else self._name(place)

    def _name(self, place: int) -> Name:
        """What a value without a label is called."""
        told = self._told.get(place)
        if told is not None:
            return Name(told.text, told.home)
        value = plain(self.values[place])
        if type(value) in PLAIN:
            text = short_text(value, 1000)
            return Name(text, "", repr(value) if isinstance(value, str) else text)
        if isinstance(value, Deferred):
            key = getattr(value, "key", None)
            return Name(f"task {key.hex()[:8]}" if isinstance(key, bytes) else "an upstream result")
        return Name(*described(value))


class Axis:
    """One parameter over some tasks: for each the place of its value in `values`, -1 where it has none."""

    def __init__(
        self, name: str, values: Sequence[object], codes: NDArray[Any], parameter: Parameter | None = None
    ) -> None:
        self.name, self.values, self.codes = name, values, codes
        self.parameter = parameter or Parameter(name, values)

    def of(self, codes: NDArray[Any]) -> Axis:
        """Return the parameter over other tasks, or over some of them several times."""
        return Axis(self.name, self.values, codes, self.parameter)

    @property
    def texts(self) -> list[str]:
        """A few words for each value, as people write them: a class by its name."""
        return self.parameter.texts()

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """Each value as a number, nan where it is none."""
        import numpy as np

        return np.array([_number(plain(value)) for value in self.values], dtype=np.float64)


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):
            return float(value)
    return float("nan")


class Column(NamedTuple):
    """A parameter, and how to come from the value numbers of a table to its own."""

    parameter: Parameter
    source: int  # the table's column
    places: list[int] | None  # for each value number a place in the parameter, -1 in the end; None: the same
    shown: bool  # False for an upstream task whose parameters are columns of their own


def columns_of(parameter: Parameter, source: int, places: list[int] | None = None) -> Iterator[Column]:
    """Yield a parameter's column, and those of the upstream tasks that it stands for: `first.lr`."""
    first = parameter.first
    if first is not None:
        places = (
            [*first, -1] if places is None else [place if place < 0 else first[place] for place in places]
        )
    origins = [_origin(value) for value in parameter.values]
    upstream = any(origin is not None for origin in origins)
    yield Column(parameter, source, places, not upstream)
    for name in dict.fromkeys(name for origin in origins if origin for name in origin):
        values: list[object] = []
        told: dict[int, Told] = {}
        labels: dict[int, str] = {}
        seen: dict[int, int] = {}
        inner = []
        for origin in origins:
            if origin is None or name not in origin:
                inner.append(-1)
                continue
            value = origin[name]
            known, label = None, labels_in(origin).get(name, "")
            if isinstance(value, Stored):
                value, known, label = value
            if id(value) not in seen:
                seen[id(value)] = len(values)
                labels[len(values)] = label
                if known is not None:
                    told[len(values)] = known
                values.append(value)
            inner.append(seen[id(value)])
        to_inner = [*inner, -1]
        deeper = to_inner if places is None else [to_inner[place] for place in places]
        lacks = parameter.may_lack or -1 in inner
        under = Parameter(f"{parameter.name}.{name}", values, told, lacks, labels=labels)
        yield from columns_of(under, source, deeper)


def _origin(value: object) -> Mapping[str, object] | None:
    """Return the parameters of the task whose result a value is, if it is one."""
    if type(value) in PLAIN or not isinstance(value, OfTask):
        return None
    origin: Callable[[], Mapping[str, object] | None] = getattr(value, "stored_origin", value.origin)
    return origin()


class Tasks:
    """The tasks of a matrix as results see them: configurations one by one, parameters as columns.

    `digests` are those of each parameter's values, by slot, as far as they are known already.
    """

    def __init__(self, matrix: Matrix, digests: Sequence[Mapping[int, bytes]] | None = None) -> None:
        self._matrix, self._digests = matrix, digests

    @cached_property
    def _table(self) -> TaskTable:
        return self._matrix.table()

    @cached_property
    def columns(self) -> list[Column]:
        """All parameters, in the matrix's order, each upstream task followed by its own parameters."""
        table, columns = self._table, list[Column]()
        for source, (name, values) in enumerate(zip(table.names, table.values, strict=True)):
            known = self._digests[source] if self._digests is not None else None
            labels = dict(enumerate(self._matrix.labels.get(name, ())))
            columns += columns_of(Parameter(name, values, None, table.may_lack, known, labels), source)
        return columns

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(column.parameter.name for column in self.columns)

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of the columns that say something to people."""
        return tuple(column.parameter.name for column in self.columns if column.shown)

    @property
    def repeats(self) -> int:
        """How often every configuration is a task."""
        return self._table.repeats

    def config(self, number: int) -> Config:
        """Return the configuration of the task with this number."""
        return self._matrix.config(number).told_by(partial(self.labels, number))

    def labels(self, number: int, limit: int = LIMIT) -> dict[str, str]:
        """Name each value of a task's in a few words; "" stands for its repeat, where there are several."""
        table = self._table
        row, repeat = divmod(number, table.repeats)
        return self._labels(table.slots(row), repeat, limit)

    def _labels(self, slots: Sequence[int], repeat: int, limit: int) -> dict[str, str]:
        labels = {"": str(repeat)} if self.repeats > 1 else {}
        for parameter, source, places, shown in self.columns:
            place = slots[source] if places is None else places[slots[source]]
            if place >= 0 and shown:
                labels[parameter.name] = parameter.text(place, limit)
        return labels

    def axes(self, numbers: NDArray[np.int64]) -> list[Axis]:
        """Return the parameters of the tasks with these numbers."""
        table = self._table
        rows = numbers // table.repeats if table.repeats > 1 else numbers
        return self._axes(lambda source: table.columns[rows, source])

    def _axes(self, codes_of: Callable[[int], NDArray[Any]]) -> list[Axis]:
        """Return the columns as axes, given the value numbers of each of the table's columns."""
        import numpy as np

        axes = []
        for parameter, source, places, _ in self.columns:
            codes = codes_of(source)
            if places is not None:
                codes = np.array(places, dtype=np.int32)[codes]
            axes.append(Axis(parameter.name, parameter.values, codes, parameter))
        return axes

    def repeat_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which repeat of its configuration each of these tasks is."""
        return numbers % self._table.repeats

    def repeat_axis(self, numbers: NDArray[np.int64]) -> Axis:
        """Return the repeats as an axis."""
        return Axis("repeat", range(self.repeats), self.repeat_of(numbers))
