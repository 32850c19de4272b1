"""Make a store's folder, or tell whether what is there is one, whole, and of our time.

Knows: the folder's names, the index's marks. May not know: tasks, runs.

What is not ours is never touched. A damaged index is rebuilt from what can be read of it (`salvage`).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from memento import system
from memento.errors import NotAStore, StoreDamaged, StoreError, StoreTooNew, StoreUnwritable
from memento.layout import FOLDERS, IGNORED, INDEX, INDEX_REBUILT, INDEX_SUSPECT, PAYLOADS
from memento.store import sql
from memento.store.database import Database, make_tables, schema_faults

_OWN_NAMES = frozenset({*FOLDERS, IGNORED, ".DS_Store"})
_SQLITE_HEADER = b"SQLite format 3\0"


def open_index(root: str, *, create: bool, readonly: bool) -> tuple[Database, list[str]]:
    """Open the index of the store at `root`; returns it with notes for people."""
    notes: list[str] = []
    index = os.path.join(root, INDEX)
    emptied = False
    try:
        _check_place(root, create)
        if create:
            notes += _note_of_index(root, index)
            emptied = PAYLOADS in _make_folders(root) and os.path.isfile(index)
        if not readonly and any(
            os.path.exists(os.path.join(root, name)) for name in (INDEX_SUSPECT, INDEX_REBUILT)
        ):
            notes += _rebuild(index)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreUnwritable(
            root,
            f"it cannot be made or read ({error.strerror or error}).",
            "Choose another place for the store.",
        ) from error
    database = Database(index, readonly=readonly)
    try:
        _check_index(database, may_make=create)
    except StoreDamaged:
        database.close()
        if readonly:
            raise
        notes += _rebuild(index)
        database = Database(index)
        _check_index(database, may_make=True)
    except BaseException:
        database.close()
        raise
    if emptied:
        notes += _let_go_of_payloads(database)
    if notes:
        import logging

        for note in notes:
            logging.getLogger("memento.store").warning("%s", note)
    return database, notes


def _rebuild(index: str) -> list[str]:
    from pathlib import Path

    from memento.store.salvage import rebuild

    return rebuild(Path(index))


def _check_place(root: str, create: bool) -> None:
    if not os.path.exists(root):
        if not create:
            raise NotAStore(root, "there is no store here.", "Check the path, or run an experiment first.")
        return
    if not os.path.isdir(root):
        raise NotAStore(root, "this is a file; a store is a folder.", "Name a folder.")
    index = os.path.join(root, INDEX)
    if os.path.isfile(index):
        if any(os.path.isdir(os.path.join(root, name)) for name in FOLDERS):
            # The file is not even looked at: to close it would drop all locks that SQLite has on it in this process.
            return
        with open(index, "rb") as file:
            header = file.read(len(_SQLITE_HEADER))
        if header not in (b"", _SQLITE_HEADER):
            raise NotAStore(
                index, "this file is no index of Memento.", "Choose another folder for the store."
            )
        return
    foreign = sorted(
        name for name in os.listdir(root) if name not in _OWN_NAMES and not name.startswith("index.")
    )
    if foreign:
        raise NotAStore(
            root,
            f"this folder is no store: it has no {INDEX}, and holds {', '.join(foreign[:3])}.",
            "Choose a new or an empty folder.",
        )
    if not create:
        raise NotAStore(root, f"this folder is no store: it has no {INDEX}.", "Check the path.")


def _note_of_index(root: str, index: str) -> list[str]:
    """Say that an index is gone to which the values that are there belonged."""
    payloads = os.path.join(root, PAYLOADS)
    if os.path.exists(index) or not os.path.isdir(payloads) or not os.listdir(payloads):
        return []
    return [
        f"{index} was removed, so all tasks count as not computed. `memento gc` removes what is left of them"
    ]


def _let_go_of_payloads(database: Database) -> list[str]:
    """Have the tasks computed again whose values lay in a folder that somebody has removed."""
    from memento.store.run import drop_tasks

    with database.writing() as connection:
        ids = [number for (number,) in connection.execute(sql.IDS_WITH_PAYLOADS)]
        drop_tasks(connection, ids, keep_attempts=False)
    lost = f"{len(ids):,} result{'s' if len(ids) > 1 else ''}"
    folder = os.path.join(os.path.dirname(database.location), PAYLOADS)
    return [f"{folder} was removed: {lost} whose values lay there will be computed again"] if ids else []


def _make_folders(root: str) -> list[str]:
    """Make what is missing of a store's folders, and return its names."""
    try:
        os.mkdir(root)  # says what is wrong with a path that is too long; `makedirs` walks up all of it
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(root, exist_ok=True)
    missing = [name for name in FOLDERS if not os.path.isdir(os.path.join(root, name))]
    for name in missing:
        with suppress(FileExistsError):
            os.mkdir(os.path.join(root, name))
    if missing:
        system.fsync_folder(root)
        system.fsync_folder(os.path.dirname(root))
    with suppress(FileExistsError), open(os.path.join(root, IGNORED), "x", encoding="utf-8") as file:
        file.write("*\n")
    return missing


def _check_index(database: Database, *, may_make: bool) -> None:
    path = database.location
    with database.explaining():
        connection = database.connection()
        application, version = _marks(connection)
        if (application, version) == (0, 0) and not connection.execute(sql.TABLE_COUNT).fetchone()[0]:
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
