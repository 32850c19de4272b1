"""Decide how much memory each attempt may use: the run's limit, and more for tasks that have proven to need it.

Knows: failures, limits. May not know: executors' processes, how often a task is tried.

What proves it: the task was over its limit, the kernel killed it for want of memory and its counters say so, or it
raised MemoryError. A SIGKILL without that proves nothing: somebody else may have sent it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from memento import system
from memento.records import MEMORY, RAISED, Failure
from memento.wording import size_text

if TYPE_CHECKING:
    from memento.executors.base import Executor
    from memento.index.contract import Index
    from memento.plan.plan import Plan

RETRY, DOUBLE, FAIL = "retry", "double", "fail"


class MemoryLimits:
    """What attempts may use.

    `limit` is that of the run, `on_oom` what becomes of tasks that need more; `most` tells how much there is at all,
    None where nobody knows.

    >>> limits = MemoryLimits(8_000_000_000, "double", lambda: 32_000_000_000)
    >>> over = Failure(MEMORY, "MemoryLimitExceeded", "it used too much", "", "", None, "")
    >>> limits.judge(0, over, delay=0.5)[0].next_limit, limits.raised
    (16000000000, {0: 16000000000})
    """

    def __init__(
        self, limit: int | None = None, on_oom: str = RETRY, most: Callable[[], int | None] = lambda: None
    ) -> None:
        self._limit, self._on_oom, self._most = limit, on_oom, most
        self.raised: dict[int, int] = {}  # task -> bytes, of those that get more than the run's limit

    def judge(self, number: int, failure: Failure, delay: float | None) -> tuple[Failure, float | None]:
        """Say what to note of a failed attempt, and in how many seconds the next one is made; None for no other.

        `delay` is what the rules for retries say.
        """
        had = self.raised.get(number, self._limit or 0)
        if not needs_more_memory(failure):
            return failure, delay
        failure = failure._replace(memory_limit=had)
        if self._on_oom == FAIL:
            return failure, None
        if self._on_oom != DOUBLE:
            return failure, delay
        more = self._doubled(had)
        if more <= had:
            told = f"it had {size_text(had)}, which is all that there is here, so it is not tried again with more"
            return _telling(failure, told), None
        if delay is None:
            told = f'a run with on_oom="double" begins it with {size_text(more)}'
            return _telling(failure, told), None
        self.raised[number] = more
        return failure._replace(next_limit=more), delay

    def recall(self, plan: Plan, index: Index) -> int:
        """Let tasks that have failed for want of memory before begin with more; return how many these are."""
        if self._on_oom != DOUBLE:
            return 0
        for number, failures in _failed_before(plan, index):
            proven = [
                one for one in failures if one is not None and needs_more_memory(one) and one.memory_limit
            ]
            limit = max((self._doubled(one.memory_limit) for one in proven), default=0)
            if limit > (self._limit or 0):
                self.raised[number] = limit
        return len(self.raised)

    def _doubled(self, had: int) -> int:
        most = self._most()
        return 2 * had if most is None else min(2 * had, max(most, had))


def needs_more_memory(failure: Failure) -> bool:
    """Tell whether a failure proves that the task needs more memory than it had."""
    if failure.kind == MEMORY:
        return True
    return failure.kind == RAISED and (
        failure.type == "MemoryError" or "builtins:MemoryError" in failure.lineage
    )


def _telling(failure: Failure, more: str) -> Failure:
    return failure._replace(message="; ".join(filter(None, (failure.message, more))))


def memory_there(executor: Executor) -> int | None:
    """Return how many bytes one task of an executor may have at most; None where nobody knows."""
    if executor.most_memory is not None or not executor.same_host:
        return executor.most_memory
    found = system.memory_left(os.getpid())
    return None if found is None else found[1]


def _failed_before(plan: Plan, index: Index) -> Iterator[tuple[int, list[Failure | None]]]:
    """Yield the tasks to run that have failed before, with why."""
    from memento.plan.plan import FAILED

    numbers = {plan.rows[number]: number for number in plan.todo if plan.states[number] == FAILED}
    for record in index.records(numbers):
        earlier = index.attempts(record.key) if record.attempt > 1 else []
        yield numbers[record.id], [record.failure, *(attempt.failure for attempt in earlier)]
    todo = frozenset(plan.todo)
    for one in index.set_back(plan.tasks.experiment):  # a run died before their last attempts
        for number in plan.tasks.numbers_of([one.key]):
            if number in todo:
                yield number, [attempt.failure for attempt in index.attempts(one.key)]
