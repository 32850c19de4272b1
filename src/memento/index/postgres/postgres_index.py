"""The index in PostgreSQL: open it, make its tables, begin runs that several hosts share.

Knows: the tables. May not know: how a connection is kept, values, the store's other files.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from memento.clock import Clock
from memento.errors import NotAStore, StoreDamaged, StoreTooNew
from memento.index.postgres import statements
from memento.index.postgres.address import read_address
from memento.index.postgres.connections import Server
from memento.index.tables.table_index import TableIndex
from memento.index.tables.writer import TableRun
from memento.index.types import Table, View

if TYPE_CHECKING:
    from memento.index.run_contract import Run
    from memento.records import RunInfo

_M = TypeVar("_M", bound=Callable[..., Any])


def _patient(method: _M) -> _M:
    """Return a method that does a transaction again, as a whole, where the server was lost in the middle."""

    @functools.wraps(method)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        return self.database.patiently(lambda: method(self, *given, **named))

    return call  # type: ignore[return-value]  # it has the method's own parameters


class ServerClock:
    """The server's time, by this machine's monotonic clock: what all hosts of a store write agrees."""

    def __init__(self, clock: Clock, now: float) -> None:
        self.monotonic = clock.monotonic
        self._ahead = now - clock.monotonic()

    def now(self) -> float:
        """UTC seconds."""
        return self._ahead + self.monotonic()


class PostgresRun(TableRun):
    """The only writer of one run's results, with patience; a heartbeat has none: the next one comes soon."""

    code = _patient(TableRun.code)
    claim = _patient(TableRun.claim)
    commit = _patient(TableRun.commit)
    bring = _patient(TableRun.bring)
    absorb = _patient(TableRun.absorb)
    declare = _patient(TableRun.declare)
    release = _patient(TableRun.release)
    answer = _patient(TableRun.answer)
    finish = _patient(TableRun.finish)


class PostgresIndex(TableIndex):
    """A store's records in the tables of a schema."""

    database: Server
    run_class: Any = PostgresRun

    def __enter__(self) -> PostgresIndex:
        return self

    # --- opening ---------------------------------------------------------------------------------------

    @classmethod
    def exists(cls, address: str) -> bool:
        server = _server(address, None, readonly=True)
        try:
            return bool(server.all(server.sql.THERE)[0][0])
        finally:
            server.close()

    @classmethod
    def open(cls, address: str, *, create: bool, readonly: bool, clock: Clock) -> PostgresIndex:
        server = _server(address, clock, readonly=readonly)
        try:
            _check(server, may_make=create and not readonly)
            (now,) = server.all(server.sql.SERVER_TIME)[0]
        except BaseException:
            server.close()
            raise
        index = cls(server, ServerClock(clock, now), [])
        index.notes = server.notes
        return index

    def close(self) -> None:
        self.database.close()

    @property
    def is_gone(self) -> bool:
        return not self.database.all(self.sql.THERE)[0][0]

    def home(self, offered: str = "") -> str:
        if offered:
            self.database.all(self.sql.NOTE_HOME, (offered,))
        return str(self.database.all(self.sql.HOME)[0][0])

    # --- writing ---------------------------------------------------------------------------------------

    @_patient
    def begin(
        self, info: RunInfo, cached: int = 0, committed: Callable[[Collection[bytes]], None] | None = None
    ) -> Run:
        with self.database.writing(durable=False) as connection:
            connection.execute(self.sql.DROP_OLD_MARKS)
        return super().begin(info, cached, committed)

    note_codes = _patient(TableIndex.note_codes)
    relabel = _patient(TableIndex.relabel)
    adopt = _patient(TableIndex.adopt)
    forget = _patient(TableIndex.forget)
    retry = _patient(TableIndex.retry)
    discard = _patient(TableIndex.discard)
    rename = _patient(TableIndex.rename)
    moved = _patient(TableIndex.moved)
    send = _patient(TableIndex.send)
    strays = _patient(TableIndex.strays)
    forget_log = _patient(TableIndex.forget_log)
    # What reads in one transaction.
    experiments = _patient(TableIndex.experiments)
    names = _patient(TableIndex.names)

    def parameters(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        return dict(self.database.all(self.sql.PARAMS_OF, (list(keys),)))

    # --- questions in SQL ------------------------------------------------------------------------------

    def views(self) -> list[View]:
        from memento.index.postgres.asking import views

        return views(self.database)

    @_patient
    def query(self, statement: str, seconds: float, limit: int | None = None) -> Table:
        from memento.index.postgres.asking import query

        living = [owner.run for owner in self.leases.alive(self._owners())]
        return query(self.database, statement, seconds, limit, living)

    # --- maintenance -----------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        faults = _missing(self.database)
        if not faults and not self.database.all(self.sql.IDS_LOOK_RIGHT)[0][0]:
            faults.append("the counter of rows is wrong")
        return faults


def _server(address: str, clock: Clock | None, *, readonly: bool) -> Server:
    from memento.clock import SYSTEM_CLOCK

    try:
        where = read_address(address)
    except ValueError as error:
        raise NotAStore("store", f"this address cannot be read: {error}", "Check it.") from None
    server = Server(where, clock or SYSTEM_CLOCK, readonly=readonly)
    server.open()
    return server


def _check(server: Server, *, may_make: bool) -> None:
    """Make the tables, or check that they are ours and can be read by this release."""
    if not server.all(server.sql.THERE)[0][0]:
        if not may_make:
            raise NotAStore(
                server.location,
                f"there is no store in the schema {server.schema!r} of this database.",
                "Check the address, or run an experiment first.",
            )
        server.patiently(lambda: _make(server))
    version = server.all(server.sql.READ_VERSION)[0][0]
    if version > statements.VERSION:
        raise StoreTooNew(
            server.location,
            f"a later release of Memento wrote it (format {version}, this one knows {statements.VERSION}).",
            "Install the latest release: pip install -U memento-ml.",
        )
    for fault in _missing(server):
        raise StoreDamaged(server.location, f"{fault}.", "Restore the database from a backup.")


def _make(server: Server) -> None:
    """Make the tables, unless another process was first."""
    sql = server.sql
    with server.locked() as connection:
        found = [name for (name,) in connection.execute(sql.TABLES_THERE, (server.schema,))]
        if "about" in found:
            return
        if found:
            raise NotAStore(
                server.location,
                f"the schema {server.schema!r} belongs to another program (it has {found[0]!r}).",
                "Choose another one: ?schema=NAME at the end of the address.",
            )
        (encoding,) = connection.execute(sql.SERVER_ENCODING).fetchone()
        if encoding != "UTF8":
            raise NotAStore(
                server.location,
                f"the database keeps texts as {encoding}.",
                "Make one that takes all: createdb --encoding=UTF8 --template=template0 NAME.",
            )
        if not connection.execute(sql.HAS_SCHEMA, (server.schema,)).fetchone()[0]:
            connection.raw.execute(f'CREATE SCHEMA "{server.schema}"')
        connection.raw.execute(sql.SCHEMA)
        connection.raw.execute("COMMIT")


def _missing(server: Server) -> list[str]:
    there = {name for (name,) in server.all(server.sql.TABLES_THERE, (server.schema,))}
    return [f"the table {name} is missing" for name in statements.TABLES if name not in there]
