"""Read many tasks of a store at once, into columns.

Knows: rows of results, the bulk reads of a store. May not know: parameters, frames, how anything is shown.

Rows are read in the order of their ids, each once, whatever order or however often the tasks ask for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import NotAStore, PayloadDamaged, StoreError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.index.types import Outlines
    from memento.records import TaskRecord
    from memento.results.result import ResultStore

CHUNK = 10_000  # records in memory at once

STATUSES = ("missing", "done", "failed")
IS_MISSING, IS_DONE, IS_FAILED = range(3)


class Scan(NamedTuple):
    """What the store knows of some tasks, one place a task; nan where it does not know."""

    status: NDArray[np.int8]  # place in STATUSES
    started: NDArray[np.float64]  # UTC seconds
    runtime: NDArray[np.float64]  # seconds
    cpu_time: NDArray[np.float64]  # seconds
    memory: NDArray[np.float64]  # bytes
    errors: NDArray[np.object_]  # one line for each failure, None elsewhere
    values: (
        NDArray[np.object_] | None
    )  # None where they were not asked for, and for what is not done; or `Unreadable`
    metrics: dict[str, NDArray[np.float64]]  # the last value of each


def scan(
    store: ResultStore,
    rows: NDArray[np.int64],
    *,
    values: bool = False,
    metrics: bool = False,
    name_task: Callable[[TaskRecord], str] | None = None,
) -> Scan:
    """Read the tasks that stand in these rows.

    Parameters
    ----------
    store : Store
        Where they are.
    rows : array of int
        The store's id of each task; -1 for a task that has not been run.
    values, metrics : bool
        Whether to load what the tasks returned, and the last value of each of their metrics.
    name_task : callable, optional
        Names a task in a few words, for the error about damaged metrics.
    """
    import numpy as np

    from memento.results.failures import title

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
        for column, facts in zip(
            numbers, (piece.started, piece.runtime, piece.cpu_time, piece.memory), strict=True
        ):
            column[at] = facts
        recorded[at] = piece.metrics > 0
        for row, failure in piece.failures.items():
            errors[np.searchsorted(ids, row)] = title(failure)
        if piece.values is not None:
            # One by one, from an iterator: of lists and arrays numpy would make columns.
            loaded[at] = np.fromiter(piece.values, dtype=object, count=len(at))
    if values:
        _name_writers(store, ids, loaded)
    if wrong:
        _set_aside(store, wrong, name_task)
    present = rows >= 0

    def spread(column: NDArray[Any], empty: Any) -> NDArray[Any]:
        full = np.full(len(rows), empty, dtype=column.dtype)
        full[present] = column[places]
        return full

    return Scan(
        spread(status, IS_MISSING),
        spread(numbers[0], np.nan),
        spread(numbers[1], np.nan),
        spread(numbers[2], np.nan),
        spread(numbers[3], np.nan),
        spread(errors, None),
        spread(loaded, None) if values else None,
        {name: spread(last, np.nan) for name, last in _metrics(store, ids, recorded, name_task).items()}
        if metrics
        else {},
    )


def in_bulk(store: ResultStore, rows: Sequence[int]) -> list[TaskRecord | None]:
    """Return the record of each row, None where there is none; read in bulk."""
    records: list[TaskRecord | None] = []
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        wanted = sorted({row for row in part if row >= 0})
        found = {record.id: record for record in store.index.records(wanted)}
        records += [found.get(row) for row in part]
    return records


def damaged(store: ResultStore, record: TaskRecord, error: PayloadDamaged, config: str) -> StoreError:
    """Set a damaged value aside, so that the next run computes it; say whose it is and what to do."""
    if store.index.is_gone:
        return NotAStore(
            str(store.path),
            f"the store is not here any more, so the result of task {record.key.hex()[:12]} ({config}) cannot be read.",
            "Was it moved? Open it there: memento.load('new/place'). Was it removed? Run the experiment again.",
        )
    what = f"the result of task {record.key.hex()[:12]} ({config}) is damaged: {error.problem}"
    try:
        store.discard(record, error.problem)
    except StoreError as refused:
        what += f" It could not be set aside ({refused}), so do this where the store can be written:"
    return PayloadDamaged(error.path, what, "Run the experiment again: this task alone is computed again.")


def _outlines(
    store: ResultStore, ids: NDArray[np.int64], values: bool, wrong: dict[int, str]
) -> Iterator[Outlines]:
    for start in range(0, len(ids), CHUNK):
        part = ids[start : start + CHUNK].tolist()
        pieces: list[Outlines] = []
        try:
            pieces += store.outlines(part, values=values)
        except PayloadDamaged:
            pieces = [piece for number in part for piece in _alone(store, number, values, wrong)]
        yield from pieces


def _alone(store: ResultStore, number: int, values: bool, wrong: dict[int, str]) -> list[Outlines]:
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


def _set_aside(
    store: ResultStore, wrong: Mapping[int, str], name_task: Callable[[TaskRecord], str] | None
) -> None:
    """Set rows aside that are not what was written, so that the next run computes them; say whose they are."""
    from memento.results.notices import say
    from memento.wording import number_of

    named = []
    for record in list(store.index.records(sorted(wrong))):
        named.append(name_task(record) if name_task else record.params)
        try:
            store.discard(record, wrong[record.id])
        except StoreError:  # it may not be written here: the next run finds it as well
            continue
    more = f", and {len(named) - 3} more" if len(named) > 3 else ""
    say(
        f"the results of {number_of(len(named), 'task')} are damaged, and not shown: {'; '.join(named[:3])}{more}"
        f" ({next(iter(wrong.values()))}). Run the experiment again: these alone are computed again."
    )


def _name_writers(store: ResultStore, ids: NDArray[np.int64], loaded: NDArray[np.object_]) -> None:
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


def _blame(
    store: ResultStore,
    ids: Sequence[int],
    load: Callable[[TaskRecord], object],
    name_task: Callable[[TaskRecord], str] | None,
) -> None:
    """Load once more, one by one, to learn whose result it is that is damaged."""
    for record in store.index.records(ids):
        try:
            load(record)
        except PayloadDamaged as exc:
            name = name_task(record) if name_task else record.params
            raise damaged(store, record, exc, name) from exc


def _metrics(
    store: ResultStore,
    ids: NDArray[np.int64],
    recorded: NDArray[np.bool_],
    name_task: Callable[[TaskRecord], str] | None,
) -> dict[str, NDArray[np.float64]]:
    """Return the last value of each metric; asked for only those tasks that have recorded any."""
    import numpy as np

    columns: dict[str, NDArray[np.float64]] = {}
    with_any = np.flatnonzero(recorded)
    for start in range(0, len(with_any), CHUNK):
        places = with_any[start : start + CHUNK]
        part = ids[places].tolist()
        for lasts in _lasts(store, part, name_task):
            for name, (rows, last) in lasts.items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = np.full(len(ids), np.nan)
                column[np.searchsorted(ids, rows)] = last
    return columns


def _lasts(
    store: ResultStore, ids: Sequence[int], name_task: Callable[[TaskRecord], str] | None
) -> Iterator[Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
    try:
        yield from store.index.last_metrics(ids)
    except PayloadDamaged:
        _blame(store, ids, store.index.metrics, name_task)
        raise
