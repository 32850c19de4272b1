"""The board on which each worker process writes the task that it is at, so that others can follow its output.

Knows: one small file in a run's folder of logs. May not know: tasks, the index, who reads.

A worker has one entry of fixed size, by its slot, and overwrites it in one write before each task. Nothing waits
for it, nothing depends on it: a board that is lost or stale only tells less.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

from memento import system

NAME = "now"
_ENTRY = struct.Struct("<16sQ24s")  # key, where the task's output begins, name of the log file
_NOBODY = bytes(16)


class Working(NamedTuple):
    """A task that a worker is at, and where its output begins."""

    key: bytes
    run: int  # the run's id
    file: str  # under logs/
    start: int


class Entry:
    """One worker's place on the board of its run.

    Parameters
    ----------
    log : str
        Path of the worker's log file; the board lies beside it.
    slot : int
        The worker's number among those that run at once.
    """

    def __init__(self, log: str, slot: int) -> None:
        path = Path(log)
        self._place = slot * _ENTRY.size
        self._name = path.name.encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._file = system.out_of_reach(os.open(path.with_name(NAME), flags, 0o644))
        self.clear()

    def write(self, key: bytes, start: int) -> None:
        """Say that this worker begins a task, whose output begins at `start` of its log."""
        os.pwrite(self._file, _ENTRY.pack(key, start, self._name), self._place)

    def clear(self) -> None:
        """Say that this worker is at nothing."""
        self.write(_NOBODY, 0)


def read_board(logs: Path, run_name: str, run: int) -> list[Working]:
    """Return what the workers of a run are at.

    Parameters
    ----------
    logs : Path
        The store's folder of logs.
    run_name, run : str, int
        The run's name and id.
    """
    try:
        data = (logs / run_name / NAME).read_bytes()
    except OSError:
        return []
    whole = data[: len(data) // _ENTRY.size * _ENTRY.size]
    return [
        Working(key, run, f"{run_name}/{name.rstrip(bytes(1)).decode('ascii', 'replace')}", start)
        for key, start, name in _ENTRY.iter_unpack(whole)
        if key != _NOBODY
    ]
