"""A matrix joined by `on` has the tasks of the product that agree, in the product's order, whatever else it says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import MatrixError
from memento.matrix.dependencies import execution_order
from memento.matrix.joined_axes import TooMany, joined
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.store.upstream import Origins, PendingValue


def results(matrix: Matrix) -> list[PendingValue]:
    tasks = KeyedTasks(matrix, "e")
    origins = Origins(tasks.parameters)
    return [PendingValue(tasks.key(number), "", (origins, number)) for number in range(len(tasks))]


def linked(*matrices: Matrix) -> Matrix:
    """Give each matrix the results of those before it; return the last."""
    done: dict[Any, Matrix] = {}
    for matrix in execution_order(matrices):
        whole = matrix
        for one in matrix.dependencies:
            whole = whole.with_parameter(str(one), results(done[one]))
        done[matrix.id] = whole
    return done[matrices[-1].id]


def rows(matrix: Matrix, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(config[name] for name in names) for config in matrix.configs]


def table(id: str, **parameters: Any) -> Matrix:  # noqa: A002 - the matrix's own key
    return Matrix(parameters, id=id)


FEATURES = table("features", dataset=["a", "b", "c"], how=[1, 2])
SPLITS = table("splits", dataset=["b", "c", "d"], fold=[0, 1])
ON = {"features": {"on": ["dataset"]}, "splits": {"on": ["dataset"]}}


def test_results_that_agree_come_together_and_it_is_said_what_fits_nothing() -> None:
    fit = linked(FEATURES, SPLITS, Matrix({"model": ["svm", "tree"]}, id="fit", dependencies=ON))
    names = "model", "features.dataset", "features.how", "splits.dataset", "splits.fold"
    assert rows(fit, *names) == [
        (model, one, how, one, fold)
        for model in ("svm", "tree") for one in "bc" for how in (1, 2) for fold in (0, 1)
    ]  # fmt: skip
    assert fit.warnings == [
        (
            "matrix 'fit': dependencies: 2 of 6 values of 'features' fit no others of the same 'dataset',"
            " and are left out (dataset=a)."
        ),
        (
            "matrix 'fit': dependencies: 2 of 6 values of 'splits' fit no others of the same 'dataset',"
            " and are left out (dataset=d)."
        ),
    ]


def test_a_parameter_of_the_matrix_itself_is_joined_too() -> None:
    fit = linked(FEATURES, Matrix({"dataset": ["c", "x", "a"], "k": [1, 2]}, id="fit",
                                  dependencies={"features": {"on": ["dataset"]}}))  # fmt: skip
    names = "dataset", "k", "features.dataset", "features.how"
    assert rows(fit, *names) == [(one, k, one, how) for one in ("c", "a") for k in (1, 2) for how in (1, 2)]
    assert (
        "1 of 3 values of 'dataset' fit no others of the same 'dataset', and are left out (dataset=x)"
        in (fit.warnings[0])
    )


@pytest.mark.parametrize("on", [["base.n"], ["n"], ["base"]])
def test_the_branches_of_a_diamond_meet(on: list[str]) -> None:
    base = table("base", n=[1, 2, 3])
    left = Matrix({"side": ["left"]}, id="left", dependencies=["base"])
    right = Matrix({"side": ["right", "other"]}, id="right", dependencies=["base"])
    join = Matrix({"k": [0]}, id="join", dependencies={"left": {"on": on}, "right": {"on": on}})
    met = linked(base, left, right, join)
    assert sorted(rows(met, "left.base.n", "right.base.n")) == [(n, n) for n in (1, 2, 3) for _ in range(2)]


def test_what_another_dependency_took_is_joined_with_that_one() -> None:
    splits = table("splits", fold=[0, 1, 2])
    features = Matrix({"how": [1, 2]}, id="features", dependencies=["splits"])
    fit = Matrix({"k": [0]}, id="fit", dependencies={"features": {"on": ["splits"]}, "splits": {}})
    found = rows(linked(splits, features, fit), "features.splits.fold", "splits.fold")
    assert sorted(found) == [(fold, fold) for fold in (0, 1, 2) for _ in range(2)]


def test_names_at_different_depths_are_joined_by_their_last_part() -> None:
    load = table("load", dataset=["a", "b"])
    features = Matrix({"how": [1]}, id="features", dependencies=["load"])
    on = {"features": {"on": ["load.dataset"]}, "splits": {"on": ["dataset"]}}
    fit = linked(load, features, SPLITS, Matrix({"k": [0]}, id="fit", dependencies=on))
    assert rows(fit, "features.load.dataset", "splits.dataset", "splits.fold") == [
        ("b", "b", 0),
        ("b", "b", 1),
    ]


def test_joining_leaves_combinations_out_and_changes_no_key() -> None:
    product = linked(FEATURES, SPLITS, Matrix({"k": [0, 1]}, id="fit", dependencies=["features", "splits"]))
    fit = linked(FEATURES, SPLITS, Matrix({"k": [0, 1]}, id="fit", dependencies=ON))
    all_keys = list(KeyedTasks(product, "e").each_key())
    kept = [
        key for key, config in zip(all_keys, product.configs, strict=True)
        if config["features.dataset"] == config["splits.dataset"]
    ]  # fmt: skip
    assert list(KeyedTasks(fit, "e").each_key()) == kept


def test_rules_name_the_parameters_of_upstream_tasks() -> None:
    rules: Any = {
        "exclude": [{"features.how": 2, "model": "svm"}, lambda config: config["splits.fold"] == 1],
        "when": {"C": {"features.dataset": "b"}},
    }
    parameters: Any = {"model": ["svm", "tree"], "C": [1, 10]}
    fit = linked(FEATURES, SPLITS, Matrix(parameters, id="fit", dependencies=ON, **rules))
    found = [
        (c.model, c.get("C"), c["features.dataset"], c["features.how"], c["splits.fold"]) for c in fit.configs
    ]
    assert sorted(found, key=str) == sorted(
        (
            (model, C, one, how, 0)
            for model in ("svm", "tree") for one in "bc" for how in (1, 2)
            for C in ((1, 10) if one == "b" else (None,))
            if not (how == 2 and model == "svm")
        ),
        key=str,
    )  # fmt: skip


def test_a_rule_about_a_value_that_no_upstream_task_has_says_so() -> None:
    fit = linked(
        FEATURES,
        Matrix({"k": [0]}, id="fit", dependencies=["features"], exclude=[{"features.dataset": "bb"}]),
    )
    assert fit.warnings == [
        "matrix 'fit': exclude[0] matches nothing: 'features.dataset' is never 'bb'. Nearest: 'b'."
    ]


def test_where_nothing_agrees_it_is_an_error() -> None:
    other = Matrix({"dataset": ["a", "x"]}, id="splits", exclude=[{"dataset": "a"}])
    with pytest.raises(MatrixError, match="nothing is left: no results agree on 'dataset'"):
        len(linked(FEATURES, other, Matrix({"k": [0]}, id="fit", dependencies=ON)))


def test_a_parameter_that_some_upstream_tasks_lack_agrees_with_its_like() -> None:
    def conditional(id: str) -> Matrix:  # noqa: A002 - the matrix's own key
        return Matrix({"m": ["svm", "tree"], "C": [1, 2]}, when={"C": {"m": "svm"}}, id=id)

    on = {"one": {"on": ["C"]}, "two": {"on": ["C"]}}
    fit = linked(conditional("one"), conditional("two"), Matrix({"k": [0]}, id="fit", dependencies=on))
    assert [(c.get("one.C"), c.get("two.C")) for c in fit.configs] == [(1, 1), (2, 2), (None, None)]


SMALL = st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    a=SMALL, b=SMALL, own=SMALL, x=SMALL, rules=st.lists(st.integers(0, 3), max_size=2), joined=st.booleans()
)
def test_a_joined_matrix_is_the_product_less_what_does_not_agree(
    a: list[int], b: list[int], own: list[int], x: list[int], rules: list[int], joined: bool
) -> None:
    one, two = table("one", d=a, x=x), table("two", x=x, d=b)
    exclude = [{"one.x": value, "k": 1} for value in rules]
    parameters = {"d" if joined else "e": own, "k": [0, 1]}
    made: Any = {"id": "fit", "exclude": exclude}
    on = {"one": {"on": ["d"]}, "two": {"on": ["d"]}}
    names = [*parameters, "one.d", "one.x", "two.x", "two.d"]
    try:
        product = rows(linked(one, two, Matrix(parameters, dependencies=["one", "two"], **made)), *names)
    except MatrixError:
        product = []
    expected = [row for row in product if row[2] == row[5] and (not joined or row[0] == row[2])]
    try:
        found = rows(linked(one, two, Matrix(parameters, dependencies=on, **made)), *names)
    except MatrixError:
        found = []
    assert found == expected


Marks = list[dict[int, str]]


@st.composite
def declared(draw: st.DrawFn) -> tuple[list[int], Marks]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    groups: Marks = []
    for _ in range(draw(st.integers(0, 3))):
        axes = draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, unique=True))
        groups.append(
            {axis: draw(st.text("abc", min_size=sizes[axis], max_size=sizes[axis])) for axis in axes}
        )
    return sizes, groups


def walked(sizes: list[int], groups: Marks) -> list[int]:
    every = itertools.product(*map(range, sizes))
    return [
        number
        for number, slots in enumerate(every)
        if all(len({marks[slots[axis]] for axis, marks in group.items()}) == 1 for group in groups)
    ]


@given(declared())
def test_what_is_joined_is_what_a_walk_finds(given: tuple[list[int], Marks]) -> None:
    assert list(joined(*given, 10_000)) == walked(*given)


def test_what_does_not_agree_is_never_visited() -> None:
    # The product has 10^15 combinations.
    assert len(joined([1000] * 5, [dict.fromkeys(range(5), range(1000))], 10_000)) == 1000


@pytest.mark.parametrize("groups", [[], [{0: "a" * 200, 1: "a" * 200}]])
def test_too_many_are_counted_before_there_are_any(groups: Marks) -> None:
    with pytest.raises(TooMany) as caught:
        joined([200, 200], groups, 30_000)
    assert caught.value.args == (40_000,)
