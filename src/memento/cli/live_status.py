"""What a run is at, or how it ended: facts for `memento status`, as plain data.

Knows: what the index and the board of a store tell of runs. May not know: how facts are printed.

Nothing here says that a run goes on because it once said so: statuses follow from leases (`memento.index.lease`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.cli.live_run import command_line
from memento.clock import Clock
from memento.layout import PILOTS, Layout
from memento.store.imported import merged_from, source_of_run

if TYPE_CHECKING:
    from memento.index.types import Activity
    from memento.records import RunRecord
    from memento.store.activity import Working
    from memento.store.store import Store

_LOOKED_AT = 100  # runs, the newest
RUNS = 10  # told, the newest; and all that are alive


def facts_of_runs(
    store: Store, experiment: str | None, clock: Clock, *, exact: bool = True
) -> list[dict[str, Any]]:
    """Return what is known of each run that is alive, and of the latest that have ended; the newest first."""
    index = store.index
    runs = list(index.runs() if experiment is not None else index.runs(limit=_LOOKED_AT))
    older = {owner.run for owner in index.living().runs} - {run.id for run in runs}
    runs += [run for run in map(index.run, sorted(older, reverse=True)) if run is not None]
    runs = [run for run in runs if experiment in (None, run.info.experiment)]
    shown = [run for place, run in enumerate(runs) if place < RUNS or run.status == "running"]
    told = {run.id: run for run in index.counted([run for run in shown if run.status != "running"])}
    board = store.working() if any(run.status == "running" for run in shown) else []
    latest: dict[str, int] = {}
    alive = {run.info.experiment for run in runs if run.status == "running"}
    for run in runs:
        latest.setdefault(run.info.experiment, run.id)
    facts = []
    for run in shown:
        if run.status == "running":
            facts.append(_alive(store, run, board, clock, exact=exact))
            continue
        goes_on = latest[run.info.experiment] == run.id and run.info.experiment not in alive
        others = goes_on and any(_may_have_computed(other, run) for other in runs)
        facts.append({**_ended(told[run.id], goes_on=goes_on), "left_is_exact": not others})
        if run.status == "died":
            facts[-1] |= _of_dead(store, told[run.id], clock)
    return facts


def _of_dead(store: Store, run: RunRecord, clock: Clock) -> dict[str, Any]:
    """Tell when the program of a run was last heard of, and what those of its pilots do that outlive it."""
    ended = max(run.ended or 0.0, store.index.activity(run.id)[0])
    name = store.index.names_of_runs().get(run.id, "")
    if not name or not os.path.isdir(os.path.join(Layout(store.root).work(name), PILOTS)):
        return {"ended": ended, "pilots": None}
    from memento.executors.pilots.signs_of_life import signs_of_life

    signs = signs_of_life(store.root, name, clock.now())
    unread = max(0, signs.done - run.counts.get("done", 0))
    told = {"working": signs.working, "silent": signs.silent, "running": signs.running, "done": unread}
    return {"ended": ended, "pilots": {**told, "heard": signs.heard or None}}


def _may_have_computed(other: RunRecord, run: RunRecord) -> bool:
    """Tell whether another run was at work after a run had planned: it may have computed tasks of that run."""
    same = other.info.experiment == run.info.experiment and other.id != run.id
    return same and (other.heartbeat if other.ended is None else other.ended) > run.started


def _common(run: RunRecord) -> dict[str, Any]:
    return {
        "id": run.id,
        "experiment": run.info.experiment,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "imported_from": source_of_run(run),
        "merged_from": merged_from(run),
        "tasks": run.info.tasks,
        "counts": run.counts,
        "host": run.info.host,
        "pid": run.info.pid,
        "now": [],
    }


def _ended(run: RunRecord, *, goes_on: bool) -> dict[str, Any]:
    """Tell of a run that has ended; `goes_on` says that the same program run again would go on from there."""
    missing = run.info.tasks - sum(run.counts.get(name, 0) for name in ("done", "cached", "failed"))
    left = 0 if run.status == "done" else max(0, missing)  # of one that is done, other runs computed the rest
    again = goes_on and (left > 0 or run.counts.get("failed", 0) > 0)
    return {**_common(run), "left": left, "go_on": command_line(run) if again else None}


def _alive(
    store: Store, run: RunRecord, board: Sequence[Working], clock: Clock, *, exact: bool
) -> dict[str, Any]:
    """Tell of a run that goes on: what it said last of itself, some seconds ago where its thread is free.

    To be `exact`, its rows are counted, which takes long where there are very many.
    """
    told, activities, standing = store.index.activity(run.id)
    counts = dict(run.counts)
    if exact or standing is None:
        (run,) = store.index.counted([run])
        counts = run.counts
    if standing is not None:  # rows are newer; what other runs have computed for it is not among them
        counts = {
            name: max(getattr(standing, name), counts.get(name, 0)) for name in ("done", "cached", "failed")
        }
        run = run._replace(info=run.info._replace(tasks=standing.total), counts=counts)
    now, age = clock.now(), max(0.0, clock.now() - told)
    keys = [entry.key for entry in board if entry.run == run.id]
    working = _working(activities, keys, now)
    settled = sum(run.counts.get(name, 0) for name in ("done", "cached", "failed"))
    return {
        **_common(run),
        "now": [task["key"] for task in working],
        "left": max(0, run.info.tasks - settled),
        "go_on": None,
        "told": told if standing is not None else None,
        "running": max(standing.running, len(working)) if standing is not None else len(working),
        "workers": standing.workers if standing is not None else None,
        "throughput": standing.throughput if standing is not None else None,
        "eta": None if standing is None or standing.eta is None else max(0.0, standing.eta - age),
        "paused_by": (standing.paused or None) if standing is not None else None,
        "stopping": standing.stopping if standing is not None else False,
        "waits": standing.waits if standing is not None else "",
        "deadline": standing.deadline if standing is not None else None,
        "working": working,
        "logs": bool(keys),  # of worker processes alone
    }


def _working(activities: Sequence[Activity], board: Sequence[bytes], now: float) -> list[dict[str, Any]]:
    """Return what workers are at, the longest first.

    The board of worker processes is the fresher one, and names only keys; other engines have none.
    """
    entries = [
        {
            "key": one.key.hex(),
            "config": one.config,
            "worker": one.worker,
            "since": one.since,
            "seconds": max(0.0, now - one.since),
            "done": one.done,
            "total": one.total,
            "metrics": dict(one.metrics),
            "doing": one.doing,
        }
        for one in sorted(activities, key=lambda one: one.since)
        if not board or one.key in board
    ]
    known = {one.key for one in activities}
    return entries + [{"key": key.hex(), "config": ""} for key in board if key not in known]
