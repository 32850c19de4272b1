"""`memento status`: what runs now and how far it is, what failed and why, what a store holds and how large it is.

Knows: facts of runs and experiments, words. May not know: runs' inner workings, values.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from memento.cli.causes_and_best import facts_of_experiments
from memento.cli.live_run import Which, line_about
from memento.cli.live_status import facts_of_runs
from memento.cli.open_store import one_experiment, open_store
from memento.cli.printing import print_json, print_safe, time_text
from memento.clock import SYSTEM_CLOCK, Clock
from memento.display.text import rate
from memento.records import MEMORY, TIMEOUT
from memento.store.location import StorePath
from memento.store.sizes import Sizes, measure
from memento.store.store import Store
from memento.wording import (
    cause_line,
    counts,
    duration,
    number_of,
    one_line,
    short_name,
    size_text,
    verb,
)

EVERY = 2.0  # seconds between two looks of --watch
_CLEAR = "\x1b[H\x1b[J"  # the cursor goes to the top, and what stands below is gone
_CAUSES = 10  # of failures, of an experiment
_WORKING = 20  # tasks at work, of a run
_METRICS = 3  # of a task at work
_SIZES_WITHIN = 0.1  # seconds that a look at the files' sizes may take
# Results up to which those of each live run, and tasks that were set back, are counted.
_COUNTED_ROWS = 100_000
_GARBAGE_WORTH = 1_000_000  # bytes that are worth a line; what runs leave of themselves is less
_GARBAGE_ROWS = 20_000  # results among which what nobody needs is looked for
_MORE = (  # what tasks failed for want of, and the option that gives more of it
    (MEMORY, "memory", "--memory-limit SIZE"),
    (TIMEOUT, "time", "--timeout TIME"),
)
_OLD = 15.0  # seconds after which it is said when a run told what it is at


def print_status(
    path: StorePath | None,
    experiment: str | None = None,
    *,
    as_json: bool,
    watch: bool = False,
    full: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> None:
    """Print what runs, what failed and why, the best so far, and what the store holds.

    Parameters
    ----------
    path : Path or None
        The store.
    experiment : str or None
        Only this experiment.
    as_json : bool
        Print JSON.
    watch : bool
        Print it again every few seconds, until somebody presses Ctrl-C.
    full : bool
        Look at all results and all files, however long that takes.
    clock : Clock
        Where time comes from.
    """
    while True:
        facts = _facts(path, experiment, full, clock)
        if as_json:
            print_json("status", facts)
        else:
            if watch and sys.stdout.isatty():
                sys.stdout.write(_CLEAR)
            print_safe("\n".join(_lines(facts, Which(path), clock.now())))
        if not watch:
            return
        time.sleep(EVERY)


def _facts(path: StorePath | None, experiment: str | None, full: bool, clock: Clock) -> dict[str, Any]:
    with open_store(path) as store:
        name = None if experiment is None else one_experiment(experiment, store)
        counted = store.index.experiments()
        rows = sum(done + failed for _, done, failed in counted)
        counted = [one for one in counted if name in (None, one[0])]
        runs = facts_of_runs(store, name, clock, exact=rows <= _COUNTED_ROWS)
        first = [run["experiment"] for run in sorted(runs, key=lambda run: run["status"] != "running")]
        back = (
            Counter(one.experiment for one in store.index.set_back(name))
            if full or rows <= _COUNTED_ROWS
            else None
        )
        sizes, garbage = _sizes(store, rows, full, clock)
        experiments = facts_of_experiments(store, counted, first, full=full)
        return {
            "store": str(store.location),
            "sizes": {**sizes._asdict(), "total": sizes.total, "garbage": garbage},
            "experiments": [
                {**one, "set_back": None if back is None else back[one["name"]]} for one in experiments
            ],
            "runs": runs,
        }


def _sizes(store: Store, rows: int, full: bool, clock: Clock) -> tuple[Sizes, int | None]:
    """Return how large the store is, and how much of it nobody needs; None where to find out would take long."""
    if full:
        sizes = store.sizes()
        return sizes, sizes.garbage
    sizes = measure(store.root, _SIZES_WITHIN, clock)
    few = sizes.complete and not store.missing and rows <= _GARBAGE_ROWS
    return sizes, store.gc(dry_run=True).size if few else None


def _lines(facts: dict[str, Any], which: Which, now: float) -> Iterator[str]:
    sizes = facts["sizes"]
    more = "" if sizes["complete"] else "more than "
    yield f"store {one_line(facts['store'])}: {more}{size_text(sizes['total'])}"
    alive = [run for run in facts["runs"] if run["status"] == "running"]
    ended = [run for run in facts["runs"] if run["status"] != "running"]
    told_below = {run["experiment"] for run in facts["runs"] if run in alive or run["go_on"]}
    for told in facts["experiments"]:
        # Of several matrices the last may have ended well, and of its run there is nothing to say.
        failed_before = told["failed"] and told["name"] not in told_below
        retry = _retry_lines(told, which, several=len(facts["experiments"]) > 1) if failed_before else ()
        yield from _experiment_lines(told, which, retry)
    if alive:
        yield "running now"
    for run in alive:
        yield from _live_lines(run, which._replace(run=run["id"] if len(alive) > 1 else None), now)
    if ended:
        yield "latest runs"
    known = {told["name"]: told for told in facts["experiments"]}
    for run in ended:
        yield from _ended_lines(run, now)
        if run["go_on"]:
            yield from _retry_lines(known.get(run["experiment"]), which, several=len(known) > 1)
    yield from _size_lines(sizes)


def _experiment_lines(told: dict[str, Any], which: Which, retry: Iterable[str]) -> Iterator[str]:
    yield f"  {one_line(short_name(told['name']))}: {counts(done=told['done'], failed=told['failed'])}"
    for cause in told["causes"][:_CAUSES]:
        yield f"    {cause_line(cause['count'], cause['title'], cause['rule'])}"
    causes = len(told["causes"]) - _CAUSES
    if causes > 0:
        yield f"    and {number_of(causes, 'other cause')}"
    if told["failed"]:
        grouped = sum(cause["count"] for cause in told["causes"])
        newest = f"these are the newest {grouped:,}; " if 0 < grouped < told["failed"] else ""
        rest = (
            "" if told["looked_at_all"] else f", `{line_about('status --full', which)}` says what they share"
        )
        yield f"    {newest}`{line_about('ls --failed', which)}` lists them{rest}"
        yield from retry
    if told["set_back"]:
        verb = "counts" if told["set_back"] == 1 else "count"
        what = number_of(told["set_back"], "more task")
        yield f"    {what} failed and {verb} as not computed: the next run computes them"
    for number in told["numbers"]:
        mean = f", mean of {number['repeats']}" if number["repeats"] > 1 else ""
        word = "highest" if number["highest"] else "lowest"
        yield (
            f"    {word} {one_line(number['by'], 40)} {number['value']:.4g}{mean}:"
            f" {one_line(number['config'], 160)} ({number['key'][:12]})"
        )


def _live_lines(run: dict[str, Any], which: Which, now: float) -> Iterator[str]:
    tally, total = run["counts"], run["tasks"]
    settled = sum(tally.get(name, 0) for name in ("done", "cached", "failed"))
    share = f" ({settled * 100 // total} %)" if total else ""
    what = counts(**{name: tally.get(name, 0) for name in ("done", "cached", "failed")})
    name = one_line(short_name(run["experiment"]))
    done = f": {what}" if settled else ""
    yield f"  run {run['id']}  {name}: {settled:,} of {number_of(total, 'task')}{share}{done}"
    parts = [f"{run['running']:,} running"]
    if run["workers"]:
        parts[0] += f" on {number_of(run['workers'], 'worker')}"
    if run["throughput"] and not run["paused_by"]:
        parts.append(rate(run["throughput"]))
    if run["eta"] is not None and run["left"] and not run["stopping"]:
        parts.append(f"{duration(run['eta'])} left")
    old = now - run["told"] if run["told"] is not None else 0.0
    if old > _OLD:
        parts.append(f"as it told {duration(old)} ago")
    where = f"{one_line(run['host'])}, pid {run['pid']}"
    yield f"    {', '.join(parts)}; so far {duration(max(0.0, now - run['started']))} ({where})"
    if run["paused_by"]:
        by = one_line(run["paused_by"], 60)
        yield f"    paused by {by}: no more tasks are started; `{line_about('resume', which)}` has it go on"
    if run["waits"]:
        yield f"    {one_line(run['waits'], 300)}"
    if run["stopping"]:
        yield "    stopping: no more tasks are started, and it ends when what runs has ended"
    if run["deadline"] is not None:
        rest = f"in {duration(run['deadline'] - now)}" if run["deadline"] > now else "which is past"
        yield f"    deadline {time_text(run['deadline'])}, {rest}: only tasks are started that fit"
    for task in run["working"][:_WORKING]:
        yield f"    {_task_line(task)}"
    if len(run["working"]) > _WORKING:
        yield f"    and {len(run['working']) - _WORKING:,} more"
    if run["working"] and run["logs"]:
        follow = line_about(f"logs -f {run['working'][0]['key'][:8]}", Which(which.store))
        yield f"    `{follow}` follows the first"


def _task_line(task: dict[str, Any]) -> str:
    """Name a task by its parameters, and say how long it runs, how far it is and what it has recorded."""
    parts = [task["key"][:12], one_line(task["config"], 100)]
    if "since" in task:
        parts.append(duration(task["seconds"]))
        if task["total"]:
            parts.append(f"{min(max(task['done'] / task['total'], 0.0), 1.0):.0%}")
        parts += [
            f"{one_line(name, 24)}={value:.4g}" for name, value in list(task["metrics"].items())[:_METRICS]
        ]
        parts.append(f"({one_line(task['doing'], 60)})" if task["doing"] else "")
    return "  ".join(filter(None, parts))


def _ended_lines(run: dict[str, Any], now: float) -> Iterator[str]:
    tally, total = run["counts"], run["tasks"]
    names = ("done", "cached", "failed")
    what, missing = counts(**{n: tally.get(n, 0) for n in names}), total - sum(tally.get(n, 0) for n in names)
    took = duration(max(0.0, run["ended"] - run["started"]))
    if run["status"] == "done" and missing > 0:  # each has a result all the same
        others = f"{missing:,} by other runs"
        what = f"{what}, {others}" if missing < total else others
    elif run["left"]:
        what = f"{what} of {number_of(total, 'task')}"
    where = f"{one_line(run['host'])}, pid {run['pid']}"
    name, ago = one_line(short_name(run["experiment"])), duration(max(0.0, now - run["ended"]))
    if run["imported_from"] is not None:
        name = f"{name}, imported from {one_line(run['imported_from'], 300)}"
    if run["merged_from"] is not None:
        name, what = f"{name}, merged from {one_line(run['merged_from'], 300)}", "what it had is taken over"
    yield (
        f"  {time_text(run['started'])}  {run['status']:<11}  run {run['id']}, {name}: {what} in {took},"
        f" {ago} ago ({where})"
    )
    pilots = run.get("pilots")
    if pilots is not None:
        yield from _pilot_lines(pilots, now)
    if run["go_on"]:
        most = "" if run["left_is_exact"] else "up to "
        left = f"{most}{run['left']:,} left; " if run["left"] else ""
        again = "run it again for the rest" if run["left"] else "run it again to try again what failed"
        if pilots is not None and (pilots["working"] or pilots["done"]):
            again += ", which goes on from there"
        yield f"    {left}{again}: {run['go_on']}"


def _pilot_lines(pilots: dict[str, Any], now: float) -> Iterator[str]:
    """Say what goes on of a run whose program is gone."""
    count, heard = pilots["working"], pilots["heard"]
    ago = "" if heard is None else f", heard of {duration(max(0.0, now - heard))} ago"
    if count:
        told = f"{number_of(count, 'pilot')} of it {verb(count, 'work')} on"
        yield f"    its program is gone, and {told}: {number_of(pilots['running'], 'task')} there at work{ago}"
    if pilots["silent"]:
        yield f"    nothing is heard any more of {number_of(pilots['silent'], 'pilot')} of it{'' if count else ago}"
    if pilots["done"]:
        yield f"    done there, and not in the store yet: {number_of(pilots['done'], 'task')}"


def _retry_lines(told: dict[str, Any] | None, which: Which, *, several: bool) -> Iterator[str]:
    """Say how to compute at once what failed, and nothing else."""
    if told is None or not (told["failed"] or told["set_back"]):
        return
    kinds = {cause["kind"] for cause in told["causes"]}
    more = [(what, option) for kind, what, option in _MORE if kind in kinds]
    of = which._replace(experiment=told["name"] if several else None)
    line = line_about(" ".join(["retry --failed --run", *(option for _, option in more)]), of)
    with_more = f", with more {' and more '.join(what for what, _ in more)}" if more else ""
    yield f"    only what failed, at once{with_more}: {one_line(line, 400)}"


def _size_lines(sizes: dict[str, Any]) -> Iterator[str]:
    known = Sizes._make(sizes[name] or 0 for name in Sizes._fields)
    yield f"size  {known.text}" + ("" if known.complete else ", and files for which there was no time")
    if (sizes["garbage"] or 0) >= _GARBAGE_WORTH:
        yield f"  `memento gc` frees {size_text(sizes['garbage'])}"
    yield f"  {size_text(sizes['disk_free'])} are left on the disk"
