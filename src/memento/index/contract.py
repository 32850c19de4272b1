"""What a store's records must be able to do, wherever they are kept; `memento.testing.index_contract` tests it.

Long because it is one page to read for whoever writes another index.

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
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memento.clock import Clock
from memento.index.lease import KEY, Leases
from memento.index.types import Narrow, QueryFailed
from memento.records import DONE, Attempt, CodeVersion, Known, RunInfo, RunRecord, TaskRecord, TaskRow, Warned

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.index.declared_values import Declared, Item

    # isort: off
    # fmt: off
    from memento.index.types import (
        Activity, Answer, Brought, Checked, Claim, Command, Committed, Event, History, Living, Names, Numbers,
        OfRuns, Outlines, Renamed, SetBack, Sought, Standing, Table, View,
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
    @abstractmethod
    def rebuild(cls, address: str, clock: Clock) -> list[str] | None:
        """Rebuild an index that is known to be damaged; return notes for people, None where a run is at work on it."""

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

    @abstractmethod
    def ids_of_keys(self, first: bytes, last: bytes) -> list[int]:
        """Return the ids of the tasks whose keys lie between two keys, both included, the oldest first."""

    @abstractmethod
    def ids_of_file(self, ref: str | None) -> list[int]:
        """Return the ids of the tasks whose value is a payload file: this one, or any where none is named."""

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

    @abstractmethod
    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        """Yield how tasks went, and what they returned if asked, as columns, about a thousand at a time.

        Ids ascend, each once; those that are gone are left out. Each piece is in the order of its ids; of each thousand
        those that are alike may come first. Raises PayloadDamaged where a row is not what was written.
        """

    def ids_of_run(self, run: int) -> list[int]:
        """Return the ids of the tasks that a run has computed last, ascending."""
        return [record.id for record in self.records(sorted(self.ids())) if record.run == run]

    def written(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        """Yield id, parameters and settings (JSON) of tasks, in no order; ids ascend, and others may come too."""
        return ((record.id, record.params, record.settings) for record in self.records(ids))

    @abstractmethod
    def attempts(self, key: bytes) -> list[Attempt]:
        """Return all finished attempts at a task, oldest first; the last one made the task what it is.

        Those that were interrupted are among them where a later one went on from their checkpoint, up to its save.
        """

    @abstractmethod
    def warnings(self, first: int, last: int) -> dict[int, tuple[Warned, ...]]:
        """Return what the tasks with ids from `first` to `last` warned of; those that did not are left out."""

    @abstractmethod
    def all_returned_nothing(self, ids: Sequence[int]) -> int:
        """Return how many of these tasks are done, if none returned, recorded or kept anything; else 0."""

    @abstractmethod
    def metrics(self, record: TaskRecord) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return a task's metrics: name -> x and y; PayloadDamaged where they are not what was written."""

    @abstractmethod
    def last_metrics(
        self, ids: Sequence[int]
    ) -> Iterator[dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Yield the last values of metrics as columns, in pieces: name -> ids, last values; `ids` ascend.

        Raises PayloadDamaged where one is not what was written.
        """

    def curves(
        self, ids: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]]:
        """Yield id and `metrics` of the tasks that have any, by ids that ascend; raises PayloadDamaged."""
        each = ((record.id, self.metrics(record)) for record in self.records(ids))
        return ((number, series) for number, series in each if series)

    @abstractmethod
    def parameters(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Return the parameters (JSON) of the tasks with these keys, in one look at all tasks."""

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

    @abstractmethod
    def labels(self, experiment: str) -> dict[str, dict[str, str]]:
        """Return the labels of values by the readable JSON of these, for each parameter that has some."""

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

    @abstractmethod
    def results_of_codes(self, experiment: str) -> dict[int, int]:
        """Return how many results each version computed."""

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

    @abstractmethod
    def counts_of_runs(self, runs: Collection[int]) -> dict[int, tuple[int, int, float]]:
        """Return how many rows of runs are done and failed, and when the last task ended; nothing of runs without."""

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

    @abstractmethod
    def has(self, number: int) -> bool:
        """Whether there is a row with this id."""

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

    @abstractmethod
    def check(self) -> Iterator[Checked]:
        """Yield the row of each task, with what is wrong with it."""

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


class Run(ABC):
    """The only writer of one run's results. Made by `Index.begin`.

    claim ──> granted ──> (the runner works) ──> commit ──> durable, claim gone
          └─> elsewhere: another live run has it ──> news() brings its row, or waiting() lets go of it
          └─> finished: another run has done it

    Attributes
    ----------
    id : int
        The run's id.
    name : str
        Its name, unique everywhere.
    previous : dict
        Keys that will be computed again -> id of the row that a new result replaces; the plan knows them, and the
        runner sets it before it commits.
    """

    id: int
    name: str
    previous: dict[bytes, int]

    @abstractmethod
    def code(self, version: CodeVersion) -> int:
        """Return the id of a version of the code, adding it when it is new."""

    @abstractmethod
    def mixed_code(self, present: int, older: Sequence[bytes]) -> int:
        """Return the id of the version of a task that `present` ended, from a checkpoint of older ones (digests)."""

    @abstractmethod
    def declare(self, axes: Sequence[Declared], keys: bytes, follows: bool) -> list[Sequence[str]]:
        """Note this run's parameters and the order of its tasks, for whoever loads its results.

        Parameters
        ----------
        axes : sequence of Declared
            The parameters, in the matrix's order.
        keys : bytes
            The tasks' keys, in the matrix's order.
        follows : bool
            Whether that order follows from the order of the values.

        Returns
        -------
        list of sequence of str
            The readable JSON of each value as tasks are to carry it.
        """

    @abstractmethod
    def claim(self, keys: Sequence[bytes]) -> Claim:
        """Take the right to compute tasks, as far as nobody else has it or has done them.

        Give the keys of what workers will do in the next second or so; not the whole grid.
        """

    @abstractmethod
    def commit(
        self, rows: Sequence[TaskRow], failed_attempts: Sequence[tuple[bytes, TaskRow]] = ()
    ) -> Committed:
        """Append outcomes; on return they are durable, and their claims are gone.

        Parameters
        ----------
        rows : sequence of TaskRow
            At most one for each key: how the task ended. A done row is only ever replaced by a done row:
            a failure of a task that was done before is kept as an attempt.
        failed_attempts : sequence of (bytes, TaskRow)
            Attempts that failed and were, or will be, followed by another.
        """

    @abstractmethod
    def bring(self, brought: Brought) -> Numbers:
        """Note what another store tells of this run's experiment, as far as it is new; return what it is called here.

        Runs are the same whose process and start are. Idempotent.
        """

    @abstractmethod
    def absorb(self, rows: OfRuns, attempts: OfRuns, replaced: Collection[int]) -> bool:
        """Append rows that other runs have made, each with that run's id; give back the claims of their tasks.

        False where another run lives, which may have planned with what is replaced: then nothing has changed.

        At most one row for each key; codes are ids of this index, and pieces name their runs by theirs. `attempts` are
        earlier ones at these tasks, `replaced` ids of rows that go for them; failures stay as attempts.
        """

    @abstractmethod
    def release(self, keys: Iterable[bytes]) -> None:
        """Give tasks back, not computed, so that others may take them."""

    @abstractmethod
    def news(self) -> list[Known]:
        """Return what other runs have finished since this was last asked."""

    @abstractmethod
    def waiting(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return those of `keys` that other live runs still have; ask for `news` first."""

    @abstractmethod
    def heartbeat(self) -> None:
        """Renew the lease; write what was told and shown. From any thread."""

    @abstractmethod
    def finish(self, status: str, counts: dict[str, int]) -> None:
        """Note how the run ended ("done", "failed", "interrupted", "died"), and give back all claims. Idempotent."""

    @abstractmethod
    def commands(self) -> list[Command]:
        """Return the commands for this run that were sent since it began and were not returned yet."""

    @abstractmethod
    def answer(self, command: int, text: str, *, undo: str = "", done: bool = True) -> None:
        """Say what was done about a command and how to undo it, or why not; writes what was told and shown, too."""

    @abstractmethod
    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Note that something happened; written with the next commit or heartbeat. From any thread."""

    @abstractmethod
    def show(self, activities: Sequence[Activity], standing: Standing | None = None) -> None:
        """Say what workers are at, and how far the run is; the latest is written with a commit, or soon."""
