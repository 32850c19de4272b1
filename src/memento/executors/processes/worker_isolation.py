"""Put a worker back in order after each task, or say why it must be replaced.

Knows: what tasks change of a worker, beside what `isolation` knows of any process. May not know: tasks, pipes.

    put back       what `isolation` puts back; descriptors 1 and 2, closed streams, alarms, tracing, faulthandler
    new worker     child processes, threads that are no daemons, resource limits, options that cannot be put back
    not seen       what a daemon thread does

Looking must cost next to nothing, for most tasks change nothing: rare changes are seen by an audit hook; what one
cheap call sets is set without looking.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from typing import TextIO

from memento import system
from memento.worker.isolation import AUDIT, Isolation

_START = 0.0001  # seconds; no process is started in less, be it by C code that no audit hook sees


class WorkerIsolation:
    """What a worker was like when this was made."""

    def __init__(self, output: int | None = None) -> None:
        self._output = output
        self._isolation = Isolation(self._listen_again if output is not None else None)
        self._heard, self._limits = AUDIT.total, AUDIT.limits
        self._traces, self._profiles = sys.gettrace(), sys.getprofile()
        self._closing = [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
        self._faults = faulthandler.is_enabled()
        self._threads, self._modules = threading.active_count(), len(sys.modules)
        self._helpers: list[int] = []  # children that live on from task to task

    def restore(self, runtime: float = _START) -> str:
        """Put back what a task has changed that took so many seconds; return why that cannot be, or ""."""
        heard = self._heard != AUDIT.total
        signal.alarm(0)
        if self._output is not None:
            os.dup2(self._output, 1)
            os.dup2(self._output, 2)
        for stream in self._closing:
            if stream.closed:
                self._open_again()
                break
        left = self._isolation.restore()
        faulthandler.cancel_dump_traceback_later()
        if self._faults and not faulthandler.is_enabled():
            faulthandler.enable(file=2, all_threads=True)
        if (heard or runtime >= _START) and system.has_children() and self._children_are_left():
            return "left child processes behind, which were ended"
        if len(sys.modules) < self._modules:
            return "removed imported modules"
        self._modules = len(sys.modules)
        if heard:
            if sys.gettrace() is not self._traces:
                sys.settrace(self._traces)
            if sys.getprofile() is not self._profiles:
                sys.setprofile(self._profiles)
            self._heard = AUDIT.total  # restoring made some of its own
            if AUDIT.limits != self._limits:
                return "changed resource limits"
        if threading.active_count() != self._threads and _threads_are_left():
            return "left threads behind"
        return left

    def _open_again(self) -> None:
        """Make new streams over descriptors 1 and 2 in place of those that were closed."""
        hooks = self._isolation.hooks
        made = [
            _stream(number, old) if old is not None and old.closed else old
            for number, old in ((1, hooks[1]), (2, hooks[2]))
        ]
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = made  # type: ignore[misc, assignment]  # Final in typeshed
        self._isolation.hooks = (hooks[0], *made, *hooks[3:])
        self._closing = [stream for stream in made if stream is not None]

    @staticmethod
    def _listen_again() -> None:
        with contextlib.suppress(AttributeError):
            faulthandler.unregister(signal.SIGTERM)
        watch_for_the_end()

    def _children_are_left(self) -> bool:
        """Tell whether there are others than the helpers that clean up behind multiprocessing and joblib."""
        below = system.descendants(os.getpid())
        if below == self._helpers:
            return False
        self._helpers = [pid for pid in below if system.is_resource_tracker(pid)]
        return below != self._helpers


def watch_for_the_end() -> None:
    """When the supervisor ends a task (SIGTERM), show where it was, then die of the signal."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
        faulthandler.register(signal.SIGTERM, file=2, all_threads=True, chain=True)


def _threads_are_left() -> bool:
    # Daemons are helpers of libraries (progress bars, pools), which end with the process.
    return any(not t.daemon and t is not threading.main_thread() for t in threading.enumerate())


def _stream(number: int, like: TextIO) -> TextIO:
    return open(number, "w", buffering=1, encoding=like.encoding, errors=like.errors, closefd=False)
