"""Values with labels: what a mapping under a parameter stands for.

Knows: labels, and values as keys know them. May not know: rules, tasks, how anything is shown.

Labels stand beside the values and are no part of a key: whoever renames one computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memento.config import short_text
from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.values import quoted, token
from memento.suggest import misspelled


class Labelled(tuple[Any, ...]):
    """The values of a parameter, with a label of each in `labels`; "" where it has none."""

    labels: tuple[str, ...]

    def __new__(cls, values: Iterable[Any], labels: Iterable[str]) -> Labelled:
        self = super().__new__(cls, values)
        self.labels = tuple(labels)
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.labels

    def __repr__(self) -> str:
        return repr(
            {label or i: value for i, (label, value) in enumerate(zip(self.labels, self, strict=True))}
        )


def labelled(given: Mapping[Any, Any], where: str) -> Labelled:
    """Return the values of a mapping with their labels; raises MatrixError for what is no label."""
    for label in given:
        if not isinstance(label, str):
            text = quoted(str(label))
            raise MatrixTypeError(
                where,
                f"a mapping gives each value a label, and a label is a text, got {quoted(label)}"
                f" ({type(label).__qualname__}).",
                f"Write {text}: ..., or [{{...}}] for one value that is a dict.",
            )
        if not label.strip():
            raise MatrixError(
                where, "a label must not be empty.", "Give it a text, or give a list of values."
            )
        try:
            label.encode("utf-8")
        except UnicodeEncodeError as exc:  # no file takes half a character
            raise MatrixError(
                where, f"the label {label!a} is no Unicode text ({exc.reason}).", "Give it another one."
            ) from None
    return Labelled(given.values(), map(str.__str__, given))


def labels_of(values: object) -> tuple[str, ...]:
    """Return the labels of a parameter's values; none where they have none."""
    return values.labels if isinstance(values, Labelled) else ()


def named(value: object, values: object) -> str:
    """Name one of a parameter's values in a few words: by its label, where it has one."""
    if not isinstance(values, Labelled):
        return short_text(value)
    label = next((label for label, one in zip(values.labels, values, strict=True) if one is value), "")
    return label or short_text(value)


def labels_at(
    names: Sequence[str], slots: Sequence[int], labels: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    """Return the labels of the values at these slots, -1 for none, given those of each parameter that has some."""
    told = {}
    for name, slot in zip(names, slots, strict=True):
        own = labels.get(name, ())
        if 0 <= slot < len(own) and own[slot]:
            told[name] = own[slot]
    return told


def together(one: tuple[Any, ...], other: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    """Return the values that a parameter has in two grids, each value of the second once; the first label is shown."""
    if one is other:
        return one
    place: dict[object, int] = {}
    for slot, value in enumerate(one):
        place.setdefault(token(value), slot)
    values, labels = list(one), [*(labels_of(one) or [""] * len(one))]
    for value, label in zip(other, labels_of(other) or [""] * len(other), strict=True):
        slot = place.setdefault(token(value), len(values))
        is_twin = slot < len(values) and label and labels[slot] and label not in labels
        if slot == len(values) or is_twin:
            values.append(value)
            labels.append(label if is_twin else "")
        if label in labels and label and place[token(values[labels.index(label)])] != slot:
            raise MatrixError(
                where, f"{label!r} is the label of two values, in two grids.", "Give one another label."
            )
        labels[slot] = labels[slot] or label
    return Labelled(values, labels) if any(labels) else tuple(values)


def meant(named: Mapping[str, Any], parameters: Mapping[str, tuple[Any, ...]], where: str) -> dict[str, Any]:
    """Return named values, those that are named by label in place of these; raises MatrixError for a misspelled one."""
    return {
        name: _meant(value, parameters.get(name, ()), f"{where}[{name!r}]") for name, value in named.items()
    }


def _meant(value: Any, values: tuple[Any, ...], where: str) -> Any:
    labels = labels_of(values)
    if not labels or not isinstance(value, str) or any(type(v) is type(value) and v == value for v in values):
        return value  # a value that is that very text comes first
    if value in labels:
        return values[labels.index(value)]
    near = misspelled(value, filter(None, labels))
    if near is not None:
        raise MatrixError(where, f"{value!r} is neither a value nor a label.", f"Did you mean {near!r}?")
    return value


def listed_twice(name: str, values: tuple[Any, ...], first: int, second: int) -> str:
    """Say that a parameter has one value at two places."""
    labels = labels_of(values)
    if not labels:
        return f"parameters[{name!r}] lists {quoted(values[first])} twice: both stand for the same task."
    told = f"{labels[first]!r} and {labels[second]!r} are labels of one value"
    return f"parameters[{name!r}]: {told}: both stand for the same task, which is shown as {labels[first]!r}."
