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


def two(**second: Any) -> list[Matrix]:
    return [
        Matrix({"dataset": ["a"], "k": [1]}, id="clean"),
        Matrix({"model": ["svm"]}, **{"id": "fit", "dependencies": ["clean"], **second}),
    ]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"exclude": [{"clean.datset": "a"}]},
            "exclude[0] of 'fit': unknown parameter 'clean.datset'. Did you mean 'clean.dataset'?",
        ),
        (
            {"when": {"model": {"clean.q": 1}}},
            "when['model'] of 'fit': unknown parameter 'clean.q'. Did you mean 'clean.k'?",
        ),
        (
            {"dependencies": {"clean": {"on": ["datset"]}}},
            "dependencies['clean']['on'] of 'fit': matrix 'clean' has no parameter 'datset'. Did you mean 'dataset'?",
        ),
        (
            {"dependencies": {"clean": {"on": ["dataset"]}}},
            (
                "there is nothing to join 'dataset' with: no other dependency names it, and the matrix has no such"
                " parameter. Give this matrix a parameter 'dataset', or take it out."
            ),
        ),
        ({"dependencies": ["clean", "clean"]}, "two of them have one name"),
    ],
)
def test_what_is_wrong_about_another_matrix_is_told_before_anything_runs(
    second: dict[str, Any], message: str
) -> None:
    with pytest.raises(MatrixError) as caught:
        execution_order(two(**second))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "name"), [({"clean": [1]}, "clean"), ({"clean.dataset": [1]}, "clean.dataset")]
)
def test_a_parameter_that_is_called_like_one_of_another_matrix_is_an_error(
    parameters: dict[str, Any], name: str
) -> None:
    matrices = [two()[0], Matrix(parameters, id="fit", dependencies=["clean"])]
    with pytest.raises(MatrixError, match=f"dependencies of 'fit': '{name}' is a parameter already"):
        execution_order(matrices)


def test_two_matrices_whose_parameters_are_called_alike_are_an_error() -> None:
    matrices = [
        Matrix({"b.c": [1]}, id="a"),
        Matrix({"c": [1]}, id="a.b"),
        Matrix({"x": [1]}, id="fit", dependencies=["a", "a.b"]),
    ]
    with pytest.raises(MatrixError, match=r"'a\.b\.c' is a parameter already"):
        execution_order(matrices)


def test_an_id_that_a_config_needs_for_itself_is_an_error() -> None:
    matrices = [Matrix({"x": [1]}, id="settings"), Matrix({"y": [1]}, id="b", dependencies=["settings"])]
    with pytest.raises(MatrixError, match="'settings' is a reserved parameter name"):
        execution_order(matrices)


def test_a_name_that_may_be_two_is_an_error_that_shows_them() -> None:
    matrices = [
        *(Matrix({"n": [1]}, id=name) for name in ("one", "two")),
        Matrix({"x": [1]}, id="both", dependencies=["one", "two"]),
        Matrix({"n": [1]}, id="fit", dependencies={"both": {"on": ["n"]}}),
    ]
    with pytest.raises(MatrixError, match=r"'n' may be 'one\.n' or 'two\.n'"):
        execution_order(matrices)


def test_results_are_not_joined_on_a_parameter_that_some_tasks_lack() -> None:
    fit = Matrix(
        {"model": ["svm", "tree"], "dataset": ["a"]},
        when={"dataset": {"model": "svm"}}, id="fit", dependencies={"clean": {"on": ["dataset"]}},
    )  # fmt: skip
    with pytest.raises(MatrixError, match="joined on 'dataset', which 'when' takes out of some tasks"):
        execution_order([two()[0], fit])


def test_the_repeats_of_a_matrix_are_a_parameter_of_its_tasks() -> None:
    clean = Matrix({"dataset": ["a"]}, repeats=3, id="clean")
    rule = {"clean.repeat": 0}
    assert (
        len(execution_order([clean, Matrix({"x": [1]}, id="fit", dependencies=["clean"], exclude=[rule])]))
        == 2
    )


def test_what_cannot_agree_is_told_before_anything_runs() -> None:
    fit = Matrix({"dataset": ["b", 1]}, id="fit", dependencies={"clean": {"on": ["dataset"]}})
    with pytest.raises(MatrixError) as caught:
        execution_order([two()[0], fit])
    assert "no value of 'dataset' is common to all: 'clean' has 'a'; 'dataset' has 'b', 1." in str(
        caught.value
    )


def test_two_parameters_of_one_matrix_are_not_joined_as_one() -> None:
    matrices = [
        *(Matrix({"n": [1]}, id=name) for name in ("a", "b", "c")),
        Matrix({"x": [1]}, id="both", dependencies=["a", "b"]),
        Matrix({"y": [1]}, id="fit", dependencies={"both": {"on": ["a.n", "b.n"]}, "c": {"on": ["n"]}}),
    ]
    with pytest.raises(MatrixError, match=r"'a\.n' and 'b\.n' would both be 'n' of the others"):
        execution_order(matrices)


def test_a_rule_that_names_another_matrix_parameter_without_its_matrix_is_told_how_it_is_named() -> None:
    with pytest.raises(MatrixError, match=r"A parameter of matrix 'clean' is named 'clean\.dataset'\."):
        two(exclude=[{"dataset": "a"}])
    with pytest.raises(MatrixError, match=r"Matrix 'cleen' is none of its dependencies: 'clean'\."):
        two(exclude=[{"cleen.dataset": "a"}])
