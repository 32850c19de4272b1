"""`memento ls`: tasks that have finished, a line each, read while runs go on, without unpickling anything.

Knows: the store's read side. May not know: runs' inner workings; values beyond their open formats.

What tells tasks apart comes first and stays whole; numbers follow, as far as a terminal is wide. What all tasks have
in common is said once above them. A pipe is as wide as it must be. In the order of a column the highest come first, or
the lowest where that is asked for; tasks without such a number last, the newest first. A million tasks are two arrays.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from memento.cli.choosing import Wanted, all_ids, choose_ids
from memento.cli.exit_codes import UsageError
from memento.cli.list_layout import Column, laid_out
from memento.cli.listed_columns import Listed, number_in
from memento.cli.open_store import one_experiment, open_store
from memento.cli.printing import print_json
from memento.cli.task_text import as_dict, told_of
from memento.records import FAILED, TaskRecord
from memento.store.location import StorePath
from memento.store.store import Store
from memento.wording import number_of, one_line, verb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS = 50  # tasks in a list for people
_FACTS = {"time": "runtime"} | {name: name for name in ("runtime", "cpu_time", "memory", "started")}
_LOOKED_AT = 200  # tasks that tell what the name of a column stands for
_AT_ONCE = 8_192

Pieces = Iterator[tuple[Iterable[int], Iterable[float]]]  # ids and numbers


def print_tasks(
    path: StorePath | None,
    which: Wanted,
    *,
    limit: int | None,
    as_json: bool,
    columns: Sequence[str] = (),
    sort: str | None = None,
    lowest: bool = False,
) -> None:
    """Print tasks, the newest first, or in the order of a column: the highest first, or the `lowest`."""
    if lowest and sort is None:
        raise UsageError("--lowest goes with --sort: write --sort COLUMN --lowest.")
    if limit is None:
        limit = 0 if as_json else _ROWS
    with open_store(path) as store:
        records = _chosen(store, which, limit, sort, lowest=lowest)
        more = bool(limit) and len(records) > limit
        records = records[:limit] if limit else records
        if as_json:
            told = told_of(store, records)
            print_json("ls", {"tasks": [as_dict(store, record, told[record.key]) for record in records]})
            return
        if not records:
            for line in _why_none(store, which):
                print(line)
            return
        _print(Listed(store, records), columns, sort)
    if more:
        order = f"the first {limit} by {one_line(sort)}" if sort else f"the newest {limit}"
        print(f"... only {order} are shown; --limit 0 shows all")


def _chosen(store: Store, which: Wanted, limit: int, sort: str | None, *, lowest: bool) -> list[TaskRecord]:
    """Return the tasks to show, and one more where there are more."""
    if sort is None:
        found = choose_ids(store, which)
        return list(store.index.records(islice(found, limit + 1) if limit else found))
    if sort.startswith("-"):
        sort, lowest = sort[1:], not lowest
    ids = _ranked(store, all_ids(store, which), sort, lowest=lowest)
    return list(store.index.records(ids[: limit + 1] if limit else ids))


def _print(listed: Listed, columns: Sequence[str], sort: str | None) -> None:
    shared = {} if columns else listed.shared()
    if shared:
        print(f"all have {one_line(', '.join(f'{name}={text}' for name, text in shared.items()))}")
    order = _order(listed, sort)
    if columns:
        chosen = [listed.named(name) for name in columns]
        before = [*map(listed.named, ("key", "status")), *order]
        shown = [one._replace(stays=True) for one in (*(one for one in before if one not in chosen), *chosen)]
    else:
        by = {column.name for column in order}
        key, status, *told = listed.identity(without={*shared, *by})
        usual = [column for column in listed.usual() if column.name not in by]
        if not order and usual[0].name != "time":
            usual[0] = usual[0]._replace(last=True)
        shown = [one for one in (key, status) if one.name not in by]
        shown += [*(column._replace(stays=True) for column in order), *told, *usual]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines, left_out = laid_out(shown, width)
    for line in lines:
        print(line)
    if left_out:
        names = one_line(", ".join(left_out))
        print(f"not shown at this width: {names}; --columns {one_line(','.join(left_out))} shows them")


def _order(listed: Listed, sort: str | None) -> list[Column]:
    """Return the column that tasks are sorted by, if one can be shown."""
    if sort is None:
        return []
    name = sort.removeprefix("-")
    try:
        return [listed.named("time" if name == "runtime" else name)]
    except UsageError:  # of values that are too large for a list
        return []


def _why_none(store: Store, which: Wanted) -> list[str]:
    """Say why no task is listed, and which there are nearby."""
    if next(choose_ids(store, Wanted(experiment=which.experiment)), None) is None:
        return ["no tasks: none has finished yet; `memento status` says what runs"]
    conditions = _with_one_less(which)
    if which.status is not None and len(conditions) == 1:
        if which.status == FAILED:
            return ["no task failed: all that have finished are done", *_set_back(store, which)]
        return ["no task is done: all that have finished failed"]
    near = [what for what, other in conditions if next(choose_ids(store, other), None) is not None]
    said = one_line(", ".join(what for what, _ in conditions) or "finished", 400)
    told = [f"no tasks: none of those that have finished is all of this: {said}"]
    if near:
        told.append(f"without {' or without '.join(near)} there are some")
    return told


def _set_back(store: Store, which: Wanted) -> list[str]:
    """Say how many have failed and wait for the next run."""
    name = None if which.experiment is None else one_experiment(which.experiment, store)
    count = len(store.index.set_back(name))
    if not count:
        return []
    what = number_of(count, "more task")
    return [f"{what} failed and {verb(count, 'count')} as not computed: the next run computes them"]


def _with_one_less(which: Wanted) -> list[tuple[str, Wanted]]:
    """Return each condition as it was typed, and what is wanted without it."""
    names = dict.fromkeys(name for name, _ in which.parameters)
    found = []
    for name in names:
        own = [f"{n}={text}" for n, text in which.parameters if n == name]
        rest = tuple(pair for pair in which.parameters if pair[0] != name)
        found.append((one_line(" ".join(own), 100), which._replace(parameters=rest)))
    if which.keys:
        found.append((number_of(len(which.keys), "key"), which._replace(keys=())))
    if which.status is not None:
        found.append((f"--status {which.status}", which._replace(status=None)))
    if which.newer_than is not None:
        found.append(("--newer-than", which._replace(newer_than=None)))
    if which.older_than is not None:
        found.append(("--older-than", which._replace(older_than=None)))
    return found


# --- in the order of a column ----------------------------------------------------------------------------


def _ranked(store: Store, ids: Sequence[int], name: str, *, lowest: bool) -> list[int]:
    """Return the ids of tasks, given in ascending order, in the order of a column."""
    import numpy as np

    if not len(ids):
        return []
    newest = list(store.index.records(ids[-_LOOKED_AT:]))
    every = np.asarray(ids, dtype=np.int64)
    for pieces in _meanings(store, ids, name, newest):
        scores = _joined(every, pieces)
        if not np.isnan(scores).all():
            break
    else:
        Listed(store, newest).named(name)  # a name that nobody knows is told as such
        raise UsageError(f"--sort {name}: it is a number of none of these tasks.")
    every, scores = every[::-1], scores[::-1]  # the newest first where numbers are alike; nan comes last
    order = np.argsort(scores if lowest else -scores, kind="stable")
    found: list[int] = every[order].tolist()
    return found


def _joined(ids: NDArray[np.int64], pieces: Pieces) -> NDArray[np.float64]:
    """Return a number for each id, nan where there is none."""
    import numpy as np

    scores = np.full(len(ids), np.nan)
    for some, numbers in pieces:
        own = np.asarray(list(some), dtype=np.int64)
        places = np.searchsorted(ids, own)
        known = (places < len(ids)) & (ids[np.minimum(places, len(ids) - 1)] == own)
        scores[places[known]] = np.asarray(list(numbers), dtype=np.float64)[known]
    return scores


def _meanings(store: Store, ids: Sequence[int], name: str, newest: Sequence[TaskRecord]) -> Iterator[Pieces]:
    """Yield what a name may stand for, in the order of `Listed.named`."""
    if name in _FACTS:
        outlines = store.index.outlines(ids)
        yield ((piece.ids.tolist(), getattr(piece, _FACTS[name]).tolist()) for piece in outlines)
        return
    if any(name in one.own | one.upstream for one in told_of(store, newest).values()):
        yield _of_parameters(store, ids, name)
    elif name == "value":
        yield _of_values(store, ids, None)
    else:
        if not name.startswith("metric."):
            yield _of_values(store, ids, name.removeprefix("value."))
        metric = name.removeprefix("metric.")
        found = (piece[metric] for piece in store.index.last_metrics(ids) if metric in piece)
        yield ((numbers.tolist(), last.tolist()) for numbers, last in found)


def _of_values(store: Store, ids: Sequence[int], part: str | None) -> Pieces:
    for piece in store.outlines(ids, values=True):
        yield piece.ids.tolist(), [number_in(value, part) for value in piece.values or ()]


def _of_parameters(store: Store, ids: Sequence[int], name: str) -> Pieces:
    for start in range(0, len(ids), _AT_ONCE):
        records = list(store.index.records(ids[start : start + _AT_ONCE]))
        told = told_of(store, records)
        yield (
            [record.id for record in records],
            [
                number_in((told[record.key].own | told[record.key].upstream).get(name), None)
                for record in records
            ],
        )
