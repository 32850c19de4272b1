"""Decide what becomes of a failed attempt: whether it is repeated, and when, or whether it ends the run.

Knows: failures and tasks, where the store is. May not know: executors, plans, stores' indexes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import (
    MemoryLimitExceeded,
    StoreUnwritable,
    TaskLost,
    TaskTimeout,
    UnsavableResult,
    WorkerDied,
)
from memento.layout import PAYLOADS, Layout
from memento.records import (
    DIED,
    FAILED,
    LOST,
    MEMORY,
    PAYLOAD_DAMAGED,
    STORE_UNWRITABLE,
    TIMEOUT,
    UNSAVABLE,
    Failure,
    Outcome,
)
from memento.wording import seconds_of

_OF_KIND: dict[str, type[BaseException]] = {
    DIED: WorkerDied,
    LOST: TaskLost,
    TIMEOUT: TaskTimeout,
    MEMORY: MemoryLimitExceeded,
    UNSAVABLE: UnsavableResult,
}

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TypeAlias

    from memento.worker.work import Task

Retries: TypeAlias = "int | Retry | Mapping[type[BaseException], int]"


LOSSES = 10  # how often a task's place may be taken away where nobody says it


class _Retry(NamedTuple):
    times: int
    on: tuple[type[BaseException], ...]
    delay: float
    factor: float
    longest: float
    losses: int


class Retry(_Retry):
    """Repeat failed attempts, waiting longer each time.

    Parameters
    ----------
    times : int
        How many more attempts a task gets after its first.
    on : exception type, or several in a tuple or list
        Only failures of these types are repeated; `memento.errors.WorkerDied`, `TaskTimeout` and
        `MemoryLimitExceeded` stand for crashes and limits. Empty: every failure.
    delay : float, str or timedelta
        Seconds before the first repetition, or a text like ``"1min"``.
    factor : float
        By how much each further wait is longer.
    longest : float, str or timedelta
        What no wait exceeds.
    losses : int
        How often a task may lose its place (a node is preempted, a container ends) and is started again elsewhere,
        at once; this is no failure of the task, and `times` is not about it. One loss more fails the task.

    Examples
    --------
    >>> Retry(3, on=OSError).wait(attempt=3)
    2.0
    """

    __slots__ = ()

    def __new__(
        cls,
        times: int = 0,
        on: type[BaseException] | Collection[type[BaseException]] = (),
        delay: float | str | timedelta = 0.5,
        factor: float = 2.0,
        longest: float | str | timedelta = 60.0,
        losses: int = LOSSES,
    ) -> Retry:
        if times < 0:
            raise ValueError(f"retries must be 0 or more, got {times}")
        if losses < 0:
            raise ValueError(f"losses must be 0 or more, got {losses}")
        kinds: tuple[Any, ...] = tuple(on) if isinstance(on, (tuple, list, set, frozenset)) else (on,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(f"Retry(on=...) takes exception types, like (OSError,), got {kind!r}")
        first, most = (
            seconds_of(t, f"Retry({n}=...)", short=True) for n, t in (("delay", delay), ("longest", longest))
        )
        return super().__new__(cls, times, kinds, first, factor, most, losses)

    def wait(self, attempt: int) -> float:
        """Seconds to wait after the failure of attempt number `attempt` (1 for the first)."""
        return min(self.longest, self.delay * self.factor ** (attempt - 1))


class RetryPolicy:
    """Applies what the user asked for as `retries`; raises TypeError where that is none of the kinds there are."""

    def __init__(self, retries: Retries) -> None:
        if isinstance(retries, Retry):
            self._rules = [retries]
        elif isinstance(retries, int):
            self._rules = [Retry(retries)]
        elif isinstance(retries, Mapping):
            self._rules = [Retry(times, on=kind) for kind, times in retries.items()]
        else:
            raise TypeError(
                f"retries must be an int, a Retry or a dict of exception type to int, got {retries!r}"
            )

        self.losses = max((rule.losses for rule in self._rules), default=LOSSES)

    def delay(self, failure: Failure, attempt: int) -> float | None:
        """Return the seconds to wait before another attempt, or None when there is to be none.

        `attempt` is which it was, 1 for the first, attempts that were lost not counted.
        """
        if failure.kind == LOST:
            return None  # it has a bound of its own
        error: BaseException | type[BaseException] | None = None
        for rule in self._rules:
            if attempt > rule.times:
                continue
            if rule.on:
                error = error or _exception_of(failure)
                if not _is_one_of(error, failure, rule.on):
                    continue
            return rule.wait(attempt)
        return None


def _exception_of(failure: Failure) -> BaseException | type[BaseException] | None:
    if failure.exception is not None:
        from memento.values.pickling import loads_value

        with contextlib.suppress(Exception):  # an exception that cannot be read is judged by its lineage
            error = loads_value(failure.exception)
            return error if isinstance(error, BaseException) else None
    return _OF_KIND.get(failure.kind)


def _is_one_of(
    error: BaseException | type[BaseException] | None,
    failure: Failure,
    kinds: tuple[type[BaseException], ...],
) -> bool:
    if isinstance(error, type):
        return issubclass(error, kinds)
    if error is not None and isinstance(error, kinds):
        return True
    return not {f"{kind.__module__}:{kind.__qualname__}" for kind in kinds}.isdisjoint(failure.lineage)


def lost(task: Task, reason: str, losses: int, most: int, now: float) -> Outcome:
    """Make the outcome of an attempt whose place was taken away, as that of its task was so often."""
    text = reason or "its executor gave it back without an outcome"
    if losses > most:
        text += (
            f"; so its place was taken away {losses} times in this run, more than"
            f" Retry(losses={most}) bears. Look for what ends its workers, or raise that bound"
        )
    failure = Failure(LOST, "TaskLost", text, "", "", None, "")
    return Outcome(
        task.number, FAILED, task.attempt, now, 0.0, None, None, None, "", None, (), (), None, failure
    )


class StoreFaults:
    """Collects what tasks' failures say of the run's own store; its folder is "" where there is none."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.elsewhere = ""  # address of the object store with the values, if they are in one
        self._unwritable: Failure | None = None
        self.damaged: dict[str, str] = {}  # payloads that tasks found damaged -> what is wrong with each

    def is_unwritable(self, failure: Failure) -> bool:
        """Tell whether a task failed because the store takes no more: then the others would fail as well."""
        if failure.code != STORE_UNWRITABLE or not self.store or not self._is_ours(failure.path):
            return False
        self._unwritable = self._unwritable or failure
        return True

    def note_damage(self, failure: Failure) -> None:
        """Note the payload of this store that a task found damaged, if that is why it failed."""
        if failure.code == PAYLOAD_DAMAGED and self.store:
            ref = _below(Layout(self.store).payloads, failure.path)
            if self.elsewhere and failure.path.startswith(f"{self.elsewhere}/{PAYLOADS}/"):
                ref = failure.path[len(f"{self.elsewhere}/{PAYLOADS}/") :]
            if ref is not None:
                self.damaged[ref] = failure.message.removeprefix(f"{failure.path}: ")

    def _is_ours(self, path: str) -> bool:
        elsewhere = bool(self.elsewhere) and path.startswith(f"{self.elsewhere}/")
        return elsewhere or _below(self.store, path) is not None

    def check(self) -> None:
        """Raise what ended the run, if the store did."""
        if self._unwritable is not None:
            path, message = self._unwritable.path, self._unwritable.message
            raise StoreUnwritable(
                path,
                message.removeprefix(f"{path}: ").rstrip(),
                "The run was ended, so that no more is computed that cannot be kept. What was told as done is kept:"
                " make room, or put right what is wrong there, and run again.",
            )


def _below(folder: str, path: str) -> str | None:
    """Return a path relative to the folder in which it lies; None where it lies elsewhere.

    Examples
    --------
    >>> _below("/results", "/results/logs/1"), _below("/results", "/results-old/logs/1")
    ('logs/1', None)
    """
    if not os.path.isabs(path):
        return None
    folder, path = os.path.realpath(folder), os.path.realpath(path)
    return os.path.relpath(path, folder) if os.path.commonpath([folder, path]) == folder else None
