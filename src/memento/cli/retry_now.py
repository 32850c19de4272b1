"""`memento retry --run`: compute failed tasks at once, and no other, by what has run them before.

Knows: stores, how scripts are started again. May not know: how a run computes only some of its tasks.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from memento.cli.choosing import Wanted, choose
from memento.cli.exit_codes import UsageError, wrong_usage
from memento.cli.open_store import one_experiment, place
from memento.cli.printing import print_json, print_safe
from memento.cli.start_again import Ended, Start, ask, start, start_of
from memento.index.types import SetBack
from memento.records import DONE, FAILED, TaskRecord
from memento.results.grouping import FailureGrouper
from memento.runner.asked_for import Request
from memento.store.location import Location, StorePath
from memento.store.store import Store
from memento.wording import cause_line, number_of, one_line, short_name

_INTERRUPTED = (130, 143, 129)  # exit codes after SIGINT, SIGTERM, SIGHUP
_KEY = 3  # digits of a key that commands take
_CAUSES = 10  # groups of failures that are told


class Part(NamedTuple):
    """Failed tasks that one command line computes."""

    how: Start
    tasks: list[TaskRecord | SetBack]


class Came(NamedTuple):
    """What came of the tasks of a part."""

    part: Part
    ended: Ended
    now: dict[bytes, TaskRecord | None]  # key -> its row, where this has made it

    def keys(self, status: str | None) -> list[bytes]:
        """Return the tasks with this status; with None those that were not computed."""
        return [key for key, record in self.now.items() if (record and record.status) == status]


def retry_now(
    path: StorePath | None,
    which: Wanted,
    options: dict[str, Any],
    *,
    by: str | None,
    from_scratch: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Compute failed tasks, print what came of them, and return the exit code."""
    changed = read_options(options)
    with Store.open(place(path), create=False, readonly=True) as store:
        parts = _parts(store, failed_tasks(store, which), by)
        where, back = store.location, len(_set_back(store, which)) if which.parameters and not parts else 0
    if not parts:
        _say_none(where, which, back, as_json=as_json)
        return 1 if changed or by or back else 0
    ask([part.how for part in parts], yes=yes, as_json=as_json)
    if from_scratch:
        with Store.open(where, create=False) as store:
            store.retry([task.key for part in parts for task in part.tasks], from_scratch=True)
    came: list[Came] = []
    for part in parts:
        if not as_json:
            _say_start(part, options)
        keys = tuple(task.key.hex() for task in part.tasks)
        ended = start(part.how, Request(where.root, keys, changed), quiet_stdout=as_json)
        came.append(Came(part, ended, _now(where, part.tasks)))
        if ended.code in _INTERRUPTED:
            break
    if as_json:
        print_json("retry", {"store": str(where), **_told(came)})
    else:
        for one in came:
            _say_end(one)
    if came[-1].ended.code in _INTERRUPTED:
        return came[-1].ended.code
    whole = all(len(one.keys(DONE)) == len(one.now) and one.ended.code == 0 for one in came)
    return 0 if whole else 1


def failed_tasks(store: Store, which: Wanted) -> list[TaskRecord | SetBack]:
    """Return the failed tasks that are meant: all of them, where nothing says which.

    Also those that `memento retry` has set back before; their parameters are not known.
    """
    back = [] if which.parameters else _set_back(store, which)
    named = {key: [one for one in back if one.key.hex().startswith(key.lower())] for key in which.keys}
    named = {key: found for key, found in named.items() if len(found) == 1 and len(key) >= _KEY}
    if which.keys:
        back = [found[0] for found in {found[0].key: found for found in named.values()}.values()]
        which = which._replace(keys=tuple(key for key in which.keys if key not in named))
        if not which.keys:
            return list(back)
    return [*choose(store, which._replace(status=FAILED)), *back]


def _set_back(store: Store, which: Wanted) -> list[SetBack]:
    """Return the tasks that were set back, of an experiment and a time."""
    name = None if which.experiment is None else one_experiment(which.experiment, store)
    return [
        one
        for one in store.index.set_back(name)
        if (which.newer_than is None or one.started >= which.newer_than)
        and (which.older_than is None or one.started <= which.older_than)
    ]


def read_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of a run as it has them; those that were not given are left out."""
    from memento.wording import bytes_of, seconds_of

    given = {name: value for name, value in options.items() if value is not None}
    with wrong_usage():
        if "memory_limit" in given:
            given["memory_limit"] = bytes_of(given["memory_limit"], "--memory-limit")
        if "timeout" in given:
            given["timeout"] = seconds_of(given["timeout"], "--timeout", short=True)
    for name in ("memory_limit", "timeout"):
        if given.get(name) == 0:
            raise UsageError(f"--{name.replace('_', '-')} must be more than 0.")
    return given


def _parts(store: Store, tasks: Sequence[TaskRecord | SetBack], by: str | None) -> list[Part]:
    """Group tasks by the command line that has computed them last."""
    starts: dict[int, Start] = {}
    parts: dict[Start, Part] = {}
    for task in tasks:
        if task.run not in starts:
            run = store.index.run(task.run)
            if run is None:
                raise UsageError(f"the store does not know the run of task {task.key.hex()[:12]} any more.")
            starts[task.run] = start_of(run, by)
        how = starts[task.run]
        parts.setdefault(how, Part(how, [])).tasks.append(task)
    return list(parts.values())


def _now(where: Location, before: Iterable[TaskRecord | SetBack]) -> dict[bytes, TaskRecord | None]:
    """Return the rows that tasks have got since."""
    with Store.open(where, create=False, readonly=True) as store:
        found: dict[bytes, TaskRecord | None] = {}
        for task in before:
            rows = store.index.find(task.key.hex())
            found[task.key] = rows[0] if rows and rows[0].id != task.id else None
        return found


# --- what is said ---------------------------------------------------------------------------------------


def _say_none(where: Location, which: Wanted, back: int, *, as_json: bool) -> None:
    """Say that there is nothing to compute; `back` tasks were set back that parameters cannot name."""
    if as_json:
        print_json("retry", {"store": str(where), **_told(())})
        return
    print("no task failed" if not which.says_which else "none of these tasks failed")
    if back:
        were = "was" if back == 1 else "were"
        print(
            f"  {number_of(back, 'failed task')} {were} set back before, and parameters cannot name such tasks:"
            " `memento retry --run` without them computes all that failed, the next run too"
        )


def _say_start(part: Part, options: dict[str, Any]) -> None:
    names = sorted({short_name(task.experiment) for task in part.tasks})
    changed = ", ".join(f"{name}={value}" for name, value in options.items() if value is not None)
    what = f"{number_of(len(part.tasks), 'failed task')} of {one_line(', '.join(names), 200)}"
    print(f"{what}, by {one_line(str(part.how), 200)}" + (f", with {one_line(changed)}" if changed else ""))
    sys.stdout.flush()


def _say_end(came: Came) -> None:
    done, failed, left = (len(came.keys(status)) for status in (DONE, FAILED, None))
    counts = [f"{done:,} done", f"{failed:,} failed"] + ([f"{left:,} not computed"] if left else [])
    print(f"{number_of(len(came.now), 'task')} run again: {', '.join(counts)}")
    for cause in _causes(came)[:_CAUSES]:
        print_safe(f"  {cause_line(cause['count'], cause['title'], '')}")
        print(f"    more: memento show {cause['keys'][0][:12]}")
    if why := why_not(came.ended, len(came.now), left, came.part.how):
        print_safe(why)


def why_not(ended: Ended, asked: int, left: int, how: Start) -> str:
    """Say why `left` of the `asked` tasks were not computed, and what the script left; "" where nothing is to say."""
    typed = one_line(str(how), 200)
    if ended.code in _INTERRUPTED:
        return "Interrupted: what finished is kept."
    missed = asked - ended.answer.met  # tasks that no run of the script had
    if left and not missed:
        were, selves = ("was", "itself") if left == 1 else ("were", "themselves")
        return f"{left:,} {were} not started, or did not end by {selves}; {typed} says why above."
    if left and ended.code and not ended.answer.ended:
        # Where it had some of the tasks it may have failed by these, and have no others.
        or_none = ", or has no such tasks any more" if ended.answer.met else ""
        return f"{typed} ended with exit code {ended.code} before it came to {'it' if left == 1 else 'them'}{or_none}."
    if left:
        return f"{typed} has no such tasks any more: its matrix, its experiment's name or its store is another now."
    if ended.answer.ended and ended.answer.left_out:
        others = number_of(ended.answer.left_out, "other task")
        verb = "has" if ended.answer.left_out == 1 else "have"
        some = any(word.partition("=")[0] == "--only" for word in how.words)  # it would compute few of them
        rest = "" if some else f": {typed} computes them"
        return f"{others} of its matrix {verb} no result, so the script was ended here{rest}."
    if ended.code and not ended.answer.ended:
        return f"After that {typed} ended with exit code {ended.code}."
    return ""


def _causes(came: Came) -> list[dict[str, Any]]:
    grouper = FailureGrouper()
    for key, record in came.now.items():
        if record is not None and record.failure is not None:
            grouper.collect(key.hex(), record.failure, record.attempt)
    groups = [group for _, _, group in grouper.by_cause()]
    return [{"title": one.title, "count": one.count, "keys": list(one.keys)} for one in groups]


def _told(came: Sequence[Came]) -> dict[str, Any]:
    def counted(status: str | None) -> int:
        return sum(len(one.keys(status)) for one in came)

    return {
        "retried": [
            {
                "key": task.key.hex(),
                "experiment": task.experiment,
                "params": task.params,
                "status": record.status if (record := one.now[task.key]) else None,
            }
            for one in came
            for task in one.part.tasks
        ],
        "runs": [
            {
                "experiment": one.part.tasks[0].experiment,
                "command": shlex.split(str(one.part.how)),
                "cwd": one.part.how.cwd,
                "exit_code": one.ended.code,
                "ended_early": one.ended.answer.ended,
                "left_out": one.ended.answer.left_out,
            }
            for one in came
        ],
        "done": counted(DONE),
        "failed": counted(FAILED),
        "not_computed": counted(None),
        "failures": [cause for one in came for cause in _causes(one)],
    }
