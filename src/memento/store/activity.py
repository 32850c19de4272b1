"""A file in which a run shows the tasks that its worker processes are at, so that others can follow their output.

Knows: one small file in a run's folder of logs. May not know: tasks, the index, who reads.

It is written anew, in one write, a few times a second: who is done sooner is not in it. By the time that
somebody reads it a worker may be at another task, so it says up to where the output is surely this one's. Nothing waits
for it, nothing depends on it: a file that is lost or stale only tells less.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from memento.layout import BOARD

if TYPE_CHECKING:
    from pathlib import Path

# Key, from where to where the log's bytes are this task's, name of the log.
_ENTRY = struct.Struct("<16sQQ24s")
_NOBODY = bytes(16)


class Working(NamedTuple):
    """A task that a worker is at, and what it has printed so far."""

    key: bytes
    run: int  # the run's id
    file: str  # under logs/
    start: int
    end: int  # what stands there from here on may be another task's


class ActivityFile:
    """What the workers of one run are at, as the one who writes it sees it."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._path = os.path.join(folder, BOARD)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._shown = b""

    def show(self, entries: Iterable[tuple[bytes, int, int, str]]) -> None:
        """Say what the workers are at: a task's key, from where to where its output is, the name of the log."""
        data = b"".join(
            _ENTRY.pack(key, start, end, name.rpartition("/")[2].encode())
            for key, start, end, name in entries
        )
        if data != self._shown:
            # Never shorter: who reads meanwhile would find a torn entry.
            self._shown = data
            os.pwrite(self._file, data.ljust(os.fstat(self._file).st_size, b"\0"), 0)

    def close(self) -> None:
        """Remove the file: nobody is at anything any more."""
        os.close(self._file)
        with suppress(OSError):
            os.unlink(self._path)


def read_activity(logs: Path, run_name: str, run: int) -> list[Working]:
    """Return what the workers of a run are at."""
    try:
        data = (logs / run_name / BOARD).read_bytes()
    except OSError:
        return []
    whole = data[: len(data) // _ENTRY.size * _ENTRY.size]
    return [
        Working(key, run, f"{run_name}/{name.rstrip(bytes(1)).decode('ascii', 'replace')}", start, end)
        for key, start, end, name in _ENTRY.iter_unpack(whole)
        if key != _NOBODY
    ]
