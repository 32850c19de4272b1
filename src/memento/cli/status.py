"""`memento status`: what a store holds, how large it is, and what runs now.

Knows: the store's read side. May not know: runs' inner workings, values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.cli.inspect import open_store, print_json, time_text
from memento.clock import SYSTEM_CLOCK, Clock
from memento.records import RunRecord
from memento.wording import counts, duration, number_of, one_line, short_name, size_text

if TYPE_CHECKING:
    from memento.store.activity import Working

_RUNS = 10  # shown, the newest


def print_status(path: Path | None, *, as_json: bool, clock: Clock = SYSTEM_CLOCK) -> None:
    """Print the store's experiments, its size and its latest runs."""
    with open_store(path) as store:
        experiments = store.index.experiments()
        runs = store.index.counted(store.index.runs(limit=_RUNS))
        working = store.working()
        sizes = store.sizes()
        if as_json:
            print_json(
                {
                    "store": str(store.path),
                    "sizes": {**sizes._asdict(), "total": sizes.total},
                    "experiments": [{"name": n, "done": d, "failed": f} for n, d, f in experiments],
                    "runs": [_run_dict(run, working) for run in runs],
                }
            )
            return
        print(f"store {one_line(str(store.path))}: {size_text(sizes.total)}")
        for name, done, failed in experiments:
            print(f"  {one_line(short_name(name))}: {counts(done=done, failed=failed)}")
        print(f"size  {sizes.text}")
        if sizes.garbage:
            print(f"  `memento gc` frees {size_text(sizes.garbage)}")
        print(f"  {size_text(sizes.disk_free)} are left on the disk")
        if runs:
            print("latest runs")
        for run in runs:
            _print_run(run, working, clock)


def _run_dict(run: RunRecord, working: Sequence[Working]) -> dict[str, Any]:
    return {
        "id": run.id,
        "experiment": run.info.experiment,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "tasks": run.info.tasks,
        "counts": run.counts,
        "host": run.info.host,
        "pid": run.info.pid,
        "now": [now.key.hex() for now in working if now.run == run.id],
    }


def _print_run(run: RunRecord, working: Sequence[Working], clock: Clock) -> None:
    until = clock.now() if run.ended is None else run.ended
    took = duration(max(0.0, until - run.started))
    what = counts(**{k: run.counts.get(k, 0) for k in ("done", "cached", "failed")})
    where = f"{one_line(run.info.host)}, pid {run.info.pid}"
    total = run.info.tasks
    missing = total - sum(run.counts.get(k, 0) for k in ("done", "cached", "failed"))
    if run.status == "running":
        tail = f"{what} of {number_of(total, 'task')}, so far {took}"
    elif run.status == "died" and missing > 0:
        tail = f"{what} of {number_of(total, 'task')} in {took}; run it again for the rest"
    else:
        if run.status == "done" and missing > 0:  # each has a result all the same
            others = f"{missing:,} by other runs"
            what = f"{what}, {others}" if missing < total else others
        tail = f"{what} in {took}"
    name = one_line(short_name(run.info.experiment))
    print(f"  {time_text(run.started)}  {run.status:<11}  {name}: {tail} ({where})")
    now = [entry.key.hex()[:12] for entry in working if entry.run == run.id]
    if now:
        more = f" and {len(now) - 8} more" if len(now) > 8 else ""
        print(f"    running now: {', '.join(now[:8])}{more} (`memento logs -f KEY` follows one)")
