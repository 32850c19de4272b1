"""Optuna's trials: parameters with their types, values, what is complete."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from memento.exchange.open_source import Wanted, kind_of, open_source
from memento.exchange.read_optuna import read_optuna, source_of
from memento.exchange.source_rows import CannotImport

BEGAN = datetime.fromisoformat("2026-01-02T03:00:00")  # without a zone, as Optuna has it


def trial(number: int, params: dict[str, Any], *values: float, state: str = "COMPLETE", **more: Any) -> Any:
    began, ended = BEGAN, BEGAN + timedelta(seconds=5)
    return SimpleNamespace(
        number=number, params=params, values=list(values) or None, state=SimpleNamespace(name=state),
        datetime_start=began, datetime_complete=ended, user_attrs=more,
    )  # fmt: skip


def test_a_trial_is_its_parameters_its_value_and_its_time() -> None:
    source = source_of(
        "tune", [trial(0, {"lr": 0.1}, 0.5, note="x"), trial(3, {"lr": 1, "C": 2}, state="PRUNED")]
    )
    assert (source.parameters, source.results) == (("lr", "C"), ("value",))
    assert source.columns == ("lr", "C", "value", "note")
    first, second = source.rows
    assert (first.cells, first.where, first.status) == (
        {"lr": 0.1, "value": 0.5, "note": "x"},
        "trial 0",
        "done",
    )
    assert (first.started, first.runtime) == (BEGAN.timestamp(), 5.0)
    assert (second.status, second.cells) == ("PRUNED", {"lr": 1, "C": 2})


def test_several_values_and_names_that_are_taken_stay_apart() -> None:
    (row,) = source_of("t", [trial(0, {"value": 1}, 2.0, value=3)]).rows
    assert row.cells == {"value": 1, "result.value": 2.0, "attr.value": 3}
    (row,) = source_of("t", [trial(0, {"a": 1}, 2.0, 3.0)]).rows
    assert row.cells == {"a": 1, "values_0": 2.0, "values_1": 3.0}
    (row,) = source_of("t", [trial(0, {"a": 1}, 2.0, 3.0)], ["acc", "time"]).rows
    assert row.cells == {"a": 1, "acc": 2.0, "time": 3.0}


@pytest.mark.real
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_real_study_is_read_by_its_file(tmp_path: Path, kind: str) -> None:
    optuna = pytest.importorskip("optuna")
    path = tmp_path / ("study.db" if kind == "sqlite" else "study.log")
    if kind == "sqlite":
        storage: Any = f"sqlite:///{path}"
    else:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))

    def objective(one: Any) -> float:
        lr, model = one.suggest_float("lr", 0, 1), one.suggest_categorical("model", ["svc", 3, True, None])
        if one.number == 2:
            raise ValueError
        return float(lr) if model is not None else 0.5

    study = optuna.create_study(study_name="tune", storage=storage)
    study.optimize(objective, n_trials=8, catch=ValueError)
    optuna.create_study(study_name="other", storage=storage)
    assert kind_of(str(path)) == "optuna"
    before = path.read_bytes()
    with pytest.raises(CannotImport, match=r"2 studies\. Name one with --study: other, tune"):
        read_optuna(str(path), None)
    source = open_source(str(path), Wanted(study="tune"))
    assert path.read_bytes() == before
    assert [row.status for row in source.rows].count("done") == 7
    assert [row.cells["lr"] for row in source.rows] == [one.params["lr"] for one in study.trials]
    assert [row.cells["model"] for row in source.rows] == [one.params["model"] for one in study.trials]
    if kind == "sqlite":
        assert open_source(f"sqlite:///{path}", Wanted("optuna", "tune")).rows == source.rows


@pytest.mark.real
def test_a_storage_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    with pytest.raises(CannotImport, match="FileNotFoundError"):
        read_optuna(f"sqlite:///{tmp_path}/none.db", None)
    assert not list(tmp_path.iterdir())
