"""Columns of many tasks say what their records say, one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.errors import PayloadDamaged, UntrustedStore
from memento.store import Store
from memento.store.formats import encode
from memento.testing.store import info_of, row_of

VALUES: list[Any] = [
    0.5,
    float("nan"),
    None,
    3,
    "text",
    [1, {"a": (1, 2)}],
    np.float32(0.1),
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


@pytest.mark.parametrize("step", [1, 3])
def test_columns_say_what_records_say(root: Path, step: int) -> None:
    ids = ids_of(root)[::step]
    with Store.open(root, readonly=True) as store:
        records = list(store.records(ids))
        (piece,) = store.outlines(ids, values=True)
        assert piece.ids.tolist() == [record.id for record in records]
        assert piece.done.tolist() == [record.status == "done" for record in records]
        for column, name in (
            (piece.started, "started"),
            (piece.runtime, "runtime"),
            (piece.cpu_time, "cpu_time"),
            (piece.memory, "memory"),
        ):
            expected = np.array([getattr(record, name) for record in records], dtype=np.float64)
            np.testing.assert_array_equal(column, expected)
        assert piece.metrics.tolist() == [len(store.metrics(record)) for record in records]
        why = {record.id: record.failure._replace(exception=None) for record in records if record.failure}
        assert piece.failures == why
        assert repr(piece.values) == repr([store.value(record) for record in records])


def test_ids_that_are_gone_are_left_out(root: Path) -> None:
    ids = ids_of(root)
    with Store.open(root) as store:
        store.discard(store.record(ids[1]), "a test")
        (piece,) = store.outlines([ids[0], ids[1], ids[2], ids[-1] + 5])
        assert piece.ids.tolist() == [ids[0], ids[2]]
        assert piece.values is None
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
def altered(root: Path, number: int, column: str, harm: str) -> Iterator[None]:
    """Change a row behind the store's back, and put it back as it was."""
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as connection:
        (before,) = connection.execute(f"SELECT {column} FROM tasks WHERE id = ?", (number,)).fetchone()
        connection.execute(f"UPDATE tasks SET {column} = {harm} WHERE id = ?", (number,))
        yield
        connection.execute(f"UPDATE tasks SET {column} = ? WHERE id = ?", (before, number))


def test_pickles_of_strangers_stay_closed(root: Path) -> None:
    with Store.open(root, readonly=True, trusted=False) as store, pytest.raises(UntrustedStore):
        list(store.outlines(ids_of(root), values=True))
