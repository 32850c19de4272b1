"""`memento why KEY`: why a task will or will not run, as far as the store knows; nothing is imported or unpickled.

Knows: the store's read side, explanations of code. May not know: plans; the user's code as it is now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from memento.cli.choosing import one_key
from memento.cli.open_store import open_store
from memento.cli.printing import print_json, print_safe
from memento.cli.task_text import command_of
from memento.cli.waiting import RUNNING, find_any, in_live_runs, why_it_waits
from memento.index.attempts import memory_limits
from memento.index.versions import Versions
from memento.records import DAMAGED, DONE, TaskRecord
from memento.runner.code_changes import date_text
from memento.store.fences import newest_state
from memento.store.imported import origin_of
from memento.store.location import StorePath
from memento.store.store import Store
from memento.values.checkpoints import saved_by
from memento.wording import duration, number_of, one_line, size_text

_UPSTREAM = re.compile(r"task ([0-9a-f]{32})")
_LISTED = 20  # things that cannot be followed


class _Code(NamedTuple):
    """The version that computed a task, beside the newest that a run has seen."""

    version: int
    seen: str  # when and by which run
    newest: int  # the same where nothing has changed
    changes: list[str]  # in what they differ
    unfollowed: list[str]
    adoptions: list[dict[str, Any]]  # of this version as others, the oldest first


def print_why(path: StorePath | None, task: Sequence[str], *, as_json: bool) -> None:
    """Print why a task will or will not run."""
    with open_store(path) as store:
        told = _facts(store, find_any(store, one_key(store, task)))
    if as_json:
        print_json("why", told)
    else:
        print_safe("\n".join(_lines(told)))


def _facts(store: Store, key: bytes) -> dict[str, Any]:
    record = next(iter(store.index.find(key.hex())), None)
    runs = in_live_runs(store, key, record.experiment if record is not None else None)
    # One that is done may run again all the same; a run tries no task again that failed in it.
    if record is not None:
        runs = [
            run
            for run in runs
            if run["state"] == RUNNING or (record.status != DONE and run["run"] != record.run)
        ]
    attempts = store.index.attempts(key)
    versions = store.versions(record.experiment) if record is not None else None
    code = _code(store, versions, record) if versions is not None and record is not None else None
    upstream = _upstream(store, record) if record is not None else []
    at_work = any(run["state"] == RUNNING for run in runs)
    will_run, reason = _verdict(record, code, upstream, why_it_waits(runs), at_work=at_work)
    origin = origin_of(store, record) if record is not None else None
    if origin is not None and not will_run:
        reason = f"it is done: it was imported ({origin}), so no change of the code counts for it"
    return {
        "key": key.hex(),
        "experiment": record.experiment if record is not None else None,
        "command": command_of(store, record) if record is not None else None,
        "status": "running" if at_work else record.status if record is not None else "unfinished",
        "will_run": will_run,
        "reason": reason,
        "live_runs": runs,
        "run": record.run if record is not None else None,
        "started": record.started if record is not None else None,
        "runtime": record.runtime if record is not None else None,
        "code": code._asdict() if code is not None else None,
        "imported": origin._asdict() if origin is not None else None,
        "upstream": upstream,
        "attempts": len(attempts),
        "failures": [
            f"attempt {a.number}{f' with {size_text(limit)}' if limit else ''}, run {a.run}:"
            f" {a.failure.type}: {a.failure.message}"
            for a, limit in zip(attempts, memory_limits(attempts), strict=True)
            if a.failure is not None
        ],
        "checkpoint": _checkpoint(store, versions, code, key),
    }


def _code(store: Store, versions: Versions, record: TaskRecord) -> _Code:
    from memento.keys.code_diff import explain_code

    pending = [present for code, present in versions.pending() if code == record.code]
    newest = max(pending, default=record.code)
    shown = versions.last_adopted(record.code)
    known = store.index.codes([record.code, shown, newest])
    changes: list[str] = []
    if newest != record.code and shown in known and newest in known:
        changes = explain_code(known[shown].functions, known[newest].functions)
    when, run = versions.seen([record.code]).get(record.code, (0.0, None))
    unfollowed = known[record.code].unfollowed if record.code in known else ()
    adopted = [
        {"as": a.present, "when": a.adopted, "who": a.who, "verified": a.verified, "of": a.results}
        for a in versions.adoptions()
        if a.code == record.code
    ]
    since = f"of {date_text(when, run)}" if when else ""
    return _Code(record.code, since, newest, changes, list(map(str, unfollowed)), adopted)


def _upstream(store: Store, record: TaskRecord) -> list[dict[str, Any]]:
    """Return the tasks whose results this one was computed from, and what is to be computed again of them."""
    lacking: dict[str, bool] = {}  # of the tasks before, by key: whether they run again
    told = []
    for name, key in _named(record.params).items():
        found = _record(store, key)
        newer = found is not None and found.status == DONE and found.id > record.id
        status = found.status if found else "gone"
        told.append(
            {
                "name": name,
                "key": key,
                "status": status,
                "newer": newer,
                "will_run": _runs(store, key, lacking),
            }
        )
    return told


def _named(params: str) -> dict[str, str]:
    """Return the keys of the tasks whose results stand among parameters (JSON), by name."""
    found = {name: _UPSTREAM.fullmatch(str(value)) for name, value in json.loads(params or "{}").items()}
    return {name: match[1] for name, match in found.items() if match}


def _record(store: Store, key: str) -> TaskRecord | None:
    return next(iter(store.index.find(key)), None)


def _runs(store: Store, key: str, known: dict[str, bool]) -> bool:
    """Tell whether a task is not done, or is one of those that follow such a task, or a newer result."""
    if key not in known:
        record = _record(store, key)
        known[key] = record is None or record.status != DONE
        if record is not None and not known[key]:
            known[key] = any(
                _runs(store, one, known) or ((before := _record(store, one)) and before.id > record.id)
                for one in _named(record.params).values()
            )
    return known[key]


def _verdict(
    record: TaskRecord | None,
    code: _Code | None,
    upstream: list[dict[str, Any]],
    waits: str,
    *,
    at_work: bool,
) -> tuple[bool, str]:
    if at_work:
        return True, waits
    if record is None:
        return True, f"it has not finished yet{f'; {waits}' if waits else ''}"
    if record.status != DONE:
        return True, f"it failed; {waits or 'a run tries again what failed'}"
    if record.value is not None and record.value.format == DAMAGED:
        return True, "its result is damaged"
    if any(task["newer"] for task in upstream):
        return True, "what it depends on was computed again since"
    before = next((task["name"] for task in upstream if task["will_run"]), None)
    if before is not None:
        return True, f"what it depends on ({one_line(before)}) is computed again first"
    if code is not None and code.newest != code.version:
        return False, (
            'it is done, though its code has changed since: on_code_change="rerun" computes it again,'
            " `memento adopt` accepts the change"
        )
    return False, "it is done, and no run has seen that its code has changed since"


def _checkpoint(
    store: Store, versions: Versions | None, code: _Code | None, key: bytes
) -> dict[str, Any] | None:
    saved = saved_by(newest_state(store.root, key))
    if saved is None:
        return None
    ids = {digest: number for number, digest in versions.digests.items()} if versions is not None else {}
    current = None
    if versions is not None and code is not None:
        counting = versions.counting_as(versions.digests.get(code.newest, b""))
        current = all(ids.get(digest) in counting for digest in saved)
    return {"versions": [ids.get(digest) for digest in saved], "of_newest_version": current}


def _lines(told: dict[str, Any]) -> list[str]:
    verb = "runs now" if told["status"] == "running" else "will run" if told["will_run"] else "will not run"
    of = f" of {one_line(told['experiment'])}" if told["experiment"] else ""
    lines = [f"task {told['key']}{of} {verb}: {told['reason']}"]
    if told["run"] is not None:
        when = date_text(told["started"], told["run"])
        lines.append(f"status      {told['status']} after {duration(told['runtime'])}, {when}")
    if told["command"] is not None:
        lines.append(f"command     {one_line(told['command'])}")
    lines += ["code        not known"] if told["imported"] else _code_lines(told["code"])
    for task in told["upstream"]:
        newer = ", computed again since" if task["newer"] else ", will run" if task["will_run"] else ""
        lines.append(
            f"depends on  task {task['key'][:12]} ({one_line(task['name'])}): {task['status']}{newer}"
        )
    if told["failures"]:
        lines.append(f"failures    {len(told['failures'])} of {number_of(told['attempts'], 'attempt')}")
        lines += [f"  {one_line(failure, 300)}" for failure in told["failures"][-5:]]
    if told["imported"] and told["checkpoint"] is None:
        return lines
    return [*lines, _checkpoint_line(told["checkpoint"], told["will_run"])]


def _code_lines(code: dict[str, Any] | None) -> list[str]:
    if code is None:
        return []
    lines = [f"code        version {code['version']} ({code['seen'].removeprefix('of ')})"]
    if code["newest"] != code["version"]:
        lines[0] += f"; the newest seen is version {code['newest']}:"
        lines += [f"  {line}" for line in code["changes"]]
    for one in code["adoptions"]:
        when = date_text(one["when"], None)
        verified = f"{one['verified']:,} of {number_of(one['of'], 'result')} verified"
        lines.append(
            f"  counts as version {one['as']}: adopted by {one_line(one['who'])}, {when}, {verified}"
        )
    unfollowed = code["unfollowed"]
    if unfollowed:
        lines.append("what the version of the code cannot follow, so that changes there are not noticed:")
        lines += [f"  {one_line(text, 200)}" for text in unfollowed[:_LISTED]]
        if len(unfollowed) > _LISTED:
            lines.append(f"  and {len(unfollowed) - _LISTED} more")
    return lines


def _checkpoint_line(checkpoint: dict[str, Any] | None, will_run: bool) -> str:
    if checkpoint is None:
        return f"checkpoint  none{': it begins anew' if will_run else ''}"
    if checkpoint["of_newest_version"] is False:
        return (
            'checkpoint  there, of an older version of the code: with on_code_change="rerun" it is not used'
        )
    return "checkpoint  there: it goes on from it"
