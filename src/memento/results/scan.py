"""Read many tasks of a store at once, into columns.

Knows: rows of results, the bulk reads of a store. May not know: parameters, frames, how anything is shown.

Rows are read in the order of their ids, each once, whatever order or however often the tasks ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from memento.errors import NotAStore, PayloadDamaged, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.index.types import Outlines
    from memento.records import TaskRecord
    from memento.store.store import Store

CHUNK = 10_000  # records in memory at once

STATUSES = ("missing", "done", "failed")
IS_MISSING, IS_DONE, IS_FAILED = range(3)

Namer: TypeAlias = "Callable[[TaskRecord], str]"  # says whose record it is


class Scan(NamedTuple):
    """What the store knows of some tasks, one place a task; nan where it does not know."""

    status: NDArray[np.int8]  # place in STATUSES
    started: NDArray[np.float64]  # UTC seconds
    runtime: NDArray[np.float64]  # seconds
    cpu_time: NDArray[np.float64]  # seconds
    memory: NDArray[np.float64]  # bytes
    errors: NDArray[np.object_]  # one line for each failure, None elsewhere
    # None where they were not asked for; in it, None for what is not done, `LargeValue` and `Unreadable`.
    values: NDArray[np.object_] | None
    metrics: dict[str, NDArray[np.float64]]  # the last value of each


def scan(
    store: Store, rows: NDArray[np.int64], named: Namer, *, values: bool = False, metrics: bool = False
) -> Scan:
    """Read the tasks that stand in these rows (-1: not run), if wanted with values and the last of each metric."""
    import numpy as np

    from memento.results.grouping import title

    ids, places = np.unique(rows[rows >= 0], return_inverse=True)
    count = len(ids)
    status = np.zeros(count, dtype=np.int8)
    numbers = np.full((4, count), np.nan)
    errors, loaded = np.full(count, None, dtype=object), np.full(count, None, dtype=object)
    recorded = np.zeros(count, dtype=np.bool_)
    wrong: dict[int, str] = {}  # rows that are not what was written -> what is wrong
    for piece in _outlines(store, ids, values, wrong):
        at = np.searchsorted(ids, piece.ids)
        status[at] = np.where(piece.done, IS_DONE, IS_FAILED)
        numbers[:, at] = piece.started, piece.runtime, piece.cpu_time, piece.memory
        recorded[at] = piece.metrics > 0
        for row, failure in piece.failures.items():
            errors[np.searchsorted(ids, row)] = title(failure)
        if piece.values is not None:
            # One by one, from an iterator: of lists and arrays numpy would make columns.
            loaded[at] = np.fromiter(piece.values, dtype=object, count=len(at))
    if values:
        _name_writers(store, ids, loaded)
    if wrong:
        _set_aside(store, wrong, named)
    present = rows >= 0

    def spread(column: NDArray[Any], empty: Any) -> NDArray[Any]:
        full = np.full(len(rows), empty, dtype=column.dtype)
        full[present] = column[places]
        return full

    lasts = _metrics(store, ids, recorded, named) if metrics else {}
    return Scan(
        spread(status, IS_MISSING),
        spread(numbers[0], np.nan),
        spread(numbers[1], np.nan),
        spread(numbers[2], np.nan),
        spread(numbers[3], np.nan),
        spread(errors, None),
        spread(loaded, None) if values else None,
        {name: spread(last, np.nan) for name, last in lasts.items()},
    )


def damaged(store: Store, record: TaskRecord, error: PayloadDamaged, config: str) -> StoreError:
    """Set a damaged value aside, so that the next run computes it; say whose it is and what to do."""
    task = f"task {record.key.hex()[:12]} ({config})"
    if store.index.is_gone:
        return NotAStore(
            str(store.location),
            f"the store is not here any more, so the result of {task} cannot be read.",
            "Was it moved? Open it there: memento.load('new/place'). Was it removed? Run the experiment again.",
        )
    what = f"the result of {task} is damaged: {error.problem}"
    try:
        store.discard(record, error.problem)
    except StoreError as refused:
        what += f" It could not be set aside ({refused}), so do this where the store can be written:"
    return PayloadDamaged(error.path, what, "Run the experiment again: this task alone is computed again.")


def _outlines(
    store: Store, ids: NDArray[np.int64], values: bool, wrong: dict[int, str]
) -> Iterator[Outlines]:
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK].tolist()
        try:
            yield from list(store.outlines(part, values=values))
        except PayloadDamaged:
            for number in part:
                yield from _alone(store, number, values, wrong)


def _alone(store: Store, number: int, values: bool, wrong: dict[int, str]) -> list[Outlines]:
    """Read one task, whose row in the index may be damaged: then nothing is known of it but that it was done."""
    try:
        return list(store.outlines([number], values=values))
    except PayloadDamaged as exc:
        import numpy as np

        from memento.index.types import Outlines
        from memento.store.unreadable import Unreadable, problem_of

        unknown = np.full(1, np.nan)
        wrong[number] = problem_of(exc)
        return [
            Outlines(
                np.array([number]), np.ones(1, dtype=np.bool_), unknown, unknown, unknown, unknown,
                np.zeros(1, dtype=np.int64), {}, [Unreadable("", wrong[number])] if values else None,
            )
        ]  # fmt: skip


def _set_aside(store: Store, wrong: Mapping[int, str], named: Namer) -> None:
    """Set rows aside that are not what was written, so that the next run computes them; say whose they are."""
    from memento.results.advice import warn
    from memento.wording import number_of

    names = []
    for record in list(store.index.records(sorted(wrong))):
        names.append(named(record))
        try:
            store.discard(record, wrong[record.id])
        except StoreError:  # it may not be written here: the next run finds it as well
            continue
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    warn(
        f"the results of {number_of(len(names), 'task')} are damaged, and not shown: {'; '.join(names[:3])}{more}"
        f" ({next(iter(wrong.values()))}). Run the experiment again: these alone are computed again."
    )


def _name_writers(store: Store, ids: NDArray[np.int64], loaded: NDArray[np.object_]) -> None:
    """Say of values that cannot be loaded what wrote them."""
    from memento.store.unreadable import Unreadable

    values = loaded.tolist()
    if Unreadable not in set(map(type, values)):
        return
    places = [place for place, value in enumerate(values) if type(value) is Unreadable]
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK]
        runs = {record.id: record.run for record in store.index.records(ids[part].tolist())}
        for place in part:
            run = runs.get(int(ids[place]))
            if run is not None:
                loaded[place] = loaded[place].by(store.writer(run, loaded[place].type))


def _metrics(
    store: Store, ids: NDArray[np.int64], recorded: NDArray[np.bool_], named: Namer
) -> dict[str, NDArray[np.float64]]:
    """Return the last value of each metric; asked for only those tasks that have recorded any."""
    import numpy as np

    columns: dict[str, NDArray[np.float64]] = {}
    with_any = np.flatnonzero(recorded)
    for start in range(0, len(with_any), CHUNK):
        part = ids[with_any[start : start + CHUNK]].tolist()
        for lasts in _lasts(store, part, named):
            for name, (rows, last) in lasts.items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = np.full(len(ids), np.nan)
                column[np.searchsorted(ids, rows)] = last
    return columns


def _lasts(
    store: Store, ids: Sequence[int], named: Namer
) -> Iterator[Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    try:
        yield from store.index.last_metrics(ids)
    except PayloadDamaged:
        _blame(store, ids, named)
        raise


def curves(
    store: Store, rows: Sequence[int], named: Namer
) -> dict[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Return all points of the tasks in these rows that recorded any: row -> metric -> x, y."""
    ids = sorted({row for row in rows if row >= 0})
    found: dict[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]] = {}
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK]
        try:
            found |= store.index.curves(part)
        except PayloadDamaged:
            _blame(store, part, named)
            raise
    return found


def _blame(store: Store, ids: Sequence[int], named: Namer) -> None:
    """Read metrics once more, task by task, to say whose are damaged."""
    for record in store.index.records(ids):
        try:
            store.index.metrics(record)
        except PayloadDamaged as exc:
            raise damaged(store, record, exc, named(record)) from exc
