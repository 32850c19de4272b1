"""Write one run's results: claim tasks, commit outcomes, hear what other runs finished.

Knows: claims, commits, leases. May not know: executors, matrices, how values are encoded.

Every step is one short transaction under the writer's lock, in which it first reads the rows that others appended since
its last look: what a run believes of the store is true while it writes.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count, repeat
from typing import TYPE_CHECKING, Any

from memento import faultpoints
from memento.clock import Clock
from memento.errors import StoreError
from memento.index.lease import KEY, Leases
from memento.index.run_contract import Run
from memento.index.tables import rows as encode
from memento.index.tables.write_values import (
    absorb,
    add_code,
    add_tasks,
    bring,
    declare,
    drop_leases,
    drop_tasks,
    keep_order,
)
from memento.index.types import (
    Activity,
    Brought,
    Claim,
    Command,
    Committed,
    Numbers,
    OfRuns,
    Owner,
    Standing,
)
from memento.records import DONE, FAILED, CodeVersion, Known, TaskRow

if TYPE_CHECKING:
    from memento.index.declared_values import Declared
    from memento.index.tables.base import Connection, Database

_SHOWN_BY_ITSELF = 2.0  # seconds after which it is written without one
_SHOW_EVERY = 1.0  # seconds between writes of what workers are at: a commit may carry it, but not each one


class _Claims:
    """This run's own claims: for each row, the keys that are still open."""

    def __init__(self) -> None:
        self.open: dict[int, set[bytes]] = {}
        self.row_of: dict[bytes, int] = {}

    def add(self, row: int, keys: Sequence[bytes]) -> None:
        self.open[row] = set(keys)
        self.row_of.update(dict.fromkeys(keys, row))

    def without(
        self, keys: Collection[bytes], named: Iterable[bytes]
    ) -> tuple[list[tuple[int]], list[tuple[bytes, int, int]]]:
        """Return the rows that go when these keys are left, each named once, and what others of `named` have then."""
        counts = Counter(map(self.row_of.get, keys))
        empty = [row for row, count in counts.items() if row is not None and count == len(self.open[row])]
        others = set(map(self.row_of.get, named)).difference(empty)
        left = [(row, self.open[row].difference(keys)) for row in others if row is not None]
        return [(row,) for row in empty], [(b"".join(still), len(still), row) for row, still in left]

    def close(self, keys: Collection[bytes]) -> None:
        """Let go of keys."""
        touched = set(map(self.row_of.pop, keys, repeat(None)))
        for row in touched:
            if row is not None:
                self.open[row].difference_update(keys)
                if not self.open[row]:
                    del self.open[row]


class TableRun(Run):
    """The only writer of one run's results; made by `TableIndex.begin`."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        row: tuple[int, str, int, str],
        seen: int,
        last_command: int,
        leases: Leases,
        committed: Callable[[Collection[bytes]], None] | None,
    ) -> None:
        self.id, self.name, self._experiment, self._experiment_name = row
        self.previous: dict[bytes, int] = {}
        self.database, self._sql = database, database.sql
        self._clock = clock
        self._seen = seen  # the highest id of a task that this run knows of
        self._leases = leases
        self._committed = committed
        self._claims = _Claims()
        self._others: dict[bytes, int] = {}  # key -> id, of rows that others appended since this run planned
        self._news: list[Known] = []  # of these, what was not told yet
        self._codes: dict[bytes, int] = {}
        self._last_command = last_command
        self._events: deque[tuple[int, float, str, str]] = deque()  # not written yet
        # What to show, where that is not written yet.
        self._activities: tuple[Sequence[Activity], Standing | None] | None = None
        self._shown = -_SHOW_EVERY  # when it was written last, monotonic

    def code(self, version: CodeVersion) -> int:
        known = self._codes.get(version.digest)
        if known is None:
            with self.database.writing() as connection:
                known = add_code(connection, version, self._clock.now(), self.id)
            self._codes[version.digest] = known
        return known

    def mixed_code(self, present: int, older: Sequence[bytes]) -> int:
        from memento.index.versions import mixed

        digests = {number: bytes(digest) for number, digest in self.database.all(self._sql.CODE_DIGESTS)}
        return self.code(mixed([digests[present], *older]))

    def claim(self, keys: Sequence[bytes]) -> Claim:
        with self.database.writing(durable=False) as connection:
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
                row = connection.add(self._sql.ADD_CLAIM, (self.id, b"".join(fresh), len(fresh)))
            faultpoints.at("claim.inside")
        if fresh:
            faultpoints.at("claim.made")
            self._claims.add(row, fresh)
        return Claim(granted, elsewhere, records)

    def commit(
        self, rows: Sequence[TaskRow], failed_attempts: Sequence[tuple[bytes, TaskRow]] = ()
    ) -> Committed:
        faultpoints.at("commit.before")
        with self.database.writing() as connection:
            self._look(connection)
            kept, replaced, late, outdone = self._decide(connection, rows)
            first = connection.take_ids(len(kept)) if kept else 0
            self._append(connection, kept, first)
            attempts = [encode.attempt_values(row, self._experiment, self.id) for _, row in failed_attempts]
            attempts += [encode.attempt_values(row, self._experiment, self.id) for row in late]
            connection.insert(self._sql.ADD_ATTEMPT, attempts)
            if replaced:
                drop_tasks(connection, replaced, keep_attempts=True)
            keys = [row.key for row in rows]
            # What is done shows in its row; what failed may be tried by others, so it must leave the claim.
            failed = [row.key for row in rows if row.outcome.failure is not None]
            empty, shrunk = self._claims.without(keys, failed)
            connection.executemany(self._sql.DROP_CLAIM, empty)
            connection.executemany(self._sql.SHRINK_CLAIM, shrunk)
            self._write_told(connection)
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
        if self._committed is not None:
            self._committed(ids.keys() - failed)
        return Committed({**ids, **outdone[0]} if outdone[0] else ids, outdone[1])

    def bring(self, brought: Brought) -> Numbers:
        with self.database.writing() as connection:
            return bring(connection, self._experiment, brought)

    def absorb(self, rows: OfRuns, attempts: OfRuns, replaced: Collection[int]) -> bool:
        mine = (self.id, self._experiment)
        done = absorb(self.database, self._leases, mine, rows, attempts, replaced)
        self.release([row.key for _, row in rows] if done else ())
        return done

    def declare(self, axes: Sequence[Declared], keys: bytes, follows: bool) -> list[Sequence[str]]:
        with self.database.writing(durable=False) as connection:
            keep_order(connection, self._experiment, keys, follows)
            return declare(connection, self._experiment, axes)

    def release(self, keys: Iterable[bytes]) -> None:
        keys = {key for key in keys if key in self._claims.row_of}
        if not keys:
            return
        empty, shrunk = self._claims.without(keys, keys)
        with self.database.writing(durable=False) as connection:
            connection.executemany(self._sql.DROP_CLAIM, empty)
            connection.executemany(self._sql.SHRINK_CLAIM, shrunk)
        self._claims.close(keys)

    def news(self) -> list[Known]:
        with self.database.explaining():
            self._look(self.database.connection())
        news, self._news = self._news, []
        return news

    def waiting(self, keys: Iterable[bytes]) -> list[bytes]:
        with self.database.explaining():
            taken = self._taken(self.database.connection(), drop_dead=False)
        return [key for key in keys if key in taken] if taken else []

    def heartbeat(self) -> None:
        with self.database.writing(durable=False) as connection:
            connection.execute(self._sql.HEARTBEAT, {"now": self._clock.now(), "run": self.id})
            self._write_told(connection)

    def finish(self, status: str, counts: dict[str, int]) -> None:
        faultpoints.at("run.finishing")
        now = self._clock.now()
        with self.database.writing() as connection:
            self._write_told(connection)
            connection.execute(self._sql.DROP_ACTIVITY, (self.id,))
            connection.execute(self._sql.DROP_CLAIMS_OF_RUN, (self.id,))
            connection.execute(self._sql.FINISH_RUN, (status, json.dumps(counts), now, now, self.id))
        self._claims = _Claims()

    def commands(self) -> list[Command]:
        asked = (self._last_command, self.id, self._experiment_name)
        found = [encode.read_command(row) for row in self.database.all(self._sql.COMMANDS, asked)]
        if found:
            self._last_command = found[-1].id
        return found

    def answer(self, command: int, text: str, *, undo: str = "", done: bool = True) -> None:
        with self.database.writing(durable=False) as connection:
            values = encode.cleaned((command, self.id, self._clock.now(), text, undo, int(done)))
            connection.execute(self._sql.ADD_ANSWER, values)
            self._shown = -_SHOW_EVERY  # what was done shows at once
            self._write_told(connection)

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        self._events.append((self.id, self._clock.now(), kind, json.dumps(data, default=str)))

    def show(self, activities: Sequence[Activity], standing: Standing | None = None) -> None:
        # A run whose tasks take long has no commit that would carry it, and time to spare.
        late = self._activities is not None and self._clock.monotonic() >= self._shown + _SHOWN_BY_ITSELF
        self._activities = activities, standing
        if late:
            with suppress(StoreError), self.database.writing(durable=False) as connection:
                self._write_told(connection)

    def _write_told(self, connection: Connection) -> None:
        """Write what was told and shown, within a transaction; costs two comparisons where there is nothing."""
        if self._events:
            told = [self._events.popleft() for _ in range(len(self._events))]
            connection.executemany(self._sql.ADD_EVENT, told)
        if self._activities is not None and self._clock.monotonic() >= self._shown + _SHOW_EVERY:
            shown, self._activities = self._activities, None
            values = encode.activity_text(*shown)
            connection.execute(self._sql.SET_ACTIVITY, (self.id, self._clock.now(), values))
            self._shown = self._clock.monotonic()

    def _look(self, connection: Connection) -> None:
        """Read what others appended. Ids grow in commit order, so nothing appears below what was seen."""
        found = connection.execute(self._sql.NEWS, (self._seen, self._experiment)).fetchall()
        if found:
            news = [Known._make(row) for row in found]
            self._seen = news[-1].id
            self._news += news
            self._others.update((known.key, known.id) for known in news)

    def _taken(self, connection: Connection, *, drop_dead: bool) -> set[bytes]:
        """Return the keys that other live runs have claimed; some may be finished already."""
        claims = connection.execute(self._sql.OTHERS_CLAIMS, (self.id,)).fetchall()
        if not claims:
            return set()
        claiming = {row[0]: Owner(*row) for row in connection.execute(self._sql.CLAIMING_RUNS, (self.id,))}
        dead = {run for run, owner in claiming.items() if self._leases.is_dead(owner)}
        if drop_dead and dead:
            drop_leases(connection, dead)
        taken: set[bytes] = set()
        for run, keys in claims:
            if run in claiming and run not in dead:
                taken.update(keys[i : i + KEY] for i in range(0, len(keys), KEY))
        return taken

    def _decide(
        self, connection: Connection, rows: Sequence[TaskRow]
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

    def _standing(self, connection: Connection, rows: Sequence[TaskRow]) -> dict[bytes, Known]:
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
                for found in connection.execute(self._sql.KNOWN_BY_KEY, (key,)):
                    standing[key] = Known._make(found)
        for known in self._known(connection, ids):
            standing[known.key] = known
        return standing

    def _known(self, connection: Connection, ids: Sequence[int]) -> list[Known]:
        if not ids:
            return []
        return [
            Known._make(row)
            for row in connection.execute(self._sql.KNOWN_BY_ID, (self.database.listed(ids),))
        ]

    def _append(self, connection: Connection, rows: Sequence[TaskRow], first: int) -> None:
        if not rows:
            return
        experiment, run, tiny = self._experiment, self.id, self._sql.TINY
        plain = encode.plain_values(rows, first, experiment, run, tiny)
        if plain is not None:
            connection.insert(self._sql.ADD_PLAIN_TASK, plain)
            return
        add_tasks(connection, first, experiment, [(run, row) for row in rows])
