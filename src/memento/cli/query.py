"""`memento query "SELECT ..."`: ask a store in SQL, which reads and changes nothing.

Knows: what an index answers to a query, how tables, JSON and CSV are printed. May not know: SQLite, what is asked.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Any

from memento.cli.exit_codes import UsageError, wrong_usage
from memento.cli.open_store import open_store
from memento.cli.printing import print_json, print_table
from memento.index.types import QueryFailed, Table, View
from memento.store.location import StorePath
from memento.wording import number_of, one_line, safe_text, seconds_of

_ROWS = 100  # for people
_WIDTH = 60  # characters of a cell, for people; a text that is the last one of its row may be longer
_LAST = 120
_BYTES = 64  # of a cell, which are shown; of more only their number
_DIGITS = 6  # of a number, for people


def query(
    path: StorePath | None,
    statement: str | None,
    *,
    timeout: str,
    limit: int | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Answer a question; without one say what can be asked."""
    if as_json and as_csv:
        raise UsageError("--json and --csv: give one of them.")
    with wrong_usage():
        seconds = seconds_of(timeout, "--timeout", short=True)
    if not 0 < seconds <= 86_400:
        raise UsageError("--timeout must be more than 0 s, and a day at most.")
    if statement == "-":
        statement = sys.stdin.read()
    with open_store(path) as store:
        if statement is None:
            _print_views(store.index.views(), as_json=as_json)
            return
        if limit is None:
            limit = 0 if as_json or as_csv else _ROWS
        try:
            found = store.index.query(statement, seconds, limit or None)
        except QueryFailed as error:
            raise UsageError(str(error)) from error
    if as_csv:
        _print_csv(found)
    elif as_json:
        names = distinct(found.columns)
        rows = [dict(zip(names, map(plain, row), strict=True)) for row in found.rows]
        print_json("query", {"columns": names, "rows": rows, "more": found.more})
    else:
        _print_rows(found, limit)


def distinct(columns: Sequence[str]) -> list[str]:
    """Name columns so that no two are the same.

    >>> distinct(["key", "n", "key", "key"])
    ['key', 'n', 'key_2', 'key_3']
    """
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def plain(cell: Any) -> Any:
    """Return what JSON and CSV can say: bytes are hexadecimal digits, or how many there are.

    >>> plain(b"ab"), plain(b"0" * 1000), plain(1.5)
    ('6162', '<1,000 bytes>', 1.5)
    """
    if isinstance(cell, bytes):
        return cell.hex() if len(cell) <= _BYTES else f"<{number_of(len(cell), 'byte')}>"
    return cell


def _print_views(views: Sequence[View], *, as_json: bool) -> None:
    if as_json:
        print_json("query", {"views": [view._asdict() for view in views]})
        return
    for view in views:
        print(f"{view.name}: {view.meaning}")
        print(f"    {', '.join(view.columns)}")
    print("""params, settings, metrics (the last of each) and values that are dicts are JSON:
    memento query "SELECT params ->> 'model', max(metrics ->> 'acc') FROM tasks GROUP BY 1\"""")


def _print_csv(found: Table) -> None:
    """Print CSV; what would steer a terminal is taken out of texts, and --json has them as they are."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(safe_text, distinct(found.columns)))
    for row in found.rows:
        writer.writerow([safe_text(cell) if isinstance(cell, str) else plain(cell) for cell in row])


def _print_rows(found: Table, limit: int) -> None:
    last = len(found.columns) - 1
    texts = [
        tuple(_text(cell, _LAST if place == last else _WIDTH) for place, cell in enumerate(row))
        for row in found.rows
    ]
    print_table(tuple(one_line(column, _WIDTH) for column in found.columns), texts)
    if not texts:
        print("no rows")
    if found.more:
        print(f"... only the first {number_of(limit, 'row')}; --limit 0 shows all, --json and --csv have all")


def _text(cell: Any, width: int) -> str:
    if cell is None:
        return "NULL"
    if isinstance(cell, float):
        return f"{cell:.{_DIGITS}g}"
    return one_line(str(plain(cell)), width)
