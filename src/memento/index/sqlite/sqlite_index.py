"""The index as an SQLite file: open it, rebuild it, ask it in SQL.

Knows: the tables, the file's marks. May not know: values, the store's other files.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress

from memento.clock import Clock
from memento.errors import NotAStore, StoreDamaged, StoreTooNew
from memento.index.sqlite import sql
from memento.index.sqlite.database import Database, make_tables, schema_faults
from memento.index.tables.table_index import TableIndex
from memento.index.types import Table, View
from memento.layout import FOLDERS, INDEX, INDEX_REBUILT, INDEX_SUSPECT

_HEADER = b"SQLite format 3\0"


class SqliteIndex(TableIndex):
    """A store's records in ``index.sqlite``."""

    database: Database

    # --- opening ---------------------------------------------------------------------------------------

    @classmethod
    def exists(cls, address: str) -> bool:
        return os.path.isfile(os.path.join(address, INDEX))

    @classmethod
    def open(cls, address: str, *, create: bool, readonly: bool, clock: Clock) -> SqliteIndex:
        path = os.path.join(address, INDEX)
        _check_header(address, path)
        notes: list[str] = []
        marks = (INDEX_SUSPECT, INDEX_REBUILT)
        if not readonly and any(os.path.exists(os.path.join(address, name)) for name in marks):
            notes += _rebuild(path)
        database = Database(path, readonly=readonly)
        try:
            _check(database, may_make=create)
        except StoreDamaged:
            database.close()
            if readonly:
                raise
            notes += _rebuild(path)
            database = Database(path)
            _check(database, may_make=True)
        except BaseException:
            database.close()
            raise
        return cls(database, clock, notes)

    @classmethod
    def rebuild(cls, address: str, clock: Clock) -> list[str] | None:
        path = os.path.join(address, INDEX)
        with suppress(Exception), closing(cls(Database(path, readonly=True), clock, [])) as index:
            if index.living().runs:  # as far as that can be read
                return None
        return _rebuild(path, certain=True)

    def close(self) -> None:
        self.database.close()

    @property
    def is_gone(self) -> bool:
        return not os.path.exists(self.database.location)

    # --- questions in SQL ------------------------------------------------------------------------------

    def views(self) -> list[View]:
        from memento.index.sqlite.querying import views

        return views()

    def query(self, statement: str, seconds: float, limit: int | None = None) -> Table:
        from memento.index.sqlite.querying import query

        living = [run.id for run in self.runs() if run.status == "running"]
        return query(self.database, statement, seconds, limit, living)

    def parameters(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        wanted = list(keys)
        # A key stands in one row: who has found all of them need not look further.
        listed = json.dumps([key.hex().upper() for key in wanted])
        return dict(self.database.all(sql.PARAMS_OF, (listed, len(wanted))))

    # --- maintenance -----------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        from memento.index.sqlite.recovery import index_faults

        with self.database.explaining():
            return index_faults(self.database.connection())


def _rebuild(path: str, *, certain: bool = False) -> list[str]:
    from pathlib import Path

    from memento.index.sqlite.recovery import rebuild

    return rebuild(Path(path), certain=certain)


def _check_header(folder: str, path: str) -> None:
    """Refuse a file of this name that is none of ours.

    Beside a store's folders it is not even looked at: to close it would drop all locks that SQLite has on it in this
    process.
    """
    if not os.path.isfile(path) or any(os.path.isdir(os.path.join(folder, name)) for name in FOLDERS):
        return
    with open(path, "rb") as file:
        header = file.read(len(_HEADER))
    if header not in (b"", _HEADER):
        raise NotAStore(path, "this file is no index of Memento.", "Choose another folder for the store.")


def _check(database: Database, *, may_make: bool) -> None:
    path = database.location
    with database.explaining():
        connection = database.connection()
        application, version = _marks(connection)
    if application != sql.APPLICATION_ID:
        # Again, all in one look: another process may be making the tables at this moment.
        with database.snapshot():
            application, version = _marks(connection)
            is_new = (application, version) == (0, 0) and not connection.execute(sql.TABLE_COUNT).fetchone()[
                0
            ]
        if is_new:
            if not may_make:
                raise NotAStore(path, "the index is empty.", "Check the path, or run an experiment first.")
            _make_tables(database)
            return
    if application != sql.APPLICATION_ID:
        raise NotAStore(
            path, "this SQLite file belongs to another program.", "Choose another folder for the store."
        )
    if version > sql.VERSION:
        raise StoreTooNew(
            path,
            f"a later release of Memento wrote it (format {version}, this one knows {sql.VERSION}).",
            "Install the latest release: pip install -U memento-ml.",
        )
    try:
        with database.explaining():
            altered = schema_faults(connection) if version == sql.VERSION else []
            connection.execute(sql.PAGES_LOOK_RIGHT).fetchone()
            counter = connection.execute(sql.COUNTER_LOOKS_RIGHT).fetchone()
    except sqlite3.OperationalError as error:  # a table is missing: no SQLite fault, but not what we wrote
        raise StoreDamaged(path, f"the index is damaged ({error}).", "Run again: it is rebuilt.") from error
    if altered or counter != (1,):
        what = altered[0] if altered else "its counter"
        raise StoreDamaged(path, f"the index is damaged ({what}).", "Run again: it is rebuilt.")


def _make_tables(database: Database) -> None:
    with database.writing() as connection:
        if _marks(connection) == (sql.APPLICATION_ID, sql.VERSION):
            return  # another process was first
        make_tables(connection)


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    return (
        connection.execute("PRAGMA application_id").fetchone()[0],
        connection.execute("PRAGMA user_version").fetchone()[0],
    )
