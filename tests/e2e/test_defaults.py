"""What a changed default promises: no result of the old one is served, and what was there before it existed stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento import Config, Context, Memento


def experiment(context: Context, config: Config) -> str:
    return f"{config.x}, {config.get('extra')}, {config.settings.get('extra')}"


def run(store: Path, **matrix: Any) -> list[tuple[str, bool]]:
    results = Memento(experiment, store=store, progress=False, executor="serial").run(matrix)
    assert results is not None
    return [(result.inner, result.was_cached) for result in results]


def test_a_new_parameter_at_its_default_keeps_what_was_there(tmp_path: Path) -> None:
    run(tmp_path, parameters={"x": [1]})
    grown = {"parameters": {"x": [1], "extra": [0.0, 0.5]}, "defaults": {"extra": 0.0}}
    assert run(tmp_path, **grown) == [("1, None, None", True), ("1, 0.5, None", False)]
    assert [cached for _, cached in run(tmp_path, **grown)] == [True, True]


CHANGED: list[tuple[Any, Any]] = [
    (0.0, 0.1), (0, 0.0), (0, False), (0.0, -0.0), ("a", "b"), (None, "None"), ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}),
    (dict, list), (np.arange(3), np.arange(4)), ("x" * 5000 + "a", "x" * 5000 + "b"),
]  # fmt: skip


@pytest.mark.parametrize(("then", "now"), CHANGED, ids=lambda value: repr(value)[:20])
def test_results_of_the_old_default_are_never_served_for_the_new_one(
    tmp_path: Path, then: Any, now: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path, parameters={"x": [1, 2], "extra": [then]}, defaults={"extra": then})
    assert [
        c for _, c in run(tmp_path, parameters={"x": [1], "extra": [then]}, defaults={"extra": then})
    ] == [True]
    caplog.clear()
    changed = {"parameters": {"x": [1, 2], "extra": [now]}, "defaults": {"extra": now}}
    assert run(tmp_path, **changed) == [(f"{x}, {now}, None", False) for x in (1, 2)]
    assert "defaults['extra'] has changed: 2 results were computed with extra=" in caplog.text
    caplog.clear()
    assert [cached for _, cached in run(tmp_path, **changed)] == [True, True]
    assert "has changed" not in caplog.text


def test_a_setting_at_its_default_is_known_by_the_run_that_had_it(tmp_path: Path) -> None:
    run(tmp_path, parameters={"x": [1]}, settings={"other": 1})
    same = {"parameters": {"x": [1]}, "settings": {"other": 1, "extra": 3}, "defaults": {"extra": 3}}
    assert run(tmp_path, **same) == [("1, None, None", True)]
    run(tmp_path, parameters={"x": [2]}, settings={"other": 1, "extra": 3}, defaults={"extra": 3})
    changed = {"settings": {"other": 1, "extra": 4}, "defaults": {"extra": 4}}
    assert run(tmp_path, parameters={"x": [1, 2]}, **changed) == [
        ("1, None, None", True),
        ("2, None, 4", False),
    ]


@pytest.mark.parametrize(
    ("then", "now"),
    [(0.5, np.float32(0.5)), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1, 2}, {2, 1}), (3, np.int8(3))],
)
def test_a_default_that_is_written_in_another_way_is_the_same(tmp_path: Path, then: Any, now: Any) -> None:
    run(tmp_path, parameters={"x": [1], "extra": [then]}, defaults={"extra": then})
    assert [c for _, c in run(tmp_path, parameters={"x": [1], "extra": [now]}, defaults={"extra": now})] == [
        True
    ]


def test_a_parameter_of_the_same_name_within_another_is_not_taken_for_it(tmp_path: Path) -> None:
    def matrix(value: float) -> dict[str, Any]:
        return {"parameters": {"x": [{"extra": 0.1}], "extra": [value]}, "defaults": {"extra": value}}

    run(tmp_path, **matrix(0.0))
    assert [cached for _, cached in run(tmp_path, **matrix(0.1))] == [False]
    assert [cached for _, cached in run(tmp_path, **matrix(0.1))] == [True]
