"""Decide what to run, why, in which order, and how long it may take.

Knows: keyed tasks and what the store knows of them. May not know: executors, displays.

`make_plan` is a pure function of its arguments; a million tasks are a few arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memento.plan.tasks import KEY_SIZE, KeyedTasks
from memento.store.records import DONE, Known

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BATCH = 8_192


@dataclass(frozen=True)
class Past:
    """What the store knows of an experiment's tasks, as columns."""

    high: NDArray[np.uint64]  # first half of each key
    low: NDArray[np.uint64]
    ids: NDArray[np.int64]
    done: NDArray[np.bool_]
    codes: NDArray[np.int64]


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
        if self.changed[number]:
            return "its code has changed"
        return "new" if self.rows[number] < 0 else "to be computed again"


def make_plan(
    tasks: KeyedTasks,
    known: Iterable[Known],
    *,
    code: int,
    force_run: bool = False,
    rerun_changed: bool = False,
    costs: NDArray[np.float64] | None = None,
    longest_first: bool = True,
) -> Plan:
    """Split a matrix's tasks into cached and to do, and order what is to do.

    Parameters
    ----------
    tasks : KeyedTasks
        The matrix's tasks.
    known : iterable of Known
        The store's rows of the experiment, one for each key.
    code : int
        The store's id of the present version of the code.
    force_run : bool
        Compute everything again.
    rerun_changed : bool
        Compute again what another version of the code computed.
    costs : array of float64, optional
        Expected seconds of each task.
    longest_first : bool
        Start what is expected to take longest first; otherwise the matrix's order.
    """
    import numpy as np

    past = _columns(known)
    match = _match(tasks.keys, past)
    found = match >= 0
    at = np.where(found, match, 0)
    has_past = bool(len(past.ids))
    rows = np.where(found, past.ids[at], -1) if has_past else np.full(len(tasks), -1, np.int64)
    done = found & past.done[at] if has_past else np.zeros(len(tasks), np.bool_)
    codes = np.where(found, past.codes[at], code) if has_past else np.full(len(tasks), code, np.int64)
    changed = done & (codes != code)
    cached = done & ~(changed & rerun_changed) & (not force_run)
    todo = np.flatnonzero(~cached)
    todo, twins = _first_of_each_key(tasks.keys, todo)
    if costs is not None and longest_first:
        todo = todo[np.argsort(-costs[todo], kind="stable")]
    stale, counts = np.unique(codes[changed], return_counts=True)
    redo = todo[rows[todo] >= 0]
    return Plan(
        tasks=tasks,
        rows=rows,
        cached=cached,
        failed_before=found & ~done,
        changed=changed,
        todo=todo,
        twins=twins,
        previous={tasks.key(n): int(rows[n]) for n in redo.tolist()},
        stale_codes=dict(zip(stale.tolist(), counts.tolist(), strict=True)),
        costs=costs,
    )


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


def _columns(known: Iterable[Known]) -> Past:
    import numpy as np

    keys, ids, done, codes = bytearray(), [], bytearray(), []
    for row in known:
        keys += row.key
        ids.append(row.id)
        done.append(row.status == DONE)
        codes.append(row.code)
    halves = np.frombuffer(bytes(keys), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return Past(
        high=halves[:, 0],
        low=halves[:, 1],
        ids=np.array(ids, dtype=np.int64),
        done=np.frombuffer(bytes(done), dtype=np.bool_),
        codes=np.array(codes, dtype=np.int64),
    )


def _match(keys: bytes, past: Past) -> NDArray[np.int64]:
    """Find each key among the past ones: its index, or -1."""
    import numpy as np

    halves = np.frombuffer(keys, dtype=">u8").reshape(-1, 2).astype(np.uint64)
    missing = np.full(len(halves), -1, dtype=np.int64)
    if not len(past.ids):
        return missing
    order = np.lexsort((past.low, past.high))
    high, low = past.high[order], past.low[order]
    if bool((high[1:] == high[:-1]).any()):  # first halves collide: look each key up whole
        index = {(int(h), int(lo)): i for i, (h, lo) in enumerate(zip(past.high, past.low, strict=True))}
        return np.array([index.get((int(h), int(lo)), -1) for h, lo in halves], dtype=np.int64)
    at = np.minimum(np.searchsorted(high, halves[:, 0]), len(high) - 1)
    hit = (high[at] == halves[:, 0]) & (low[at] == halves[:, 1])
    return np.where(hit, order[at], missing)


def _first_of_each_key(
    keys: bytes, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, list[int]]]:
    """Keep one task for each key; say which others share it."""
    import numpy as np

    whole = np.frombuffer(keys, dtype=f"V{KEY_SIZE}")[numbers]
    halves = np.frombuffer(whole.tobytes(), dtype=">u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable: equal keys stay in the matrix's order
    ordered = halves[order]
    same = np.append(False, (ordered[1:] == ordered[:-1]).all(axis=1))[: len(order)]
    if not same.any():
        return numbers, {}
    twins: dict[int, list[int]] = {}
    first = -1
    for position, is_twin in zip(order.tolist(), same.tolist(), strict=True):
        if is_twin:
            twins.setdefault(first, []).append(int(numbers[position]))
        else:
            first = int(numbers[position])
    keep = np.ones(len(numbers), np.bool_)
    keep[order[same]] = False
    return numbers[keep], twins
