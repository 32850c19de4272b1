"""Remove what no row names any more: `memento gc`.

Knows: the store's folders, which runs are alive, what rows name. May not know: what any file means.

Why nothing that is needed can go
    A payload is written before the row that names it, and a worker that finds the file there already writes nothing:
    so neither "no row names it" nor its age proves that nobody is about to name it. This does: only a run that lives
    commits rows, and it begins under the writer's lock. So a file goes only in a *turn* in which we hold that lock
    and have seen in it (1) that no run lives and (2) that no row, the newest included, names the file. What lived
    before has committed all that it ever will; what begins afterwards looks for its files after we have removed them,
    and writes them. While a run lives, payloads, steps and temporary files stay, and the report says whose they are.

    What belongs to one task (checkpoints, its own folder, artifacts) is written only by who has claimed the task,
    and claims are taken under the same lock: such a folder goes only in a turn in which no living run has the claim,
    so this goes on beside runs. A task that is not done keeps its checkpoint: it was interrupted, or failed, and goes
    on from there. `payloads/classes/` is never touched: values name those files inside themselves. A step's value
    stays as long as a file under ``steps/keys`` names it.

    A worker that outlives its run by a moment may still write: its run is dead, so no row will name it. A step that
    it names is verified when it is read, and computed again.

Killed at any line: each removal is of one thing that nobody needs, in no order that matters; the next `gc` goes on.

Turns are short, with pauses that are longer than SQLite's longest wait between two tries of a lock: a run that wants
to begin or to commit gets its turn.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from memento import layout, system
from memento.clock import Clock
from memento.store import sql
from memento.store.database import Database
from memento.store.liveness import Liveness, Process, claimed, running
from memento.values.payloads import PayloadDir
from memento.values.places import below, entries, temporaries

_TURN = 0.05  # seconds that a turn may last ...
_PAUSE = 0.12  # ... and between two: SQLite looks for a lock every 0.1 s at the latest
_HEX = frozenset("0123456789abcdef")
_STEP = f"{layout.STEPS}/"  # before the names of steps' values, whose folder is another one

# What can go, and what it is called.
PAYLOADS = "values that no task has"
STEPS = "values of steps that nothing names"
TEMPORARIES = "half-written files of runs that died"
CHECKPOINTS = "checkpoints of tasks that are done"
FOLDERS = "working folders of tasks that are done"
ARTIFACTS = "artifacts of tasks that are gone"
LOGS = "output that belongs to no task"
HANDED = "what runs that ended had handed to their workers"
UNFINISHED = "checkpoints and folders of tasks that are not done"
DAMAGED = "damaged files that were set aside"

_NEEDS_QUIET = frozenset({PAYLOADS, STEPS, TEMPORARIES, DAMAGED})


@dataclass(frozen=True)
class Item:
    """One file or folder that may go."""

    kind: str
    path: Path
    size: int  # bytes
    key: bytes | None = None  # of the task it belongs to
    row: int | None = (
        None  # id of the row by which that task is done: if that is gone, it may not be any more
    )
    run: str | None = None  # name of the run that wrote it
    ref: str | None = None  # of a payload


@dataclass
class Collected:
    """What `gc` removed, or would remove.

    Attributes
    ----------
    removed : dict of str to (int, int)
        Kind -> how many, and their bytes.
    kept : dict of str to (int, int)
        The same of what stays for now, since a run lives.
    runs : list of Process
        The runs that live.
    dry_run : bool
        Whether nothing was removed.
    """

    removed: dict[str, tuple[int, int]] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[Process] = field(default_factory=list)
    dry_run: bool = False

    @property
    def size(self) -> int:
        """How many bytes are free again, or would be."""
        return sum(size for _, size in self.removed.values())


@dataclass(frozen=True)
class _Names:
    """What rows name of what was listed."""

    last: int  # the highest id that was seen
    refs: set[str]  # payloads and logs
    done: dict[bytes, int]  # key -> id
    going_on: bool  # there are checkpoints of tasks that are not done
    known: set[bytes]  # keys of tasks, done and failed


class Collector:
    """Finds and removes garbage of one store.

    Parameters
    ----------
    root : Path
        The store's folder.
    database : Database
        Its index; opened for writing unless it is a dry run.
    live : Liveness
        Tells which runs are alive.
    clock : Clock
        Measures turns.
    """

    def __init__(self, root: Path, database: Database, live: Liveness, clock: Clock) -> None:
        self._root, self._database, self._live, self._clock = root, database, live, clock

    def collect(self, *, dry_run: bool = False, damaged: bool = False, unfinished: bool = False) -> Collected:
        """Remove garbage.

        Parameters
        ----------
        dry_run : bool
            Only say what would go.
        damaged : bool
            Also what was set aside as damaged.
        unfinished : bool
            Also checkpoints and folders of tasks that are not done: they will begin anew.
        """
        # In this order: what is listed was there before the names were read, so a name that came with it is seen.
        steps = _step_records(self._root)
        listed = list(self._list(damaged))
        names = self._read_names(listed)
        found = (_garbage(self._root, item, names, unfinished) for item in listed)
        items = [item for item in found if item is not None]
        done = Collected(dry_run=dry_run)
        if dry_run:
            with self._database.explaining():
                connection = self._database.connection()
                done.runs = running(connection, self._live)
                ours = claimed(connection, done.runs)
            for item in items:
                _count(done.kept if self._is_held(item, done.runs, ours) else done.removed, item)
            return done
        self._remove(items, names, steps, done)
        return done

    def _remove(self, items: list[Item], names: _Names, steps: object, done: Collected) -> None:
        waiting = deque(items)
        while waiting:
            with self._database.writing(durable=False) as connection:
                until = self._clock.monotonic() + _TURN
                done.runs = running(connection, self._live)
                ours = claimed(connection, done.runs)
                newer = _newer(connection, names.last)
                same_steps = _step_records(self._root) == steps
                while waiting:
                    self._settle(waiting.popleft(), newer, same_steps, connection, ours, done)
                    if self._clock.monotonic() >= until:
                        break
            if waiting:
                time.sleep(_PAUSE)

    def _settle(
        self,
        item: Item,
        newer: tuple[set[str], set[bytes]],
        same_steps: bool,
        connection: sqlite3.Connection,
        ours: set[bytes],
        done: Collected,
    ) -> None:
        """Remove one thing, or keep it, in the turn that is ours."""
        if self._is_held(item, done.runs, ours) or (item.kind == STEPS and not same_steps):
            _count(done.kept, item)
        elif not _is_needed(item, newer, connection) and _unlink(item.path):
            _count(done.removed, item)
            if item.kind == LOGS:
                with suppress(OSError):  # others are in it still
                    item.path.parent.rmdir()

    @staticmethod
    def _is_held(item: Item, runs: list[Process], ours: set[bytes]) -> bool:
        """Tell whether a living run may have to do with it."""
        if item.kind in _NEEDS_QUIET:
            return bool(runs)
        if item.run is not None:
            return any(item.run.endswith(f"-{process.pid}-{process.run:04x}") for process in runs)
        return item.key in ours

    def _read_names(self, listed: list[Item]) -> _Names:
        """Read what rows, in one snapshot, and steps name of what was listed."""
        there = {item.ref for item in listed if item.ref is not None}
        keys = {item.key for item in listed}
        refs = {ref for ref in _named_steps(self._root) if ref in there}
        done: dict[bytes, int] = {}
        known: set[bytes] = set()
        with self._database.explaining():
            connection = self._database.connection()
            connection.execute("BEGIN")
            try:
                last = int(connection.execute(sql.LAST_TASK).fetchone()[0])
                for number, key, is_done, ref, log in connection.execute(sql.NAMES_OF_TASKS):
                    if key in keys:
                        known.add(key)
                        if is_done:
                            done[key] = number
                    refs.update(name for name in (ref, log) if name in there)
                refs.update(log for (log,) in connection.execute(sql.LOGS_OF_ATTEMPTS) if log in there)
            finally:
                connection.execute("ROLLBACK")
        going_on = any(item.kind == CHECKPOINTS and item.key not in done for item in listed)
        return _Names(last, refs, done, going_on, known)

    def _list(self, damaged: bool) -> Iterator[Item]:
        """Yield all that may be garbage, whatever the rows say."""
        root = self._root
        for kind, name in ((PAYLOADS, layout.PAYLOADS), (STEPS, layout.STEPS)):
            ours = {path.name for path in entries(root / name) if not path.is_symlink()} - {
                layout.DEFINITIONS
            }
            for ref in PayloadDir(root / name).refs():
                if ref.partition("/")[0] in ours:
                    yield _item(kind, root / name / ref, ref=f"{_STEP}{ref}" if kind == STEPS else ref)
        for path in half_written(root):
            yield _item(TEMPORARIES, path)
        for kind, folder in (
            (CHECKPOINTS, layout.CHECKPOINTS),
            (FOLDERS, layout.WORK),
            (ARTIFACTS, layout.ARTIFACTS),
        ):
            for path in entries(root / folder):
                if _is_key(path.name):
                    yield _item(kind, path, key=bytes.fromhex(path.name))
                elif folder == layout.WORK and _is_run(path.name):
                    yield _item(HANDED, path, run=path.name)
        for folder_of_run in entries(root / layout.LOGS):
            for path in entries(folder_of_run):
                yield _item(LOGS, path, run=folder_of_run.name, ref=f"{folder_of_run.name}/{path.name}")
        if damaged:
            for path in set_aside(root):
                yield _item(DAMAGED, path)


def half_written(root: Path) -> Iterator[Path]:
    """Yield half-written files: of runs that are at it, or died."""
    for folder in (layout.PAYLOADS, layout.STEPS):
        yield from temporaries(root / folder)
    for path in sorted(root.glob(f"{layout.INDEX_SALVAGED}*.sqlite*")):
        pid = path.name.removeprefix(layout.INDEX_SALVAGED).partition(".")[0]
        if pid.isdigit() and system.process_start(int(pid)) is None:
            yield path


def set_aside(root: Path) -> Iterator[Path]:
    """Yield the damaged files that were set aside."""
    for folder in (layout.PAYLOADS, layout.STEPS):
        yield from entries(root / folder / layout.QUARANTINE)
    yield from (path for path in below(root / layout.CHECKPOINTS) if path.name.endswith(layout.SET_ASIDE))
    yield from sorted(root.glob(f"{layout.INDEX_DAMAGED}*.sqlite*"))


def _garbage(root: Path, item: Item, names: _Names, unfinished: bool) -> Item | None:
    """Return the item if nothing names it, with what has to be looked at again before it goes."""
    key = item.key
    if key is None:
        # What a task printed before it was interrupted is named by its checkpoint alone, which is not opened here.
        going_on = item.kind == LOGS and names.going_on and not unfinished
        return None if item.ref in names.refs or going_on else item
    if item.kind == ARTIFACTS:
        # Without a row, but with a checkpoint: it was interrupted, and what goes on from there may count on them.
        going_on = (root / layout.CHECKPOINTS / key.hex()).exists()
        return None if key in names.known or going_on else item
    if key in names.done:
        return replace(item, row=names.done[key])
    return replace(item, kind=UNFINISHED) if unfinished else None


def _is_needed(item: Item, newer: tuple[set[str], set[bytes]], connection: sqlite3.Connection) -> bool:
    """Tell whether rows that came or went since the names were read need it after all."""
    refs, keys = newer
    if item.kind == PAYLOADS:
        return item.ref in refs
    if item.kind == ARTIFACTS:
        return item.key in keys
    return item.row is not None and connection.execute(sql.HAS_TASK, (item.row,)).fetchone() is None


def _newer(connection: sqlite3.Connection, last: int) -> tuple[set[str], set[bytes]]:
    """Return the payloads and the keys of rows that came after `last`."""
    found = connection.execute(sql.NAMES_AFTER, (last,)).fetchall()
    return {ref for _, ref in found if ref is not None}, {key for key, _ in found}


def _step_records(root: Path) -> list[tuple[str, int]]:
    """Return which steps are stored, and since when: another answer means that a step was stored."""
    return sorted(
        (path.name, path.stat().st_mtime_ns)
        for path in entries(root / layout.STEPS / layout.STEP_KEYS)
        if path.suffix == ".json"
    )


def _named_steps(root: Path) -> set[str]:
    """Return the payloads that steps name."""
    refs = set()
    for path in entries(root / layout.STEPS / layout.STEP_KEYS):
        if path.suffix == ".json":
            with suppress(OSError, ValueError, KeyError, TypeError):
                refs.add(f"{_STEP}{json.loads(path.read_bytes())['ref']}")
    return refs


def _is_key(name: str) -> bool:
    return len(name) == 32 and not set(name) - _HEX


def _is_run(name: str) -> bool:
    """Tell whether a folder is named as a run is: date, time, pid, number."""
    parts = name.split("-")
    return len(parts) == 4 and all(part.isdigit() for part in parts[:3]) and not set(parts[3]) - _HEX


def _item(
    kind: str, path: Path, *, key: bytes | None = None, run: str | None = None, ref: str | None = None
) -> Item:
    return Item(kind, path, _size(path), key=key, run=run, ref=ref)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    try:
        status = path.lstat()
        if not path.is_dir() or path.is_symlink():
            return status.st_size
        return sum(_size(entry) for entry in path.iterdir())
    except OSError:
        return 0


def _count(counts: dict[str, tuple[int, int]], item: Item) -> None:
    number, size = counts.get(item.kind, (0, 0))
    counts[item.kind] = (number + 1, size + item.size)


def _unlink(path: Path) -> bool:
    """Remove a file or a folder; what cannot be removed stays, and harms nobody."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return False
    except OSError:
        return not os.path.lexists(path)
    return True
