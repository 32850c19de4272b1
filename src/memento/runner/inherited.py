"""Take in the outcomes that workers of a dead run have left as files (`worker.handover`).

Knows: the plan, the store's run, what was left. May not know: engines, who left it.

An outcome is taken in when the matrix has its task, not done yet, the task's code is the code that is planned, and its
value is there. What is of other tasks or other code stays where it is: another run may want it. What is damaged is set
aside. A file goes when its outcome is committed, or when the task is done anyway.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from memento.events import Event, Said
from memento.layout import OUTCOMES, QUARANTINE, WORK, WRITING, Layout
from memento.records import DONE, TaskRow
from memento.runner.code_changes import SessionCode
from memento.runner.packing import run_info
from memento.worker import handover

if TYPE_CHECKING:
    from memento.plan.plan import Plan
    from memento.store.store import Store

_DAMAGED = "are not what was written"
_NO_VALUE = "name a value that is gone"


def take_in(store: Store, plan: Plan, code: SessionCode, emit: Callable[[Event], None]) -> bool:
    """Commit what is left of a plan's tasks, in a run of its own; tell whether there was any."""
    found: dict[int, handover.Left] = {}  # number of a task -> the outcome that is taken in
    files: list[Path] = []  # of these, and of others that the same tasks left
    set_aside, other_code = Counter[str](), 0
    accepted = code.accepted(plan)
    for path in _of_dead_runs(store):
        left = handover.read(path)
        if left is None:
            set_aside[_DAMAGED] += _set_aside(path)
            continue
        number = next(plan.tasks.numbers_of([left.key]), None)
        if number is None:
            continue
        if plan.cached[number] or left.outcome.status != DONE:  # a task that failed is tried again
            path.unlink(missing_ok=True)
        elif left.code not in accepted[plan.version(number)]:
            other_code += 1
        elif not _has_value(store, left):
            set_aside[_NO_VALUE] += _set_aside(path)
        else:
            found[number] = left
            files.append(path)
    for why, count in set_aside.items():
        where = os.path.join(WORK, "*", OUTCOMES, QUARANTINE)
        text = f"{count} outcomes that workers of dead runs have left {why}: they are set aside in {where}"
        emit(Said(text, "warning"))
    if other_code:
        emit(
            Said(f"{other_code} outcomes that workers of dead runs have left are of other code, and not used")
        )
    if not found:
        return False
    _commit(store, plan, code, found)
    for path in files:
        path.unlink(missing_ok=True)
    emit(
        Said(
            f"{len(found)} tasks were finished by workers that outlived their run: their results are taken in"
        )
    )
    return True


def drop_committed(store: str, run: str, plan: Plan) -> None:
    """Remove the files of a run whose outcomes it has heard of and committed."""
    for path in handover.outcomes_of(store, run):
        left = handover.read(path)
        number = None if left is None else next(plan.tasks.numbers_of([left.key]), None)
        if number is not None and plan.rows[number] >= 0:
            path.unlink(missing_ok=True)
    outcomes = os.path.join(Layout(store).work(run), OUTCOMES)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(outcomes, WRITING))
    with contextlib.suppress(OSError):  # others are left
        os.rmdir(outcomes)
        os.rmdir(Layout(store).work(run))


def _of_dead_runs(store: Store) -> list[Path]:
    living = tuple([f"-{owner.pid}-{owner.run:04x}" for owner in store.index.living().runs])
    dead = [run for run in handover.runs_with_outcomes(store.root) if not run.endswith(living)]
    return [path for run in dead for path in handover.outcomes_of(store.root, run)]


def _has_value(store: Store, left: handover.Left) -> bool:
    value = left.outcome.value
    return value is not None and (value.ref is None or store.payloads.path(value.ref).exists())


def _set_aside(path: Path) -> int:
    folder = path.parent / QUARANTINE
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    return 1


def _commit(store: Store, plan: Plan, code: SessionCode, found: Mapping[int, handover.Left]) -> None:
    from memento.plan.declare_values import declare

    tasks = plan.tasks
    run = store.begin(run_info(tasks), plan.hits)
    status, done = "died", 0
    try:
        run.previous = dict(plan.previous)
        declare(tasks, run)
        codes = code.note(plan, run.id)
        params = tasks.params(tasks.places(list(found))[1])
        rows = []
        for (number, left), text in zip(found.items(), params, strict=True):
            older = left.outcome.older_codes
            version = codes[plan.version(number)]
            version = run.mixed_code(version, older) if older else version
            outcome = left.outcome._replace(number=number)
            rows.append(TaskRow(left.key, text, number % tasks.repeats, version, outcome))
        done = len(run.commit(rows).ids)
        status = "done"
    finally:
        run.finish(status, {"cached": plan.hits, "done": done, "failed": 0})
