"""Matrices in turn: what their tasks are called while they run, and what is said of those that cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import memento
from memento import Config, Context, Memento
from memento.errors import MatrixError
from memento.events import Event, RunStarted, Said, TaskFailed


def experiment(context: Context, config: Config) -> Any:
    if "n" in config:
        if config.n in config.settings["broken"]:
            raise ValueError("no such number")
        return config.n
    raise KeyError("oh")


def stages(store: Path, *, broken: list[int], **second: Any) -> tuple[Memento, list[Event]]:
    events: list[Event] = []
    runs = Memento(
        experiment,
        store=store,
        executor="serial",
        progress=False,
        on_error="return",
        listeners=[events.append],
    )
    runs.add_matrix({"id": "base", "parameters": {"n": [1, 2]}, "settings": {"broken": broken}})
    runs.add_matrix({"id": "next", "dependencies": ["base"], "parameters": {"k": [0]}, **second})
    return runs, events


def said(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Said)]


def test_a_failed_task_is_called_by_its_upstream_parameters(tmp_path: Path) -> None:
    runs, events = stages(tmp_path / "s", broken=[])
    runs.run_all()
    assert [event.matrix for event in events if isinstance(event, RunStarted)] == ["base", "next"]
    told = [event.config for event in events if isinstance(event, TaskFailed)]
    assert told == ["k=0, base.n=1", "k=0, base.n=2"] or told == ["k=0, base.n=1"]


@pytest.mark.parametrize(
    ("rule", "lost"),
    [
        ({"base.n": 2}, ""),
        ({"base.n": 1}, "matrix 'next' (1 task) is not run, for want of results: 1 of 2 tasks of matrix 'base' did"),
        ({"base.n": 3}, "1 of 2 tasks of matrix 'next' is not run, for want of results: 1 of 2 tasks of matrix 'base'"),
    ],
)  # fmt: skip
def test_only_tasks_that_would_have_been_run_count_as_lost(tmp_path: Path, rule: Any, lost: str) -> None:
    runs, events = stages(tmp_path / "s", broken=[2], exclude=[rule])
    runs.run_all()
    told = [text for text in said(events) if "for want" in text]
    assert len(told) == bool(lost)
    assert all(text.startswith(lost) for text in told)
    # What a rule says about a result that is missing is well said.
    assert any("matches nothing" in text for text in said(events)) == (rule == {"base.n": 3})


def test_a_matrix_of_which_rules_leave_nothing_is_an_error_whatever_failed(tmp_path: Path) -> None:
    runs, _ = stages(tmp_path / "s", broken=[2], exclude=[{"k": 0}])
    with pytest.raises(MatrixError, match="nothing is left"):
        runs.run_all()


@pytest.mark.slow
def test_a_result_that_was_to_be_computed_again_and_failed_is_taken_by_no_later_stage(tmp_path: Path) -> None:
    state = {"load": "old", "broken": ""}

    def three(context: Context, config: Config) -> Any:
        if config.stage == state["broken"]:
            raise ValueError("no server")
        if config.stage == "load":
            return state["load"]
        return [config.load, config.clean] if config.stage == "fit" else config.load

    def run() -> Any:
        runs = Memento(
            three, name="three", store=tmp_path / "s", executor="serial", progress=False, on_error="return"
        )
        runs.add_matrix({"id": "load", "parameters": {"stage": ["load"]}})
        runs.add_matrix({"id": "clean", "dependencies": ["load"], "parameters": {"stage": ["clean"]}})
        runs.add_matrix({"id": "fit", "dependencies": ["load", "clean"], "parameters": {"stage": ["fit"]}})
        return runs.run_all()

    first = run()
    assert first["fit"][0].inner == ["old", "old"]
    memento.forget([first["load"][0].key], tmp_path / "s")
    state.update(load="new", broken="clean")
    assert run()["fit"] is None
    assert run()["fit"] is None
    state["broken"] = ""
    assert run()["fit"][0].inner == ["new", "new"]
