"""Sizes are those of the files, each of one kind, while others write and remove them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memento
from memento.store.sizes import Sizes, measure, size_of
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    results = memento.Memento(
        keeps, executor="serial", store=tmp_path / "store", progress=False, on_error="return"
    ).run({"parameters": {"n": [1, 2]}})
    yield tmp_path / "store"
    del results  # it has the index open: else a log of SQLite's vanishes at some time


def keeps(context: Any, config: Any) -> Any:
    context.artifact("model.bin").write_bytes(b"0" * 100)
    (context.directory / "scratch").write_bytes(b"0" * 10)
    context.checkpoint(np.zeros(100))
    context.cached(np.ones, 1_000)
    if config.n == 2:
        raise ValueError("two")
    return np.zeros(10_000)


def files(root: Path, *places: str) -> int:
    found = [path for place in places for path in root.glob(place) if path.is_file()]
    return sum(path.stat().st_size for path in found)


def test_each_file_counts_once_as_what_it_is(root: Path) -> None:
    found = measure(str(root))
    assert found.values == files(root, "payloads/**/*") >= 80_000
    assert found.steps == files(root, "steps/**/*") >= 8_000
    assert found.checkpoints == files(root, "checkpoints/**/*") >= 800
    assert (found.artifacts, found.folders) == (200, 20)
    assert found.index == files(root, "*")
    assert found.total == files(root, "**/*") == size_of(str(root))
    assert found.disk_free > 0


def test_what_was_set_aside_is_told_apart(root: Path) -> None:
    before = measure(str(root))
    (value,) = (root / "payloads").glob("??/*.npy")
    value.write_bytes(value.read_bytes()[:-1])
    memento.verify(root, repair=True)
    after = measure(str(root))
    assert after.values == before.values - value_size(root) - 1
    assert after.damaged > 0
    assert after.total == size_of(str(root))


def value_size(root: Path) -> int:
    (aside,) = (root / "payloads" / "damaged").glob("*.npy")
    return aside.stat().st_size


def test_what_gc_would_free_is_what_it_frees(root: Path) -> None:
    with Store.open(root, readonly=True) as store:
        would = store.sizes().garbage
    assert would > 0
    assert memento.gc(root).size == would
    assert memento.sizes(root).garbage == 0


def test_what_vanishes_meanwhile_and_links_do_not_count(root: Path, tmp_path: Path) -> None:
    before = measure(str(root)).total
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"0" * 10_000)
    (root / "work" / key_of(1).hex()).symlink_to(tmp_path / "elsewhere")
    after = measure(str(root)).total
    assert after - before < 1_000  # of the link itself
    assert size_of(str(root / "gone")) == 0
    assert measure(str(root / "gone")).total == 0


def test_beside_a_run_what_it_may_name_is_no_garbage(root: Path) -> None:
    memento.gc(root)
    with Store.open(root) as store:
        run = store.begin(info_of())
        store.payloads.write([b"0" * 5_000], ".bin")
        assert store.sizes().garbage == 0
        run.finish("done", {})
        assert store.sizes().garbage == 5_000


def test_the_kinds_are_the_fields_that_add_up() -> None:
    sizes = Sizes(*range(1, 11))
    assert sizes.total == sum(range(1, 9))
    assert len(sizes.kinds) == 8
