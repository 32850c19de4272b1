"""Decide what to run, why, in which order, and how long it may take.

Knows: keyed tasks and what the store knows of them. May not know: executors, displays.

`make_plan` is a pure function of its arguments. What it says of a million tasks is a few arrays, each made by one pass
of `map` and `compress` over another; a byte a task tells what the past says of it:

    keys --> places in the past --> rows, states --> cached --> todo
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import compress, count, repeat
from math import exp

from memento.hints import TYPE_CHECKING, Any, NamedTuple
from memento.plan.tasks import KeyedTasks
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from memento.store.records import Known

# What the past says of a task, a byte each.
NEW = 0  # nothing
FAILED = 1
FINISHED = 2
CHANGED = 3  # finished, by another version of the code
OUTDATED = 4  # finished, and what it was computed from has been computed again since

_REASONS = {
    FAILED: "failed before",
    CHANGED: "its code has changed",
    OUTDATED: "what it depends on was computed again",
}
_FAR = 50.0  # log-seconds that no forecast goes beyond
_NOT = bytes(number == 0 for number in range(256))


class Past:
    """What the store knows of an experiment's tasks, as columns; a later row of a key counts, an earlier does not.

    The last place of each column stands for a key that the store does not know.

    Parameters
    ----------
    pieces : iterable of columns
        Keys, ids, whether done, codes, in pieces; see `Store.known_columns`.
    """

    def __init__(self, pieces: Iterable[Sequence[Sequence[Any]]] = ()) -> None:
        self.index: dict[bytes, int] = {}  # key -> its place in the columns
        self.ids: array[int] = array("q")
        self.states = bytearray()  # FAILED or FINISHED
        self.codes: array[int] = array("q")
        self.versions: set[int] = set()  # ids of all versions of the code that computed something
        for keys, ids, done, codes in pieces:
            self.index.update(zip(keys, count(len(self.ids))))
            self.ids.extend(ids)
            self.states += bytes(done).translate(bytes([FAILED, FINISHED]).ljust(256))
            self.codes.extend(codes)
            self.versions.update(codes)
        self.ids.append(-1)
        self.states.append(NEW)
        self.codes.append(-1)

    @classmethod
    def of(cls, known: Iterable[Known]) -> Past:
        """Make columns of records."""
        from memento.store.records import DONE

        rows = [(row.key, row.id, row.status == DONE, row.code) for row in known]
        return cls([tuple(zip(*rows, strict=True))] if rows else [])

    def __len__(self) -> int:
        return len(self.ids) - 1

    def places(self, keys: Iterable[bytes]) -> array[int]:
        """Return the place of each key in the columns."""
        return array("q", map(self.index.get, keys, repeat(len(self))))

    def states_beside(self, code: int) -> bytearray:
        """Return the states as this version of the code sees them."""
        if self.versions <= {code}:
            return self.states
        pairs = zip(self.states, self.codes, strict=True)
        return bytearray(CHANGED if state == FINISHED and c != code else state for state, c in pairs)


class Plan(NamedTuple):
    """What is to be done about each task of a matrix.

    `rows` is the only part whose content changes while a run goes on: the runner notes each finished task's id there.
    """

    tasks: KeyedTasks
    rows: array[int]  # the store's id of each task's row; -1 where there is none
    states: bytearray  # what the past says of each task
    cached: bytearray  # 1 where a result is there that will be used
    hits: int  # how many tasks are cached
    todo: array[int]  # numbers of the tasks to run, in that order; one for each key
    twins: dict[int, list[int]]  # first task of a key -> the others that share its result
    previous: dict[bytes, int]  # key -> id of the row that a new result will replace
    stale_codes: dict[int, int]  # other version's id -> how many results it computed
    costs: array[float] | None  # expected seconds of each task to do, by number, where the past can tell

    @property
    def total(self) -> int:
        """Size of the matrix."""
        return len(self.tasks)

    @property
    def failed_before(self) -> int:
        """How many tasks failed when they were run last."""
        return self.states.count(FAILED)

    @property
    def unfinished(self) -> int:
        """How many tasks have no row in the store by now."""
        return self.rows.count(-1)

    @property
    def forecast(self) -> float | None:
        """Expected seconds of work to do, on one worker; None where nothing is known."""
        if self.costs is None or not len(self.todo):
            return None
        return sum(map(self.costs.__getitem__, self.todo))

    def time_on(self, workers: int) -> float | None:
        """Expected seconds until all is done; None where nothing is known. No task is shared between workers."""
        total = self.forecast
        if total is None or self.costs is None:
            return None
        return max(total / workers, *map(self.costs.__getitem__, self.todo))

    def reason(self, number: int) -> str:
        """Say in a word why a task will or will not run."""
        state = self.states[number]
        if self.cached[number]:
            return "cached, computed by an older version of the code" if state == CHANGED else "cached"
        return _REASONS.get(state) or ("new" if self.rows[number] < 0 else "to be computed again")


def make_plan(
    tasks: KeyedTasks,
    past: Past,
    *,
    code: int,
    force_run: bool = False,
    rerun_changed: bool = False,
    costs: Callable[[Sequence[int]], array[float] | None] | None = None,
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
        Returns the expected seconds of tasks, by number; asked only where there is something to run.
    longest_first : bool
        Start what is expected to take longest first; otherwise the matrix's order.
    """
    places = past.places(tasks.each_key())
    rows = array("q", map(past.ids.__getitem__, places))
    states = bytearray(map(past.states_beside(code).__getitem__, places))
    stale: Counter[int] = Counter()
    if CHANGED in states:
        stale.update(map(past.codes.__getitem__, compress(places, map(CHANGED.__eq__, states))))
    _mark_outdated(tasks, rows, states)
    use = {FINISHED} if rerun_changed else {FINISHED, CHANGED}
    cached = states.translate(bytes(state in use and not force_run for state in range(256)))
    todo = array("q", compress(range(len(tasks)), cached.translate(_NOT)))
    todo, twins = _first_of_each_key(tasks, todo)
    expected = costs(todo) if costs is not None and len(todo) else None
    if expected is not None and longest_first:
        todo = array("q", sorted(todo, key=expected.__getitem__, reverse=True))
    return Plan(
        tasks=tasks,
        rows=rows,
        states=states,
        cached=cached,
        hits=len(cached) - cached.count(0),
        todo=todo,
        twins=twins,
        previous={tasks.key(number): rows[number] for number in todo if rows[number] >= 0},
        stale_codes=dict(stale),
        costs=expected,
    )


def _mark_outdated(tasks: KeyedTasks, rows: Sequence[int], states: bytearray) -> None:
    """Mark the finished tasks that are older than the newest result which they are computed from.

    Ids grow in the order of commits, so a result with a lower one was computed from an older value: a run that
    was told to compute everything again may have ended between the two.
    """
    for column, values in enumerate(tasks.table.values):
        if not any(isinstance(value, UpstreamValue) for value in values):
            continue
        newest = [value.row if isinstance(value, UpstreamValue) else -1 for value in values]
        for number, upstream in enumerate(tasks.along(column, [*newest, -1])):
            if rows[number] < upstream and states[number] in (FINISHED, CHANGED):
                states[number] = OUTDATED


def _first_of_each_key(tasks: KeyedTasks, numbers: array[int]) -> tuple[array[int], dict[int, list[int]]]:
    """Keep one task for each key; say which others share it."""
    if tasks.distinct:
        return numbers, {}
    first_of: dict[bytes, int] = {}
    twins: dict[int, list[int]] = {}
    for number in numbers:
        first = first_of.setdefault(tasks.key(number), number)
        if first != number:
            twins.setdefault(first, []).append(number)
    return array("q", first_of.values()), twins


def expected_costs(
    tasks: KeyedTasks, model: tuple[float, list[list[float]]] | None, numbers: Iterable[int]
) -> array[float] | None:
    """Apply a fitted model of `memento.plan.forecast` to the tasks with these numbers: expected seconds of each."""
    if model is None:
        return None
    mean, effects = model
    wanted, costs = bytearray(len(tasks)), array("d", bytes(8 * len(tasks)))
    for number in numbers:
        wanted[number] = 1
    columns = [tasks.along(column, [*effect, 0.0]) for column, effect in enumerate(effects)]
    rows: Iterable[tuple[float, ...]] = zip(*columns, strict=True) if columns else repeat((), len(tasks))
    for number, row in zip(compress(range(len(tasks)), wanted), compress(rows, wanted), strict=True):
        costs[number] = exp(min(mean + sum(row), _FAR))
    return costs
