"""Put outcomes into rows, make them durable in groups, and tell what has become so.

Knows: the plan, the store's run, failures by cause. May not know: executors, retries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING

from memento.clock import Clock
from memento.events import Event, TaskFailed, TasksFinished
from memento.records import DONE, Failure, Outcome, TaskRow
from memento.runner.other_runs import OtherRuns
from memento.runner.progress import Progress, note_row, task_text
from memento.worker.work import Task

if TYPE_CHECKING:
    from memento.index.run_contract import Run
    from memento.plan.plan import Plan
    from memento.results.grouping import FailureGrouper

EVERY = 0.05  # seconds that a finished task waits at most for others to share its commit
_ROWS = 1_000  # that make a commit due at once


class Commits:
    """Collects outcomes and commits them; `name_tasks` says whether anybody wants to hear which tasks finished."""

    def __init__(
        self,
        plan: Plan,
        run: Run,
        progress: Progress,
        others: OtherRuns,
        codes: Sequence[int],
        emit: Callable[[Event], None],
        clock: Clock,
        name_tasks: bool,
    ) -> None:
        self._plan, self._run, self._progress, self._others = plan, run, progress, others
        self._codes, self._emit, self._clock, self._name_tasks = codes, emit, clock, name_tasks
        self._rows: list[TaskRow] = []
        self._attempts: list[tuple[bytes, TaskRow]] = []
        self._oldest = 0.0  # when the first of these came
        self.failed = 0  # tasks of ours, for good

    @cached_property
    def failures(self) -> FailureGrouper:
        """Those that were told, by cause."""
        from memento.results.grouping import FailureGrouper  # most runs have none

        return FailureGrouper()

    @property
    def due(self) -> float | None:
        """When the next commit is due; None where nothing waits for one."""
        if not self._rows and not self._attempts:
            return None
        return 0.0 if len(self._rows) >= _ROWS else self._oldest + EVERY

    def add(self, ended: Sequence[tuple[Task, Outcome]]) -> None:
        """Take outcomes with which tasks are over."""
        self._wait()
        self._rows += self._rows_of(ended)

    def add_attempt(self, task: Task, outcome: Outcome) -> None:
        """Take an outcome after which the task is tried again."""
        self._wait()
        self._attempts.append((task.key, self._rows_of([(task, outcome)])[0]))

    def _wait(self) -> None:
        if not self._rows and not self._attempts:
            self._oldest = self._clock.monotonic()

    def _rows_of(self, ended: Sequence[tuple[Task, Outcome]]) -> list[TaskRow]:
        params = self._plan.tasks.params([task.values for task, _ in ended])
        codes = self._codes
        fields = [
            (
                task.key,
                text,
                task.repeat,
                self._mixed_code(task, outcome) if outcome.older_codes else codes[task.version],
                outcome,
            )
            for (task, outcome), text in zip(ended, params, strict=True)
        ]
        return list(starmap(TaskRow, fields))

    def _mixed_code(self, task: Task, outcome: Outcome) -> int:
        """Return the id of the version of what is of several: it went on from what older code had saved."""
        return self._run.mixed_code(self._codes[task.version], outcome.older_codes or ())

    def commit(self) -> None:
        """Make durable what was taken, then tell it."""
        rows, attempts = self._rows, self._attempts
        if not rows and not attempts:
            return
        committed = self._run.commit(rows, attempts)
        self._rows, self._attempts = [], []
        done = failed = 0
        told: list[TaskFailed] = []
        failed_rows: set[bytes] = set()
        ids, superseded, plan = committed.ids, committed.superseded, self._plan
        twins, row_of = plan.twins, plan.rows
        for key, _, _, _, outcome in rows:
            number, failure = outcome.number, outcome.failure
            other = superseded.get(key) if superseded else None
            if other:
                self._others.superseded(number, other)
            row_of[number] = row = other.id if other else ids[key]
            share = note_row(plan, number, row) if number in twins else 1
            if failure is None or (other and other.status == DONE):
                done += share
            else:
                failed += share
                self.failed += 1
                failed_rows.add(key)
                told.append(self._failed(number, failure, outcome.attempt))
        self._progress.done += done
        self._progress.failed += failed
        if rows:
            seconds = sum(row.outcome.runtime for row in rows)
            keys: tuple[str, ...] = ()
            if self._name_tasks:
                keys = tuple(row.key.hex() for row in rows if row.key not in failed_rows)
            failed_keys = tuple(event.key for event in told) if self._name_tasks else ()
            finished = TasksFinished(done, failed, seconds, keys=keys, failed_keys=failed_keys)
            if self._name_tasks:
                from memento.runner.finished_tasks import finished_tasks

                finished = finished._replace(tasks=finished_tasks(plan.tasks, rows, failed_rows))
            self._emit(finished)
        for event in told:
            self._emit(event)

    def _failed(self, number: int, failure: Failure, attempt: int) -> TaskFailed:
        tasks = self._plan.tasks
        key, text = tasks.key(number).hex(), task_text(tasks, number)
        group, first = self.failures.add(key, text, failure, attempt)
        return TaskFailed(key, text, group, first)
