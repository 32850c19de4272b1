"""Columns of many tasks say what their records say, one by one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
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
        assert list(piece.ids) == [record.id for record in records]
        assert list(piece.done) == [record.status == "done" for record in records]
        assert list(piece.started) == [record.started for record in records]
        assert list(piece.runtime) == [record.runtime for record in records]
        assert list(piece.cpu_time) == [record.cpu_time for record in records]
        assert list(piece.memory) == [record.memory for record in records]
        why = {record.id: record.failure._replace(exception=None) for record in records if record.failure}
        assert piece.failures == why
        assert repr(piece.values) == repr([store.value(record) for record in records])


def test_ids_that_are_gone_are_left_out(root: Path) -> None:
    ids = ids_of(root)
    with Store.open(root) as store:
        store.discard(store.record(ids[1]), "a test")
        (piece,) = store.outlines([ids[0], ids[1], ids[2], ids[-1] + 5])
        assert list(piece.ids) == [ids[0], ids[2]]
        assert piece.values is None
        (nothing,) = store.outlines([ids[1]], values=True)
        assert (nothing.ids, nothing.values) == ((), [])


def test_a_row_that_was_altered_is_noticed(root: Path) -> None:
    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE tasks SET value = '0.25' WHERE id = (SELECT min(id) FROM tasks)")
    with Store.open(root, readonly=True) as store:
        assert list(store.outlines(ids_of(root)))  # how it went can still be told
        with pytest.raises(PayloadDamaged):
            list(store.outlines(ids_of(root), values=True))


def test_pickles_of_strangers_stay_closed(root: Path) -> None:
    with Store.open(root, readonly=True, trusted=False) as store, pytest.raises(UntrustedStore):
        list(store.outlines(ids_of(root), values=True))
