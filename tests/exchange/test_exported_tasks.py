"""Promises about exported tasks: they stand in the matrix's order, whole, with nothing unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memento import Memento
from memento.exchange import exported_tasks
from memento.exchange.exported_tasks import ExportedTasks, with_series
from memento.records import FAILED
from memento.store.store import Store
from tests.exchange.conftest import exported


def test_tasks_stand_in_the_order_of_the_matrix_however_small_the_pieces(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(trained, create=False, readonly=True, trusted=False) as store:
        (tasks,) = exported(store)
        whole = list(tasks)
        assert [(one.parameters["lr"], one.parameters["model"]) for one in whole] == [
            (lr, model) for lr in (0.1, 1.0) for model in ("svc", "née @ home")
        ]
        for size in (1, 3):
            monkeypatch.setattr(exported_tasks, "PIECE", size)
            assert repr(list(tasks)) == repr(whole)


def test_some_tasks_may_be_meant(trained: Path) -> None:
    with Store.open(trained, create=False, readonly=True, trusted=False) as store:
        name = "train.py:train"
        ids = [one.record.id for one in ExportedTasks(store, name)]
        assert [one.record.id for one in ExportedTasks(store, name, ids[1:3])] == ids[1:3]
        (failed,) = ExportedTasks(store, name, status=FAILED)
        assert failed.record.id == ids[2]
        assert list(ExportedTasks(store, name, ids[:2], FAILED)) == []


def test_metrics_come_with_all_their_points(trained: Path) -> None:
    with Store.open(trained, create=False, readonly=True, trusted=False) as store:
        (tasks,) = exported(store)
        told = list(with_series(store, tasks))
        assert len(told) == 4
        for task, series in told:
            xs, ys = series["loss"]
            assert xs.tolist() == [1, 2, 3]
            assert ys.tolist() == [task.parameters["lr"] / x for x in (1, 2, 3)]
            assert task.metrics["loss"] == ys[-1]


def test_values_are_plain_data_or_say_what_they_are(tmp_path: Path) -> None:
    made = {
        "small": np.array([1.5, 2.5]),
        "number": np.float32(0.1),
        "large": np.zeros(5000),
        "pickle": {1, 2},
        "text": "=1+1",
    }

    def give(name: str) -> object:
        return made[name]

    Memento(give, executor="serial", store=str(tmp_path / "s"), progress=False).run(
        {"parameters": {"name": list(made)}}
    )
    with Store.open(tmp_path / "s", create=False, readonly=True, trusted=False) as store:
        (tasks,) = exported(store)
        told = {one.parameters["name"]: one.value for one in tasks}
    assert told["small"] == [1.5, 2.5]
    assert told["number"] == pytest.approx(0.1)
    assert told["large"] == "array 5000 float64, 40.1 kB"
    assert told["pickle"].startswith("set, ")
    assert told["text"] == "=1+1"
