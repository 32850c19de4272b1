"""A matrix is a lazy sequence of configurations."""

from __future__ import annotations

from typing import Any

import pytest

from memento.config import Config, Configurations
from memento.errors import MatrixError
from memento.matrix.matrix import Matrix, generate_configurations


def test_configurations_are_made_when_asked_for() -> None:
    configs = Matrix({c: range(100) for c in "abc"}).configs
    assert len(configs) == 1_000_000
    assert configs[-1] == Config(a=99, b=99, c=99)
    assert [c.c for c in configs[5:8]] == [5, 6, 7]


def test_a_number_outside_the_matrix_is_an_index_error() -> None:
    matrix = Matrix({"a": [1, 2]})
    for number in (-1, 2):
        with pytest.raises(IndexError):
            matrix.config(number)
    with pytest.raises(IndexError):
        matrix.configs[2]


def test_every_config_has_the_settings() -> None:
    configs = generate_configurations({"parameters": {"a": [1]}, "settings": {"n_fold": 5}})
    assert isinstance(configs, Configurations)
    assert configs.settings == {"n_fold": 5}
    assert configs[0].settings == {"n_fold": 5}


def test_generate_configurations_excludes_as_in_1_2_0() -> None:
    declared = {"parameters": {"p": [1, 2, 3], "q": [4, 5], "r": [7, 8]}, "exclude": [{"p": 3, "q": 5}]}
    expected = [
        {"p": p, "q": q, "r": r} for p in (1, 2, 3) for q in (4, 5) for r in (7, 8) if (p, q) != (3, 5)
    ]
    assert [c.asdict() for c in generate_configurations(declared)] == expected


@pytest.mark.parametrize("declared", [{}, {"parameters": {"settings": [1]}}])
def test_generate_configurations_raises_value_errors_as_in_1_2_0(declared: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"parameters|settings"):
        generate_configurations(declared)


def test_of_takes_a_matrix_as_it_is() -> None:
    matrix = Matrix({"a": [1]})
    assert Matrix.of(matrix) is matrix


def test_with_parameter_leaves_the_matrix_unchanged() -> None:
    matrix = Matrix({"a": [1, 2]}, dependencies=["up"], exclude=[{"a": 2, "up": "y"}])
    grown = matrix.with_parameter("up", ["x", "y"])
    assert [c.asdict() for c in grown.configs] == [
        {"a": 1, "up": "x"},
        {"a": 1, "up": "y"},
        {"a": 2, "up": "x"},
    ]
    assert len(matrix) == 2
    assert matrix.warnings == []


def test_with_parameter_refuses_a_name_that_is_taken_or_reserved() -> None:
    for name in ("a", "settings"):
        with pytest.raises(MatrixError):
            Matrix({"a": [1]}).with_parameter(name, [1])


def test_a_tasks_parameters_are_its_own() -> None:
    matrix = Matrix({"a": [1]})
    matrix.config(0)._dict["a"] = 2
    assert matrix.config(0).a == 1
