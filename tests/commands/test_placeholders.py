"""A command beside a matrix: what does not fit is told before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from memento.commands.placeholders import check
from memento.commands.template import read_command
from memento.errors import MatrixError
from memento.matrix.matrix import Matrix


def refused(
    command: str | Sequence[Any], matrix: dict[str, Any], others: dict[str, str] | None = None
) -> str:
    with pytest.raises(MatrixError) as caught:
        check(read_command(command), others or {}, Matrix.of(matrix))
    return str(caught.value)


def test_unknown_placeholders_are_told_the_nearest_name() -> None:
    matrix = {"parameters": {"lr": [1]}, "settings": {"epochs": 3}}
    assert "there is no parameter or setting for {lrr}. Did you mean 'lr'?" in refused("x {lrr}", matrix)
    assert "Did you mean {epochs}?" in refused("x {lr} {settings.epochs}", matrix)
    assert "Did you mean {lr}?" in refused("x {config.lr}", matrix)
    assert "Did you mean 'context.seed'?" in refused("x {lr} {context.sed}", matrix)
    assert "Write {{ and }} for braces" in refused(["awk", "{print $1}", "{lr}"], matrix)
    assert refused("x {lr}", matrix, {"result": "{nam}.json"}).startswith("result: ")


def test_a_parameter_that_nothing_takes_is_refused() -> None:
    matrix = {"parameters": {"lr": [1, 2], "width": [1]}}
    assert "nothing in it takes the parameter 'width'" in refused("x {lr}", matrix)
    for command in ("x {lr} {width}", "x {config}", "x {lr:.2f}{width}"):
        check(read_command(command), {}, Matrix.of(matrix))
    check(read_command("x {lr}"), {"env['W']": "{width}"}, Matrix.of(matrix))


def test_repeats_that_nothing_tells_apart_are_refused() -> None:
    matrix = {"parameters": {"lr": [1]}, "repeats": 2}
    assert "repeats=2" in refused("x {lr}", matrix)
    for seed in ("{context.seed}", "{repeat}", "{context.shared_seed}"):
        check(read_command(f"x {{lr}} {seed}"), {}, Matrix.of(matrix))


def test_a_conditional_parameter_stands_in_a_group() -> None:
    matrix = {"parameters": {"m": ["svc", "tree"], "C": [1, 2]}, "when": {"C": {"m": "svc"}}}
    told = refused("x {m} --C={C}", matrix)
    assert "needs the parameter 'C', which not every task has" in told
    assert "[ --C {C} ]" in told
    check(read_command("x {m} [ --C={C} ]"), {}, Matrix.of(matrix))
    check(read_command("x {config}"), {}, Matrix.of(matrix))


@pytest.mark.parametrize("value", ["a\0b", "\ud800", object(), [object()], 1j])
def test_a_value_that_no_argument_can_be_is_refused_by_its_name(value: Any) -> None:
    told = refused("x {v}", {"parameters": {"v": ["fine", value]}})
    assert "a value of 'v', cannot be put into '{v}'" in told


def test_a_value_that_is_too_long_for_an_argument_is_refused() -> None:
    told = refused("x {v}", {"parameters": {"v": ["x" * 131_072]}})
    assert "longer than an argument may be; {config} names a file that has it" in told
    check(read_command("x {v}"), {}, Matrix.of({"parameters": {"v": ["x" * 131_071]}}))
    check(read_command("x {config}"), {}, Matrix.of({"parameters": {"v": ["x" * 1_000_000]}}))


def test_a_format_that_does_not_fit_is_refused() -> None:
    assert "cannot be put into '{v:.2f}'" in refused("x {v:.2f}", {"parameters": {"v": ["text"]}})
    assert "cannot be put into '{v[3]}'" in refused("x {v[3]}", {"parameters": {"v": [(1, 2)]}})


def test_a_setting_that_nothing_takes_is_refused_unless_it_is_volatile() -> None:
    matrix: dict[str, Any] = {"parameters": {"lr": [1]}, "settings": {"n": 1, "m": 2}}
    assert "nothing in it takes the setting 'm': it has no effect" in refused("x {lr} {n}", matrix)
    check(read_command("x {lr} {n}"), {}, Matrix.of({**matrix, "volatile": ["m"]}))


class Other:
    class Solver:
        """Another one of this name."""


class Solver:
    """One of two."""


@pytest.mark.parametrize(
    ("command", "values", "alike"),
    [
        ("x {v:.1f}", [0.11, 0.12], "'0.1': 0.11 (float) and 0.12 (float)"),
        ("x {v}", [1, "1"], "'1': 1 (int) and 1 (str)"),
        ("x {v}", [Solver, Other.Solver], "'Solver'"),
        ("x {config}", [Solver, Other.Solver], "Solver"),
        ("x {v[0]}", [(1, 2), (1, 3)], "'1': (1, 2) (tuple)"),
    ],
)
def test_values_that_are_written_alike_are_refused(command: str, values: list[Any], alike: str) -> None:
    told = refused(command, {"parameters": {"v": values}})
    assert "two values of 'v' are written alike" in told
    assert alike in told


def test_values_that_are_told_apart_somewhere_are_fine() -> None:
    check(read_command("x {v:.1f} {v}"), {}, Matrix.of({"parameters": {"v": [0.11, 0.12]}}))
    check(read_command("x {v}"), {}, Matrix.of({"parameters": {"v": [1, 1.0, True]}}))


def test_parameters_that_are_not_there_together_need_groups_of_their_own() -> None:
    matrix = {
        "parameters": {"m": ["svc", "rbf", "tree"], "C": [1, 2], "gamma": [3, 4]},
        "when": {"C": {"m": ["svc", "rbf"]}, "gamma": {"m": "rbf"}},
    }
    assert "left out as a whole where a task lacks 'gamma'" in refused("x {m} [ {C} {gamma} ]", matrix)
    check(read_command("x {m} [ {C} ] [ {gamma} ]"), {}, Matrix.of(matrix))


def test_a_value_of_the_grid_may_come_again_in_include() -> None:
    matrix = {"parameters": {"x": [1, 2], "y": [1]}, "include": [{"x": 1, "y": 5}]}
    check(read_command("x {x} {y}"), {}, Matrix.of(matrix))
