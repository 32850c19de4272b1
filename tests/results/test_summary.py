"""Best, pivot, summary: few numbers out of many, each one right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.results.result import BestResult
from memento.results.summary import student_quantile
from tests.results.fakes import MISSING, FakeMatrix, failure, results_of


def test_the_best_is_the_highest_and_with_minimize_the_lowest() -> None:
    values = [0.3, failure(), 0.9, float("nan"), 0.9, 0.1]
    results, _ = results_of(FakeMatrix(n=[0, 1, 2, 3, 4, 5]), values)
    with pytest.warns(UserWarning, match="2 configurations are equally good by 'value': n=2; n=4"):
        assert results.best().config.n == 2
    assert results.best(minimize=True).config.n == 5


def test_the_best_of_repeats_is_the_best_mean_not_the_luckiest_run() -> None:
    matrix = FakeMatrix(repeats=3, model=["lucky", "good"])
    results, _ = results_of(matrix, [0.99, 0.5, 0.5, 0.8, 0.9, 0.94])
    best = results.best()
    assert isinstance(best, BestResult)
    assert best.config.model == "good"
    assert (best.n, best.by) == (3, "value")
    assert best.mean == pytest.approx(0.88)
    assert best.std == pytest.approx(np.std([0.8, 0.9, 0.94], ddof=1))
    assert (best.inner, best.repeat) == (0.9, 1)  # the nearest to the mean
    assert [result.inner for result in best.results] == [0.8, 0.9, 0.94]
    assert "value=0.88 ± 0.07211 (mean of 3 repeats)" in repr(best)
    assert "repeat=1" in repr(best)
    lucky = results.best(repeat=True)
    assert (lucky.inner, lucky.repeat, lucky.config.model) == (0.99, 0, "lucky")
    assert "repeat=0" in repr(lucky)


def test_missing_repeats_and_ties_are_said() -> None:
    matrix = FakeMatrix(repeats=2, model=["a", "b", "c"])
    results, _ = results_of(matrix, [1.0, 3.0, 2.0, failure(), 0.0, 0.0])
    with pytest.warns(UserWarning, match="best: ") as said:
        best = results.best()
    assert [str(w.message).partition(":")[0] for w in said] == ["best", "best"]
    assert "2 configurations are equally good" in str(said[0].message)
    assert "1 of 3 configurations has fewer than 2 repeats" in str(said[1].message)
    assert __file__ == said[0].filename
    assert isinstance(best, BestResult)
    assert [config.model for config in best.ties] == ["b"]
    assert "tied with Config(model=b" in repr(best)


def test_the_best_by_a_metric() -> None:
    results, _ = results_of(FakeMatrix(n=[0, 1, 2]), ["a", "b", "c"], {"acc": [1, 3, 2]})
    assert results.best("acc").inner == "b"


def test_best_explains_what_it_cannot_do() -> None:
    texts, _ = results_of(FakeMatrix(n=[0, 1]), ["a", "b"])
    with pytest.raises(ValueError, match=r"'value' holds str, not numbers.*cpu_time"):
        texts.best()
    results, _ = results_of(FakeMatrix(n=[0, 1]), ["a", "b"], {"acc": [1, 3]})
    with pytest.raises(ValueError, match="Did you mean 'acc'"):
        results.best("ac")
    dicts, _ = results_of(FakeMatrix(n=[0, 1]), [{"f1": 0.5}, {"f1": 0.6}])
    with pytest.raises(ValueError, match=r"f1.* each key is a column: name one"):
        dicts.best("value")
    failed, _ = results_of(FakeMatrix(n=[0, 1]), [failure(), MISSING])
    with pytest.raises(ValueError, match="1 failed, 1 missing"):
        failed.best()
    with pytest.raises(ValueError, match="no results"):
        results[:0].best()


@pytest.mark.parametrize(
    ("values", "metrics", "chosen"),
    [
        ([0.5, 0.6], {"acc": [3, 1]}, "value"),
        ([True, False], {"acc": [3, 1]}, "value"),
        ([{"f1": 0.5, "name": "a", "ok": True}, {"f1": 0.6, "name": "b", "ok": None}], {"acc": [3, 1]}, "f1"),
        ([{"test": {"f1": 1}, "cm": [1]}, {"test": {"f1": 2}}], None, "test.f1"),
        (["a", "b"], {"acc": [1, 3]}, "acc"),
        ([None, None], {"acc": [1, 3]}, "acc"),
        ([{"name": "a", "of": [1]}, {"name": "b"}], {"acc": [1, 3]}, "acc"),
        ([{"n": 4}, {"n": 5}], None, "value.n"),
        ([np.array(0.5), np.float32(0.6)], None, "value"),
        ([{"ok": True}, {"ok": False}], None, "ok"),
    ],
)
def test_the_only_number_need_not_be_named(values: Any, metrics: Any, chosen: str) -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), values, metrics)
    assert results.best().key == results.best(chosen).key
    assert results.summary().equals(results.summary(metric=chosen))
    assert results.pivot("n").equals(results.pivot("n", metric=chosen))
    assert list(results.pivot("n")) == [chosen]
    repeated, _ = results_of(FakeMatrix(n=[1], repeats=2), values, metrics)
    assert vars(repeated.best())["by"] == chosen


def test_where_there_are_several_numbers_the_error_names_all_and_the_line_to_write() -> None:
    values = [{"f1": 0.5, "test": {"acc": 1, "by": "x"}}, {"f1": 0.6, "test": {"acc": 2, "by": "y"}}]
    results, _ = results_of(FakeMatrix(n=[1, 2], m=["a"]), values, {"loss": [3, 1]})
    for ask, line in (
        (lambda: results.best(), 'results.best("f1")'),
        (lambda: results.summary(), 'results.summary(metric="f1")'),
        (lambda: results.summary("n"), 'results.summary("n", metric="f1")'),
        (lambda: results.pivot("n", "m"), 'results.pivot("n", "m", metric="f1")'),
        (lambda: results.pivot(["n", "m"]), 'results.pivot(["n", "m"], metric="f1")'),
    ):
        with pytest.raises(
            ValueError, match=r"several columns to choose from: f1, test\.acc, loss"
        ) as caught:
            ask()
        assert str(caught.value).endswith(f"Name one: {line}")
        assert eval(line, {"results": results}) is not None  # the line is right


def test_a_summary_of_a_column_that_stands_where_a_parameter_should_says_the_line() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [{"f1": 0.5, "acc": 1}, {"f1": 0.6, "acc": 2}])
    with pytest.raises(ValueError, match="'f1' is a column, and no parameter") as caught:
        results.summary("f1")
    assert str(caught.value).endswith('Write results.summary(metric="f1").')
    with pytest.raises(ValueError, match="no parameter 'f2'; there are: n"):
        results.summary("f2")


def test_the_best_by_a_parameter_says_how_to_choose_for_each_of_its_values() -> None:
    results, _ = results_of(FakeMatrix(data=["wine", "iris"], n=[1, 2]), [1, 2, 4, 3])
    with pytest.raises(ValueError, match=r"is a parameter, .* is results\.filter\(data=value\)\.best\(\)\."):
        results.best(by="data")
    assert results.filter(data="iris").best().config.n == 1


def test_a_pivot_keeps_the_matrix_order_and_leaves_failures_out() -> None:
    matrix = FakeMatrix(model=["svc", "ada"], data=["wine", "digits"], fold=[1, 2])
    results, _ = results_of(matrix, [1.0, 3.0, 5.0, failure(), 2.0, 2.0, 4.0, 6.0])
    with pytest.warns(UserWarning, match="mean of up to 2 configurations, which differ in 'fold'"):
        table = results.pivot("model", "data")
    assert list(table.index) == ["svc", "ada"]
    assert list(table.columns) == ["wine", "digits"]
    assert table.to_numpy().tolist() == [[2.0, 5.0], [2.0, 5.0]]
    assert results.pivot("model", "data", aggfunc="count").loc["svc", "digits"] == 1
    assert results.pivot("model", aggfunc="mean")["value"].tolist() == [3.0, 3.5]


def largest(values: Any) -> Any:
    return values.max()


def test_a_pivot_takes_several_functions_and_one_that_makes_a_text() -> None:
    results, _ = results_of(FakeMatrix(repeats=2, model=["svc", "ada"], data=["b", "a"]), [1.0, 3.0] * 4)
    table = results.pivot("model", "data", aggfunc=["mean", "std"])
    assert [*table.columns] == [("mean", "b"), ("mean", "a"), ("std", "b"), ("std", "a")]
    assert table["mean"].to_numpy().tolist() == results.pivot("model", "data").to_numpy().tolist()
    assert [*results.pivot("model", aggfunc=["min", largest]).columns] == [
        ("min", "value"),
        ("largest", "value"),
    ]
    assert (
        results.pivot("model", aggfunc=[lambda cell: 1, lambda cell: 2]).to_numpy().tolist() == [[1, 2]] * 2
    )
    texts = results.pivot("model", "data", aggfunc=lambda cell: f"{cell.mean():.1f} ± {cell.std():.1f}")
    assert texts.loc["svc", "a"] == "2.0 ± 1.4"


def test_a_pivot_groups_its_rows_by_the_first_of_its_index() -> None:
    results, _ = results_of(FakeMatrix(model=["svc", "ada"], data=["wine", "digits"], n=[9, 3]), range(8))
    table = results.pivot(["data", "model"], "n")
    assert [*table.index] == [("wine", "svc"), ("wine", "ada"), ("digits", "svc"), ("digits", "ada")]
    assert [*table.columns] == [9, 3]
    assert table.to_numpy().tolist() == [[0, 1], [4, 5], [2, 3], [6, 7]]
    wide = results.pivot("model", ["n", "data"])
    assert [*wide.columns] == [(9, "wine"), (9, "digits"), (3, "wine"), (3, "digits")]
    assert wide.to_numpy().tolist() == [[0, 2, 1, 3], [4, 6, 5, 7]]


def test_a_pivot_over_repeats_is_no_surprise() -> None:
    results, _ = results_of(FakeMatrix(repeats=2, model=["svc", "ada"]), [1.0, 3.0, 5.0, 7.0])
    assert results.pivot("model")["value"].tolist() == [2.0, 6.0]


def absent_where(matrix: FakeMatrix, name: str, of: str, value: int) -> FakeMatrix:
    """Take a parameter away from the tasks whose other one is not at a place; repeated tasks stay."""
    columns, names = matrix.table().columns, matrix.table().names
    columns[columns[:, names.index(of)] != value, names.index(name)] = -1
    return matrix


def test_an_absent_parameter_is_a_value_of_its_own() -> None:
    matrix = absent_where(FakeMatrix(model=["rf", "svm"], data=["a", "b"], C=[1, 10]), "C", "model", 1)
    results, _ = results_of(matrix, [1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    table = results.pivot("data", ["model", "C"], aggfunc="mean")
    assert [*map(tuple, table.columns)] == [("rf", "-"), ("svm", 1), ("svm", 10)]
    assert table.to_numpy().tolist() == [[1.0, 3.0, 4.0], [2.0, 5.0, 6.0]]
    assert results.pivot(["model", "C"], aggfunc="count")["value"].tolist() == [4, 2, 2]
    assert results.summary(["model", "C"])["C"].tolist() == ["-", 1, 10]
    column = results.to_frame()["C"]
    assert column.dtype == "Int64"
    assert column.dropna().tolist() == [1, 10, 1, 10]
    assert len(results.filter(C="-")) == 4


def test_a_cell_whose_values_are_all_nan_is_not_left_out() -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [float("nan"), 1.0])
    assert results.pivot("n").index.tolist() == [1, 2]


CELLS = [
    1, 1.0, True, False, 0, None, "1", "1.0", "True", "None", "-", "a", 2**70, 0.5, float("nan"), "nan",
    (1,), [1], "(1,)", "[1]", dict, "dict", len, np.int64(7), np.float64(0.25), np.bool_(False),
    np.arange(3), np.arange(4), "x" * 200 + "a", "x" * 200 + "b", lambda: 1, lambda: 2,
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=40)
@given(st.data())
def test_no_task_is_dropped_or_merged_by_a_table(data: st.DataObject) -> None:
    places = data.draw(st.lists(st.sampled_from(range(len(CELLS))), min_size=1, max_size=7))
    matrix = FakeMatrix(p=[CELLS[place] for place in places], q=[1, 2], repeats=data.draw(st.integers(1, 2)))
    columns = matrix.table().columns
    for row in range(len(columns)):
        if data.draw(st.booleans()):
            columns[row, 0] = -1
    results, _ = results_of(matrix, [float(i) for i in range(len(matrix))])
    count = len(results)
    for index, along in (("p", None), ("p", "q"), ("q", "p"), (["q", "p"], None)):
        assert results.pivot(index, along, aggfunc="count").to_numpy(dtype=float, na_value=0).sum() == count
    assert results.summary("p")["n"].sum() == count
    (axis, _) = results._selection.axes()
    keys = {
        place: axis.parameter.identities[code] for place, code in enumerate(axis.codes.tolist()) if code >= 0
    }
    distinct = len(set(keys.values())) + bool((axis.codes < 0).any())
    assert len(results.pivot("p", aggfunc="count")) == len(results.summary("p")) == distinct
    texts = {identity: axis.texts[axis.codes[place]] for place, identity in keys.items()}
    assert len(set(texts.values())) == len(texts)
    assert "-" not in texts.values() or not (axis.codes < 0).any()
    column = results.to_frame()["p"].tolist()
    shown = {repr(cell) if cell is None or cell != cell else cell for cell in map(column.__getitem__, keys)}
    assert len(shown) == len(texts)


def test_a_pivot_names_an_unknown_column() -> None:
    results, _ = results_of(FakeMatrix(model=["svc", "ada"]), [1, 2])
    with pytest.raises(ValueError, match=r"'modle'.*Did you mean 'model'"):
        results.pivot("modle")


def test_a_pivot_of_what_is_no_number_names_columns_of_numbers() -> None:
    results, _ = results_of(FakeMatrix(n=[0, 1]), [{"acc": 0.5, "all": [1]}, {"acc": 0.6, "all": [2]}])
    with pytest.raises(ValueError, match=r"'value' holds dict, not numbers. Columns of numbers: n, acc"):
        results.pivot("n", metric="value")
    assert results.pivot("n", metric="value", aggfunc="first")["value"].tolist() == [
        {"acc": 0.5, "all": [1]},
        {"acc": 0.6, "all": [2]},
    ]


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


def test_what_is_shown_may_be_named_as_pandas_and_earlier_versions_name_it() -> None:
    results, _ = results_of(FakeMatrix(model=["svc", "ada"]), [1.0, 3.0], {"acc": [0.1, 0.2]})
    for one, other in (
        (results.pivot("model", metric="acc"), results.pivot("model", values="acc")),
        (results.summary("model", metric="acc"), results.summary("model", value="acc")),
    ):
        assert one.equals(other)
        assert "0.2" in one.to_string()
    assert results.best(metric="acc").key == results.best(by="acc").key == results[1].key


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
    assert student_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-9)


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (120, 1.9799)]
)
def test_quantiles_agree_with_the_printed_table(freedom: int, value: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(value, abs=5e-5)
