"""Read results that stand in a CSV file, a row a task.

Knows: CSV. May not know: what the columns mean.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from memento.exchange.own_values import UNNAMED, is_export
from memento.exchange.source_rows import CannotImport, Row, Source
from memento.exchange.table_files import safe_cell

_LONGEST = 16_000_000  # characters of a cell; the library's own limit is 128 kB


def read_csv(path: Path) -> Source:
    """Return what a CSV file tells; columns are separated by commas, semicolons or tabs.

    Raises
    ------
    CannotImport
        It cannot be read, or has no header.
    """
    before = csv.field_size_limit(_LONGEST)
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return _read(path, csv.reader(stream, delimiter=_delimiter(path)))
    except UnicodeDecodeError as error:
        raise CannotImport(f"{path} is not UTF-8 text: {error.reason}.", "Save it as UTF-8.") from error
    except (OSError, csv.Error) as error:
        raise CannotImport(f"{path} cannot be read: {error}.") from error
    finally:
        csv.field_size_limit(before)


def _delimiter(path: Path) -> str:
    with open(path, encoding="utf-8-sig", newline="") as stream:
        if is_export(next(csv.reader(stream), [])):
            return ","
        stream.seek(0)
        header = stream.readline()
    return max(",;\t", key=lambda one: (header.count(one), one == ","))


def _as_it_was(text: str) -> str:
    """Return a text without the apostrophe by which `memento export` keeps it from being a formula."""
    return text[1:] if text.startswith("'") and safe_cell(text[1:]) == text else text


def _read(path: Path, lines: Any) -> Source:
    names: list[str] = next(lines, [])
    exported = is_export(names)
    plain = _as_it_was if exported else str
    header = list(map(plain, names)) if exported else [name.strip() for name in names]
    if not any(header):
        raise CannotImport(f"{path} is empty.", "Its first line names the columns: lr,model,accuracy")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise CannotImport(f"{path} has two columns {twice!r}.", "Rename one.")
    unnamed = [name for name in (header[:1] if exported else header) if name in UNNAMED]
    rows = []
    for cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(header):
            raise CannotImport(
                f"{path}, line {lines.line_num}: there are {len(cells)} cells, and {len(header)} columns.",
                "Is a quote or a comma missing?",
            )
        named = {
            name: plain(cell)
            for name, cell in zip(header, cells, strict=True)
            if cell.strip() and name not in unnamed
        }
        rows.append(Row(f"line {lines.line_num}", named))
    return Source("csv", path.name, rows, tuple(name for name in header if name not in unnamed))
