"""What is many in a value becomes rows: each element once, none merged with another, its parameters beside it."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memento
from memento import Memento, Results
from memento.errors import PayloadDamaged
from tests.results.fakes import MISSING, FakeMatrix, failure, results_of


class Point(NamedTuple):
    x: float
    label: str = "a"


@dataclass
class Curve:
    fpr: Any
    tpr: Any


def of(*values: Any, **parameters: Any) -> Results:
    return results_of(FakeMatrix(**(parameters or {"n": list(range(len(values)))})), values)[0]


def stored(values: list[Any], folder: str) -> Results:
    """Return results of tasks that returned these, read from a store as another process would."""
    made = Memento(
        lambda context, config: values[config.n], store=folder, executor="serial", progress=False, name="e"
    )
    made.run({"parameters": {"n": list(range(len(values)))}})
    return memento.load(folder)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what stands in each row."""
    rows: list[dict[str, Any]] = frame.astype(object).to_dict("records")
    return [{name: cell for name, cell in row.items() if not is_empty(cell)} for row in rows]


def is_empty(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)


def test_lists_of_dicts_become_rows_with_the_parameters_beside_them() -> None:
    one = {"acc": 0.5, "coverage": [{"at": 1, "of": {"low": 0.1}}, {"at": 2}]}
    two = {"acc": 0.6, "coverage": [Point(0.3), Curve(1, 2)]}
    frame = of(one, two, n=[7], model=[dict, list]).explode("coverage")
    assert list(frame) == ["n", "model", "position", "at", "of.low", "x", "label", "fpr", "tpr"]
    assert rows_of(frame) == [
        {"n": 7, "model": "dict", "position": 0, "at": 1, "of.low": 0.1},
        {"n": 7, "model": "dict", "position": 1, "at": 2},
        {"n": 7, "model": "list", "position": 0, "x": 0.3, "label": "a"},
        {"n": 7, "model": "list", "position": 1, "fpr": 1, "tpr": 2},
    ]


LISTS = st.lists(st.integers(-9, 9) | st.floats(allow_nan=False, width=32), min_size=1, max_size=4)


@pytest.mark.slow
@given(st.lists(LISTS | LISTS.map(np.array) | LISTS.map(tuple), min_size=1, max_size=5))
def test_numbers_are_exploded_as_pandas_does(values: list[Any]) -> None:
    results = of(*values)
    frame = results.explode()
    expected = results.to_frame()[["n", "value"]].explode("value", ignore_index=True)
    assert frame["n"].tolist() == expected["n"].tolist()
    assert frame["value"].astype(float).tolist() == expected["value"].astype(float).tolist()
    assert frame["position"].tolist() == [i for value in values for i in range(len(value))]


COLUMNS = st.lists(st.sampled_from(["a", "b", "c"]), unique=True, max_size=3)
FRAMES = st.builds(
    lambda columns, count: pd.DataFrame(
        {name: np.arange(count) * 0.5 for name in columns}, index=range(count)
    ),
    COLUMNS.filter(bool),
    st.integers(1, 3),
)


@pytest.mark.slow
@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_frames_are_concatenated_as_pandas_does(frames: list[pd.DataFrame]) -> None:
    frame = of(*frames).explode()
    expected = pd.concat(frames, keys=range(len(frames)), names=["n", "position"]).reset_index()
    pd.testing.assert_frame_equal(frame[list(expected)], expected, check_dtype=False)
    assert set(frame) == set(expected)


ELEMENT = st.integers() | st.text(max_size=2) | st.none() | st.lists(st.integers(), max_size=2)
ROW = (
    st.dictionaries(st.sampled_from(["n", "a", "position", "b.c"]), ELEMENT, min_size=1)
    | st.floats(allow_nan=False).map(Point)
    | st.builds(Curve, st.integers(), ELEMENT)
    | st.integers().map(lambda number: {"b": {"c": number, "d": [number]}})
    | ELEMENT
)


def expected_of(task: int, position: int, row: Any) -> dict[str, Any]:
    """Return the row of an element; no two things share a column."""
    if isinstance(row, Point):
        row = row._asdict()
    elif isinstance(row, Curve):
        row = vars(row)
    elif not isinstance(row, dict):
        row = {"value": row}
    if isinstance(row.get("b"), dict):
        row = {"nested.c": row["b"]["c"], "b.d": row["b"]["d"]}
    return {"parameter": task, "place": position, **{k: v for k, v in row.items() if v is not None}}


@pytest.mark.slow
@given(st.lists(st.lists(ROW, max_size=4), min_size=1, max_size=4))
def test_no_element_is_lost_or_merged_with_another(values: list[list[Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frame = stored(values, f"{folder}/s").explode()
    empty = values.count([])
    assert [str(one.message) for one in told if "explode" in str(one.message)] == (
        [f"explode: {empty} of {len(values)} task{'s' * (len(values) > 1)} have no rows: {empty} empty"]
        if empty
        else []
    )
    elements = [element for value in values for element in value]
    keys = {key for element in elements if isinstance(element, dict) for key in element}
    names = {"n": "parameter", "value.n": "n"}
    names["row.position" if "position" in keys else "position"] = "place"
    names["value.b.c" if "b.c" in keys else "b.c"] = "nested.c"
    found = [{names.get(name, name): cell for name, cell in row.items()} for row in rows_of(frame)]
    assert found == [expected_of(n, i, row) for n, rows in enumerate(values) for i, row in enumerate(rows)]


def test_dicts_of_equally_long_lists_are_columns_and_scalars_stand_in_each_row() -> None:
    frame = of(
        {"auc": 0.5, "roc": {"fpr": [0, 1], "tpr": np.array([0.5, 1])}},
        {"auc": 0.6, "roc": Curve((3,), [4.0])},
    )
    rows = [
        {"n": 0, "position": 0, "auc": 0.5, "roc.fpr": 0, "roc.tpr": 0.5},
        {"n": 0, "position": 1, "auc": 0.5, "roc.fpr": 1, "roc.tpr": 1.0},
        {"n": 1, "position": 0, "auc": 0.6, "roc.fpr": 3, "roc.tpr": 4.0},
    ]
    assert rows_of(frame.explode()) == rows
    assert rows_of(frame.explode("roc")) == [
        {name.removeprefix("roc."): cell for name, cell in row.items() if name != "auc"} for row in rows
    ]
    assert frame.explode("roc.tpr")["roc.tpr"].tolist() == [0.5, 1, 4]


def test_lists_of_different_lengths_are_no_rows() -> None:
    with pytest.raises(ValueError, match=r'a \(2\), b\.c \(1\)\. Name one: results\.explode\("a"\)'):
        of({"a": [1, 2], "b": {"c": [3]}}).explode()


def test_types_stay_and_only_what_is_missing_is_empty() -> None:
    days = pd.date_range("2024-01-01", periods=2)
    frame = of(
        pd.DataFrame({"day": days, "kind": pd.Categorical(["a", "b"]), "n": [1, 2]}),
        [{"day": days[0], "n": 3}],
    ).explode()
    assert frame["day"].tolist() == [*days, days[0]]
    assert frame["value.n"].tolist() == [1, 2, 3]
    assert frame["value.n"].dtype == "int64"
    assert frame["kind"].tolist()[:2] == ["a", "b"]
    assert pd.isna(frame["kind"][2])


def test_an_index_that_says_something_and_columns_of_one_name_stay() -> None:
    one = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"], index=pd.Index(["p", "q"], name="who"))
    two = pd.DataFrame({("a", "mean"): [5]}, index=pd.MultiIndex.from_tuples([(1, 2)], names=["u", None]))
    frame = of(one, two, pd.Series([6], name="s", index=["z"])).explode()
    assert rows_of(frame) == [
        {"n": 0, "position": 0, "who": "p", "a": 1, "value.a": 2},
        {"n": 0, "position": 1, "who": "q", "a": 3, "value.a": 4},
        {"n": 1, "position": 0, "u": 1, "index": 2, "a.mean": 5},
        {"n": 2, "position": 0, "index": "z", "value": 6},
    ]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_frames_of_other_libraries(library: str) -> None:
    module = pytest.importorskip(library)
    make = module.DataFrame if library == "polars" else module.table
    column = pd.Series if library == "polars" else module.array
    series = module.Series([5, 6]) if library == "polars" else column([5, 6])
    frame = of(make({"a": [1, 2], "b": ["x", "y"]}), {"a": series}).explode()
    assert rows_of(frame) == [
        {"n": 0, "position": 0, "a": 1, "b": "x"},
        {"n": 0, "position": 1, "a": 2, "b": "y"},
        {"n": 1, "position": 0, "a": 5},
        {"n": 1, "position": 1, "a": 6},
    ]


def test_arrays_of_records_and_of_several_dimensions() -> None:
    records = np.array([(1, 0.5), (2, 0.25)], dtype=[("a", ">i4"), ("b", "f8")])
    frame = of(records, np.array([[1, 2], [3, 4]]), np.array(7.0)).explode()
    assert frame["a"].dropna().tolist() == [1, 2]
    assert frame["b"].dropna().tolist() == [0.5, 0.25]
    assert [np.asarray(cell).tolist() for cell in frame["value"][2:]] == [[1, 2], [3, 4], 7.0]


def test_what_has_no_rows_is_counted() -> None:
    results = of({"c": [1]}, {"c": []}, {"d": 1}, None, failure(), MISSING, {"c": 5})
    with pytest.warns(
        UserWarning, match="5 of 7 tasks have no rows: 1 empty, 2 with none, 1 failed, 1 missing"
    ):
        frame = results.explode("c")
    assert rows_of(frame) == [{"n": 0, "position": 0, "c": 1}, {"n": 6, "position": 0, "c": 5}]


def test_a_value_that_cannot_be_loaded_hides_no_other(tmp_path: Path) -> None:
    damaged = PayloadDamaged("/store/payloads/ab", "it is torn")
    with pytest.warns(UserWarning, match="1 of 2 tasks have no rows: 1 cannot be loaded here"):
        assert of([1, 2], damaged).explode()["value"].tolist() == [1, 2]
    results = stored([np.zeros(9_000), np.ones(8_000)], str(tmp_path / "s"))
    for payload in (tmp_path / "s").glob("payloads/*/*.npy"):
        if payload.stat().st_size > 70_000:
            payload.unlink()
    with pytest.warns(UserWarning, match="1 of 2 tasks have no rows: 1 cannot be loaded here"):
        assert results.explode()["value"].tolist() == [1.0] * 8_000


def test_lists_that_are_all_empty_leave_a_frame_without_rows() -> None:
    with pytest.warns(UserWarning, match="2 empty"):
        assert list(of([], []).explode()) == ["n", "position"]
    assert len(of([1], [2])[:0].explode()) == 0


def test_an_item_that_is_not_there_is_answered_by_those_that_are() -> None:
    results, _ = results_of(
        FakeMatrix(n=[1]), [{"acc": 0.5, "coverage": [1], "of": {"roc": [2]}}], {"loss": [1]}
    )
    with pytest.raises(
        ValueError, match=r"no item 'covrage'; there are: coverage, of\.roc\. Did you mean 'coverage'"
    ):
        results.explode("covrage")
    with pytest.raises(ValueError, match=r"'loss' is a metric\. Write results\.metrics"):
        results.explode("loss")
    with pytest.raises(
        ValueError, match=r"'acc' are no lists, arrays or frames, but float\. Write results\.to_frame"
    ):
        results.explode("acc")
    with pytest.raises(ValueError, match="none of 1 task has succeeded"):
        of(failure()).explode()


def test_repeats_and_names_that_are_taken_stand_apart() -> None:
    frame = of([{"repeat": 1, "position": 2}], [{"m": 3}], m=[1], repeats=2).explode()
    assert list(frame) == ["m", "repeat", "row.position", "value.repeat", "position", "value.m"]


@dataclass
class Big:
    name: str
    rows: Any


def test_large_values_are_loaded_one_by_one_and_only_where_they_have_the_item(tmp_path: Path) -> None:
    values = [
        {"rows": pd.DataFrame({"a": np.arange(5_000)})},
        Big("b", [{"a": i} for i in range(5_000)]),
        {"other": np.zeros(10_000)},
    ]
    results = stored(values, str(tmp_path / "s"))
    assert results.to_frame()["name"].tolist()[1] == "b"
    with pytest.warns(UserWarning, match="1 of 3 tasks have no rows: 1 with none"):
        frame = results.explode("rows")
    assert frame["a"].tolist() == [*range(5_000)] * 2
    assert frame["n"].tolist() == [0] * 5_000 + [1] * 5_000
    for payload in (tmp_path / "s").glob("payloads/*/*"):
        if payload.stat().st_size > 70_000:  # that of the third
            payload.unlink()
    with pytest.warns(UserWarning, match="1 with none"):
        assert len(results.explode("rows")) == 10_000
