"""Tell the values of one parameter apart: which are one, how each is called, how it stands in a frame.

Knows: digests of values, how values are named. May not know: tasks, frames, how anything is shown.

What is one value in keys is one value here: np.int64(4) and 4, two estimators with the same parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from memento.config import Deferred, plain, short_text
from memento.errors import UnkeyableValue
from memento.keys.readable import described
from memento.keys.value_digest import digest
from memento.results.axes import ABSENT, LIMIT, PLAIN
from memento.results.labels import Name, distinct_texts

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


class Parameter:
    """The values of one parameter, and how they are told apart.

    Parameters
    ----------
    name : str
        The parameter.
    values : sequence of object
        Its values, in the matrix's order; the same one may stand twice.
    told : mapping of int to Told
        For values that only a store knows: what it tells of the one at each place.
    may_lack : bool
        Whether tasks may be without the parameter.
    digests : mapping of int to bytes
        Of values, by place, as far as they are known already: an array of a gigabyte is read once.
    """

    def __init__(
        self,
        name: str,
        values: Sequence[object],
        told: Mapping[int, Told] | None = None,
        may_lack: bool = False,
        digests: Mapping[int, bytes] | None = None,
    ) -> None:
        self.name, self.values, self.may_lack = name, values, may_lack
        self._digests = digests or {}
        self._told = told or {}
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
        """Return the places of the values that people call so: as shown, or with or without a module."""
        found = {place for place, shown in enumerate(self.texts()) if shown == text}
        for names in (self._name, self._other_name):
            if text and not found:
                each = enumerate(map(names, range(len(self.values))))
                found = {
                    place for place, (word, home, *_) in each if text in (word, home and f"{home}:{word}")
                }
        return self._first_of(found)

    def uncertain(self, text: str) -> set[int]:
        """Return the places of the values of which a store tells no more than this text."""
        found = {place for place, told in self._told.items() if not told.digest and told.text == text}
        return self._first_of(found)

    def _first_of(self, places: set[int]) -> set[int]:
        first = self.first
        return places if first is None else {first[place] for place in places}

    def _other_name(self, place: int) -> tuple[str, str, str]:
        """A text of which a store tells no more may be that of a class: "module:name"."""
        told = self._told.get(place)
        return "" if told is None or told.digest else told.text.rpartition(":")[2], "", ""

    def stored(self, place: int) -> Stored:
        """Return a value with what a store tells of it."""
        return Stored(self.values[place], self._told.get(place))

    def texts(self, limit: int = LIMIT) -> list[str]:
        """Return a few words for each value, different ones for different values."""
        if limit not in self._texts:
            first = self.first
            once = range(len(self.values)) if first is None else sorted(set(first))
            names = [Name(*self._name(place)) for place in once]
            taken = (ABSENT,) if self.may_lack else ()
            texts = dict(zip(once, distinct_texts(names, taken, limit), strict=True))
            self._texts[limit] = [
                texts[place if first is None else first[place]] for place in range(len(self.values))
            ]
        return self._texts[limit]

    @cached_property
    def cells(self) -> Sequence[object]:
        """Each value as it stands in a frame: a plain one as itself, another by its text; different ones differ."""
        kind = next(iter(self._kinds)) if len(self._kinds) == 1 and not self._told else None
        if kind in _ALIKE and self.first is None and not (self.may_lack and ABSENT in self.values):
            return self.values
        texts = self.texts()
        cells: list[object] = []
        for place, text in enumerate(texts):
            value = plain(self.values[place])
            quoted = isinstance(value, str) and value != text == repr(value)
            cells.append(value if type(value) in PLAIN and place not in self._told and not quoted else text)
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
        if self._kinds == {str}:
            texts = self.values
            itself = all(map(str.isprintable, texts)) and not (self.may_lack and ABSENT in texts)  # type: ignore[arg-type]
        else:
            texts = list(map(str, self.values))
            itself = self._kinds == {int} or self._kinds == {float}
        if not itself or self._told or self.first is not None:
            return float("inf")
        return max(map(len, texts))  # type: ignore[arg-type]  # they are texts

    def _name(self, place: int) -> tuple[str, str, str]:
        """Return what a value can be called, the module of that name, and a plain value as Python writes it."""
        told = self._told.get(place)
        if told is not None:
            return told.text, told.home, ""
        value = plain(self.values[place])
        if type(value) in PLAIN:
            text = short_text(value, 1000)
            return text, "", repr(value) if isinstance(value, str) else text
        if isinstance(value, Deferred):
            key = getattr(value, "key", None)
            return f"task {key.hex()[:8]}" if isinstance(key, bytes) else "an upstream result", "", ""
        return (*described(value), "")


def identity(value: object) -> object:
    """Return what is equal for values that are one in keys; its own for a value that keys do not know."""
    key = getattr(value, "key", None) if isinstance(value, Deferred) else None
    if isinstance(key, bytes):  # so that nothing is loaded
        return "task", key
    try:
        return digest(value)
    except (UnkeyableValue, RecursionError):
        return "id", id(value)
