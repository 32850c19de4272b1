"""What tasks returned, as cells of a short table: a column for each item of a dict, numbers in four digits.

Knows: results, values. May not know: widths of tables, parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time, timedelta
from itertools import islice
from typing import Any, NamedTuple

from memento.config import short_text
from memento.matrix.values import quoted
from memento.records import DONE
from memento.results.result import Result, value_to_show
from memento.results.to_frame import column_names
from memento.values.describe import ITEMS, LargeValue, Part, as_scalar, flat_items, items_of

LIMIT = 28  # characters of a cell
_DIGITS = 4
_MANY = 10**_DIGITS  # from here on four digits would need an exponent
_TOO_MANY = 10**9


class ValueCells(NamedTuple):
    """Columns for what some tasks returned."""

    items: dict[str, list[str]]  # by the items' names: a cell for each result
    # What is no item: values of other kinds, and what failed; None where there is nothing such.
    rest: list[str] | None
    rest_name: str


def value_cells(results: Sequence[Result]) -> ValueCells:
    """Return columns for what these tasks returned."""
    values = [value_to_show(result) if result.status == DONE else None for result in results]
    found = [_items(result, value) for result, value in zip(results, values, strict=True)]
    paths = dict.fromkeys(path for held, _ in found for path in held)
    if not paths or len(paths) > ITEMS:
        found = [({}, _whole(result, value)) for result, value in zip(results, values, strict=True)]
        paths = {}
    names = column_names(paths)
    items = {
        name: [_cell(held[path]) if path in held else "" for held, _ in found] for path, name in names.items()
    }
    rest = [text for _, text in found]
    if items and not any(rest):
        return ValueCells(items, None, "")
    only_errors = items and not any(
        text for text, result in zip(rest, results, strict=True) if result.failure is None
    )
    return ValueCells(items, rest, "error" if only_errors else "value")


def _items(result: Result, value: Any) -> tuple[dict[Any, Any], str]:
    """Return what a task returned by name, and in words what has no name."""
    if result.status != DONE:
        return {}, _whole(result, value)
    held = items_of(value)
    flat = flat_items(held) if held else {}
    # An item whose name is no text has no column.
    whole = bool(flat) and all(isinstance(name, str) for name in held or ())
    return (flat, "") if whole else ({}, _text(value))


def _whole(result: Result, value: Any) -> str:
    if result.failure is not None:
        return short_text(f"{result.failure.type}: {result.failure.message}", 4 * LIMIT)
    return _text(value) if result.status == DONE else ""


def _text(value: Any) -> str:
    """Name a value in a few words: numbers with few digits, also those in a dict."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if type(value) is LargeValue:
        return f"<{value}>"
    if type(value) is not dict or not all(isinstance(name, str) for name in value):
        return short_text(value, 4 * LIMIT)
    items = [f"{name}: {_cell(item, quoted)}" for name, item in islice(value.items(), 4 * LIMIT)]
    return short_text(f"{{{', '.join(items)}}}", 4 * LIMIT)


def _cell(item: Any, text: Any = short_text) -> str:
    item = as_scalar(item)
    if isinstance(item, Part):
        return item.what
    if isinstance(item, float):  # numpy's of 64 bits too
        return number_text(item)
    try:
        is_float = type(item).__module__ == "numpy" and item.dtype.kind == "f"
    except AttributeError:
        is_float = False
    if isinstance(item, date | time | timedelta):
        return str(item)
    return number_text(float(item)) if is_float else str(text(item))


def number_text(number: float) -> str:
    """Say a number in four digits, and all those before the point.

    >>> number_text(0.9123456), number_text(123456.7), number_text(1.0), number_text(0.0000123456)
    ('0.9123', '123457', '1', '1.235e-05')
    """
    return f"{number:.0f}" if _MANY <= abs(number) < _TOO_MANY else f"{number:.{_DIGITS}g}"
