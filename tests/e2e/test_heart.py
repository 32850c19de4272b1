"""A run's heart beats while its tasks run, wherever these run, and stands still after it."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.index import heartbeat
from memento.index.heartbeat import stand_still
from memento.store.store import Store


def beat_of(index: str) -> float:
    with closing(sqlite3.connect(f"file:{index}?mode=ro", uri=True, timeout=60)) as connection:
        return float(connection.execute("SELECT max(heartbeat) FROM runs").fetchone()[0])


def waits_for_beats(context: Any, config: Any) -> int:
    index = str(config.settings["index"])
    beats = {beat_of(index)}
    while len(beats) < 4:
        time.sleep(0.005)
        beats.add(beat_of(index))
    return len(beats)


@pytest.mark.parametrize("executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_a_long_task_lets_no_heart_stand_still(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY", 0.01)
    store = tmp_path / "store"
    runs = Memento(waits_for_beats, executor=executor, num_workers=1, store=store, progress=False)
    results = runs.run({"parameters": {"n": [1]}, "settings": {"index": str(store / "index.sqlite")}})
    assert results is not None
    assert results[0].inner == 4
    assert not stand_still
    assert "memento-heartbeat" not in [thread.name for thread in threading.enumerate()]
    with Store.open(store) as opened:
        assert [run.status for run in opened.index.runs()] == ["done"]
