"""Decide what to run, why, in which order and how long it will take.

Knows: matrices, keys, what the store has. May not know: executors, displays.

Names are imported on first use: a run whose results are all there expects no runtimes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.plan.code_of_tasks import TaskVersions, task_versions
    from memento.plan.keyed_tasks import KEY_SIZE, KeyedTasks
    from memento.plan.plan import Past, Plan, expected_costs, make_plan
    from memento.plan.runtime_forecast import fit_costs

__all__ = [
    "KEY_SIZE", "KeyedTasks", "Past", "Plan", "TaskVersions", "expected_costs", "fit_costs", "make_plan",
    "task_versions",
]  # fmt: skip

_HOMES = {
    "code_of_tasks": "TaskVersions task_versions",
    "keyed_tasks": "KEY_SIZE KeyedTasks",
    "plan": "Past Plan expected_costs make_plan",
    "runtime_forecast": "fit_costs",
}

__getattr__ = on_first_use(
    __name__, {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names.split()}
)
