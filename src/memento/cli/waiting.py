"""What live runs have to do with one task: it runs, waits for its turn, is held up by a pause, or was cancelled.

Knows: claims, what runs tell of themselves and of commands. May not know: the order in which a run takes tasks.
"""

from __future__ import annotations

from typing import Any

from memento.cli.exit_codes import UsageError
from memento.cli.open_store import find_key
from memento.records import RunRecord
from memento.store.store import Store
from memento.store.task_folders import keys_with_states

RUNNING, CLAIMED, CANCELLED, FIRST, OPEN = "running", "claimed", "cancelled", "first", "open"


def find_any(store: Store, key: str, *, whole: bool = False) -> bytes:
    """Return the one key that begins so, also of a task without a row: it has a checkpoint, or a live run knows it.

    A `whole` key may be one that nobody knows.
    """
    try:
        return find_key(store, key)
    except UsageError:
        others = {*keys_with_states(store.root), *_known_keys(store)}
        left = [found for found in others if found.hex().startswith(key.lower())]
        if len(left) == 1 and len(key) >= 3:
            return left[0]
        if whole and len(key) == 32 and set(key.lower()) <= set("0123456789abcdef"):
            return bytes.fromhex(key)
        raise


def _known_keys(store: Store) -> set[bytes]:
    """Return the keys of tasks that live runs have begun, claimed, cancelled or put first; not of all that wait."""
    living = store.index.living()
    keys = set(living.claimed)
    for owner in living.runs:
        keys.update(one.key for one in store.index.activity(owner.run)[1])
        for _, _, named in _commands(store, owner.run):
            keys.update(map(bytes.fromhex, named))
    return keys


def in_live_runs(store: Store, key: bytes, experiment: str | None) -> list[dict[str, Any]]:
    """Return, for each live run that may have to do with a task, what it has; the newest run first.

    Each has `run`, `experiment`, `host` and `pid` of its program, `state` (one of those above; "open" where it may
    come to the task), `by` who asked for that, `paused_by`, what the run `waits` for: a place in a cluster's queue; and
    `unbegun`, why its executor has not begun the task.
    """
    living = store.index.living()
    runs = [run for run in (store.index.run(owner.run) for owner in living.runs) if run is not None]
    owner = living.claimed.get(key)
    found = [_in(store, run, key, run.id == owner) for run in sorted(runs, key=lambda run: -run.id)]
    ours = [one for one in found if one["state"] != OPEN]
    return ours or [one for one in found if experiment in (None, one["experiment"])]


def _in(store: Store, run: RunRecord, key: bytes, claimed: bool) -> dict[str, Any]:
    state, by = CLAIMED if claimed else OPEN, ""
    for command, sender, named in _commands(store, run.id):
        if key.hex() in named:
            state, by = (CANCELLED if command == "cancel" else FIRST), sender
    _, activities, standing = store.index.activity(run.id)
    at_work = {one.key: one.worker for one in activities}
    board = {now.key for now in store.working() if now.run == run.id}
    if key in (board or at_work):
        state, by = RUNNING, at_work.get(key, "")
    paused = standing.paused if standing is not None else ""
    unbegun = standing.unbegun.items() if standing is not None else ()
    return {
        "run": run.id,
        "experiment": run.info.experiment,
        "host": run.info.host,
        "pid": run.info.pid,
        "state": state,
        "by": by,
        "paused_by": paused or None,
        "waits": standing.waits if standing is not None else "",
        "unbegun": next((why for why, keys in unbegun if key.hex() in keys), ""),
    }


def _commands(store: Store, run: int) -> list[tuple[str, str, list[str]]]:
    """Return the commands about tasks that a run has taken: which, whose, the tasks' keys."""
    return [
        (str(event.data.get("command")), str(event.data.get("who")), list(event.data.get("keys") or ()))
        for event in store.index.events(run)
        if event.kind == "CommandTaken" and event.data.get("done")
    ]


def why_it_waits(runs: list[dict[str, Any]]) -> str:
    """Say in a sentence what live runs have to do with a task; "" where none has."""
    if not runs:
        return ""
    one = runs[0]
    which = (
        f"run {one['run']}" if len(runs) == 1 else f"one of the runs {', '.join(str(r['run']) for r in runs)}"
    )
    if one["state"] == RUNNING:
        return f"it is running now, in run {one['run']}{', at ' + one['by'] if one['by'] else ''}"
    if one["state"] == CLAIMED:
        which = f"run {one['run']} ({one['host']}, pid {one['pid']})"
    if one["state"] == CANCELLED:
        return f"it was cancelled in run {one['run']}, by {one['by']}; the next run computes it"
    soon = "has not begun it" if one["unbegun"] else "starts it soon"
    told = {
        CLAIMED: f"{which} has it, and {soon}",
        FIRST: f"it waits in run {one['run']}, where {one['by']} has put it first",
        OPEN: f"{which} goes on, and may come to it",
    }[one["state"]]
    if one["paused_by"]:
        return f"{told}; that run is paused by {one['paused_by']}: `memento resume --run {one['run']}` has it go on"
    return "; ".join(filter(None, (told, one["unbegun"] or one["waits"])))
