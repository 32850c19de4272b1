"""Compare values as keys do, and turn what stands for a list into a tuple.

Knows: that `==` may lie, raise or return an array, and takes 1, 1.0 and True for one. May not know: parameters, rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from memento.config import Deferred, short_text
from memento.errors import MatrixError, MatrixTypeError, UnkeyableValue
from memento.keys.encode import plain_number
from memento.suggest import nearest

MAX_VALUES = 10_000_000  # of one parameter; ends `itertools.count()` before memory does
_SIMPLE = (str, int, float, bool, type(None), bytes)


def equal(a: object, b: object) -> bool:
    """Tell whether two values are one to keys; what has no digest equals only itself."""
    return a is b or token(a) == token(b)


def token(value: object) -> tuple[Any, ...]:
    """Return something hashable that is equal for values that are one to keys."""
    if isinstance(value, Deferred):
        try:
            value = value.load()  # a rule on the result of another matrix's task means what it returned
        except Exception:  # not there yet, or it cannot be loaded here
            return "id", id(value)
    value = plain_number(value)
    kind = type(value)
    if kind is float:
        return kind, repr(value)
    if kind in _SIMPLE:
        return kind, value
    from memento.keys.value_digest import digest

    try:
        return "digest", digest(value)
    except UnkeyableValue:
        return "id", id(value)


def mark(value: object) -> tuple[Any, ...]:
    """Return something hashable that is equal for values that are one to keys; a task's result is known by its task."""
    key = getattr(value, "key", None) if isinstance(value, Deferred) else None
    return ("task", key) if isinstance(key, bytes) else token(value)


class Values:
    """The values of one parameter, by slot; `labels` are other names of theirs, "" for those that have none."""

    def __init__(self, values: Sequence[object], labels: Sequence[str] = ()) -> None:
        self.values, self.labels = values, labels

    @cached_property
    def _slots_of(self) -> dict[Any, list[int]]:
        found: dict[Any, list[int]] = {}
        for slot, known in enumerate(self.values):
            found.setdefault(token(known), []).append(slot)
        return found

    def slots(self, value: object) -> list[int]:
        """Return the slots whose value is the same as `value` to keys, or else has it as label.

        A value listed twice has two.
        """
        found = self._slots_of.get(token(value), [])
        if not found and isinstance(value, str) and value and value in self.labels:
            return self._slots_of[token(self.values[self.labels.index(value)])]
        return found

    def near(self, value: object) -> str:
        """Say which values could have been meant, or which there are."""
        values: Sequence[object] = self.values[:1000]
        if self.labels:
            values = [label or one for label, one in zip(self.labels, values, strict=False)]
        texts = {short_text(v): v for v in values}
        close = nearest(short_text(value), texts, 3)
        if close:
            return f"Nearest: {', '.join(quoted(texts[c]) for c in close)}."
        shown = list(dict.fromkeys(map(quoted, values)))
        return f"Values: {', '.join(shown[:6])}{', ...' if len(shown) > 6 else ''}."


def quoted(value: object) -> str:
    """Name a value for a message; a string in quotes, so that '1' and 1 differ."""
    return repr(value)[:80] if isinstance(value, str) else short_text(value)


def is_list(value: object) -> bool:
    """Tell whether a value can be a list of values."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def listed(value: object, where: str, *, of: str = "values") -> tuple[Any, ...]:
    """Return any iterable as a tuple, consumed once; what is clearly no list is an error."""
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Iterable):
        kind = "dict" if isinstance(value, Mapping) else type(value).__qualname__
        text = quoted(value)
        todo = f"Write [{text}]." if len(text) < 60 else "Put it in a list: [...]."
        raise MatrixTypeError(where, f"a list of {of} is needed, got the {kind} {text}.", todo)
    try:
        values = tuple(islice(value, MAX_VALUES + 1))
    except Exception as exc:
        raise MatrixTypeError(
            where, f"reading it raised {type(exc).__name__}: {exc}.", f"Give a list of {of}."
        ) from exc
    if len(values) > MAX_VALUES:
        raise MatrixError(
            where, f"it has more than {MAX_VALUES:,} {of}.", "Is the iterable endless? Give a list."
        )
    return sorted_set(values, where) if isinstance(value, (set, frozenset)) else values


def sorted_set(values: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    """Return a set's values in an order that is the same in every process."""
    kinds = {type(v) for v in values}
    if kinds <= {str} or (kinds <= {int, float, bool} and all(v == v for v in values)):
        return tuple(sorted(values))
    from memento.keys.value_digest import digest

    try:
        return tuple(sorted(values, key=lambda v: digest(v, where)))
    except UnkeyableValue as exc:
        raise MatrixError(
            where, f"a set has no order, and its values cannot be sorted: {exc.reason}.", "Write a list."
        ) from exc


def wrong_type(where: str, needed: str, given: object, todo: str) -> MatrixTypeError:
    """Say that something else is needed than what is given."""
    return MatrixTypeError(where, f"{needed}, got {short_text(given)} ({type(given).__qualname__}).", todo)
