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

import os
import shutil
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from memento import layout, system
from memento.clock import Clock
from memento.index.contract import Index
from memento.index.types import Living, Names, Owner
from memento.store.step_records import records
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
    runs : list of Owner
        The runs that live.
    dry_run : bool
        Whether nothing was removed.
    """

    removed: dict[str, tuple[int, int]] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[Owner] = field(default_factory=list)
    dry_run: bool = False

    @property
    def size(self) -> int:
        """How many bytes are free again, or would be."""
        return sum(size for _, size in self.removed.values())


class Collector:
    """Finds and removes garbage of one store."""

    def __init__(self, root: Path, index: Index, clock: Clock) -> None:
        self._root, self._index, self._clock = root, index, clock

    def collect(self, *, dry_run: bool = False, damaged: bool = False, unfinished: bool = False) -> Collected:
        """Remove garbage, also what was set aside as `damaged`, also checkpoints of `unfinished` tasks."""
        # In this order: what is listed was there before the names were read, so a name that came with it is seen.
        steps = _step_records(self._root)
        listed = list(self._list(damaged, unfinished))
        files = {item.ref for item in listed if item.ref is not None}
        keys = {item.key for item in listed if item.key is not None}
        named = _named_steps(self._root)
        names = self._index.names(keys, files)
        going_on = any(item.kind == CHECKPOINTS and item.key not in names.done for item in listed)
        found = (
            _garbage(self._root, item, names, named, unfinished, going_on and not unfinished)
            for item in listed
        )
        items = [item for item in found if item is not None]
        done = Collected(dry_run=dry_run)
        if dry_run:
            living = self._index.living()
            done.runs = living.runs
            for item in items:
                _count(done.kept if _is_held(item, living) else done.removed, item)
            return done
        self._remove(items, names.last, steps, done)
        return done

    def _remove(self, items: list[Item], last: int, steps: object, done: Collected) -> None:
        waiting = deque(items)
        keys = {item.key for item in items if item.key is not None and item.kind == ARTIFACTS}
        files = {item.ref for item in items if item.ref is not None and item.kind == PAYLOADS}
        while waiting:
            with self._index.exclusive() as living:
                until = self._clock.monotonic() + _TURN
                done.runs = living.runs
                newer = self._index.names(keys, files, after=last)
                same_steps = _step_records(self._root) == steps
                while waiting:
                    self._settle(waiting.popleft(), newer, same_steps, living, done)
                    if self._clock.monotonic() >= until:
                        break
            if waiting:
                time.sleep(_PAUSE)

    def _settle(self, item: Item, newer: Names, same_steps: bool, living: Living, done: Collected) -> None:
        """Remove one thing, or keep it, in the turn that is ours."""
        if _is_held(item, living) or (item.kind == STEPS and not same_steps):
            _count(done.kept, item)
        elif not self._is_needed(item, newer) and _unlink(item.path):
            _count(done.removed, item)
            if item.kind == LOGS:
                with suppress(OSError):  # others are in it still
                    item.path.parent.rmdir()

    def _is_needed(self, item: Item, newer: Names) -> bool:
        """Tell whether rows that came or went since the names were read need it after all."""
        if item.kind == PAYLOADS:
            return item.ref in newer.files
        if item.kind == ARTIFACTS:
            return item.key in newer.known
        return item.row is not None and not self._index.has(item.row)

    def _list(self, damaged: bool, unfinished: bool) -> Iterator[Item]:
        """Yield all that may be garbage, whatever the rows say."""
        root = self._root
        # Outcomes that workers of dead runs have left may name values; the next run takes them in.
        left = not unfinished and any(map(_has_outcomes, entries(root / layout.WORK)))
        for kind, name in ((PAYLOADS, layout.PAYLOADS), (STEPS, layout.STEPS))[1 if left else 0 :]:
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
                elif folder == layout.WORK and _is_run(path.name) and (unfinished or not _has_outcomes(path)):
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


def _garbage(
    root: Path, item: Item, names: Names, named_steps: set[str], unfinished: bool, going_on: bool
) -> Item | None:
    """Return the item if nothing names it, with what has to be looked at again before it goes.

    `going_on` tells that there are checkpoints of tasks which are not done: what these printed before they were
    interrupted is named there alone, and checkpoints are not opened here.
    """
    key = item.key
    if key is None:
        named = item.ref in names.files or item.ref in named_steps
        return None if named or (item.kind == LOGS and going_on) else item
    if item.kind == ARTIFACTS:
        # Without a row, but with a checkpoint: it was interrupted, and what goes on from there may count on them.
        kept = (root / layout.CHECKPOINTS / key.hex()).exists()
        return None if key in names.known or kept else item
    if key in names.done:
        return replace(item, row=names.done[key])
    return replace(item, kind=UNFINISHED) if unfinished else None


def _is_held(item: Item, living: Living) -> bool:
    """Tell whether a living run may have to do with it."""
    if item.kind in _NEEDS_QUIET:
        return bool(living.runs)
    if item.run is not None:
        return any(item.run.endswith(f"-{owner.pid}-{owner.run:04x}") for owner in living.runs)
    return item.key in living.claimed


def _step_records(root: Path) -> list[tuple[str, int]]:
    """Return which steps are stored, and since when: another answer means that a step was stored."""
    return sorted(
        (path.name, path.stat().st_mtime_ns)
        for path in entries(root / layout.STEPS / layout.STEP_KEYS)
        if path.suffix == ".json"
    )


def _named_steps(root: Path) -> set[str]:
    """Return the payloads that steps name."""
    return {f"{_STEP}{record.value.ref}" for record in records(str(root))}


def _is_key(name: str) -> bool:
    return len(name) == 32 and not set(name) - _HEX


def _has_outcomes(run: Path) -> bool:
    return any(path.is_file() for path in entries(run / layout.OUTCOMES))


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
