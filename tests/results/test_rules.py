"""What failures have in common is found, said truly, and not invented."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memento.results.parameters import Axis
from memento.results.rules import RuleFinder


def shortest_rule(axes: Sequence[Axis], failed: NDArray[np.bool_], succeeded: NDArray[np.bool_]) -> str:
    return str(RuleFinder(axes, succeeded).rule(np.flatnonzero(failed)) or "")


def grid(**parameters: Sequence[object]) -> list[Axis]:
    rows = np.array(list(itertools.product(*[range(len(v)) for v in parameters.values()])), dtype=np.int32)
    return [Axis(name, values, rows[:, i]) for i, (name, values) in enumerate(parameters.items())]


def has(axis: Axis, value: object) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([code >= 0 and axis.values[code] == value for code in axis.codes])


def test_one_value_that_all_failures_and_no_success_have_is_named() -> None:
    axes = grid(dataset=["digits", "broken", "wine"], model=["svc", "tree"], scale=[True, False])
    failed = has(axes[0], "broken")
    assert shortest_rule(axes, failed, ~failed) == "all 4 have dataset=broken, no success has it"


def test_a_class_is_named_by_its_short_name() -> None:
    axes = grid(model=[dict, list], fold=[1, 2, 3])
    failed = has(axes[0], list)
    assert shortest_rule(axes, failed, ~failed) == "all 3 have model=list, no success has it"


def test_two_values_are_named_where_one_is_not_enough() -> None:
    axes = grid(model=["svc", "tree"], C=["low", "high"], fold=["a", "b", "c"])
    failed = has(axes[0], "svc") & has(axes[1], "high")
    assert shortest_rule(axes, failed, ~failed) == "all 3 have model=svc and C=high, no success has both"


def test_a_bound_on_numbers_is_named_where_it_separates() -> None:
    axes = grid(lr=[0.001, 0.01, 0.1, 1.0], fold=["a", "b"])
    failed = has(axes[0], 0.1) | has(axes[0], 1.0)
    assert shortest_rule(axes, failed, ~failed) == "all 4 have lr >= 0.1, no success has it"


def test_a_lower_bound_is_found_in_whatever_order_the_values_were_declared() -> None:
    axes = grid(batch=[64, 8, 32, 16], fold=["a", "b"])
    failed = has(axes[0], 8) | has(axes[0], 16)
    assert shortest_rule(axes, failed, ~failed) == "all 4 have batch <= 16, no success has it"


def test_a_mostly_true_statement_says_how_true_it_is() -> None:
    axes = grid(C=["1", "10", "1000", "100"], seed=[str(i) for i in range(25)])
    failed = has(axes[0], "1000")
    failed[np.flatnonzero(failed)[:3]] = False
    failed[[0, 1]] = True
    assert shortest_rule(axes, failed, ~failed) == "22 of 24 have C=1000, which 3 of 76 successes have"


def test_a_value_and_a_bound_are_named_where_neither_is_enough() -> None:
    axes = grid(lr=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], model=["good", "bad"])
    failed = has(axes[1], "bad") & (axes[0].numbers[axes[0].codes] > 0.5)
    assert shortest_rule(axes, failed, ~failed) == "all 5 have lr >= 0.6 and model=bad, no success has both"


def test_two_bounds_are_named_where_a_product_of_parameters_is_too_large() -> None:
    axes = grid(width=range(1, 26), depth=range(1, 51), seed=["a", "b", "c", "d"])
    size = axes[0].numbers[axes[0].codes] * axes[1].numbers[axes[1].codes]
    told = shortest_rule(axes, size >= 1200, size < 1200)
    assert told == "all 16 have width >= 24 and depth >= 48, which 8 of 4,984 successes have"


def test_three_values_are_named_where_two_are_not_enough() -> None:
    axes = grid(model=["svc", "tree"], C=["low", "high"], scale=["yes", "no"], fold=["a", "b", "c", "d"])
    failed = has(axes[0], "svc") & has(axes[1], "high") & has(axes[2], "no")
    assert (
        shortest_rule(axes, failed, ~failed)
        == "all 4 have model=svc and C=high and scale=no, no success has all three"
    )


def test_two_values_and_a_bound_are_named_where_two_of_them_are_not_enough() -> None:
    axes = grid(
        batch=[64, 128, 256, 512, 1024], dtype=["half", "full"], model=["s", "m", "l"], seed=["a", "b"]
    )
    failed = (axes[0].numbers[axes[0].codes] >= 512) & has(axes[1], "full") & has(axes[2], "l")
    assert (
        shortest_rule(axes, failed, ~failed)
        == "all 4 have batch >= 512 and dtype=full and model=l, no success has all three"
    )


def test_three_bounds_around_a_few_scattered_failures_are_chance() -> None:
    axes = grid(a=range(12), b=range(12), c=range(12))
    for seed in range(20):
        failed = np.zeros(12**3, dtype=np.bool_)
        failed[np.random.default_rng(seed).choice(12**3, 3, replace=False)] = True
        assert "all three" not in shortest_rule(axes, failed, ~failed)


def test_two_bounds_around_a_few_scattered_failures_are_chance() -> None:
    rng = np.random.default_rng(0)
    axes = [Axis(f"p{i}", list(range(12)), rng.permutation(12).astype(np.int32)) for i in range(6)]
    for pair in itertools.combinations(range(12), 2):
        failed = np.isin(np.arange(12), pair)
        assert " and " not in shortest_rule(axes, failed, ~failed)


def test_a_bound_that_happens_to_lie_around_some_of_the_deep_ones_is_not_said() -> None:
    axes = grid(depth=range(1, 6), lr=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], seed=["a", "b"])
    depth, lr = (axis.numbers[axis.codes] for axis in axes[:2])
    deep = np.flatnonzero(depth == 5)
    failed = np.zeros(len(depth), dtype=bool)
    failed[deep[np.isin(lr[deep], [0.5, 0.7, 0.8, 0.9])][[0, 3, 4, 7]]] = True  # four of those twenty
    told = shortest_rule(axes, failed, ~failed)
    assert told == "all 4 have depth=5, which 16 of 96 successes have"


def test_a_third_value_is_named_where_it_leaves_out_most_of_the_others() -> None:
    axes = grid(
        lr=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], batch=[128, 256, 512], model=["svm", "mlp", "rf"], seed=range(20)
    )
    lr, seed = (axes[i].numbers[axes[i].codes] for i in (0, 3))
    failed = (lr >= 0.5) & has(axes[1], 512) & has(axes[2], "svm") & (seed % 3 == 0)
    assert (
        shortest_rule(axes, failed, ~failed)
        == "all 14 have lr >= 0.5 and batch=512 and model=svm, which 26 of 1,066 successes have"
    )


def test_a_third_value_that_some_of_the_two_happen_to_share_is_not_said() -> None:
    axes = grid(depth=range(1, 6), width=range(1, 6), lr=[n / 10 for n in range(10)], seed=["a", "b", "c"])
    both = np.flatnonzero(has(axes[0], 5) & has(axes[1], 5))
    for seed in range(30):
        failed = np.zeros(len(axes[0].codes), dtype=np.bool_)
        failed[np.random.default_rng(seed).choice(both, 5, replace=False)] = True
        assert (
            shortest_rule(axes, failed, ~failed)
            == "all 5 have depth=5 and width=5, which 25 of 745 successes have"
        )


def test_a_bound_does_not_hold_for_a_task_without_the_parameter() -> None:
    C = Axis("C", [1, 2, 3, 4], np.tile([0, 1, 2, 3, -1], 8).astype(np.int32))
    model = Axis("model", ["svc", "tree"], np.repeat([0, 1], 20).astype(np.int32))
    failed = (C.codes >= 2) & (model.codes == 0)
    assert (
        shortest_rule([C, model], failed, ~failed) == "all 8 have C >= 3 and model=svc, no success has both"
    )


def test_failures_spread_evenly_have_nothing_in_common() -> None:
    axes = grid(model=["a", "b", "c"], data=["x", "y", "z"], fold=["1", "2", "3"])
    failed = np.zeros(27, dtype=bool)
    failed[[0, 13, 26]] = True
    assert shortest_rule(axes, failed, ~failed) == ""


def test_a_parameter_that_is_absent_where_tasks_fail_is_named_as_absent() -> None:
    axis = Axis("gamma", ["x", "y"], np.array([-1, -1, -1, 0, 1, 0, 1], dtype=np.int32))
    failed = axis.codes < 0
    assert shortest_rule([axis], failed, ~failed) == "all 3 have no gamma, no success has it"


def test_a_value_is_preferred_to_an_absent_parameter() -> None:
    gamma = Axis("gamma", ["x", "y"], np.array([-1, -1, 0, 1, 0, 1], dtype=np.int32))
    model = Axis("model", ["tree", "svc"], np.array([0, 0, 1, 1, 1, 1], dtype=np.int32))
    failed = gamma.codes < 0
    assert shortest_rule([gamma, model], failed, ~failed) == "both have model=tree, no success has it"


def test_one_failure_is_explained_by_one_value_or_not_at_all() -> None:
    axes = grid(model=["a", "b"], data=["x", "y"])
    one = np.array([True, False, False, False])
    assert shortest_rule(axes, one, ~one) == ""
    column = grid(model=["a", "b", "c"])
    alone = np.array([False, True, False])
    assert shortest_rule(column, alone, ~alone) == "it has model=b, no success has it"


@pytest.mark.parametrize("everyone", [True, False])
def test_nothing_is_said_where_nothing_failed_or_nothing_succeeded(everyone: bool) -> None:
    axes = grid(model=["a", "b"], data=["x", "y"])
    failed = np.full(4, everyone)
    assert shortest_rule(axes, failed, ~failed) == ""


def test_the_contrast_is_named_as_asked() -> None:
    axes = grid(model=["a", "b"], data=["x", "y"])
    failed = has(axes[0], "a")
    finder = RuleFinder(axes, ~failed, ("other failure", "other failures"))
    assert str(finder.rule(np.flatnonzero(failed))) == "both have model=a, no other failure has it"


@pytest.mark.slow
@given(st.data())
def test_a_rule_counts_what_is_there(data: st.DataObject) -> None:
    names = ["a", "b", "c"]
    tasks = data.draw(st.integers(2, 40))
    axes = [
        Axis(
            name,
            [1, 2, 3, 4],
            np.array(data.draw(st.lists(st.integers(-1, 3), min_size=tasks, max_size=tasks)), dtype=np.int32),
        )
        for name in names
    ]
    failed = np.array(data.draw(st.lists(st.booleans(), min_size=tasks, max_size=tasks)))
    rule = RuleFinder(axes, ~failed).rule(np.flatnonzero(failed))
    if rule is None:
        return
    match = np.ones(tasks, dtype=bool)
    for condition in rule.conditions:
        axis = axes[names.index(condition.name)]
        value = np.where(axis.codes >= 0, axis.numbers[axis.codes], np.nan)
        bound = float(condition.text or "nan")
        match &= {
            "=": value == bound,
            ">=": value >= bound,
            "<=": value <= bound,
            "": axis.codes < 0,
        }[condition.relation]
    assert (rule.failed, rule.succeeded) == (int((match & failed).sum()), int((match & ~failed).sum()))
    assert (rule.failures, rule.successes) == (int(failed.sum()), int((~failed).sum()))


def test_a_million_tasks_cost_no_python_loop_over_them() -> None:
    tasks = 1_000_000
    rng = np.random.default_rng(0)
    axes = [Axis(f"p{i}", list(range(10)), rng.integers(0, 10, tasks).astype(np.int32)) for i in range(8)]
    failed = (axes[2].codes == 3) & (axes[5].codes == 7)
    assert shortest_rule(axes, failed, ~failed).endswith("have p2=3 and p5=7, no success has both")
