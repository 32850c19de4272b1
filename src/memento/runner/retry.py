"""Decide whether a failed attempt is repeated, and when.

Knows: failures. May not know: executors, stores' indexes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import MemoryLimitExceeded, TaskLost, TaskTimeout, UnsavableResult, WorkerDied
from memento.records import DIED, LOST, MEMORY, TIMEOUT, UNSAVABLE, Failure

_OF_KIND: dict[str, type[BaseException]] = {
    DIED: WorkerDied,
    LOST: TaskLost,
    TIMEOUT: TaskTimeout,
    MEMORY: MemoryLimitExceeded,
    UNSAVABLE: UnsavableResult,
}

if TYPE_CHECKING:
    from typing import TypeAlias

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
    delay : float
        Seconds before the first repetition.
    factor : float
        By how much each further wait is longer.
    longest : float
        Seconds that no wait exceeds.
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
        delay: float = 0.5,
        factor: float = 2.0,
        longest: float = 60.0,
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
        return super().__new__(cls, times, kinds, delay, factor, longest, losses)

    def wait(self, attempt: int) -> float:
        """Seconds to wait after the failure of attempt number `attempt` (1 for the first)."""
        return min(self.longest, self.delay * self.factor ** (attempt - 1))


class RetryPolicy:
    """Applies what the user asked for as `retries`.

    Parameters
    ----------
    retries : int, Retry, or dict of exception type to int
        How often to repeat; by type where a dict is given.

    Raises
    ------
    TypeError
        `retries` is none of these.
    """

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

        Parameters
        ----------
        failure : Failure
            Why the attempt failed.
        attempt : int
            Which it was, 1 for the first, attempts that were lost not counted.
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

        try:
            error = loads_value(failure.exception)
        except Exception:  # an exception that cannot be read is judged by its lineage
            return _OF_KIND.get(failure.kind)
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
