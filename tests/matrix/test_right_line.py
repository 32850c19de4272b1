"""What is nearly a matrix is answered by the right one."""

from __future__ import annotations

from typing import Any

import pytest

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
