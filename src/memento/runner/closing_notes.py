"""Find what is to be said of the results at the end of a run, beside their number.

Knows: the plan that was carried out, the store. May not know: executors, displays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from memento.keys.code_files import Program
from memento.store.store import Store
from memento.wording import number_of

if TYPE_CHECKING:
    from types import CodeType

    from memento.events import Extreme, WarningGroup
    from memento.matrix.matrix import Matrix
    from memento.plan.plan import Plan

_WRAPPERS = 20  # around a function


def warned(store: Store, matrix: Matrix, plan: Plan) -> tuple[WarningGroup, ...]:
    """Return what tasks of this run warned of; tasks that did so before are counted with them."""
    fresh = [row for row, cached in zip(plan.rows, plan.cached, strict=True) if row >= 0 and not cached]
    if not fresh or not store.index.warnings(min(fresh), max(fresh)):
        return ()
    from memento.results.results import Results

    results = Results.of_plan(store, matrix, plan)
    new = {plan.tasks.key(number).hex() for number, cached in enumerate(plan.cached) if not cached}
    return tuple(group for group in results.warnings.groups if not new.isdisjoint(group.keys))


def best_of(
    store: Store, matrix: Matrix, plan: Plan, wanted: Sequence[tuple[str | None, bool]]
) -> tuple[tuple[Extreme, ...], tuple[str, ...]]:
    """Return the best configurations by the numbers that are wanted, and why there are none."""
    from array import array

    from memento.results.extremes import extremes
    from memento.results.parameters import Tasks
    from memento.results.selection import Selection, Source

    tasks, rows, cached = plan.tasks, array("q", plan.rows), bytearray(plan.cached)
    source = Source(store, Tasks(matrix, tasks.digests), tasks.keys, rows, cached, tasks.experiment)
    best: list[Extreme] = []
    notes: list[str] = []
    for metric, minimize in wanted:
        try:
            best += extremes(Selection(source), metric, minimize)
        except Exception as exc:  # a message is no reason to end a run whose results are all there
            notes.append(f"The message names no best: {exc}")
    return tuple(dict.fromkeys(best)), tuple(notes)


def how_to_go_on(left: int, failures: int) -> str:
    """Say how to compute what is left of a run that was stopped, by so many failures or by somebody."""
    if failures:
        stopped = f"Stopped after {number_of(failures, 'failure')}; {number_of(left, 'task')} not started."
        return f"{stopped} What finished is kept: run it again to go on."
    return f"Everything that finished is kept. Run it again to compute the {left} that are left."


def note_of_none(done: int, plan: Plan, function: Callable[..., Any]) -> tuple[str, ...]:
    """Say that none of so many tasks returned anything, where nothing says that this is meant."""
    if not done or isinstance(function, Program):  # a program may be run for its files and metrics
        return ()
    code, annotations = _innermost(function)
    if annotations.get("return", "") in (None, "None"):
        return ()
    who = "the task" if done == 1 else "both tasks" if done == 2 else f"all {done:,} tasks"
    if sum(plan.stale_codes.values()) == done:
        return (f"{who} returned None, with the older version of the code",)
    where = (
        ""
        if code is None
        else f" in {code.co_name} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
    )
    return (f"{who} returned None: is a `return` missing{where}?",)


def _innermost(function: Any) -> tuple[CodeType | None, dict[str, Any]]:
    """Return the code and the annotations of what the user wrote, below partials, decorators, methods and objects."""
    for _ in range(_WRAPPERS):
        inner = (
            getattr(function, "__wrapped__", None)
            or getattr(function, "func", None)
            or getattr(function, "__func__", None)
        )
        if inner is None and not hasattr(function, "__code__") and not isinstance(function, type):
            inner = vars(type(function)).get("__call__")
        if inner is None or inner is function:
            break
        function = inner
    return getattr(function, "__code__", None), getattr(function, "__annotations__", None) or {}
