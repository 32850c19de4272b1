"""What somebody removes of a store between two runs of one program is made anew, and said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento import Memento
from memento.store.store import Store


def experiment(context: Any, config: Any) -> Any:
    return np.arange(50_000) + config.n if config.large else config.n


def remove_index(store: Path) -> None:
    for file in store.glob("index.sqlite*"):
        file.unlink()


def remove_index_alone(store: Path) -> None:
    (store / "index.sqlite").unlink()


def remove_payloads(store: Path) -> None:
    shutil.rmtree(store / "payloads")


def remove_folders(store: Path) -> None:
    for folder in store.iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("remove", "kept"),
    [
        (shutil.rmtree, 0),
        (remove_index, 0),
        (remove_index_alone, 0),
        (remove_payloads, 2),
        (remove_folders, 2),
    ],
    ids=["all", "index", "index alone", "payloads", "folders"],
)
def test_the_next_run_of_the_program_computes_what_was_removed(
    tmp_path: Path, remove: Callable[[Path], None], kept: int
) -> None:
    store = tmp_path / "store"
    runs = Memento(experiment, executor="serial", store=store, progress=False)
    matrix = {"parameters": {"n": [1, 2], "large": [True, False]}}
    assert runs.run(matrix) is not None
    remove(store)
    for cached in (kept, 4):
        results = runs.run(matrix)
        assert results is not None
        assert sum(result.was_cached for result in results) == cached
        assert [int(np.ravel(result.inner)[0]) for result in results] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("remove", "said"),
    [
        (remove_payloads, "2 results whose values lay there will be computed again"),
        (remove_index, "so all tasks count as not computed"),
        (shutil.rmtree, ""),
    ],
    ids=["payloads", "index", "all"],
)
def test_what_was_removed_is_said(tmp_path: Path, remove: Callable[[Path], None], said: str) -> None:
    store = tmp_path / "store"
    runs = Memento(experiment, executor="serial", store=store, progress=False)
    runs.run({"parameters": {"n": [1, 2], "large": [True, False]}})
    remove(store)
    with Store.open(store) as opened:
        assert said in "\n".join(opened.notes)
        assert bool(said) == bool(opened.notes)
    with Store.open(store) as opened:
        assert opened.notes == []
