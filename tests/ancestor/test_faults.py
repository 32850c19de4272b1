"""Faults of 1.2.0 that are not copied, each with a script that showed it."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento import (
    AggregateException,
    Config,
    Context,
    EmailNotificationProvider,
    FileSystemCheckpointing,
    Memento,
    MemoryUsage,
)
from memento.errors import WorkerDied

GRID = {"parameters": {"x": [1, 2, 3]}}


def make(name: str) -> Any:
    """Two experiments of one bare name, as in two modules or two classes."""

    def experiment(context: Context, config: Config) -> str:
        return f"{name} {config.x}"

    experiment.__qualname__ = f"{name}.experiment"
    return experiment


def progressing(context: Context, config: Config) -> int:
    context.progress(1, total=2)
    context.progress(1)
    context.record({"count": 3, "share": np.float32(0.5), "step": (1, 2)})
    return int(config.x)


def dying(context: Context, config: Config) -> int:
    if config.x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(config.x)


def run(func: Any, matrix: Any = GRID, **options: Any) -> Any:
    return Memento(func, num_workers=2, progress=False, **options).run(matrix, cache_path="memento.sqlite")


@pytest.mark.slow
def test_experiments_of_one_bare_name_have_results_of_their_own() -> None:
    # 1.2.0 took `func.__name__` for the whole identity, and gave the second the first one's results.
    first, second = run(make("first")), run(make("second"))
    assert [r.inner for r in first] == ["first 1", "first 2", "first 3"]
    assert [r.inner for r in second] == ["second 1", "second 2", "second 3"]


@pytest.mark.slow
def test_results_are_found_from_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # 1.2.0 kept values under ./memento_cache of whatever folder it was in, whatever `cache_path` said.
    path = Path("memento.sqlite").absolute()
    Memento(progressing, num_workers=1, progress=False).run(GRID, cache_path=path)
    monkeypatch.chdir(tmp_path)
    results = Memento(progressing, num_workers=1, progress=False).run(GRID, cache_path=path)
    assert results is not None
    assert [r.inner for r in results] == [1, 2, 3]
    assert all(r.was_cached for r in results)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_results_move_with_their_store(tmp_path: Path) -> None:
    run(progressing, store="memento-store")
    Path("memento.sqlite.memento-store").rename(tmp_path / "moved")
    results = Memento(progressing, store=tmp_path / "moved", progress=False).run(GRID)
    assert results is not None
    assert [(r.inner, r.was_cached) for r in results] == [(1, True), (2, True), (3, True)]


@pytest.mark.slow
def test_record_takes_ints_and_numpy_numbers_and_progress_does_not_raise() -> None:
    metrics = run(progressing)[0].metrics
    assert metrics["count"]["y"].tolist() == [3.0]
    assert metrics["share"]["y"].tolist() == [0.5]
    assert (metrics["step"]["x"].tolist(), metrics["step"]["y"].tolist()) == ([1.0], [2.0])


def test_a_context_of_ones_own_takes_them_too() -> None:
    context = Context("key", FileSystemCheckpointing())
    context.progress(1, total=10)
    context.record({"count": 3, "step": (1, 2)})
    frames = context.collect_metrics()
    assert frames["count"]["y"].tolist() == [3.0]
    assert frames["step"]["x"].tolist() == [1.0]


@pytest.mark.slow
def test_cpu_time_and_memory_are_measured() -> None:
    result = run(progressing)[0]
    assert isinstance(result.cpu_time, timedelta)
    assert timedelta() <= result.cpu_time < timedelta(minutes=5)
    assert isinstance(result.memory, MemoryUsage)
    assert 1_000_000 < result.memory.hardware_peak <= result.memory.virtual_peak


@pytest.mark.slow
def test_the_users_matrices_are_left_as_they_were() -> None:
    # 1.2.0 wrote upstream results into the matrices that depend on them.
    upstream = {"id": "up", "parameters": {"x": [1, 2]}, "dependencies": []}
    downstream = {"id": "down", "parameters": {"x": [3]}, "dependencies": ["up"]}
    before = copy.deepcopy((upstream, downstream))
    for _ in range(2):
        memento = Memento(progressing, num_workers=1, progress=False)
        memento.add_matrix(downstream)
        memento.add_matrix(upstream)
        results = memento.run_all(cache_path="memento.sqlite")
        assert results is not None
        assert {name: len(rows or ()) for name, rows in results.items()} == {"up": 2, "down": 2}
        assert (upstream, downstream) == before


@pytest.mark.slow
def test_a_mail_provider_sends_one_mail_for_a_run_that_went_well() -> None:
    # 1.2.0 sent an empty one for each task.
    sent: list[Any] = []

    class Recording(EmailNotificationProvider):
        def send(self, subject: str, body: str) -> None:
            sent.append((subject, body))

    import smtplib

    run(progressing, notification_provider=Recording(smtplib.SMTP(), "me@example.org", ["you@example.org"]))
    assert len(sent) == 1
    assert "3" in sent[0][0] + sent[0][1]


@pytest.mark.slow
def test_a_worker_that_dies_ends_no_run() -> None:
    # 1.2.0 waited forever.
    with pytest.raises(AggregateException) as caught:
        run(dying)
    (error,) = caught.value.exceptions
    assert isinstance(error, WorkerDied)
    assert "SIGKILL" in str(error)
    assert [r.inner for r in caught.value.results if r.status == "done"] == [1, 3]


CLASSES = """
from memento import Memento

class Model:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(other) is type(self) and other.x == self.x

def experiment(context, config):
    return config.model(config.x)

for _ in range(2):
    results = Memento(experiment, num_workers=2).run({"parameters": {"model": [Model], "x": [1, 2]}})
    print([type(r.inner) is Model and r.inner == Model(r.config.x) for r in results], [r.was_cached for r in results])
"""


@pytest.mark.slow
def test_classes_of_the_script_are_parameters_and_results(tmp_path: Path) -> None:
    # 1.2.0 ended with a KeyError: its key held the class by its code, which was not the same when it came back.
    script = tmp_path / "script.py"
    script.write_text(CLASSES, encoding="utf-8")
    for cached in ("False", "True"):
        ran = subprocess.run(
            [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
        )
        first, second = ran.stdout.splitlines()
        assert first == f"[True, True] [{cached}, {cached}]"
        assert second == "[True, True] [True, True]"
