"""`memento verify`, `retry`, `forget`, `rename`, `merge`, `adopt`: take care of a store.

Knows: the store's own ways to do so, how to say what they did. May not know: how they do it, how a run works.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from memento.cli.choosing import Wanted, choose
from memento.cli.exit_codes import UsageError
from memento.cli.live_run import command_line
from memento.cli.open_store import one_experiment, place
from memento.cli.printing import agrees, print_json, print_safe
from memento.cli.task_text import shown_parameters
from memento.records import DONE, RunRecord, TaskRecord
from memento.store.location import StorePath, nearby
from memento.store.maintenance import merge
from memento.store.merge import CannotMerge, Difference
from memento.store.store import Store
from memento.wording import number_of, one_line, safe_text, short_name, size_text, verb

if TYPE_CHECKING:
    from memento.cli.run import Asked
    from memento.runner.adopting import Adopted

_SHOWN = 30  # problems, or differences; the others are counted
_EXAMPLES = 3  # tasks that would go
_RUNS = 200  # the newest; the last run of an experiment is mostly among them


# --- verify --------------------------------------------------------------------------------------------


def verify_store(path: StorePath | None, *, repair: bool, as_json: bool) -> bool:
    """Check a store, print what is wrong, and return whether nothing is (any more)."""
    from memento.store.verify import verify

    report = verify(place(path), repair=repair)
    if as_json:
        told = {
            "store": str(report.store),
            "whole": report.whole,
            "tasks": report.tasks,
            "files": report.files,
            "bytes": report.size,
            "problems": [asdict(problem) for problem in report.problems],
            "notes": report.notes,
        }
        print_json("verify", told)
        return report.whole
    looked = f"{number_of(report.tasks, 'task')}, {number_of(report.files, 'file')}, {size_text(report.size)}"
    print(f"store {one_line(str(report.store))}: {looked} checked")
    for problem in report.problems[:_SHOWN]:
        print(f"  {problem.kind}: {one_line(problem.where)}: {one_line(problem.what, 300)}")
        if problem.key:
            task = f"{problem.experiment} {problem.params}".strip()
            print(f"    task {one_line(problem.key[:12])} {one_line(task, 300)}")
        print(f"    {'repaired: ' if problem.repaired else 'to repair: '}{problem.remedy}")
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


def retry(path: StorePath | None, which: Wanted, *, from_scratch: bool, as_json: bool) -> None:
    """Let failed tasks count as not computed, and say which commands compute them."""
    with Store.open(place(path), create=False) as store:
        wanted = [record.key for record in choose(store, which)] if which.says_which else None
        name = None if which.experiment is None else one_experiment(which.experiment, store)
        retried = store.retry(wanted, name, from_scratch=from_scratch)
        runs = _last_runs(store, {record.experiment for record in retried})
        where = str(store.location)
    if as_json:
        tasks = [{"key": r.key.hex(), "experiment": r.experiment, "params": r.params} for r in retried]
        started = [{"experiment": run.info.experiment, "command": list(run.info.argv)} for run in runs]
        print_json("retry", {"store": where, "retried": tasks, "runs": started})
        return
    if not retried:
        print("no task failed" if not which.says_which else "none of these tasks failed")
        return
    verb = "counts" if len(retried) == 1 else "count"
    print(f"{number_of(len(retried), 'failed task')} {verb} as not computed now; the next run computes them:")
    for run in runs:
        print(f"  {one_line(run.info.experiment)}: {command_line(run)}")


def _last_runs(store: Store, experiments: set[str]) -> list[RunRecord]:
    """Return the newest run of each experiment."""
    newest: dict[str, RunRecord] = {}
    for run in store.index.runs(limit=_RUNS):
        if run.info.experiment in experiments:
            newest.setdefault(run.info.experiment, run)
    return list(newest.values())


def forget(path: StorePath | None, which: Wanted, *, yes: bool, as_json: bool) -> bool:
    """Remove tasks as if they had never run; tell whether they went.

    Who names tasks by their keys has said which; else a person is asked.
    """
    if not which.says_which and which.experiment is None:
        raise UsageError(
            "say which tasks to forget: their keys, NAME=VALUE, --failed, or --experiment NAME for all of one."
        )
    with Store.open(place(path), create=False) as store:
        records = choose(store, which)
        sure = yes or bool(which.keys) or not records
        if not sure and not as_json:
            print("\n".join(_to_forget(store, records)))
        question = f"Forget {number_of(len(records), 'task')}, to be computed again when needed?"
        agreed = sure or agrees(question, as_json=as_json)
        count = store.forget({record.key for record in records}) if agreed else 0
        where = str(store.location)
    refused = 0 if agreed else len(records)
    if as_json:
        print_json("forget", {"store": where, "forgotten": count, "refused": refused})
    elif refused:
        tasks = f"{number_of(refused, 'task')} {verb(refused, 'stay')}"
        print(f"{tasks}: add --yes to forget them; they will be computed again")
    else:
        print(
            f"{number_of(count, 'task')} forgotten; `memento gc` frees what {'it' if count == 1 else 'they'} occupied"
        )
    return agreed


def _to_forget(store: Store, records: Sequence[TaskRecord]) -> list[str]:
    """Say how many tasks of which experiments would go, and what the newest are."""
    lines = []
    for name, count in Counter(record.experiment for record in records).most_common():
        own = [record for record in records if record.experiment == name]
        done = sum(record.status == DONE for record in own)
        lines.append(f"{one_line(short_name(name))}: {number_of(count, 'task')}, {done:,} of them done")
        shown = zip(own[:_EXAMPLES], shown_parameters(store, own[:_EXAMPLES]), strict=True)
        lines += [f"    {record.key.hex()[:12]}  {one_line(told, 150)}" for record, told in shown]
        lines += [f"    ... and {count - _EXAMPLES:,} more"] if count > _EXAMPLES else []
    return lines


# --- rename and merge ----------------------------------------------------------------------------------


def rename(path: StorePath | None, old: str, new: str, *, as_json: bool) -> None:
    """Move results to another name of their experiment, and say how many."""
    with Store.open(place(path), create=False) as store:
        name = one_experiment(old, store)
        renamed = store.rename(name, new)
        where = str(store.location)
    if as_json:
        moved = {"moved": renamed.moved, "kept": renamed.kept}
        print_json("rename", {"store": where, "old": name, "new": new, **moved})
        return
    print(f"{number_of(renamed.moved, 'task')} of {one_line(name)} now of {one_line(new)}")
    if ":" in name and ":" not in new:
        file, function = one_line(name.rpartition(":")[0]), one_line(new)
        print(
            f"  {function} is the name of Memento(..., name={new!r}); for a function {function} of {file} it is"
            f" `memento rename {function} {file}:{function}`"
        )
    if renamed.kept:
        tasks = f"{number_of(renamed.kept, 'task')} {verb(renamed.kept, 'stay')}"
        print(f"  {tasks} behind: {one_line(new)} has results already")


def merge_stores(other: str, into: StorePath | None, *, as_json: bool, payloads: str | None = None) -> None:
    """Join a store to another one, and print what came of it."""
    if "://" not in other and not os.path.exists(other):
        raise UsageError(f"there is no store at {other}, to be taken in.{nearby(other)}")
    source, target = place(other), place(into, payloads)
    try:
        told = merge(source, target)
    except CannotMerge as error:
        raise UsageError(str(error)) from error
    if as_json:
        differences = [difference._asdict() for difference in told.differences]
        where = {"store": str(target), "other": str(source)}
        print_json("merge", where | asdict(told) | {"differences": differences})
        return
    print(f"store {one_line(str(target))}, from {one_line(str(source))}")
    for name, count in told.results.items():
        print(f"  {one_line(short_name(name))}: {number_of(count, 'result')} taken")
    for count, what in (
        (told.equal, "that both have"),
        (told.kept, "stays as it is here" if told.kept == 1 else "stay as they are here"),
        (told.outdated, "not taken: computed from upstream results that are others here"),
    ):
        if count:
            print(f"  {number_of(count, 'task')} {what}")
    for count, thing in ((told.steps, "step"), (told.checkpoints, "checkpoint")):
        if count:
            print(f"  {number_of(count, thing)} taken")
    for difference in told.differences[:_SHOWN]:
        _print_difference(difference)
    if len(told.differences) > _SHOWN:
        print(
            f"  ... and {number_of(len(told.differences) - _SHOWN, 'difference')} more; --json lists them all"
        )
    for damaged in told.damaged:
        print(f"  not taken: {one_line(damaged, 300)}")
    if not told.results and not told.checkpoints:
        print("there was nothing to take")


def _print_difference(difference: Difference) -> None:
    kind = "conflict" if difference.is_conflict else "differs"
    why = (
        "one version of the code gave two values" if difference.is_conflict else "versions of the code differ"
    )
    stands = "this store's" if difference.newer == "here" else "the other's"
    task = f"{short_name(difference.experiment)} {difference.params}"
    print(f"  {kind}: {difference.key[:12]} {one_line(task, 200)}: {why}; {stands} is newer and stands")


# --- adopt ---------------------------------------------------------------------------------------------


def adopt(asked: Asked, options: dict[str, Any], *, verify: int, as_json: bool) -> bool:
    """Accept a change, and print what that means; False where results differ and nothing was adopted."""
    if asked.matrix is not None or asked.command is not None:
        adopted = _with_code(asked, options, verify)
    elif verify:
        raise UsageError(
            "--verify computes results again, so it needs the experiment and its matrix:"
            f" memento adopt --verify {verify} FILE:FUNC MATRIX; or, where the matrix is in a script,"
            f" print(Memento(FUNC).adopt(matrix, verify={verify})) there"
        )
    else:
        with Store.open(place(options["store"]), create=False) as store:
            adopted = _as_seen(store, _one_experiment(store, asked.target))
    if as_json:
        print_json("adopt", _as_dict(adopted))
    else:
        print_safe(str(adopted))
    return not adopted.differences


def _with_code(asked: Asked, options: dict[str, Any], verify: int) -> Adopted:
    from memento.cli.run import what_to_run
    from memento.memento import Memento

    function, matrix = what_to_run(asked)
    try:
        memento = Memento(function, **options)
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
    return memento.adopt(matrix, verify=verify)


def _one_experiment(store: Store, target: str | None) -> str:
    if target is not None:
        return one_experiment(target, store)
    names = [name for name, _, _ in store.index.experiments()]
    changed = [name for name in names if store.versions(name).pending()]
    if len(changed) > 1:
        raise UsageError(f"the code of several experiments has changed: name one of {', '.join(changed)}.")
    if not changed and len(names) != 1:
        raise UsageError("no run has seen a change of the code: there is nothing to adopt.")
    return (changed or names)[0]


def _as_seen(store: Store, experiment: str) -> Adopted:
    """Accept what runs have seen, and show in what it differs."""
    from memento.runner.adopting import adopt_seen
    from memento.runner.code_changes import explain_seen

    versions = store.versions(experiment)
    told = explain_seen(store, versions)
    adopted = adopt_seen(versions, experiment)
    if told and adopted.changes:
        print(safe_text(told), file=sys.stderr)
    return adopted


def _as_dict(adopted: Adopted) -> dict[str, Any]:
    return {
        "experiment": adopted.experiment,
        "results": adopted.results,
        "adopted": [{"version": code, "as": present} for code, present in adopted.changes],
        "verified": adopted.verified,
        "differences": [difference._asdict() for difference in adopted.differences],
        "at_most": adopted.bound,
    }
