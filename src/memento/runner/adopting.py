"""Accept a change of the code: results of older versions count as of the present one, after some were computed again.

Knows: sessions, the versions in a store. May not know: the command line, how versions are told apart.

What is computed again stands in a store of its own, which is gone afterwards: no result, step or checkpoint of the
user's store is touched, and none helps the verification along.
"""

from __future__ import annotations

import heapq
import math
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import RunInterrupted, UnkeyableValue
from memento.events import Event, RunFinished, RunStarted, Said
from memento.index.versions import Versions
from memento.plan.plan import CHANGED
from memento.runner.progress import task_text
from memento.runner.session import Session
from memento.store.store import Store
from memento.system import person
from memento.wording import number_of

if TYPE_CHECKING:
    from memento.records import TaskRecord

CONFIDENCE = 0.95
_SHOWN = 200  # characters of a value that differs
_LISTED = 10  # differences that a text lists


class Difference(NamedTuple):
    """A task whose result the present code does not compute."""

    config: str
    before: str
    now: str


class Adopted(NamedTuple):
    """What became of an adoption; as a text, it says so.

    Parameters
    ----------
    experiment : str
        Its name.
    results : int
        How many results older versions of the code had computed.
    changes : tuple of (int, int)
        Ids of the versions that were accepted, and as which they count now; none where results differ.
    verified : int
        How many results were computed again.
    differences : tuple of Difference
        Those that came out otherwise.
    """

    experiment: str
    results: int
    changes: tuple[tuple[int, int], ...] = ()
    verified: int = 0
    differences: tuple[Difference, ...] = ()

    @property
    def bound(self) -> float | None:
        """At most this share of the results differs, at 95 % confidence; None where nothing was verified or differs."""
        return largest_share(self.verified, self.results) if self.verified and not self.differences else None

    def __str__(self) -> str:
        """Tell it to people."""
        if self.differences:
            return "\n".join(self._told_differences())
        if not self.changes:
            return f"{self.experiment}: nothing to adopt: no result is of an older version of the code"
        told = f"{number_of(self.results, 'result')} of older versions of the code now count as of the present one"
        if self.bound is None:
            return f"{self.experiment}: {told}; none was verified"
        if self.verified == self.results:
            return f"{self.experiment}: {told}: all were computed again and are equal"
        percent = math.ceil(self.bound * 1000) / 10
        again = f"{self.verified:,} were computed again and are"
        if self.verified == 1:
            again = "1 was computed again and is"
        return (
            f"{self.experiment}: {told}: {again} equal, so, with {CONFIDENCE * 100:g} % confidence, at most"
            f" {percent:g} % of all {self.results:,} differ"
        )

    def _told_differences(self) -> Iterator[str]:
        count = len(self.differences)
        yield (
            f"{self.experiment}: nothing is adopted: of {number_of(self.verified, 'result')} computed again"
            f" {count:,} {'differs' if count == 1 else 'differ'}"
        )
        for config, before, now in self.differences[:_LISTED]:
            yield f"  {config}"
            yield f"    before: {before}"
            yield f"    now:    {now}"
        if count > _LISTED:
            yield f"  and {count - _LISTED:,} more"


def adopt(session: Session, verify: int) -> Adopted:
    """Let results of older versions count as of the version that their tasks are of now.

    Of the session, which is planned and not run, `verify` results are computed again first; only if all are equal
    anything is adopted.
    """
    plan = session.plan
    results = sum(plan.stale_codes.values())
    done = Adopted(session.experiment, results)
    ids = session.code.note(plan)
    if not results:
        return done
    if verify:
        numbers = chosen(session, verify)
        emit = _quieted(session.emit, len(numbers), results)
        differences = tuple(computed_again(session, numbers, emit))
        done = done._replace(verified=len(numbers), differences=differences)
        if differences:
            return done
    changes = tuple((code, ids[place]) for code, place in plan.stale_codes)
    session.code.history.adopt(changes, person(), done.verified, results)
    return done._replace(changes=changes)


def adopt_seen(versions: Versions, experiment: str) -> Adopted:
    """Do the same without the code: results count as of the newest version that a run has seen."""
    changes, counts = versions.pending(), versions.results()
    results = sum(counts.get(code, 0) for code in {code for code, _ in changes})
    if not results:
        return Adopted(experiment, 0)
    versions.adopt(changes, person(), 0, results)
    return Adopted(experiment, results, tuple(changes))


def largest_share(verified: int, results: int, confidence: float = CONFIDENCE) -> float:
    """Return the share of results that may differ at most, when all that were drawn of so many are equal.

    It is the smaller of two one-sided bounds: of Clopper and Pearson ("The use of confidence or fiducial limits",
    Biometrika 26, 1934), for results without number; and of the hypergeometric distribution, for as many as there are.

    Examples
    --------
    >>> round(largest_share(60, 10**9), 4), largest_share(5, 5), largest_share(9, 10)
    (0.0487, 0.0, 0.1)
    """
    endless: float = 1 - (1 - confidence) ** (1 / verified)
    few, many = 0, results - verified  # so many may differ for certain; no more can
    while few < many:
        middle = (few + many + 1) // 2
        # The probability that none of `middle` results which differ is among those that were drawn.
        unseen = sum(math.log((results - middle - i) / (results - i)) for i in range(verified))
        # What is exactly as unlikely, as three of six are, must not be taken for less because of rounding.
        if math.exp(unseen) >= (1 - confidence) * (1 - 1e-9):
            few = middle
        else:
            many = middle - 1
    return min(endless, few / results)


def chosen(session: Session, most: int) -> list[int]:
    """Choose tasks of older results: first such that every value and every older version is among them, then any.

    The choice depends on the tasks alone. Beyond the values it follows the keys, which are as good as drawn.
    """
    plan, tasks = session.plan, session.tasks
    codes = {known.id: known.code for known in session.store.index.known(session.experiment)}
    numbers = {tasks.key(n): n for n in reversed(range(plan.total)) if plan.states[n] == CHANGED}
    order = sorted(numbers.values(), key=tasks.key)

    def traits(number: int) -> set[tuple[int, int]]:
        slots = set(enumerate(tasks.slots(number)))
        return slots | {(-1, codes.get(plan.rows[number], -1)), (-2, plan.version(number))}

    picked: list[int] = []
    covered: set[tuple[int, int]] = set()
    # What a task adds only shrinks as others are picked, so most need not be looked at again (lazy greedy choice).
    heap = [(-len(tasks.names) - 2, place, number) for place, number in enumerate(order)]
    while heap and len(picked) < most:
        gain, place, number = heapq.heappop(heap)
        now = -len(traits(number) - covered)
        if now > gain:
            heapq.heappush(heap, (now, place, number))
            continue
        picked.append(number)
        covered |= traits(number)
    return picked


def computed_again(
    session: Session, numbers: Sequence[int], emit: Callable[[Event], None]
) -> Iterator[Difference]:
    """Compute tasks again, beside the user's store, and yield those that come out otherwise."""
    options = session.options._replace(
        on_code_change="ignore", force_run=False, force_cache=False, max_failures=None, only=None
    )
    with (
        tempfile.TemporaryDirectory(prefix="memento-adopt-") as folder,
        Store.open(Path(folder) / "memento-store", clock=session.clock) as aside,
    ):
        again = Session(
            session.function, session.experiment, session.matrix, aside, options, emit, session.clock
        )
        again.plan = again.plan._replace(
            todo=array("q", numbers), twins={}, previous={}, costs=None, longest=None
        )
        again.run(notify=False)
        if again.stopped:
            raise RunInterrupted("nothing was adopted; nothing of the verification is kept")
        for number in numbers:
            before = session.store.index.record(session.plan.rows[number])
            row = again.plan.rows[number]
            now = aside.index.record(row) if row >= 0 else None
            told = _compared(session.store, before, aside, now)
            if told is not None:
                yield Difference(task_text(session.tasks, number, 60), *told)


def _quieted(emit: Callable[[Event], None], count: int, results: int) -> Callable[[Event], None]:
    """Tell a verification's events as those of a run of so many tasks; how its workers start is of no interest."""
    of = number_of(results, "result")
    emit(Said(f"Verifying {count:,} of {of} that older versions of the code computed."))

    def listen(event: Event) -> None:
        if isinstance(event, Said) and event.level == "info":
            return
        if isinstance(event, RunStarted):
            event = event._replace(total=count, store="a temporary one")
        elif isinstance(event, RunFinished):
            event = event._replace(total=count, left=count - event.done - event.failed, notify=False)
        emit(event)

    return listen


def _compared(
    store: Store, before: TaskRecord, aside: Store, now: TaskRecord | None
) -> tuple[str, str] | None:
    """Return both values as texts where they differ."""
    old = store.value(before)
    if now is None:
        return _shown(old), "it was not computed"
    if now.failure is not None:
        return _shown(old), f"it failed: {now.failure.type}: {now.failure.message}"
    new = aside.value(now)
    if old is None and new is None:  # then what it recorded is its result; when, differs always
        old = {name: y.tolist() for name, (_, y) in store.index.metrics(before).items()}
        new = {name: y.tolist() for name, (_, y) in aside.index.metrics(now).items()}
    if _are_equal(old, new, before, now):
        return None
    before_text, now_text = _shown(old), _shown(new)
    if before_text == now_text:
        return f"{before_text} ({type(old).__qualname__})", f"{now_text}, not the same"
    return before_text, now_text


def _are_equal(old: Any, new: Any, before: TaskRecord, now: TaskRecord) -> bool:
    from memento.keys.value_digest import digest

    try:
        return bool(digest(_one_nan(old)) == digest(_one_nan(new)))
    except UnkeyableValue:  # it has no identity but its bytes
        return (before.value and before.value[:3]) == (now.value and now.value[:3])


def _one_nan(value: Any) -> Any:
    """Return a value whose NaNs are all of the same bits, in arrays and plain containers."""
    numpy = sys.modules.get("numpy")
    if type(value) is dict:
        return {name: _one_nan(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_one_nan, value))
    if numpy is not None and type(value) is numpy.ndarray and value.dtype.kind == "f":
        return numpy.where(numpy.isnan(value), numpy.asarray(numpy.nan, value.dtype), value)
    return value


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__name__}>"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
