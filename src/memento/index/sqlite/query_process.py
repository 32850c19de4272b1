"""Answer one query in a process of its own: what is asked in SQL may be anybody's, and wrong or hostile.

Knows: SQLite, Python's standard library alone (it is started without the paths of packages). May not know: any other
file of ours; what the views mean.

It reads a request from standard input (JSON) and writes the answer to standard output (marshal). What keeps a query in
its bounds:
    files     the index is opened for reading; SQLite asks an authorizer about all that a statement would do, which
              allows to select, to read, and the functions below. What would be sorted on the disk is sorted in memory.
    memory    SQLite has a limit, what is answered another one.
    time      who has started this ends it; where nobody does, an alarm.
"""

from __future__ import annotations

import json
import marshal
import math
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterable
from typing import Any

_HEAP = 512 * 2**20  # bytes that SQLite may use
_ANSWER = 256 * 2**20  # bytes of an answer
_CELL = 40  # bytes of a cell, beside its text

_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_FUNCTIONS = frozenset(
    # sqlite.org/lang_corefunc.html, but for what loads code or tells of the connection
    "abs char coalesce concat concat_ws format glob hex if ifnull iif instr length like likelihood likely lower ltrim"
    " max min nullif octet_length printf quote random randomblob replace round rtrim sign soundex sqlite_version substr"
    " substring trim typeof unhex unicode unistr unlikely upper zeroblob"
    # lang_datefunc.html
    " current_date current_time current_timestamp date datetime julianday strftime time timediff unixepoch"
    # lang_aggfunc.html, windowfunctions.html
    " avg count group_concat median percentile percentile_cont percentile_disc stdev string_agg sum total cume_dist"
    " dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number"
    # lang_mathfunc.html
    " acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power"
    " radians sin sinh sqrt tan tanh trunc"
    # json1.html
    " -> ->> json json_array json_array_insert json_array_length json_error_position json_extract json_group_array"
    " json_group_object json_insert json_object json_patch json_pretty json_quote json_remove json_replace json_set"
    " json_type json_valid jsonb jsonb_array jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert"
    " jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set tidied".split()
)
_ACTIONS = {
    getattr(sqlite3, f"SQLITE_{name}"): name.replace("_", " ")
    for name in (
        "ALTER_TABLE", "ANALYZE", "ATTACH", "CREATE_INDEX", "CREATE_TABLE", "CREATE_TEMP_INDEX", "CREATE_TEMP_TABLE",
        "CREATE_TEMP_TRIGGER", "CREATE_TEMP_VIEW", "CREATE_TRIGGER", "CREATE_VIEW", "CREATE_VTABLE", "DELETE", "DETACH",
        "DROP_INDEX", "DROP_TABLE", "DROP_TEMP_INDEX", "DROP_TEMP_TABLE", "DROP_TEMP_TRIGGER", "DROP_TEMP_VIEW",
        "DROP_TRIGGER", "DROP_VIEW", "DROP_VTABLE", "INSERT", "PRAGMA", "REINDEX", "SAVEPOINT", "TRANSACTION", "UPDATE",
    )
}  # fmt: skip


class TooLarge(Exception):
    """The answer has more bytes than anybody would read."""


class _Numbers:
    """Numbers of a column; NULLs do not count."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, value: object) -> None:
        """Take one."""
        if isinstance(value, (int, float)):
            self.values.append(value)


class Median(_Numbers):
    """The middle of what it is given."""

    def finalize(self) -> float | None:
        """Return the result; NULL of nothing."""
        from statistics import median

        return median(self.values) if self.values else None


class Stdev(_Numbers):
    """The standard deviation of a sample (n - 1)."""

    def finalize(self) -> float | None:
        """Return the result; NULL of less than two."""
        count = len(self.values)
        if count < 2:
            return None
        mean = math.fsum(self.values) / count
        return math.sqrt(math.fsum((value - mean) ** 2 for value in self.values) / (count - 1))


def tidied(text: object) -> str:
    """Write JSON with null where Python has written NaN or an infinity; null of what is no JSON."""
    try:
        return json.dumps(json.loads(str(text), parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        return "null"


def connect(uri: str, views: dict[str, str], living: Iterable[int]) -> sqlite3.Connection:
    """Open the index for reading, and declare the views."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=60.0)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    for setting in (
        f"hard_heap_limit={_HEAP}",
        "temp_store=MEMORY",
        "trusted_schema=OFF",
        "cell_size_check=ON",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    connection.create_function("tidied", 1, tidied, deterministic=True)
    connection.create_aggregate("median", 1, Median)  # type: ignore[arg-type]  # it takes any cell, as SQLite calls it
    connection.create_aggregate("stdev", 1, Stdev)  # type: ignore[arg-type]
    connection.execute("CREATE TEMP TABLE living (run INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO temp.living VALUES (?)", [(run,) for run in living])
    for name, select in views.items():
        connection.execute(f"CREATE TEMP VIEW {name} AS {select}")
    # Table-valued functions are declared when they are first used, by what the authorizer forbids.
    connection.execute("SELECT count(*) FROM json_each('[]'), json_tree('[]')").fetchall()
    connection.execute("PRAGMA query_only=ON").fetchall()
    return connection


def authorizer(refused: list[str]) -> Callable[..., int]:
    """Return what allows to read; what it forbids is noted."""

    def decide(action: int, one: str | None, two: str | None, *_: object) -> int:
        if action in _ALLOWED or (action == sqlite3.SQLITE_FUNCTION and str(two).lower() in _FUNCTIONS):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            refused.append(f"the function {two}")
        elif action == sqlite3.SQLITE_UPDATE and one == "sqlite_master":
            refused.append("a virtual table")
        else:
            refused.append(_ACTIONS.get(action, "this"))
        return sqlite3.SQLITE_DENY

    return decide


def answer(connection: sqlite3.Connection, statement: str, limit: int | None) -> dict[str, Any]:
    """Run a statement, and return its columns and rows, and whether there are more."""
    cursor = connection.execute(statement)
    if cursor.description is None:
        raise ValueError("this asks for nothing")
    rows: list[tuple[Any, ...]] = []
    size, more = 0, False
    for row in cursor:
        if limit is not None and len(rows) == limit:
            more = True
            break
        size += _CELL * len(row) + sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
        if size > _ANSWER:
            raise TooLarge
        rows.append(row)
    return {"columns": [column[0] for column in cursor.description], "rows": rows, "more": more}


def main() -> None:
    """Answer the request."""
    request = json.loads(sys.stdin.buffer.read())
    # Its default action ends a process wherever it is: also in a function of SQLite.
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, request["seconds"] + 1.0)
    refused: list[str] = []
    told: dict[str, Any]
    try:
        connection = connect(request["uri"], request["views"], request["living"])
        connection.set_authorizer(authorizer(refused))
        told = answer(connection, request["statement"], request["limit"])
    except TooLarge:
        told = {"problem": "large", "text": ""}
    except MemoryError:
        told = {"problem": "memory", "text": ""}
    # A second statement is a Warning up to Python 3.10; the others are of what is no text of SQL at all.
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        problem, text = ("refused", refused[0]) if refused else ("sql", str(error))
        told = {"problem": problem, "text": text, "kind": type(error).__name__}
    marshal.dump(told, sys.stdout.buffer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
