"""Measure a store: how many bytes of which kind, and how much of that nobody needs.

Knows: the names of a store's folders, sizes of files. May not know: what is in a file.

A look at each file's size and at nothing in it: 65,000 values take 0.2 s. Files of runs that go on may come and go.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from stat import S_ISDIR
from typing import NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.layout import ARTIFACTS, CHECKPOINTS, LOGS, PAYLOADS, QUARANTINE, SET_ASIDE, STEPS, WORK
from memento.system import disk_space
from memento.wording import size_text

_LOOK_AT_THE_TIME = 256  # files between two looks
_FOLDERS = {  # field -> folder
    "values": PAYLOADS,
    "steps": STEPS,
    "checkpoints": CHECKPOINTS,
    "artifacts": ARTIFACTS,
    "logs": LOGS,
    "folders": WORK,
}


class Sizes(NamedTuple):
    """How large a store is, in bytes.

    Attributes
    ----------
    values : int
        Values of tasks that are files; small ones are in the index.
    steps : int
        Values of steps that tasks share.
    checkpoints : int
        What unfinished tasks have so far.
    artifacts : int
        Files that tasks keep.
    logs : int
        What tasks printed.
    folders : int
        Tasks' own folders, and what runs hand to their workers.
    index : int
        Records of tasks, metrics, small values.
    damaged : int
        What was set aside.
    garbage : int
        So much of all that `memento.gc` would free.
    disk_free : int
        Bytes that are left on the disk.
    complete : bool
        Whether all files were looked at; if not, each figure is a lower bound.
    """

    values: int = 0
    steps: int = 0
    checkpoints: int = 0
    artifacts: int = 0
    logs: int = 0
    folders: int = 0
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which nobody asks a record for
    damaged: int = 0
    garbage: int = 0
    disk_free: int = 0
    complete: bool = True

    @property
    def total(self) -> int:
        """All bytes of the store."""
        return sum(self.kinds)

    @property
    def kinds(self) -> tuple[int, ...]:
        """The bytes of each kind, in the order of the fields."""
        return self[:8]

    @property
    def text(self) -> str:
        """What is how large, the largest first.

        >>> Sizes(values=2_048, index=4_096).text
        'index 4.1 kB, values 2.05 kB'
        """
        named = [(size, name) for name, size in zip(self._fields, self.kinds, strict=False) if size]
        return ", ".join(f"{name} {size_text(size)}" for size, name in sorted(named, reverse=True))


def measure(root: str, within: float | None = None, clock: Clock = SYSTEM_CLOCK) -> Sizes:
    """Measure all files of a store, or those that can be seen `within` so many seconds; garbage is not looked for."""
    until = None if within is None else clock.monotonic() + within
    sizes, complete = dict.fromkeys(Sizes._fields[:-1], 0), True
    for field, folder in _FOLDERS.items():
        sizes[field], damaged, whole = _tally(os.path.join(root, folder), until, clock)
        sizes["damaged"] += damaged
        complete = complete and whole
    for entry in _entries(root):
        if entry.is_file(follow_symlinks=False):
            sizes["index"] += _file_size(entry)
    return Sizes(**{**sizes, "disk_free": disk_space(root)[0]}, complete=complete)


def size_of(path: str) -> int:
    """Return the bytes of a file, or of all files of a folder; links are not followed."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return sum(_tally(path)[:2]) if S_ISDIR(status.st_mode) else status.st_size


def _tally(root: str, until: float | None = None, clock: Clock = SYSTEM_CLOCK) -> tuple[int, int, bool]:
    """Return the bytes below a folder, those of what was set aside there, and whether there was time to see all."""
    kept = aside = seen = 0
    folders = [(root, False)]
    while folders:
        folder, is_aside = folders.pop()
        for entry in _entries(folder):
            seen += 1
            if until is not None and seen % _LOOK_AT_THE_TIME == 0 and clock.monotonic() >= until:
                return kept, aside, False
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, is_aside or (folder == root and entry.name == QUARANTINE)))
            elif is_aside or entry.name.endswith(SET_ASIDE):
                aside += _file_size(entry)
            else:
                kept += _file_size(entry)
    return kept, aside, True


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder, in no order; nothing where it cannot be read, or is gone by now."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return


def _file_size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
