"""Remove the checkpoints of tasks that are done; a crash between a commit and this leaves them for the next run.

Knows: the folder of checkpoints. May not know: what is in one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from memento.layout import CHECKPOINTS

if TYPE_CHECKING:
    from pathlib import Path

    from memento.records import TaskRecord

_SLACK = 5.0  # seconds by which a file's time and ours may differ


def keys_with_states(store: str | os.PathLike[str]) -> set[bytes]:
    """Return the keys that have checkpoints: one look at a folder that is empty for most grids."""
    try:
        names = os.listdir(os.path.join(store, CHECKPOINTS))
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
