"""Answer a question in SQL by the server: in a transaction that may only read, for seconds, a limited number of rows.

Knows: the views, psycopg's types. May not know: which statements are harmless (`vetting`), how rows are shown.

Parameters, settings, metrics, values and what else is JSON are jsonb: ``params ->> 'lr'`` is a text, ``(params ->>
'lr')::float`` a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from memento.index.postgres.connections import Connection, Server
from memento.index.postgres.sqlstates import load_psycopg
from memento.index.postgres.vetting import vet
from memento.index.tables.views import MEANINGS, ONLY_SELECT, too_long, views_in
from memento.index.types import QueryFailed, Table, View
from memento.suggest import did_you_mean

_PIECE = 1_000  # rows read at once
_ANSWER = 256 * 2**20  # bytes of an answer
_CELL = 40  # bytes of a cell, beside its text


class _Words:
    """See `memento.index.tables.views`."""

    tables = "store."
    value = "coalesce(store.value_of(t.format, t.value), nullif(store.as_json(t.shown) -> 'items', 'null'))"
    metrics = "jsonb_object_agg(m.name, nullif(m.last, 'NaN'))"
    is_living = "r.id = ANY(living)"

    def time(self, seconds: str) -> str:
        return f"""to_char(to_timestamp({seconds}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""

    def key(self, column: str) -> str:
        return f"encode({column}, 'hex')"

    def number(self, column: str) -> str:
        return f"nullif({column}, 'NaN')"

    def json(self, column: str, *path: str) -> str:
        told = f"store.as_json({column})"
        return f"{told} #> '{{{','.join(path)}}}'" if path else told

    def entry(self, column: str, *path: str) -> str:
        return f"store.as_json({column}) #>> '{{{','.join(path)}}}'"

    def count(self, column: str, *path: str) -> str:
        return f"({self.entry(column, *path)})::bigint"

    def flag(self, column: str, *path: str) -> str:
        return f"({self.entry(column, *path)})::boolean"


VIEWS = views_in(_Words())


def views(server: Server) -> list[View]:
    """Return the views, each with its columns."""
    found = []
    for name in VIEWS:
        cursor = server.connection().execute(f"{_declared(server, [name], [])} SELECT * FROM {name} LIMIT 0")
        found.append(View(name, MEANINGS[name], [column.name for column in cursor.description]))
    return found


def query(server: Server, statement: str, seconds: float, limit: int | None, living: Iterable[int]) -> Table:
    """Answer a query; raises QueryFailed."""
    psycopg = load_psycopg()
    schemas = {name for (name,) in server.all(server.sql.SCHEMAS)}
    names = vet(statement, schemas, ONLY_SELECT)
    whole = (
        f"{_declared(server, names, living)} SELECT * FROM (\n{statement.strip().rstrip(';')}\n) AS answer"
    )
    until = server.now() + seconds
    connection = server.connection()
    connection.begin(server.sql.ASKING, f"SET LOCAL statement_timeout = {int(1_000 * seconds) + 1}")
    try:
        connection.raw.execute(f"DECLARE answer NO SCROLL CURSOR FOR {whole}")
        return _fetch(server, connection, until, limit)
    except psycopg.errors.QueryCanceled:
        raise too_long(seconds) from None
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError) as error:
        raise _explained(server, error) from error
    except psycopg.Error as error:
        if str(error.sqlstate or "").startswith(("25006", "53", "54")):
            raise QueryFailed(f"{error.diag.message_primary}.", ONLY_SELECT) from error
        with server.explaining():
            raise
    finally:
        connection.end()


def _fetch(server: Server, connection: Connection, until: float, limit: int | None) -> Table:
    rows: list[tuple[Any, ...]] = []
    size = 0
    while True:
        count = _PIECE if limit is None else min(_PIECE, limit + 1 - len(rows))
        left = max(1, int(1_000 * (until - server.now())))
        connection.raw.execute(f"SET LOCAL statement_timeout = {left}")
        cursor = connection.raw.execute(f"FETCH {count} FROM answer")
        found = cursor.fetchall()
        for row in found:
            cells = tuple(map(_cell, row))
            size += _CELL * len(cells) + sum(len(cell) for cell in cells if isinstance(cell, (str, bytes)))
            if size > _ANSWER:
                raise QueryFailed("the answer has more than 256 MB.", "Ask for fewer columns, or add LIMIT.")
            rows.append(cells)
        more = limit is not None and len(rows) > limit
        if more or len(found) < count:
            return Table([column.name for column in cursor.description], rows[:limit], more)


def _declared(server: Server, names: Iterable[str], living: Iterable[int]) -> str:
    """Return the views of these names as the beginning of a statement; no others have to be planned."""
    wanted = set(names)
    alive = f"'{{{','.join(map(str, living))}}}'::bigint[]"
    told = [
        f"{name} AS NOT MATERIALIZED ({server.placed(select).replace('ANY(living)', f'ANY({alive})')})"
        for name, select in VIEWS.items()
        if name in wanted
    ]
    return f"WITH {', '.join(told)}" if told else ""


def _cell(value: Any) -> Any:
    """Return what is read as a number, a text, bytes or None."""
    if value is None or isinstance(value, (str, bytes, float)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    try:  # a decimal number
        return int(value) if value == int(value) else float(value)
    except (TypeError, ValueError, OverflowError):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _explained(server: Server, error: Any) -> QueryFailed:
    """Say what is wrong, and what may have been meant."""
    text = error.diag.message_primary or str(error)
    hint = error.diag.message_hint or ""
    missing = re.search(r'relation "([^"]+)" does not exist', text)
    if missing:
        return QueryFailed(f"{text}.", did_you_mean(missing[1], VIEWS, "Views"))
    column = re.search(r'column "?([\w.]+)"? does not exist', text)
    if column:
        bare = column[1].rpartition(".")[2]
        columns = {name for view in views_outside(server) for name in view.columns}
        return QueryFailed(f"{text}.", f"{did_you_mean(bare, sorted(columns), 'Columns')} {_entry(bare)}")
    return QueryFailed(f"{text}.", hint or ONLY_SELECT)


def views_outside(server: Server) -> list[View]:
    """Return the views after a query failed: its transaction is over first."""
    server.connection().end()
    return views(server)


def _entry(name: str) -> str:
    return f"A parameter is params ->> '{name}', as a number (params ->> '{name}')::float."
