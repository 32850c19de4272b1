"""Columns of many tasks say what their records say, one by one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.errors import PayloadDamaged
from memento.index.tables import reader
from memento.records import Series
from memento.store.store import Store
from memento.store.unreadable import Unreadable
from memento.testing.index_rows import info_of, row_of
from memento.values.describe import LargeValue
from memento.values.encoding import encode

VALUES: list[Any] = [
    0.5,
    float("nan"),
    None,
    3,
    "text",
    [1, {"a": {1, 2}}],
    np.float32(0.1),
    np.float64("inf"),
    np.int16(-3),
    np.bool_(True),
    "long" * 10_000,
    b"x" * 400,
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    with Store.open(root) as store:
        rows = []
        for number, value in enumerate(VALUES):
            row = row_of(number)
            rows.append(
                row._replace(outcome=row.outcome._replace(value=encode(value, store.payloads), cpu_time=None))
            )
        rows.append(row_of(len(VALUES), failed="no"))
        store.begin(info_of()).commit(rows)
    return root


def ids_of(root: Path) -> list[int]:
    with closing(sqlite3.connect(root / "index.sqlite")) as connection:
        return [number for (number,) in connection.execute("SELECT id FROM tasks ORDER BY id")]


def series_of(name: str, draws: random.Random) -> Series:
    y = np.array([draws.choice([draws.random(), np.nan, np.inf, -0.0]) for _ in range(3)])
    low, high = sorted([draws.random(), draws.random()])
    return Series(
        name, 3, float(y[-1]), low, high, np.concatenate([np.arange(3.0), y]).astype("<f8").tobytes()
    )


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of tasks that are alike, for a while, and then are not."""
    draws = random.Random(5)
    root = tmp_path_factory.mktemp("varied") / "store"
    with Store.open(root) as store:
        rows = []
        for number in range(200):
            row = row_of(number, failed=draws.choice(["", "", "no"]) if number % 40 > 25 else "")
            alike: list[list[Any]] = [[number / 7], [number], [np.float64(number), np.float64("nan")]]
            kinds: list[Any] = VALUES if number % 40 > 20 else alike[number // 80]
            outcome = row.outcome._replace(
                started=1.7e9 + draws.random(),
                cpu_time=draws.choice([None, draws.random()]),
                memory=draws.choice([None, draws.randrange(1 << 40)]),
                virtual=draws.choice([None, draws.randrange(1 << 40)]),
                metrics=tuple(
                    series_of(name, draws) for name in draws.choice([(), ("loss",), ("f1", "loss")])
                ),
            )
            if row.outcome.value is not None:
                outcome = outcome._replace(value=encode(draws.choice(kinds), store.payloads))
            rows.append(row._replace(outcome=outcome, repeat=number % 3))
        store.begin(info_of()).commit(rows)
    return root


def told(store: Store, ids: list[int]) -> dict[Any, Any]:
    """Return what the columns say of each task, and of each of its metrics."""
    what: dict[Any, Any] = {}
    for piece in store.outlines(ids, values=True):
        assert piece.ids.tolist() == sorted(piece.ids.tolist())
        assert piece.values is not None
        facts = (piece.done, piece.started, piece.runtime, piece.cpu_time, piece.memory, piece.metrics)
        columns = (piece.ids.tolist(), *(column.tolist() for column in facts), piece.values)
        for number, *said, value in zip(*columns, strict=True):
            assert number not in what
            what[number] = (*map(repr, said), piece.failures.get(number), type(value), repr(value))
    for lasts in store.index.last_metrics(ids):
        for name, (owners, last) in lasts.items():
            for number, value in zip(owners.tolist(), last.tolist(), strict=True):
                what[number, name] = repr(value + 0.0)
    return what


def recorded(store: Store, ids: list[int]) -> dict[Any, Any]:
    """Return the same, as the records say it."""
    what: dict[Any, Any] = {}
    for record in store.index.records(ids):
        assert record.value is None or record.value.ref is None or record.value.shown
        large = record.value is not None and record.value.ref is not None
        value = LargeValue.of(record.value) if record.value and large else store.value(record)
        numbers = [
            float("nan" if fact is None else fact)
            for fact in (record.started, record.runtime, record.cpu_time, record.memory)
        ]
        said = (record.status == "done", *numbers, len(store.index.metrics(record)))
        failure = record.failure and record.failure._replace(exception=None)
        what[record.id] = (*map(repr, said), failure, type(value), repr(value))
        for name, (_, y) in store.index.metrics(record).items():
            what[record.id, name] = repr(float(y[-1]) + 0.0)
    return what


@pytest.mark.parametrize("step", [1, 3])
def test_columns_say_what_records_say(root: Path, step: int) -> None:
    ids = ids_of(root)[::step]
    with Store.open(root, readonly=True) as store:
        assert told(store, ids) == recorded(store, ids)
        pieces = list(store.outlines(ids))
        assert [number for piece in pieces for number in piece.ids.tolist()] == ids
        assert {piece.values for piece in pieces} == {None}


@pytest.mark.slow
@given(st.data())
def test_columns_say_what_records_say_of_any_tasks(varied: Path, data: st.DataObject) -> None:
    ids = ids_of(varied)
    first, last = (data.draw(st.sampled_from(ids)) for _ in range(2))
    wanted = [number for number in ids if first <= number <= last] or [first]
    left_out = data.draw(st.sets(st.sampled_from(wanted), max_size=20))
    wanted = [number for number in wanted if number not in left_out] or wanted
    with pytest.MonkeyPatch.context() as patch, Store.open(varied, readonly=True) as store:
        patch.setattr(reader, "_PIECE", data.draw(st.sampled_from([1, 7, 64, 1_024])))
        assert told(store, wanted) == recorded(store, wanted)


HARMS = [
    "NULL",
    "'x'",
    "1",
    "-7",
    "0.5",
    "x'00'",
    "{0} + 1",
    "CAST({0} AS TEXT)",
    "CAST({0} AS BLOB)",
    "{0} || '0'",
]
NOT_SHOWN = {
    "id",
    "run",
    "code",
    "attempt",
    "worker",
    "log_file",
    "log_start",
    "log_end",
    "artifacts",
    "exception",
}


@pytest.mark.slow
@given(st.data())
def test_whatever_is_altered_no_column_ever_says_something_else(varied: Path, data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(["tasks", "metrics"]))
    with closing(sqlite3.connect(varied / "index.sqlite")) as connection:
        columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} - NOT_SHOWN
        numbers = [number for (number,) in connection.execute(f"SELECT id FROM {table}")]
    column = data.draw(st.sampled_from(sorted(columns)))
    harm = data.draw(st.sampled_from(HARMS)).format(column)
    number = data.draw(st.sampled_from(numbers))
    with Store.open(varied, readonly=True) as store:
        truth = told(store, ids_of(varied))
        with suppress(sqlite3.IntegrityError), altered(varied, number, column, harm, table):
            try:
                said = told(store, ids_of(varied))
            except PayloadDamaged:
                return
            assert said == truth


def test_ids_that_are_gone_are_left_out(root: Path) -> None:
    ids = ids_of(root)
    with Store.open(root) as store:
        store.discard(store.index.record(ids[1]), "a test")
        (piece,) = store.outlines([ids[0], ids[1], ids[2], ids[-1] + 5])
        assert piece.ids.tolist() == [ids[0], ids[2]]
        assert piece.values is None
        assert told(store, ids[:3]).keys() == {ids[0], ids[2]}
        (nothing,) = store.outlines([ids[1]], values=True)
        assert (nothing.ids.tolist(), nothing.values) == ([], [])


@pytest.mark.parametrize(
    ("column", "harm"),
    [
        ("started", "started + 1"), ("runtime", "runtime * 2"), ("cpu_time", "1e-9"), ("memory", "memory + 1"),
        ("memory", "NULL"), ("virtual", "7"), ("repeat", "repeat + 1"), ("experiment", "experiment + 1"),
        ("metrics", "metrics + 1"), ("facts", "facts + 1"), ("facts", "NULL"), ("failure", "'{}'"),
        ("runtime", "'soon'"), ("started", "x'00'"),
    ],
)  # fmt: skip
def test_a_fact_that_was_altered_is_noticed(column: str, harm: str, root: Path) -> None:
    for number in (ids_of(root)[0], ids_of(root)[-1]):  # one that is done, one that failed
        with altered(root, number, column, harm), Store.open(root, readonly=True) as store:
            with pytest.raises(PayloadDamaged):
                list(store.outlines(ids_of(root)))
            assert list(store.outlines([row for row in ids_of(root) if row != number]))


@pytest.mark.parametrize(
    ("column", "harm"),
    [
        ("value", "'0.25'"), ("value", "x'302e3235'"), ("value", "CAST(value AS TEXT)"), ("value", "NULL"),
        ("key", "CAST(x'01' || substr(key, 2) AS BLOB)"), ("params", "params || ' '"),
        ("format", "'text'"), ("type", "'builtins:int'"),
        ("type", "NULL"), ("ref", "'x'"), ("sum", "sum + 1"), ("sum", "NULL"),
    ],
)  # fmt: skip
def test_a_value_that_was_altered_is_noticed(column: str, harm: str, root: Path) -> None:
    with altered(root, ids_of(root)[0], column, harm), Store.open(root, readonly=True) as store:
        assert list(store.outlines(ids_of(root)))  # how it went can still be told
        with pytest.raises(PayloadDamaged):
            list(store.outlines(ids_of(root), values=True))


@contextmanager
def altered(root: Path, number: int, column: str, harm: str, table: str = "tasks") -> Iterator[None]:
    """Change a row behind the store's back, and put it back as it was."""
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as connection:
        (before,) = connection.execute(f"SELECT {column} FROM {table} WHERE id = ?", (number,)).fetchone()
        connection.execute(f"UPDATE {table} SET {column} = {harm} WHERE id = ?", (number,))
        try:
            yield
        finally:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (before, number))


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["0", "-7", "metrics + 1"])
def test_no_metric_is_lost_where_their_number_was_altered(harm: str, varied: Path) -> None:
    with Store.open(varied, readonly=True) as store:
        recorded = {what[0] for what in told(store, ids_of(varied)) if isinstance(what, tuple)}
        for number in sorted(recorded)[:40]:
            with altered(varied, number, "metrics", harm), pytest.raises(PayloadDamaged):
                told(store, ids_of(varied))


def test_pickles_of_strangers_stay_closed(root: Path) -> None:
    with Store.open(root, readonly=True, trusted=False) as store:
        values = [
            value for piece in store.outlines(ids_of(root), values=True) for value in piece.values or ()
        ]
    closed = [value for value in values if isinstance(value, Unreadable)]
    assert closed
    assert len(closed) < len(values)
    assert all("is a pickle" in value.problem for value in closed)


@pytest.mark.parametrize("harm", ["shown || ' '", "NULL", "CAST(shown AS BLOB)"])
def test_what_stands_for_a_file_is_noticed_when_it_was_altered(harm: str, root: Path) -> None:
    large = ids_of(root)[VALUES.index("long" * 10_000)]
    with altered(root, large, "shown", harm), Store.open(root, readonly=True) as store:
        with pytest.raises(PayloadDamaged):
            list(store.outlines([large], values=True))
        value = store.index.record(large).value
        assert value is not None
        assert value.format == "damaged"
