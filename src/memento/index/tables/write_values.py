"""Write within a transaction: parameters, order, versions of the code, rows with all that hangs on them; drop these.

Knows: the tables. May not know: how values are joined (`memento.index.declared_values`), who claims what.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from memento import faultpoints
from memento.index.declared_values import Declared, declared_by, joined, order_after, renamed_order
from memento.index.lease import Leases, run_name
from memento.index.tables import rows as encode
from memento.index.types import Brought, Numbers, OfRuns, Owner
from memento.records import CodeVersion, RunRecord

if TYPE_CHECKING:
    from memento.index.tables.base import Connection, Database


def declare(connection: Connection, experiment: int, given: Sequence[Declared]) -> list[Sequence[str]]:
    """Note the parameters of a run; return each value's readable JSON as it is to be stored."""
    rows = connection.execute(connection.sql.AXES, (experiment,)).fetchall()
    fragments, now = joined(rows, given)
    if now != rows:
        connection.execute(connection.sql.DROP_AXES, (experiment,))
        places = [(experiment, place, name, items) for place, (name, items) in enumerate(now)]
        connection.executemany(connection.sql.ADD_AXIS, places)
    return fragments


def keep_order(connection: Connection, experiment: int, keys: bytes, follows: bool) -> None:
    """Note the order of a run's tasks; see `order_after`."""
    old = _order(connection, experiment)
    new = order_after(old, keys, follows)
    if new is None and old is not None:
        connection.execute(connection.sql.DROP_ORDER, (experiment,))
    elif new is not None and new != old:
        connection.execute(connection.sql.SET_ORDER, (experiment, new))


def move_axes(
    connection: Connection, source: tuple[int, str], target: tuple[int, str], *, leave: bool
) -> None:
    """Note the parameters of an experiment (number and name) for another one too; `leave` keeps the old ones."""
    (was, old), (now, new) = source, target
    declare(connection, now, declared_by(connection.execute(connection.sql.AXES, (was,)).fetchall()))
    order = _order(connection, was)
    if order is not None and _order(connection, now) is None:
        connection.execute(connection.sql.SET_ORDER, (now, renamed_order(order, old, new)))
    if not leave:
        connection.execute(connection.sql.DROP_AXES, (was,))
        connection.execute(connection.sql.DROP_ORDER, (was,))


def _order(connection: Connection, experiment: int) -> bytes | None:
    found = connection.execute(connection.sql.ORDER, (experiment,)).fetchone()
    return None if found is None else bytes(found[0])


def drop_leases(connection: Connection, runs: Iterable[int]) -> None:
    """Take the leases of runs that are dead, and what they claimed."""
    each = [(run,) for run in runs]
    connection.executemany(connection.sql.LEASE_FELL, each)
    connection.executemany(connection.sql.DROP_CLAIMS_OF_RUN, each)
    connection.executemany(connection.sql.DROP_ACTIVITY, each)


def add_code(connection: Connection, version: CodeVersion, now: float, run: int | None) -> int:
    """Return the id of a version, adding it, and what it combines, when it is new."""
    row = connection.execute(connection.sql.CODE_ID, (version.digest,)).fetchone()
    if row is None:
        parts = [add_code(connection, part, now, run) for part in version.parts]
        values = encode.code_values(version, parts, run, now)
        return connection.add(connection.sql.ADD_CODE, values)
    return int(row[0])


def add_tasks(connection: Connection, first: int, experiment: int, rows: OfRuns) -> None:
    """Append rows, each with the run that made it, from this id on, with all that hangs on them."""
    sql = connection.sql
    numbered = [(first + place, run, row) for place, (run, row) in enumerate(rows)]
    tasks = [encode.task_values(row, number, experiment, run, sql.TINY) for number, run, row in numbered]
    connection.insert(sql.ADD_TASK, tasks)
    values = [(number, row.outcome.value) for number, _, row in numbered if row.outcome.value is not None]
    blobs = [(n, value.data) for n, value in values if value.data is not None and len(value.data) > sql.TINY]
    connection.insert(sql.ADD_BLOB, blobs)
    metrics = [encode.metric_values(n, series) for n, _, row in numbered for series in row.outcome.metrics]
    connection.insert(sql.ADD_METRIC, metrics)


def drop_tasks(connection: Connection, ids: Iterable[int], *, keep_attempts: bool) -> None:
    """Delete rows of tasks with all that hangs on them; failures are kept as attempts if asked."""
    each = [(number,) for number in ids]
    if keep_attempts:
        connection.executemany(connection.sql.KEEP_AS_ATTEMPT, each)
    for statement in connection.sql.DROP_TASK:
        connection.executemany(statement, each)


# --- what another store's index tells of an experiment


def bring(connection: Connection, experiment: int, brought: Brought) -> Numbers:
    """Note runs, versions of the code and what is known of them, as far as they are new; return their ids here."""
    runs, names = {}, {}
    for name, record in brought.runs:
        runs[record.id], names[name] = _same_run(connection, experiment, name, record)
    codes = {
        code: add_code(connection, version, seen, runs.get(run) if run is not None else None)
        for code, (version, seen, run) in sorted(brought.codes.items())
    }
    noted = {code for code, _ in connection.execute(connection.sql.CHANGES, (experiment,))}
    changes = [(experiment, codes[one], codes[other]) for one, other in brought.changes]
    connection.executemany(
        connection.sql.ADD_CHANGE, [change for change in changes if change[1] not in noted]
    )
    adoptions = [(experiment, codes[a.code], codes[a.present], *a[2:]) for a in brought.adoptions]
    connection.executemany(connection.sql.ADD_ADOPTION, adoptions)
    return Numbers(runs, codes, names)


def _same_run(connection: Connection, experiment: int, name: str, record: RunRecord) -> tuple[int, str]:
    """Return the id and the name of a run, adding it when it is new; names stay unique."""
    info = record.info
    who = (record.started, info.host, info.pid, info.process_started)
    known = connection.execute(connection.sql.SAME_RUN, who).fetchone()
    if known is not None:
        return int(known[0]), str(known[1])
    number = connection.execute(connection.sql.NEXT_RUN).fetchone()[0]
    if connection.execute(connection.sql.RUN_OF_NAME, (name,)).fetchone():
        name = run_name(record.started, info.pid, number)
    values = encode.run_values(info, name, experiment, record.started, 0)
    connection.execute(connection.sql.ADD_RUN, (number, *values))
    ended = record.ended if record.ended is not None else record.heartbeat
    told = (record.status or "died", json.dumps(record.counts), record.heartbeat, ended, number)
    connection.execute(connection.sql.FINISH_RUN, told)
    return int(number), name


def absorb(
    database: Database,
    leases: Leases,
    mine: tuple[int, int],
    rows: OfRuns,
    attempts: OfRuns,
    replaced: Collection[int],
) -> bool:
    """Append rows of other runs, unless one lives that is not `mine` (run and experiment); see `Run.absorb`."""
    with database.writing() as connection:
        owners = (Owner(*row) for row in connection.execute(connection.sql.LEASES))
        if any(owner.run != mine[0] for owner in leases.alive(owners)):
            return False
        add_tasks(connection, connection.take_ids(len(rows)), mine[1], rows)
        earlier = [encode.attempt_values(row, mine[1], run) for run, row in attempts]
        connection.insert(connection.sql.ADD_ATTEMPT, earlier)
        drop_tasks(connection, replaced, keep_attempts=True)
        faultpoints.at("merge.inside")
    faultpoints.at("merge.done")
    return True
