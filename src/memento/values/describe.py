"""Say what a value is, so that it can be shown without being loaded: "array 5000x784 float32".

Knows: types, shapes, lengths. May not know: how values are stored, what shows them.

A description is made when a value becomes a file or a pickle, and stands in the index beside it: JSON that names the
value and, of a dict, a named tuple or a dataclass, its scalars and what its other items are. Nobody has to open the
file to make a column of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple

from memento.records import Encoded
from memento.wording import number_of, one_line, size_text

ITEMS = 100  # of a dict; one with more is a value, and no columns
_DEPTH = 20  # of dicts in dicts, one of which may hold itself
_TEXT = 200  # characters of a text that stands in the index
_LEAVES = 10_000  # items of a value, with those inside of others, that are looked for
_ROOM = 16_000  # characters of a description
_NAMED = 5  # items of a dict that a line names

# Types, with what is derived from them, of which one cell holds a value: top-level module and name.
_SCALARS = frozenset(
    "builtins:NoneType builtins:bool builtins:int builtins:float builtins:complex builtins:str numpy:generic"
    " datetime:date datetime:time datetime:timedelta enum:Enum decimal:Decimal fractions:Fraction pandas:NAType".split()
)
_PLAIN = frozenset((type(None), bool, int, float, str))
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
    """An item that is no scalar, and not loaded."""

    what: str


class Description(NamedTuple):
    """What is known of a value that is not loaded."""

    what: str  # "array 5000x784 float32"
    is_dict: bool = False  # or a named tuple, or a dataclass
    # Where they are not too many: scalars, dicts of these, a `Part` for others.
    items: dict[str, Any] | None = None

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
    if isinstance(item, dict):
        named = (f"{name}: {_text(inner)}" for name, inner in islice(item.items(), _NAMED))
        return one_line(f"{{{', '.join(named)}{', …' if len(item) > _NAMED else ''}}}", 40)
    return f"{item:.6g}" if isinstance(item, float) else one_line(str(item), 40)


class LargeValue(str):
    """What stands for a value that is not loaded to be shown, a file or a pickle: says what it is."""

    known: Description  # the same, in parts

    @classmethod
    def of(cls, encoded: Encoded) -> LargeValue:
        """Make what stands for a stored value."""
        known = read_description(encoded.shown, encoded.type)
        self = cls(known.line(encoded.size))
        self.known = known
        return self

    @classmethod
    def named(cls, what: str) -> LargeValue:
        """Make what stands for a value of which no more is known than a word."""
        self = cls(what)
        self.known = Description(what)
        return self


def is_scalar(kind: type[Any]) -> bool:
    """Say whether a cell of a table holds a value of this type: a number, a text, a date, an enum's member, None."""
    if kind in _PLAIN:  # most are
        return True
    names = {f"{base.__module__.partition('.')[0]}:{base.__name__}" for base in kind.__mro__}
    return not _SCALARS.isdisjoint(names) and "numpy:void" not in names


def as_scalar(value: Any) -> Any:
    """Return the number in an array or a tensor of no dimensions, which is a scalar too; all else as it is.

    Examples
    --------
    >>> import numpy as np
    >>> float(as_scalar(np.array(0.5))), as_scalar([0.5])
    (0.5, [0.5])
    """
    kind = type(value)
    if kind.__module__ == "builtins" or is_scalar(kind):
        return value
    try:
        if value.shape != () or isinstance(value, tuple):
            return value
        inner = value[()] if kind.__module__ == "numpy" else value.item()  # `item` makes a number of a date
    except Exception:  # it is of another sort
        return value
    return inner if is_scalar(type(inner)) else value


def items_of(value: Any) -> Mapping[Any, Any] | None:
    """Return what a value holds by name: the items of a dict, the fields of a named tuple or a dataclass; else None.

    Of a value that is not loaded, what is known of these.
    """
    kind = type(value)
    if kind is dict:
        return value  # type: ignore[no-any-return]
    if kind is LargeValue:
        known: Mapping[Any, Any] | None = value.known.items
        return known
    if kind in _PLAIN or kind in (list, tuple, Part) or is_scalar(kind):
        return None
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple):
        return dict(zip(getattr(kind, "_fields", ()), value, strict=False)) or None
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields

        names = [field.name for field in fields(kind)]
    else:
        names = [field.name for field in getattr(kind, "__attrs_attrs__", ())]
    absent = object()
    found = {name: getattr(value, name, absent) for name in names}
    return {name: item for name, item in found.items() if item is not absent} if names else None


def holds_names(kind: type[Any]) -> bool:
    """Say whether values of a type hold others by name: as a dict does, or as fields that are declared."""
    declared = ("__dataclass_fields__", "__attrs_attrs__", "_fields")
    return issubclass(kind, Mapping) or any(hasattr(kind, name) for name in declared)


def opened(item: Any) -> Mapping[str, Any] | None:
    """Return what an item of a value holds by name where that may be columns of their own; else None."""
    items = items_of(item)
    return items if items and len(items) <= ITEMS and all(isinstance(name, str) for name in items) else None


def flat_items(items: Mapping[Any, Any]) -> dict[str | tuple[str, ...], Any]:
    """Return a value's items; in place of those that hold others by name these, under all names that lead there."""
    found: dict[str | tuple[str, ...], Any] = {}

    def visit(items: Mapping[str, Any], names: tuple[str, ...]) -> None:
        for name, item in items.items():
            inner = opened(item) if len(names) < _DEPTH and len(found) < _LEAVES else None
            if inner is not None:
                visit(inner, (*names, name))
            else:
                found[(*names, name) if names else name] = as_scalar(item)

    visit({name: item for name, item in items.items() if isinstance(name, str)}, ())
    return found


def describe(value: Any) -> str:
    """Return what `read_description` reads."""
    try:
        held = items_of(value)
        told: dict[str, Any] = {"what": what_it_is(value), "is_dict": held is not None}
        if held is None or len(held) > ITEMS:
            return json.dumps(told)
        for depth in (_DEPTH, 0) if len(flat_items(held)) <= ITEMS else (0,):
            items, kinds = _taken_apart(held, depth)
            text = json.dumps(told | {"items": items, "kinds": kinds})
            if len(text) <= _ROOM:
                return text
        return json.dumps(told)
    except Exception:  # a class of the user's that is a dict or a number, and a strange one
        return json.dumps({"what": one_line(type(value).__name__, 60)})


def read_description(text: str | None, type_name: str = "") -> Description:
    """Read a description; where there is none, or a damaged one, the type's name serves."""
    try:
        told = json.loads(text or "")
        items = told.get("items")
        if items is not None:
            _put_together(items, told.get("kinds", {}))
        return Description(str(told["what"]), bool(told.get("is_dict")), items)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        return Description(type_name.rpartition(":")[2] or "value")


def _put_together(items: dict[str, Any], kinds: Mapping[str, Any]) -> None:
    for name, kind in kinds.items():
        if isinstance(kind, dict):
            _put_together(items[name], kind)
        else:
            items[name] = _READERS[kind](items[name])


def _taken_apart(held: Mapping[Any, Any], depth: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return items as JSON has them, and the types of those that JSON has no word for; of a dict those of its items."""
    items: dict[str, Any] = {}
    kinds: dict[str, Any] = {}
    for key, value in held.items():
        # A name that is no text makes no column of a frame.
        is_name = isinstance(key, str)
        name = str(key) if is_scalar(type(key)) else what_it_is(key)
        inner = opened(value) if is_name and depth else None
        if inner is not None:
            items[name], kinds[name] = _taken_apart(inner, depth - 1)
            continue
        found = _scalar(as_scalar(value))
        if found and not is_name:
            found = _text(found[0]), "part"
        items[name], kind = found or (what_it_is(value), "part")
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
    """Name a value in a few words."""
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
    if "PurePath" in {base.__name__ for base in kind.__mro__}:
        return f"…/{one_line(str(value.name), 60)}"  # where it leads to may move with the store
    try:  # arrays and frames of any library
        shape, dtype = tuple(map(int, value.shape)), getattr(value, "dtype", "")
    except Exception:  # it has no shape, or one of its own sort
        return name
    size = "x".join(map(str, shape))
    called = "array" if name == "ndarray" else "tensor" if name == "Tensor" else name
    return " ".join(filter(None, (called, size, one_line(str(dtype).removeprefix("torch."), 60))))
