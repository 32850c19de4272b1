"""Make of rows that were computed elsewhere finished tasks of a store.

Knows: rows, keyed tasks, a store's run. May not know: where rows come from, how a matrix is read, who asked.

    a task that is not done here               gets the row's result; an earlier failure stays as an attempt
    done here, computed by a run of ours       stays, whatever the source says; another value is told
    done here, imported before                 stays; another value is told, and replaces it where that is asked for
    a run computes it just now                 is left to it

Results come in by a run of their own, which says what they were imported from, and by the claims and commits of every
run: so other runs may go on meanwhile, what is committed is durable, and a second import adds nothing. Which code has
computed them is not known, and is not asked again (`memento.index.versions.IMPORTED`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from memento.exchange.source_rows import CannotImport
from memento.index.heartbeat import Heartbeat
from memento.index.run_contract import Run
from memento.index.versions import IMPORTED
from memento.plan.declare_values import declare
from memento.plan.keyed_tasks import KeyedTasks
from memento.records import DONE, Encoded, Outcome, RunInfo, Series, TaskRecord, TaskRow
from memento.runner.packing import run_info
from memento.store.imported import note_of
from memento.store.store import Store
from memento.values.encoding import encode

_AT_ONCE = 1_000  # rows of one transaction
_INLINE = 16_384  # bytes of a value that stands in its row, as a run's


class Result(NamedTuple):
    """A result that was computed elsewhere, of a task by its number."""

    number: int
    value: Any
    where: str  # what the source calls it
    metrics: Mapping[str, float] = {}  # the last value of each
    started: float | None = None  # UTC seconds
    runtime: float | None = None  # seconds
    cpu_time: float | None = None
    memory: int | None = None


class Conflict(NamedTuple):
    """A task that has a result here and another one in the source."""

    key: str
    parameters: str  # JSON
    here: Any
    there: Any
    where: str  # in the source
    is_imported: bool  # the one here
    replaced: bool


@dataclass
class Imported:
    """What an import did.

    Attributes
    ----------
    imported : int
        Results that are new in the store, or would be.
    replaced : int
        Of them, those that replaced what was imported before.
    known : int
        Tasks that have the same result already.
    busy : int
        Tasks that a run computes just now; they are left to it.
    repeated : int
        Rows of which a later row of the same task counts.
    conflicts : list of Conflict
        Tasks that have another result here.
    """

    imported: int = 0
    replaced: int = 0
    known: int = 0
    busy: int = 0
    repeated: int = 0
    conflicts: list[Conflict] = field(default_factory=list)


def import_results(
    store: Store,
    tasks: KeyedTasks,
    results: Iterable[Result],
    source: Mapping[str, str],
    *,
    replace: bool = False,
    dry_run: bool = False,
) -> Imported:
    """Take results into a store; `source` says what they come from: `from`, `kind`, `by`.

    Raises
    ------
    CannotImport
        Results are to be replaced while a run is at work, which may have planned with them.
    """
    return _Import(store, tasks, source, replace).take(list(results), dry_run=dry_run)


class _Wanted(NamedTuple):
    """A result that is to be taken, and the row here that goes for it."""

    key: bytes
    result: Result
    replaced: int | None = None


class _Import:
    def __init__(self, store: Store, tasks: KeyedTasks, source: Mapping[str, str], replace: bool) -> None:
        self._store, self._tasks, self._source, self._replace = store, tasks, source, replace
        self.told = Imported()

    def take(self, results: Sequence[Result], *, dry_run: bool) -> Imported:
        """Take what is new."""
        latest = self._latest(results)
        wanted = list(self._wanted(latest))
        self.told.imported = len(wanted)
        if not wanted or dry_run:
            return self.told
        living = self._store.index.living().runs
        if self.told.replaced and living:
            raise CannotImport(
                f"a run of {self._store.location} is at work, and may have planned with what is to be replaced.",
                "Import with --replace when it has ended.",
            )
        self.told.imported = 0
        with _Lease(self._store, self._info(self.told.known + len(wanted)), self.told) as run:
            run.previous = {one.key: one.replaced for one in wanted if one.replaced is not None}
            declare(self._tasks, run)
            code = run.code(IMPORTED)
            each = iter(wanted)
            while some := list(islice(each, _AT_ONCE)):
                self._commit(run, code, some)
        return self.told

    def _latest(self, results: Sequence[Result]) -> dict[bytes, Result]:
        """Return the result of each task: of several the one that began last, else the last in the source."""
        found: dict[bytes, Result] = {}
        for result in results:
            key = self._tasks.key(result.number)
            other = found.get(key)
            if other is not None:
                self.told.repeated += 1
                if (result.started or 0.0) < (other.started or 0.0):
                    continue
            found[key] = result
        return found

    def _wanted(self, latest: Mapping[bytes, Result]) -> Iterable[_Wanted]:
        """Yield what the store lacks, or what is to be replaced; note the rest."""
        here = {
            known.key: known
            for known in self._store.index.known(self._tasks.experiment)
            if known.key in latest
        }
        done = sorted(known.id for known in here.values() if known.status == DONE)
        records = {record.key: record for record in self._store.index.records(done)}
        for key, result in latest.items():
            record, known = records.get(key), here.get(key)
            if record is None:
                yield _Wanted(key, result, known.id if known is not None else None)
            elif self._is_same(record, result):
                self.told.known += 1
            elif self._note_conflict(record, result):
                self.told.replaced += 1
                yield _Wanted(key, result, record.id)

    @cached_property
    def _imported_codes(self) -> frozenset[int]:
        return self._store.versions(self._tasks.experiment).ids(IMPORTED.digest)

    def _is_same(self, record: TaskRecord, result: Result) -> bool:
        found, value = self._store.readable(record, most=1 << 30)
        if not found:  # a pickle, which is not looked into
            return record.code not in self._imported_codes
        if not same(value, result.value):
            return False
        if record.code not in self._imported_codes:
            return True  # what else it has recorded is its own
        last = {name: float(y[-1]) for name, (_, y) in self._store.index.metrics(record).items()}
        return same(last, dict(result.metrics))

    def _note_conflict(self, record: TaskRecord, result: Result) -> bool:
        """Tell of two results of a task, and whether the source's is to stand."""
        is_imported = record.code in self._imported_codes
        replaced = is_imported and self._replace
        _, here = self._store.readable(record, most=1 << 20)
        conflict = Conflict(
            record.key.hex(), record.params, here, result.value, result.where, is_imported, replaced
        )
        self.told.conflicts.append(conflict)
        return replaced

    def _commit(self, run: Run, code: int, some: Sequence[_Wanted]) -> None:
        claim = run.claim([one.key for one in some])
        granted = set(claim.granted)
        self.told.busy += len(claim.elsewhere)
        self.told.known += len(claim.finished)  # by a run that has ended it meanwhile
        taken = [one for one in some if one.key in granted]
        places = self._tasks.places([one.result.number for one in taken])[1] if taken else ()
        rows = [
            TaskRow(one.key, params, one.result.number % self._tasks.repeats, code, self._outcome(one.result))
            for one, params in zip(taken, self._tasks.params(places), strict=True)
        ]
        if rows:
            self.told.imported += len(run.commit(rows).ids)

    def _outcome(self, result: Result) -> Outcome:
        started = result.started if result.started is not None else self._store.clock.now()
        metrics = tuple(_series(name, value, started) for name, value in result.metrics.items())
        worker = f"{result.where} of {self._source['from']}"[:300]
        return Outcome(
            result.number, DONE, 1, started, result.runtime or 0.0, result.cpu_time, result.memory, None, worker,
            self._encoded(result.value), metrics, (), None, None,
        )  # fmt: skip

    def _encoded(self, value: Any) -> Encoded:
        return encode(value, self._store.payloads, _INLINE)

    def _info(self, size: int) -> RunInfo:
        """Say who imports what."""
        return run_info(self._tasks)._replace(tasks=size, provenance=note_of(self._source))


class _Lease(AbstractContextManager[Run]):
    """The run by which results come in, with a heart that beats; says in the end how it went."""

    def __init__(self, store: Store, info: RunInfo, told: Imported) -> None:
        self._store, self._info, self._told = store, info, told

    def __enter__(self) -> Run:
        self._run = self._store.begin(self._info, self._told.known)
        self._heart = ExitStack()
        self._heart.enter_context(Heartbeat(self._run.heartbeat))
        return self._run

    def __exit__(self, kind: object, *_: object) -> None:
        self._heart.close()
        status = "done" if kind is None else "interrupted" if kind is KeyboardInterrupt else "died"
        counts = {"done": self._told.imported, "cached": self._told.known, "failed": 0}
        self._run.finish(status, counts)


def _series(name: str, value: float, x: float) -> Series:
    import struct

    return Series(name, 1, value, value, value, struct.pack("<2d", x, value))


def same(one: Any, other: Any) -> bool:
    """Tell whether two plain values say the same: a number by its size, and what is no number as no number.

    >>> same({"a": 1, "b": float("nan")}, {"b": float("nan"), "a": 1.0}), same(1, True), same([1], [2])
    (True, False, False)
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(item, other[name]) for name, item in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other or (one != one and other != other))
