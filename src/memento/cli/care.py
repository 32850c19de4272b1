"""`memento verify`, `retry`, `forget`, `rename`: take care of a store.

Knows: the store's own ways to do so, how to say what they did. May not know: how they do it.
"""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memento.cli.exit_codes import UsageError
from memento.cli.inspect import find_key, one_experiment, print_json, print_safe
from memento.records import RunRecord, TaskRecord
from memento.store.location import find_store
from memento.store.store import Store
from memento.wording import number_of, one_line, size_text

_SHOWN = 30  # problems; the others are counted
_RUNS = 200  # the newest; the last run of an experiment is mostly among them


def place(path: Path | None) -> Path:
    """Return the store's folder.

    Raises
    ------
    UsageError
        There is none.
    """
    found = find_store(path)
    if not found.exists():
        raise UsageError(f"there is no store at {found}. Name one with --store.")
    return found


# --- verify --------------------------------------------------------------------------------------------


def verify_store(path: Path | None, *, repair: bool, as_json: bool) -> bool:
    """Check a store, print what is wrong, and return whether nothing is (any more)."""
    from memento.store.problems import Problem
    from memento.store.verify import verify

    report = verify(place(path), repair=repair)
    if as_json:
        told = {
            "store": str(report.path),
            "whole": report.whole,
            "tasks": report.tasks,
            "files": report.files,
            "bytes": report.size,
            "problems": [asdict(problem) for problem in report.problems],
            "notes": report.notes,
        }
        print_json(told)
        return report.whole
    looked = f"{number_of(report.tasks, 'task')}, {number_of(report.files, 'file')}, {size_text(report.size)}"
    print(f"store {one_line(str(report.path))}: {looked} checked")

    def tell(problem: Problem) -> None:
        print(f"  {problem.kind}: {one_line(problem.where)}: {one_line(problem.what, 300)}")
        if problem.key:
            task = f"{problem.experiment} {problem.params}".strip()
            print(f"    task {one_line(problem.key[:12])} {one_line(task, 300)}")
        print(f"    {'repaired: ' if problem.repaired else 'to repair: '}{problem.remedy}")

    for problem in report.problems[:_SHOWN]:
        tell(problem)
    if len(report.problems) > _SHOWN:
        print(f"  ... and {number_of(len(report.problems) - _SHOWN, 'problem')} more; --json lists them all")
    for note in report.notes:
        print_safe(f"  note: {note}")
    left = sum(not problem.repaired for problem in report.problems)
    if not report.problems:
        print("nothing is wrong")
    elif not left:
        print(
            f"{number_of(len(report.problems), 'problem')} repaired; run the experiment again for what is missing"
        )
    else:
        todo = "could not be repaired" if repair else "found; `memento verify --repair` repairs what can be"
        print(f"{number_of(left, 'problem')} {todo}")
    return report.whole


# --- retry and forget ----------------------------------------------------------------------------------


def retry(
    path: Path | None, keys: list[str], experiment: str | None, *, from_scratch: bool, as_json: bool
) -> None:
    """Let failed tasks count as not computed, and say which commands compute them."""
    with Store.open(place(path), create=False) as store:
        wanted = [find_key(store, key) for key in keys] if keys else None
        name = None if experiment is None else one_experiment(experiment, store)
        retried = store.retry(wanted, name, from_scratch=from_scratch)
        runs = _last_runs(store, {record.experiment for record in retried})
        where = store.path
    if as_json:
        print_json(
            {
                "store": str(where),
                "retried": [_task(record) for record in retried],
                "runs": [{"experiment": run.info.experiment, "command": list(run.info.argv)} for run in runs],
            }
        )
        return
    if not retried:
        print("no task failed" if not keys else "none of these tasks failed")
        return
    print(f"{number_of(len(retried), 'failed task')} will be computed again by the next run")
    for run in runs:
        print(f"  {one_line(run.info.experiment)}: last run by {one_line(shlex.join(run.info.argv), 200)}")


def forget(path: Path | None, keys: list[str], experiment: str | None, *, as_json: bool) -> None:
    """Remove tasks as if they had never run.

    Raises
    ------
    UsageError
        Nothing says which tasks.
    """
    if not keys and experiment is None:
        raise UsageError("say which tasks to forget: their keys, or --experiment NAME for all of one.")
    with Store.open(place(path), create=False) as store:
        wanted = {find_key(store, key) for key in keys}
        if experiment is not None:
            name = one_experiment(experiment, store)
            known = {row.key for row in store.index.known(name)}
            wanted = wanted & known if keys else known
        count = store.forget(wanted)
        where = store.path
    if as_json:
        print_json({"store": str(where), "forgotten": count})
    else:
        print(f"{number_of(count, 'task')} forgotten; `memento gc` frees what they occupied")


def rename(path: Path | None, old: str, new: str, *, as_json: bool) -> None:
    """Move results to another name of their experiment, and say how many."""
    with Store.open(place(path), create=False) as store:
        name = one_experiment(old, store)
        renamed = store.rename(name, new)
        where = store.path
    if as_json:
        print_json(
            {"store": str(where), "old": name, "new": new, "moved": renamed.moved, "kept": renamed.kept}
        )
        return
    print(f"{number_of(renamed.moved, 'task')} of {one_line(name)} now of {one_line(new)}")
    if ":" in name and ":" not in new:
        file, function = one_line(name.rpartition(":")[0]), one_line(new)
        print(
            f"  {function} is the name of Memento(..., name={new!r}); for a function {function} of {file} it is"
            f" `memento rename {function} {file}:{function}`"
        )
    if renamed.kept:
        print(
            f"  {number_of(renamed.kept, 'task')} stay where they are: {one_line(new)} has results for them"
        )


def _task(record: TaskRecord) -> dict[str, Any]:
    return {"key": record.key.hex(), "experiment": record.experiment, "params": record.params}


def _last_runs(store: Store, experiments: set[str]) -> list[RunRecord]:
    """Return the newest run of each experiment."""
    newest: dict[str, RunRecord] = {}
    for run in store.index.runs(limit=_RUNS):
        if run.info.experiment in experiments:
            newest.setdefault(run.info.experiment, run)
    return list(newest.values())
