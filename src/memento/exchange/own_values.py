"""What a task returned and recorded, in a CSV that Memento writes and reads back: exactly, or said to be left out.

Knows: values, names of columns. May not know: sources, stores, files.

The table's own columns have the most prefixes of all that are called like them: `status`, or `result.status` where a
parameter or an item is called `status`. The others after it show items of what tasks returned, and metrics:

    in a plain table    each is called as what it shows. In a row, `value` is all that the task returned, and what is no
                        part of it is a metric; a row without `value` has a dict of scalars, and no metrics
    in any other        a name was taken, or means something else: `value` and `metrics` say all in every row
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from memento.exchange.cell_text import number_of_cell, result_of
from memento.values.describe import LargeValue, flat_items, is_scalar, items_of

NOTHING = object()  # a row says of no value
DESCRIBED = object()  # of a value the table has no more than what it is
UNNAMED = ("", "Unnamed: 0")  # of a column: the numbers of the rows, as pandas writes them
_DESCRIPTION = re.compile(r".+, [0-9][0-9.,]* (bytes?|[kMGTPE]B)|<damaged>", re.DOTALL)
_NOT_READ = "\0"  # it is another sign in a CSV
_KINDS = {"value": "value", "metrics": "metric"}  # what own columns get in front; all others get "result"


def own_column(name: str, columns: Iterable[str]) -> str | None:
    """Return which column is the table's own of this name.

    >>> own_column("status", ["status", "result.status", "acc"]), own_column("status", ["acc"])
    ('result.status', None)
    """
    alike = re.compile(rf"({_KINDS.get(name, 'result')}\.)*{re.escape(name)}")
    return max(filter(alike.fullmatch, columns), key=len, default=None)


def name_for_own(name: str, columns: Iterable[str]) -> str:
    """Return how the table's own column of this name is called beside these others."""
    other = own_column(name, columns)
    return name if other is None else f"{_KINDS.get(name, 'result')}.{other}"


def is_export(columns: Collection[str]) -> bool:
    """Tell whether a table is one of `memento export`."""
    return None not in [own_column(name, columns) for name in ("key", "experiment", "status")]


def is_plain_name(name: str) -> bool:
    """Tell whether a column of this name is taken for nothing but what it shows."""
    means_more = name in UNNAMED or _NOT_READ in name
    return not means_more and not any(own_column(own, [name]) for own in _KINDS)


# -- written --------------------------------------------------------------------------------------------


def value_cell(value: Any, shown: Any, items: Mapping[tuple[str, ...], Any], *, beside_metrics: bool) -> Any:
    """Return what the cell `value` of a row has to say; None for nothing, where the scalars `items` say all.

    `shown` is what it would say to people alone.

    >>> value_cell({"acc": 0.5}, None, {("acc",): 0.5}, beside_metrics=False)
    >>> value_cell({"acc": 0.5}, None, {("acc",): 0.5}, beside_metrics=True)
    '{"acc": 0.5}'
    >>> value_cell("1", "1", {}, beside_metrics=False)
    '"1"'
    """
    if isinstance(value, LargeValue) or value == "<damaged>":
        return value
    is_flat = shown is None and all(len(path) == 1 and _reads_so(item) for path, item in items.items())
    if items and is_flat and not beside_metrics:
        return None
    is_itself = isinstance(value, (bool, int, float)) or (isinstance(value, str) and _reads_so(value))
    return value if is_itself else as_json(value)


def as_json(value: Any) -> str:
    """Return a value as JSON that Python reads back: NaN and numbers of any size are numbers."""
    return json.dumps(value, ensure_ascii=False)


def _reads_so(cell: Any) -> bool:
    if not isinstance(cell, str):
        return cell is not None
    return bool(cell.strip()) and _NOT_READ not in cell and value_in(cell) == cell


# -- read back ------------------------------------------------------------------------------------------


def value_in(cell: str) -> Any:
    """Return the value that a cell `value` is; DESCRIBED where it is none, only told."""
    value = DESCRIBED if _DESCRIPTION.fullmatch(cell) else result_of(cell)
    return DESCRIBED if value == cell and cell.lstrip()[:1] in ("[", "{") else value


def taken_back(
    cells: Mapping[str, str], value: str | None, metrics: str | None, others: Iterable[str]
) -> tuple[Any, dict[str, float | None]]:
    """Return what a task returned, and the last of its metrics; None for one that is no number.

    `value` and `metrics` are the table's own columns, `others` those that show their parts.

    >>> taken_back({"value": '{"acc": 0.5}', "acc": "0.5", "lr": "0.1"}, "value", None, ["acc", "lr"])
    ({'acc': 0.5}, {'lr': 0.1})
    """
    returned = value_in(cells[value]) if value is not None and value in cells else NOTHING
    if metrics is not None:
        recorded = result_of(cells.get(metrics, "{}"))
        recorded = recorded if isinstance(recorded, dict) else {metrics: None}
        return returned, {name: number_of_cell(last) for name, last in recorded.items()}
    told = [name for name in others if name in cells]
    if returned is NOTHING:
        return {name: result_of(cells[name]) for name in told} or NOTHING, {}
    parts = _names_of_parts(returned)
    return returned, {name: number_of_cell(cells[name]) for name in told if name not in parts}


def _names_of_parts(value: Any) -> set[str]:
    found = flat_items(items_of(value) or {})
    return {
        name if isinstance(name, str) else ".".join(name)
        for name, item in found.items()
        if is_scalar(type(item))
    }
