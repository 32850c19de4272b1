"""Open a store and read it; one folder, one unit, at home wherever it is moved.

Knows: the folder's layout, the index, payload files. May not know: matrices, executors, who reads.

    memento-store/
        index.sqlite     everything but large values: runs, tasks, attempts, metrics (tables in `sql`)
        payloads/        values, content-addressed      checkpoints/   in-progress states
        logs/            what tasks printed             artifacts/     files that tasks kept
        work/            tasks' own folders             steps/         shared steps
        .gitignore       "*"

Threads: every method may be called from any thread; a reader holds no lock while its caller works.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from memento import faultpoints, system
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import PayloadDamaged, StoreUnwritable
from memento.store import opening, rows, sql
from memento.store.database import Database
from memento.store.records import Attempt, CodeVersion, Known, RunInfo, RunRecord, TaskRecord
from memento.store.run import UNSEEN_SECONDS, Liveness, Process, Run, drop_tasks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.store.board import Working
    from memento.store.bulk import Outlines
    from memento.store.payloads import PayloadDir

_SCAN = 32_768  # ids read at once by a scan: no cursor stays open while the caller works
_BULK = 8_192  # records read at once
_DENSE = 2  # read a whole range of ids where at most so many rows are read for each one wanted


class Store:
    """A store that is open. Use `Store.open`, as a context manager.

    Attributes
    ----------
    path : Path
        The folder.
    trusted : bool
        Whether reading a value may unpickle it.
    notes : list of str
        What a person should know of the opening, like what could not be saved of a damaged index.
    """

    def __init__(self, path: Path, database: Database, trusted: bool, clock: Clock, notes: list[str]) -> None:
        self.path = path
        self.trusted = trusted
        self.notes = notes
        self._database = database
        self._clock = clock
        self._live = Liveness(clock)
        self._scanned: dict[str, int] = {}  # experiment -> the highest id before its last scan began
        self._experiments: dict[int, str] = {}
        self._settings: dict[int, str] = {}
        self._payloads: PayloadDir | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        trusted: bool = True,
        readonly: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Store:
        """Open a store, making it where there is none.

        Parameters
        ----------
        path : path
            The folder.
        create : bool
            Make the folder when it is missing.
        trusted : bool
            Allow values to be unpickled, which can run code.
        readonly : bool
            Write nothing, not even when something is damaged; works while a run writes.
        clock : Clock
            Where time comes from.

        Returns
        -------
        Store
            Open until `close`, or the end of its `with` block.

        Raises
        ------
        NotAStore
            The path holds something else, or nothing and it may not be made.
        StoreTooNew
            A later release wrote it.
        StoreDamaged
            The index is damaged and may not be rebuilt (`readonly`).
        StoreUnwritable
            The folder cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Store.open(folder + "/memento-store") as store:
        ...         store.experiments()
        []
        """
        root = Path(os.path.abspath(path))
        database, notes = opening.open_index(root, create=create and not readonly, readonly=readonly)
        return cls(root, database, trusted, clock, notes)

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- tasks -----------------------------------------------------------------------------------------

    def known(self, experiment: str) -> Iterator[Known]:
        """Yield one narrow record for each task of an experiment, in one scan.

        A task that another run commits during the scan may come twice; the later one counts.
        """
        for found in self._known_rows(experiment, sql.KNOWN_AFTER):
            yield from map(Known._make, found)

    def known_columns(self, experiment: str) -> Iterator[tuple[Sequence[Any], ...]]:
        """Yield the same in pieces of columns: keys, ids, whether done (0 or 1), codes; what planning needs."""
        for found in self._known_rows(experiment, sql.KNOWN_COLUMNS_AFTER):
            if found:
                yield tuple(zip(*found, strict=True))

    def _known_rows(self, experiment: str, statement: str) -> Iterator[list[Any]]:
        number = self._experiment(experiment)
        after, last = 0, self._last_task()
        self._scanned[experiment] = last
        if number is None:
            return
        while after < last:
            upto = min(after + _SCAN, last)
            yield self._all(statement, (after, upto, number))
            after = upto
            if after == last:
                last = self._last_task()  # rows that replaced ones not yet reached stand behind them

    def find(self, key_prefix_hex: str) -> list[TaskRecord]:
        """Return the tasks whose key begins with these hexadecimal digits.

        Raises
        ------
        ValueError
            It is no hexadecimal number, or longer than a key.
        """
        digits = key_prefix_hex.lower()
        if len(digits) > 32 or digits.strip("0123456789abcdef"):
            raise ValueError(
                f"{key_prefix_hex!r} is no beginning of a key: give up to 32 hexadecimal digits."
            )
        bounds = bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
        newest = {record.key: record for record in self.records(self._ids(sql.IDS_IN_KEY_RANGE, bounds))}
        return list(newest.values())

    def recent(
        self, experiment: str | None = None, *, status: str | None = None, limit: int | None = None
    ) -> list[TaskRecord]:
        """Return tasks, the newest first."""
        number = None
        if experiment is not None:
            number = self._experiment(experiment)
            if number is None:
                return []
        ids = self._ids(
            sql.RECENT, {"experiment": number, "status": status, "limit": -1 if limit is None else limit}
        )
        return list(self.records(ids))

    def record(self, number: int) -> TaskRecord:
        """Return the task with this id.

        Raises
        ------
        KeyError
            There is none (any more).
        """
        for record in self.records([number]):
            return record
        raise KeyError(number)

    def records(self, ids: Iterable[int]) -> Iterator[TaskRecord]:
        """Yield the tasks with these ids, in the order given; ids that are gone are left out."""
        wanted = [int(number) for number in ids]
        for start in range(0, len(wanted), _BULK):
            part = wanted[start : start + _BULK]
            found = self._tasks(part, sql.TASKS_IN_ID_RANGE, sql.TASKS_BY_ID)
            at = {row[0]: row for row in found}
            self._learn(found)
            for number in part:
                row = at.get(number)
                if row is not None:
                    yield rows.task_record(row, self._experiments, self._settings)

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        """Yield how tasks went, and their values if asked, as columns, some thousands at a time.

        Parameters
        ----------
        ids : sequence of int
            In ascending order, each once; ids that are gone are left out.
        values : bool
            Whether to load what the tasks returned.

        Raises
        ------
        PayloadDamaged
            A value is not what was written.
        UntrustedStore
            A value is a pickle, and the store was opened with ``trusted=False``.
        """
        from memento.store.bulk import outlines

        in_range, by_id = sql.OUTLINES_IN_ID_RANGE, sql.OUTLINES_BY_ID
        if values:
            in_range, by_id = sql.OUTLINES_AND_VALUES_IN_ID_RANGE, sql.OUTLINES_AND_VALUES_BY_ID
        for start in range(0, len(ids), _BULK):
            part = [int(number) for number in ids[start : start + _BULK]]
            found = self._tasks(part, in_range, by_id)
            if part[-1] - part[0] >= len(part):
                wanted = set(part)
                found = [row for row in found if row[0] in wanted]
            yield outlines(found, self.payloads if values else None, self.trusted)

    def attempts(self, key: bytes) -> list[Attempt]:
        """Return all finished attempts at a task, oldest first; the last one made the task what it is."""
        attempts = [rows.attempt_record(row) for row in self._all(sql.ATTEMPTS, (key,))]
        ids = self._ids(sql.IDS_IN_KEY_RANGE, (key, key))
        last = [rows.last_attempt(record) for record in self.records(ids[-1:])]
        return sorted(attempts + last, key=lambda attempt: attempt.started)

    def runtimes(self, experiment: str, limit: int) -> list[tuple[str, float]]:
        """Return parameters (JSON) and seconds of the newest done tasks."""
        return self._all(sql.RUNTIMES, (experiment, limit))

    # --- values, metrics, logs -------------------------------------------------------------------------

    @property
    def payloads(self) -> PayloadDir:
        """Where large values stand."""
        if self._payloads is None:
            from memento.store.payloads import PayloadDir

            self._payloads = PayloadDir(self.path / "payloads")
        return self._payloads

    def value(self, record: TaskRecord) -> Any:
        """Return what a task returned; None for one that failed.

        Raises
        ------
        PayloadDamaged
            The value is not what was written.
        UntrustedStore
            It is a pickle, and the store was opened with ``trusted=False``.
        """
        from memento.store.formats import decode

        return None if record.value is None else decode(record.value, self.payloads, self.trusted)

    def values(self, records: Iterable[TaskRecord]) -> Iterator[Any]:
        """Yield the values of many tasks, in their order."""
        from memento.store.formats import decode

        payloads, trusted = self.payloads, self.trusted
        for record in records:
            yield None if record.value is None else decode(record.value, payloads, trusted)

    def metrics(self, record: TaskRecord) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return a task's metrics: name -> x and y."""
        import numpy as np

        series = {}
        for name, count, data in self._all(sql.METRICS_OF_TASK, (record.id,)):
            both = np.frombuffer(data, dtype="<f8").astype(np.float64)
            series[name] = (both[:count], both[count:])
        return series

    def metric_summaries(self, ids: Sequence[int]) -> dict[int, dict[str, float]]:
        """Return the last value of each metric of many tasks."""
        lasts: dict[int, dict[str, float]] = {}
        for start in range(0, len(ids), _BULK):
            part = [int(number) for number in ids[start : start + _BULK]]
            wanted = set(part)
            for task, name, last in self._tasks(part, sql.METRIC_LASTS_IN_RANGE, sql.METRIC_LASTS):
                if task in wanted:
                    lasts.setdefault(task, {})[name] = float("nan") if last is None else last
        return lasts

    def log(self, record: TaskRecord | Attempt) -> bytes:
        """Return what an attempt printed; empty where nothing was kept."""
        if record.log is None:
            return b""
        file, start, end = record.log
        try:
            with open(self.path / "logs" / file, "rb") as stream:
                stream.seek(start)
                return stream.read(max(0, end - start))
        except FileNotFoundError:
            return b""

    def working(self) -> list[Working]:
        """Return the tasks that worker processes of live runs are at just now, with where their output begins."""
        from memento.store.board import read_board

        unfinished = [Process._make(row) for row in self._all(sql.UNFINISHED_RUNS)]
        logs = self.path / "logs"
        return [
            entry
            for process in unfinished
            if not self._live.is_dead(process)
            for folder in logs.glob(f"*-{process.pid}-{process.run:04x}")  # the end of a run's name
            for entry in read_board(logs, folder.name, process.run)
        ]

    # --- what there is ---------------------------------------------------------------------------------

    def experiments(self) -> list[tuple[str, int, int]]:
        """Return each experiment's name and how many of its tasks are done and failed."""
        return [(name, done or 0, failed or 0) for name, done, failed in self._all(sql.EXPERIMENT_COUNTS)]

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """Return the runs, the newest first; one whose process is gone reads "died"."""
        found = [rows.run_record(row) for row in self._all(sql.RUNS, (-1 if limit is None else limit,))]
        dead, now = self._dead_runs(), self._clock.now()
        return [_died(run) if run.id in dead or _is_silent(run, now) else run for run in found]

    def codes(self, ids: Iterable[int]) -> dict[int, CodeVersion]:
        """Return code versions by id."""
        found = self._all(sql.CODES, (json.dumps(sorted(ids)),))
        return {number: rows.code_version(digest, functions) for number, digest, functions in found}

    # --- writing ---------------------------------------------------------------------------------------

    def begin(self, info: RunInfo) -> Run:
        """Note that a run begins, and return its pen.

        Runs that died are marked so, and their claims are released.
        """
        now = self._clock.now()
        dead = self._dead_runs()
        with self._database.writing() as connection:
            for number in dead:
                connection.execute(sql.RUN_DIED, (number,))
                connection.execute(sql.DROP_CLAIMS_OF_RUN, (number,))
            connection.execute(sql.ADD_EXPERIMENT, (info.experiment,))
            experiment = connection.execute(sql.EXPERIMENT_ID, (info.experiment,)).fetchone()[0]
            number = connection.execute(sql.NEXT_RUN).fetchone()[0]
            name = _run_name(now, info.pid, number)
            connection.execute(sql.ADD_RUN, (number, *rows.run_values(info, name, experiment, now)))
            last = connection.execute(sql.LAST_TASK).fetchone()[0]
        faultpoints.at("run.begun")
        # What others committed since this store was last scanned is news to the plan that came of the scan.
        seen = self._scanned.get(info.experiment, last)
        return Run(self._database, self._clock, number, name, experiment, seen, self._live)

    def forget(self, keys: Iterable[bytes]) -> int:
        """Remove tasks as if they had never run; returns how many there were.

        Payload files stay until `gc`: other tasks may share them.
        """
        wanted = set(keys)
        with self._database.writing() as connection:
            doomed = [number for key, number in connection.execute(sql.KEYS_AND_IDS) if key in wanted]
            drop_tasks(connection, doomed, keep_attempts=False)
            connection.executemany(sql.DROP_ATTEMPTS, [(key,) for key in wanted])
        self._remove_states(wanted)
        return len(doomed)

    def discard(self, record: TaskRecord, reason: str) -> None:
        """Set a damaged value aside; its task counts as not done.

        Also in a store that was opened for reading: a value that is known to be wrong may not stay. Nothing
        happens where the task has been computed again meanwhile.

        Parameters
        ----------
        record : TaskRecord
            The task.
        reason : str
            What is wrong with its value; kept beside the file.
        """
        if self._database.readonly:
            with Store.open(self.path, create=False, trusted=self.trusted, clock=self._clock) as writable:
                writable.discard(record, reason)
            return
        with self._database.writing() as connection:
            if not connection.execute(sql.HAS_TASK, (record.id,)).fetchone():
                return
            drop_tasks(connection, [record.id], keep_attempts=False)
        if record.value is not None and record.value.ref is not None:
            aside = self.payloads.quarantine(record.value.ref)
            if aside is not None:
                text = f"{record.experiment} {record.key.hex()} {record.params}\n{reason}\n"
                aside.with_name(aside.name + ".why").write_text(text, encoding="utf-8")

    def discard_payload(self, ref: str, reason: str) -> None:
        """Set a payload aside that somebody found damaged; the tasks that have it as their value count as not done.

        Parameters
        ----------
        ref : str
            The file's name, relative to ``payloads``.
        reason : str
            What is wrong with it.
        """
        try:
            self.payloads.read(ref, map_file=True)
        except PayloadDamaged:
            for record in self.records(self._ids(sql.IDS_WITH_PAYLOAD, (ref,))):
                self.discard(record, reason)

    # --- helpers ---------------------------------------------------------------------------------------

    def _all(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        with self._database.explaining():
            return self._database.connection().execute(statement, values).fetchall()

    def _tasks(self, ids: Sequence[int], in_range: str, by_id: str) -> list[Any]:
        """Read rows of tasks by id: where ids are dense the whole range, with what lies between them."""
        low, high = min(ids), max(ids)
        if high - low < _DENSE * len(ids):
            return self._all(in_range, (low, high))
        return self._all(by_id, (json.dumps(ids),))

    def _ids(self, statement: str, values: Sequence[Any] | dict[str, Any]) -> list[int]:
        return [number for (number,) in self._all(statement, values)]

    def _last_task(self) -> int:
        return int(self._all(sql.LAST_TASK)[0][0])

    def _experiment(self, name: str) -> int | None:
        found = self._all(sql.EXPERIMENT_ID, (name,))
        return int(found[0][0]) if found else None

    def _learn(self, found: Iterable[tuple[Any, ...]]) -> None:
        """Look up names of experiments and settings of runs that these rows are the first to mention."""
        for number in {row[4] for row in found} - self._settings.keys():
            settings = self._all(sql.RUN_SETTINGS, (number,))
            self._settings[number] = settings[0][0] if settings else "{}"
        if any(row[2] not in self._experiments for row in found):
            self._experiments.update(self._all(sql.EXPERIMENT_NAMES))

    def _dead_runs(self) -> set[int]:
        unfinished = [Process._make(row) for row in self._all(sql.UNFINISHED_RUNS)]
        return {process.run for process in unfinished if self._live.is_dead(process)}

    def _remove_states(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            folder = self.path / "checkpoints" / key.hex()
            try:
                shutil.rmtree(folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StoreUnwritable(
                    str(folder), f"the checkpoint cannot be removed ({error.strerror})."
                ) from error


def _is_silent(run: RunRecord, now: float) -> bool:
    """Tell whether to show a run as died: on clocks that may differ, so good for showing only."""
    return (
        run.status == "running"
        and run.info.boot_id != system.boot_identity()
        and now - run.heartbeat > UNSEEN_SECONDS
    )


def _died(run: RunRecord) -> RunRecord:
    return replace(run, status="died", ended=run.heartbeat)


def _run_name(now: float, pid: int, number: int) -> str:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{stamp}-{pid}-{number:04x}"
