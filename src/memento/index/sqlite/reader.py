"""Read an index: tasks one by one and in bulk, attempts, metrics, runs, versions of the code.

Knows: the tables, how rows become records and columns. May not know: how anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

from memento.clock import Clock
from memento.errors import PayloadDamaged
from memento.index.contract import Index
from memento.index.lease import KEY
from memento.index.sqlite import sql
from memento.index.sqlite.database import Database
from memento.index.types import Activity, Answer, Event, History, Living, Outlines, Owner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.index.declared_values import Item
    from memento.records import Attempt, CodeVersion, Known, RunRecord, TaskRecord, Warned

_SCAN = 32_768  # ids read at once by a scan: no cursor stays open while the caller works
_BULK = 8_192  # records read at once
_PIECE = 1_024  # rows turned into columns at once: so few are still in the processor's cache
_CURVES = 64  # tasks whose metrics are in memory at once
_KINDS = 3  # of tasks in one piece that are read apart: each is one more look at the index
_DENSE = 2  # read a whole range of ids where at most so many rows are read for each one wanted


class Reader(Index):
    """The half of the index that reads.

    What a run needs whose results are all there stands here; the rest is imported where it is asked for.
    """

    def __init__(self, database: Database, clock: Clock, notes: list[str]) -> None:
        self.notes, self.readonly = notes, database.readonly
        self.database, self.clock = database, clock
        self._scanned: dict[str, int] = {}  # experiment -> the highest id before its last scan began
        self._experiments: dict[int, str] = {}
        self._settings: dict[int, str] = {}

    # --- tasks: one scan -------------------------------------------------------------------------------

    def known(self, experiment: str) -> Iterator[Known]:
        from memento.records import Known

        for found in self._known_rows(experiment, sql.KNOWN_AFTER, list):
            yield from map(Known._make, found)

    def known_columns(self, experiment: str) -> Iterator[tuple[Sequence[Any], ...]]:
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
            with self.database.explaining():
                found = take(self.database.connection().execute(statement, (after, upto, number)))
            yield found
            after = upto
            if after == last:
                last = self._last_task()  # rows that replaced ones not yet reached stand behind them

    # --- tasks: in bulk --------------------------------------------------------------------------------

    def records(self, ids: Iterable[int]) -> Iterator[TaskRecord]:
        from memento.index.sqlite import rows

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

    def ids(
        self, experiment: str | None = None, *, status: str | None = None, limit: int | None = None
    ) -> list[int]:
        number = None
        if experiment is not None:
            number = self._experiment(experiment)
            if number is None:
                return []
        asked = {"experiment": number, "status": status, "limit": -1 if limit is None else limit}
        return self._ids(sql.RECENT, asked)

    def ids_of_keys(self, first: bytes, last: bytes) -> list[int]:
        return self._ids(sql.IDS_IN_KEY_RANGE, (first, last))

    def ids_of_file(self, ref: str | None) -> list[int]:
        return self._ids(sql.IDS_WITH_PAYLOADS) if ref is None else self._ids(sql.IDS_WITH_PAYLOAD, (ref,))

    def written(self, ids: Sequence[int]) -> Iterator[tuple[int, str, str]]:
        for start in range(0, len(ids), _BULK):
            yield from self._tasks(ids[start : start + _BULK], sql.WRITTEN_IN_ID_RANGE, sql.WRITTEN_BY_ID)

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        from memento.index.sqlite.columns import outlines

        for start in range(0, len(ids), _PIECE):
            part = ids[start : start + _PIECE]
            if values:
                yield from self._with_values(part)
            else:
                found = self._tasks(part, sql.OUTLINES_IN_ID_RANGE, sql.OUTLINES_BY_ID)
                yield outlines(_only(part, found))

    def _with_values(self, ids: Sequence[int]) -> Iterator[Outlines]:
        """Read tasks kind by kind, and then what is of no kind, or of one kind too many."""
        from memento.index.sqlite.columns import Kind, alike, outlines

        rest, dense = ids, _DENSE
        for _ in range(_KINDS):
            kinds = self._tasks(rest, sql.KIND_IN_ID_RANGE, sql.KIND_BY_ID, dense=1)
            if not kinds:
                break
            kind = Kind._make(kinds[0])
            shared = (kind.summed, kind.type, kind.metrics)
            found = self._tasks(rest, sql.ALIKE_IN_ID_RANGE, sql.ALIKE_BY_ID, *shared, dense=dense)
            piece = alike(_only(rest, found), kind)
            if piece is None:
                break
            yield piece
            if len(piece.ids) == len(rest):
                return
            rest = sorted(set(rest).difference(piece.ids.tolist()))
            dense = 1  # what lies between them has been read
        in_range, by_id = sql.OUTLINES_AND_VALUES_IN_ID_RANGE, sql.OUTLINES_AND_VALUES_BY_ID
        found = self._tasks(rest, in_range, by_id, dense=dense)
        yield outlines(_only(rest, found), values=True)

    def attempts(self, key: bytes) -> list[Attempt]:
        from memento.index.attempts import each_once, last_attempts
        from memento.index.sqlite import rows

        attempts = [rows.attempt_records(row) for row in self.database.all(sql.ATTEMPTS, (key,))]
        ids = self._ids(sql.IDS_IN_KEY_RANGE, (key, key))
        attempts += [last_attempts(record) for record in self.records(ids[-1:])]
        return each_once(chain.from_iterable(attempts))

    def warnings(self, first: int, last: int) -> dict[int, tuple[Warned, ...]]:
        from memento.index.sqlite import rows

        return {
            number: rows.warnings_of(text) for number, text in self.database.all(sql.WARNINGS, (first, last))
        }

    def all_returned_nothing(self, ids: Sequence[int]) -> int:
        done, start, size = 0, 0, 1  # most experiments tell with their first task
        while start < len(ids):
            part = json.dumps(list(ids[start : start + size]))
            ((count, empty),) = self.database.all(sql.RETURNED_NOTHING, (part,))
            if count != empty:
                return 0
            done, start, size = done + count, start + size, _PIECE
        return done

    def metrics(self, record: TaskRecord) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        found = self.database.all(sql.METRICS_OF_TASK, (record.id,))
        return self._series(found)

    def curves(
        self, ids: Sequence[int]
    ) -> Iterator[tuple[int, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]]:
        for start in range(0, len(ids), _CURVES):
            part = ids[start : start + _CURVES]
            found = _only(part, self._tasks(part, sql.METRICS_IN_ID_RANGE, sql.METRICS_BY_ID))
            for number, series in groupby(found, lambda row: row[0]):
                yield number, self._series(list(series))

    def _series(
        self, found: Sequence[tuple[Any, ...]]
    ) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        import numpy as np

        self._check_metrics(found)
        series = {}
        for _, _, name, count, *_, data in found:
            both = np.frombuffer(data, dtype="<f8").astype(np.float64)
            series[name] = (both[:count], both[count:])
        return series

    def last_metrics(
        self, ids: Sequence[int]
    ) -> Iterator[dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        from memento.index.sqlite.columns import last_values

        for start in range(0, len(ids), _PIECE):
            part = ids[start : start + _PIECE]
            found = _only(part, self._tasks(part, sql.METRIC_LASTS_IN_RANGE, sql.METRIC_LASTS))
            yield last_values(found)

    def _check_metrics(self, found: Sequence[tuple[Any, ...]]) -> None:
        from memento.index.sqlite import rows

        if found and not rows.metrics_are_as_written(found, found[0][1]):
            raise PayloadDamaged(
                self.database.location,
                "its metrics in the index are not what was written.",
                "Run the experiment again: this task alone is computed again.",
            )

    def parameters(self, keys: Iterable[bytes]) -> dict[bytes, str]:
        wanted = [key.hex() for key in keys]
        return dict(self.database.all(sql.PARAMS_BY_KEY, (_json_texts(wanted),))) if wanted else {}

    def runtimes(self, experiment: str, limit: int) -> list[tuple[str, float]]:
        return self.database.all(sql.RUNTIMES, (experiment, limit))

    def latest_of_others(self, experiment: str, limit: int) -> list[tuple[bytes, str, int]]:
        return self.database.all(sql.LATEST_OF_OTHERS, (experiment, limit))

    # --- experiments, versions of the code, runs -------------------------------------------------------

    def experiments(self) -> list[tuple[str, int, int]]:
        return [
            (name, done or 0, failed or 0) for name, done, failed in self.database.all(sql.EXPERIMENT_COUNTS)
        ]

    def axes(self, experiment: str) -> list[tuple[str, list[tuple[Any, Item | None]]]]:
        from memento.index.declared_values import values_of

        number = self._experiment(experiment)
        return [(name, values_of(text)) for name, text in self.database.all(sql.AXES, (number,))]

    def labels(self, experiment: str) -> dict[str, dict[str, str]]:
        rows = self.database.all(sql.LABELLED_AXES, (experiment,))
        if not rows:
            return {}
        from memento.index.declared_values import labels_in, values_of

        return labels_in((name, values_of(text)) for name, text in rows)

    def order(self, experiment: str) -> bytes:
        found = self.database.all(sql.ORDER, (self._experiment(experiment),))
        return bytes(found[0][0]) if found else b""

    def codes(self, ids: Iterable[int]) -> dict[int, CodeVersion]:
        from memento.index.sqlite.rows import code_version
        from memento.index.versions import joined

        found: dict[int, tuple[CodeVersion, list[int]]] = {}
        missing = asked = frozenset(ids)
        while missing:
            listed = self.database.all(sql.CODES, (_json_list(sorted(missing)),))
            found.update({row[0]: code_version(row) for row in listed})
            missing = frozenset(part for row in listed for part in found[row[0]][1]) - found.keys()

        def whole(number: int) -> CodeVersion:
            version, parts = found[number]
            # Parts are older: a damaged index leads into no circle.
            return joined(version, [whole(part) for part in parts if part in found and part < number])

        return {number: whole(number) for number in asked if number in found}

    def codes_seen(self, ids: Iterable[int]) -> dict[int, tuple[float, int | None]]:
        found = self.database.all(sql.CODES_SEEN, (_json_list(ids),))
        return {number: (seen, run) for number, seen, run in found}

    def results_of_codes(self, experiment: str) -> dict[int, int]:
        return dict(self.database.all(sql.RESULTS_OF_CODES, (self._experiment(experiment),)))

    def history(self, experiment: str) -> History:
        from memento.records import Adoption

        number = self._experiment(experiment)
        return History(
            dict(self.database.all(sql.CODE_DIGESTS)),
            self.database.all(sql.CHANGES, (number,)),
            [Adoption._make(row) for row in self.database.all(sql.ADOPTIONS, (number,))],
        )

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        return self._runs(sql.RUNS, -1 if limit is None else limit)

    def run(self, number: int) -> RunRecord | None:
        return next(iter(self._runs(sql.RUN, number)), None)

    def _runs(self, statement: str, asked: int) -> list[RunRecord]:
        from memento.index.sqlite.rows import run_record

        found = [(run_record(row), row[1]) for row in self.database.all(statement, (asked,))]
        return [run if run.status else self.leases.with_status(run, name) for run, name in found]

    def names_of_runs(self) -> dict[int, str]:
        return dict(self.database.all(sql.NAMES_OF_RUNS))

    def counts_of_runs(self, runs: Collection[int]) -> dict[int, tuple[int, int, float]]:
        found = self.database.all(sql.ROWS_OF_RUNS, (_json_list(runs),))
        return {run: (done, failed, last) for run, done, failed, last in found}

    def living(self) -> Living:
        runs = self.leases.alive(self._owners())
        ids = {owner.run for owner in runs}
        claims = self.database.all(sql.OTHERS_CLAIMS, (-1,)) if runs else []
        claimed = [
            keys[at : at + KEY] for run, keys in claims if run in ids for at in range(0, len(keys), KEY)
        ]
        return Living(runs, set(claimed))

    def _owners(self) -> list[Owner]:
        return [Owner._make(row) for row in self.database.all(sql.LEASES)]

    # --- commands and events ---------------------------------------------------------------------------

    def answers(self, command: int) -> list[Answer]:
        return [
            Answer._make((*row[:-1], bool(row[-1]))) for row in self.database.all(sql.ANSWERS, (command,))
        ]

    def events(self, run: int, after: int = 0) -> list[Event]:
        from memento.index.sqlite.rows import read_event

        return [read_event(row) for row in self.database.all(sql.EVENTS, (run, after))]

    def activity(self, run: int) -> tuple[float, list[Activity]]:
        from memento.index.sqlite.rows import read_activities

        found = self.database.all(sql.ACTIVITY, (run,))
        return (found[0][0], read_activities(found[0][1])) if found else (0.0, [])

    # --- helpers ---------------------------------------------------------------------------------------

    def _tasks(
        self, ids: Sequence[int], in_range: str, by_id: str, *more: Any, dense: int = _DENSE
    ) -> list[Any]:
        """Read rows of tasks by id: where ids are dense the whole range, with what lies between them."""
        low, high = min(ids), max(ids)
        if high - low < dense * len(ids):
            return self.database.all(in_range, (*more, low, high))
        return self.database.all(by_id, (*more, _json_list(ids)))

    def _ids(self, statement: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[int]:
        return [number for (number,) in self.database.all(statement, values)]

    def _last_task(self) -> int:
        return int(self.database.all(sql.LAST_TASK)[0][0])

    def _experiment(self, name: str) -> int | None:
        found = self.database.all(sql.EXPERIMENT_ID, (name,))
        return int(found[0][0]) if found else None

    def _learn(self, found: Iterable[tuple[Any, ...]]) -> None:
        """Look up names of experiments and settings of runs that these rows are the first to mention."""
        for number in {row[4] for row in found} - self._settings.keys():
            settings = self.database.all(sql.RUN_SETTINGS, (number,))
            self._settings[number] = settings[0][0] if settings else "{}"
        if any(row[2] not in self._experiments for row in found):
            self._experiments.update(self.database.all(sql.EXPERIMENT_NAMES))


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
