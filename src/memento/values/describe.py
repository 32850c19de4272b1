"""Say what a value is, so that it can be shown without being loaded: "array 5000x784 float32".

Knows: types, shapes, lengths. May not know: how values are stored, what shows them.

A description is made when a value becomes a file, and stands in the index beside it: JSON that names the value and, of
a dict, its scalars and what its other items are. Nobody has to open the file to make a column of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple

from memento.records import Encoded
from memento.wording import number_of, one_line, size_text

ITEMS = 100  # of a dict; one with more is a value, and no columns
_TEXT = 200  # characters of a text that stands in the index
_ROOM = 16_000  # characters of a description
_NAMED = 5  # items of a dict that a line names

# Types, with what is derived from them, of which one cell holds a value: top-level module and name.
_SCALARS = frozenset(
    "builtins:NoneType builtins:bool builtins:int builtins:float builtins:complex builtins:str numpy:generic"
    " datetime:date datetime:time datetime:timedelta enum:Enum decimal:Decimal fractions:Fraction pandas:NAType".split()
)
# What JSON has no word for, and how it is read. `decimal` and `fractions` take 4 ms to import.
_READERS: dict[str, Callable[[Any], Any]] = {
    "part": lambda what: Part(what),
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda seconds: timedelta(seconds=seconds),
    "complex": complex,
    "Decimal": lambda text: import_module("decimal").Decimal(text),
    "Fraction": lambda text: import_module("fractions").Fraction(text),
}


class Part(NamedTuple):
    """An item of a dict that is no scalar, and not loaded."""

    what: str


class Description(NamedTuple):
    """What is known of a value that is not loaded."""

    what: str  # "array 5000x784 float32"
    is_dict: bool = False
    items: dict[str, Any] | None = None  # of a dict of not too many: scalars as themselves, else a `Part`

    def line(self, size: int) -> str:
        """Name the value in one line, of a dict its first items first: they tell it from others in a narrow column.

        Examples
        --------
        >>> Description("dict of 2 keys", True, {"acc": 1 / 3, "scores": Part("array 20000 float64")}).line(160_000)
        '{acc: 0.333333, scores: array 20000 float64}, dict of 2 keys, 160 kB'
        """
        told = f"{self.what}, {size_text(size)}"
        if not self.items:
            return told
        named = [f"{one_line(name, 40)}: {_text(item)}" for name, item in islice(self.items.items(), _NAMED)]
        more = ", …" if len(self.items) > _NAMED else ""
        return f"{{{', '.join(named)}{more}}}, {told}"


def _text(item: Any) -> str:
    if isinstance(item, Part):
        return item.what
    return f"{item:.6g}" if isinstance(item, float) else one_line(str(item), 40)


class LargeValue(str):
    """What stands for a value that is a file, and is not loaded to be shown: says what it is.

    Attributes
    ----------
    known : Description
        The same, in parts.
    """

    known: Description

    @classmethod
    def of(cls, encoded: Encoded) -> LargeValue:
        """Make what stands for a stored value."""
        known = read_description(encoded.shown, encoded.type)
        self = cls(known.line(encoded.size))
        self.known = known
        return self


def is_scalar(kind: type[Any]) -> bool:
    """Say whether a cell of a table holds a value of this type: a number, a text, a date, an enum's member, None."""
    names = {f"{base.__module__.partition('.')[0]}:{base.__name__}" for base in kind.__mro__}
    return not _SCALARS.isdisjoint(names) and "numpy:void" not in names


def describe(value: Any) -> str:
    """Return what `read_description` reads.

    Examples
    --------
    >>> read_description(describe({"acc": 0.5, "scores": [1, 2]})).items
    {'acc': 0.5, 'scores': Part(what='list of 2 items')}
    """
    try:
        told: dict[str, Any] = {"what": what_it_is(value), "is_dict": isinstance(value, dict)}
        if not told["is_dict"] or len(value) > ITEMS:
            return json.dumps(told)
        items, kinds = _taken_apart(value)
        text = json.dumps(told | {"items": items, "kinds": kinds})
        return text if len(text) <= _ROOM else json.dumps(told)
    except Exception:  # a class of the user's that is a dict or a number, and a strange one
        return json.dumps({"what": one_line(type(value).__name__, 60)})


def read_description(text: str | None, type_name: str = "") -> Description:
    """Read a description; where there is none, or a damaged one, the type's name serves."""
    try:
        told = json.loads(text or "")
        items = told.get("items")
        for name, kind in told.get("kinds", {}).items():
            items[name] = _READERS[kind](items[name])
        return Description(str(told["what"]), bool(told.get("is_dict")), items)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return Description(type_name.rpartition(":")[2] or "value")


def _taken_apart(value: dict[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the items of a dict as JSON has them, and the types of those that JSON has no word for."""
    items: dict[str, Any] = {}
    kinds: dict[str, str] = {}
    for key, item in value.items():
        found = _scalar(item) if isinstance(key, str) else None
        # A name that is no text makes no column.
        name = str(key) if is_scalar(type(key)) else what_it_is(key)
        items[name], kind = found or (what_it_is(item), "part")
        if kind:
            kinds[name] = kind
    return items, kinds


def _scalar(item: Any) -> tuple[Any, str] | None:
    """Return an item as JSON has it, and its type where JSON has no word for it; None for what is no scalar."""
    kind = type(item)
    if kind is float or kind is bool or item is None:
        return item, ""
    if not is_scalar(kind):
        return None
    name = getattr(kind, "__name__", "")
    if kind.__module__ == "numpy":
        # Of nanoseconds `item` makes a number.
        exact = item.astype(f"{name}[us]") if name in ("datetime64", "timedelta64") else item
        plain = exact.item()
        return None if type(plain) is kind else _scalar(plain)
    if isinstance(item, str):
        return (str.__str__(item), "") if len(item) <= _TEXT else None
    if isinstance(item, int):
        return (int(item), "") if item.bit_length() <= 1_000 else None
    if isinstance(item, float):
        return float(item), ""
    return _by_name(item)


def _by_name(item: Any) -> tuple[Any, str] | None:
    """Return a date, or a number that JSON has none of, as JSON."""
    if isinstance(item, datetime):
        # What is no time (pandas' NaT) is called so; nanoseconds cannot be read back everywhere.
        return (None, "") if item != item else (item.isoformat(timespec="microseconds"), "datetime")
    if isinstance(item, timedelta):
        seconds = item.total_seconds()
        return (None, "") if math.isnan(seconds) else (seconds, "timedelta")
    if isinstance(item, date | time):
        return item.isoformat(), "date" if isinstance(item, date) else "time"
    bases = {base.__name__ for base in type(item).__mro__}
    if "Enum" in bases:
        return f"{type(item).__name__}.{item.name}", ""
    for name in ("Decimal", "Fraction", "complex"):
        if name in bases:
            text = str(item)
            return (text, name) if len(text) <= _TEXT else None
    return None, ""  # pandas' NA


def what_it_is(value: Any) -> str:
    """Name a value in a few words.

    Examples
    --------
    >>> import numpy as np
    >>> what_it_is(np.zeros((5000, 784), "float32")), what_it_is({"a": 1}), what_it_is("abc")
    ('array 5000x784 float32', 'dict of 1 key', 'text of 3 characters')
    """
    kind = type(value)
    name = one_line(kind.__name__, 60)
    if isinstance(value, str):
        return f"text of {number_of(len(value), 'character')}"
    if isinstance(value, dict):
        return f"{name} of {number_of(len(value), 'key')}"
    if isinstance(value, list | tuple | set | frozenset):
        return f"{name} of {number_of(len(value), 'item')}"
    if kind.__module__.partition(".")[0] in ("__main__", "builtins"):
        return name
    try:  # arrays and frames of any library
        shape, dtype = tuple(map(int, value.shape)), getattr(value, "dtype", "")
    except Exception:  # it has no shape, or one of its own sort
        return name
    size = "x".join(map(str, shape))
    called = "array" if name == "ndarray" else "tensor" if name == "Tensor" else name
    return " ".join(filter(None, (called, size, one_line(str(dtype).removeprefix("torch."), 60))))
