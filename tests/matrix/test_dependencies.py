"""Matrices run after those whose results they take."""

from __future__ import annotations

from typing import Any

import pytest

from memento.errors import CyclicDependency, MatrixError
from memento.matrix.dependencies import execution_order
from memento.matrix.matrix import Matrix


def made(name: Any, *dependencies: Any) -> Matrix:
    return Matrix({"own": [1]}, id=name, dependencies=dependencies)


def test_a_matrix_comes_after_its_dependencies_and_else_in_the_order_given() -> None:
    order = execution_order([made("c", "b"), made("x"), made("b", "a"), made("a"), made("y")])
    assert [m.id for m in order] == ["x", "a", "b", "c", "y"] or [m.id for m in order] == [
        "x",
        "a",
        "y",
        "b",
        "c",
    ]
    assert [m.id for m in execution_order([made("z"), made("k"), made("a")])] == ["z", "k", "a"]


def test_a_circle_is_shown() -> None:
    with pytest.raises(CyclicDependency) as caught:
        execution_order([made("d", "a"), made("a", "c"), made("b", "a"), made("c", "b")])
    assert set(caught.value.cycle) == {"a", "b", "c"}


def test_a_matrix_that_depends_on_itself_is_a_circle() -> None:
    with pytest.raises(CyclicDependency, match="'a' -> 'a'"):
        execution_order([made("a", "a")])


@pytest.mark.parametrize(
    ("matrices", "message"),
    [
        ([made("first"), made("second", "frist")], "no matrix has the id 'frist'. Did you mean 'first'?"),
        ([made("a"), made("a")], "the id 'a' is taken"),
        ([made("a"), made(None)], "has no 'id'"),
    ],
)
def test_a_wrong_id_is_an_error_that_names_it(matrices: list[Matrix], message: str) -> None:
    with pytest.raises(MatrixError) as caught:
        execution_order(matrices)
    assert message in str(caught.value)


def test_one_matrix_needs_no_id() -> None:
    assert len(execution_order([made(None)])) == 1
