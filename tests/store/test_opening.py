"""A store that several programs open at the same moment is opened whole by each of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.store.store import Store
from memento.testing.index_rows import info_of, row_of
from memento.values.encoding import encode


def fill(root: Path, *numbers: int) -> None:
    """Have tasks done whose values are files."""
    with Store.open(root) as store:
        run = store.begin(info_of())
        rows = {n: row_of(n) for n in numbers}
        values = {n: encode(f"value {n}", store.payloads, -1) for n in numbers}
        run.commit([row._replace(outcome=row.outcome._replace(value=values[n])) for n, row in rows.items()])
        run.finish("done", {"done": len(numbers)})


def done(root: Path) -> list[Any]:
    with Store.open(root) as store:
        return [store.value(record) for record in store.index.records(sorted(store.index.ids()))]


def test_what_another_run_has_written_since_the_first_look_is_no_remainder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, exists = tmp_path / "store", SqliteIndex.exists

    def begins_after_the_look(address: str) -> bool:
        there = exists(address)
        monkeypatch.undo()
        fill(root, 1)
        return there

    monkeypatch.setattr(SqliteIndex, "exists", begins_after_the_look)
    with Store.open(root) as store:
        assert store.notes == []
    assert done(root) == ["value 1"]


def test_a_folder_of_values_that_was_removed_takes_none_with_it_that_another_run_has_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, mkdir = tmp_path / "store", os.mkdir
    fill(root, 1, 2, 3)
    shutil.rmtree(root / "payloads")

    def is_second(path: Any, *mode: Any) -> None:
        if str(path).endswith("payloads"):
            monkeypatch.undo()
            fill(root, 2)
        mkdir(path, *mode)

    monkeypatch.setattr(os, "mkdir", is_second)
    Store.open(root).close()
    assert done(root) == ["value 2"]
