"""Take in the outcomes that workers of a dead run have left as files (`worker.handover`).

Knows: the plan, the store's run, what was left. May not know: engines, who left it.

An outcome is taken in when the matrix has its task, not done yet, the task's code is the code that is planned, no
upstream result of the task is newer than the run that left it, and its value is there. What is of other tasks or other
code stays where it is: another run may want it. What is damaged is set aside. A file goes when its outcome is
committed, or when the task is done anyway.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memento.events import Event, Said
from memento.layout import OUTCOMES, PILOTS, QUARANTINE, WORK, WRITING, Layout
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
    wanted = set[Path]()  # what may be taken in by a run of other tasks
    accepted = code.accepted(plan)
    dead = dead_runs(store)
    stale = outdated(store, plan, dead)
    # Whether nothing more will be told of a dead run, as far as it has been looked at.
    over: dict[str, bool] = {}
    for path, left in _left_by(store, dead, wanted, over):
        if left is None:
            set_aside[_DAMAGED] += _set_aside(path)
            continue
        number = next(plan.tasks.numbers_of([left.key]), None)
        if number is None:
            wanted.add(path)
        elif plan.cached[number] or left.outcome.status != DONE:  # a task that failed is tried again
            _remove(path)
        elif number in stale.get(left.run, ()):  # it goes once the task is done
            continue
        elif left.code not in accepted[plan.version(number)]:
            wanted.add(path)
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
    if found:
        _commit(store, plan, code, found)
    for path in files:
        _remove(path)
    _remove_pilots(store, over)
    if not found:
        return False
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
    drop_folder(store, run)


def drop_folder(store: str, run: str) -> None:
    """Remove what a run has handed to its workers; outcomes that are left stay."""
    folder = Layout(store).work(run)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.join(folder, OUTCOMES, WRITING))
    with contextlib.suppress(OSError):  # some are left
        os.rmdir(os.path.join(folder, OUTCOMES))
    if not os.path.exists(os.path.join(folder, OUTCOMES)):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        shutil.rmtree(os.path.join(folder, PILOTS), ignore_errors=True)


def dead_runs(store: Store) -> list[str]:
    """Return the runs whose workers have left something, and which are dead."""
    runs = handover.runs_with_outcomes(store.root)  # first: who begins after that is none of these
    living = tuple([f"-{owner.pid}-{owner.run:04x}" for owner in store.index.living().runs])
    return [run for run in runs if not run.endswith(living)]


def outdated(
    store: Store, plan: Plan, runs: Sequence[str], *, all_of_it: bool = False
) -> dict[str, Collection[int]]:
    """Return what a plan takes from no run: tasks, by number, of which an upstream result is newer than that run.

    `all_of_it`: everything is to be computed again.
    """
    from memento.store.upstream import UpstreamValue

    if all_of_it:
        return dict.fromkeys(runs, range(plan.total))
    # By number of a task: the latest run that has computed one of its upstream results.
    newest: dict[int, int] = {}
    for column, values in enumerate(plan.tasks.table.values):
        rows = [value.row if isinstance(value, UpstreamValue) else -1 for value in values]
        run_of = {record.id: record.run for record in store.index.records([row for row in rows if row >= 0])}
        if run_of:
            by_value = [run_of.get(row, -1) for row in rows]
            for number, run in enumerate(plan.tasks.along(column, [*by_value, -1])):
                newest[number] = max(newest.get(number, -1), run)
    if not newest or not runs:
        return {}
    ids = {name: number for number, name in store.index.names_of_runs().items()}
    return {name: frozenset(n for n, run in newest.items() if run >= ids.get(name, 0)) for name in runs}


def _left_by(
    store: Store, runs: Iterable[str], wanted: Collection[Path], over: dict[str, bool]
) -> Iterator[tuple[Path, handover.Left | None]]:
    """Yield what workers of runs have left, each with its file; a pilot tells of many in one, which stays.

    When all of a run has been yielded, and the caller has noted what is `wanted`, it is noted whether that was all.
    """
    from memento.executors.pilots.account import pilots_of, what_ended

    for run in runs:
        for path in handover.outcomes_of(store.root, run):
            yield path, handover.read(path)
        is_over = True
        for folder in pilots_of(store.root, run):
            ended, is_all = what_ended(folder)
            for left in ended:
                yield folder, left
            is_over = is_over and is_all and folder not in wanted
        over[run] = is_over


def _remove_pilots(store: Store, over: Mapping[str, bool]) -> None:
    """Remove the folders of runs whose pilots are over, and of which nothing more can be taken in."""
    from memento.executors.pilots.account import pilots_of

    for run, is_over in over.items():
        # A run without pilots of its own may have taken over another's, which read there.
        if is_over and (pilots_of(store.root, run) or (all(over.values()) and _took_over(store, run))):
            drop_folder(store.root, run)


def _took_over(store: Store, run: str) -> bool:
    return os.path.isdir(os.path.join(Layout(store.root).work(run), PILOTS))


def _remove(path: Path) -> None:
    if path.is_file():
        path.unlink(missing_ok=True)


def _has_value(store: Store, left: handover.Left) -> bool:
    value = left.outcome.value
    return value is not None and (value.ref is None or store.payloads.exists(value.ref))


def _set_aside(path: Path) -> int:
    if not path.is_file():  # a pilot's folder, which is of others too
        return 1
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
