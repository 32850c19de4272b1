"""MLflow's runs: parameters, the last metrics, what is finished."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from memento.exchange.read_mlflow import read_mlflow, source_of
from memento.exchange.source_rows import CannotImport


def run(
    name: str, params: dict[str, str], metrics: dict[str, float], start: int, status: str = "FINISHED"
) -> Any:
    info = SimpleNamespace(run_id=name, status=status, start_time=start, end_time=start + 1500)
    return SimpleNamespace(info=info, data=SimpleNamespace(params=params, metrics=metrics))


def test_runs_come_in_the_order_in_which_they_began() -> None:
    source = source_of(
        "exp",
        [
            run("b", {"lr": "0.1", "no": ""}, {"acc": 0.5, "lr": 2.0}, 2000),
            run("a", {"lr": "1"}, {}, 1000, "FAILED"),
        ],
    )
    first, second = source.rows
    assert (first.where, first.status, first.cells) == ("run a", "FAILED", {"lr": "1"})
    assert second.cells == {"lr": "0.1", "acc": 0.5, "metric.lr": 2.0}
    assert (second.started, second.runtime) == (2.0, 1.5)
    assert (source.parameters, source.results) == (("lr",), ("acc", "metric.lr"))


def test_a_server_that_is_not_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://ada:secret@127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(CannotImport, match=r"nobody answers .* refused") as told:
            read_mlflow(address, None)
    assert "secret" not in str(told.value)
    with pytest.raises(CannotImport, match="is no address"):
        read_mlflow("http://127.0.0.1:port", None)
