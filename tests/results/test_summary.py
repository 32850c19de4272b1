"""Best, pivot, summary: few numbers out of many, each one right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.results.student import t_quantile
from tests.results.fakes import MISSING, FakeMatrix, failure, results_of


def test_the_best_is_the_highest_and_with_minimize_the_lowest() -> None:
    values = [0.3, failure(), 0.9, float("nan"), 0.9, 0.1]
    results, _ = results_of(FakeMatrix(n=[0, 1, 2, 3, 4, 5]), values)
    assert results.best().config.n == 2
    assert results.best(minimize=True).config.n == 5


def test_the_best_by_a_metric() -> None:
    results, _ = results_of(FakeMatrix(n=[0, 1, 2]), ["a", "b", "c"], {"acc": [1, 3, 2]})
    assert results.best("acc").inner == "b"


def test_best_explains_what_it_cannot_do() -> None:
    results, _ = results_of(FakeMatrix(n=[0, 1]), ["a", "b"], {"acc": [1, 3]})
    with pytest.raises(ValueError, match=r"'value' holds str, not numbers.*acc"):
        results.best()
    with pytest.raises(ValueError, match="Did you mean 'acc'"):
        results.best("ac")
    failed, _ = results_of(FakeMatrix(n=[0, 1]), [failure(), MISSING])
    with pytest.raises(ValueError, match="1 failed, 1 missing"):
        failed.best()
    with pytest.raises(ValueError, match="no results"):
        results[:0].best()


def test_a_pivot_keeps_the_matrix_order_and_leaves_failures_out() -> None:
    matrix = FakeMatrix(model=["svc", "ada"], data=["wine", "digits"], fold=[1, 2])
    results, _ = results_of(matrix, [1.0, 3.0, 5.0, failure(), 2.0, 2.0, 4.0, 6.0])
    table = results.pivot("model", "data")
    assert list(table.index) == ["svc", "ada"]
    assert list(table.columns) == ["wine", "digits"]
    assert table.to_numpy().tolist() == [[2.0, 5.0], [2.0, 5.0]]
    assert results.pivot("model", "data", aggfunc="count").loc["svc", "digits"] == 1
    assert results.pivot("model")["value"].tolist() == [3.0, 3.5]


def test_a_pivot_names_an_unknown_column() -> None:
    results, _ = results_of(FakeMatrix(model=["svc", "ada"]), [1, 2])
    with pytest.raises(ValueError, match=r"'modle'.*Did you mean 'model'"):
        results.pivot("modle")


def test_a_summary_has_moments_interval_and_missing_repeats() -> None:
    matrix = FakeMatrix(repeats=3, model=["svc", "ada", "tree"])
    values = [1.0, 2.0, 6.0, 5.0, failure(), MISSING, failure(), failure(), failure()]
    results, _ = results_of(matrix, values)
    table = results.summary()
    assert list(table) == ["model", "n", "mean", "std", "low", "high", "missing"]
    assert table["model"].tolist() == ["svc", "ada", "tree"]
    assert table["n"].tolist() == [3, 1, 0]
    np.testing.assert_allclose(table["mean"].to_numpy(), [3.0, 5.0, np.nan])
    np.testing.assert_allclose(table["std"].to_numpy(), [float(np.std([1, 2, 6], ddof=1)), np.nan, np.nan])
    half = 4.302652729911275 * np.std([1, 2, 6], ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(table[["low", "high"]].to_numpy()[0], [3 - half, 3 + half])
    assert table["missing"].tolist() == ["", "1, 2", "0, 1, 2"]


def test_a_summary_by_one_parameter_counts_missing_tasks() -> None:
    matrix = FakeMatrix(model=["svc", "ada"], C=[1, 10])
    results, _ = results_of(matrix, [1.0, 3.0, failure(), 4.0], {"acc": [0.1, 0.2, 0.3, 0.5]})
    table = results.summary("model")
    assert table["mean"].tolist() == [2.0, 4.0]
    assert table["missing"].tolist() == ["", "1 of 2 tasks"]
    assert results.summary(by=["C"], value="acc")["mean"].tolist() == pytest.approx([0.1, 0.35])


def test_without_repeats_a_summary_does_not_number_what_is_missing() -> None:
    results, _ = results_of(FakeMatrix(model=["svc", "ada"]), [1.0, failure()])
    assert results.summary()["missing"].tolist() == ["", "1 of 1 task"]


def test_a_summary_groups_absent_parameters_apart() -> None:
    matrix = FakeMatrix(model=["a", "b"], C=[1, 2])
    matrix.table().columns[2:, 1] = -1
    results, _ = results_of(matrix, [1.0, 2.0, 3.0, 5.0])
    table = results.summary()
    assert table["n"].tolist() == [1, 1, 2]
    assert table["mean"].tolist() == [1.0, 2.0, 4.0]


def test_a_parameter_called_like_a_column_of_the_summary_keeps_its_name() -> None:
    results, _ = results_of(FakeMatrix(n=[7], mean=[8]), [0.5])
    assert results.summary()[["n", "mean", "summary.n", "summary.mean"]].to_numpy().tolist() == [
        [7, 8, 1, 0.5]
    ]


def test_a_spread_far_from_zero_loses_no_digits() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2, 3]), [1e9 + 1, 1e9 + 2, 1e9 + 3])
    assert results.summary(by=[])["std"][0] == pytest.approx(1.0)


@given(st.integers(1, 2000), st.sampled_from([0.75, 0.9, 0.95, 0.975, 0.995]))
def test_quantiles_agree_with_scipy(freedom: int, p: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert t_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9)


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (120, 1.9799)]
)
def test_quantiles_agree_with_the_printed_table(freedom: int, value: float) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(value, abs=5e-5)
