"""Remove and move folders that belong to one task and bear its key: checkpoints, artifacts, its own folder.

Knows: their names. May not know: what is in one.

Checkpoints go when their task's result is durable; a crash between a commit and this leaves them for the next run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from memento.layout import ARTIFACTS, CHECKPOINTS, WORK

if TYPE_CHECKING:
    from pathlib import Path

    from memento.records import TaskRecord

_KEYED = (ARTIFACTS, CHECKPOINTS, WORK)
_SLACK = 5.0  # seconds by which a file's time and ours may differ


def keys_with_states(store: str | os.PathLike[str]) -> set[bytes]:
    """Return the keys that have checkpoints: one look at a folder that is empty for most grids."""
    return _keys_in(store, CHECKPOINTS)


def keyed_folders(store: str) -> set[bytes]:
    """Return the keys that have any folder."""
    return {key for folder in _KEYED for key in _keys_in(store, folder)}


def move_folders(store: str, moves: Iterable[tuple[bytes, bytes]]) -> None:
    """Let folders follow their renamed tasks; what another process has moved meanwhile is no fault."""
    for old, new in moves:
        for folder in _KEYED:
            source, target = (os.path.join(store, folder, key.hex()) for key in (old, new))
            if os.path.isdir(source) and not os.path.exists(target):
                os.rename(source, target)


def _keys_in(store: str | os.PathLike[str], folder: str) -> set[bytes]:
    try:
        names = os.listdir(os.path.join(store, folder))
    except OSError:
        return set()
    return {bytes.fromhex(name) for name in names if len(name) == 32 and not name.strip("0123456789abcdef")}


def drop_states(store: str | os.PathLike[str], keys: Iterable[bytes]) -> None:
    """Remove the checkpoints of tasks whose results are durable; what cannot be removed harms nobody."""
    there = keys_with_states(store)
    if there:
        import shutil

        from memento import faultpoints

        faultpoints.at("checkpoints.dropping")
        for key in there.intersection(keys):
            shutil.rmtree(os.path.join(store, CHECKPOINTS, key.hex()), ignore_errors=True)


def drop_older_states(store: Path, done: Iterable[TaskRecord]) -> None:
    """Remove checkpoints from before a task was done; newer ones are those of a run that computes it again."""
    import shutil

    for record in done:
        folder = store / CHECKPOINTS / record.key.hex()
        with suppress(OSError):
            newest = max((path.stat().st_mtime for path in folder.rglob("*")), default=0.0)
            last = record.pieces[-1] if record.pieces else record
            if newest > last.started + last.runtime + _SLACK:
                continue
        shutil.rmtree(folder, ignore_errors=True)
