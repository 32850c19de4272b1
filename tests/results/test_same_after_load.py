"""What a program sees of its results after a run is what anybody sees who loads them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memento
from memento import Memento, Results


class Solver:
    def __init__(self, size: int = 1) -> None:
        self.size = size

    def __repr__(self) -> str:
        return "Solver()"


def power(n: int) -> Callable[[float], float]:
    def activation(x: float) -> float:
        return float(x**n)

    return activation


def experiment(context: Any, config: Any) -> float:
    return float(sum(map(len, map(str, config))))


def both(store: Path, matrix: dict[str, Any]) -> tuple[Results, Results]:
    run = Memento(experiment, store=store, executor="serial", progress=False, name="e").run(matrix)
    assert run is not None
    return run, memento.load(store)


PLAIN = [
    "c",
    "a",
    "b",
    10,
    2,
    1.5,
    True,
    None,
    "1",
    1,
    2**70,
    float("nan"),
    float("inf"),
    "nan",
    "",
    0.0,
    -0.0,
]
OTHERS: list[Any] = [
    Solver, dict, Solver(1), Solver(2), power(2), power(3), np.arange(3), np.arange(4), (1, 2), [1, 2], {"a": 1},
    Path("data/x"), "data/x", functools.partial(int, base=2), {1, 2}, "tests.results.test_same_after_load:Solver",
    pd.Timestamp("2020-01-01"), np.float32(0.1), np.datetime64("2020-01-01"), "x" * 90 + "1", "x" * 90 + "2",
]  # fmt: skip
PLACES = st.lists(st.integers(0, len(PLAIN) + len(OTHERS) - 1), min_size=1, max_size=6, unique=True)


def assert_same_tables(run: Results, loaded: Results) -> None:
    same = ["p", "q", "value", "status", "key"]
    pd.testing.assert_frame_equal(run.to_frame()[same], loaded.to_frame()[same])
    pd.testing.assert_frame_equal(run.summary("p"), loaded.summary("p"))
    pd.testing.assert_frame_equal(run.pivot("q", "p"), loaded.pivot("q", "p"))
    assert [repr(r.config) for r in run] == [repr(r.config) for r in loaded]
    assert repr(run).partition("\n")[2] == repr(loaded).partition("\n")[2]


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLACES, st.booleans())
def test_tables_texts_and_filters_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, places: list[int], conditional: bool
) -> None:
    values = [[*PLAIN, *OTHERS][place] for place in places]
    matrix: dict[str, Any] = {"parameters": {"q": ["y", "x"], "p": values}}
    if conditional:
        matrix["when"] = {"p": {"q": "x"}}
    run, loaded = both(tmp_path_factory.mktemp("any") / "s", matrix)
    assert_same_tables(run, loaded)
    for value in values:
        assert [r.key for r in run.filter(p=value)] == [r.key for r in loaded.filter(p=value)]
    for text in run._selection.axes()[1].texts:
        assert [r.key for r in run.filter(p=text)] == [r.key for r in loaded.filter(p=text)]


def test_zeros_of_two_signs_stay_two(tmp_path: Path) -> None:
    run, loaded = both(tmp_path / "s", {"parameters": {"q": ["x"], "p": [0.0, -0.0]}})
    assert_same_tables(run, loaded)
    assert [repr(r.config.p) for r in loaded] == ["0.0", "-0.0"]


MATRICES: list[dict[str, Any]] = [
    {"parameters": {"p": ["c", "a", "b"], "q": [2, 1]}},
    {"parameters": {"p": [2, 1, 2], "q": list("xyz")}, "zip": [["p", "q"]]},
    {"parameters": {"p": [1, 2], "q": ["b", "a"]}, "exclude": [{"p": 1, "q": "b"}], "include": [{"p": 1, "q": "b"}]},
    {"parameters": {"p": [10, 1], "q": ["m", "n", "o"]}, "when": {"p": {"q": ["m", "o"]}}},
    {"parameters": {"p": [0.1, 10, 1], "q": [None, 5]}, "repeats": 2},
]  # fmt: skip


@pytest.mark.parametrize("matrix", MATRICES, ids=["grid", "zip", "include", "when", "repeats"])
def test_loaded_results_are_in_the_matrix_order(tmp_path: Path, matrix: dict[str, Any]) -> None:
    run, loaded = both(tmp_path / "s", matrix)
    assert [r.key for r in loaded] == [r.key for r in run]
    assert [r.repeat for r in loaded] == [r.repeat for r in run]


def test_values_of_a_later_matrix_follow_and_the_order_stays(tmp_path: Path) -> None:
    both(tmp_path / "s", {"parameters": {"p": ["c", "a"], "q": [1]}})
    _, loaded = both(tmp_path / "s", {"parameters": {"p": ["d"], "q": [1]}})
    assert [r.config.p for r in loaded] == ["c", "a", "d"]
    _, loaded = both(tmp_path / "s", {"parameters": {"p": ["d", "b", "c"], "q": [1]}})
    assert [r.config.p for r in loaded] == ["d", "b", "a", "c"]


def test_values_of_two_runs_that_read_alike_are_told_apart(tmp_path: Path) -> None:
    both(tmp_path / "s", {"parameters": {"p": [Solver(1)], "q": [1]}})
    _, loaded = both(tmp_path / "s", {"parameters": {"p": [Solver(2), "Solver()"], "q": [1]}})
    assert loaded.summary("p")["p"].tolist() == ["Solver()#1", "Solver()#2", "'Solver()'"]
    assert [len(loaded.filter(p=p)) for p in (Solver(1), Solver(2), "Solver()")] == [1, 1, 1]
    with pytest.raises(ValueError, match="no task has p="):
        loaded.filter(p=Solver(3))


def test_a_default_that_reads_like_the_old_one_is_another(tmp_path: Path) -> None:
    calls = []

    def sized(context: Any, config: Any) -> int:
        calls.append(config.p.size)
        return int(config.p.size)

    made = Memento(sized, store=tmp_path / "s", executor="serial", progress=False, name="e")
    for size in (1, 2, 2, 1, 1):
        results = made.run({"parameters": {"p": [Solver(size)]}, "defaults": {"p": Solver(size)}})
        assert results is not None
        assert results[0].inner == size
    assert calls == [1, 2, 1]


def staged(context: Any, config: Any) -> Any:
    return config.n if "n" in config else [config[name] for name in config]


def test_rows_show_the_parameters_of_the_tasks_they_take_from(tmp_path: Path) -> None:
    made = Memento(staged, store=tmp_path / "s", executor="serial", progress=False, name="e")
    made.add_matrix({"id": "base", "parameters": {"n": [2, 1], "model": [Solver]}})
    for side in ("left", "right"):
        made.add_matrix({"id": side, "dependencies": ["base"], "parameters": {"side": [side]}})
    made.add_matrix({"id": "join", "dependencies": ["left", "right"], "parameters": {"stage": ["join"]}})
    ended = made.run_all()
    run = (ended or {})["join"]
    assert run is not None
    frame = run.to_frame()
    names = ["left.side", "left.base.n", "left.base.model", "right.base.n"]
    assert frame[names].to_numpy().tolist() == [
        ["left", 2, "Solver", 2], ["left", 2, "Solver", 1], ["left", 1, "Solver", 2], ["left", 1, "Solver", 1]
    ]  # fmt: skip
    assert frame["left.base.n"].dtype == "int64"
    assert len(run.filter(**{"left.base.n": 2, "right.base.n": 2})) == 1
    assert "left.base.n" in repr(run)
    assert "left.base.n=2" in repr(run[0].config)
    assert run.pivot("left.base.n", "right.base.n", values="runtime").shape == (2, 2)
    loaded = memento.load(tmp_path / "s").filter(stage="join")
    pd.testing.assert_frame_equal(
        loaded.to_frame()[names].astype(object), frame[names].astype(object), check_dtype=False
    )
    assert [r.key for r in loaded] == [r.key for r in run]
    assert repr(loaded[0].config) == repr(run[0].config)
