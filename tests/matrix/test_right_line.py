"""What is nearly a matrix is answered by the right one."""

from __future__ import annotations

from typing import Any

import pytest
import scipy.stats

from memento.errors import MatrixError
from memento.matrix.matrix import Matrix


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"lr": [0.1]}, "Write {'parameters': {'lr': [0.1]}}."),
        (
            {"lr": [0.1, 1], "model": [dict, "a"]},
            "Write {'parameters': {'lr': [0.1, 1], 'model': [dict, 'a']}}.",
        ),
        ({"x": range(9)}, "Write {'parameters': {'x': range(0, 9)}}."),
        ({"lr": 0.1}, "Write {'parameters': {'lr': [0.1]}}."),
        ({"lr": [0.1], "epochs": 5}, "Write {'parameters': {'lr': [0.1]}, 'settings': {'epochs': 5}}."),
        (
            {"lr": [0.1], "settings": {"a": 1}, "repeats": 2},
            "Write {'parameters': {'lr': [0.1]}, 'settings': {'a': 1}, 'repeats': 2}.",
        ),
        ({"paramters": {"lr": [1]}}, "Did you mean 'parameters'?"),
        ({"grid": {"lr": [1]}}, "Write 'parameters' instead of 'grid'."),
        ({"n_parameters": [1, 2]}, "Write {'parameters': {'n_parameters': [1, 2]}}."),
        ({"settings": {"a": 1}}, "Write {'parameters': {'name': [value, ...]}}."),
        ({}, "Write {'parameters': {'name': [value, ...]}}."),
        ({"parameters": {"x": [1]}, "lr": [0.1]}, "{'parameters': {'lr': [0.1]}}."),
        ({"parameters": {"parameters": {"x": [1]}}}, "Write Matrix.of(matrix)."),
        ([{"lr": 1}], "Write {'include': [{'lr': 1}]}."),
        ([{"lr": [1, 2]}, {"a": [3]}], "Write {'parameters': [{'lr': [1, 2]}, {'a': [3]}]}."),
        ([Matrix({"lr": [1]})], "call run_all()"),
        ([{"parameters": {"lr": [1]}}], "call run_all()"),
    ],
)
def test_what_is_nearly_a_matrix_is_answered_by_the_right_line(given: Any, line: str) -> None:
    with pytest.raises(MatrixError) as told:
        Matrix.of(given)
    assert line in str(told.value)
    assert "Did you mean 'id'" not in str(told.value)


GRID: dict[str, list[Any]] = {"lr": [0.1, 1], "model": ["svc", "tree"]}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"lr": {"start": 0, "stop": 1}, "seed": [1]},
         "Write {'parameters': {'lr': {'start': 0, 'stop': 1}, 'seed': [1]}}."),
        ({"matrix": {"parameters": {"lr": [1]}}},
         "Write what stands under 'matrix' without it: {'parameters': {'lr': [1]}}."),
        ({"parameters": GRID, "exlude": []}, "Did you mean 'exclude'?"),
        ({"parameters": GRID, "sample": 3},
         "It is no part of the matrix: write run(matrix, sample=3), or on the command line --sample 3."),
        ({"parameters": GRID, "executor": "threads"},
         "write Memento(func, executor='threads').run(matrix), or on the command line --executor threads."),
        ({"parameters": GRID, "fail_fast": True},
         "write Memento(func, fail_fast=True).run(matrix), or on the command line --fail-fast."),
        ({"parameters": GRID, "fail_fast": False}, "write Memento(func, fail_fast=False).run(matrix)."),
        ({"parameters": GRID, "listeners": 3}, "write Memento(func, listeners=3).run(matrix)."),
        ({"parameters": {"x": scipy.stats.loguniform(1e-3, 1)}}, "'x': distribution.rvs(20, random_state=0)"),
        ({"parameters": GRID, "seeds": 3}, "Did you mean 'repeats'?"),
        ({"parameters": GRID, "seeds": [1, 2]}, "write 'repeats': 2; values to try are {'parameters': {'seeds': [1,"),
        ({"parameters": GRID, "constants": {"a": 1}}, "Did you mean 'settings'?"),
        ({"parameters": GRID, "skip": []}, "Did you mean 'exclude'?"),
        ({"parameters": GRID, "epochs": 5}, "A constant stands under 'settings': {'settings': {'epochs': 5}}."),
        ({"parameters": {"x": [1]}, "grid": {"y": [2]}},
         "For several grids write {'parameters': [{'x': [1]}, {'y': [2]}]}."),
        ({"parameters": {"lr": 0.1}}, "Write 'lr': [0.1]."),
        ({"parameters": {"lr": "[0.1, 1]"}}, "got the str '[0.1, 1]'. Write 'lr': [0.1, 1]."),
        ({"parameters": {"lr": None}}, "there are no values. Write 'lr': [value, ...], or [None] for the value None."),
        ({"parameters": {"lr": [1], "repeats": 3}}, "The matrix' own key 'repeats' stands beside"),
        ({"parameters": GRID, "when": {"lr": "svc"}}, "Write {'lr': {'model': 'svc'}}."),
        ({"parameters": GRID, "zip": ["lr", "model"]}, "Write [['lr', 'model']]."),
        ({"parameters": {"lr": iter(())}}, "It is an iterator, which gives its values only once"),
        ({"parameters": {"lr": []}}, "Give it a value or leave the parameter out."),
    ],
)  # fmt: skip
def test_what_newcomers_type_is_answered_by_what_they_meant(given: Any, line: str) -> None:
    with pytest.raises(MatrixError) as told:
        Matrix.of(given)
    assert line in str(told.value)


class ParameterGrid:
    """What scikit-learn's looks like from outside."""

    param_grid = [{"a": [1, 2]}]  # noqa: RUF012

    def __iter__(self) -> Any:
        yield from ({"a": 1}, {"a": 2})


def test_a_grid_of_scikit_learn_is_answered_by_its_dicts() -> None:
    for given in (ParameterGrid(), {"parameters": ParameterGrid()}):
        with pytest.raises(MatrixError, match=r"Write \{'parameters': \{'a': \[1, 2\]\}\}."):
            Matrix.of(given)  # type: ignore[arg-type]  # the fault under test


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ([[0.1, 1, 2]], "has one value, [0.1, 1, 2]. For 3 values write 'x': [0.1, 1, 2]."),
        ([["svc", "tree"]], "For 2 values write 'x': ['svc', 'tree']."),
        ([range(3)], "For 3 values write 'x': range(0, 3)."),
        ([[64, 64]], ""), ([(0.9, 0.99)], ""), ([[0.1, 1], [2]], ""), ([[0.1]], ""), ([[]], ""), ([[[1.5]]], ""),
        ({"start": 0, "end": 1, "step": 0.1}, "has values with the labels 'start', 'end', 'step'. A range is"),
        ({"log": [0.1, 1]}, "with the labels 'log'."), ({"log": [0.1, 1], "n": 5}, "with the labels 'log', 'n'."),
        ({"start": 0, "stop": 1, "num": 5}, "a scale {linear: [0, 1], num: 5}"),
        ({"values": [1, 2]}, "For several write the list itself."),
        ({"low": 1, "high": 2}, ""), ({"min": 1, "max": 2}, ""), ({"log": 1, "linear": 2}, ""), ({"small": [1]}, ""),
        ({"start": 0, "stop": 1, "step": 0.5}, ""),
    ],
)  # fmt: skip
def test_values_that_may_not_be_meant_are_told(values: Any, warned: str) -> None:
    warnings = Matrix({"x": values}).warnings
    assert len(warnings) == bool(warned)
    assert warned in "".join(warnings)


def test_a_name_of_a_parameter_and_a_setting_is_told() -> None:
    said = "'lr' is a parameter and a setting: config.lr is the parameter, config.settings['lr'] the setting."
    assert Matrix(GRID, settings={"lr": 1, "a": 2}).warnings == [said]
    rules = {"parameters": {"x": [1], "exclude": [{"x": 1}]}}
    assert "the matrix' own key 'exclude' stands beside 'parameters'" in Matrix.of(rules).warnings[0]


def test_a_range_in_a_rule_may_have_more_than_there_is() -> None:
    assert Matrix({"x": [1, 2, 30]}, exclude=[{"x": range(2, 10)}]).warnings == []
    assert Matrix({"x": [1]}, exclude=[{"x": range(2, 10)}]).warnings == [
        "exclude[0] matches nothing: 'x' is never range(2, 10). Values: 1."
    ]
    several = Matrix([{"x": [1]}, {"x": [5], "y": [0]}], exclude=[{"x": range(2, 10)}])
    assert (len(several), several.warnings) == (1, [])


def test_a_list_in_a_single_task_is_one_value_and_told_where_no_other_is() -> None:
    (said,) = Matrix(GRID, include=[{"lr": [2, 3]}]).warnings
    assert said.startswith("include[0]: 'lr' is one value here, [2, 3]. For a task with each of them write ")
    assert said.endswith("'parameters': [{...}, {'lr': [2, 3]}].")
    assert Matrix({"sizes": [[1], [2, 3]]}, include=[{"sizes": [2]}]).warnings == []
    assert Matrix(include=[{"sizes": [2]}]).warnings == []
