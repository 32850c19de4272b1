"""Tell what is wrong with an index file as a whole, and rebuild a damaged one from what can be read of it.

Knows: the index's tables. May not know: what their rows mean.

    index.sqlite (damaged) ── rows, from both ends of each table ──> index.salvaged-<who>.sqlite
    index.salvaged-<who>.sqlite ──> index.rebuilt.sqlite            whole from here on
    index.sqlite ──> index.damaged-<n>.sqlite (kept)
    index.rebuilt.sqlite ──> index.sqlite

A process that dies before the third line leaves the damaged index in its place, and the next opening begins anew,
since a run may have written to it; after that, the next opening goes on from there. At no line is there no index.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from memento import faultpoints, system
from memento.index.sqlite import sql
from memento.index.sqlite.database import (
    BUSY_SECONDS,
    explained,
    is_locked,
    make_tables,
    schema_faults,
    suspect_mark,
)
from memento.layout import INDEX_DAMAGED, INDEX_REBUILT, INDEX_SALVAGED

_BY_NAME = frozenset({"counters"})  # without rowid


def rebuild(index: Path, *, certain: bool = False) -> list[str]:
    """Replace the index by what can be read of it, if it is damaged; returns what to tell people.

    `certain` says that a closer look than `is_whole` has found it damaged.
    """
    try:
        return _rebuilt(index, certain)
    except sqlite3.Error as error:
        raise explained(error, index) or error from error


def _rebuilt(index: Path, certain: bool) -> list[str]:
    # A lock that the system lets go of when its holder dies, on every platform: SQLite's own.
    lock_file = index.with_name("index.lock.sqlite")
    with closing(sqlite3.connect(lock_file, timeout=BUSY_SECONDS, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        with _writers_waiting(index):
            if rebuilt_file(index).exists() and _is_aside(index):
                notes = [_put_in_place(index, "all that could be read was saved")]
            else:
                notes = [] if not certain and is_whole(index) else [_rebuild(index)]
                rebuilt_file(index).unlink(missing_ok=True)
        suspect_mark(index).unlink(missing_ok=True)
        lock.execute("ROLLBACK")
    return notes


@contextmanager
def _writers_waiting(index: Path) -> Iterator[None]:
    """Hold the writer's lock of the damaged index.

    What a living run committed after its rows were read would be in the damaged file only. It waits, and then finds
    another file under the index's name, to which it does not write (`Database._check_file`).
    """
    if not index.exists():  # it has its other name already; SQLite would make an empty one
        yield
        return
    with closing(sqlite3.connect(index, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if is_locked(error):
                raise
            # Else it is so damaged that nobody can write to it.
        yield


def index_faults(connection: sqlite3.Connection, check: str = sql.INTEGRITY) -> list[str]:
    """Return what SQLite's own check and a look at every table find; other processes may write meanwhile."""
    faults: list[str] = []
    try:
        found = [text for (text,) in connection.execute(check)]
        faults += [] if found == ["ok"] else found
        if connection.execute("PRAGMA application_id").fetchone()[0] != sql.APPLICATION_ID:
            faults.append("it has lost the mark of Memento's index")
        faults += schema_faults(connection)
        for table in sql.TABLES:  # SQLite itself does not look into texts
            for _ in connection.execute(f"SELECT * FROM {table}"):
                pass
        if connection.execute(sql.COUNTER_LOOKS_RIGHT).fetchone() != (1,):
            faults.append("the counter of rows is wrong")
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        faults.append(str(error))
    return faults


def is_whole(index: Path) -> bool:
    """Tell whether every page of the index can be read and every table is there, or none."""
    try:
        with closing(sqlite3.connect(index, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            begun = connection.execute(sql.TABLE_COUNT).fetchone()[0]
            return not begun or not index_faults(connection, sql.QUICK_CHECK)
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def _rebuild(index: Path) -> str:
    fresh = index.with_name(f"{INDEX_SALVAGED}{system.own_mark()}.sqlite")
    fresh.unlink(missing_ok=True)
    lost: list[str] = []
    saved = 0
    with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
        target.execute("BEGIN IMMEDIATE")
        make_tables(target)
        with closing(sqlite3.connect(index, timeout=BUSY_SECONDS, isolation_level=None)) as source:
            # One declaration that makes no sense hides no other table.
            with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
                source.execute("PRAGMA writable_schema=ON")
            for table in sql.TABLES:
                count, whole = _copy(source, target, table)
                saved += count if table == "tasks" else 0
                if not whole:
                    lost.append(table)
        _complete(target)
        target.execute("COMMIT")
    os.replace(fresh, rebuilt_file(index))
    system.fsync_folder(index.parent)
    faultpoints.at("rebuild.ready")
    what = f"some rows of {', '.join(lost)} could not be read" if lost else "every row could be read"
    return _put_in_place(index, f"{saved} tasks were saved; {what}")


def _put_in_place(index: Path, what: str) -> str:
    """Keep the damaged index under another name, and give its name to the rebuilt one; may be repeated at any line."""
    aside = _free_name(index)
    with suppress(FileNotFoundError):
        try:
            # Not moved: whoever opens it now must not find nothing, and make an empty one.
            os.link(index, aside)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            os.replace(index, aside)
    for ending in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.replace(f"{index}{ending}", f"{aside}{ending}")
    faultpoints.at("rebuild.aside")
    os.replace(rebuilt_file(index), index)
    system.fsync_folder(index.parent)
    return (
        f"The index {index} was damaged and has been rebuilt: {what}. Tasks that are missing will be computed again."
        f" The damaged file is kept as {aside.name}."
    )


def rebuilt_file(index: Path) -> Path:
    """Name the index that has been rebuilt and is not in its place yet."""
    return index.with_name(INDEX_REBUILT)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """Copy a table's readable rows; returns how many, and whether that was all of them."""
    columns, read = _columns(source, target, table)
    marks = ", ".join("?" for _ in columns)
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    if table in _BY_NAME:
        insert = insert.replace("IGNORE", "REPLACE")
    before = target.total_changes
    select = f"SELECT {', '.join(read)} FROM {table}"
    orders = ("",) if table in _BY_NAME else (" ORDER BY rowid", " ORDER BY rowid DESC")
    for order in orders:
        reader = _Reader(source, select + order)
        for row in reader:
            with suppress(sqlite3.IntegrityError):  # a row whose columns are no longer what they must be
                target.execute(insert, row)
        if reader.whole:
            return target.total_changes - before, True
    return target.total_changes - before, False


def _columns(
    source: sqlite3.Connection, target: sqlite3.Connection, table: str
) -> tuple[list[str], list[str]]:
    """Return a table's columns, and how to read each from a source whose declarations may be damaged."""
    described = target.execute(f"PRAGMA table_info({table})").fetchall()
    columns = [name for _, name, *_ in described]
    read = columns
    with suppress(sqlite3.DatabaseError, UnicodeDecodeError):
        there = [name for _, name, *_ in source.execute(f"PRAGMA table_info({table})")]
        if len(there) == len(columns):  # a flipped bit gives one another name, but no other place
            read = ['"' + name.replace('"', '""') + '"' for name in there]
    if table in _BY_NAME:
        return columns, read
    # An id is SQLite's rowid, also where the declaration that says so is damaged.
    return columns, ["rowid" if row[5] else name for name, row in zip(read, described, strict=True)]


class _Reader:
    """Rows until the damage; `whole` tells whether there was none."""

    def __init__(self, connection: sqlite3.Connection, statement: str) -> None:
        self._connection, self._statement = connection, statement
        self.whole = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(self._statement)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            return
        self.whole = True


def _complete(target: sqlite3.Connection) -> None:
    """Make up what tables owe each other, so that no task refers to an experiment or run that is gone."""
    for statement in sql.COMPLETE_REBUILT:
        target.execute(statement)


def _is_aside(index: Path) -> bool:
    """Tell whether the damaged index has its other name already: its log may be there and no longer here."""
    return not index.exists() or any(
        path.samefile(index) for path in index.parent.glob(f"{INDEX_DAMAGED}*.sqlite")
    )


def _free_name(index: Path) -> Path:
    """Choose where to keep the damaged index; the same again, where this was interrupted."""
    number = 1
    while (path := index.with_name(f"{INDEX_DAMAGED}{number}.sqlite")).exists():
        if index.exists() and path.samefile(index):
            path.unlink()
            break
        number += 1
    return path
