"""Tell listeners of each finished task what it was, and what came of it.

Knows: rows about to be told, the plan's tasks. May not know: who listens.

Imported only where somebody listens: it costs some microseconds a task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from memento.config import short_text
from memento.events import FinishedTask
from memento.runner.progress import task_text, told_parameters
from memento.values.encoding import readable
from memento.values.payloads import PayloadDir

if TYPE_CHECKING:
    from memento.plan.keyed_tasks import KeyedTasks
    from memento.records import Outcome, TaskRow

_PLAIN = frozenset((bool, int, float, str, type(None)))
_NOWHERE = PayloadDir("")  # values that stand in the row itself need none


def finished_tasks(
    tasks: KeyedTasks, rows: Iterable[TaskRow], failed: Collection[bytes]
) -> tuple[FinishedTask, ...]:
    """Describe the tasks of these rows, of which some have failed."""
    return tuple(
        FinishedTask(
            key=row.key.hex(),
            config=task_text(tasks, row.outcome.number),
            status="failed" if row.key in failed else "done",
            seconds=row.outcome.runtime,
            parameters=_parameters(tasks, row.outcome.number),
            value=_value(row.outcome),
            metrics={series.name: series.last for series in row.outcome.metrics},
            error=""
            if row.outcome.failure is None
            else f"{row.outcome.failure.type}: {row.outcome.failure.message}",
        )
        for row in rows
    )


def _parameters(tasks: KeyedTasks, number: int) -> dict[str, Any]:
    """Return a task's parameters as plain data: what is no number or text by what it is called."""
    told = told_parameters(tasks, number)
    return {name: value if type(value) in _PLAIN else short_text(value) for name, value in told.items()}


def _value(outcome: Outcome) -> Any:
    encoded = outcome.value
    return readable(encoded, _NOWHERE)[1] if encoded is not None and encoded.data is not None else None
