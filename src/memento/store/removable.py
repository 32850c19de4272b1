"""List all that `gc` may remove, whatever the rows say of it.

Knows: the store's folders, what can go and what it is called. May not know: rows, runs, what is in a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from memento import layout
from memento.store.leftovers import half_written, has_outcomes, is_run, scan
from memento.store.step_records import ENDING
from memento.values.payloads import is_ref

_HEX = frozenset("0123456789abcdef")
STEP = f"{layout.STEPS}/"  # before the names of steps' values, whose folder is another one

# What can go, and what it is called.
PAYLOADS = "values that no task has"
STEPS = "values of steps that nothing names"
UNUSED = "steps that no result used"
GIVEN_STEPS = "steps, computed again when needed"
RESULTS = "results, computed again when needed"
TEMPORARIES = "half-written files of runs that died"
CHECKPOINTS = "checkpoints of tasks that are done"
FOLDERS = "working folders of tasks that are done"
ARTIFACTS = "artifacts of tasks that are gone"
LOGS = "output that belongs to no task"
HANDED = "what runs that ended had handed to their workers"
UNFINISHED = "checkpoints and folders of tasks that are not done"
DAMAGED = "damaged files that were set aside"


class Item(NamedTuple):
    """One file or folder that may go."""

    kind: str
    path: str
    size: int = 0  # bytes; looked up where it does go
    key: bytes | None = None  # of the task it belongs to
    row: int | None = (
        None  # id of the row by which that task is done: if it is gone, that may not be so any more
    )
    run: str | None = None  # name of the run that wrote it
    ref: str | None = None  # of a payload
    step: bytes | None = None  # key of the step it belongs to
    also: tuple[str, ...] = ()  # what goes with it, after it


def listed(root: str, damaged: bool, unfinished: bool) -> Iterator[Item]:
    """Yield all that may be garbage, whatever the rows say."""
    # Outcomes that workers of dead runs have left may name values; the next run takes them in.
    work = os.path.join(root, layout.WORK)
    left = not unfinished and any(has_outcomes(entry.path) for entry in scan(work))
    if not left:
        yield from _steps(
            root
        )  # before their values: what is interrupted in between leaves no record without one
    for kind, place in ((PAYLOADS, layout.PAYLOADS), (STEPS, layout.STEPS))[1 if left else 0 :]:
        for ref, path in _payloads(os.path.join(root, place)):
            yield Item(kind, path, ref=f"{STEP}{ref}" if kind == STEPS else ref)
    for path in half_written(root):
        yield Item(TEMPORARIES, path)
    for kind, place in (
        (CHECKPOINTS, layout.CHECKPOINTS),
        (FOLDERS, layout.WORK),
        (ARTIFACTS, layout.ARTIFACTS),
    ):
        for entry in scan(os.path.join(root, place)):
            if is_key(entry.name):
                yield Item(kind, entry.path, key=bytes.fromhex(entry.name))
            elif place == layout.WORK and is_run(entry.name) and (unfinished or not has_outcomes(entry.path)):
                yield Item(HANDED, entry.path, run=entry.name)
    for run in scan(os.path.join(root, layout.LOGS)):
        for entry in scan(run.path):
            yield Item(LOGS, entry.path, run=run.name, ref=f"{run.name}/{entry.name}")
    if damaged:
        for path in set_aside(root):
            yield Item(DAMAGED, path)


def _steps(root: str) -> Iterator[Item]:
    """Yield what steps have beside their values: a record with all that hangs on it, folders without one."""
    place = layout.Layout(root)
    folder = place.step_keys
    recorded = set()
    for entry in scan(folder):
        key = entry.name.removesuffix(ENDING)
        if entry.name.endswith(ENDING) and is_key(key):
            recorded.add(key)
            its = (
                os.path.join(folder, f"{key}.lock"),
                place.step_files(key),
                os.path.join(place.step_work, key),
                os.path.join(place.step_failures, entry.name),
            )
            yield Item(UNUSED, entry.path, step=bytes.fromhex(key), also=its)
    for kind, name in ((UNUSED, layout.STEP_FILES), (UNFINISHED, layout.STEP_WORK)):
        for entry in scan(os.path.join(place.steps, name)):
            if is_key(entry.name) and entry.name not in recorded:
                yield Item(kind, entry.path, step=bytes.fromhex(entry.name))


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


def is_key(name: str) -> bool:
    """Tell whether a name is that of a task or a step, in hexadecimal."""
    return len(name) == 32 and not set(name) - _HEX
