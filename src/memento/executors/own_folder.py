"""The folder of a cluster that a program has made for itself: it goes with the program, or with the next one.

Knows: folders, which processes are gone. May not know: clusters.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from memento import system

_OWNER = "memento-owner"  # the file that says whose it is
_TRIES = 50  # to remove it, a tenth of a second apart


@contextlib.contextmanager
def own_folder(prefix: str, place: str) -> Iterator[str]:
    """Make a folder whose name begins so; what programs that were killed have left there goes before."""
    _clear_after_the_dead(prefix, place)
    folder = tempfile.mkdtemp(prefix=prefix, dir=place)
    try:
        Path(folder, _OWNER).write_text(system.own_mark())
        yield folder
    finally:
        for _ in range(_TRIES):  # a cluster's processes write their last lines while it is removed
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.1)


def _clear_after_the_dead(prefix: str, place: str) -> None:
    """Remove the folders of those that are proven to be gone, no others."""
    for folder in Path(place).glob(f"{prefix}*"):
        with contextlib.suppress(OSError, ValueError):
            is_mine = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if is_mine and system.is_marked_gone((folder / _OWNER).read_text()):
                shutil.rmtree(folder, ignore_errors=True)
