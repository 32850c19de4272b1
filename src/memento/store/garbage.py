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
    on from there. Of one that lost its place, and is done since, what its row does not name goes, too: who calls `gc`
    takes its older attempts for dead. `payloads/classes/` is never touched: values name those files inside themselves.

    A row names the steps that its task used, itself or through other steps, and a step's record names its value. A
    step goes, in a turn without a run that lives, when no row names it and no step that one names has used it: who
    may still read it is a worker of a run that lives, or a task that goes on. Which steps an interrupted task used
    stands in no row, so while there is a checkpoint of one all steps stay. The record goes first: without it nobody
    finds the value, and whoever asks for the step computes it. A run that comes and goes between two turns may have
    found the record, or stored another step with that value: then a newer row names steps or other records are there,
    and all that is of steps stays for the next `gc`.

    A worker that outlives its run by a moment may still write: its run is dead, so no row will name it. A step that
    it names is verified when it is read, and computed again.

    Results that are to be given up lose their rows first, in a turn without a run that lives: one that lives has
    planned with them. From then on their tasks are not computed, and what only they named is garbage as any other.

Killed at any line: each removal is of one thing that nobody needs, in no order that matters; the next `gc` goes on.

Turns are short, with pauses that are longer than SQLite's longest wait between two tries of a lock: a run that wants
to begin or to commit gets its turn.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from memento import faultpoints, layout
from memento.clock import Clock
from memento.index.contract import Index
from memento.index.types import Living, Names, Owner
from memento.records import StepRecord
from memento.store.far import Far
from memento.store.leftovers import is_of, scan
from memento.store.removable import (
    ARTIFACTS,
    CHECKPOINTS,
    DAMAGED,
    GIVEN_STEPS,
    LEFT_ARTIFACTS,
    LOGS,
    PAYLOADS,
    RESULTS,
    STEP,
    STEPS,
    TEMPORARIES,
    UNFINISHED,
    UNUSED,
    WITH_COPIES,
    Item,
    has_left_outcomes,
    listed,
    listed_far,
    remove_far,
)
from memento.store.sizes import size_of
from memento.store.step_records import ENDING, records
from memento.store.task_folders import keys_with_states

_TURN = 0.05  # seconds that a turn may last ...
_ALONE = 8  # ... times as long where no run lives that waits for it: folders are slow to go on some disks
_PAUSE = 0.12  # ... and between two: SQLite looks for a lock every 0.1 s at the latest
_OF_STEPS = frozenset({STEPS, UNUSED, GIVEN_STEPS})
_NEEDS_QUIET = _OF_STEPS | {PAYLOADS, TEMPORARIES, DAMAGED}


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
    rows : set of int
        The ids of the rows of the results that were given up, or would be.
    over : int
        Bytes by which the store is larger than it was to be, since what is left may not go.
    steps : list of bytes
        Keys of the steps that went.
    """

    removed: dict[str, tuple[int, int]] = field(default_factory=dict)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    runs: list[Owner] = field(default_factory=list)
    dry_run: bool = False
    rows: set[int] = field(default_factory=set)
    over: int = 0
    steps: list[bytes] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many bytes are free again, or would be."""
        return sum(size for _, size in self.removed.values())

    @property
    def results(self) -> int:
        """How many results were given up, or would be."""
        return self.removed.get(RESULTS, (0, 0))[0]


class Collector:
    """Finds and removes garbage of one store."""

    def __init__(self, root: str, index: Index, clock: Clock, far: Far | None = None) -> None:
        self._root, self._index, self._clock, self._far = root, index, clock, far

    def collect(
        self,
        *,
        dry_run: bool = False,
        damaged: bool = False,
        unfinished: bool = False,
        steps: Collection[bytes] = (),
        results: Collection[int] = (),
    ) -> Collected:
        """Remove garbage, also what was set aside as `damaged`, and checkpoints of `unfinished` tasks.

        Also `steps`, by their keys, and `results`, by the ids of their rows, with all that only they need.
        """
        done = Collected(dry_run=dry_run)
        given_up = self._give_up(set(results), done)
        # In this order: what is listed was there before the names were read, so a name that came with it is seen.
        recorded = _step_records(self._root)
        found = self._listed(damaged, unfinished)
        told = list(records(self._root))
        files = {item.ref for item in found if item.ref is not None}
        keys = {item.key for item in found if item.key is not None}
        names = self._index.names(keys, files, without=given_up if dry_run else ())
        fences = _used_fences(self._index, found, names)
        elsewhere = {
            item.key for item in found if item.far and item.kind == CHECKPOINTS and item.key is not None
        }
        judge = _Judge(self._root, fences, elsewhere, names, told, frozenset(steps), unfinished)
        items = [item._replace(size=_size(item)) for item in map(judge.garbage, found) if item is not None]
        if dry_run:
            living = self._index.living()
            done.runs = living.runs
            for item in items:
                if _is_held(item, living):
                    _count(done.kept, item)
                else:
                    _went(item, done)
            return done
        self._remove(items, names.last, recorded, done)
        return done

    def _listed(self, damaged: bool, unfinished: bool) -> list[Item]:
        found = list(listed(self._root, damaged, unfinished))
        if self._far is None:
            return found
        left = not unfinished and has_left_outcomes(self._root)
        there = list(listed_far(self._root, self._far, damaged=damaged, left=left))
        theirs = {(item.key, item.fence) for item in there if item.kind == CHECKPOINTS}
        here = [item for item in found if item.kind not in WITH_COPIES or item.kind == CHECKPOINTS]
        return [*there, *(item for item in here if item.key is None or (item.key, item.fence) not in theirs)]

    def _unlink(self, item: Item) -> bool:
        if item.far and self._far is not None:
            return remove_far(self._far, item.far)
        return _unlink(item.path)

    def _give_up(self, results: set[int], done: Collected) -> set[int]:
        """Let rows go, unless a run lives: it may count on them."""
        if not results:
            return results
        if done.dry_run:
            gone = set() if self._index.living().runs else results
        else:
            gone = set(self._index.discard(sorted(results), unless_living=True))
            faultpoints.at("gc.given_up")
        done.rows = gone
        if gone:
            done.removed[RESULTS] = (len(gone), 0)
        elif self._index.living().runs:
            done.kept[RESULTS] = (len(results), 0)
        return gone

    def _remove(self, items: list[Item], last: int, recorded: dict[str, int], done: Collected) -> None:
        waiting = deque(items)
        keys = {item.key for item in items if item.key is not None and item.kind == ARTIFACTS}
        files = {item.ref for item in items if item.ref is not None and item.kind == PAYLOADS}
        while waiting:
            with self._index.exclusive() as living:
                until = self._clock.monotonic() + (_TURN if living.runs else _TURN * _ALONE)
                done.runs = living.runs
                newer = self._index.names(keys, files, after=last)
                # Neither stored again nor named by a row that came since; what this one removed is no news.
                same_steps = not newer.steps and _step_records(self._root) == recorded
                while waiting:
                    item = waiting.popleft()
                    if self._settle(item, newer, same_steps, living, done) and item.step is not None:
                        recorded.pop(os.path.basename(item.path), None)
                    if self._clock.monotonic() >= until:
                        break
            faultpoints.at("gc.turn")
            if waiting:
                time.sleep(_PAUSE)

    def _settle(self, item: Item, newer: Names, same_steps: bool, living: Living, done: Collected) -> bool:
        """Remove one thing, or keep it, in the turn that is ours; tell whether it went."""
        if _is_held(item, living) or (item.kind in _OF_STEPS and not same_steps):
            _count(done.kept, item)
            return False
        if self._is_needed(item, newer) or not self._unlink(item):
            return False
        for path in item.also:
            _unlink(path)
        _went(item, done)
        if item.kind == LOGS and not item.far:
            with suppress(OSError):  # others are in it still
                os.rmdir(os.path.dirname(item.path))
        return True

    def _is_needed(self, item: Item, newer: Names) -> bool:
        """Tell whether rows that came or went since the names were read need it after all."""
        if item.kind == PAYLOADS:
            return item.ref in newer.files
        if item.kind == ARTIFACTS:
            return item.key in newer.known
        return item.row is not None and not self._index.has(item.row)


class _Judge:
    """Tells what nothing names, as of the moment at which the names were read."""

    def __init__(
        self,
        root: str,
        fences: Mapping[bytes, Collection[int]],
        elsewhere: set[bytes],  # tasks with checkpoints in an object store
        names: Names,
        told: Collection[StepRecord],
        given_up: frozenset[bytes],
        unfinished: bool,
    ) -> None:
        self._root, self._names, self._given_up, self._unfinished = root, names, given_up, unfinished
        self._fences = fences  # of tasks that are done: those in which their artifacts lie
        self._with_states = keys_with_states(root) | elsewhere
        states = self._with_states if not unfinished else set()
        # What tasks printed before they were interrupted, and which steps they used, is named in their checkpoints
        # alone, which are not opened here; which steps, also in the rows of those that failed.
        self._going_on = not states <= names.done.keys()
        interrupted = not states <= names.known
        used = {record.key for record in told} if interrupted else _closure(names.steps, told)
        # What a step is made of stays as long as it does: its value may lead to files there.
        self._used = _closure(used - given_up, told)
        self._named = {f"{STEP}{record.value.ref}" for record in told if record.key in self._used}

    def garbage(self, item: Item) -> Item | None:
        """Return the item if nothing names it, with what has to be looked at again before it goes."""
        key, names = item.key, self._names
        if item.step is not None:
            if item.kind == UNFINISHED:
                return item if self._unfinished else None
            kind = GIVEN_STEPS if item.step in self._given_up else UNUSED
            return None if item.step in self._used else item._replace(kind=kind)
        if key is None:
            named = item.ref in names.files or item.ref in self._named
            return None if named or (item.kind == LOGS and self._going_on) else item
        if item.kind == ARTIFACTS and key in names.done and key in self._fences:
            used = self._fences[key]
            return None if item.fence in used else item._replace(kind=LEFT_ARTIFACTS, row=names.done[key])
        if item.kind == ARTIFACTS:
            # Without a row, but with a checkpoint: it was interrupted, and what goes on from there may count on them.
            kept = key in self._with_states or os.path.exists(layout.Layout(self._root).checkpoint(key.hex()))
            return None if key in names.known or kept else item
        if key in names.done:
            return item._replace(row=names.done[key])
        return item._replace(kind=UNFINISHED) if self._unfinished else None


def _used_fences(index: Index, found: Iterable[Item], names: Names) -> dict[bytes, set[int]]:
    """Return in which fences artifacts lie that rows name, of tasks that are done and have lost a place."""
    keys = {item.key for item in found if item.kind == ARTIFACTS and item.fence and item.key is not None}
    rows = [names.done[key] for key in keys if key in names.done]
    return {
        record.key: {layout.fence_of(name) for name in record.artifacts} for record in index.records(rows)
    }


def _closure(used: Iterable[bytes], told: Iterable[StepRecord]) -> set[bytes]:
    """Return these steps, and those that they used."""
    uses = {record.key: record.steps for record in told}
    found, rest = set[bytes](), list(used)
    while rest:
        key = rest.pop()
        if key not in found:
            found.add(key)
            rest += uses.get(key, ())
    return found


def _is_held(item: Item, living: Living) -> bool:
    """Tell whether a living run may have to do with it."""
    if item.kind in _NEEDS_QUIET or item.step is not None:
        return bool(living.runs)
    if item.run is not None:
        return is_of(item.run, living.runs)
    return item.key in living.claimed


def _step_records(root: str) -> dict[str, int]:
    """Return which steps are stored, and since when: another answer means that a step was stored."""
    found = (entry for entry in scan(layout.Layout(root).step_keys) if entry.name.endswith(ENDING))
    return {entry.name: entry.stat().st_mtime_ns for entry in found}


def _size(item: Item) -> int:
    return item.size if item.far else sum(map(size_of, (item.path, *item.also)))


def _went(item: Item, done: Collected) -> None:
    _count(done.removed, item)
    if item.step is not None:
        done.steps.append(item.step)


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
