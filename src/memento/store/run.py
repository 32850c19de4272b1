"""Write one run's results: claim tasks, commit outcomes, hear what other runs finished.

Knows: claims, commits, which runs are alive. May not know: executors, matrices, how values are encoded.

    claim ──> granted ──> (the runner works) ──> commit ──> durable, claim gone
          └─> elsewhere: another live run has it ──> news() brings its row, or waiting() lets go of it
          └─> finished: another run has done it

One thread calls a Run, but for `heartbeat`. Every step is one short transaction under the writer's lock, in which it
first reads the rows that others appended since its last look: what a run believes of the store is true while it writes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from itertools import count, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from memento import faultpoints
from memento.clock import Clock
from memento.records import DONE, FAILED, CodeVersion, Known, TaskRow
from memento.store import rows as encode
from memento.store import sql
from memento.store.database import Database
from memento.store.liveness import KEY, Liveness, Process
from memento.store.states import drop_states

if TYPE_CHECKING:
    from memento.store.axes import Declared


class Claim(NamedTuple):
    """What became of the tasks that a run asked for."""

    granted: list[bytes]
    elsewhere: list[bytes]  # another live run computes them
    finished: list[Known]  # other runs have finished them since this one planned


class Committed(NamedTuple):
    """What a commit did."""

    ids: dict[bytes, int]  # key -> id of the row that now stands for it
    superseded: dict[bytes, Known]  # another run's result was there first; ours was dropped


class _Claims:
    """This run's own claims: for each row, the keys that are still open."""

    def __init__(self) -> None:
        self.open: dict[int, set[bytes]] = {}
        self.row_of: dict[bytes, int] = {}

    def add(self, row: int, keys: Sequence[bytes]) -> None:
        self.open[row] = set(keys)
        self.row_of.update(dict.fromkeys(keys, row))

    def emptied_by(self, keys: Collection[bytes]) -> list[int]:
        """Return the rows that have no other open key than these, of which each is named once."""
        counts = Counter(map(self.row_of.get, keys))
        return [row for row, count in counts.items() if row is not None and count == len(self.open[row])]

    def close(self, keys: Collection[bytes]) -> set[int]:
        """Let go of keys; return the rows in which others are still open."""
        touched = set(map(self.row_of.pop, keys, repeat(None)))
        left = set()
        for row in touched:
            if row is not None:
                self.open[row].difference_update(keys)
                if self.open[row]:
                    left.add(row)
                else:
                    del self.open[row]
        return left


class Run:
    """One run's pen: the only writer of its results. Made by `Store.begin`.

    `previous` maps keys that will be computed again to the id of the row that a new result replaces;
    the plan knows them, and the runner sets it before it commits.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        number: int,
        name: str,
        experiment: int,
        seen: int,
        live: Liveness,
    ) -> None:
        self.id = number
        self.name = name
        self.previous: dict[bytes, int] = {}
        self._database = database
        self._clock = clock
        self._experiment = experiment
        self._seen = seen  # the highest id of a task that this run knows of
        self._live = live
        self._claims = _Claims()
        self._others: dict[bytes, int] = {}  # key -> id, of rows that others appended since this run planned
        self._news: list[Known] = []  # of these, what was not told yet
        self._codes: dict[bytes, int] = {}

    def code(self, version: CodeVersion) -> int:
        """Return the store's id of a code version, adding it when it is new."""
        known = self._codes.get(version.digest)
        if known is None:
            from memento.store.versions import add_code

            with self._database.writing() as connection:
                known = add_code(connection, version, self._clock.now(), self.id)
            self._codes[version.digest] = known
        return known

    def mixed_code(self, present: int, older: Sequence[bytes]) -> int:
        """Return the id of the version of a task that went on from a checkpoint of others.

        Parameters
        ----------
        present : int
            Id of the version that ended it.
        older : sequence of bytes
            Digests of those that saved the checkpoint.
        """
        from memento.store.versions import mixed

        with self._database.explaining():
            found = self._database.connection().execute(sql.CODE_DIGESTS)
            digests = {number: bytes(digest) for number, digest in found}
        return self.code(mixed([digests[present], *older]))

    def claim(self, keys: Sequence[bytes]) -> Claim:
        """Take the right to compute tasks, as far as nobody else has it or has done them.

        Parameters
        ----------
        keys : sequence of bytes
            What the workers will do in the next second or so; not the whole grid.
        """
        with self._database.writing(durable=False) as connection:
            self._look(connection)
            taken = self._taken(connection, drop_dead=True)
            others, mine = self._others, self._claims.row_of
            if taken or others or mine:
                ours = self.previous
                finished = [k for k in keys if k in others and others[k] != ours.get(k)] if others else []
                if finished:
                    records = self._known(connection, [others[k] for k in finished])
                else:
                    records = []
                gone = {known.key for known in records}
                granted = [k for k in keys if k not in gone and k not in taken]
                elsewhere = [k for k in keys if k not in gone and k in taken]
                fresh = [k for k in granted if k not in mine]
            else:
                granted = fresh = list(keys)
                elsewhere, records = [], []
            if fresh:
                row = connection.execute(sql.ADD_CLAIM, (self.id, b"".join(fresh), len(fresh))).lastrowid
            faultpoints.at("claim.inside")
        if fresh:
            faultpoints.at("claim.made")
            assert row is not None
            self._claims.add(row, fresh)
        return Claim(granted, elsewhere, records)

    def commit(
        self, rows: Sequence[TaskRow], failed_attempts: Sequence[tuple[bytes, TaskRow]] = ()
    ) -> Committed:
        """Append outcomes; on return they are durable, and their claims are gone.

        Parameters
        ----------
        rows : sequence of TaskRow
            At most one for each key: how the task ended. A done row is only ever replaced by a done row:
            a failure of a task that was done before is kept as an attempt.
        failed_attempts : sequence of (bytes, TaskRow)
            Attempts that failed and were, or will be, followed by another.
        """
        faultpoints.at("commit.before")
        with self._database.writing() as connection:
            self._look(connection)
            kept, replaced, late, outdone = self._decide(connection, rows)
            first = connection.execute(sql.LAST_TASK).fetchone()[0] + 1
            self._append(connection, kept, first)
            attempts = [encode.attempt_values(row, self._experiment, self.id) for _, row in failed_attempts]
            attempts += [encode.attempt_values(row, self._experiment, self.id) for row in late]
            insert(connection, sql.ADD_ATTEMPT, attempts)
            if replaced:
                drop_tasks(connection, replaced, keep_attempts=True)
            keys = [row.key for row in rows]
            empty = self._claims.emptied_by(keys)
            if empty:
                connection.executemany(sql.DROP_CLAIM, [(row,) for row in empty])
            # What is done shows in its row; what failed may be tried by others, so it must leave the claim.
            failed = [row.key for row in rows if row.outcome.failure is not None]
            for number in set(map(self._claims.row_of.get, failed)).difference(empty, (None,)):
                assert number is not None
                left = self._claims.open[number].difference(keys)
                connection.execute(sql.SHRINK_CLAIM, (b"".join(left), len(left), number))
            faultpoints.at("commit.inside")
        faultpoints.at("commit.done")
        # Only now: where the disk was full, what this run believes must still be what the store says.
        self._claims.close(keys)
        ids = dict(zip(keys if kept is rows else [row.key for row in kept], count(first)))
        if kept:
            self._seen = first + len(kept) - 1
        if self.previous or self._others:
            for key in ids:
                self.previous.pop(key, None)
                self._others.pop(key, None)
        for key in failed:
            if key in ids:
                self.previous[key] = ids[key]  # this run may be asked to try again
        drop_states(os.path.dirname(self._database.location), ids.keys() - failed)
        return Committed({**ids, **outdone[0]} if outdone[0] else ids, outdone[1])

    def declare(self, axes: Sequence[Declared], keys: bytes, follows: bool) -> list[Sequence[str]]:
        """Note this run's parameters and the order of its tasks, for whoever loads its results.

        Parameters
        ----------
        axes : sequence of Declared
            The parameters, in the matrix's order.
        keys : bytes
            The tasks' keys, in the matrix's order.
        follows : bool
            Whether that order follows from the order of the values.

        Returns
        -------
        list of sequence of str
            The readable JSON of each value as tasks are to carry it.
        """
        from memento.store.axes import declare, keep_order

        with self._database.writing(durable=False) as connection:
            keep_order(connection, self._experiment, keys, follows)
            return declare(connection, self._experiment, axes)

    def release(self, keys: Iterable[bytes]) -> None:
        """Give tasks back, not computed, so that others may take them."""
        keys = {key for key in keys if key in self._claims.row_of}
        if not keys:
            return
        empty = self._claims.emptied_by(keys)
        left = self._claims.close(keys)
        shrunk = [(b"".join(self._claims.open[row]), len(self._claims.open[row]), row) for row in left]
        with self._database.writing(durable=False) as connection:
            connection.executemany(sql.DROP_CLAIM, [(row,) for row in empty])
            connection.executemany(sql.SHRINK_CLAIM, shrunk)

    def news(self) -> list[Known]:
        """Return what other runs have finished since this was last asked."""
        with self._database.explaining():
            self._look(self._database.connection())
        news, self._news = self._news, []
        return news

    def waiting(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return those of `keys` that other live runs still have; ask for `news` first."""
        with self._database.explaining():
            taken = self._taken(self._database.connection(), drop_dead=False)
        return [key for key in keys if key in taken] if taken else []

    def heartbeat(self) -> None:
        """Say that this run is alive, to runs that cannot look its process up. May be called from any thread."""
        with self._database.writing(durable=False) as connection:
            connection.execute(sql.HEARTBEAT, (self._clock.now(), self.id))

    def finish(self, status: str, counts: dict[str, int]) -> None:
        """Close the run's book: its claims are released and its end is noted. Idempotent."""
        faultpoints.at("run.finishing")
        now = self._clock.now()
        with self._database.writing() as connection:
            connection.execute(sql.DROP_CLAIMS_OF_RUN, (self.id,))
            connection.execute(sql.FINISH_RUN, (status, json.dumps(counts), now, now, self.id))
        self._claims = _Claims()

    def _look(self, connection: sqlite3.Connection) -> None:
        """Read what others appended. Ids grow in commit order, so nothing appears below what was seen."""
        found = connection.execute(sql.NEWS, (self._seen, self._experiment)).fetchall()
        if found:
            news = [Known._make(row) for row in found]
            self._seen = news[-1].id
            self._news += news
            self._others.update((known.key, known.id) for known in news)

    def _taken(self, connection: sqlite3.Connection, *, drop_dead: bool) -> set[bytes]:
        """Return the keys that other live runs have claimed; some may be finished already."""
        claims = connection.execute(sql.OTHERS_CLAIMS, (self.id,)).fetchall()
        if not claims:
            return set()
        claiming = {row[0]: Process._make(row) for row in connection.execute(sql.CLAIMING_RUNS, (self.id,))}
        dead = {run for run, process in claiming.items() if self._live.is_dead(process)}
        if drop_dead and dead:
            connection.executemany(sql.DROP_CLAIMS_OF_RUN, [(run,) for run in dead])
        taken: set[bytes] = set()
        for run, keys in claims:
            if run in claiming and run not in dead:
                taken.update(keys[i : i + KEY] for i in range(0, len(keys), KEY))
        return taken

    def _decide(
        self, connection: sqlite3.Connection, rows: Sequence[TaskRow]
    ) -> tuple[Sequence[TaskRow], list[int], list[TaskRow], tuple[dict[bytes, int], dict[bytes, Known]]]:
        """Split rows by what stands in the store: kept, ids that they replace, late failures, and who outdid them."""
        standing = self._standing(connection, rows)
        if not standing:
            return rows, [], [], ({}, {})
        kept, replaced, late = [], [], []
        ids: dict[bytes, int] = {}
        superseded: dict[bytes, Known] = {}
        for row in rows:
            older = standing.get(row.key)
            if older is None:
                kept.append(row)
            elif older.status != DONE or (
                row.outcome.status == DONE and self.previous.get(row.key) == older.id
            ):
                kept.append(row)
                replaced.append(older.id)
            else:
                if row.outcome.status == FAILED:
                    late.append(row)
                if self.previous.get(row.key) == older.id:
                    ids[row.key] = older.id  # asked to compute again, and it failed: what was there stays
                else:
                    superseded[row.key] = older
        return kept, replaced, late, (ids, superseded)

    def _standing(self, connection: sqlite3.Connection, rows: Sequence[TaskRow]) -> dict[bytes, Known]:
        """Return the rows in the store that have these keys; costs nothing where there can be none."""
        claimed, others, previous = self._claims.row_of, self._others, self.previous
        if not others and not previous and all(map(claimed.__contains__, [row.key for row in rows])):
            return {}
        ids = []
        standing: dict[bytes, Known] = {}
        for row in rows:
            key = row.key
            if others and key in others:
                ids.append(others[key])
            elif previous and key in previous:
                ids.append(previous[key])
            elif key not in claimed:
                # Nobody promised that this key is new: the slow, certain way.
                for found in connection.execute(sql.KNOWN_BY_KEY, (key,)):
                    standing[key] = Known._make(found)
        for known in self._known(connection, ids):
            standing[known.key] = known
        return standing

    def _known(self, connection: sqlite3.Connection, ids: Sequence[int]) -> list[Known]:
        if not ids:
            return []
        return [Known._make(row) for row in connection.execute(sql.KNOWN_BY_ID, (json.dumps(list(ids)),))]

    def _append(self, connection: sqlite3.Connection, rows: Sequence[TaskRow], first: int) -> None:
        if not rows:
            return
        experiment, run, tiny = self._experiment, self.id, encode.TINY
        plain = encode.plain_values(rows, first, experiment, run)
        if plain is not None:
            insert(connection, sql.ADD_PLAIN_TASK, plain)
            connection.execute(sql.SET_LAST_TASK, (first + len(rows) - 1,))
            return
        values = [encode.task_values(row, first + i, experiment, run) for i, row in enumerate(rows)]
        insert(connection, sql.ADD_TASK, values)
        blobs = [
            (first + i, value.data)
            for i, row in enumerate(rows)
            if (value := row.outcome.value) is not None and value.data is not None and len(value.data) > tiny
        ]
        insert(connection, sql.ADD_BLOB, blobs)
        metrics = [
            encode.metric_values(first + i, series)
            for i, row in enumerate(rows)
            for series in row.outcome.metrics
        ]
        insert(connection, sql.ADD_METRIC, metrics)
        connection.execute(sql.SET_LAST_TASK, (first + len(rows) - 1,))


def insert(connection: sqlite3.Connection, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows; a text that is no Unicode (a file name, what a task printed) must not lose a commit."""
    if not values:
        return
    connection.execute("SAVEPOINT rows")
    try:
        connection.executemany(statement, values)
    except UnicodeEncodeError:
        connection.execute("ROLLBACK TO rows")
        connection.executemany(statement, [encode.cleaned(row) for row in values])
    connection.execute("RELEASE rows")


def drop_tasks(connection: sqlite3.Connection, ids: Iterable[int], *, keep_attempts: bool) -> None:
    """Delete rows of tasks with all that hangs on them; failures are kept as attempts if asked."""
    each = [(number,) for number in ids]
    if keep_attempts:
        connection.executemany(sql.KEEP_AS_ATTEMPT, each)
    for statement in (sql.DROP_TASK, sql.DROP_BLOB, sql.DROP_METRICS):
        connection.executemany(statement, each)
