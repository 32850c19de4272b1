"""Connections to PostgreSQL: short transactions under one lock, and patience with a server that goes and comes.

Long because a connection, its transactions and what is done when it is lost are read together.

Knows: psycopg, threads, forks. May not know: what the tables hold.

Owners      One connection a thread and process; a copy of a process (fork) lets go of what it got from the original.
Pools       Nothing is set for a session, nothing prepared, no lock outlives a transaction: any pool of transactions
            (pgbouncer) may stand between.
Lost        A statement outside of a transaction is sent again; so is a transaction, as a whole, by who began it
            (`Server.patiently`). A COMMIT that was not answered may have been done: each transaction leaves a mark, and
            whoever takes the lock after it sees whether the mark is there.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from memento.clock import Clock
from memento.errors import NotAStore, StoreUnwritable
from memento.index.heartbeat import let_go
from memento.index.postgres.address import Address
from memento.index.postgres.sqlstates import (
    Unreachable,
    comes,
    explained,
    first_line,
    load_psycopg,
    passes,
    what_to_do,
)
from memento.index.postgres.statements import placed, statements
from memento.index.tables.rows import cleaned

PATIENCE = 60.0  # seconds for which a server that does not answer is tried; a lease is three times as long
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds between two tries
_DEFAULTS = {  # of what the address does not say; a host that vanished must not be waited for, for hours
    "connect_timeout": "10",
    "application_name": "memento",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_T = TypeVar("_T")


class Connection:
    """A thread's connection, opened when it is used; see `memento.index.tables.base`."""

    def __init__(self, server: Server) -> None:
        self.server, self.sql = server, server.sql
        self.pid = os.getpid()
        self.raw: Any = None  # psycopg's
        self.within = False  # in a transaction of ours
        self.last_mark = 0  # of the transaction that was committed last: nobody looks for it any more
        with _OPENING:
            _OPENED.add(self)

    def execute(self, statement: str, values: Any = (), /) -> Any:
        """Run a statement; outside of a transaction with patience."""
        if self.within:
            return self.raw.execute(statement, values, binary=True)
        return self.server.patiently(lambda: self._once(statement, values))

    def executemany(self, statement: str, rows: Any, /) -> Any:
        cursor = self.raw.cursor()
        if rows:
            cursor.executemany(statement, rows)
        return cursor

    def insert(self, into: str, rows: Sequence[tuple[Any, ...]], /) -> None:
        if not rows:
            return
        self.raw.execute("SAVEPOINT rows")
        try:
            self._copy(into, rows)
        except (UnicodeEncodeError, load_psycopg().DataError):
            self.raw.execute("ROLLBACK TO rows")
            self._copy(into, [cleaned(row) for row in rows])
        self.raw.execute("RELEASE rows")

    def _copy(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with self.raw.cursor().copy(f"COPY {into} FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def add(self, statement: str, values: Sequence[Any], /) -> int:
        return int(self.execute(f"{statement} RETURNING id", values).fetchone()[0])

    def take_ids(self, count: int, /) -> int:
        return int(self.execute(self.sql.TAKE_IDS, {"count": count}).fetchone()[0])

    def begin(self, *statements: str) -> None:
        """Begin a transaction, in one message."""
        try:
            with self.server.explaining():
                self.open().execute("; ".join(statements))
        except BaseException:
            self.end()  # it may have begun, and not got the lock
            raise
        self.within = True

    def end(self) -> None:
        """Undo what was begun, where that is not over."""
        self.within = False
        if self.raw is not None and not self.raw.closed and self.raw.info.transaction_status:
            try:
                self.raw.execute("ROLLBACK")
            except load_psycopg().Error:
                self.close()

    def commit(self, mark: int) -> None:
        """Commit; where no answer came, find out whether that was done, and raise Unreachable if not."""
        try:
            done = self.raw.execute("COMMIT").statusmessage
        except load_psycopg().Error as error:
            if not passes(error):
                raise
            self.within = False
            self.close()
            if not self.server.patiently(lambda: self._is_committed(mark)):
                raise
        else:
            assert done == "COMMIT", done  # an error that somebody suppressed has undone it
        self.within = False
        self.last_mark = mark

    def _is_committed(self, mark: int) -> bool:
        """Look under the lock, which a transaction that may still be committing holds until that is decided."""
        self.begin(self.server.lock)
        try:
            return self.raw.execute(self.sql.IS_COMMITTED, (mark,)).fetchone() is not None
        finally:
            self.end()

    def _once(self, statement: str, values: Any) -> Any:
        with self.server.explaining():
            return self.open().execute(statement, values, binary=True)

    def open(self) -> Any:
        """Return psycopg's connection, which is made anew where it was lost."""
        if self.raw is None or self.raw.closed:
            self.raw = self.server.connect()
            weakref.finalize(self, _end, self.pid, self.raw)  # with its thread
        return self.raw

    def close(self) -> None:
        """Close it, in the process that opened it. Idempotent."""
        if self.pid == os.getpid() and self.raw is not None:
            self.raw.close()
        self.raw = None


_OPENED: weakref.WeakSet[Connection] = weakref.WeakSet()
_OPENING = threading.Lock()  # another thread may open one while this one looks at all
# psycopg's, from before a fork: kept, so that nobody says goodbye in the original's name.
_inherited: list[Any] = []


def _end(pid: int, raw: Any) -> None:
    if pid == os.getpid():
        raw.close()
    else:
        _inherited.append(raw)


def _let_go() -> None:
    """In a copy of a process: close its side of the sockets, so that the server sees when the original ends."""
    global _OPENING
    for connection in list(_OPENED):
        if connection.raw is not None and connection.pid != os.getpid():
            with suppress(Exception):
                os.close(connection.raw.fileno())
            _inherited.append(connection.raw)
            connection.raw = None
    _OPENED.clear()
    _OPENING = threading.Lock()  # a thread that is not here may hold the other


def _sockets() -> list[int]:
    """Return the descriptors of what is open, which a copy of this process lets go of."""
    with _OPENING:
        opened = list(_OPENED)
    found = [one.raw for one in opened if one.raw is not None and one.pid == os.getpid()]
    return [raw.fileno() for raw in found if not raw.closed]


let_go.append(_sockets)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


class Server:
    """The database that keeps a store's tables, with a connection for each thread and process."""

    def __init__(self, address: Address, clock: Clock, *, readonly: bool = False) -> None:
        self.location, self.readonly = address.shown, readonly
        self.sql: Any = statements(address.schema)
        self.schema = address.schema
        self.notes: list[str] = []  # what people should know
        key = hashlib.blake2b(b"memento " + address.schema.encode(), digest_size=8).digest()
        self.lock: str = self.sql.LOCK.format(lock=int.from_bytes(key, "big", signed=True))
        self._conninfo = address.conninfo
        self._clock = clock
        self._local = threading.local()
        self._ours: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._stopped = threading.Event()
        self._told_until = -PATIENCE  # it is not said again that the server does not answer (monotonic)

    def listed(self, ids: Iterable[int], /) -> list[int]:
        return list(ids)

    def placed(self, text: str) -> str:
        """Return a statement for these tables."""
        return placed(text, self.schema)

    def now(self) -> float:
        """Seconds of this machine's monotonic clock."""
        return self._clock.monotonic()

    # --- connecting ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect for the first time: a server that is about to answer is waited for, any other is not.

        Raises `NotAStore` where there is no such server or database, or it does not let this user in.
        """
        psycopg = load_psycopg()
        try:
            self.patiently(self.connection().open, first=True)
        except psycopg.Error as error:
            raise NotAStore(
                self.location,
                f"PostgreSQL cannot be reached ({first_line(error)}).",
                what_to_do(error),
            ) from error

    def connect(self) -> Any:
        """Return a new connection of psycopg."""
        psycopg = load_psycopg()
        named = psycopg.conninfo.conninfo_to_dict(self._conninfo)
        settings = {**_DEFAULTS, **named, "client_encoding": "utf8"}
        return psycopg.connect(**settings, autocommit=True, prepare_threshold=None)

    def connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None or connection.pid != os.getpid():
            connection = self._local.connection = Connection(self)
            self._ours.add(connection)
        return connection

    def close(self) -> None:
        for connection in list(self._ours):
            connection.close()
        self._ours.clear()
        self._local = threading.local()

    # --- patience --------------------------------------------------------------------------------------

    def patiently(self, body: Callable[[], _T], *, first: bool = False) -> _T:
        """Do something whole, and again where the server was lost; for a minute.

        Within a transaction it is done once: who began that does all of it again.
        """
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None and connection.within:
            return body()
        until: float | None = None  # monotonic
        pause = 0.0
        while True:
            try:
                return body()
            except (Unreachable, load_psycopg().OperationalError) as error:
                if first and not comes(error):
                    raise
                first = False  # between going and coming again nothing listens there for a moment
                # From now: what was done before the server was lost may have taken long, or this machine have slept.
                now = self._clock.monotonic()
                until = now + PATIENCE if until is None else until
                left = until - now
                if left <= 0:
                    raise
                if pause:  # at once it was tried again already
                    self._tell(error, left)
                    self._stopped.wait(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE) or _FIRST_PAUSE

    def _tell(self, error: Exception, left: float) -> None:
        """Say that the server is waited for, once a minute."""
        now = self._clock.monotonic()
        if now < self._told_until:
            return
        import logging
        import time

        self._told_until = now + PATIENCE
        until = time.strftime("%H:%M:%S", time.localtime(self._clock.now() + left))
        why = error.why if isinstance(error, Unreachable) else first_line(error)
        note = f"PostgreSQL at {self.location} does not answer ({why}); trying again until {until}"
        self.notes.append(note)
        logging.getLogger("memento.store").warning("%s", note)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Raise errors of PostgreSQL as ours; a connection that was lost is let go of."""
        psycopg = load_psycopg()
        try:
            yield
        except psycopg.Error as error:
            ours = explained(error, self.location)
            if ours is None:
                raise
            if isinstance(ours, Unreachable):
                self.connection().close()
            raise ours from error

    # --- statements and transactions -------------------------------------------------------------------

    def all(self, statement: str, values: Any = (), /) -> list[Any]:
        with self.explaining():
            found: list[Any] = self.connection().execute(statement, values).fetchall()
        return found

    def taken(self, take: Callable[[Iterable[Any]], _T], statement: str, values: Any, /) -> _T:
        return take(self.all(statement, values))

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        connection = self.connection()
        if connection.within:
            yield connection
            return
        connection.begin(self.sql.SNAPSHOT)
        try:
            with self.explaining():
                yield connection
        finally:
            connection.end()

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Hold the writers' lock for one short transaction; on leaving, it is committed or undone whole.

        Also what need not be `durable` is: runs outlive a crash of the server, and claims that it forgot would be taken
        by others while their tasks are computed. Raises Unreachable where the server was lost and nothing is committed.
        """
        mark = int.from_bytes(os.urandom(8), "big") >> 1
        marked = self.sql.MARK.format(mark=mark, last=self.connection().last_mark)
        with self.locked(self.sql.DURABLE, marked) as connection:
            yield connection
            connection.commit(mark)

    @contextmanager
    def locked(self, *more: str) -> Iterator[Connection]:
        """Hold the writers' lock in a transaction that is undone on leaving, unless it was committed."""
        if self.readonly:
            raise StoreUnwritable(
                self.location,
                "it was opened for reading only.",
                "Open it without readonly=True to change it.",
            )
        connection = self.connection()
        connection.begin(self.lock, *more)
        try:
            with self.explaining():
                yield connection
        finally:
            connection.end()
