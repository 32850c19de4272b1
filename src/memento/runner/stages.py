"""The matrices of one `run_all`, one after another: each with the results that it takes of those before it.

Knows: matrices, sessions and their plans. May not know: how a session runs, what the user typed.

    a matrix as declared --> with the results there are       --> its session
                         --> with all that there would be     --> what is not run, for want of some; and why

A task whose result is missing stands there by its key, so that all that would depend on it can be counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import config_text
from memento.errors import MatrixError
from memento.plan.keyed_tasks import KeyedTasks
from memento.records import DONE
from memento.store.upstream import Origins, PendingValue, UpstreamValue
from memento.wording import number_of, one_line

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix
    from memento.records import TaskRecord
    from memento.runner.invocation import Invocation
    from memento.runner.session import Session

_SHOWN = 3  # tasks that a message names


class _Stage(NamedTuple):
    """What is known of a matrix once it was its turn."""

    session: Session | None  # None: it could not run
    tasks: KeyedTasks  # also those that were not run, for want of what they depend on


class Stages:
    """Makes the session of each matrix in turn."""

    def __init__(self, invocation: Invocation, dry_run: bool) -> None:
        self._invocation, self._dry_run = invocation, dry_run
        self._stages: dict[Any, _Stage] = {}

    def say_what_is_left(self, matrices: Sequence[Matrix]) -> None:
        """Tell which of these matrices are not run, where too many tasks have failed."""
        left = [repr(matrix.id) for matrix in matrices if matrix.id not in self._stages]
        session = list(self._stages.values())[-1].session
        if left and session is not None and session.is_hopeless:
            self._invocation.say(f"not run, since too many tasks failed: {', '.join(left)}")

    def waiting(self, matrix: Matrix) -> int:
        """Count the results of other matrices' tasks that a matrix takes and that are not computed yet."""
        names = map(str, matrix.dependencies)
        return sum(isinstance(value, PendingValue) for name in names for value in matrix.parameters[name])

    def next(self, declared: Matrix) -> Session | None:
        """Plan a matrix with the results of those it depends on; None where there is nothing that it could run."""
        matrix = whole = declared
        missing: dict[Any, list[int]] = {}
        for upstream in declared.dependencies:
            values = self._values(self._stages[upstream])
            there = [value for value in values if not isinstance(value, _Missing)]
            whole = whole.with_parameter(str(upstream), values)
            if there:
                matrix = matrix.with_parameter(str(upstream), there)
            if len(there) < len(values):
                missing[upstream] = [i for i, value in enumerate(values) if isinstance(value, _Missing)]
        if not missing:
            # What rules about unknown values match is not known either.
            whole_session = self._invocation.session(matrix, announce=not self.waiting(matrix))
            self._stages[declared.id] = _Stage(whole_session, whole_session.tasks)
            return whole_session
        tasks = KeyedTasks(whole, self._invocation.experiment)
        for warning in whole.warnings:  # with all results: a rule about one that is missing is well
            self._invocation.say(warning)
        may_run = _has_tasks(matrix)
        self._say_what_is_missing(declared, missing, len(tasks), len(matrix) if may_run else 0)
        session = self._invocation.session(matrix, announce=False) if may_run else None
        if session is not None and session.tasks.whole > len(session.tasks):
            tasks = session.tasks  # what is no part of the sample is not missing
        self._stages[declared.id] = _Stage(session, tasks)
        return session

    def _values(self, stage: _Stage) -> list[UpstreamValue]:
        """Return a matrix' tasks as parameter values of another one, in order.

        In a dry run those that are still to be computed are among them, without a value: their keys are known all the
        same, and so are the keys of what depends on them.
        """
        store, origins = self._invocation.store, Origins(stage.tasks.parameters)
        root, far = store.root, store.far.address if store.far is not None else ""
        found = self._found(stage.session) if stage.session is not None else {}
        other = PendingValue if self._dry_run else _Missing
        values: list[UpstreamValue] = []
        for number, key in enumerate(stage.tasks.each_key()):
            record = found.get(key)
            origin = origins, number
            if record is None or record.value is None:
                values.append(other(key, root, origin))
            else:
                values.append(UpstreamValue(record.key, root, record.value, record.id, origin, far))
        return values

    def _found(self, session: Session) -> dict[bytes, TaskRecord]:
        """Return the records of a session's tasks that have a result which others may use, by key."""
        plan = session.plan
        # Computed again and failed: what the row has is of before, from other results or by other code.
        outdated = set(plan.previous.values())
        rows = [
            row
            for row, use in zip(plan.rows, plan.cached, strict=True)
            if row >= 0 and (use or not (self._dry_run or row in outdated))
        ]
        records = self._invocation.store.index.records(rows)
        return {record.key: record for record in records if record.status == DONE}

    def _say_what_is_missing(
        self, declared: Matrix, missing: dict[Any, list[int]], total: int, there: int
    ) -> None:
        """Tell how many tasks of a matrix are not run, and which results they would need."""
        if there == total:
            return
        needed = [self._named(upstream, numbers) for upstream, numbers in missing.items()]
        head = f"{total - there:,} of {number_of(total, 'task')} of matrix {declared.id!r}"
        if not there:
            head = f"matrix {declared.id!r} ({number_of(total, 'task')})"
        verb = "is" if not there or total - there == 1 else "are"
        self._invocation.say(f"{head} {verb} not run, for want of results: {', and '.join(needed)}")

    def _named(self, upstream: Any, numbers: list[int]) -> str:
        """Name the tasks of a matrix whose results are missing."""
        from memento.results.parameters import Tasks

        stage = self._stages[upstream]
        tasks = Tasks(stage.tasks.matrix, stage.tasks.digests)
        named = [config_text(tasks.config(number)) for number in numbers[:_SHOWN]]
        more = f"; and {len(numbers) - _SHOWN:,} more" if len(numbers) > _SHOWN else ""
        of = f"{len(numbers):,} of {number_of(len(stage.tasks), 'task')} of matrix {upstream!r}"
        return one_line(f"{of} did not succeed ({'; '.join(named)}{more})")


class _Missing(PendingValue):
    """Stands for the result of a task that failed, or was not run."""


def _has_tasks(matrix: Matrix) -> bool:
    """Tell whether a matrix has all the results that it takes, and rules leave something of it."""
    if any(str(one) not in matrix.parameters for one in matrix.dependencies):
        return False
    try:
        return len(matrix) > 0
    except MatrixError:  # nothing is left; whatever else is wrong was found with all results
        return False
