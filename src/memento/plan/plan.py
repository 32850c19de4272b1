"""Decide what to run, why, in which order, and how long it may take.

Knows: keyed tasks and what the store knows of them. May not know: executors, displays.

`make_plan` is a pure function of its arguments. What it says of a million tasks is a few arrays, each made by one pass
of `map` and `compress` over another; a byte a task tells what the past says of it:

    keys --> places in the past --> rows, states --> cached --> todo
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import compress, count, repeat
from math import exp, log, sqrt
from operator import mul
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.plan.keyed_tasks import KeyedTasks
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from memento.plan.changed_defaults import Written
    from memento.plan.runtime_forecast import Model

# What the past says of a task, a byte each.
NEW = 0  # nothing
FAILED = 1
FINISHED = 2
CHANGED = 3  # finished, by another version of the code
OUTDATED = 4  # finished, and what it was computed from has been computed again since
OTHERWISE = 5  # finished, with another value of a parameter or setting that is at its default now

_REASONS = {
    FAILED: "failed before",
    CHANGED: "its code has changed",
    OUTDATED: "what it depends on was computed again",
    OTHERWISE: "a default has changed",
}
_FAR = 50.0  # log-seconds that no forecast goes beyond
_NOT = bytes(number == 0 for number in range(256))


class Past:
    """What the store knows of an experiment's tasks, as columns; a later row of a key counts, an earlier does not.

    The last place of each column stands for a key that the store does not know.
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

    def __len__(self) -> int:
        return len(self.ids) - 1

    def places(self, keys: Iterable[bytes]) -> array[int]:
        """Return the place of each key in the columns."""
        return array("q", map(self.index.get, keys, repeat(len(self))))

    def states_at(
        self, places: array[int], versions: Sequence[int] | None, current: Sequence[Collection[int]]
    ) -> bytearray:
        """Return the states at these places as their tasks' versions of the code see them."""
        states = bytearray(map(self.states.__getitem__, places))
        if self.versions.issubset(current[0]) and versions is None:
            return states

        def told() -> Iterator[tuple[int, int, int]]:
            codes = map(self.codes.__getitem__, places)
            return zip(states, codes, versions or repeat(0, len(places)), strict=True)

        seen = {  # of a million tasks there are few such, each of which is looked at once
            (state, code, own): CHANGED if state == FINISHED and code not in current[own] else state
            for state, code, own in set(told())
        }
        return bytearray(map(seen.__getitem__, told()))


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
    stale_codes: dict[tuple[int, int], int]  # another version's id, a task's version -> how many such results
    costs: array[float] | None  # expected seconds of each task to do, by number, where the past can tell
    longest: array[float] | None  # seconds that nine of ten such tasks stay below, likewise
    versions: array[int] | None  # number of each task's version of the code; None where there is only one
    current: Sequence[Collection[int]]  # for each version, the store's ids of those that count as it
    otherwise: dict[tuple[str, str], int] = {}  # noqa: RUF012 - name and value of an old default -> how many results
    asked: bytearray | None = None  # 1 for each task that the run is about; None: for all of them
    left_out: int = 0  # how many others have no result that would be used

    @property
    def total(self) -> int:
        """Size of the matrix."""
        return len(self.tasks)

    @property
    def size(self) -> int:
        """How many tasks the run is about."""
        return self.total if self.asked is None else self.asked.count(1)

    @property
    def unfinished(self) -> int:
        """How many tasks of these have no row in the store by now."""
        return self.rows.count(-1) if self.asked is None else list(compress(self.rows, self.asked)).count(-1)

    def narrowed(self, numbers: Iterable[int], *, rerun_changed: bool = False) -> Plan:
        """Return a plan that computes only these tasks, and those that share their keys; the others stay as they are.

        Results that would be computed again are used where they are not asked for; what has failed counts as missing.
        """
        asked = bytearray(self.total)
        for number in numbers:
            asked[number] = 1
        for first, twins in self.twins.items():
            if any(asked[number] for number in (first, *twins)):
                for number in (first, *twins):
                    asked[number] = 1
        use = {FINISHED} if rerun_changed else {FINISHED, CHANGED}
        kept = self.states.translate(bytes(state in use for state in range(256)))
        cached = bytearray(c if a else k for a, c, k in zip(asked, self.cached, kept, strict=True))
        known = (row if a or c else -1 for a, c, row in zip(asked, cached, self.rows, strict=True))
        todo = array("q", filter(asked.__getitem__, self.todo))
        return self._replace(
            rows=array("q", known),
            cached=cached,
            hits=sum(compress(cached, asked)),
            todo=todo,
            twins={first: twins for first, twins in self.twins.items() if asked[first]},
            previous={key: self.previous[key] for key in self.tasks.keys_of(todo) if key in self.previous},
            asked=asked,
            left_out=sum(not (a or c) for a, c in zip(asked, cached, strict=True)),
        )

    @property
    def forecast(self) -> float | None:
        """Expected seconds of work to do, on one worker; None where nothing is known."""
        if self.costs is None or not len(self.todo):
            return None
        return sum(map(self.costs.__getitem__, self.todo))

    def version(self, number: int) -> int:
        """Return the number of a task's version of the code."""
        return self.versions[number] if self.versions is not None else 0

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
    current: Sequence[Collection[int]],
    itself: Sequence[Collection[int]] | None = None,  # of them, the version's own
    versions: array[int] | None = None,
    force_run: bool = False,
    rerun_changed: bool = False,
    costs: Callable[[Sequence[int]], tuple[array[float], array[float]] | None] | None = None,
    longest_first: bool = True,
    written: Written | None = None,
) -> Plan:
    """Split a matrix's tasks into cached and to do, and order what is to do."""
    places = past.places(tasks.each_key())
    rows = array("q", map(past.ids.__getitem__, places))
    states = past.states_at(places, versions, current)
    stale: Counter[tuple[int, int]] = Counter()
    if CHANGED in states:
        pairs = zip(map(past.codes.__getitem__, places), versions or repeat(0, len(places)), strict=True)
        stale.update(compress(pairs, map(CHANGED.__eq__, states)))
    _mark_outdated(tasks, rows, states)
    use = {FINISHED} if rerun_changed else {FINISHED, CHANGED}
    cached = states.translate(bytes(state in use and not force_run for state in range(256)))
    otherwise: dict[int, tuple[str, str]] = {}
    if written is not None and (tasks.matrix.defaults or tasks.held) and any(cached):
        from memento.plan.changed_defaults import computed_otherwise

        changed = _of_other_code(cached, past, places, versions, itself or current)
        otherwise = computed_otherwise(tasks, rows, cached, changed, written)
        for number in otherwise:
            if states[number] == CHANGED:
                stale[past.codes[places[number]], versions[number] if versions else 0] -= 1
            states[number], cached[number] = OTHERWISE, 0
    todo = array("q", compress(range(len(tasks)), cached.translate(_NOT)))
    todo, twins = _first_of_each_key(tasks, todo)
    expected, longest = (costs(todo) if costs is not None and len(todo) else None) or (None, None)
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
        stale_codes=dict(+stale),
        costs=expected,
        longest=longest,
        otherwise=dict(Counter(otherwise.values())),
        versions=versions,
        current=current,
    )


def _of_other_code(
    cached: bytearray,
    past: Past,
    places: array[int],
    versions: Sequence[int] | None,
    itself: Sequence[Collection[int]],
) -> bytearray:
    """Mark the tasks whose results are used and other code has computed, adopted or not."""
    if past.versions.issubset(itself[0]) and versions is None:
        return bytearray(len(places))
    codes = map(past.codes.__getitem__, places)
    each = zip(cached, codes, versions or repeat(0, len(places)), strict=True)
    return bytearray(is_cached and code not in itself[own] for is_cached, code, own in each)


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
    tasks: KeyedTasks, model: Model | None, numbers: Iterable[int]
) -> tuple[array[float], array[float]] | None:
    """Apply a model to the tasks with these numbers: seconds that are expected, and that nine of ten stay below."""
    if model is None:
        return None
    mean, effects, stretch, unseen = model
    wanted, costs = bytearray(len(tasks)), array("d", bytes(8 * len(tasks)))
    for number in numbers:
        wanted[number] = 1
    columns = [tasks.along(column, [*effect, 0.0]) for column, effect in enumerate(effects)]
    rows: Iterable[tuple[float, ...]] = zip(*columns, strict=True) if columns else repeat((), len(tasks))
    for number, row in zip(compress(range(len(tasks)), wanted), compress(rows, wanted), strict=True):
        costs[number] = exp(min(mean + sum(row), _FAR))
    longest = array("d", map(mul, costs, repeat(stretch)))
    wide = [tasks.along(column, [*widths, 0.0]) for column, widths in enumerate(unseen) if any(widths)]
    if wide:  # of some values nothing is known: what they may add is as much as what the known ones make
        usual = log(stretch) ** 2
        for number, row in zip(
            compress(range(len(tasks)), wanted), compress(zip(*wide, strict=True), wanted), strict=True
        ):
            if any(row):
                longest[number] = costs[number] * exp(sqrt(usual + sum(row)))
    return costs, longest
