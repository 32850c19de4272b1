"""After a run, however it ended, `.results` of its Memento holds what there is of it."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import sys
import threading
import time
import types
import weakref
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped, unused-ignore]
import psutil
import pytest

import memento
from memento import AggregateException, CacheMiss, Memento
from memento.errors import MatrixError, NotAStore, RunInterrupted, StoreLimitReached
from memento.runner.invocation import LastRun

MATRIX = {"parameters": {"x": [1, 2, 3, 4]}}
EXECUTORS = ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)]


def picky(context: Any, config: Any) -> int:
    if config.x == 2:
        raise ValueError("two is too much")
    return int(config.x * 10)


def deadly(context: Any, config: Any) -> int:
    if config.x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(config.x * 10)


def make(store: Path, function: Any = picky, **options: Any) -> Memento:
    return Memento(function, store=store, progress=False, **{"executor": "serial", **options})


def told(results: Any) -> list[tuple[int, str, Any]]:
    return [(result.config.x, result.status, result.value) for result in results]


ONE_FAILED = [(1, "done", 10), (2, "failed", None), (3, "done", 30), (4, "done", 40)]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_after_a_failure_it_has_every_task_in_the_matrix_order(executor: str, tmp_path: Path) -> None:
    runs = make(tmp_path / "s", executor=executor, num_workers=1)
    with pytest.raises(AggregateException) as caught:
        runs.run(MATRIX)
    assert told(runs.results) == ONE_FAILED
    assert runs.results is caught.value.results


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_task_alone(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", deadly, executor="processes", num_workers=2)
    with pytest.raises(AggregateException):
        runs.run(MATRIX)
    assert told(runs.results) == ONE_FAILED


def test_it_is_what_run_returned_where_it_returned(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", on_error="return")
    returned = runs.run(MATRIX)
    assert runs.results is returned
    assert told(returned) == ONE_FAILED
    smaller = runs.run({"parameters": {"x": [4]}})
    assert runs.results is smaller  # the last run's


def test_before_any_run_it_says_what_to_write(tmp_path: Path) -> None:
    runs = make(tmp_path / "s")
    with pytest.raises(RuntimeError, match=r"has not run anything yet.* runs\.run\(matrix\)"):
        runs.results  # noqa: B018
    runs.run(MATRIX, dry_run=True)  # computes nothing
    with pytest.raises(RuntimeError, match="has not run anything yet"):
        runs.results  # noqa: B018


def test_a_matrix_that_is_refused_and_a_dry_run_leave_the_last_results(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", on_error="return")
    returned = runs.run(MATRIX)
    with pytest.raises(MatrixError):
        runs.run({"parameters": {"x": []}})
    runs.run({"parameters": {"x": [7]}}, dry_run=True)
    assert runs.results is returned


def test_after_a_cache_miss_it_has_what_the_store_has(tmp_path: Path) -> None:
    make(tmp_path / "s").run({"parameters": {"x": [3]}})
    runs = make(tmp_path / "s")
    with pytest.raises(CacheMiss):
        runs.run(MATRIX, force_cache=True)
    assert [status for _, status, _ in told(runs.results)] == ["missing", "missing", "done", "missing"]
    assert runs.results[2].value == 30


@pytest.mark.parametrize("executor", EXECUTORS)
def test_after_a_stop_by_another_process_it_has_what_is_done(executor: str, tmp_path: Path) -> None:
    store = tmp_path / "s"

    def stopping(context: Any, config: Any) -> int:
        if config.x == 2:
            control = memento.control(store)
            control.timeout = 0.0  # a run in this thread answers after the task
            control.stop()
        if config.x >= 2:
            time.sleep(0.6)  # it looks for commands twice a second
        return int(config.x)

    runs = make(store, stopping, executor=executor, num_workers=1, order="matrix")
    with pytest.raises(RunInterrupted) as caught:
        runs.run({"parameters": {"x": list(range(1, 9))}})
    assert runs.results is caught.value.results
    assert told(runs.results)[:2] == [(1, "done", 1), (2, "done", 2)]
    assert told(runs.results)[-1] == (8, "missing", None)


def test_a_store_that_is_full_leaves_what_is_done_and_says_where(tmp_path: Path) -> None:
    def large(context: Any, config: Any) -> bytes:
        return os.urandom(100_000)

    many = {"parameters": {"x": list(range(1_000))}}  # far more than are done between two looks
    runs = make(tmp_path / "s", large, store_limit="2MB", order="matrix")
    with pytest.raises(StoreLimitReached):
        runs.run(many)
    first = [status for _, status, _ in told(runs.results)]
    assert "done" in first
    assert "missing" in first
    again = make(tmp_path / "s", large, store_limit="1MB")
    with pytest.raises(StoreLimitReached):  # before anything has begun
        again.run(many)
    assert [status for _, status, _ in told(again.results)] == first


def stages(context: Any, config: Any) -> int:
    if "first" in config:
        return int(config.first + 1)
    if config.x == 2:
        raise ValueError("two is too much")
    return int(config.x)


@pytest.mark.slow
def test_run_all_leaves_results_by_id(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", stages)
    runs.add_matrix({"id": "first", "parameters": {"x": [1, 2]}})
    runs.add_matrix({"id": "second", "dependencies": ["first"], "parameters": {}})
    with pytest.raises(AggregateException) as caught:
        runs.run_all()
    found = runs.results
    assert {name: [result.value for result in results] for name, results in found.items()} == {
        "first": [1, None],
        "second": [2],
    }
    assert found == caught.value.results
    assert [r.value for r in found["second"].upstream("first")] == [1]
    del found
    caught = None  # type: ignore[assignment]
    gc.collect()
    # Made anew from the store: still joined with what they were computed from.
    assert [r.value for r in runs.results["second"].upstream("first")] == [1]


def test_a_stage_that_never_came_to_its_turn_is_none(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", stages)
    runs.add_matrix({"id": "first", "parameters": {"x": [1]}})
    runs.add_matrix({"id": "second", "dependencies": ["first"], "parameters": {}})
    with pytest.raises(CacheMiss):
        runs.run_all(force_cache=True)
    assert list(runs.results) == ["first", "second"]
    assert [result.status for result in runs.results["first"]] == ["missing"]
    assert runs.results["second"] is None


@pytest.mark.slow
def test_no_store_stays_open_for_them(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", on_error="return")
    results = runs.run(MATRIX)
    assert results is not None
    before, alive = told(results), weakref.ref(results)
    del results
    gc.collect()
    assert alive() is None
    assert not [file for file in psutil.Process().open_files() if str(tmp_path) in file.path]
    assert told(runs.results) == before
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(NotAStore, match="there is no store here"):
        runs.results  # noqa: B018


def test_two_runs_at_once_of_one_memento_return_their_own(tmp_path: Path) -> None:
    runs = make(tmp_path / "s", executor="threads", num_workers=2, on_error="return")
    found: dict[int, Any] = {}

    def run(x: int) -> None:
        found[x] = runs.run({"parameters": {"x": [x, x + 1]}})

    threads = [threading.Thread(target=run, args=(x,)) for x in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {x: [r.config.x for r in results] for x, results in found.items()} == {
        x: [x, x + 1] for x in (10, 20, 30)
    }
    assert any(runs.results is results for results in found.values())


@pytest.mark.parametrize("amid", ["let go of", "asked for by another thread"])
def test_they_may_be_let_go_of_and_made_anew_while_somebody_asks_for_them(amid: str, tmp_path: Path) -> None:
    runs = make(tmp_path / "s", lambda context, config: config.x)
    for name in ("first", "second"):
        runs.add_matrix({"id": name, "parameters": {"x": [1, 2]}})
    held: list[Any] = [runs.run_all()]
    for moment in range(12):
        gc.collect()
        lines = 0

        def interfere(frame: Any, event: str, argument: object, moment: int = moment) -> Any:
            """Is called at each line of `weakref`, which holds what is there."""
            nonlocal lines
            if frame.f_code.co_filename != weakref.__file__:
                return None
            lines += event == "line"
            if lines == moment + 1:
                sys.settrace(None)
                if amid == "let go of":
                    held.clear()
                else:
                    thread = threading.Thread(target=lambda: held.append(runs.results))
                    thread.start()
                    thread.join()
            return interfere

        if amid != "let go of":
            held[:] = [held[0]["first"]]
        sys.settrace(interfere)
        try:
            found = runs.results
        finally:
            sys.settrace(None)
        assert [[r.value for r in found[name]] for name in ("first", "second")] == [[1, 2]] * 2
        held[:] = [found]
        del found


class Trainer:
    """An object that has its Memento: what that holds is no part of its experiment's name."""

    def __init__(self, store: Path, **options: Any) -> None:
        self.runs = make(store, self.train, **options)

    def train(self, context: Any, config: Any) -> int:
        return int(config.x)


def test_what_is_kept_is_no_part_of_a_name_and_does_not_travel(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path / "s")
    name = trainer.runs.name
    trainer.runs.run(MATRIX)
    assert trainer.runs.name == name
    again = trainer.runs.run(MATRIX)
    assert again is not None
    assert all(result.was_cached for result in again)
    for other in (
        {"num_workers": 1, "executor": "threads"},
        {"retries": 1},
        {"timeout": 60},
        {"max_failures": 2},
    ):
        assert Trainer(tmp_path / "s", **other).runs.name == name
    travelled = cloudpickle.loads(cloudpickle.dumps(trainer.runs))
    with pytest.raises(RuntimeError, match="has not run anything yet"):
        travelled.results  # noqa: B018


def test_the_message_names_the_variable_where_the_program_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = make(tmp_path / "s")
    with pytest.raises(AggregateException, match=r"What there is: `\.results` of this exception"):
        runs.run(MATRIX)
    with pytest.raises(CacheMiss) as caught:
        runs.run(MATRIX, force_cache=True)
    assert vars(caught.value)["__notes__"] == ["What there is: `.results` of this Memento"]
    monkeypatch.setattr(sys.modules["__main__"], "my_runs", runs, raising=False)
    with pytest.raises(AggregateException, match=r"What there is: my_runs\.results$"):
        runs.run(MATRIX)
    with pytest.raises(CacheMiss) as caught:
        runs.run(MATRIX, force_cache=True)
    assert vars(caught.value)["__notes__"] == ["What there is: my_runs.results"]


def test_other_threads_of_the_program_may_name_something_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go on wherever something is made, if garbage is collected there that says farewell."""
    main = types.ModuleType("__main__")
    vars(main).update((f"name_{n}", n) for n in range(5_000))
    monkeypatch.setitem(sys.modules, "__main__", main)
    told: list[str] = []

    def go_on(phase: str, _: object) -> None:
        vars(main)[f"meanwhile_{len(told)}"] = phase
        told.append(phase)

    last, thresholds = LastRun(), gc.get_threshold()
    gc.callbacks.append(go_on)
    gc.set_threshold(1)
    try:
        said = last.where()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(go_on)
    assert told
    assert said.startswith("What there is: ")


def test_errors_travel_without_results(tmp_path: Path) -> None:
    runs = make(tmp_path / "s")
    with pytest.raises(AggregateException) as caught:
        runs.run(MATRIX)
    for error in (caught.value, RunInterrupted("2 tasks left", runs.results, "What there is: runs.results")):
        copied = pickle.loads(pickle.dumps(error))
        assert copied.results is None
        assert type(copied) is type(error)
    assert str(RunInterrupted("2 tasks left", None, "What there is: runs.results")) == (
        "2 tasks left. What there is: runs.results"
    )
