"""`memento run-one`: one task here, in this terminal, to look at what it does.

Knows: stores, how scripts are started again. May not know: how a task runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from memento.cli.choosing import one_key
from memento.cli.exit_codes import UsageError
from memento.cli.open_store import place
from memento.cli.printing import print_json, print_safe
from memento.cli.retry_now import why_not
from memento.cli.start_again import Ended, Start, ask, start, start_of
from memento.cli.task_text import shown_parameters
from memento.cli.waiting import find_any
from memento.records import DONE, RunRecord, TaskRecord
from memento.runner.asked_for import Request
from memento.store.location import StorePath
from memento.store.store import Store
from memento.wording import one_line, short_name


def run_one(
    path: StorePath | None, task: Sequence[str], *, pdb: bool, by: str | None, yes: bool, as_json: bool
) -> int:
    """Run one task in a script of its own, print what came of it, and return the exit code."""
    with Store.open(place(path), create=False, readonly=True) as store:
        key = one_key(store, task)
        found = find_any(store, key, whole=True)
        if any(now.key == found for now in store.working()):
            raise UsageError(f"task {key} is running just now; `memento logs -f {key}` shows what it prints.")
        before = next(iter(store.index.find(found.hex())), None)
        how, where = start_of(_run_of(store, key, before), by), store.location
        told = shown_parameters(store, [before])[0] if before is not None else ""
        experiment = "" if before is None else before.experiment
    ask([how], yes=yes, as_json=as_json)
    if not as_json:
        print_safe(
            f"{short_name(experiment)} {told} (key {found.hex()[:12]}), by {one_line(str(how), 200)}".strip()
        )
    request = Request(where.root, (found.hex(),), look=True, debug=pdb)
    ended = start(how, request, quiet_stdout=as_json)
    with Store.open(where, create=False, readonly=True) as store:
        rows = store.index.find(found.hex())
    now = rows[0] if rows and (before is None or rows[0].id != before.id) else None
    outcome = _outcome(now, ended)
    if as_json:
        print_json(
            "run-one", {"store": str(where), "key": found.hex(), "command": shlex.split(str(how)), **outcome}
        )
    else:
        _say(outcome, ended, how)
    if ended.code >= 128:
        return ended.code
    return 0 if outcome["status"] == DONE and outcome["equal"] is not False else 1


def _run_of(store: Store, key: str, record: TaskRecord | None) -> RunRecord:
    run = store.index.run(record.run) if record is not None else next(iter(store.index.runs(limit=1)), None)
    if run is None:
        raise UsageError(f"the store does not know what has run task {key}.")
    return run


def _outcome(now: TaskRecord | None, ended: Ended) -> dict[str, Any]:
    compared = ended.answer.compared  # where a result was there: it stays, and this one is not kept
    status = DONE if compared is not None else now.status if now is not None else None
    failure = now.failure if now is not None else None
    return {
        "status": status,
        "kept": compared is None and status == DONE,
        "equal": None if compared is None else not compared,
        "difference": dict(compared) if compared else None,
        "error": None if failure is None else f"{failure.type}: {failure.message}",
        "traceback": None if failure is None else failure.traceback,
    }


def _say(outcome: dict[str, Any], ended: Ended, how: Start) -> None:
    if outcome["equal"]:
        print("done: equal to the result that is kept")
    elif outcome["difference"]:
        print("it differs from the result that is kept, which stays:")
        print_safe(f"  kept: {outcome['difference']['before']}")
        print_safe(f"  now:  {outcome['difference']['now']}")
    elif outcome["error"] is not None:
        print_safe(f"failed: {one_line(outcome['error'], 400)}")
        trace = (outcome["traceback"] or "").rstrip()
        if trace:
            print_safe("\n".join(f"  {line}" for line in trace.split("\n")))
    elif outcome["status"] == DONE:
        print("done: its result is kept, as by any run")
    elif ended.answer.met:
        print("it did not come to its end; nothing is kept of it")
    else:
        print_safe(why_not(ended, 1, 1, how))
