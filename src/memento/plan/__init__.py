"""Decide what to run, why, in which order and how long it will take.

Knows: matrices, keys, what the store has. May not know: executors, displays.
"""

from memento.plan.forecast import fit_costs
from memento.plan.plan import Past, Plan, expected_costs, make_plan
from memento.plan.tasks import KEY_SIZE, KeyedTasks

__all__ = ["KEY_SIZE", "KeyedTasks", "Past", "Plan", "expected_costs", "fit_costs", "make_plan"]
