"""Anybody may listen to a run; nobody who does can harm it or hold it up."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import memento.events as public
from memento import Config, Context, DefaultNotificationProvider, Memento
from memento.events import (
    Event,
    RunFinished,
    RunStarted,
    Said,
    TaskFailed,
    TaskRetried,
    TasksFinished,
    TasksStarted,
    Tick,
)
from memento.runner import listeners as runner_listeners
from tests.runner.fakes import FakeSession, fails

MATRIX = {"parameters": {"x": list(range(30))}}


def experiment(context: Context, config: Config) -> int:
    if config.x == 7:
        raise ValueError("seven")
    return int(config.x)


@pytest.fixture(autouse=True)
def _time_to_hear_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_listeners, "_PATIENCE", 200.0)


@pytest.fixture(params=["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def runs(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def make(**options: Any) -> Memento:
        given = {"executor": request.param, "store": tmp_path / "store", "progress": False}
        workers = None if request.param == "serial" else 2
        return Memento(experiment, num_workers=workers, on_error="return", **given | options)

    return make


@pytest.mark.parametrize("runs", ["serial", "threads", "processes"], indirect=True)
def test_events_carry_run_time_and_keys_and_every_task_starts_before_it_ends(runs: Any) -> None:
    heard: list[Event] = []
    began = time.time()
    results = runs(listeners=[heard.append]).run(MATRIX)
    keys = {result.key for result in results}
    heard = [event for event in heard if not isinstance(event, Said)]  # of pytest's own handlers of logging
    assert isinstance(heard[0], RunStarted)
    assert isinstance(heard[-1], RunFinished)
    assert {event.run for event in heard} == {heard[0].run} != {""}
    times = [event.time for event in heard]
    assert began <= times[0]
    assert times == sorted(times)
    started: list[str] = []
    finished: list[str] = []
    for event in heard:
        if isinstance(event, TasksStarted):
            assert len(event.keys) == len(event.workers)
            assert all(event.workers)
            assert all(config.startswith("x=") for config in event.configs)
            assert len(event.configs) == len(event.keys)
            started += event.keys
        elif isinstance(event, TasksFinished):
            assert (len(event.keys), len(event.failed_keys)) == (event.done, event.failed)
            finished += [*event.keys, *event.failed_keys]
            assert sorted(task.key for task in event.tasks) == sorted([*event.keys, *event.failed_keys])
            assert set(finished) <= set(started)
    assert sorted(started) == sorted(finished) == sorted(keys)
    (failed,) = [event for event in heard if isinstance(event, TaskFailed)]
    assert failed.key == next(result.key for result in results if result.status == "failed")
    assert pickle.loads(pickle.dumps(heard[0])) == heard[0]


def test_a_run_whose_results_are_all_there_tells_start_and_end(runs: Any) -> None:
    runs().run({"parameters": {"x": [1, 2]}})
    heard: list[Event] = []
    runs(listeners=[heard.append]).run({"parameters": {"x": [1, 2]}})
    assert [type(event) for event in heard] == [RunStarted, RunFinished]


def test_a_listener_that_raises_is_told_once_and_left_out_and_the_others_hear_on(runs: Any) -> None:
    heard: list[Event] = []
    seen = 0

    def bad(event: Event) -> None:
        nonlocal seen
        seen += 1
        raise LookupError("no such board")

    results = runs(listeners=[bad, heard.append]).run(MATRIX)
    assert len(results) == 30
    assert seen == 1
    told = [event.text for event in heard if isinstance(event, Said) and "listener" in event.text]
    assert told == [
        "the listener bad failed: LookupError: no such board. It hears no more of this run, whose tasks it cannot harm."
    ]
    assert isinstance(heard[-1], Said | RunFinished)


def test_a_listener_that_hangs_holds_up_nothing(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_listeners, "_PATIENCE", 0.5)
    gate = threading.Event()
    heard: list[Event] = []
    began = time.monotonic()
    results = runs(listeners=[lambda event: gate.wait(100), heard.append]).run(MATRIX)
    assert time.monotonic() - began < 50
    assert len(results) == 30
    while not any(isinstance(event, RunFinished) for event in heard) and time.monotonic() - began < 100:
        time.sleep(0.01)  # the other one may be so slow, too
    assert any(isinstance(event, RunFinished) for event in heard)
    gate.set()


def test_a_provider_hears_all_events_and_one_of_1_2_0_its_three_methods(runs: Any) -> None:
    class Rich(DefaultNotificationProvider):
        def __init__(self) -> None:
            self.heard: list[Event] = []

        def on_event(self, event: Event) -> None:
            self.heard.append(event)

    class Plain(DefaultNotificationProvider):
        done = failed = ended = 0

        def task_completed(self) -> None:
            self.done += 1

        def task_failure(self) -> None:
            self.failed += 1

        def all_tasks_completed(self) -> None:
            self.ended += 1

    rich, plain = Rich(), Plain()
    runs(notification_provider=rich, listeners=[plain]).run(MATRIX)
    assert {RunStarted, TasksStarted, TasksFinished, TaskFailed, Tick, RunFinished} <= set(
        map(type, rich.heard)
    )
    assert (plain.done, plain.failed, plain.ended) == (29, 1, 1)


@pytest.mark.parametrize("wrong", [print, "text", [3], {"a": print}])
def test_what_cannot_be_called_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(TypeError, match="listener"):
        Memento(experiment, listeners=wrong)


def test_without_listeners_no_event_names_tasks() -> None:
    session = FakeSession(10)
    session.loop()
    assert not session.of(TasksStarted)
    assert not any(event.keys for event in session.of(TasksFinished))


def test_an_attempt_that_is_repeated_starts_again() -> None:
    session = FakeSession(2, fails(1, until=1), retries=1, name_tasks=True)
    session.loop()
    key = session.plan.tasks.key(1).hex()
    told = [
        type(event)
        for event in session.events
        if key in getattr(event, "keys", ()) or key == getattr(event, "key", "")
    ]
    assert told == [TasksStarted, TaskRetried, TasksStarted, TasksFinished]


def test_a_finished_task_is_told_with_its_parameters_and_what_came_of_it(tmp_path: Path) -> None:
    def measured(context: Context, config: Config) -> Any:
        context.record({"loss": 0.5}, step=1)
        context.record({"loss": 0.25}, step=2)
        if config.kind is dict:
            raise ValueError("no dicts")
        return {"score": config.x} if config.x else object()

    heard: list[Event] = []
    matrix = {"parameters": {"x": [0, 0.5], "kind": [list, dict]}, "repeats": 2}
    runs = Memento(
        measured,
        store=tmp_path,
        executor="serial",
        on_error="return",
        listeners=[heard.append],
        progress=False,
    )
    results = runs.run(matrix)
    assert results is not None
    told = {task.key: task for event in heard if isinstance(event, TasksFinished) for task in event.tasks}
    assert len(told) == 8
    for result in results:
        task = told[result.key]
        assert task.parameters == {
            "x": result.config.x, "kind": result.config.kind.__name__, "repeat": result.config.repeat,
        }  # fmt: skip
        assert (
            task.config
            == f"x={result.config.x}, kind={result.config.kind.__name__}, repeat={result.config.repeat}"
        )
        assert (task.status, task.metrics) == (result.status, {"loss": 0.25})
        assert task.error == ("ValueError: no dicts" if result.config.kind is dict else "")
        assert task.value == ({"score": 0.5} if result.status == "done" and result.config.x else None)
    assert pickle.loads(pickle.dumps(heard[-1])) == heard[-1]


def test_a_finished_task_is_told_with_labels_and_the_parameters_of_earlier_stages(tmp_path: Path) -> None:
    def stage(n: int, size: Any = None, sizes: Any = None) -> int:
        return n

    heard: list[Event] = []
    runs = Memento(
        stage, executor="serial", store=tmp_path / "store", progress=False, listeners=[heard.append]
    )
    runs.add_matrix({"id": "sizes", "parameters": {"n": [1], "size": {"small": (1, 2), "large": (3, 4)}}})
    runs.add_matrix({"id": "fits", "dependencies": ["sizes"], "parameters": {"n": [2]}})
    runs.run_all()
    told = [task.parameters for event in heard if isinstance(event, TasksFinished) for task in event.tasks]
    assert [*map(dict, told)] == [
        {"n": 1, "size": "small"},
        {"n": 1, "size": "large"},
        {"n": 2, "sizes.n": 1, "sizes.size": "small"},
        {"n": 2, "sizes.n": 1, "sizes.size": "large"},
    ]


def test_every_event_is_public_and_says_run_and_time() -> None:
    for kind in public.Event.__args__:
        assert getattr(public, kind.__name__) is kind
        assert kind._fields[-2:] == ("run", "time")
