"""The log of a worker: which part of it is whose, and no task's part without bound.

Knows: one log file. May not know: tasks, who reads it.

What a task prints goes into the file directly, so it costs nothing on the way. A part that has grown over `LIMIT`
is cut to its head and its tail when the task ends; while it grows, `thin` frees what will be cut from the disk.
"""

from __future__ import annotations

import contextlib
import os
import sys

from memento import system
from memento.records import LogSlice
from memento.worker import failures

LIMIT = 16 << 20  # bytes of one task's output
_HEAD = LIMIT // 2
_TAIL = LIMIT - _HEAD
_LINE = 4_096  # bytes in which the end of a line is looked for


class Output:
    """The worker's end of its log: descriptors 1 and 2 of this process."""

    def __init__(self, path: str, name: str) -> None:
        self._path, self._name = path, name
        self.end = 0  # where what is printed next belongs to the next slice
        self.file = system.out_of_reach(
            os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        )
        os.dup2(self.file, 1)
        os.dup2(self.file, 2)

    def so_far(self) -> LogSlice | None:
        """Return the part that still grows; it belongs to the next slice as before."""
        _flush()
        try:
            end = os.lseek(self.file, 0, os.SEEK_END)
        except OSError:
            return None
        if end - self.end > LIMIT:
            end = self.end + _HEAD // 2  # all that is sure to stay where it is
        return LogSlice(self._name, self.end, end) if end > self.end else None

    def slice(self) -> LogSlice | None:
        """Return what was printed since this was last asked; None where nothing was."""
        _flush()
        start = self.end
        try:
            self.end = os.lseek(self.file, 0, os.SEEK_END)
            if self.end - start > LIMIT:
                self.end = shorten(self.file, start, self.end)
        except OSError:  # the task has closed it too, or the disk is full: the outcome counts more
            return None
        return LogSlice(self._name, start, self.end) if self.end > start else None

    def last_lines(self, log: LogSlice) -> str:
        """Return the end of a slice."""
        return failures.tail(self._path, log.start, log.end)


def no_slice() -> None:
    """Let what was printed go to where the program's own output goes: no log has a part for it."""
    _flush()


def _flush() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        try:  # noqa: SIM105 - a context manager would take longer than what is in it
            stream.flush()  # type: ignore[union-attr]  # None is among what is caught
        except Exception:  # the task may have closed it
            pass


def shorten(file: int, start: int, end: int) -> int:
    """Cut the last part of a log to its head and its tail where it is over the limit; return its new end."""
    if end - start <= LIMIT:
        return end
    first = start + _HEAD
    before = os.pread(file, _LINE, first - _LINE)
    first -= len(before) - (before.rfind(b"\n") + 1 or len(before))
    last = end - _TAIL
    tail = os.pread(file, _TAIL, last)
    skipped = tail.find(b"\n", 0, _LINE) + 1
    tail = tail[skipped:]
    told = f"\n[... {last + skipped - first:,} bytes left out ...]\n".encode()
    os.ftruncate(file, first)
    for data in (told, tail):
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]
    return first + len(told) + len(tail)


def thin(path: str, start: int, end: int) -> None:
    """Free the disk of what will be cut from a part that still grows; where the system cannot, it waits for the end."""
    if end - start > 2 * LIMIT:
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                system.punch_hole(file, start + _HEAD, end - _TAIL - start - _HEAD)
            finally:
                os.close(file)


def shorten_path(path: str, start: int, end: int) -> int:
    """Do as `shorten`, for a worker that has ended."""
    if end - start <= LIMIT:
        return end
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return end
    try:
        return shorten(file, start, end)
    except OSError:
        return os.fstat(file).st_size
    finally:
        os.close(file)
