"""The tasks of a run that has a deadline: hands out those that will have ended by then, and says what that means.

Knows: the deadline, plans, forecasts, checkpoints, how tasks of this run have ended. May not know: who runs tasks.

    fits       nine of ten such tasks would have ended; or the experiment goes on from checkpoints, so that nothing is
               lost; or nothing is known of how long tasks take
    order      as the plan's, the longest first: what is short is left for the end, where nothing else fits
    learning   the forecast is made anew when twice as many tasks have ended
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from memento.records import DONE
from memento.runner.queue import TaskQueue
from memento.store.task_folders import keys_with_states
from memento.wording import duration, number_of

if TYPE_CHECKING:
    from memento.keys.code_versions import CodeVersion
    from memento.plan.plan import Plan
    from memento.records import Outcome
    from memento.runner.deadline import Deadline
    from memento.runner.options import Options
    from memento.worker.work import Task

# What is known by now of tasks, by number: expected seconds, and those that nine of ten stay below.
Costs: TypeAlias = "Callable[[Sequence[int]], tuple[array[float], array[float]] | None]"

_MOMENT = 1e-3  # seconds, for which nobody waits
_FIRST = 3  # ended tasks from which a forecast is made, where the store knew none
_AHEAD = 1.0  # seconds of work that may wait at workers
# Of the time that is left, at most: a task that waits there begins later than was thought
_AHEAD_SHARE = 0.005
_LOOK_EVERY = 5.0  # seconds between looks whether tasks save checkpoints, while nothing fits


class TasksThatFit(TaskQueue):
    """Hands out tasks that will have ended at the deadline.

    `forecast` tells of tasks what is known by now, `resumes` whether they go on from checkpoints.
    """

    def __init__(
        self,
        plan: Plan,
        deadline: Deadline,
        forecast: Costs,
        resumes: Callable[[], bool],
        workers: int,
        *,
        longest_first: bool = True,
    ) -> None:
        super().__init__(plan.todo)
        self.unfit: list[int] = []  # tasks that were not handed out, since they would not have ended
        self.deadline = deadline
        self._all = plan.todo
        self._known_by_now, self._may_resume, self._longest_first = forecast, resumes, longest_first
        self._workers = max(workers, 1)
        self._costs, self._longest = plan.costs, plan.longest
        self._ended = 0  # tasks that are done
        self._next_forecast = _FIRST if plan.costs is None else max(_FIRST, 2 * workers)
        self._resumes = resumes()
        self._next_look = 0.0

    @property
    def is_over(self) -> bool:
        return self.deadline.left_for_tasks() < _MOMENT

    @property
    def ends_in(self) -> float:
        return max(self.deadline.left_for_tasks(), 0.0)

    def notes(self) -> Iterable[str]:
        return self.deadline.notes()

    def resize(self, workers: int) -> None:
        self._workers = max(workers, 1)

    def note(self, ended: Iterable[tuple[Task, Outcome]]) -> None:
        """Learn from tasks that are done how long others take."""
        for _, outcome in ended:
            if outcome.status == DONE:
                self._ended += 1
                self._resumes = self._resumes or bool(outcome.earlier)
        if self._ended >= self._next_forecast:
            self._next_forecast = 2 * self._ended
            self._forecast()

    def take(self, want: int, now: float, flying: Collection[Task] = ()) -> list[int]:
        """Remove and return up to `want` tasks that fit, no more than begin within about a second."""
        left, numbers = self.deadline.left_for_tasks(), list[int]()
        most = min(_AHEAD, _AHEAD_SHARE * left) if self._costs is not None else 0.0
        free = self._workers - len(flying)
        work = sum(self._cost(task.number) for task in flying) if free < want else 0.0  # seconds at workers
        while len(numbers) < want:
            waits = 0.0 if len(numbers) < free else work / self._workers  # for those before it
            if waits > most or (len(numbers) >= free and not most):
                break
            found = super().take(1, now)
            if not found and not self._bring_back(now):
                break
            for number in found:
                if self._fits(number, left - waits):
                    numbers.append(number)
                    work += self._cost(number)
                else:
                    self.unfit.append(number)
        return numbers

    def _cost(self, number: int) -> float:
        return self._costs[number] if self._costs is not None else 0.0

    def _fits(self, number: int, left: float) -> bool:
        if left <= 0:
            return False
        if self._resumes:
            return left > self.deadline.grace
        return self._longest is None or self._longest[number] <= left

    def _bring_back(self, now: float) -> bool:
        """Hand out what did not fit after all, where tasks turn out to go on from checkpoints."""
        if not self.unfit or self._resumes or now < self._next_look:
            return False
        self._next_look = now + _LOOK_EVERY
        self._resumes = self._may_resume()
        if self._resumes:
            self._rearrange()
        return self._resumes

    def _forecast(self) -> None:
        """Expect of what is left what is known by now; what did not fit may do so now."""
        found = self._known_by_now(self._all)
        if found is not None:
            self._costs, self._longest = found
            self._rearrange()

    def _rearrange(self) -> None:
        rest = sorted([*self.unfit, *self.rest()])
        if self._costs is not None and self._longest_first:
            rest.sort(key=self._costs.__getitem__, reverse=True)
        self.unfit = []
        self.replace_rest(rest)


def has_any(versions: Iterable[CodeVersion], *words: str) -> bool:
    """Tell whether one of these words stands in the code."""
    sources = [source for one in versions for _, source in one.functions.values()]
    return any(word in source for word in words for source in sources)


def resumes(plan: Plan, store: str, versions: Iterable[CodeVersion]) -> bool:
    """Tell whether tasks go on from checkpoints: some have saved one, or the code has a `context.loop`."""
    saved = any(True for _ in plan.tasks.numbers_of(keys_with_states(store)))
    return saved or has_any(versions, ".loop(")


def what_is_left(plan: Plan, options: Options, costs: Costs, left: int) -> str:
    """Say that a run was stopped at its deadline, what is left, how long that takes, and how to go on."""
    deadline, workers = options.deadline, options.num_workers
    assert deadline is not None
    past = ", which is past" if deadline.whole <= 0 else ""
    told = f"Stopped at its deadline, {deadline.text()}{past}: {number_of(left, 'task')} left"
    numbers = array("q", (number for number in plan.todo if plan.rows[number] < 0))
    found = costs(numbers) if len(numbers) else None
    if found is not None:
        seconds = list(map(found[0].__getitem__, numbers))
        takes = max(sum(seconds) / workers, *seconds)
        told += f", about {duration(takes)} on {number_of(workers, 'worker')}"
    return f"{told}. Everything that finished is kept. Run it again to go on."


def what_fits(plan: Plan, options: Options) -> int | None:
    """Return how many of the tasks to run would have ended at the deadline; None where nothing tells."""
    assert options.deadline is not None
    if plan.costs is None or plan.longest is None:
        return None
    left, free, count = options.deadline.left_for_tasks(), [0.0] * options.num_workers, 0
    for number in plan.todo:
        if free[0] + plan.longest[number] <= left:
            heapq.heapreplace(free, free[0] + plan.costs[number])
            count += 1
    return count
