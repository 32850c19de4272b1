"""Judge how long a task may take, from what was forecast and from what tasks of this run took.

Knows: costs, runtimes; names in code. May not know: jobs, pilots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from memento.worker.work import Task

_LAST = 200  # tasks that count
UNSURE = 1.3  # times a forecast, as long as none was seen to come true
_FEW = 5  # tasks
_SAVING = frozenset({"loop", "checkpoint"})  # of `context`
_DEEP = 50  # functions that are looked into


class Runtimes:
    """How long tasks take; `checkpoints`: they save what they have, so that one may go on elsewhere.

    Examples
    --------
    >>> runtimes = Runtimes()
    >>> for _ in range(10):
    ...     runtimes.learn(60.0, 66.0)
    >>> round(runtimes.expected(Task(1, b"", 0, (), 0, 1, 100.0)))
    110
    """

    def __init__(self, checkpoints: bool = False) -> None:
        self.checkpoints = checkpoints
        self._ratios: deque[float] = deque(maxlen=_LAST)
        self._seconds: deque[float] = deque(maxlen=_LAST)
        self._sorted: tuple[list[float], list[float]] = ([], [])

    def learn(self, cost: float, runtime: float) -> None:
        """Take note of a task that was done; `cost` is what was forecast of it, 0.0 where nothing was."""
        self._seconds.append(runtime)
        if cost > 0:
            self._ratios.append(runtime / cost)
        self._sorted = ([], [])

    def expected(self, task: Task) -> float:
        """Return the seconds in which nine tasks of ten like this one are done; 0.0 where nothing is known."""
        if not self._sorted[1] and self._seconds:
            self._sorted = (sorted(self._ratios), sorted(self._seconds))
        ratios, seconds = self._sorted
        if task.cost > 0:
            return task.cost * (_ninety(ratios) if len(ratios) >= _FEW else UNSURE)
        return _ninety(seconds)


def _ninety(numbers: list[float]) -> float:
    return numbers[min(int(0.9 * len(numbers)), len(numbers) - 1)] if numbers else 0.0


def checkpoints(function: Callable[..., Any] | None) -> bool:
    """Tell whether an experiment, or a function of its module that it names, saves what it has by its context.

    Examples
    --------
    >>> checkpoints(lambda context, config: [step for step in context.loop(range(9), {})])
    True
    >>> checkpoints(lambda context, config: config.x)
    False
    """
    seen: set[CodeType] = set()
    waiting: list[Any] = [getattr(function, "func", function)]  # of a partial, its function
    while waiting and len(seen) < _DEEP:
        one = waiting.pop()
        if callable(one) and not hasattr(one, "__code__"):  # an object that is called
            one = type(one).__call__
        code = getattr(one, "__code__", None)
        if not isinstance(code, CodeType) or code in seen:
            continue
        seen.add(code)
        names = {name for part in _parts(code) for name in part.co_names}
        if names & _SAVING:
            return True
        around = getattr(one, "__globals__", {})
        named = [around.get(name) for name in names]
        waiting += [f for f in named if isinstance(f, FunctionType) and f.__module__ == one.__module__]
    return False


def _parts(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)
