"""List all that `gc` may remove, here and in an object store, whatever the rows say of it.

Knows: the store's folders, names there, what can go and what it is called. May not know: rows, runs, what is in a file.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from memento import layout
from memento.layout import Layout, is_key
from memento.store.far import Far
from memento.store.leftovers import half_written, has_outcomes, is_run, scan
from memento.store.step_records import ENDING
from memento.values.choose_place import far_place
from memento.values.payloads import is_ref

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
LEFT_ARTIFACTS = "artifacts of attempts whose place was lost"
LOGS = "output that belongs to no task"
HANDED = "what runs that ended had handed to their workers"
UNFINISHED = "checkpoints and folders of tasks that are not done"
DAMAGED = "damaged files that were set aside"


# Of these the folder has copies at most, or what says that there is something.
WITH_COPIES = frozenset({PAYLOADS, STEPS, UNUSED, ARTIFACTS, CHECKPOINTS, UNFINISHED})


class Item(NamedTuple):
    """One file or folder that may go."""

    kind: str
    path: str
    size: int = 0  # bytes; looked up where it does go
    key: bytes | None = None  # of the task it belongs to
    # Id of the row by which that task is done: if it is gone, that may not be so any more.
    row: int | None = None
    run: str | None = None  # name of the run that wrote it
    ref: str | None = None  # of a payload
    step: bytes | None = None  # key of the step it belongs to
    also: tuple[str, ...] = ()  # what goes with it, after it
    far: str = ""  # its name in an object store
    fence: int = 0  # which of the task's folders of that kind it is


def listed(root: str, damaged: bool, unfinished: bool) -> Iterator[Item]:
    """Yield all that may be garbage, whatever the rows say."""
    # Outcomes that workers of dead runs have left may name values; the next run takes them in.
    left = not unfinished and has_left_outcomes(root)
    if not left:
        # Before their values: what is interrupted in between leaves no record without one.
        yield from _steps(root)
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
            found = layout.key_and_fence(entry.name)
            if found is not None:
                yield Item(kind, entry.path, key=bytes.fromhex(found[0]), fence=found[1])
            elif place == layout.WORK and is_run(entry.name) and (unfinished or not has_outcomes(entry.path)):
                yield Item(HANDED, entry.path, run=entry.name)
    for run in scan(os.path.join(root, layout.LOGS)):
        for entry in scan(run.path):
            yield Item(LOGS, entry.path, run=run.name, ref=f"{run.name}/{entry.name}")
    if damaged:
        for path in set_aside(root):
            yield Item(DAMAGED, path)


def has_left_outcomes(root: str) -> bool:
    """Tell whether workers of dead runs have left outcomes that the next run takes in."""
    return any(has_outcomes(entry.path) for entry in scan(os.path.join(root, layout.WORK)))


def _steps(root: str) -> Iterator[Item]:
    """Yield what steps have beside their values: a record with all that hangs on it, folders without one."""
    place = Layout(root)
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


# --- in an object store: one listing, a request for a thousand objects; what a machine keeps a copy of goes with it


def listed_far(root: str, far: Far, *, damaged: bool, left: bool) -> Iterator[Item]:
    """Yield all that may be garbage there; nothing of values where workers have `left` outcomes that may name some."""
    sizes = dict(far_place(far.address).sizes())
    groups = defaultdict[tuple[str, str], int](int)  # (folder, name in it) -> bytes
    for name, size in sizes.items():
        folder, _, rest = name.partition("/")
        groups[folder, rest.partition("/")[0]] += size
    if not left:
        yield from _far_steps(root, far, sizes)
    for name, size in sizes.items():
        folder, _, rest = name.partition("/")
        at = f"{far.address}/{name}"
        if damaged and (layout.QUARANTINE in name.split("/")[:2] or name.endswith(layout.SET_ASIDE)):
            yield Item(DAMAGED, at, size, far=name)
        elif name.startswith(("probe-", f"{layout.STEPS}/{layout.STEP_LEASES}/")):
            yield Item(TEMPORARIES, at, size, far=name)
        elif is_ref(rest) and not rest.startswith(layout.DEFINITIONS) and not left:
            if folder == layout.PAYLOADS:
                yield Item(PAYLOADS, at, size, ref=rest, far=name)
            elif folder == layout.STEPS:
                copy = os.path.join(Layout(root).steps, *rest.split("/"))
                yield Item(STEPS, at, size, ref=f"{STEP}{rest}", far=name, also=(copy,))
    for (folder, name), size in groups.items():
        at = f"{far.address}/{folder}/{name}/"
        kinds = {
            layout.CHECKPOINTS: (CHECKPOINTS, Layout(root).checkpoint),
            layout.ARTIFACTS: (ARTIFACTS, Layout(root).artifacts),
        }
        of = layout.key_and_fence(name)
        if folder in kinds and of is not None:
            (kind, copy_of), key = kinds[folder], bytes.fromhex(of[0])
            far_name = f"{folder}/{name}/"
            yield Item(kind, at, size, key=key, fence=of[1], far=far_name, also=(copy_of(name),))
        elif folder == layout.LOGS:
            yield from _far_logs(far, name, sizes)


def _far_steps(root: str, far: Far, sizes: dict[str, int]) -> Iterator[Item]:
    start, place = f"{layout.STEPS}/{layout.STEP_KEYS}/", Layout(root)
    for name, size in sizes.items():
        key = name.removeprefix(start).removesuffix(ENDING)
        if name.startswith(start) and name.endswith(ENDING) and is_key(key):
            here = os.path.join(place.step_keys, key)
            its = (
                f"{here}{ENDING}",
                f"{here}.lock",
                place.step_files(key),
                os.path.join(place.step_work, key),
            )
            yield Item(UNUSED, f"{far.address}/{name}", size, step=bytes.fromhex(key), far=name, also=its)
    work = f"{layout.STEPS}/{layout.STEP_WORK}/"
    for key in {name.removeprefix(work).partition("/")[0] for name in sizes if name.startswith(work)}:
        if is_key(key) and f"{start}{key}{ENDING}" not in sizes:
            also = (os.path.join(place.step_work, key),)
            at = f"{far.address}/{work}{key}/"
            yield Item(UNFINISHED, at, step=bytes.fromhex(key), far=f"{work}{key}/", also=also)


def _far_logs(far: Far, run: str, sizes: dict[str, int]) -> Iterator[Item]:
    files = defaultdict[str, int](int)
    for name, size in sizes.items():
        parts = name.split("/")
        if len(parts) == 4 and parts[:2] == [layout.LOGS, run]:
            files[parts[2]] += size
    for file, size in files.items():
        name = f"{layout.LOGS}/{run}/{file}/"
        yield Item(LOGS, f"{far.address}/{name}", size, run=run, ref=f"{run}/{file}", far=name)


def remove_far(far: Far, name: str) -> bool:
    """Remove an object, or all below a prefix that ends with "/"; what cannot be removed now stays."""
    place = far_place(far.address)
    try:
        place.clear(name[:-1]) if name.endswith("/") else place.remove(name)
    except OSError:
        return False
    return True
