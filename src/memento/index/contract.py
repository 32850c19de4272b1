"""What a store's records must be able to do, wherever they are kept; `memento.testing.index_contract` tests it.

Long because it is one page to read for whoever writes another index; what writes, a `Run`, is the next one.

Knows: records. May not know: SQL, connections, files; values, which are bytes here.

An index keeps runs, the rows of finished tasks, attempts, metrics, versions of the code, claims, commands and events.
Methods that have a body are right for any index; one that knows a faster way has its own.

Threads     Every method of an `Index` may be called from any thread, and no lock is held while the caller works,
            but for `exclusive`. A `Run` is called by one thread, but for `heartbeat`, `tell` and `show`.
Processes   Any number of them open the same index. A copy of a process (fork) may go on with what was open.
Ids         Ids of tasks grow in the order of commits and are never used twice: what is new is what has a higher id.
Rows        A task has one row. It is done or failed; nothing in the index says that a task is running.
Leases      A run that lives has a lease on what it claims. Its lease falls when it ends, when its process is proven
            dead, or when its heartbeat has stopped for long (`memento.index.lease`). Whoever then claims the tasks gets
            them. A late commit of a lost lease is dropped for tasks that are done, and taken for those that are not.
Statuses    A run's record says how it ended, or nothing. "running" and "died" follow from its lease, on reading.
Commits     On return of `commit` and of all that changes rows, what was written survives a loss of power. Claims,
            heartbeats, events and activities need not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memento.clock import Clock
from memento.index.lease import KEY, Leases
from memento.index.types import Narrow, QueryFailed
from memento.records import DONE, Attempt, CodeVersion, Known, RunInfo, RunRecord, TaskRecord, Warned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.index.declared_values import Declared, Item
    from memento.index.run_contract import Run

    # isort: off
    # fmt: off
    from memento.index.types import (
        Activity, Answer, Checked, Command, Event, History, Living, Names, Outlines, Renamed, SetBack, Sought, Standing,
        Table, View,
    )
    # fmt: on
    # isort: on


class Index(ABC):
    """A store's records.

    Attributes
    ----------
    notes : list of str
        What a person should know of the opening, like what could not be saved of a damaged index.
    readonly : bool
        Whether nothing may be written.
    clock : Clock
        Where time comes from.
    leases : Leases
        Tells which runs live.
    """

    notes: list[str]
    readonly: bool
    clock: Clock

    @cached_property
    def leases(self) -> Leases:
        """Which runs live; made when somebody asks."""
        return Leases(self.clock)

    # --- opening ---------------------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def exists(cls, address: str) -> bool:
        """Whether there is an index of this kind: in this folder, or at this address of a database."""

    @classmethod
    @abstractmethod
    def open(cls, address: str, *, create: bool, readonly: bool, clock: Clock) -> Index:
        """Open the index in a store's folder, or at an address; a damaged file is rebuilt, unless `readonly`.

        Raises
        ------
        NotAStore, StoreTooNew, StoreDamaged, StoreUnwritable
            As of `Store.open`.
        """

    @classmethod
    def rebuild(cls, address: str, clock: Clock) -> list[str] | None:  # noqa: ARG003 - a file needs them
        """Rebuild an index that is known to be damaged; return notes for people, None where a run is at work on it.

        A database that sees to that itself, or has backups, does nothing here.
        """
        return []

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent."""

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def is_gone(self) -> bool:
        """Whether the index was removed or moved while it was open."""

    def home(self, offered: str = "") -> str:
        """Return what is noted of the folder with the values, first `offered`; an index in it notes nothing."""
        return ""

    # --- tasks: one scan -------------------------------------------------------------------------------

    @abstractmethod
    def known(self, experiment: str) -> Iterator[Known]:
        """Yield a narrow record of each task of an experiment; of one that comes twice the later one counts."""

    def known_columns(self, experiment: str) -> Iterator[tuple[Sequence[Any], ...]]:
        """Yield the same in pieces of columns: keys, ids, whether done (0 or 1), codes; what planning needs.

        What is committed after the last scan of an experiment is news to a run of it that begins from this index.
        """
        known = list(self.known(experiment))
        if known:
            keys, ids, statuses, codes, _ = zip(*known, strict=True)
            yield keys, ids, [int(status == DONE) for status in statuses], codes

    # --- tasks: in bulk --------------------------------------------------------------------------------

    @abstractmethod
    def records(self, ids: Iterable[int]) -> Iterator[TaskRecord]:
        """Yield the tasks with these ids, in the order given; ids that are gone are left out."""

    def record(self, number: int) -> TaskRecord:
        """Return the task with this id; KeyError where there is none any more."""
        for record in self.records([number]):
            return record
        raise KeyError(number)

    @abstractmethod
    def ids(
        self, experiment: str | None = None, *, status: str | None = None, limit: int | None = None
    ) -> list[int]:
        """Return the ids of tasks, the newest first."""

    def ids_of_keys(self, first: bytes, last: bytes) -> list[int]:
        """Return the ids of the tasks whose keys lie between two keys, both included, the oldest first."""
        return [record.id for record in self._all() if first <= record.key <= last]

    def ids_of_file(self, ref: str | None) -> list[int]:
        """Return the ids of the tasks whose value is a payload file: this one, or any where none is named."""
        files = [(record.id, record.value.ref) for record in self._all() if record.value is not None]
        return [number for number, file in files if file is not None and ref in (None, file)]

    def recent(
        self, experiment: str | None = None, *, status: str | None = None, limit: int | None = None
    ) -> list[TaskRecord]:
        """Return tasks, the newest first."""
        return list(self.records(self.ids(experiment, status=status, limit=limit)))

    def seek(self, sought: Sought) -> Iterator[Narrow]:
        """Yield the tasks that are looked for, the newest first; the caller may stop, and may work between two.

        None is left out. Of `texts` and `lacks` others may come too: whoever asks looks at the parameters himself.
        """
        for number in self.ids(sought.experiment, status=sought.status):
            yield from (Narrow.of(record) for record in self.records([number]) if sought.may_be(record))

    def find(self, prefix: str) -> list[TaskRecord]:
        """Return the tasks whose key begins with these hexadecimal digits; ValueError where they are none."""
        digits = prefix.lower()
        if len(digits) > 2 * KEY or digits.strip("0123456789abcdef"):
            raise ValueError(f"{prefix!r} is no beginning of a key: give up to 32 hexadecimal digits.")
        first, last = (bytes.fromhex(digits.ljust(2 * KEY, digit)) for digit in "0f")
        return list({record.key: record for record in self.records(self.ids_of_keys(first, last))}.values())

    def _all(self) -> Iterator[TaskRecord]:
        """Yield all tasks, the oldest first."""
        return self.records(sorted(self.ids()))

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        """Yield how tasks went, and what they returned if asked, as columns, about a thousand at a time.

        Ids ascend, each once; those that are gone are left out. Each piece is in the order of its ids; of each thousand
        those that are alike may come first. Raises PayloadDamaged where a row is not what was written.
        """
        from memento.index.outlines import outlines_of

        for start in range(0, len(ids), 1_000):
            records = list(self.records(ids[start : start + 1_000]))
            if records:
                counts = [len(self.metrics(record)) for record in records]
                yield outlines_of(records, counts, values=values)

    def ids_of_run(self, run: int) -> list[int]:
        """Return the ids of the tasks that a run has computed last, ascending."""
        return [record.id for record in self._all() if record.run == run]

    def written(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        """Yield id, parameters and settings (JSON) of tasks, in no order; ids ascend, and others may come too."""
        return ((record.id, record.params, record.settings) for record in self.records(ids))

    @abstractmethod
    def attempts(self, key: bytes) -> list[Attempt]:
        """Return all finished attempts at a task, oldest first; the last one made the task what it is.

        Those that were interrupted are among them where a later one went on from their checkpoint, up to its save.
        """

    def warnings(self, first: int, last: int) -> dict[int, tuple[Warned, ...]]:
        """Return what the tasks with ids from `first` to `last` warned of; those that did not are left out."""
        return {r.id: r.warnings for r in self._all() if first <= r.id <= last and r.warnings}

    def all_returned_nothing(self, ids: Sequence[int]) -> int:
        """Return how many of these tasks are done, if none returned, recorded or kept anything; else 0."""
        done = [record for record in self.records(ids) if record.status == DONE]
        kept = (
            record.value is None
            or record.value.type != "builtins:NoneType"
            or record.artifacts
            or self.metrics(record)
            for record in done
        )
        return 0 if any(kept) else len(done)

    @abstractmethod
    def metrics(self, record: TaskRecord) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return a task's metrics: name -> x and y; PayloadDamaged where they are not what was written."""

    def last_metrics(
        self, ids: Sequence[int]
    ) -> Iterator[dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Yield the last values of metrics as columns, in pieces: name -> ids, last values; `ids` ascend.

        Raises PayloadDamaged where one is not what was written.
        """
        from memento.index.outlines import last_values

        yield last_values(self.curves(ids))

    def curves(
        self, ids: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]]:
        """Yield id and `metrics` of the tasks that have any, by ids that ascend; raises PayloadDamaged."""
        each = ((record.id, self.metrics(record)) for record in self.records(ids))
        return ((number, series) for number, series in each if series)

    def parameters(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Return the parameters (JSON) of the tasks with these keys, in one look at all tasks."""
        wanted = set(keys)
        return {record.key: record.params for record in self._all() if record.key in wanted}

    def runtimes(self, experiment: str, limit: int) -> list[tuple[str, float]]:
        """Return parameters (JSON) and seconds of the newest done tasks."""
        return [(r.params, r.runtime) for r in self.recent(experiment, status=DONE, limit=limit)]

    def latest_of_others(self, experiment: str, limit: int) -> list[tuple[bytes, str, int]]:
        """Return key, experiment and code of the newest results of all other experiments."""
        found = [(r.key, r.experiment, r.code) for r in self.recent() if r.experiment != experiment]
        return found[:limit]

    # --- experiments, versions of the code, runs -------------------------------------------------------

    @abstractmethod
    def experiments(self) -> list[tuple[str, int, int]]:
        """Return each experiment's name and how many of its tasks are done and failed."""

    def names_of_experiments(self) -> list[str]:
        """Return the name of each experiment, in the order of `experiments`."""
        return [name for name, _, _ in self.experiments()]

    @abstractmethod
    def axes(self, experiment: str) -> list[tuple[str, list[tuple[Any, Item | None]]]]:
        """Return an experiment's parameters, each with its values, in the order of its matrices.

        Values are JSON's; those that are more than that come with what is told of them.
        """

    def labels(self, experiment: str) -> dict[str, dict[str, str]]:
        """Return the labels of values by the readable JSON of these, for each parameter that has some."""
        from memento.index.declared_values import labels_in

        return labels_in(self.axes(experiment))

    @abstractmethod
    def relabel(self, experiment: str, axes: Sequence[Declared]) -> None:
        """Note the labels that values have now; writes nothing where that is known."""

    @abstractmethod
    def order(self, experiment: str) -> bytes:
        """Return the first 8 bytes of keys in the order of their tasks; none where that follows from the values."""

    @abstractmethod
    def codes(self, ids: Iterable[int]) -> dict[int, CodeVersion]:
        """Return versions of the code by id, each with all functions of its parts."""

    @abstractmethod
    def codes_seen(self, ids: Iterable[int]) -> dict[int, tuple[float, int | None]]:
        """Return when versions were seen first (UTC seconds), and by which run; None where it computed nothing."""

    def results_of_codes(self, experiment: str) -> dict[int, int]:
        """Return how many results each version computed."""
        from collections import Counter

        return dict(Counter(record.code for record in self.recent(experiment, status=DONE)))

    @abstractmethod
    def history(self, experiment: str) -> History:
        """Return what is known of the versions of an experiment's code."""

    @abstractmethod
    def note_codes(
        self,
        experiment: str,
        fresh: Iterable[CodeVersion],
        current: Iterable[bytes],
        stale: Iterable[tuple[int, bytes]],
        run: int | None,
    ) -> None:
        """Add versions, and note by which ones the results of others would be computed now.

        `fresh` may be new; `current` are digests of versions that would compute their own results now, `stale` ids of
        versions, each with the digest of one that would compute its results now, in place of what was noted of it;
        `run` has seen them, where it computes something. The experiment is made where it is new.
        """

    @abstractmethod
    def adopt(
        self, experiment: str, changes: Iterable[tuple[int, int]], who: str, verified: int, results: int
    ) -> None:
        """Note that somebody accepts changes; see `Versions.adopt`. Idempotent."""

    @abstractmethod
    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return the runs, the newest first."""

    def run(self, number: int) -> RunRecord | None:
        """Return one of them."""
        return next((run for run in self.runs() if run.id == number), None)

    @abstractmethod
    def names_of_runs(self) -> dict[int, str]:
        """Return the name of each run by its id."""

    def counts_of_runs(self, runs: Collection[int]) -> dict[int, tuple[int, int, float]]:
        """Return how many rows of runs are done and failed, and when the last task ended; nothing of runs without."""
        counts: dict[int, tuple[int, int, float]] = {}
        for record in self._all():
            if record.run in runs:
                done, failed, last = counts.get(record.run, (0, 0, 0.0))
                is_done, ended = record.status == DONE, record.started + record.runtime
                counts[record.run] = done + is_done, failed + (not is_done), max(last, ended)
        return counts

    def counted(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """Return runs with what the rows say of those that have not told it themselves: they go on, or died."""
        untold = [run.id for run in runs if "done" not in run.counts]
        found = self.counts_of_runs(untold) if untold else {}
        told = []
        for run in runs:
            if "done" not in run.counts:
                done, failed, last = found.get(run.id, (0, 0, 0.0))
                ended = None if run.ended is None else max(run.ended, last)
                run = run._replace(counts={**run.counts, "done": done, "failed": failed}, ended=ended)
            told.append(run)
        return told

    @abstractmethod
    def living(self) -> Living:
        """Return the runs that hold a lease and are not dead, and their claims."""

    # --- writing ---------------------------------------------------------------------------------------

    @abstractmethod
    def begin(
        self, info: RunInfo, cached: int = 0, committed: Callable[[Collection[bytes]], None] | None = None
    ) -> Run:
        """Note that a run begins; leases of the dead fall.

        Parameters
        ----------
        info : RunInfo
            Who it is.
        cached : int
            How many of its tasks are done already.
        committed : callable, optional
            Called with the keys of tasks whose results are durable.
        """

    @abstractmethod
    def forget(self, keys: Iterable[bytes]) -> int:
        """Remove tasks as if they had never run; return how many there were."""

    @abstractmethod
    def retry(self, keys: Collection[bytes] | None, experiment: str | None) -> list[TaskRecord]:
        """Let failed tasks (None: any) count as not computed, failures as attempts; return them as they were."""

    @abstractmethod
    def set_back(self, experiment: str | None = None) -> list[SetBack]:
        """Return the tasks without a row whose last attempt failed, the newest last; not those that a live run had."""

    @abstractmethod
    def discard(self, ids: Iterable[int], *, unless_living: bool = False) -> list[int]:
        """Remove rows, so that their tasks count as not computed; return those that were there.

        None goes `unless_living` where a run lives.
        """

    @abstractmethod
    def rename(self, old: str, new: str, folders: Container[bytes]) -> Renamed:
        """Move an experiment's rows to another name, and with it to other keys.

        Keys in `folders` are noted with their new keys in the same transaction, until `moved`.

        Raises
        ------
        CannotRename
            There is no such experiment, the names are the same, or a run of one of them is alive.
        """

    @abstractmethod
    def moves(self) -> list[tuple[bytes, bytes]]:
        """Return the old and new keys of renamed tasks whose folders have yet to follow."""

    @abstractmethod
    def moved(self, keys: Iterable[bytes]) -> None:
        """Note that the folders of these old keys have followed."""

    # --- maintenance -----------------------------------------------------------------------------------

    @abstractmethod
    def exclusive(self) -> AbstractContextManager[Living]:
        """Keep others from beginning, claiming and committing; the same thread may read meanwhile.

        For a moment only: they wait. Gives who lives.
        """

    def has(self, number: int) -> bool:
        """Whether there is a row with this id."""
        return any(True for _ in self.records([number]))

    @abstractmethod
    def names(
        self, keys: Container[bytes], files: Container[str], after: int = 0, without: Container[int] = ()
    ) -> Names:
        """Return what rows with ids above `after` name, of these keys and files, and all steps, as of one moment.

        As if rows with ids in `without` were gone.
        """

    def faults(self) -> list[str]:
        """Check the index as a whole; return what is wrong, for people."""
        return []

    def check(self) -> Iterator[Checked]:
        """Yield the row of each task, with what is wrong with it."""
        from memento.index.types import Checked

        for r in self._all():
            yield Checked(r.id, r.key.hex(), r.experiment, r.params, "", "row", r.value, r.artifacts)

    def strays(self, *, remove: bool = False) -> int:
        """Return how much is kept that belongs to no task; remove it if asked."""
        return 0

    @abstractmethod
    def log_ends(self) -> dict[str, int]:
        """Return up to where rows say that files of logs go."""

    @abstractmethod
    def forget_log(self, file: str, size: int) -> None:
        """Let rows name no output in a file of logs that lies beyond its end."""

    # --- questions in SQL: an index that answers none need not do more than this ------------------------

    def views(self) -> list[View]:
        """Return what `query` may ask for: the same names and columns of every index that answers."""
        return []

    def query(self, statement: str, seconds: float, limit: int | None = None) -> Table:
        """Answer one statement of SQL that reads the `views`; whatever it says, nothing is changed.

        Within so many seconds, and with bounds on memory; a run that writes meanwhile is not held up for longer. The
        first `limit` rows. Raises QueryFailed, also where an index answers no SQL.
        """
        raise QueryFailed("this store's index answers no SQL.", "`memento ls --json` lists what it has.")

    # --- commands and events ---------------------------------------------------------------------------

    @abstractmethod
    def send(self, command: Command) -> int:
        """Give a command to runs that go on; return its id."""

    @abstractmethod
    def answers(self, command: int) -> list[Answer]:
        """Return what runs said to a command."""

    @abstractmethod
    def events(self, run: int, after: int = 0) -> list[Event]:
        """Return what happened in a run, the oldest first: events with ids above `after`."""

    @abstractmethod
    def activity(self, run: int) -> tuple[float, list[Activity], Standing | None]:
        """Return when a run that goes on told of itself (UTC seconds; 0.0: never), what workers were at, how far."""
