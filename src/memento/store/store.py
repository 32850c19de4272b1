"""Open a store, begin runs in it, take back what is in it; one folder, one unit, at home wherever it is moved.

Knows: the folder's layout, the index, payload files. May not know: matrices, executors; how it is read (`reading`).

    memento-store/
        index.sqlite     everything but large values: runs, tasks, attempts, metrics (tables in `sql`)
        payloads/        values, content-addressed      checkpoints/   in-progress states
        logs/            what tasks printed             artifacts/     files that tasks kept
        work/            tasks' own folders             steps/         shared steps
        .gitignore       "*"

Threads: every method may be called from any thread.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import PayloadDamaged, StoreUnwritable
from memento.layout import CHECKPOINTS
from memento.store import opening, sql
from memento.store.database import Database
from memento.store.reading import Reader

if TYPE_CHECKING:
    from memento.records import RunInfo, TaskRecord
    from memento.store.garbage import Collected
    from memento.store.renaming import Renamed
    from memento.store.run import Run


class Store(Reader):
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

    def __init__(self, root: str, database: Database, trusted: bool, clock: Clock, notes: list[str]) -> None:
        super().__init__(root, database, trusted, clock)
        self.notes = notes

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        trusted: bool = True,
        readonly: bool = False,
        mmap: bool = False,
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
        mmap : bool
            Serve large arrays from their mapped files, verified, instead of copies in memory; what is changed in
            them stays in this process.
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
        root = os.path.abspath(path)
        database, notes = opening.open_index(root, create=create and not readonly, readonly=readonly)
        store = cls(root, database, trusted, clock, notes)
        store.mmap = mmap
        return store

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- writing ---------------------------------------------------------------------------------------

    def begin(self, info: RunInfo, cached: int = 0) -> Run:
        """Note that a run begins, and return its pen.

        Runs that died are marked so, and their claims are released.

        Parameters
        ----------
        info : RunInfo
            Who it is.
        cached : int
            How many of its tasks were there already.
        """
        from memento import faultpoints
        from memento.store import rows
        from memento.store.renaming import finish_moves
        from memento.store.run import Run

        finish_moves(self.root, self._database)
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
            connection.execute(sql.ADD_RUN, (number, *rows.run_values(info, name, experiment, now, cached)))
            last = connection.execute(sql.LAST_TASK).fetchone()[0]
        faultpoints.at("run.begun")
        # What others committed since this store was last scanned is news to the plan that came of the scan.
        seen = self._scanned.get(info.experiment, last)
        return Run(self._database, self._clock, number, name, experiment, seen, self._live)

    def forget(self, keys: Iterable[bytes]) -> int:
        """Remove tasks as if they had never run; returns how many there were.

        A task that a run is at just now is computed on, and its result kept. Payload files stay until `gc`: other
        tasks may share them.

        Parameters
        ----------
        keys : iterable of bytes
            The tasks.
        """
        from memento.store.run import drop_tasks

        wanted = set(keys)
        with self._database.writing() as connection:
            doomed = [number for key, number in connection.execute(sql.KEYS_AND_IDS) if key in wanted]
            drop_tasks(connection, doomed, keep_attempts=False)
            connection.executemany(sql.DROP_ATTEMPTS, [(key,) for key in wanted])
        self._drop_states(wanted)
        return len(doomed)

    def rename(self, old: str, new: str) -> Renamed:
        """Move an experiment's results to another name, with their artifacts and checkpoints; nothing is run.

        Parameters
        ----------
        old, new : str
            Names of experiments.

        Returns
        -------
        Renamed
            How many tasks moved, and how many stay, since the new name has a result of its own for them.

        Raises
        ------
        CannotRename
            There is no such experiment, or a run of one of them is at work.
        """
        from memento.store.renaming import finish_moves, rename

        renamed = rename(self.root, self._database, self._live, old, new)
        finish_moves(self.root, self._database)
        return renamed

    def latest_of_others(self, experiment: str, limit: int) -> list[tuple[bytes, str, int]]:
        """Return key, experiment and code of the newest results of all other experiments."""
        return self._database.connection().execute(sql.LATEST_OF_OTHERS, (experiment, limit)).fetchall()

    def retry(
        self,
        keys: Iterable[bytes] | None = None,
        experiment: str | None = None,
        *,
        from_scratch: bool = False,
    ) -> list[TaskRecord]:
        """Let tasks that failed count as not computed yet; their failures are kept as attempts.

        Parameters
        ----------
        keys : iterable of bytes, optional
            Only these; those of them that did not fail are left alone.
        experiment : str, optional
            Only this experiment's.
        from_scratch : bool
            Remove their checkpoints too, so that they do not go on from where they failed.

        Returns
        -------
        list of TaskRecord
            The tasks, as they were.
        """
        from memento.store.run import drop_tasks

        wanted = None if keys is None else set(keys)
        with self._database.writing() as connection:
            found = connection.execute(sql.FAILED_TASKS, {"experiment": experiment}).fetchall()
            ids = [number for number, key in found if wanted is None or key in wanted]
            retried = list(self.records(ids))
            drop_tasks(connection, ids, keep_attempts=True)
        if from_scratch:
            self._drop_states({record.key for record in retried})
        return retried

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
        from memento.store.run import drop_tasks

        if self._database.readonly:
            with Store.open(self.path, create=False, trusted=self.trusted, clock=self._clock) as writable:
                writable.discard(record, reason)
            return
        with self._database.writing() as connection:
            if not connection.execute(sql.HAS_TASK, (record.id,)).fetchone():
                return
            drop_tasks(connection, [record.id], keep_attempts=False)
        if record.value is not None and record.value.ref is not None:
            self.payloads.set_aside(
                record.value.ref, f"{record.experiment} {record.key.hex()} {record.params}\n{reason}\n"
            )

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

    def gc(self, *, dry_run: bool = False, damaged: bool = False, unfinished: bool = False) -> Collected:
        """Remove what no row names any more; safe beside runs, which keep what they may be about to name.

        Parameters
        ----------
        dry_run : bool
            Only say what would go.
        damaged : bool
            Also what was set aside as damaged.
        unfinished : bool
            Also checkpoints and folders of tasks that are not done: they will begin anew.
        """
        from memento.store.garbage import Collector
        from memento.store.renaming import finish_moves

        if not dry_run:
            finish_moves(self.root, self._database)
        collector = Collector(self.path, self._database, self._live, self._clock)
        return collector.collect(dry_run=dry_run, damaged=damaged, unfinished=unfinished)

    # --- helpers ---------------------------------------------------------------------------------------

    def _drop_states(self, keys: set[bytes]) -> None:
        """Remove checkpoints, but for those of tasks that a run is at."""
        import shutil  # 2 ms, which a cached run need not spend

        from memento.store.liveness import claimed, running

        with self._database.writing(durable=False) as connection:  # nobody claims them meanwhile
            for key in keys - claimed(connection, running(connection, self._live)):
                folder = self.path / CHECKPOINTS / key.hex()
                try:
                    shutil.rmtree(folder)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise StoreUnwritable(
                        str(folder), f"the checkpoint cannot be removed ({error.strerror})."
                    ) from error


def _run_name(now: float, pid: int, number: int) -> str:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{stamp}-{pid}-{number:04x}"
