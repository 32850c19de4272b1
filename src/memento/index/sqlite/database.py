"""Connections to the index, and what SQLite's errors mean for people.

Long because a connection, its transactions and its errors are read together.

Knows: SQLite's settings, threads, forks. May not know: what the tables hold.

One connection a thread and process: a fork must not use its parent's (sqlite.org/howtocorrupt.html, 2.6), so
a child opens its own, and keeps the parent's untouched for as long as it lives.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from memento import system
from memento.errors import NotAStore, StoreDamaged, StoreError, StoreUnwritable
from memento.index.heartbeat import foreign_threads
from memento.index.sqlite import sql
from memento.layout import INDEX_SUSPECT

if TYPE_CHECKING:
    from pathlib import Path
    from tempfile import TemporaryDirectory


_T = TypeVar("_T")
BUSY_SECONDS = 60.0  # a writer's transaction lasts milliseconds; this long means something hangs

# Primary result codes (sqlite.org/rescode.html): the low byte of an extended one.
_PERM, _BUSY, _LOCKED, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB = 3, 5, 6, 8, 10, 11, 13, 14, 26
_BY_TEXT = {  # Python 3.10 does not tell the code; these texts have not changed since SQLite 3.0
    "is locked": _BUSY,
    "readonly database": _READONLY,
    "disk I/O error": _IOERR,
    "malformed": _CORRUPT,
    "decode to UTF-8": _CORRUPT,  # of Python's module, without a code in any version
    "is full": _FULL,
    "unable to open": _CANTOPEN,
    "not a database": _NOTADB,
}

_inherited: list[sqlite3.Connection] = []  # from before a fork: kept, so that nobody closes them


def error_code(error: sqlite3.Error | UnicodeDecodeError) -> int:
    """Return SQLite's primary result code of an error; 0 where there is none."""
    if isinstance(error, UnicodeDecodeError):  # SQLite's message shows a declaration that is no text any more
        return _CORRUPT
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF
    told = next((code for text, code in _BY_TEXT.items() if text in str(error)), 0)
    # Without a text that can be decoded: this very class stands for a damaged file there.
    return told or (_CORRUPT if type(error) is sqlite3.DatabaseError else 0)


def is_locked(error: sqlite3.Error | UnicodeDecodeError) -> bool:
    """Tell whether another process held the lock for too long."""
    return error_code(error) in (_BUSY, _LOCKED)


def explained(error: sqlite3.Error | UnicodeDecodeError, index: str | os.PathLike[str]) -> StoreError | None:
    """Turn an error of SQLite into one that says what to do; None for one that is our own mistake."""
    code, path = error_code(error), os.fspath(index)
    if code in (_CORRUPT, _NOTADB):
        return StoreDamaged(
            path,
            f"the index is damaged ({error}).",
            "Run again: the next opening for writing rebuilds it from what can be read, and keeps the damaged file.",
        )
    if code == _FULL:
        return StoreUnwritable(
            path, "the disk is full.", "What was told as done is kept. Free some space and run again."
        )
    if code in (_READONLY, _PERM):
        return StoreUnwritable(
            path, "it may not be written here.", "Check its permissions, or choose another store."
        )
    if is_locked(error):
        return StoreUnwritable(
            path,
            f"another process has held its lock for more than {BUSY_SECONDS:.0f} seconds.",
            "Find and end it (a hung run, or a program that has the file open), then run again.",
        )
    if code == _IOERR:
        return StoreUnwritable(
            path,
            f"the disk failed, or a quota is used up ({error}).",
            "What was told as done is kept. Check the disk and your quota, then run again.",
        )
    if code == _CANTOPEN:
        return StoreUnwritable(path, "it cannot be opened.", "Check the folder's permissions and free space.")
    return None


def json_list(ids: Iterable[int]) -> str:
    """Write ids as a statement takes them: by json_each."""
    return f"[{','.join(map(str, ids))}]"


class Connection(sqlite3.Connection):
    """A connection with its statements; see `memento.index.tables.base`."""

    sql: Any = sql

    def insert(self, into: str, values: Sequence[tuple[Any, ...]]) -> None:
        if not values:
            return
        statement = f"INSERT INTO {into} VALUES ({', '.join('?' * len(values[0]))})"
        self.execute("SAVEPOINT rows")
        try:
            self.executemany(statement, values)
        except UnicodeEncodeError:
            from memento.index.tables.rows import cleaned

            self.execute("ROLLBACK TO rows")
            self.executemany(statement, [cleaned(row) for row in values])
        self.execute("RELEASE rows")

    def add(self, statement: str, values: Sequence[Any]) -> int:
        return int(self.execute(statement, values).lastrowid or 0)

    def take_ids(self, count: int) -> int:
        last = int(self.execute(sql.LAST_TASK).fetchone()[0])
        self.execute(sql.SET_LAST_TASK, (last + count,))
        return last + 1


class _Owned:
    """A connection that ends with its thread, in the process that opened it."""

    def __init__(self, connection: Connection, index: str) -> None:
        self.pid = os.getpid()
        self.connection = connection
        self.file = _identity(index)
        self.close = weakref.finalize(self, _let_go, self.pid, connection)
        _OPENED.add(self)


_OPENED: weakref.WeakSet[_Owned] = weakref.WeakSet()  # in this process, and in the one that it is a copy of


_alone = False  # whether a process that forks has one thread


def _note_threads() -> None:
    global _alone
    _alone = not foreign_threads()


def _close_inherited() -> None:
    """In a copy of a process that had an index open: make SQLite forget it, before anybody opens it here.

    SQLite counts for each file what its process has open and locked. It would count what only the original has, take
    no locks of its own, and two processes would write at once. Another thread may have been inside SQLite, whose locks
    nobody would open here; and a transaction would be undone in the memory that both processes share.
    """
    if _alone:
        for owned in list(_OPENED):
            if owned.pid != os.getpid() and not owned.connection.in_transaction:
                owned.connection.close()
                _OPENED.discard(owned)  # or a copy of this copy would ask what is closed


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_note_threads, after_in_child=_close_inherited)


def _identity(index: str) -> int:
    """Return what tells a file from another one of the same name; 0 where there is none."""
    try:
        return os.stat(index).st_ino
    except OSError:
        return 0


def _let_go(pid: int, connection: sqlite3.Connection) -> None:
    if pid == os.getpid():
        connection.close()
    else:
        _inherited.append(connection)


class Database:
    """One index file, opened as often as threads and processes need; where `readonly`, SQLite itself writes nothing."""

    sql: Any = sql
    listed = staticmethod(json_list)

    def __init__(self, index: str | os.PathLike[str], *, readonly: bool = False) -> None:
        self.location = os.fspath(index)
        self.readonly = readonly
        self.wal = not readonly and not system.is_network_path(os.path.dirname(self.location))
        self._local = threading.local()
        self._opened: weakref.WeakSet[_Owned] = weakref.WeakSet()
        self._copy: TemporaryDirectory[str] | None = None
        self._read_from: str | None = None

    @cached_property
    def index(self) -> Path:
        """The SQLite file."""
        from pathlib import Path  # 4 ms, which a cached run need not spend

        return Path(self.location)

    def connection(self) -> Connection:
        owned: _Owned | None = getattr(self._local, "owned", None)
        if owned is None or owned.pid != os.getpid():
            with self.explaining():
                owned = _Owned(self._open(), self.location)
            self._opened.add(owned)
            self._local.owned = owned  # what a fork brought along is let go of here, unclosed
        return owned.connection

    def reading_uri(self) -> str:
        """Return how another process may open for reading what this one reads; valid while this is open."""
        self.connection()
        return self._read_from or f"{self.index.absolute().as_uri()}?mode=ro"

    def close(self) -> None:
        for owned in list(self._opened):
            owned.close()
        self._opened.clear()
        self._local = threading.local()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def all(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        with self.explaining():
            return self.connection().execute(statement, values).fetchall()

    def taken(self, take: Callable[[Iterable[Any]], _T], statement: str, values: Any) -> _T:
        with self.explaining():
            return take(self.connection().execute(statement, values))

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Raise errors of SQLite as ours; mark a damaged index, so that the next opening checks it whole."""
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            ours = explained(error, self.location)
            if ours is None:
                raise
            if isinstance(ours, StoreDamaged) and not self.readonly:
                with suppress(OSError):
                    suspect_mark(self.index).touch()
            raise ours from error

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        connection = self.connection()
        with self.explaining():
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                # A failing disk has ended it: that is to be told, not this.
                with suppress(sqlite3.OperationalError):
                    connection.execute("ROLLBACK")

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Hold the writer's lock for one short transaction; on leaving, it is committed or undone whole.

        What is not `durable` may be lost with the power: claims die with their run.
        """
        if self.readonly:
            raise StoreUnwritable(
                self.location,
                "it was opened for reading only.",
                "Open it without readonly=True to change it.",
            )
        connection = self.connection()
        with self.explaining():
            if not durable:
                connection.execute("PRAGMA synchronous=NORMAL")
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._check_file()
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if not durable:
                    connection.execute("PRAGMA synchronous=FULL")

    def _check_file(self) -> None:
        """Refuse to write to a file that has no name any more: nobody would ever find it."""
        owned: _Owned = self._local.owned
        owned.file = owned.file or _identity(self.location)
        if _identity(self.location) != owned.file:
            raise StoreDamaged(
                self.location,
                "the index was removed or replaced while this process had it open.",
                "What was told as done until then is in the store, if that was kept. Run again.",
            )

    def _open(self) -> Connection:
        if self.readonly:
            return self._open_readonly()
        connection = sqlite3.connect(
            self.location,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=Connection,
        )
        try:
            # A folder that came from a network disk, or went to one, brings the other mode along. A file that
            # others have open cannot be switched; it goes on as it is.
            mode = "wal" if self.wal else "delete"
            with suppress(sqlite3.OperationalError):
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != mode:
                    if not os.path.getsize(self.location):
                        # Nothing is there that could be lost: without a journal it waits for the disk once, not four
                        # times.
                        connection.execute("PRAGMA journal_mode=memory")
                    connection.execute(f"PRAGMA journal_mode={mode}")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA cache_size=-16384")
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_readonly(self) -> Connection:
        from pathlib import Path

        if not self.index.is_file():
            raise NotAStore(str(self.index.parent), "there is no index.", "Check the path.")
        if self._copy is not None:
            return self._reader(Path(self._copy.name) / self.index.name, "mode=ro")
        journal = self.index.with_name(self.index.name + "-wal")
        try:
            connection = self._reader(self.index, "mode=ro")
        except sqlite3.OperationalError as error:
            if error_code(error) not in (_CANTOPEN, _READONLY, _IOERR, _PERM):
                raise
        else:
            return connection
        # A folder that may not be written: SQLite cannot make its shared memory there.
        if not journal.exists() or journal.stat().st_size == 0:
            return self._reader(self.index, "immutable=1")
        import shutil
        import tempfile

        # Changes that wait in the log would be overlooked: read a copy, which may have its shared memory.
        self._copy = tempfile.TemporaryDirectory(prefix="memento-", ignore_cleanup_errors=True)
        for file in (self.index, journal):
            shutil.copyfile(file, Path(self._copy.name) / file.name)
        return self._reader(Path(self._copy.name) / self.index.name, "mode=rw")

    def _reader(self, index: Path, mode: str) -> Connection:
        uri = f"{index.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
        self._read_from = uri
        return connection


def suspect_mark(index: Path) -> Path:
    """Name the file that says that an index looked damaged."""
    return index.with_name(INDEX_SUSPECT)


def make_tables(connection: sqlite3.Connection) -> None:
    """Write the schema, in the transaction that is open."""
    for statement in _statements():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {sql.VERSION}")


def schema_faults(connection: sqlite3.Connection) -> list[str]:
    """Say which tables, indexes and views are missing, or not declared as we declared them.

    SQLite checks its pages against the declarations that it finds, and finds nothing wrong where a bit of these has
    flipped: `id INTEGER` that reads `id INTEFER` has no ids.
    """
    there = {_bare(declared) for (declared,) in connection.execute(sql.DECLARATIONS)}
    names = {_created(declared) for declared in there}
    altered = [name for ours in map(_bare, _statements()) if ours not in there and (name := _created(ours))]
    return [f"the {name} is {'not declared as it was' if name in names else 'missing'}" for name in altered]


def _statements() -> list[str]:
    return [statement for statement in sql.SCHEMA.split(";\n") if statement.strip()]


def _bare(statement: str) -> str:
    """Leave out what a later release may write differently: comments, spaces."""
    lines = [line.partition("--")[0] for line in statement.split("\n")]
    return " ".join(" ".join(lines).split())


def _created(statement: str) -> str:
    """Return "table tasks" of "CREATE TABLE tasks ..."; "" of what creates nothing."""
    create, kind, name, *_ = [*statement.split(" ", 3), "", ""]
    return f"{kind.lower()} {name}" if create == "CREATE" else ""
