"""A store in memory and a matrix of plain numbers, with which results are tested alone."""

from __future__ import annotations

import itertools
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from memento.config import Config
from memento.errors import PayloadDamaged
from memento.index.types import Outlines
from memento.layout import Layout, user_name
from memento.records import Attempt, Encoded, Failure, Known, LogSlice, TaskRecord, Warned
from memento.results.parameters import Tasks
from memento.results.results import Results
from memento.results.selection import Source
from memento.store.unreadable import Unreadable

if TYPE_CHECKING:
    from memento.matrix.matrix import Matrix
    from memento.store.store import Store

START = 1_700_000_000.0


class FakeTable(NamedTuple):
    names: tuple[str, ...]
    values: list[list[object]]
    columns: np.ndarray[Any, Any]
    repeats: int = 1

    @property
    def may_lack(self) -> bool:
        return bool((self.columns < 0).any())

    def slots(self, row: int) -> list[int]:
        slots: list[int] = self.columns[row].tolist()
        return slots


class FakeMatrix:
    """The cartesian product of some values."""

    def __init__(self, /, repeats: int = 1, **parameters: Any) -> None:
        rows = list(itertools.product(*[range(len(v)) for v in parameters.values()]))
        columns = np.array(rows, dtype=np.int32).reshape(len(rows), len(parameters))
        self._table = FakeTable(tuple(parameters), [list(v) for v in parameters.values()], columns, repeats)
        self.configs_made = 0
        self.labels: dict[str, tuple[str, ...]] = {}

    def table(self) -> FakeTable:
        return self._table

    def config(self, number: int) -> Config:
        self.configs_made += 1
        table = self._table
        slots = table.columns[number // table.repeats].tolist()
        pairs = zip(table.names, table.values, slots, strict=True)
        return Config.build({n: v[s] for n, v, s in pairs if s >= 0}, {}, number % table.repeats)

    def __len__(self) -> int:
        return len(self._table.columns) * self._table.repeats


class FakeStore:
    """Records and values by id; counts what is asked of it."""

    path = location = Path("/nowhere")
    trusted = True
    is_gone = False

    def __init__(self) -> None:
        self.kept: dict[int, TaskRecord] = {}
        self.contents: dict[int, Any] = {}
        self.series: dict[int, dict[str, tuple[list[float], list[float]]]] = {}
        self.reads = 0
        self.loads = 0
        self.discarded: list[int] = []

    @property
    def index(self) -> FakeStore:
        return self

    def artifacts(self, record: TaskRecord) -> dict[str, str]:
        layout = Layout(str(self.path))
        return {user_name(name): layout.artifact(record.key.hex(), name) for name in record.artifacts}

    def records(self, ids: Sequence[int]) -> Iterator[TaskRecord]:
        self.reads += 1
        return (self.kept[i] for i in ids if i in self.kept)

    def known(self, experiment: str) -> Iterator[Known]:
        return (Known(r.key, r.id, r.status, r.code, r.runtime) for r in self.kept.values())

    def value(self, record: TaskRecord) -> Any:
        self.loads += 1
        value = self.contents[record.id]
        if isinstance(value, PayloadDamaged):
            raise value
        return value

    def readable(self, record: TaskRecord) -> tuple[bool, Any]:
        self.loads += 1
        value = self.contents[record.id]
        plain = isinstance(value, str | int | float | dict | list | tuple | type(None))
        return plain, value if plain else None

    def writer(self, run: int, type_name: str) -> str:
        return f"Python 3.9, run {run}"

    def discard(self, record: TaskRecord, reason: str) -> None:
        self.discarded.append(record.id)

    def outlines(self, ids: Sequence[int], *, values: bool = False) -> Iterator[Outlines]:
        self.reads += 1
        found = [self.kept[i] for i in ids if i in self.kept]
        yield Outlines(
            np.array([r.id for r in found], dtype=np.int64),
            np.array([r.status == "done" for r in found], dtype=np.bool_),
            np.array([r.started for r in found], dtype=np.float64),
            np.array([r.runtime for r in found], dtype=np.float64),
            np.array([r.cpu_time for r in found], dtype=np.float64),
            np.array([r.memory for r in found], dtype=np.float64),
            np.array([len(self.metrics(r)) for r in found], dtype=np.int64),
            {r.id: r.failure for r in found if r.failure is not None},
            [self._loaded(r) if r.status == "done" else None for r in found] if values else None,
        )

    def _loaded(self, record: TaskRecord) -> Any:
        try:
            return self.value(record)
        except PayloadDamaged as exc:
            return Unreadable("numpy:ndarray", exc.problem)

    def metrics(self, record: TaskRecord) -> Mapping[str, Any]:
        return {
            name: (np.array(x, dtype=float), np.array(y, dtype=float))
            for name, (x, y) in self.series.get(record.id, {}).items()
        }

    def curves(self, ids: Sequence[int]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        return ((i, self.metrics(self.kept[i])) for i in ids if self.series.get(i))

    def last_metrics(
        self, ids: Sequence[int]
    ) -> Iterator[Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        for i in ids:
            lasts = {name: y[-1] for name, (_, y) in self.series.get(i, {}).items()}
            yield {name: (np.array([i]), np.array([last])) for name, last in lasts.items()}

    def warnings(self, first: int, last: int) -> Mapping[int, tuple[Warned, ...]]:
        return {i: r.warnings for i, r in self.kept.items() if r.warnings and first <= i <= last}

    def attempts(self, key: bytes) -> Sequence[Attempt]:
        return [Attempt(1, "failed", START, 1.0, None, None, "host/1", 1)]

    def log(self, record: TaskRecord) -> bytes:
        return b"epoch 1\n"


def failure(message: str = "bad shape", **changes: Any) -> Failure:
    trace = 'Traceback (most recent call last):\n  File "experiment.py", line 24, in run\nValueError: bad'
    made = Failure("raised", "ValueError", message, trace, "experiment.py:24", None, "")
    return made._replace(**changes)


def key_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def record(number: int, value: Any, params: str = "{}", **changes: Any) -> TaskRecord:
    failed = value if isinstance(value, Failure) else None
    fields: dict[str, Any] = {
        "id": number + 1,
        "key": key_of(number),
        "experiment": "exp:run",
        "params": params,
        "settings": "{}",
        "repeat": 0,
        "status": "failed" if failed else "done",
        "code": 1,
        "run": 1,
        "attempt": 1,
        "started": START + number,
        "runtime": 2.0 + number,
        "cpu_time": 1.5,
        "memory": 1024,
        "virtual": 4096,
        "worker": "host/1",
        "value": None if failed else Encoded("json", b"", None, 0, ""),
        "artifacts": ("model.bin",),
        "log": LogSlice("worker-1.log", 0, 8),
        "failure": failed,
    }
    return TaskRecord(**{**fields, **changes})


MISSING = object()


def results_of(
    matrix: FakeMatrix, values: Sequence[Any], metrics: Mapping[str, Sequence[float]] | None = None
) -> tuple[Results, FakeStore]:
    """Make results whose tasks returned these values; a Failure failed, MISSING was not run."""
    store = FakeStore()
    rows = np.full(len(matrix), -1, dtype=np.int64)
    assert len(values) == len(matrix)
    for number, value in enumerate(values):
        if value is MISSING:
            continue
        config = matrix.config(number)
        params = json.dumps({name: str(config[name]) for name in config})
        made = record(number, value, params, repeat=config.repeat)
        store.kept[made.id], store.contents[made.id] = made, value
        rows[number] = made.id
        if metrics and made.status == "done":
            store.series[made.id] = {n: ([0.0, 1.0], [0.0, y[number]]) for n, y in metrics.items()}
    matrix.configs_made = 0
    keys = b"".join(map(key_of, range(len(matrix))))
    return results_in(store, matrix, keys, rows), store


def results_in(
    store: FakeStore, matrix: FakeMatrix, keys: bytes, rows: Sequence[int] | NDArray[np.int64]
) -> Results:
    """Make results of tasks that have these keys and stand in these rows."""
    tasks, places = Tasks(cast("Matrix", matrix)), array("q", rows)
    return Results(Source(cast("Store", store), tasks, keys, places, bytearray(len(matrix)), "exp:run"))
