"""Measure what a task costs its process, for about a microsecond.

Knows: this process' own counters. May not know: tasks.

Peak memory is the kernel's high-water mark of resident memory. It is set back (Linux) whenever a task
has raised it, so it tells of this task, or of what the process held already when the task began. Where it cannot
be set back, a task that used less than an earlier one in the same worker shows the earlier one's peak. So do tasks that
started other processes: of these the largest counts, and its mark cannot be set back.
Counters that cost more than a microsecond are read only for tasks that ran for 10 ms.
"""

from __future__ import annotations

import os
import sys
import time

from memento import system

_LONG = 0.010  # seconds; from here a few system calls more do not count
_SLACK = 1 << 20  # bytes; the mark is set back after it rose by more


class Meter:
    """Measures one task after another in this process, each between `start` and `stop`.

    Where tasks share the process, CPU time is the thread's own. Where it is `alone`, nothing but tasks, what it spent
    since the last one's end is taken for the task's: some microseconds of carrying it, for two system calls less.
    """

    def __init__(self, *, shared: bool = False, alone: bool = False) -> None:
        self._shared = shared
        self._read = system.cpu_and_peak_reader() if alone else None
        self._cpu = time.thread_time if shared else time.process_time
        self._start = self._read()[0] if self._read is not None else 0.0
        self._children = 0.0
        self._mark = system.peak_memory()
        self._virtual = system.virtual_memory()
        self._reset = None if shared else system.PeakReset()

    def start(self) -> None:
        """Begin with a task."""
        if self._read is None:
            self._start = self._cpu()

    def stop(self, runtime: float) -> tuple[float | None, int | None, int | None]:
        """Return what the task used: seconds of the processor, bytes of memory, virtual bytes."""
        peak: int | None
        child_peak = 0
        if self._read is not None:
            now, peak = self._read()
            cpu, self._start = now - self._start, now
        else:
            cpu = self._cpu() - self._start
            peak = system.peak_memory()
        if runtime >= _LONG:
            if not self._shared:
                spent, largest = _children()
                cpu += spent - self._children
                if spent > self._children:  # some have ended, such as the program of a command
                    child_peak = largest
                self._children = spent
            self._virtual = system.virtual_memory()
        if (
            peak is not None
            and self._mark is not None
            and self._reset is not None
            and peak > self._mark + _SLACK
        ):
            self._reset()
            self._mark = system.peak_memory()
        return cpu, None if peak is None else max(peak, child_peak), self._virtual

    def so_far(self) -> tuple[float, int | None]:
        """Return what the task that is at it has used: seconds of the processor, bytes of memory."""
        now, peak = self._read() if self._read is not None else (self._cpu(), system.peak_memory())
        children = 0.0 if self._shared else _children()[0] - self._children
        return now - self._start + children, peak


def _children() -> tuple[float, int]:
    """Return the seconds of all children that have ended, and the most bytes that one of them had."""
    if sys.platform == "win32":
        return 0.0, 0
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime, system.peak_of(used)


def process_name() -> str:
    """Name this process for people: host and pid."""
    return f"{system.hostname()}/{os.getpid()}"
