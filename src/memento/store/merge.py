"""Join another store to this one: `memento merge`.

Knows: both stores, their folders. May not know: SQL; what a value is: nothing is unpickled, nothing of it is run.
Long because what of a result comes when, and what stays if that is cut off, is one order.

    a task is done in one alone          its result is taken, whatever became of it in the other
    done in both, with the same bytes    nothing is to be done
    done in both, and it differs         the newer one stands, and it is told: as a conflict where one version of the
                                         code has computed both
    failed in both                       the newer failure stands
    computed from a result of another task that is another one here: is not taken, it would count as of this one

A result comes with its run, its code, attempts, metrics, warnings, value, artifacts, output and the steps that it used;
a task that is not done with its checkpoint, where this store has none. The other store is only read.

Killed at any line: files come before the rows that name them, and a row with all that hangs on it comes in one
transaction, so this store is whole at any time; a second merge goes on. Only where a newer result replaces one
do its artifacts come right after its row; a second merge finds that they are others.
A run that lives in either store might lose what it has planned with: then nothing is begun. This holds a lease, as a
run does, so that `gc` beside it spares what is copied and not named yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from memento import faultpoints, system
from memento.errors import MementoError, StoreError
from memento.index.attempts import last_attempts
from memento.index.declared_values import SHORT_KEY, Declared, as_items, merged
from memento.index.heartbeat import Heartbeat
from memento.index.run_contract import Run
from memento.index.types import Numbers
from memento.layout import Layout, fence_of, fenced
from memento.records import DAMAGED, DONE, Attempt, Known, RunInfo, StepRecord, TaskRecord
from memento.store.brought import attempt_of, history_of, key_text, log_of, row_of, words_of, wrong_in
from memento.store.copying import (
    copy_artifacts,
    copy_definitions,
    copy_folder,
    copy_log,
    copy_value,
    has_files,
    step_place,
    step_record,
)
from memento.store.far import begin
from memento.store.fences import highest_fences
from memento.store.imported import MERGES
from memento.store.step_records import write_record
from memento.store.store import Store
from memento.store.task_folders import keys_with_states
from memento.store.upstream import tasks_named
from memento.values.payloads import PayloadDir
from memento.values.places import Place

_AT_ONCE = 200  # rows of one transaction: as many tasks as may have to be copied again after a kill


class CannotMerge(MementoError, ValueError):
    """Two stores cannot be joined now; says why.

    Parameters
    ----------
    problem : str
        What is in the way, and what to do.
    """


class Difference(NamedTuple):
    """A task that both stores have done, with different values.

    Attributes
    ----------
    key : str
        The task's, in hexadecimal.
    experiment, params : str
        Which task; parameters as JSON.
    newer : {"here", "there"}
        Whose result stands now.
    is_conflict : bool
        Whether one version of the code has computed both.
    """

    key: str
    experiment: str
    params: str
    newer: str
    is_conflict: bool


@dataclass
class Merged:
    """What a merge did.

    Attributes
    ----------
    results : dict of str to int
        Experiment -> how many of its tasks were taken from the other store.
    equal, kept : int
        Tasks that both had alike; tasks of which this store's result stands.
    outdated : int
        Tasks that the other store had computed from another upstream result than the one that stands now: not taken.
    steps, checkpoints : int
        How many came along.
    differences : list of Difference
        Tasks that both stores had done, with different values.
    damaged : list of str
        What of the other store is not what was written, and was not taken.
    """

    results: dict[str, int] = field(default_factory=dict)
    equal: int = 0
    kept: int = 0
    outdated: int = 0
    steps: int = 0
    checkpoints: int = 0
    differences: list[Difference] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def merge(other: Store, into: Store) -> Merged:
    """Take into a store what another one has; see `memento.merge`."""
    if os.path.realpath(other.root) == os.path.realpath(into.root):
        raise CannotMerge(f"{other.location} is the store that it is to be joined to.")
    for store in (other, into):
        for owner in store.index.living().runs:
            who = f"{owner.host}, pid {owner.pid}"
            raise CannotMerge(
                f"a run of {store.location} is at work ({who}): merge when it has ended, or stop it first."
            )
    told = Merged()
    if into.far is not None:
        begin(into.root, into.far)
    copy_definitions(other, into)
    names = [name for name, _, _ in other.index.experiments()]
    for name in names:
        _Experiment(other, into, name, told).join()
    if names:
        _join_states(other, into, names[0], told)
    return told


@contextmanager
def _lease(other: Store, into: Store, experiment: str) -> Iterator[Run]:
    """Begin a run of the joined store, which claims what is copied."""
    argv = (*MERGES, str(other.location))
    pid = os.getpid()
    who = (system.hostname(), pid, system.process_start(pid) or "", system.boot_identity())
    run, outcome = into.begin(RunInfo(experiment, 0, "{}", "", *who, argv, {})), "failed"
    try:
        with Heartbeat(run.heartbeat):
            yield run
        outcome = "done"
    finally:
        run.finish(outcome, {"done": 0, "cached": 0, "failed": 0})


class _Pair(NamedTuple):
    """A task as the other store has it, and the row here that it replaces."""

    record: TaskRecord
    replaced: TaskRecord | None


class _Experiment:
    """Joins one experiment of two stores."""

    def __init__(self, other: Store, into: Store, name: str, told: Merged) -> None:
        self.other, self.into, self.name, self.told = other, into, name, told
        self._here = {known.key: known for known in into.index.known(name)}
        self._steps: set[bytes] = set()  # those that were looked at
        self._logs: set[str] = set()  # those that were copied
        self._taken: dict[bytes, object] = {}  # value of each task that is taken ...
        self._refused: set[bytes] = set()  # ... but for those that turned out damaged

    def join(self) -> None:
        """Take what is worth taking, so many tasks at once."""
        # In the order of their rows: what depends on another comes after it, unless that was computed again since.
        newest = {known.key: known for known in self.other.index.known(self.name)}
        theirs = sorted(newest.values(), key=lambda known: known.id)
        chosen: list[_Pair] = []
        for start in range(0, len(theirs), _AT_ONCE):
            chosen += self._chosen(theirs[start : start + _AT_ONCE])
        if not chosen:
            return
        with _lease(self.other, self.into, self.name) as run:
            computed = {pair.record.run for pair in chosen}
            computed.update(piece.run for pair in chosen for piece in pair.record.pieces)
            numbers = run.bring(history_of(self.other, self.name, computed))
            words = self._declare(run)
            for start in range(0, len(chosen), _AT_ONCE):
                self._take(run, numbers, words, chosen[start : start + _AT_ONCE])

    # --- which tasks

    def _chosen(self, theirs: Sequence[Known]) -> list[_Pair]:
        ids = [self._here[known.key].id for known in theirs if known.key in self._here]
        here = {record.key: record for record in self.into.index.records(ids)}
        taken = self.into.index.names({known.key for known in theirs}, ()).known - here.keys()
        chosen = []
        for record in self.other.index.records([known.id for known in theirs]):
            wrong = (
                "its key is that of a task of another experiment" if record.key in taken else wrong_in(record)
            )
            if wrong:
                self._damaged(record, wrong)
            elif self._is_outdated(record, here.get(record.key)):
                continue
            elif self._is_wanted(record, here.get(record.key)):
                chosen.append(_Pair(record, here.get(record.key)))
                self._taken[record.key] = _value(record)
        return chosen

    def _is_wanted(self, theirs: TaskRecord, ours: TaskRecord | None) -> bool:
        """Tell whether the other store's row is to stand; note what both have."""
        if ours is None or (ours.value is not None and ours.value.format == DAMAGED):
            return True
        newer = theirs.started + theirs.runtime > ours.started + ours.runtime
        if theirs.status == ours.status == DONE:
            if _value(theirs) == _value(ours):
                self.told.equal += 1
                self._mend(theirs)
                return False
            codes_there, codes_here = self._codes
            same_code = codes_there.get(theirs.code) == codes_here.get(ours.code)
            where = (theirs.key.hex(), self.name, theirs.params)
            self.told.differences.append(Difference(*where, "there" if newer else "here", same_code))
        elif theirs.status != ours.status:
            newer = theirs.status == DONE
        elif _is_one(theirs, ours):
            self.told.equal += 1
            return False
        self.told.kept += not newer
        return newer

    @cached_property
    def _codes(self) -> tuple[Mapping[int, bytes], Mapping[int, bytes]]:
        """The digests of the versions of the code, there and here; read once, and only where values differ."""
        return self.other.index.history(self.name).digests, self.into.index.history(self.name).digests

    def _mend(self, record: TaskRecord) -> None:
        """See to it that files are there of a row that is: an earlier merge may have been cut off."""
        ref = record.value.ref if record.value is not None else None
        if ref is not None and not self.into.payloads.exists(ref):
            self._copy_value(record)
        there, here, key = Layout(self.other.root), Layout(self.into.root), record.key.hex()
        if not has_files((there.artifact(key, name), here.artifact(key, name)) for name in record.artifacts):
            self._copy_artifacts(record)

    # --- taking them

    def _take(self, run: Run, numbers: Numbers, words: Callable[[str], str], pairs: Sequence[_Pair]) -> None:
        if run.claim([pair.record.key for pair in pairs]).elsewhere:
            raise CannotMerge(f"a run of {self.into.location} has begun: merge again when it has ended.")
        rows, attempts, replaced, late = [], [], [], []
        for record, ours in pairs:
            if self._refused and self._is_outdated(record, ours):
                continue
            try:
                row = row_of(self.other, record, numbers, words(record.params))
                self._copy_value(record)
            except StoreError as error:
                self._damaged(record, str(error))
                self._refused.add(record.key)
                continue
            earlier = [a for a in self.other.index.attempts(record.key) if a not in last_attempts(record)]
            self._copy_logs([record, *record.pieces, *earlier], numbers)
            for step in record.steps:
                self._copy_step(step)
            if ours is None:
                self._copy_artifacts(record)
            else:
                replaced.append(ours.id)
                late.append(record)
            rows.append((numbers.runs[record.run], row))
            attempts += [
                (numbers.runs[a.run], attempt_of(a, row, numbers)) for a in earlier if a.run in numbers.runs
            ]
        faultpoints.at("merge.copied")
        if not run.absorb(rows, attempts, replaced):
            raise CannotMerge(f"a run of {self.into.location} has begun: merge again when it has ended.")
        for record in late:
            self._copy_artifacts(record)
        if rows:
            self.told.results[self.name] = self.told.results.get(self.name, 0) + len(rows)

    def _is_outdated(self, record: TaskRecord, ours: TaskRecord | None) -> bool:
        """Tell whether it is of another upstream result than stands here: its later row would count as of that."""
        if ours is not None and _value(ours) == _value(record):
            return False
        for name in tasks_named(record.params):
            key = bytes.fromhex(name)
            there, here = _row(self.other, key), _row(self.into, key)
            is_taken = key in self._taken and key not in self._refused
            if here is None and not is_taken:
                continue  # when it is computed, what depends on it is so again
            stands = self._taken[key] if is_taken else here and _value(here)
            if there is None or there.id > record.id or _value(there) != stands:
                self.told.outdated += 1
                return True
        return False

    def _copy_value(self, record: TaskRecord) -> None:
        if record.value is not None and record.value.ref is not None:
            copy_value(self.other.payloads, self.into.payloads, record.value.ref)

    def _copy_logs(self, parts: Iterable[TaskRecord | Attempt], numbers: Numbers) -> None:
        for part in parts:
            here = log_of(part.log, numbers)
            # A file is of many tasks, and whole: no run is at work.
            if part.log is not None and here is not None and here.file not in self._logs:
                self._logs.add(here.file)
                copy_log(self.other, self.into, part.log.file, here.file)

    def _copy_step(self, key: bytes) -> None:
        """Bring a step, and those that it used; one that is damaged is computed again when it is needed."""
        if key in self._steps:
            return
        self._steps.add(key)
        there, here = step_place(self.other), step_place(self.into)
        record = step_record(key, there)
        if record is None or step_record(key, here) is not None:
            return
        for inner in record.steps:
            self._copy_step(inner)
        if _copy_step(self.other, self.into, record, there, here):
            self.told.steps += 1

    def _copy_artifacts(self, record: TaskRecord) -> None:
        for fence in {fence_of(name) for name in record.artifacts} or {0}:
            copy_artifacts(self.other, self.into, fenced(record.key.hex(), fence))

    def _damaged(self, record: TaskRecord, why: str) -> None:
        self.told.damaged.append(f"{key_text(record)} of {self.name} {record.params}: {why}")

    # --- what is declared

    def _declare(self, run: Run) -> Callable[[str], str]:
        """Join the parameters' values and the order of tasks; return how parameters of a row read here."""
        axes = []
        for name, values in self.other.index.axes(self.name):
            items = as_items(values)
            told = {place: item for place, (_, item) in enumerate(values) if item is not None}
            axes.append(Declared(name, [item.fragment for item in items], told, says_labels=False))
        theirs, ours = self.other.index.order(self.name), self.into.index.order(self.name)
        order = merged(_pieces(ours), _pieces(theirs)) if theirs else []
        keys = b"".join(piece + bytes(16 - SHORT_KEY) for piece in order)
        here = run.declare(axes, keys, not order)
        return words_of(axes, here)


def _join_states(other: Store, into: Store, experiment: str, told: Merged) -> None:
    """Bring the checkpoints of tasks that are not done, with their folders, where there are none here.

    Not from or to an object store: those tasks begin anew.
    """
    if other.far is not None or into.far is not None:
        return
    keys = keys_with_states(other.root) - keys_with_states(into.root)
    keys -= other.index.names(keys, ()).done.keys() | into.index.names(keys, ()).done.keys()
    if not keys:
        return
    there, here, fences = Layout(other.root), Layout(into.root), highest_fences(other.root)
    with _lease(other, into, experiment) as run:
        # Those that have failed here may be gone on from, too: their rows are no news.
        ids = {key: into.index.ids_of_keys(key, key) for key in keys}
        run.previous = {key: found[-1] for key, found in ids.items() if found}
        for key in run.claim(sorted(keys)).granted:
            names = [fenced(key.hex(), fence) for fence in range(fences.get(key, 0) + 1)]
            # The last one says that all is there.
            for place in (Layout.work, Layout.artifacts, Layout.checkpoint):
                for name in names:
                    copy_folder(other.root, place(there, name), place(here, name), into.root)
            told.checkpoints += 1


def _copy_step(other: Store, into: Store, record: StepRecord, there: Place, here: Place) -> bool:
    ref, key, source, target = record.value.ref, record.key.hex(), other.root, into.root
    try:
        if ref is not None:
            copy_value(PayloadDir(there, source), PayloadDir(here, target), ref)
    except StoreError:
        return False
    copy_folder(source, Layout(source).step_files(key), Layout(target).step_files(key), target)
    write_record(target, record, here)
    return True


def _row(store: Store, key: bytes) -> TaskRecord | None:
    """Return the row that stands for a task."""
    return next(iter(store.index.records(store.index.ids_of_keys(key, key)[-1:])), None)


def _value(record: TaskRecord) -> object:
    value = record.value
    return None if value is None else (value.format, value.ref, value.data)


def _is_one(a: TaskRecord, b: TaskRecord) -> bool:
    return (a.started, a.attempt, a.worker) == (b.started, b.attempt, b.worker)


def _pieces(order: bytes) -> list[bytes]:
    return [order[at : at + SHORT_KEY] for at in range(0, len(order), SHORT_KEY)]
