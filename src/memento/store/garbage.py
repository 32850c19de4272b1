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
from dataclasses import dataclass, field
from typing import NamedTuple

from memento import layout
from memento.clock import Clock
from memento.index.contract import Index
from memento.index.types import Living, Names, Owner
from memento.store.leftovers import half_written, has_outcomes, is_of, is_run, scan
from memento.store.sizes import size_of
from memento.store.step_records import records
from memento.values.payloads import is_ref

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


class Item(NamedTuple):
    """One file or folder that may go."""

    kind: str
    path: str
    size: int = 0  # bytes; looked up where it does go
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

    def __init__(self, root: str, index: Index, clock: Clock) -> None:
        self._root, self._index, self._clock = root, index, clock

    def collect(self, *, dry_run: bool = False, damaged: bool = False, unfinished: bool = False) -> Collected:
        """Remove garbage, also what was set aside as `damaged`, also checkpoints of `unfinished` tasks."""
        # In this order: what is listed was there before the names were read, so a name that came with it is seen.
        steps = _step_records(self._root)
        listed = list(_listed(self._root, damaged, unfinished))
        files = {item.ref for item in listed if item.ref is not None}
        keys = {item.key for item in listed if item.key is not None}
        named = _named_steps(self._root)
        names = self._index.names(keys, files)
        going_on = any(item.kind == CHECKPOINTS and item.key not in names.done for item in listed)
        found = (
            _garbage(self._root, item, names, named, unfinished, going_on and not unfinished)
            for item in listed
        )
        items = [item._replace(size=size_of(item.path)) for item in found if item is not None]
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
                    os.rmdir(os.path.dirname(item.path))

    def _is_needed(self, item: Item, newer: Names) -> bool:
        """Tell whether rows that came or went since the names were read need it after all."""
        if item.kind == PAYLOADS:
            return item.ref in newer.files
        if item.kind == ARTIFACTS:
            return item.key in newer.known
        return item.row is not None and not self._index.has(item.row)


def _listed(root: str, damaged: bool, unfinished: bool) -> Iterator[Item]:
    """Yield all that may be garbage, whatever the rows say."""
    # Outcomes that workers of dead runs have left may name values; the next run takes them in.
    work = os.path.join(root, layout.WORK)
    left = not unfinished and any(has_outcomes(entry.path) for entry in scan(work))
    for kind, place in ((PAYLOADS, layout.PAYLOADS), (STEPS, layout.STEPS))[1 if left else 0 :]:
        for ref, path in _payloads(os.path.join(root, place)):
            yield Item(kind, path, ref=f"{_STEP}{ref}" if kind == STEPS else ref)
    for path in half_written(root):
        yield Item(TEMPORARIES, path)
    for kind, place in (
        (CHECKPOINTS, layout.CHECKPOINTS),
        (FOLDERS, layout.WORK),
        (ARTIFACTS, layout.ARTIFACTS),
    ):
        for entry in scan(os.path.join(root, place)):
            if _is_key(entry.name):
                yield Item(kind, entry.path, key=bytes.fromhex(entry.name))
            elif place == layout.WORK and is_run(entry.name) and (unfinished or not has_outcomes(entry.path)):
                yield Item(HANDED, entry.path, run=entry.name)
    for run in scan(os.path.join(root, layout.LOGS)):
        for entry in scan(run.path):
            yield Item(LOGS, entry.path, run=run.name, ref=f"{run.name}/{entry.name}")
    if damaged:
        for path in set_aside(root):
            yield Item(DAMAGED, path)


def _payloads(folder: str) -> Iterator[tuple[str, str]]:
    """Yield names and paths of all payloads, but for the definitions, which values name inside themselves."""
    for shard in scan(folder):
        if shard.name != layout.DEFINITIONS:
            for entry in scan(shard.path):
                if is_ref(ref := f"{shard.name}/{entry.name}") and entry.is_file(follow_symlinks=False):
                    yield ref, entry.path


def set_aside(root: str) -> Iterator[str]:
    """Yield the damaged files that were set aside."""
    for place in (layout.PAYLOADS, layout.STEPS):
        yield from (entry.path for entry in scan(os.path.join(root, place, layout.QUARANTINE)))
    for folder, _, files in os.walk(os.path.join(root, layout.CHECKPOINTS)):
        yield from (os.path.join(folder, name) for name in files if name.endswith(layout.SET_ASIDE))
    yield from (entry.path for entry in scan(root) if entry.name.startswith(layout.INDEX_DAMAGED))


def _garbage(
    root: str, item: Item, names: Names, named_steps: set[str], unfinished: bool, going_on: bool
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
        kept = os.path.exists(layout.Layout(root).checkpoint(key.hex()))
        return None if key in names.known or kept else item
    if key in names.done:
        return item._replace(row=names.done[key])
    return item._replace(kind=UNFINISHED) if unfinished else None


def _is_held(item: Item, living: Living) -> bool:
    """Tell whether a living run may have to do with it."""
    if item.kind in _NEEDS_QUIET:
        return bool(living.runs)
    if item.run is not None:
        return is_of(item.run, living.runs)
    return item.key in living.claimed


def _step_records(root: str) -> list[tuple[str, int]]:
    """Return which steps are stored, and since when: another answer means that a step was stored."""
    found = (entry for entry in scan(layout.Layout(root).step_keys) if entry.name.endswith(".json"))
    return [(entry.name, entry.stat().st_mtime_ns) for entry in found]


def _named_steps(root: str) -> set[str]:
    """Return the payloads that steps name."""
    return {f"{_STEP}{record.value.ref}" for record in records(root)}


def _is_key(name: str) -> bool:
    return len(name) == 32 and not set(name) - _HEX


def _count(counts: dict[str, tuple[int, int]], item: Item) -> None:
    number, size = counts.get(item.kind, (0, 0))
    counts[item.kind] = (number + 1, size + item.size)


def _unlink(path: str) -> bool:
    """Remove a file or a folder; what cannot be removed stays, and harms nobody."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError:
        return not os.path.lexists(path)
    return True
