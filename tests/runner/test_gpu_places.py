"""A run has no more workers than there are GPUs for; that there are none is told before anything runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Memento
from memento.errors import WorkerStartError
from memento.executors import Processes
from memento.executors.serial import Serial
from memento.runner.gpu_places import fitted
from memento.runner.options import Options, check_gpus
from tests.executors.drivers import GB, nvml_tells

TWO = [
    {"uuid": "GPU-one", "name": "A100", "total": 40 * GB},
    {"uuid": "GPU-two", "name": "A100", "total": 40 * GB, "memory": "GpuIsLost"},
]
GRID = {"parameters": {"x": [1, 2, 3]}}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, TWO)
    monkeypatch.chdir(tmp_path)


def look(context: Any, config: Any) -> tuple[Any, ...]:
    return os.environ.get("CUDA_VISIBLE_DEVICES"), context.resources.gpus, context.resources.gpu_memory


def runs(capsys: pytest.CaptureFixture[str], **options: Any) -> Memento:
    capsys.readouterr()
    return Memento(look, store="store", progress=True, name="look", **options)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.slow
def test_tasks_see_their_own_device_and_what_is_not_right_is_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = runs(capsys, gpus_per_task=1, num_workers=3).run(GRID)
    assert results is not None
    assert {result.inner for result in results} == {("GPU-one", ("GPU-one",), 40 * GB)}
    text = told(capsys)
    assert text.count("1 worker, not 3: there are no more GPUs") == 1
    assert text.count("GPU 1 (A100) is left out: GPU is lost") == 1
    assert text.count("not 3") == 1


@pytest.mark.slow
def test_two_tasks_share_a_device_by_the_memory_that_each_needs(capsys: pytest.CaptureFixture[str]) -> None:
    results = runs(capsys, gpu_memory="15GB", num_workers=4).run(GRID)
    assert results is not None
    assert {result.inner for result in results} == {("GPU-one", ("GPU-one",), 15 * GB)}
    assert "2 workers, not 3" in told(capsys)


@pytest.mark.parametrize(
    ("options", "right"), [({"gpus_per_task": 2}, "gpus_per_task=1"), ({"gpu_memory": "50GB"}, "'40GB'")]
)
def test_what_no_device_has_ends_the_run_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: dict[str, Any], right: str
) -> None:
    with pytest.raises(WorkerStartError, match=right):
        runs(capsys, **options).run(GRID)
    with pytest.raises(ValueError, match="a store without results"):
        memento.load("store")
    assert not list((tmp_path / "store").glob("logs/*"))


def test_a_plan_says_what_the_run_would_say(capsys: pytest.CaptureFixture[str]) -> None:
    planned = runs(capsys, gpus_per_task=1, num_workers=3).plan(GRID)
    assert planned.workers == 1
    assert "  GPUs: 1 worker, not 3: there are no more GPUs." in planned.lines()
    hopeless = runs(capsys, gpus_per_task=4).plan(GRID)
    assert "GPUs: it would not run: a task needs gpus_per_task=4" in str(hopeless)
    assert runs(capsys, gpus_per_task=4).run(GRID, dry_run=True) is None
    assert "Write gpus_per_task=1." in told(capsys)
    assert "GPU" not in str(runs(capsys).plan(GRID))


def test_nothing_is_said_where_nothing_is_to_be_run(capsys: pytest.CaptureFixture[str]) -> None:
    runs(capsys, executor="serial").run(GRID)
    assert len(runs(capsys, gpus_per_task=4).run(GRID) or ()) == 3


def test_an_executor_that_hands_out_no_gpus_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    runs(capsys, executor="serial", gpus_per_task=1).run(GRID)
    assert "gpus_per_task has no effect: with executor='serial' each task sees all GPUs" in told(capsys)
    assert fitted(Options(4, executor="serial", gpu_memory=5), Serial(), 9)[1].startswith("gpu_memory has no")


def test_gpus_that_stay_idle_for_want_of_cores_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nvml_tells(monkeypatch, tmp_path, [{"uuid": f"GPU-{number}"} for number in range(8)])
    monkeypatch.setattr("memento.runner.gpu_places.default_workers", lambda cpus: 2)
    options, note = fitted(Options(2, gpus_per_task=1), Processes(), 100)
    assert options.num_workers == 2
    assert "GPUs for 8: there are no more cores. num_workers=8 uses them all." in note
    assert fitted(Options(3, gpus_per_task=1), Processes(), 100)[1] == ""  # as it was asked for


@pytest.mark.parametrize("count", [-1, 1.5, float("nan"), float("inf"), True, "two"])
def test_what_is_no_number_of_gpus_is_refused(count: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="gpus_per_task"):
        Memento(look, gpus_per_task=count)


@pytest.mark.parametrize("count", [0, 0.0, 0.25, 1, 2.0, 8])
def test_whole_numbers_of_gpus_and_shares_of_one_are_taken(count: Any) -> None:
    check_gpus(count)


def test_a_memory_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="gpu_memory must be bytes or a text like '4GB'"):
        Memento(look, gpu_memory="much")
