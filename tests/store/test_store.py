"""A store keeps what it is told, says what is wrong, and leaves alone what is not its own."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento.errors import (
    NotAStore,
    PayloadDamaged,
    StoreTooNew,
    StoreUnwritable,
    UntrustedStore,
)
from memento.records import LogSlice, Series
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of
from memento.values.encoding import encode

HOSTILE = 'a store\'s "folder"\n?#%20 é'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / HOSTILE


def fill(root: Path, count: int = 3) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        run.commit([row_of(n) for n in range(count)])
        run.finish("done", {"done": count})


def test_a_new_store_has_its_folders_and_ignores_itself_for_git(root: Path) -> None:
    Store.open(root).close()
    names = {path.name for path in root.iterdir() if path.is_dir()}
    assert names == {"payloads", "checkpoints", "logs", "artifacts", "work", "steps"}
    assert (root / ".gitignore").read_text() == "*\n"


def test_a_store_can_be_moved(root: Path, tmp_path: Path) -> None:
    fill(root)
    os.rename(root, tmp_path / "moved")
    with Store.open(tmp_path / "moved") as store:
        assert store.index.experiments() == [(EXPERIMENT, 3, 0)]


def test_opening_without_create_makes_nothing(root: Path) -> None:
    with pytest.raises(NotAStore, match="no store here"):
        Store.open(root, create=False)
    assert not root.exists()


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "thing").write_text("mine")
    with pytest.raises(NotAStore, match="a file"):
        Store.open(tmp_path / "thing")
    assert (tmp_path / "thing").read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(NotAStore, match=r"thesis\.tex"):
        Store.open(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    foreign = sqlite3.connect(tmp_path / "index.sqlite")
    foreign.execute("CREATE TABLE theirs (a)")
    foreign.close()
    with pytest.raises(NotAStore, match="another program"):
        Store.open(tmp_path)


def test_a_later_releases_store_is_refused(root: Path) -> None:
    fill(root)
    index = sqlite3.connect(root / "index.sqlite")
    index.execute("PRAGMA user_version = 99")
    index.close()
    with pytest.raises(StoreTooNew, match="pip install -U memento-ml"):
        Store.open(root)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a place where nobody may write")
def test_a_place_that_cannot_be_written_says_so() -> None:
    with pytest.raises(StoreUnwritable, match="Choose another place"):
        Store.open("/proc/memento-store")


def test_a_store_that_is_open_for_reading_cannot_be_written(root: Path) -> None:
    fill(root)
    with Store.open(root, readonly=True) as store:
        assert len(list(store.index.known(EXPERIMENT))) == 3
        with pytest.raises(StoreUnwritable, match="reading only"):
            store.begin(info_of())


def test_a_reader_sees_what_a_run_commits_meanwhile(root: Path) -> None:
    with Store.open(root) as store, Store.open(root, readonly=True) as reader:
        run = store.begin(info_of())
        run.commit([row_of(1)])
        assert reader.index.experiments() == [(EXPERIMENT, 1, 0)]
        run.commit([row_of(2)])
        assert reader.index.experiments() == [(EXPERIMENT, 2, 0)]


def test_ids_are_never_used_twice(root: Path) -> None:
    with Store.open(root) as store:
        run = store.begin(info_of())
        first = run.commit([row_of(1)]).ids[key_of(1)]
        store.forget([key_of(1)])
        assert run.commit([row_of(2)]).ids[key_of(2)] > first


def test_metrics_come_back_as_arrays(root: Path) -> None:
    x, y = np.arange(3.0), np.array([0.5, np.nan, 0.25])
    series = Series("loss", 3, float("nan"), 0.25, 0.5, np.concatenate([x, y]).astype("<f8").tobytes())
    with Store.open(root) as store:
        number = store.begin(info_of()).commit([row_of(1, metrics=(series,))]).ids[key_of(1)]
        ((name, (read_x, read_y)),) = store.index.metrics(store.index.record(number)).items()
        assert name == "loss"
        np.testing.assert_array_equal(read_x, x)
        np.testing.assert_array_equal(read_y, y)
        (lasts,) = store.index.last_metrics([number])
        assert np.isnan(lasts["loss"][1]).tolist() == [True]


def test_a_log_is_the_slice_that_the_task_printed(root: Path) -> None:
    with Store.open(root) as store:
        (root / "logs" / "w.log").write_bytes(b"before[mine]after")
        ids = store.begin(info_of()).commit([row_of(1, log=LogSlice("w.log", 6, 12)), row_of(2)]).ids
        assert store.log(store.index.record(ids[key_of(1)])) == b"[mine]"
        assert store.log(store.index.record(ids[key_of(2)])) == b""


def test_a_stranger_s_pickle_is_not_opened(root: Path) -> None:
    with Store.open(root) as store:
        value = encode({1, 2, 3}, store.payloads, 16_384)
        number = store.begin(info_of()).commit([_with_value(2, value)]).ids[key_of(2)]
        assert store.value(store.index.record(number)) == {1, 2, 3}
    with Store.open(root, trusted=False) as store, pytest.raises(UntrustedStore):
        store.value(store.index.record(number))


def test_a_discarded_value_is_set_aside_and_its_task_is_not_done(root: Path) -> None:
    with Store.open(root) as store:
        value = encode(np.arange(10_000), store.payloads, 100)
        assert value.ref is not None
        number = store.begin(info_of()).commit([_with_value(1, value)]).ids[key_of(1)]
        record = store.index.record(number)
        (root / "payloads" / value.ref).write_bytes(b"torn")
        with pytest.raises(PayloadDamaged) as caught:
            store.value(record)
        store.discard(record, str(caught.value))
        assert list(store.index.known(EXPERIMENT)) == []
        assert not (root / "payloads" / value.ref).exists()
        (why,) = (root / "payloads" / "damaged").glob("*.why")
        assert record.key.hex() in why.read_text(encoding="utf-8")


def _with_value(number: int, value: Any) -> Any:
    row = row_of(number)
    return row._replace(outcome=row.outcome._replace(value=value))
