"""The compiled space equals what a plain walk over all combinations gives."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.config import Config
from memento.errors import MatrixError
from memento.matrix.matrix import Matrix

NAMES = ("a", "b", "c", "d", "e")


def shown(matrix: Matrix) -> list[dict[str, Any]]:
    return [config.asdict() for config in matrix.configs]


def holds(condition: dict[str, Any], task: dict[str, Any]) -> bool:
    return all(
        name in task and task[name] in (value if isinstance(value, list) else [value])
        for name, value in condition.items()
    )


def naive(declared: dict[str, Any]) -> list[dict[str, Any]]:
    """Expand a matrix as its table in the contract reads, one combination after the other."""
    parameters, when = declared["parameters"], declared["when"]
    axes: list[tuple[str, ...]] = []
    for name in parameters:
        group = next((tuple(g) for g in declared["zip"] if name in g), (name,))
        if group not in axes:
            axes.append(group)
    found: list[tuple[tuple[int, ...], dict[str, Any]]] = []
    for slots in itertools.product(*(range(len(parameters[axis[0]])) for axis in axes)):
        full = {n: parameters[n][slot] for axis, slot in zip(axes, slots, strict=True) for n in axis}
        present = {n: v for n, v in full.items() if n not in when}
        for _ in when:  # conditions may rest on conditional parameters: settle them
            for name, condition in when.items():
                if name not in present and holds(condition, present):
                    present[name] = full[name]
        # Where an axis is absent, its first slot alone stands for the task.
        if any(slot and axis[0] not in present for axis, slot in zip(axes, slots, strict=True)):
            continue
        task = {n: present[n] for n in parameters if n in present}
        if any(
            rule(task) if callable(rule) else all(n in task and task[n] == v for n, v in rule.items())
            for rule in declared["exclude"]
        ):
            continue
        place = tuple(slot if axis[0] in present else -1 for axis, slot in zip(axes, slots, strict=True))
        found.append((place, task))
    tasks = [task for _, task in sorted(found, key=lambda pair: pair[0])]  # absent comes before any value
    for extra in declared["include"]:
        if extra not in tasks:
            tasks.append(extra)
    return [task for task in tasks for _ in range(declared["repeats"])]


@st.composite
def matrices(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, 5))]
    parameters = {n: [f"{n}{i}" for i in range(draw(st.integers(1, 3)))] for n in names}
    groups = []
    if len(names) > 2 and draw(st.booleans()):
        first, second = draw(st.permutations(names))[:2]
        parameters[second] = [f"{second}{i}" for i in range(len(parameters[first]))]
        groups = [[first, second]]
    zipped = {n for group in groups for n in group}
    free = [n for n in names if n not in zipped]
    order = draw(st.permutations(names))  # a condition names only what stands before it here: no circles
    when = {}
    for name in draw(st.lists(st.sampled_from(free), unique=True, max_size=3)) if free else []:
        earlier = [n for n in order[: order.index(name)] if n != name]
        if earlier:
            on = draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=2, unique=True))
            when[name] = {
                n: draw(
                    st.one_of(
                        st.sampled_from(parameters[n]),
                        st.lists(st.sampled_from(parameters[n]), min_size=1, max_size=2),
                    )
                )
                for n in on
            }
    rule = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({n: st.sampled_from([*parameters[n], "other"]) for n in chosen})
    )
    return {
        "parameters": parameters,
        "zip": groups,
        "when": when,
        "exclude": draw(st.lists(rule, max_size=3)),
        "include": draw(st.lists(rule, max_size=2)),
        "repeats": draw(st.integers(1, 2)),
    }


def counted(declared: dict[str, Any], matrix: Matrix) -> list[dict[str, Any]]:
    """Read the tasks off the table's columns."""
    table = matrix.table()
    columns = [list(table.along(i, [*v, None])) for i, v in enumerate(table.values)]
    slots = [table.slots(row) for row in range(table.rows)]
    assert table.columns.tolist() == slots
    assert list(map(list, zip(*table.slots_of(range(table.rows)), strict=True))) == (
        slots if table.names else []
    )
    return [
        {n: c[row] for n, c, s in zip(table.names, columns, slots[row], strict=True) if s >= 0}
        for row in range(table.rows)
        for _ in range(table.repeats)
    ]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(matrices(), st.booleans())
def test_a_matrix_has_the_tasks_that_a_plain_walk_over_all_combinations_finds(
    declared: dict[str, Any], with_callable: bool
) -> None:
    if with_callable:
        declared["exclude"] = [*declared["exclude"], lambda c: c.get("a") == "a0" and c.get("b") == "b1"]
        plain = {
            **declared,
            "exclude": [*declared["exclude"][:-1], lambda t: t.get("a") == "a0" and t.get("b") == "b1"],
        }
    else:
        plain = declared
    expected = naive(plain)
    if not expected:
        with pytest.raises(MatrixError, match="nothing is left"):
            len(Matrix.of(declared))
        return
    matrix = Matrix.of(declared)
    assert [dict(sorted(t.items())) for t in shown(matrix)] == [dict(sorted(t.items())) for t in expected]
    assert counted(declared, matrix) == shown(matrix)
    assert len(matrix) == len(expected)


def test_the_first_parameter_is_the_slowest() -> None:
    assert shown(Matrix({"a": [1, 2], "b": [3, 4]})) == [
        {"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4},
    ]  # fmt: skip


def test_a_conditional_parameter_is_absent_elsewhere_and_its_tasks_are_not_repeated() -> None:
    matrix = Matrix({"C": [1, 10], "model": ["svc", "tree"]}, when={"C": {"model": "svc"}})
    assert shown(matrix) == [{"model": "tree"}, {"C": 1, "model": "svc"}, {"C": 10, "model": "svc"}]


def test_any_of_several_conditions_may_hold() -> None:
    matrix = Matrix({"m": ["x", "y", "z"], "C": [1, 2]}, when={"C": [{"m": "x"}, lambda c: c.m == "y"]})
    assert len(matrix) == 5


def test_a_list_that_is_one_of_the_values_is_a_value_in_a_condition() -> None:
    matrix = Matrix({"layers": [[64], [64, 64], 64], "p": [0, 1]}, when={"p": {"layers": [64]}})
    assert len(matrix) == 4


def test_a_zip_group_shares_the_condition_of_any_member() -> None:
    matrix = Matrix({"m": ["x", "y"], "h": [1, 2], "lr": [3, 4]}, zip=[["h", "lr"]], when={"lr": {"m": "x"}})
    assert shown(matrix) == [{"m": "x", "h": 1, "lr": 3}, {"m": "x", "h": 2, "lr": 4}, {"m": "y"}]


def test_different_conditions_in_one_zip_group_are_an_error() -> None:
    with pytest.raises(MatrixError, match="advance together"):
        len(
            Matrix(
                {"m": ["x", "y"], "h": [1], "l": [3]},
                zip=[["h", "l"]],
                when={"l": {"m": "x"}, "h": {"m": "y"}},
            )
        )


def test_a_zip_group_may_have_its_condition_on_several_members() -> None:
    grid = {"m": [1, 2], "h": [1, 2], "lr": [3, 4]}
    for one, other in ((1, 1), (1, [1]), ((1,), {1}), ([1, 2], range(1, 3))):
        assert len(Matrix(grid, zip=[["h", "lr"]], when={"h": {"m": one}, "lr": {"m": other}})) >= 3
    for one, other in ((1, 2), ([1, 2], 1), ([1, 2], [1])):
        with pytest.raises(MatrixError, match="conditions differ"):
            len(Matrix(grid, zip=[["h", "lr"]], when={"h": {"m": one}, "lr": {"m": other}}))


def test_conditions_in_a_circle_are_an_error_that_shows_the_circle() -> None:
    with pytest.raises(MatrixError, match="circle: 'a' -> 'b' -> 'a'"):
        len(Matrix({"a": [1, 2], "b": [1, 2]}, when={"a": {"b": 1}, "b": {"a": 1}}))


def test_a_callable_condition_sees_every_parameter_that_does_not_rest_on_it() -> None:
    seen: list[tuple[str, ...]] = []

    def first_b(config: Config) -> bool:
        seen.append(tuple(config))
        return bool(config.b == 5)

    matrix = Matrix({"c": [1, 2], "a": [1], "b": [5, 6], "d": [7, 8]}, when={"c": first_b, "d": {"c": 2}})
    assert len(matrix) == 4
    assert seen == [("a", "b"), ("a", "b")]


def test_a_callable_rule_sees_only_what_the_dict_rules_left() -> None:
    seen: list[int] = []

    def last(config: Config) -> bool:
        seen.append(config.a)
        return bool(config.a == 4)

    assert len(Matrix({"a": range(5)}, exclude=[last, {"a": 3}])) == 3
    assert seen == [0, 1, 2, 4]


def test_a_rule_that_raises_is_named_with_the_config_it_saw() -> None:
    with pytest.raises(MatrixError, match=r"exclude\[0\].*AttributeError.*'b': '2'") as caught:
        len(Matrix({"b": [2]}, exclude=[lambda c: c.missing]))
    assert isinstance(caught.value.__cause__, AttributeError)


def test_an_included_task_is_not_excluded_and_may_bring_new_names() -> None:
    matrix = Matrix({"a": [1, 2]}, exclude=[{"a": 2}], include=[{"a": 2, "extra": True}, {"a": 2}])
    assert shown(matrix) == [{"a": 1}, {"a": 2, "extra": True}, {"a": 2}]
    assert matrix.table().names == ("a", "extra")


def test_an_included_task_that_the_grid_has_is_left_out_with_a_warning() -> None:
    matrix = Matrix({"a": [1, 2]}, include=[{"a": 2}, {"a": 2.0}, {"a": 2.0}])
    assert [config.a for config in matrix.configs] == [1, 2, 2.0]
    assert [w.split(" (")[0] for w in matrix.warnings] == ["include[0]", "include[2]"]


def test_without_parameters_only_included_tasks_run() -> None:
    assert shown(Matrix({}, include=[{"a": 1}])) == [{"a": 1}]


def test_no_parameters_at_all_are_one_task() -> None:
    assert shown(Matrix({})) == [{}]


def test_repeats_are_neighbours_and_numbered() -> None:
    configs = Matrix({"a": [1, 2]}, repeats=2).configs
    assert [(c.a, c.repeat) for c in configs] == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_table_numbers_values_and_marks_what_is_absent() -> None:
    table = Matrix({"m": ["x", "y"], "C": [1, 2]}, when={"C": {"m": "x"}}).table()
    assert table.columns.dtype == np.int32
    assert table.columns.tolist() == [[0, 0], [0, 1], [1, -1]]
    assert table.values == [["x", "y"], [1, 2]]


def test_many_parameters_with_one_value_each_do_not_run_into_numpys_dimensions() -> None:
    matrix = Matrix({f"p{i}": [i] for i in range(100)} | {"x": [1, 2]}, exclude=[{"p7": 7, "x": 2}])
    assert len(matrix) == 1


def test_an_array_as_value_is_matched_by_its_content() -> None:
    matrix = Matrix({"w": [np.arange(3), np.zeros(3)], "b": [1, 2]}, exclude=[{"w": np.arange(3), "b": 2}])
    assert len(matrix) == 3


def test_conditional_grids_may_be_larger_on_paper_than_any_mask() -> None:
    names = {f"c{i}": range(100) for i in range(8)}
    matrix = Matrix({"m": [*names], **names}, when={n: {"m": n} for n in names})
    assert len(matrix) == 800


def test_too_many_combinations_are_refused_with_their_number() -> None:
    with pytest.raises(MatrixError, match=r"1,000,000,000 combinations.*'when'"):
        len(Matrix({n: range(1000) for n in "abc"}))


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(MatrixError, match="nothing is left"):
        len(Matrix({"a": [1]}, exclude=[{"a": 1}]))
