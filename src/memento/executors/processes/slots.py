"""Memory shared by the supervisor and its workers: who runs what, since when.

Knows: one anonymous file, mapped. May not know: tasks, processes.

    header   byte 0: the run stops (read by `context.stopping`)
    slot     start      double   CLOCK_MONOTONIC when the worker began its present position
             position   int64    which of the tasks sent to it the worker runs; -1 before the first
             limit      int64    the worker begins no position from here on
             skipped    int64    the first position that it did not begin because of `limit`
             printed    int64    where in its log the output of its present position begins
             stop       int64    the position whose task is to stop (read by `context.stopping`)
             waited     double   seconds for which a position has only waited for another task ...
             waiter     int64    ... and which position that is

A worker writes `start`, then `position`, and then reads `limit`: so a supervisor that lowers `limit`
and looks at `position` a moment later (`SETTLE`) knows what the worker will not run, without a message
and without waiting for a worker that is busy. Eight aligned bytes are written at once on all machines we run on.
"""

from __future__ import annotations

import mmap
import os

SETTLE = 0.002  # seconds; a store is visible to other cores within microseconds
NO_LIMIT = (1 << 63) - 1
_HEADER = 64  # a cache line each, so that workers do not slow each other down
_SLOT = 64


def make_file(name: str, size: int) -> int:
    """Return a descriptor of a new nameless file."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


class Slots:
    """The mapped memory."""

    def __init__(self, descriptor: int, count: int) -> None:
        self._map = mmap.mmap(descriptor, self.size(count))
        whole = memoryview(self._map)
        self.ints = whole.cast("q")
        self.doubles = whole.cast("d")
        self.bytes = whole

    @staticmethod
    def size(count: int) -> int:
        """Return how many bytes `count` slots take."""
        return _HEADER + _SLOT * count

    def base(self, slot: int) -> int:
        """Return the index of a slot's first word: start, position, limit, skipped, printed, stop, waited, waiter."""
        return (_HEADER + _SLOT * slot) // 8

    def clear(self, slot: int) -> None:
        """Make a slot ready for a new worker; nobody may use it."""
        base = self.base(slot)
        self.doubles[base] = 0.0
        self.ints[base + 1] = -1
        self.ints[base + 4] = 0
        self.ints[base + 7] = -1
        self.ints[base + 5] = NO_LIMIT
        self.lift_limit(slot)

    def position(self, slot: int) -> int:
        """Return what the worker runs, or ran last; -1 before its first task."""
        return self.ints[self.base(slot) + 1]

    def start(self, slot: int) -> float:
        """Return when it began that."""
        return self.doubles[self.base(slot)]

    def printed(self, slot: int) -> int:
        """Return where in the worker's log the output of what it runs begins."""
        return self.ints[self.base(slot) + 4]

    def set_limit(self, slot: int, limit: int) -> None:
        """Let the worker begin nothing from this position on."""
        self.ints[self.base(slot) + 2] = limit

    def lift_limit(self, slot: int) -> None:
        """Let the worker begin whatever it is sent."""
        base = self.base(slot)
        self.ints[base + 2] = self.ints[base + 3] = NO_LIMIT

    def skipped(self, slot: int) -> int:
        """Return the first position that the worker has skipped; NO_LIMIT where it has skipped none."""
        return self.ints[self.base(slot) + 3]

    def stopping(self, slot: int) -> bool:
        """Tell whether what the worker runs is to stop, since the run stops or that task."""
        base = self.base(slot)
        return self.bytes[0] != 0 or self.ints[base + 5] == self.ints[base + 1]

    def wait(self, slot: int, seconds: float) -> None:
        """Note that what the worker runs has only waited meanwhile."""
        base = self.base(slot)
        position = self.ints[base + 1]
        if self.ints[base + 7] != position:
            self.doubles[base + 6] = 0.0
            self.ints[base + 7] = position
        self.doubles[base + 6] += seconds

    def waited(self, slot: int, position: int) -> float:
        """Return for how many seconds a position has only waited."""
        base = self.base(slot)
        return self.doubles[base + 6] if self.ints[base + 7] == position else 0.0

    def stop(self, slot: int, position: int) -> None:
        """Tell the task at a position to stop."""
        self.ints[self.base(slot) + 5] = position

    def stop_all(self) -> None:
        """Tell all workers that the run stops."""
        self.bytes[0] = 1

    def close(self) -> None:
        """Unmap it."""
        self.ints.release()
        self.doubles.release()
        self.bytes.release()
        self._map.close()
