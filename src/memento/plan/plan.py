"""Decide what to run, why, in which order, and how long it may take.

Knows: keyed tasks and what the store knows of them. May not know: executors, displays.

`make_plan` is a pure function of its arguments; a million tasks are a few arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memento.plan.tasks import KeyedTasks
from memento.store.records import DONE, Known
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Past:
    """What the store knows of an experiment's tasks, as columns; a later row of a key counts, an earlier does not."""

    high: NDArray[np.uint64]  # first half of each key
    low: NDArray[np.uint64]
    ids: NDArray[np.int64]
    done: NDArray[np.bool_]
    codes: NDArray[np.int64]

    @classmethod
    def of(cls, known: Iterable[Known]) -> Past:
        """Make columns of records."""
        rows = [(row.key, row.id, row.status == DONE, row.code) for row in known]
        return cls.of_columns([tuple(zip(*rows, strict=True))] if rows else [])

    @classmethod
    def of_columns(cls, pieces: Iterable[Sequence[Sequence[Any]]]) -> Past:
        """Join columns that come in pieces: keys, ids, whether done, codes; see `Store.known_columns`."""
        import numpy as np

        keys, ids, done, codes = bytearray(), [_empty("i8")], [_empty("?")], [_empty("i8")]
        for some_keys, *others in pieces:
            keys += b"".join(some_keys)
            for column, values in zip((ids, done, codes), others, strict=True):
                column.append(np.array(values, dtype=column[0].dtype))
        high, low = _halves(bytes(keys))
        return cls(high, low, np.concatenate(ids), np.concatenate(done), np.concatenate(codes))

    def versions(self) -> list[int]:
        """Return the ids of all versions of the code that computed something."""
        import numpy as np

        found: list[int] = np.flatnonzero(np.bincount(self.codes)).tolist()  # np.unique imports numpy.ma
        return found


@dataclass
class Plan:
    """What is to be done about each task of a matrix.

    `rows` is the only part that changes while a run goes on: the runner notes each finished task's id there.
    """

    tasks: KeyedTasks
    rows: NDArray[np.int64]  # the store's id of each task's row; -1 where there is none
    cached: NDArray[np.bool_]  # has a result that will be used
    failed_before: NDArray[np.bool_]
    changed: NDArray[np.bool_]  # its result was computed by another version of the code
    outdated: NDArray[np.bool_]  # what its result was computed from has been computed again since
    todo: NDArray[np.int64]  # numbers of the tasks to run, in that order; one for each key
    twins: dict[int, list[int]]  # first task of a key -> the others that share its result
    previous: dict[bytes, int]  # key -> id of the row that a new result will replace
    stale_codes: dict[int, int]  # other version's id -> how many results it computed
    costs: NDArray[np.float64] | None  # expected seconds of each task, where the past can tell

    @property
    def total(self) -> int:
        """Size of the matrix."""
        return len(self.tasks)

    @property
    def forecast(self) -> float | None:
        """Expected seconds of work to do, on one worker; None where nothing is known."""
        if self.costs is None or not len(self.todo):
            return None
        return float(self.costs[self.todo].sum())

    def reason(self, number: int) -> str:
        """Say in a word why a task will or will not run."""
        if self.cached[number]:
            return "cached, computed by an older version of the code" if self.changed[number] else "cached"
        if self.failed_before[number]:
            return "failed before"
        if self.outdated[number]:
            return "what it depends on was computed again"
        if self.changed[number]:
            return "its code has changed"
        return "new" if self.rows[number] < 0 else "to be computed again"


def make_plan(
    tasks: KeyedTasks,
    past: Past,
    *,
    code: int,
    force_run: bool = False,
    rerun_changed: bool = False,
    costs: Callable[[], NDArray[np.float64] | None] | None = None,
    longest_first: bool = True,
) -> Plan:
    """Split a matrix's tasks into cached and to do, and order what is to do.

    Parameters
    ----------
    tasks : KeyedTasks
        The matrix's tasks.
    past : Past
        What the store has of the experiment.
    code : int
        The store's id of the present version of the code.
    force_run : bool
        Compute everything again.
    rerun_changed : bool
        Compute again what another version of the code computed.
    costs : callable, optional
        Returns the expected seconds of each task; asked only where there is something to run.
    longest_first : bool
        Start what is expected to take longest first; otherwise the matrix's order.
    """
    import numpy as np

    match = _match(tasks.keys, past)
    found = match >= 0
    at = np.where(found, match, 0)
    has_past = bool(len(past.ids))
    rows = np.where(found, past.ids[at], -1) if has_past else np.full(len(tasks), -1, np.int64)
    done = found & past.done[at] if has_past else np.zeros(len(tasks), np.bool_)
    codes = np.where(found, past.codes[at], code) if has_past else np.full(len(tasks), code, np.int64)
    changed = done & (codes != code)
    outdated = done & (rows < _newest_upstream(tasks))
    cached = done & ~outdated & ~(changed & rerun_changed) & (not force_run)
    todo = np.flatnonzero(~cached)
    todo, twins = _first_of_each_key(tasks.keys, todo)
    expected = costs() if costs is not None and len(todo) else None
    if expected is not None and longest_first:
        todo = todo[np.argsort(-expected[todo], kind="stable")]
    counts = np.bincount(codes[changed])
    redo = todo[rows[todo] >= 0]
    return Plan(
        tasks=tasks,
        rows=rows,
        cached=cached,
        failed_before=found & ~done,
        changed=changed,
        outdated=outdated,
        todo=todo,
        twins=twins,
        previous={tasks.key(n): int(rows[n]) for n in redo.tolist()},
        stale_codes={version: int(counts[version]) for version in np.flatnonzero(counts).tolist()},
        costs=expected,
    )


def _newest_upstream(tasks: KeyedTasks) -> NDArray[np.int64]:
    """Return the store's id of the newest result that each task is computed from; -1 where there is none.

    Ids grow in the order of commits, so a result with a lower one was computed from an older value: a run that
    was told to compute everything again may have ended between the two.
    """
    import numpy as np

    newest = np.full(len(tasks.columns), -1, dtype=np.int64)
    for column, values in enumerate(tasks.table.values):
        if any(isinstance(value, UpstreamValue) for value in values):
            ids = [value.row if isinstance(value, UpstreamValue) else -1 for value in values]
            newest = np.maximum(newest, np.array([*ids, -1])[tasks.columns[:, column]])
    return np.repeat(newest, tasks.repeats)


def expected_costs(
    tasks: KeyedTasks, model: tuple[float, list[NDArray[np.float64]]] | None
) -> NDArray[np.float64] | None:
    """Apply a fitted model of `memento.plan.forecast` to every task: expected seconds."""
    import numpy as np

    if model is None:
        return None
    mean, effects = model
    logs = np.full(len(tasks.columns), mean)
    for column, effect in enumerate(effects):
        logs += np.append(effect, 0.0)[tasks.columns[:, column]]
    return np.repeat(np.exp(logs), tasks.repeats)


def _match(keys: bytes, past: Past) -> NDArray[np.int64]:
    """Find each key among the past ones: its index, the last one where there are several, or -1."""
    import numpy as np

    wanted_high, wanted_low = _halves(keys)
    if not len(past.ids):
        return np.full(len(wanted_high), -1, dtype=np.int64)
    order = np.argsort(past.high, kind="stable")
    high, low = past.high[order], past.low[order]
    if bool(
        ((high[1:] == high[:-1]) & (low[1:] != low[:-1])).any()
    ):  # half a key is not enough to tell them apart
        index = {pair: i for i, pair in enumerate(zip(past.high.tolist(), past.low.tolist(), strict=True))}
        pairs = zip(wanted_high.tolist(), wanted_low.tolist(), strict=True)
        return np.array([index.get(pair, -1) for pair in pairs], dtype=np.int64)
    at = np.maximum(np.searchsorted(high, wanted_high, side="right") - 1, 0)
    hit = (high[at] == wanted_high) & (low[at] == wanted_low)
    return np.where(hit, order[at], -1)


def _first_of_each_key(
    keys: bytes, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, list[int]]]:
    """Keep one task for each key; say which others share it."""
    import numpy as np

    high, low = (half[numbers] for half in _halves(keys))
    ordered = np.sort(high)
    if not bool((ordered[1:] == ordered[:-1]).any()):  # nearly always, and much cheaper to see
        return numbers, {}
    first_of: dict[tuple[int, int], int] = {}
    twins: dict[int, list[int]] = {}
    for number, pair in zip(numbers.tolist(), zip(high.tolist(), low.tolist(), strict=True), strict=True):
        first = first_of.setdefault(pair, number)
        if first != number:
            twins.setdefault(first, []).append(number)
    return np.array(list(first_of.values()), dtype=np.int64), twins


def _halves(keys: bytes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return both halves of each key as numbers; their order means nothing."""
    import numpy as np

    pairs = np.frombuffer(keys, dtype=np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _empty(kind: str) -> NDArray[Any]:
    import numpy as np

    return np.empty(0, dtype=kind)
