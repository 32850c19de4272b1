"""Read a store: tasks, values, metrics, logs, runs.

Knows: the index, payload files. May not know: matrices, executors, who reads; how anything is written.

Threads: every method may be called from any thread; a reader holds no lock while its caller works.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

from memento.clock import Clock
from memento.errors import MementoError, PayloadDamaged, ValueUnreadable
from memento.layout import LOGS, Layout
from memento.store import sql
from memento.store.database import Database

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from memento.records import Attempt, CodeVersion, Known, RunRecord, TaskRecord, Warned
    from memento.store.axes import Item
    from memento.store.board import Working
    from memento.store.bulk import Outlines
    from memento.store.liveness import Liveness, Process
    from memento.store.versions import Versions
    from memento.values.payloads import PayloadDir

_SCAN = 32_768  # ids read at once by a scan: no cursor stays open while the caller works
_BULK = 8_192  # records read at once
_PIECE = 1_024  # rows turned into columns at once: so few are still in the processor's cache
_KINDS = 3  # of tasks in one piece that are read apart: each is one more look at the index
_DENSE = 2  # read a whole range of ids where at most so many rows are read for each one wanted


class Reader:
    """What can be asked of a store that is open; `Store` is made of it.

    What a run needs whose results are all there stands here; the rest is imported where it is asked for.

    Attributes
    ----------
    root : str
        The folder.
    path : Path
        The same.
    trusted : bool
        Whether reading a value may unpickle it.
    mmap : bool
        Whether large arrays are served from their mapped files instead of copies.
    """

    mmap = False

    def __init__(self, root: str, database: Database, trusted: bool, clock: Clock) -> None:
        self.root = root
        self.trusted = trusted
        self._database = database
        self._clock = clock
        self._scanned: dict[str, int] = {}  # experiment -> the highest id before its last scan began
        self._experiments: dict[int, str] = {}
        self._settings: dict[int, str] = {}
        self._provenance: dict[int, dict[str, Any]] = {}

    @cached_property
    def path(self) -> Path:
        """The folder."""
        from pathlib import Path  # 4 ms

        return Path(self.root)

    @property
    def is_gone(self) -> bool:
        """Whether the folder was removed or moved while it was open."""
        return not os.path.exists(self._database.location)

    @cached_property
    def _live(self) -> Liveness:
        from memento.store.liveness import Liveness

        return Liveness(self._clock)

    # --- tasks -----------------------------------------------------------------------------------------

    def known(self, experiment: str) -> Iterator[Known]:
        """Yield one narrow record for each task of an experiment, in one scan.

        A task that another run commits during the scan may come twice; the later one counts.
        """
        from memento.records import Known

        for found in self._known_rows(experiment, sql.KNOWN_AFTER, list):
            yield from map(Known._make, found)

    def known_columns(self, experiment: str) -> Iterator[tuple[Sequence[Any], ...]]:
        """Yield the same in pieces of columns: keys, ids, whether done (0 or 1), codes; what planning needs."""
        # One flat list: rows that are kept as tuples are what the garbage collector looks at again and again.
        for flat in self._known_rows(experiment, sql.KNOWN_COLUMNS_AFTER, _flat):
            if flat:
                yield tuple(flat[column::4] for column in range(4))

    def _known_rows(
        self, experiment: str, statement: str, take: Callable[[Iterable[Any]], list[Any]]
    ) -> Iterator[list[Any]]:
        number = self._experiment(experiment)
        after, last = 0, self._last_task()
        self._scanned[experiment] = last
        if number is None:
            return
        while after < last:
            upto = min(after + _SCAN, last)
            with self._database.explaining():
                found = take(self._database.connection().execute(statement, (after, upto, number)))
            yield found
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
        from memento.store import rows

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

    def written(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        """Yield id, parameters and settings of tasks, as the JSON that stands in the index, in no order.

        Parameters
        ----------
        ids : sequence of int
            In ascending order; others that lie between them may come too.
        """
        for start in range(0, len(ids), _BULK):
            yield from self._tasks(ids[start : start + _BULK], sql.WRITTEN_IN_ID_RANGE, sql.WRITTEN_BY_ID)

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        """Yield how tasks went, and their values if asked, as columns, about a thousand at a time.

        Each piece is in the order of its ids. With values, of each thousand tasks those that are alike come first.

        Parameters
        ----------
        ids : sequence of int
            In ascending order, each once; ids that are gone are left out.
        values : bool
            Whether to load what the tasks returned; an `Unreadable` stands for what cannot be loaded.

        Raises
        ------
        PayloadDamaged
            A row is not what was written.
        """
        from memento.store.bulk import outlines

        for start in range(0, len(ids), _PIECE):
            part = ids[start : start + _PIECE]
            if values:
                yield from self._with_values(part)
            else:
                found = self._tasks(part, sql.OUTLINES_IN_ID_RANGE, sql.OUTLINES_BY_ID)
                yield outlines(_only(part, found), None, self.trusted)

    def _with_values(self, ids: Sequence[int]) -> Iterator[Outlines]:
        """Read tasks kind by kind, and then what is of no kind, or of one kind too many."""
        from memento.store.bulk import Kind, alike, outlines

        rest, dense = ids, _DENSE
        for _ in range(_KINDS):
            kinds = self._tasks(rest, sql.KIND_IN_ID_RANGE, sql.KIND_BY_ID, dense=1)
            if not kinds:
                break
            kind = Kind._make(kinds[0])
            found = self._tasks(
                rest, sql.ALIKE_IN_ID_RANGE, sql.ALIKE_BY_ID, kind.summed, kind.type, dense=dense
            )
            piece = alike(_only(rest, found), kind, self.payloads, self.trusted)
            if piece is None:
                break
            yield piece
            if len(piece.ids) == len(rest):
                return
            rest = sorted(set(rest).difference(piece.ids.tolist()))
            dense = 1  # what lies between them has been read
        in_range, by_id = sql.OUTLINES_AND_VALUES_IN_ID_RANGE, sql.OUTLINES_AND_VALUES_BY_ID
        found = self._tasks(rest, in_range, by_id, dense=dense)
        yield outlines(_only(rest, found), self.payloads, self.trusted)

    def attempts(self, key: bytes) -> list[Attempt]:
        """Return all finished attempts at a task, oldest first; the last one made the task what it is.

        Those that were interrupted are among them where a later one went on from their checkpoint, up to its save.
        """
        from memento.store import rows

        attempts = [rows.attempt_records(row) for row in self._all(sql.ATTEMPTS, (key,))]
        ids = self._ids(sql.IDS_IN_KEY_RANGE, (key, key))
        attempts += [rows.last_attempts(record) for record in self.records(ids[-1:])]
        return rows.each_once(chain.from_iterable(attempts))

    def warnings(self, first: int, last: int) -> dict[int, tuple[Warned, ...]]:
        """Return what the tasks with ids from `first` to `last` warned of; those that did not are left out."""
        from memento.store import rows

        return {number: rows.warnings_of(text) for number, text in self._all(sql.WARNINGS, (first, last))}

    def all_returned_nothing(self, ids: Sequence[int]) -> int:
        """Return how many of these tasks are done, if none returned, recorded or kept anything; else 0."""
        done, start, size = 0, 0, 1  # most experiments tell with their first task
        while start < len(ids):
            part = json.dumps(list(ids[start : start + size]))
            ((count, empty),) = self._all(sql.RETURNED_NOTHING, (part,))
            if count != empty:
                return 0
            done, start, size = done + count, start + size, _PIECE
        return done

    def axes(self, experiment: str) -> list[tuple[str, list[tuple[Any, Item | None]]]]:
        """Return an experiment's parameters, each with its values, in the order of its matrices.

        Values are JSON's; those that are more than that come with what is told of them.
        """
        from memento.store.axes import values_of

        number = self._experiment(experiment)
        return [(name, values_of(text)) for name, text in self._all(sql.AXES, (number,))]

    def order(self, experiment: str) -> bytes:
        """Return the first 8 bytes of keys in the order of their tasks; none where that follows from the values."""
        found = self._all(sql.ORDER, (self._experiment(experiment),))
        return bytes(found[0][0]) if found else b""

    def parameters(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        """Return the parameters (JSON) of the tasks with these keys, in one look at all tasks."""
        wanted = [key.hex() for key in keys]
        return dict(self._all(sql.PARAMS_BY_KEY, (_json_texts(wanted),))) if wanted else {}

    def runtimes(self, experiment: str, limit: int) -> list[tuple[str, float]]:
        """Return parameters (JSON) and seconds of the newest done tasks."""
        return self._all(sql.RUNTIMES, (experiment, limit))

    # --- values, metrics, logs -------------------------------------------------------------------------

    @cached_property
    def payloads(self) -> PayloadDir:
        """Where large values stand."""
        from memento.values.payloads import PayloadDir

        return PayloadDir(Layout(self.root).payloads)

    def value(self, record: TaskRecord) -> Any:
        """Return what a task returned; None for one that failed.

        Raises
        ------
        PayloadDamaged
            The value is not what was written.
        UntrustedStore
            It is a pickle, and the store was opened with ``trusted=False``.
        ValueUnreadable
            Its class or library is missing here, or another version.
        MissingExtra
            A package that its format needs is not installed.
        """
        from memento.values.formats import decode

        if record.value is None:
            return None
        try:
            return decode(record.value, self.payloads, self.trusted, mmap=self.mmap)
        except (MementoError, MemoryError):
            raise
        except Exception as exc:  # unpickling runs anybody's code
            from memento.store.unreadable import here, problem_of

            kind = record.value.type
            writer = self.writer(record.run, kind)
            by = (
                f"was written by {writer}, and here is {here(kind)}"
                if writer
                else f"cannot be read by {here(kind)}"
            )
            raise ValueUnreadable(
                self.root,
                f"the value of task {record.key.hex()[:12]} cannot be loaded: {problem_of(exc)}. It is a {kind}, {by}.",
                "Read it where what it needs is installed and defined; nothing is lost.",
            ) from exc

    def readable(self, record: TaskRecord) -> tuple[bool, Any]:
        """Return whether a value can be shown without unpickling, and the value as plain data."""
        from memento.values.formats import readable

        return (False, None) if record.value is None else readable(record.value, self.payloads)

    def writer(self, run: int, type_name: str) -> str:
        """Name what wrote values of a type in this run: Python, and the type's package; "" where that is not known."""
        from memento.store import rows
        from memento.store.unreadable import writer_of

        if run not in self._provenance:
            found = self._all(sql.RUN, (run,))
            self._provenance[run] = rows.run_record(found[0]).info.provenance if found else {}
        return writer_of(self._provenance[run], type_name)

    def metrics(self, record: TaskRecord) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return a task's metrics: name -> x and y.

        Raises
        ------
        PayloadDamaged
            They are not what was written.
        """
        import numpy as np

        series = {}
        found = self._all(sql.METRICS_OF_TASK, (record.id,))
        self._check_metrics(found)
        for _, _, name, count, *_, data in found:
            both = np.frombuffer(data, dtype="<f8").astype(np.float64)
            series[name] = (both[:count], both[count:])
        return series

    def last_metrics(
        self, ids: Sequence[int]
    ) -> Iterator[dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Yield the last values of metrics as columns, about a thousand tasks at a time: name -> ids, last values.

        Parameters
        ----------
        ids : sequence of int
            In ascending order, each once; tasks without metrics are left out.

        Raises
        ------
        PayloadDamaged
            A metric is not what was written.
        """
        from memento.store.bulk import last_values

        for start in range(0, len(ids), _PIECE):
            part = ids[start : start + _PIECE]
            found = _only(part, self._tasks(part, sql.METRIC_LASTS_IN_RANGE, sql.METRIC_LASTS))
            yield last_values(found)

    def _check_metrics(self, found: Sequence[tuple[Any, ...]]) -> None:
        from memento.store import rows

        if found and not rows.metrics_are_as_written(found, found[0][1]):
            raise PayloadDamaged(
                self._database.location,
                "its metrics in the index are not what was written.",
                "Run the experiment again: this task alone is computed again.",
            )

    def log(self, record: TaskRecord | Attempt) -> bytes:
        """Return what an attempt printed, or all pieces of a task; empty where nothing was kept."""
        pieces = getattr(record, "pieces", ())
        if pieces:
            texts = map(self.log, pieces)
            # What was cut off by an interrupt in the middle of a line does not run into what comes next.
            return b"".join(text if text.endswith(b"\n") else text + b"\n" for text in texts if text)
        if record.log is None:
            return b""
        file, start, end = record.log
        try:
            with open(Layout(self.root).log(file), "rb") as stream:
                stream.seek(start)
                return stream.read(max(0, end - start))
        except FileNotFoundError:
            return b""

    def working(self) -> list[Working]:
        """Return the tasks that worker processes of live runs are at just now, with where their output begins."""
        from memento.store.board import read_board

        logs = self.path / LOGS
        return [
            entry
            for process in self._unfinished()
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
        from memento.store import rows

        found = [rows.run_record(row) for row in self._all(sql.RUNS, (-1 if limit is None else limit,))]
        dead, now = self._dead_runs(), self._clock.now()
        return [_died(run) if run.id in dead or _is_silent(run, now) else run for run in found]

    def counted(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """Return runs with what the rows say of those that have not told it themselves: they go on, or died."""
        untold = [run.id for run in runs if "done" not in run.counts]
        if not untold:
            return list(runs)
        found = {row[0]: row[1:] for row in self._all(sql.ROWS_OF_RUNS, (_json_list(untold),))}
        told = []
        for run in runs:
            if "done" not in run.counts:
                done, failed, last = found.get(run.id, (0, 0, 0.0))
                ended = None if run.ended is None else max(run.ended, last)
                run = run._replace(counts={**run.counts, "done": done, "failed": failed}, ended=ended)
            told.append(run)
        return told

    def codes(self, ids: Iterable[int]) -> dict[int, CodeVersion]:
        """Return code versions by id."""
        from memento.store.versions import read_codes

        with self._database.explaining():
            return read_codes(self._database.connection(), ids)

    def versions(self, experiment: str) -> Versions:
        """Return what is known of the versions of an experiment's code."""
        from memento.store.versions import Versions

        return Versions(self._database, self._clock, experiment)

    # --- helpers ---------------------------------------------------------------------------------------

    def _all(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        with self._database.explaining():
            return self._database.connection().execute(statement, values).fetchall()

    def _tasks(
        self, ids: Sequence[int], in_range: str, by_id: str, *more: Any, dense: int = _DENSE
    ) -> list[Any]:
        """Read rows of tasks by id: where ids are dense the whole range, with what lies between them."""
        low, high = min(ids), max(ids)
        if high - low < dense * len(ids):
            return self._all(in_range, (*more, low, high))
        return self._all(by_id, (*more, _json_list(ids)))

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
        return {process.run for process in self._unfinished() if self._live.is_dead(process)}

    def _unfinished(self) -> list[Process]:
        from memento.store.liveness import Process

        return [Process._make(row) for row in self._all(sql.UNFINISHED_RUNS)]


def _flat(rows: Iterable[Iterable[Any]]) -> list[Any]:
    return list(chain.from_iterable(rows))


def _json_list(ids: Iterable[int]) -> str:
    """Write ids as SQLite reads them."""
    return f"[{','.join(map(str, ids))}]"


def _json_texts(texts: Iterable[str]) -> str:
    """Write hexadecimal digits as SQLite reads them."""
    return f"[{','.join(f'{chr(34)}{text}{chr(34)}' for text in texts)}]"


def _only(ids: Sequence[int], found: list[Any]) -> list[Any]:
    """Return the rows of the tasks with these ids, which are in ascending order."""
    if ids[-1] - ids[0] < len(ids):
        return found
    wanted = set(ids)
    return [row for row in found if row[0] in wanted]


def _is_silent(run: RunRecord, now: float) -> bool:
    """Tell whether to show a run as died: on clocks that may differ, so good for showing only."""
    from memento import system
    from memento.store.liveness import UNSEEN_SECONDS

    return (
        run.status == "running"
        and run.info.boot_id != system.boot_identity()
        and now - run.heartbeat > UNSEEN_SECONDS
    )


def _died(run: RunRecord) -> RunRecord:
    return run._replace(status="died", ended=run.heartbeat)
