"""Write what is no task's row within a transaction: parameters, order, versions of the code; drop rows and leases.

Knows: the tables. May not know: how values are joined (`memento.index.declared_values`), who claims what.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from memento.index.declared_values import Declared, declared_by, joined, order_after, renamed_order
from memento.index.sqlite import rows as encode
from memento.index.sqlite import sql
from memento.records import CodeVersion


def declare(
    connection: sqlite3.Connection, experiment: int, given: Sequence[Declared]
) -> list[Sequence[str]]:
    """Note the parameters of a run; return each value's readable JSON as it is to be stored."""
    rows = connection.execute(sql.AXES, (experiment,)).fetchall()
    fragments, now = joined(rows, given)
    if now != rows:
        connection.execute(sql.DROP_AXES, (experiment,))
        places = [(experiment, place, name, items) for place, (name, items) in enumerate(now)]
        connection.executemany(sql.ADD_AXIS, places)
    return fragments


def keep_order(connection: sqlite3.Connection, experiment: int, keys: bytes, follows: bool) -> None:
    """Note the order of a run's tasks; see `order_after`."""
    old = _order(connection, experiment)
    new = order_after(old, keys, follows)
    if new is None and old is not None:
        connection.execute(sql.DROP_ORDER, (experiment,))
    elif new is not None and new != old:
        connection.execute(sql.SET_ORDER, (experiment, new))


def move_axes(
    connection: sqlite3.Connection, source: tuple[int, str], target: tuple[int, str], *, leave: bool
) -> None:
    """Note the parameters of an experiment (number and name) for another one too; `leave` keeps the old ones."""
    (was, old), (now, new) = source, target
    declare(connection, now, declared_by(connection.execute(sql.AXES, (was,)).fetchall()))
    order = _order(connection, was)
    if order is not None and _order(connection, now) is None:
        connection.execute(sql.SET_ORDER, (now, renamed_order(order, old, new)))
    if not leave:
        connection.execute(sql.DROP_AXES, (was,))
        connection.execute(sql.DROP_ORDER, (was,))


def _order(connection: sqlite3.Connection, experiment: int) -> bytes | None:
    found = connection.execute(sql.ORDER, (experiment,)).fetchone()
    return None if found is None else bytes(found[0])


def drop_leases(connection: sqlite3.Connection, runs: Iterable[int]) -> None:
    """Take the leases of runs that are dead, and what they claimed."""
    each = [(run,) for run in runs]
    connection.executemany(sql.LEASE_FELL, each)
    connection.executemany(sql.DROP_CLAIMS_OF_RUN, each)
    connection.executemany(sql.DROP_ACTIVITY, each)


def add_code(connection: sqlite3.Connection, version: CodeVersion, now: float, run: int | None) -> int:
    """Return the id of a version, adding it, and what it combines, when it is new."""
    row = connection.execute(sql.CODE_ID, (version.digest,)).fetchone()
    if row is None:
        parts = [add_code(connection, part, now, run) for part in version.parts]
        values = encode.code_values(version, parts, run, now)
        return int(connection.execute(sql.ADD_CODE, values).lastrowid or 0)
    return int(row[0])


def drop_tasks(connection: sqlite3.Connection, ids: Iterable[int], *, keep_attempts: bool) -> None:
    """Delete rows of tasks with all that hangs on them; failures are kept as attempts if asked."""
    each = [(number,) for number in ids]
    if keep_attempts:
        connection.executemany(sql.KEEP_AS_ATTEMPT, each)
    for statement in (sql.DROP_TASK, sql.DROP_BLOB, sql.DROP_METRICS):
        connection.executemany(statement, each)
