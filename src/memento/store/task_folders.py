"""Remove and move folders that belong to one task and bear its key: checkpoints, artifacts, its own folder.

Knows: their names. May not know: what is in one.

Checkpoints go when their task's result is durable; a crash between a commit and this leaves them for the next run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from memento.layout import ARTIFACTS, CHECKPOINTS, FENCE_BEGUN, WORK, fenced, key_and_fence
from memento.store.leftovers import scan

if TYPE_CHECKING:
    from pathlib import Path

    from memento.records import TaskRecord

_KEYED = (ARTIFACTS, CHECKPOINTS, WORK)
_SLACK = 5.0  # seconds by which a file's time and ours may differ


def keys_with_states(store: str | os.PathLike[str]) -> set[bytes]:
    """Return the keys that have checkpoints: one look at a folder that is empty for most grids."""
    return {key for key, fence, path in _folders(store, CHECKPOINTS) if not fence or _has_states(path)}


def has_fences(store: str) -> bool:
    """Tell whether a task has lost a place, and no `gc` came since: see `fences`."""
    return any(fence for _, fence, _ in _folders(store, CHECKPOINTS))


def keyed_folders(store: str) -> set[bytes]:
    """Return the keys that have any folder."""
    return {key for folder in _KEYED for key, _, _ in _folders(store, folder)}


def move_folders(store: str, moves: Iterable[tuple[bytes, bytes]]) -> None:
    """Let folders follow their renamed tasks; what another process has moved meanwhile is no fault."""
    new = dict(moves)
    for folder in _KEYED:
        for key, fence, source in _folders(store, folder):
            if key in new:
                target = os.path.join(store, folder, fenced(new[key].hex(), fence))
                if os.path.isdir(source) and not os.path.exists(target):
                    os.rename(source, target)


def _folders(store: str | os.PathLike[str], folder: str) -> list[tuple[bytes, int, str]]:
    """List what belongs to tasks: keys, fences, paths."""
    path = os.path.join(store, folder)
    try:
        found = [(key_and_fence(name), name) for name in os.listdir(path)]
    except OSError:
        return []
    return [(bytes.fromhex(of[0]), of[1], os.path.join(path, name)) for of, name in found if of is not None]


def _has_states(path: str) -> bool:
    """Tell whether there is more in a folder of a fence than the fence itself."""
    return any(entry.name != FENCE_BEGUN for entry in scan(path))


def drop_state(path: str, fence: int) -> None:
    """Remove a folder of checkpoints; that of a fence stays, empty: a copy of its task may live still."""
    import shutil  # 2 ms, which a small run need not spend

    if not fence:
        shutil.rmtree(path)
        return
    for entry in scan(path):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        elif entry.name != FENCE_BEGUN:
            os.unlink(entry.path)


def states_of(store: str | os.PathLike[str], keys: Iterable[bytes]) -> list[tuple[str, int]]:
    """List the folders of checkpoints of these tasks, each with its fence."""
    folder = os.path.join(store, CHECKPOINTS)
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    # Each commit asks; a soak leaves thousands of fences, and all others' stay unopened.
    wanted = {key.hex() for key in keys} if names else ()
    found = [(key_and_fence(name), name) for name in names if name.partition(".")[0] in wanted]
    return [(os.path.join(folder, name), of[1]) for of, name in found if of is not None]


def drop_states(store: str | os.PathLike[str], keys: Iterable[bytes]) -> None:
    """Remove the checkpoints of tasks whose results are durable; what cannot be removed harms nobody."""
    there = states_of(store, keys)
    if there:
        from memento import faultpoints

        faultpoints.at("checkpoints.dropping")
        for path, fence in there:
            with suppress(OSError):
                drop_state(path, fence)


def drop_older_states(store: Path, done: Iterable[TaskRecord]) -> None:
    """Remove checkpoints from before a task was done; newer ones are those of a run that computes it again."""
    from pathlib import Path

    ended = {record.key: record.pieces[-1] if record.pieces else record for record in done}
    for key, fence, path in _folders(store, CHECKPOINTS):
        last = ended.get(key)
        if last is None:
            continue
        with suppress(OSError):
            newest = max((file.stat().st_mtime for file in Path(path).rglob("*")), default=0.0)
            if newest <= last.started + last.runtime + _SLACK:
                drop_state(path, fence)
