"""Take in what another store's index tells of an experiment, within a transaction.

Knows: the tables. May not know: where it comes from, which rows are worth having.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection

from memento import faultpoints
from memento.index.lease import Leases, run_name
from memento.index.sqlite import rows as encode
from memento.index.sqlite import sql
from memento.index.sqlite.database import Database, insert
from memento.index.sqlite.write_values import add_code, drop_tasks
from memento.index.types import Brought, Numbers, OfRuns, Owner
from memento.records import RunRecord


def bring(connection: sqlite3.Connection, experiment: int, brought: Brought) -> Numbers:
    """Note runs, versions of the code and what is known of them, as far as they are new; return their ids here."""
    runs, names = {}, {}
    for name, record in brought.runs:
        runs[record.id], names[name] = _run(connection, experiment, name, record)
    codes = {
        code: add_code(connection, version, seen, runs.get(run) if run is not None else None)
        for code, (version, seen, run) in sorted(brought.codes.items())
    }
    noted = {code for code, _ in connection.execute(sql.CHANGES, (experiment,))}
    changes = [(experiment, codes[one], codes[other]) for one, other in brought.changes]
    connection.executemany(sql.ADD_CHANGE, [change for change in changes if change[1] not in noted])
    adoptions = [(experiment, codes[a.code], codes[a.present], *a[2:]) for a in brought.adoptions]
    connection.executemany(sql.ADD_ADOPTION, adoptions)
    return Numbers(runs, codes, names)


def _run(connection: sqlite3.Connection, experiment: int, name: str, record: RunRecord) -> tuple[int, str]:
    """Return the id and the name of a run, adding it when it is new; names stay unique."""
    info = record.info
    who = (record.started, info.host, info.pid, info.process_started)
    known = connection.execute(sql.SAME_RUN, who).fetchone()
    if known is not None:
        return int(known[0]), str(known[1])
    number = connection.execute(sql.NEXT_RUN).fetchone()[0]
    if connection.execute(sql.RUN_OF_NAME, (name,)).fetchone():
        name = run_name(record.started, info.pid, number)
    values = encode.run_values(info, name, experiment, record.started, 0)
    connection.execute(sql.ADD_RUN, (number, *values))
    ended = record.ended if record.ended is not None else record.heartbeat
    told = (record.status or "died", json.dumps(record.counts), record.heartbeat, ended, number)
    connection.execute(sql.FINISH_RUN, told)
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
        owners = map(Owner._make, connection.execute(sql.LEASES).fetchall())
        if any(owner.run != mine[0] for owner in leases.alive(owners)):
            return False
        _append(connection, mine[1], rows, attempts, replaced)
        faultpoints.at("merge.inside")
    faultpoints.at("merge.done")
    return True


def _append(
    connection: sqlite3.Connection,
    experiment: int,
    rows: OfRuns,
    attempts: OfRuns,
    replaced: Collection[int],
) -> None:
    """Append rows with all that hangs on them; what they replace goes, failures as attempts."""
    first = connection.execute(sql.LAST_TASK).fetchone()[0] + 1
    numbered = [(first + i, run, row) for i, (run, row) in enumerate(rows)]
    insert(
        connection, sql.ADD_TASK, [encode.task_values(row, n, experiment, run) for n, run, row in numbered]
    )
    blobs = [
        (n, value.data)
        for n, _, row in numbered
        if (value := row.outcome.value) is not None
        and value.data is not None
        and len(value.data) > encode.TINY
    ]
    insert(connection, sql.ADD_BLOB, blobs)
    metrics = [encode.metric_values(n, series) for n, _, row in numbered for series in row.outcome.metrics]
    insert(connection, sql.ADD_METRIC, metrics)
    earlier = [encode.attempt_values(row, experiment, run) for run, row in attempts]
    insert(connection, sql.ADD_ATTEMPT, earlier)
    drop_tasks(connection, replaced, keep_attempts=True)
    connection.execute(sql.SET_LAST_TASK, (first + len(rows) - 1,))
