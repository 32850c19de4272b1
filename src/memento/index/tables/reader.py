"""Read an index: tasks one by one and in bulk, attempts, metrics, runs, versions of the code.

Knows: the tables, how rows become records and columns. May not know: how anything is written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from memento.clock import Clock
from memento.errors import PayloadDamaged
from memento.index.contract import Index
from memento.index.lease import KEY
from memento.index.types import Activity, Answer, Event, History, Living, Outlines, Owner, Standing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.index.declared_values import Item
    from memento.index.tables.base import Database
    from memento.index.types import Narrow, Sought
    from memento.records import Attempt, CodeVersion, Known, RunRecord, TaskRecord, Warned

_SCAN = 32_768  # ids read at once by a scan: no cursor stays open while the caller works
_BULK = 8_192  # records read at once
_PIECE = 1_024  # rows turned into columns at once: so few are still in the processor's cache
_CURVES = 64  # tasks whose metrics are in memory at once
_KINDS = 3  # of tasks in one piece that are read apart: each is one more look at the index
_ALL = sys.maxsize  # rows: as many as there are
_DENSE = 2  # read a whole range of ids where at most so many rows are read for each one wanted


class Reader(Index):
    """The half of the index that reads.

    What a run needs whose results are all there stands here; the rest is imported where it is asked for.
    """

    def __init__(self, database: Database, clock: Clock, notes: list[str]) -> None:
        self.notes, self.readonly = notes, database.readonly
        self.database, self.sql, self.clock = database, database.sql, clock
        self._scanned: dict[str, int] = {}  # experiment -> the highest id before its last scan began
        self._experiments: dict[int, str] = {}
        self._settings: dict[int, str] = {}

    # --- tasks: one scan -------------------------------------------------------------------------------

    def known(self, experiment: str) -> Iterator[Known]:
        from memento.records import Known

        for found in self._known_rows(experiment, self.sql.KNOWN_AFTER, list):
            yield from map(Known._make, found)

    def known_columns(self, experiment: str) -> Iterator[tuple[Sequence[Any], ...]]:
        # One flat list: rows that are kept as tuples are what the garbage collector looks at again and again.
        statement = self.sql.KNOWN_COLUMNS_AFTER
        for flat in self._known_rows(experiment, statement, lambda rows: list(chain.from_iterable(rows))):
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
            yield self.database.taken(take, statement, (after, upto, number))
            after = upto
            if after == last:
                last = self._last_task()  # rows that replaced ones not yet reached stand behind them

    # --- tasks: in bulk --------------------------------------------------------------------------------

    def records(self, ids: Iterable[int]) -> Iterator[TaskRecord]:
        from memento.index.tables import rows

        wanted = [int(number) for number in ids]
        for start in range(0, len(wanted), _BULK):
            part = wanted[start : start + _BULK]
            found = self._tasks(self.sql.TASKS, part)
            at = {row[0]: row for row in found}
            self._learn(found)
            for number in part:
                row = at.get(number)
                if row is not None:
                    yield rows.task_record(row, self._experiments, self._settings)

    def ids(
        self, experiment: str | None = None, *, status: str | None = None, limit: int | None = None
    ) -> list[int]:
        number = None if experiment is None else self._experiment(experiment)
        if number is None and experiment is not None:
            return []
        asked = {"experiment": number, "status": status, "limit": _ALL if limit is None else limit}
        return self._ids(self.sql.RECENT, asked)

    def seek(self, sought: Sought) -> Iterator[Narrow]:
        from memento.index.tables.seeking import seek

        return seek(self.database, sought)

    def ids_of_keys(self, first: bytes, last: bytes) -> list[int]:
        return self._ids(self.sql.IDS_IN_KEY_RANGE, (first, last))

    def ids_of_file(self, ref: str | None) -> list[int]:
        return (
            self._ids(self.sql.IDS_WITH_PAYLOADS)
            if ref is None
            else self._ids(self.sql.IDS_WITH_PAYLOAD, (ref,))
        )

    def written(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        for start in range(0, len(ids), _BULK):
            yield from self._tasks(self.sql.WRITTEN, ids[start : start + _BULK])

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        from memento.index.tables.columns import outlines

        for start in range(0, len(ids), _PIECE):
            part = ids[start : start + _PIECE]
            if values:
                yield from self._with_values(part)
            else:
                yield outlines(_only(part, self._tasks(self.sql.OUTLINES, part)))

    def _with_values(self, ids: Sequence[int]) -> Iterator[Outlines]:
        """Read tasks kind by kind, and then what is of no kind, or of one kind too many."""
        from memento.index.tables.columns import Kind, alike, outlines

        rest, dense = ids, _DENSE
        for _ in range(_KINDS):
            kinds = self._tasks(self.sql.KIND, rest, dense=1)
            if not kinds:
                break
            kind = Kind._make(kinds[0])
            shared = (kind.summed, kind.type, kind.metrics)
            found = self._tasks(self.sql.ALIKE, rest, *shared, dense=dense)
            piece = alike(_only(rest, found), kind)
            if piece is None:
                break
            yield piece
            if len(piece.ids) == len(rest):
                return
            rest = sorted(set(rest).difference(piece.ids.tolist()))
            dense = 1  # what lies between them has been read
        found = self._tasks(self.sql.OUTLINES_AND_VALUES, rest, dense=dense)
        yield outlines(_only(rest, found), values=True)

    def attempts(self, key: bytes) -> list[Attempt]:
        from memento.index.attempts import each_once, last_attempts
        from memento.index.tables import rows

        attempts = [rows.attempt_records(row) for row in self.database.all(self.sql.ATTEMPTS, (key,))]
        ids = self._ids(self.sql.IDS_IN_KEY_RANGE, (key, key))
        attempts += [last_attempts(record) for record in self.records(ids[-1:])]
        return each_once(chain.from_iterable(attempts))

    def warnings(self, first: int, last: int) -> dict[int, tuple[Warned, ...]]:
        from memento.index.tables import rows

        return {
            number: rows.warnings_of(text)
            for number, text in self.database.all(self.sql.WARNINGS, (first, last))
        }

    def all_returned_nothing(self, ids: Sequence[int]) -> int:
        done, start, size = 0, 0, 1  # most experiments tell with their first task
        while start < len(ids):
            part = self.database.listed(ids[start : start + size])
            ((count, empty),) = self.database.all(self.sql.RETURNED_NOTHING, (part,))
            if count != empty:
                return 0
            done, start, size = done + count, start + size, _PIECE
        return done

    def metrics(self, record: TaskRecord) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        return self._series(self._tasks(self.sql.METRICS, [record.id]))

    def curves(
        self, ids: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]]:
        for start in range(0, len(ids), _CURVES):
            part = ids[start : start + _CURVES]
            found = _only(part, self._tasks(self.sql.METRICS, part))
            for number, series in groupby(found, lambda row: row[0]):
                yield number, self._series(list(series))

    def _series(
        self, found: Sequence[tuple[Any, ...]]
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        import numpy as np

        from memento.index.tables import rows

        if found and not rows.metrics_are_as_written(found, found[0][1]):
            raise PayloadDamaged(
                self.database.location,
                "its metrics in the index are not what was written.",
                "Run the experiment again: this task alone is computed again.",
            )
        series = {}
        for _, _, name, count, *_, data in found:
            both = np.frombuffer(data, dtype="<f8").astype(np.float64)
            series[name] = (both[:count], both[count:])
        return series

    def last_metrics(
        self, ids: Sequence[int]
    ) -> Iterator[dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        from memento.index.tables.columns import last_values

        for start in range(0, len(ids), _PIECE):
            part = ids[start : start + _PIECE]
            yield last_values(_only(part, self._tasks(self.sql.METRIC_LASTS, part)))

    def runtimes(self, experiment: str, limit: int) -> list[tuple[str, float]]:
        return self.database.all(self.sql.RUNTIMES, (experiment, limit))

    def latest_of_others(self, experiment: str, limit: int) -> list[tuple[bytes, str, int]]:
        return self.database.all(self.sql.LATEST_OF_OTHERS, (experiment, limit))

    # --- experiments, versions of the code, runs -------------------------------------------------------

    def experiments(self) -> list[tuple[str, int, int]]:
        with self.database.snapshot() as connection:
            names = connection.execute(self.sql.EXPERIMENT_NAMES).fetchall()
            count = self.sql.COUNT_TASKS_OF_ONE if len(names) == 1 else self.sql.COUNT_TASKS_OF_EACH
            tasks = dict(connection.execute(count).fetchall())
            failed = dict(connection.execute(self.sql.COUNT_FAILED_OF_EACH).fetchall())
        return [(name, tasks.get(n, 0) - failed.get(n, 0), failed.get(n, 0)) for n, name in names]

    def names_of_experiments(self) -> list[str]:
        return [name for _, name in self.database.all(self.sql.EXPERIMENT_NAMES)]

    def axes(self, experiment: str) -> list[tuple[str, list[tuple[Any, Item | None]]]]:
        from memento.index.declared_values import values_of

        number = self._experiment(experiment)
        return [(name, values_of(text)) for name, text in self.database.all(self.sql.AXES, (number,))]

    def labels(self, experiment: str) -> dict[str, dict[str, str]]:
        rows = self.database.all(self.sql.LABELLED_AXES, (experiment,))
        if not rows:
            return {}
        from memento.index.declared_values import labels_in, values_of

        return labels_in((name, values_of(text)) for name, text in rows)

    def order(self, experiment: str) -> bytes:
        found = self.database.all(self.sql.ORDER, (self._experiment(experiment),))
        return bytes(found[0][0]) if found else b""

    def codes(self, ids: Iterable[int]) -> dict[int, CodeVersion]:
        from memento.index.tables.rows import code_version
        from memento.index.versions import joined

        found: dict[int, tuple[CodeVersion, list[int]]] = {}
        missing = asked = frozenset(ids)
        while missing:
            listed = self.database.all(self.sql.CODES, (self.database.listed(sorted(missing)),))
            found.update({row[0]: code_version(row) for row in listed})
            missing = frozenset(part for row in listed for part in found[row[0]][1]) - found.keys()

        def whole(number: int) -> CodeVersion:
            version, parts = found[number]
            # Parts are older: a damaged index leads into no circle.
            return joined(version, [whole(part) for part in parts if part in found and part < number])

        return {number: whole(number) for number in asked if number in found}

    def codes_seen(self, ids: Iterable[int]) -> dict[int, tuple[float, int | None]]:
        found = self.database.all(self.sql.CODES_SEEN, (self.database.listed(ids),))
        return {number: (seen, run) for number, seen, run in found}

    def results_of_codes(self, experiment: str) -> dict[int, int]:
        return dict(self.database.all(self.sql.RESULTS_OF_CODES, (self._experiment(experiment),)))

    def history(self, experiment: str) -> History:
        from memento.records import Adoption

        number = self._experiment(experiment)
        return History(
            dict(self.database.all(self.sql.CODE_DIGESTS)),
            self.database.all(self.sql.CHANGES, (number,)),
            [Adoption._make(row) for row in self.database.all(self.sql.ADOPTIONS, (number,))],
        )

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        return self._runs(self.sql.RUNS, _ALL if limit is None else limit)

    def run(self, number: int) -> RunRecord | None:
        return next(iter(self._runs(self.sql.RUN, number)), None)

    def _runs(self, statement: str, asked: int) -> list[RunRecord]:
        from memento.index.tables.rows import run_record

        found = [(run_record(row), row) for row in self.database.all(statement, (asked,))]
        # An index with a clock of its own says in one column more whether a lease has ended.
        return [run if run.status else self.leases.with_status(run, row[1], *row[17:]) for run, row in found]

    def names_of_runs(self) -> dict[int, str]:
        return dict(self.database.all(self.sql.NAMES_OF_RUNS))

    def counts_of_runs(self, runs: Collection[int]) -> dict[int, tuple[int, int, float]]:
        found = self.database.all(self.sql.ROWS_OF_RUNS, (self.database.listed(runs),))
        return {run: (done, failed, last) for run, done, failed, last in found}

    def living(self) -> Living:
        runs = self.leases.alive(self._owners())
        ids = {owner.run for owner in runs}
        claims = self.database.all(self.sql.OTHERS_CLAIMS, (-1,)) if runs else []
        claimed = {
            keys[at : at + KEY]: run for run, keys in claims if run in ids for at in range(0, len(keys), KEY)
        }
        return Living(runs, claimed)

    def _owners(self) -> list[Owner]:
        return [Owner(*row) for row in self.database.all(self.sql.LEASES)]

    # --- commands and events ---------------------------------------------------------------------------

    def answers(self, command: int) -> list[Answer]:
        return [
            Answer._make((*row[:-1], bool(row[-1])))
            for row in self.database.all(self.sql.ANSWERS, (command,))
        ]

    def events(self, run: int, after: int = 0) -> list[Event]:
        from memento.index.tables.rows import read_event

        return [read_event(row) for row in self.database.all(self.sql.EVENTS, (run, after))]

    def activity(self, run: int) -> tuple[float, list[Activity], Standing | None]:
        from memento.index.tables.rows import read_activity

        found = self.database.all(self.sql.ACTIVITY, (run,))
        return (found[0][0], *read_activity(found[0][1])) if found else (0.0, [], None)

    # --- helpers ---------------------------------------------------------------------------------------

    def _tasks(self, statement: str, ids: Sequence[int], *more: Any, dense: int = _DENSE) -> list[Any]:
        """Read rows of tasks by id: where ids are dense the whole range, with what lies between them."""
        low, high = min(ids), max(ids)
        if high - low < dense * len(ids):
            return self.database.all(statement.format(self.sql.IN_RANGE), (*more, low, high))
        return self.database.all(statement.format(self.sql.LISTED), (*more, self.database.listed(ids)))

    def _ids(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[int]:
        return [number for (number,) in self.database.all(statement, values)]

    def _last_task(self) -> int:
        return int(self.database.all(self.sql.LAST_TASK)[0][0])

    def _experiment(self, name: str) -> int | None:
        found = self.database.all(self.sql.EXPERIMENT_ID, (name,))
        return int(found[0][0]) if found else None

    def _learn(self, found: Iterable[tuple[Any, ...]]) -> None:
        """Look up names of experiments and settings of runs that these rows are the first to mention."""
        for number in {row[4] for row in found} - self._settings.keys():
            settings = self.database.all(self.sql.RUN_SETTINGS, (number,))
            self._settings[number] = settings[0][0] if settings else "{}"
        if any(row[2] not in self._experiments for row in found):
            self._experiments.update(self.database.all(self.sql.EXPERIMENT_NAMES))


def _only(ids: Sequence[int], found: list[Any]) -> list[Any]:
    """Return the rows of the tasks with these ids, which are in ascending order."""
    if ids[-1] - ids[0] < len(ids):
        return found
    wanted = set(ids)
    return [row for row in found if row[0] in wanted]
