"""Write a table as CSV, JSON, JSON lines or Parquet: row by row, with all digits.

Knows: these formats, columns and their types. May not know: stores, what the rows are about.

    csv      text; nothing where a task has no such value; nan, inf and -inf as these words
    json     a list of objects; null where a task has no such value; "NaN", "Infinity", "-Infinity" as texts
    jsonl    the same objects, one a line
    parquet  columns of one type each; numbers and texts side by side are texts
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from memento.exchange.table_columns import BOOLEAN, INTEGER, MOMENT, NUMBER, Column, Table, strict
from memento.optional_packages import imported

TEXT_FORMATS = ("csv", "json", "jsonl")
_GROUP = 20_000  # rows of a Parquet row group, in memory at once

# Spreadsheets take a cell that begins so for a formula, and run it; also with the wide signs of East Asian text.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")


class Stream(Protocol):
    """Takes text."""

    def write(self, text: str, /) -> object:
        """Take some more."""


def write_text(table: Table, kind: str, stream: Stream) -> int:
    """Write a table as text in one of `TEXT_FORMATS`; return how many rows it has."""
    return _WRITERS[kind](table, stream)


def _write_csv(table: Table, stream: Stream) -> int:
    writer = csv.writer(_Lines(stream))
    writer.writerow([_csv_cell(column.name) for column in table.columns])
    count = 0
    for row in table.lists(texts=True):
        writer.writerow(map(_csv_cell, row))
        count += 1
    return count


class _Lines:
    """Ends lines as Unix does; the writer itself would leave a carriage return within a cell without quotes then."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        self._stream.write(line[:-2] + "\n")


def _csv_cell(cell: Any) -> Any:
    kind = type(cell)
    if kind is str:
        return safe_cell(cell).replace("\0", "\ufffd")  # Python 3.10 neither writes nor reads a zero
    if kind is float:
        return repr(cell)
    return cell.isoformat() if kind is datetime else cell


def safe_cell(text: str) -> str:
    """Return a text as no spreadsheet takes it for a formula: with an apostrophe in front, if it looks like one.

    Numbers stay as they are. A formula behind apostrophes gets one more too, so that taking one away
    from what looks so gives the text back.

    >>> safe_cell("=1+1"), safe_cell("-0.5"), safe_cell("SVC"), safe_cell("'=1+1")
    ("'=1+1", '-0.5', 'SVC', "''=1+1")
    """
    if not _FORMULA.match(text):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text


def _write_lines(table: Table, stream: Stream) -> int:
    count = 0
    for line in _objects(table):
        stream.write(line + "\n")
        count += 1
    return count


def _write_json(table: Table, stream: Stream) -> int:
    count = 0
    for line in _objects(table):
        stream.write((",\n" if count else "[\n") + line)
        count += 1
    stream.write("\n]\n" if count else "[]\n")
    return count


def _objects(table: Table) -> Iterator[str]:
    names = [column.name for column in table.columns]
    for row in table.lists(texts=False):
        yield json.dumps(dict(zip(names, map(strict, row), strict=True)), ensure_ascii=False, allow_nan=False)


_WRITERS: dict[str, Callable[[Table, Stream], int]] = {
    "csv": _write_csv,
    "json": _write_json,
    "jsonl": _write_lines,
}


def write_parquet(table: Table, path: Path) -> int:
    """Write a table as a Parquet file; return how many rows it has."""
    pa = imported("pyarrow", "export --to parquet", "arrow")
    parquet = imported("pyarrow.parquet", "export --to parquet", "arrow")
    types = {
        INTEGER: pa.int64(),
        NUMBER: pa.float64(),
        BOOLEAN: pa.bool_(),
        MOMENT: pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(column.name, types.get(column.kind, pa.string())) for column in table.columns])
    count = 0
    rows = table.lists(texts=True)
    with parquet.ParquetWriter(path, schema) as writer:
        while group := list(islice(rows, _GROUP)):
            columns = zip(*group, strict=True)
            arrays = [
                pa.array(_cells(cells, column), field.type)
                for cells, column, field in zip(columns, table.columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(group)
    return count


def _cells(cells: Iterable[Any], column: Column) -> Sequence[Any]:
    if column.kind == NUMBER:
        return [float(cell) if cell is not None else None for cell in cells]
    if column.kind in (INTEGER, BOOLEAN, MOMENT):
        return list(cells)
    # A name of a file may be no Unicode, which Arrow does not take.
    return [cell and cell.encode("utf-8", "backslashreplace").decode() for cell in cells]
