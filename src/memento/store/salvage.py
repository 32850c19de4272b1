"""Rebuild a damaged index from what can be read of it.

Knows: the index's tables. May not know: what their rows mean.

    index.sqlite (damaged) ── rows, from both ends of each table ──> index.salvaged-<pid>.sqlite
    index.sqlite ──> index.damaged-<n>.sqlite (kept), index.salvaged-<pid>.sqlite ──> index.sqlite

A process that dies on the way leaves the damaged index in its place, and the next opening begins anew.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from memento import system
from memento.store import sql
from memento.store.database import BUSY_SECONDS, make_tables, suspect_mark

log = logging.getLogger("memento.store")

_BY_NAME = frozenset({"counters"})  # without rowid


def rebuild(index: Path) -> list[str]:
    """Replace the index by what can be read of it, if it is damaged; returns what to tell people."""
    # A lock that the system lets go of when its holder dies, on every platform: SQLite's own.
    lock_file = index.with_name("index.lock.sqlite")
    with closing(sqlite3.connect(lock_file, timeout=BUSY_SECONDS, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        notes = [] if is_whole(index) else _rebuild(index)
        suspect_mark(index).unlink(missing_ok=True)
        lock.execute("ROLLBACK")
    return notes


def is_whole(index: Path) -> bool:
    """Tell whether every page of the index can be read and every table is there."""
    try:
        with closing(sqlite3.connect(index, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            whole = connection.execute(sql.QUICK_CHECK).fetchone()[0] == "ok"
            tables = {name for (name,) in connection.execute(sql.TABLE_NAMES)}
            application = connection.execute("PRAGMA application_id").fetchone()[0]
    except sqlite3.DatabaseError:
        return False
    return whole and (not tables or (tables.issuperset(sql.TABLES) and application == sql.APPLICATION_ID))


def _rebuild(index: Path) -> list[str]:
    fresh = index.with_name(f"index.salvaged-{os.getpid()}.sqlite")
    fresh.unlink(missing_ok=True)
    lost: list[str] = []
    saved = 0
    with closing(sqlite3.connect(fresh, isolation_level=None)) as target:
        target.execute("BEGIN IMMEDIATE")
        make_tables(target)
        with closing(sqlite3.connect(index, timeout=BUSY_SECONDS, isolation_level=None)) as source:
            for table in sql.TABLES:
                count, whole = _copy(source, target, table)
                saved += count if table == "tasks" else 0
                if not whole:
                    lost.append(table)
        _complete(target)
        target.execute("COMMIT")
    aside = _free_name(index)
    os.replace(index, aside)
    for ending in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            os.replace(f"{index}{ending}", f"{aside}{ending}")
    os.replace(fresh, index)
    system.fsync_folder(index.parent)
    what = f"some rows of {', '.join(lost)} could not be read" if lost else "every row could be read"
    note = (
        f"The index {index} was damaged and has been rebuilt: {saved} tasks were saved; {what}. Tasks that are missing"
        f" will be computed again. The damaged file is kept as {aside.name}."
    )
    return [note]


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> tuple[int, bool]:
    """Copy a table's readable rows; returns how many, and whether that was all of them."""
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    marks = ", ".join("?" for _ in columns)
    insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    if table in _BY_NAME:
        insert = insert.replace("IGNORE", "REPLACE")
    before = target.total_changes
    select = f"SELECT {', '.join(columns)} FROM {table}"
    orders = ("",) if table in _BY_NAME else (" ORDER BY rowid", " ORDER BY rowid DESC")
    for order in orders:
        reader = _Reader(source, select + order)
        for row in reader:
            with suppress(sqlite3.IntegrityError):  # a row whose columns are no longer what they must be
                target.execute(insert, row)
        if reader.whole:
            return target.total_changes - before, True
    return target.total_changes - before, False


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
    for statement in sql.SALVAGE:
        target.execute(statement)


def _free_name(index: Path) -> Path:
    number = 1
    while (path := index.with_name(f"index.damaged-{number}.sqlite")).exists():
        number += 1
    return path
