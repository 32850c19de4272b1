"""Give an experiment's results another name, and with it other keys; nothing is run.

Knows: the index, the folders that are named by keys. May not know: how names come to be.

Rows first, in one transaction that also notes which folders must follow; then the folders, one by one. Whoever is
interrupted in between leaves the notes, and the next run, `gc` or rename moves what is left.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from memento.errors import MementoError
from memento.keys.task_key import renamed_keys
from memento.layout import ARTIFACTS, CHECKPOINTS, WORK
from memento.store import checksums, sql
from memento.store.axes import move_axes
from memento.store.database import Database
from memento.store.liveness import Liveness, running

_KEYED_FOLDERS = (ARTIFACTS, CHECKPOINTS, WORK)
_AT_ONCE = 10_000  # rows in memory


class CannotRename(MementoError, ValueError):
    """An experiment cannot be renamed as asked; says why.

    Parameters
    ----------
    problem : str
        What is in the way.
    todo : str
        What to do.
    """

    def __init__(self, problem: str, todo: str) -> None:
        super().__init__(problem, todo)
        self.problem, self.todo = problem, todo

    def __str__(self) -> str:
        return f"{self.problem} {self.todo}"


class Renamed(NamedTuple):
    """What a rename did."""

    moved: int  # tasks
    kept: int  # tasks that stay under the old name, since the new one has a result of its own


def rename(root: str, database: Database, live: Liveness, old: str, new: str) -> Renamed:
    """Move all results of an experiment to another name.

    Raises
    ------
    CannotRename
        There is no such experiment, the names are the same, or a run of one of them is alive.
    """
    if old == new:
        raise CannotRename(f"{old!r} is its name already.", "Name two experiments: memento rename OLD NEW.")
    finish_moves(root, database)
    with database.writing() as connection:
        names = dict(connection.execute(sql.EXPERIMENT_NAMES).fetchall())
        ids = {name: number for number, name in names.items()}
        if old not in ids:
            raise CannotRename(
                f"the store has no experiment {old!r}.",
                f"It has: {', '.join(sorted(ids)) or 'none'}.",
            )
        busy = {process.run for process in running(connection, live)}
        for number, experiment in connection.execute(sql.EXPERIMENTS_OF_RUNS):
            if number in busy and experiment in (ids[old], ids.get(new)):
                raise CannotRename(
                    f"a run of {names[experiment]!r} is at work.",
                    "Rename when it has ended, or stop it first.",
                )
        connection.execute(sql.ADD_EXPERIMENT, (new,))
        target = connection.execute(sql.EXPERIMENT_ID, (new,)).fetchone()[0]
        return _move(root, connection, (ids[old], old), (target, new))


def _move(
    root: str, connection: sqlite3.Connection, source: tuple[int, str], target: tuple[int, str]
) -> Renamed:
    (was, old), (now, new) = source, target
    taken = {key for (key,) in connection.execute(sql.KEYS_OF_EXPERIMENT, (now,))}
    folders = _keyed_folders(root)
    moved, kept, last = 0, 0, -1
    stays: set[bytes] = set()
    while rows := connection.execute(sql.ROWS_TO_RENAME, (last, was, _AT_ONCE)).fetchall():
        last = rows[-1][0]
        keys = list(_renamed([row[12] for row in rows], old, new))
        updates, notes = [], []
        for row, key in zip(rows, keys, strict=True):
            if key in taken:
                kept += 1
                stays.add(row[12])
                continue
            updates.append((key, now, _row_sum(row, key), _facts_sum(row, now), row[0]))
            if row[12].hex() in folders:
                notes.append((row[12], key))
        connection.executemany(sql.RENAME_TASK, updates)
        connection.executemany(sql.NOTE_MOVE, notes)
        moved += len(updates)
    attempts = connection.execute(sql.ATTEMPTS_OF_EXPERIMENT, (was,)).fetchall()
    following = [(number, key) for number, key in attempts if key not in stays]
    keys = list(_renamed([key for _, key in following], old, new))
    connection.executemany(
        sql.RENAME_ATTEMPT, [(key, now, number) for key, (number, _) in zip(keys, following, strict=True)]
    )
    # What was accepted of these results stays accepted.
    connection.execute(sql.RENAME_ADOPTIONS, (now, was))
    connection.execute(sql.RENAME_CHANGES, {"new": now, "old": was})
    move_axes(connection, source, target, leave=bool(kept))
    if not kept:
        connection.execute(sql.RENAME_RUNS, (now, was))
        for statement in sql.DROP_EXPERIMENT:
            connection.execute(statement, (was,))
    return Renamed(moved, kept)


def _renamed(keys: list[bytes], old: str, new: str) -> Iterator[bytes]:
    joined = renamed_keys(b"".join(keys), old, new)
    return (joined[i : i + 16] for i in range(0, len(joined), 16))


def _row_sum(row: tuple[Any, ...], key: bytes) -> int:
    """Return a row's checksum under its new key; that of a damaged row stays wrong."""
    summed, was = row[13], row[14]
    return zlib.crc32(key + summed[16:]) if zlib.crc32(summed) == was else was


def _facts_sum(row: tuple[Any, ...], experiment: int) -> int:
    facts, was = list(row[1:11]), row[11]
    if checksums.facts_sum(*facts) != was:
        return int(was)
    facts[6] = experiment
    return checksums.facts_sum(*facts)


def _keyed_folders(root: str) -> set[str]:
    found: set[str] = set()
    for kind in _KEYED_FOLDERS:
        try:
            found.update(os.listdir(os.path.join(root, kind)))
        except OSError:
            continue  # there are none of this kind
    return found


def finish_moves(root: str, database: Database) -> None:
    """Let folders follow their renamed tasks; what another process has moved meanwhile is no fault."""
    notes = database.connection().execute(sql.MOVES).fetchall()
    if not notes:
        return
    for old, new in notes:
        for kind in _KEYED_FOLDERS:
            source, target = (os.path.join(root, kind, key.hex()) for key in (old, new))
            if os.path.isdir(source) and not os.path.exists(target):
                os.rename(source, target)
    with database.writing() as connection:
        connection.executemany(sql.DROP_MOVE, [(old,) for old, _ in notes])
