"""What a run is at: how much is done, which tasks are at work on which worker, how long it will still take.

Knows: counts, runtimes, expected costs, the executor's account of what runs. May not know: stores, commands.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from memento.config import lineage, short_text
from memento.events import TasksStarted, Tick, WorkerState
from memento.executors.base import Executor, Running, Update
from memento.index import types as index
from memento.records import Outcome
from memento.worker.work import Task

if TYPE_CHECKING:
    from memento.plan.keyed_tasks import KeyedTasks
    from memento.plan.plan import Plan
    from memento.runner.deadline import Deadline

_LISTED = 100  # running tasks that a tick names: more than anybody can read

_WINDOW = 10.0  # seconds over which the recent throughput is measured
_TRUSTED_AFTER = 3  # finished tasks before the forecast is corrected by what was seen
_OVERDUE = 3.0  # a task that runs so many times as long as it should is unlike those that the estimate knows
_PATIENCE = 2.0  # seconds in which no task is overdue


class Progress:
    """Counts of a run, its recent throughput, and the time that is left.

    It is made with the number of tasks to run, their expected seconds in all where known, how many run at once, and
    when the run started by the monotonic clock.
    """

    def __init__(self, todo: int, cost: float | None, workers: int, started: float) -> None:
        self.done = 0  # computed by this run
        self.shared = 0  # computed meanwhile by another run
        self.failed = 0
        self._todo = todo  # without those that a command has taken out
        self._cost_left = cost
        self.workers = max(1, workers)
        self.started = started
        self.longest = 0.0  # seconds that the longest of the finished tasks took
        self._spent = 0.0  # seconds of work seen
        self._expected = 0.0  # seconds of work that the forecast had for the same tasks
        self.deadline: Deadline | None = None
        self._recent: deque[tuple[float, int]] = deque([(started, 0)])

    @property
    def finished(self) -> int:
        """Tasks that are over, in whatever way."""
        return self.done + self.shared + self.failed

    def note(self, seconds: float, expected: float, longest: float = 0.0) -> None:
        """Take in the runtimes of finished tasks, and what was expected of them; 0.0 where nothing was."""
        self._spent += seconds
        self.longest = max(self.longest, longest)
        if self._cost_left is not None and expected:
            self._cost_left = max(0.0, self._cost_left - expected)
            self._expected += expected

    def drop(self, tasks: int, expected: float) -> None:
        """Take tasks out of what is to be done, and the seconds that were expected of them."""
        self._todo -= tasks
        if self._cost_left is not None:
            self._cost_left = max(0.0, self._cost_left - expected)

    def throughput(self, now: float) -> float:
        """Finished tasks a second, over the last seconds."""
        self._recent.append((now, self.finished))
        while len(self._recent) > 2 and self._recent[0][0] < now - _WINDOW:
            self._recent.popleft()
        (start, before), (end, after) = self._recent[0], self._recent[-1]
        return (after - before) / (end - start) if end > start else 0.0

    def eta(
        self, now: float, running: Iterable[tuple[float, float]] = (), workers: int | None = None
    ) -> float | None:
        """Seconds until the run is over; None where nothing can be said, yet or any more.

        `running` has how long each running task has run, and what was expected of it; 0.0 where nothing was.
        `workers` is how many there are just now, where that is another number than was asked for.
        """
        workers = self.workers if workers is None else workers
        left = self._todo - self.finished
        if left <= 0:
            return 0.0
        seen = self.finished >= _TRUSTED_AFTER and self._expected > 0
        pace = self._spent / self._expected if seen else 1.0
        if workers == 0:  # they have not come yet
            return None
        if self._cost_left is not None and self._cost_left > 0:
            estimate = self._cost_left * pace / workers
        elif self.finished:
            estimate = (now - self.started) / self.finished * left
        else:
            return None
        for seconds, expected in running:
            # It may never end, and what others took says nothing of it.
            usual = max(self.longest, expected * pace)
            if seconds > max(estimate, _OVERDUE * usual, _PATIENCE) and usual:
                return None
        return estimate


def note_row(plan: Plan, number: int, row: int) -> int:
    """Note the row that stands for a task and for all others of its key; return how many these are."""
    plan.rows[number] = row
    twins = plan.twins.get(number, ())
    for twin in twins:
        plan.rows[twin] = row
    return 1 + len(twins)


class Activity:
    """Follows the tasks that are in the executor's hands.

    `name_tasks` says whether anybody wants to hear which tasks have started.
    """

    def __init__(self, plan: Plan, executor: Executor, progress: Progress, name_tasks: bool) -> None:
        self._plan, self._executor, self._progress = plan, executor, progress
        self._name_tasks = name_tasks
        self._live: dict[int, Update] = {}
        self._texts: dict[int, str] = {}  # by the numbers of tasks that ticks have named
        self._started: set[int] = set()  # numbers of running tasks that were told as started

    def update(self, message: Update) -> None:
        """Take in a running task's own bar and metrics."""
        self._live[message.number] = message

    def end(self, numbers: Iterable[int]) -> None:
        """Forget the bars of tasks that run no more."""
        if self._live:
            for number in numbers:
                self._live.pop(number, None)

    def lose(self, number: int) -> None:
        """Forget a task that was given back: it will start anew, or not at all."""
        self._live.pop(number, None)
        self._started.discard(number)

    def running(self, flying: Collection[int]) -> list[Running]:
        """Return what runs of the tasks that have no outcome yet."""
        return [state for state in self._executor.running() if state.number in flying]

    def started(self, states: Sequence[Running]) -> TasksStarted | None:
        """Tell those of the running tasks as started that were not told yet."""
        if not self._name_tasks:
            return None
        fresh = [state for state in states if state.number not in self._started]
        self._started.update(state.number for state in fresh)
        return self._told((state.number, state.worker) for state in fresh)

    def finished(self, outcomes: Iterable[Outcome]) -> TasksStarted | None:
        """Tell those of the finished tasks as started that were too short to be seen running."""
        if not self._name_tasks:
            return None
        fresh = []
        for outcome in outcomes:
            if outcome.number in self._started:
                self._started.discard(outcome.number)
            else:
                fresh.append(outcome)
        return self._told((outcome.number, outcome.worker) for outcome in fresh)

    def _told(self, started: Iterable[tuple[int, str]]) -> TasksStarted | None:
        tasks, pairs = self._plan.tasks, list(started)
        keys = tuple(tasks.key(number).hex() for number, _ in pairs)
        configs = tuple(task_text(tasks, number) for number, _ in pairs)
        return TasksStarted(keys, tuple(worker for _, worker in pairs), configs=configs) if pairs else None

    def tick(self, states: Sequence[Running], flying: dict[int, Task], now: float, paused: str = "") -> Tick:
        """Tell the state of the run; `paused` is who has paused it."""
        progress, plan = self._progress, self._plan
        listed = states
        if len(states) > _LISTED:
            longest = heapq.nlargest(_LISTED, range(len(states)), key=lambda i: states[i].seconds)
            listed = [states[i] for i in sorted(longest)]  # in the workers' order, from tick to tick
        running = [(state.seconds, flying[state.number].cost) for state in states]
        return Tick(
            total=plan.size,
            done=progress.done + progress.shared,
            cached=plan.hits,
            failed=progress.failed,
            running=tuple(self._state(state, flying[state.number]) for state in listed),
            elapsed=now - progress.started,
            eta=None if paused else progress.eta(now, running, self._workers()),
            throughput=progress.throughput(now),
            unlisted=len(states) - len(listed),
            longest=progress.longest,
            paused=paused,
        )

    def account(self, tick: Tick, now: float, stopping: bool) -> tuple[list[index.Activity], index.Standing]:
        """Put what a tick says of the workers and of the run as the index keeps it; `now` is UTC seconds."""
        running = len(tick.running) + tick.unlisted
        counts = (tick.total, tick.done, tick.cached, tick.failed, running, self._workers())
        workers = [
            index.Activity(one.worker, bytes.fromhex(one.key), now - one.seconds, *one[4:], config=one.config)
            for one in tick.running
        ]
        deadline = self._progress.deadline
        ends = None if deadline is None else deadline.moment
        rest = (tick.throughput, tick.eta, tick.longest, tick.paused, stopping, self._executor.waits())
        unbegun: dict[str, list[str]] = {}
        for number, why in self._executor.unbegun():
            unbegun.setdefault(why, []).append(self._plan.tasks.key(number).hex())
        return workers, index.Standing(*counts, *rest)._replace(deadline=ends, unbegun=unbegun)

    def _workers(self) -> int:
        """How many tasks can run at once just now."""
        places = self._executor.places()
        return self._progress.workers if places is None else min(places, self._progress.workers)

    def _state(self, state: Running, task: Task) -> WorkerState:
        live = self._live.get(state.number)
        config = self._text(state.number)
        if live is None:
            return WorkerState(state.worker, task.key.hex(), config, state.seconds)
        told = (live.done, live.total, live.metrics, live.doing)
        return WorkerState(state.worker, task.key.hex(), config, state.seconds, *told)

    def _text(self, number: int) -> str:
        """Name a task; hundreds of long ones are named four times a second."""
        text = self._texts.get(number)
        if text is None:
            if len(self._texts) > 10 * _LISTED:
                self._texts.clear()
            text = self._texts[number] = task_text(self._plan.tasks, number)
        return text


def told_parameters(tasks: KeyedTasks, number: int) -> dict[str, Any]:
    """Return a task's parameters as people see them: labels instead of values; an upstream task by its parameters.

    With the repeat, where there are several.
    """
    slots = tasks.slots(number)
    labels = tasks.labels_of(number) if tasks.labels else {}
    told: dict[str, Any] = {}
    for place, slot in enumerate(slots):
        if slot >= 0:
            name, value = tasks.names[place], tasks.table.values[place][slot]
            deeper = {inner: label or one for inner, one, label in lineage({name: value})}
            told |= deeper or {name: labels.get(name) or value}
    if tasks.repeats > 1:
        told["repeat"] = number % tasks.repeats
    return told


def task_text(tasks: KeyedTasks, number: int, width: int = 40) -> str:
    """Name a task by its parameters, each value in at most `width` characters, and its repeat."""
    told = told_parameters(tasks, number)
    return ", ".join(f"{name}={short_text(value, width)}" for name, value in told.items())
