"""Give an experiment's rows another name, and with it other keys, within a transaction.

Knows: the tables. May not know: how names come to be, which folders follow the keys.
"""

from __future__ import annotations

import zlib
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any

from memento.index.lease import Leases
from memento.index.tables import checksums
from memento.index.tables.write_values import move_axes
from memento.index.types import CannotRename, Owner, Renamed
from memento.keys.task_key import renamed_keys

if TYPE_CHECKING:
    from memento.index.tables.base import Connection

_AT_ONCE = 10_000  # rows in memory


def rename(connection: Connection, leases: Leases, old: str, new: str, folders: Container[bytes]) -> Renamed:
    """Move all rows of an experiment to another name; see `Index.rename`."""
    if old == new:
        raise CannotRename(f"{old!r} is its name already.", "Name two experiments: memento rename OLD NEW.")
    names = dict(connection.execute(connection.sql.EXPERIMENT_NAMES).fetchall())
    ids = {name: number for number, name in names.items()}
    if old not in ids:
        raise CannotRename(
            f"the store has no experiment {old!r}.", f"It has: {', '.join(sorted(ids)) or 'none'}."
        )
    owners = (Owner(*row) for row in connection.execute(connection.sql.LEASES))
    busy = {owner.run for owner in leases.alive(owners)}
    for number, experiment in connection.execute(connection.sql.EXPERIMENTS_OF_RUNS):
        if number in busy and experiment in (ids[old], ids.get(new)):
            raise CannotRename(
                f"a run of {names[experiment]!r} is at work.", "Rename when it has ended, or stop it first."
            )
    connection.execute(connection.sql.ADD_EXPERIMENT, (new,))
    target = connection.execute(connection.sql.EXPERIMENT_ID, (new,)).fetchone()[0]
    return _move(connection, (ids[old], old), (target, new), folders)


def _move(
    connection: Connection,
    source: tuple[int, str],
    target: tuple[int, str],
    folders: Container[bytes],
) -> Renamed:
    (was, old), (now, new) = source, target
    taken = {key for (key,) in connection.execute(connection.sql.KEYS_OF_EXPERIMENT, (now,))}
    moved, kept, last = 0, 0, -1
    stays: set[bytes] = set()
    while rows := connection.execute(connection.sql.ROWS_TO_RENAME, (last, was, _AT_ONCE)).fetchall():
        last = rows[-1][0]
        keys = list(_renamed([row[12] for row in rows], old, new))
        updates, notes = [], []
        for row, key in zip(rows, keys, strict=True):
            if key in taken:
                kept += 1
                stays.add(row[12])
                continue
            updates.append((key, now, _row_sum(row, key), _facts_sum(row, now), row[0]))
            if row[12] in folders:
                notes.append((row[12], key))
        connection.executemany(connection.sql.RENAME_TASK, updates)
        connection.executemany(connection.sql.NOTE_MOVE, notes)
        moved += len(updates)
    attempts = connection.execute(connection.sql.ATTEMPTS_OF_EXPERIMENT, (was,)).fetchall()
    following = [(number, key) for number, key in attempts if key not in stays]
    keys = list(_renamed([key for _, key in following], old, new))
    connection.executemany(
        connection.sql.RENAME_ATTEMPT,
        [(key, now, number) for key, (number, _) in zip(keys, following, strict=True)],
    )
    # What was accepted of these results stays accepted.
    connection.execute(connection.sql.RENAME_ADOPTIONS, (now, was))
    connection.execute(connection.sql.RENAME_CHANGES, {"new": now, "old": was})
    move_axes(connection, source, target, leave=bool(kept))
    if not kept:
        connection.execute(connection.sql.RENAME_RUNS, (now, was))
        for statement in connection.sql.DROP_EXPERIMENT:
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
