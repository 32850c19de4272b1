"""A store with what exports have to say: metrics over time, dicts, files, a failure, strange names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.exchange.exported_tasks import ExportedTasks
from memento.store.store import Store

MATRIX: dict[str, Any] = {
    "parameters": {"lr": [0.1, 1.0], "model": ["svc", "née @ home"]},
    "settings": {"folds": 5, "big": 2**53 + 1},
}


def train(context: Any, config: Any) -> Any:
    for step in range(1, 4):
        context.record({"loss": config.lr / step, "acc@1": float("nan")}, step=step)
    context.record({"pace": (0.5, 7.0)})
    if config.lr == 1.0 and config.model == "svc":
        raise ValueError("too fast")
    context.artifact("model.txt").write_text(f"model of {config.lr}")
    return {"acc": 0.25, "n": 3, "ok": True, "note": "good", "deep": {"f1": 0.5}, "loss": 9.0}


def make_store(folder: Path, matrix: dict[str, Any] | None = None) -> Path:
    place = folder / "store"
    memento = Memento(
        train, name="train.py:train", executor="serial", store=str(place), progress=False, on_error="return"
    )
    memento.run(matrix or MATRIX)
    return place


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tasks, of which one has failed; only read."""
    return make_store(tmp_path_factory.mktemp("trained"))


def exported(store: Store) -> list[ExportedTasks]:
    return [ExportedTasks(store, name) for name, _, _ in store.index.experiments()]
