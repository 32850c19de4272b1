"""Renew a run's lease from a thread of its own, so that no task, however long, lets it fall.

Knows: threads, forks. May not know: what a beat is, tasks, claims.

Owners
    the thread   made by `__enter__`, ended by `__exit__`; between beats it waits for its end and holds nothing
Forks: a beat and a fork exclude each other, so no copy of this process begins in the middle of one; the thread is
marked as standing still then.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress

from memento import system

stand_still: set[threading.Thread] = set()  # threads that do nothing while their process is copied
# Each returns descriptors that a copy of this process lets go of at once: connections to a database.
let_go: list[Callable[[], Iterable[int]]] = []

EVERY = 5.0  # seconds; who looks on waits for many times as long, see `lease`
_PATIENCE = 5.0  # seconds that a fork, or the end of a run, waits for a beat: for a locked index at worst
_FORK_WARNING = "This process .* is multi-threaded, use of fork"


def foreign_threads() -> list[threading.Thread]:
    """Return this process' threads beside the calling one that a copy of it would miss."""
    return [t for t in threading.enumerate() if t not in stand_still and t is not threading.current_thread()]


class _Forks:
    """Keeps forks and beats of this process apart."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._here = threading.local()
        self._filter: object = None  # ours among those of `warnings`

    def before(self) -> None:
        self._here.held = self.lock.acquire(timeout=_PATIENCE)
        if stand_still and sys.version_info >= (3, 12) and not foreign_threads():
            # Python warns of a fork beside any other thread, this harmless one too.
            with system.turn():
                warnings.filterwarnings("ignore", _FORK_WARNING, DeprecationWarning)
                self._filter = warnings.filters[0]

    def after_in_parent(self) -> None:
        if self._here.held:
            self.lock.release()

    def after_in_child(self) -> None:
        self.lock = threading.Lock()
        stand_still.clear()  # none of them is here
        self.warn_again()

    def warn_again(self) -> None:
        """Take our filter away; who forks after the run is warned as ever."""
        ours, self._filter = self._filter, None
        if ours is not None:
            with system.turn(), suppress(ValueError):  # somebody has set them anew
                warnings.filters.remove(ours)  # type: ignore[attr-defined]  # typeshed calls it a Sequence
                getattr(warnings, "_filters_mutated", lambda: None)()


_forks = _Forks()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_forks.before,
        after_in_parent=_forks.after_in_parent,
        after_in_child=_forks.after_in_child,
    )


class Heartbeat:
    """A thread that beats until its `with` block ends."""

    def __init__(self, beat: Callable[[], None], every: float | None = None) -> None:
        self._beat, self._every = beat, EVERY if every is None else every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, name="memento-heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        stand_still.add(self._thread)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_PATIENCE)
        stand_still.discard(self._thread)
        _forks.warn_again()

    def _live(self) -> None:
        while not self._ended.wait(self._every):
            with _forks.lock, suppress(Exception):
                self._beat()
