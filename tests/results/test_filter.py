"""filter() takes values, short names, and several of them; and says what it does not know."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.keys.value_digest import digest
from memento.records import Encoded
from memento.results.filter import matches
from memento.results.results import Results
from memento.store.upstream import Origins, UpstreamValue
from tests.results.fakes import FakeMatrix, failure, results_of


def results() -> Results:
    matrix = FakeMatrix(repeats=2, model=[dict, list], C=[1, 10], hidden=[(64, 64)])
    return results_of(matrix, [0, 1, 2, 3, 4, failure(), 6, 7])[0]


def inner(found: Results) -> list[object]:
    return [result.inner for result in found]


def test_a_value_or_its_short_name_selects() -> None:
    assert inner(results().filter(model=dict)) == inner(results().filter(model="dict")) == [0, 1, 2, 3]
    assert inner(results().filter(model=dict, C=10)) == [2, 3]


def test_a_value_that_is_the_result_of_another_task_is_chosen_by_its_parameters() -> None:
    def clean(number: int, dataset: str) -> UpstreamValue:
        origins = Origins(lambda _: {"dataset": dataset, "a.b": number})
        encoded = Encoded("json", b"1", None, 1, "builtins:int")
        return UpstreamValue(bytes([number]) * 16, "", encoded, number, (origins, 0))

    matrix = FakeMatrix(model=["svm"], clean=[clean(1, "a"), clean(2, "b"), clean(3, "a")])
    found = results_of(matrix, [0, 1, 2])[0]
    assert (
        inner(found.filter(clean={"dataset": "a"})) == inner(found.filter(**{"clean.dataset": "a"})) == [0, 2]
    )
    assert inner(found.filter(clean={"dataset": ["a", "b"], "a.b": 2}, model="svm")) == [1]
    with pytest.raises(ValueError, match=r"there is no parameter 'clean\.x'.* Did you mean 'clean"):
        found.filter(clean={"x": 1})
    with pytest.raises(
        ValueError, match=r"Write clean=\{'dataset': \.\.\.\} or \*\*\{'clean\.dataset': \.\.\.\}"
    ):
        found.filter(clean="a")


def test_any_of_several_values_selects() -> None:
    assert inner(results().filter(C=[1, 10], model=["dict"])) == [0, 1, 2, 3]


def test_a_value_that_is_a_tuple_is_a_value() -> None:
    assert len(results().filter(hidden=(64, 64))) == 8


def test_repeat_and_status_select_too() -> None:
    assert inner(results().filter(repeat=1, model=dict)) == [1, 3]
    assert inner(results().filter(status="failed")) == [None]
    assert len(results().filter(status=["failed", "done"])) == 8


def test_true_is_not_one() -> None:
    mixed, _ = results_of(FakeMatrix(p=[1, True, "1"]), [0, 1, 2])
    assert (inner(mixed.filter(p=True)), inner(mixed.filter(p=1)), inner(mixed.filter(p="1"))) == (
        [1],
        [0],
        [2],
    )


NAN = float("nan")
PARAMETERS = [
    0,
    1,
    2**70,
    True,
    False,
    1.0,
    -0.0,
    0.5,
    NAN,
    "1",
    "",
    None,
    (1,),
    np.float64(0.5),
    np.int8(1),
    dict,
]


@given(
    st.lists(st.sampled_from(PARAMETERS), min_size=1), st.sampled_from([*PARAMETERS, 7, "no", float("nan")])
)
def test_what_is_looked_up_is_what_comparing_each_value_finds(values: list[Any], wanted: Any) -> None:
    axis = results_of(FakeMatrix(p=values), [0] * len(values))[0]._selection.axes()[0]
    equal = {place for place, value in enumerate(values) if digest(value) == digest(wanted)}
    if equal:
        assert set(np.flatnonzero(matches(axis, wanted)).tolist()) == equal
    elif isinstance(wanted, tuple) and all(digest(one) in map(digest, values) for one in wanted):
        assert matches(axis, wanted).any()  # one of several
    elif isinstance(wanted, str) and axis.parameter.called(wanted):
        assert matches(axis, wanted).any()
    else:
        with pytest.raises(ValueError, match="no task has p="):
            matches(axis, wanted)


class Own:
    def __init__(self, size: int) -> None:
        self.size = size


@pytest.mark.parametrize(
    "make",
    [
        lambda n: np.arange(n),
        lambda n: Own(n),
        lambda n: {"a": [n, np.float64(n)]},
        lambda n: np.int64(n),
        lambda n: functools.partial(int, base=n),
        lambda n: pd.DataFrame({"a": [n]}),
        lambda n: float(n),
    ],
    ids=["array", "object", "dict", "scalar", "partial", "frame", "float"],
)
def test_an_equal_value_selects_whatever_it_is(make: Callable[[int], Any]) -> None:
    found, _ = results_of(FakeMatrix(p=[make(3), make(4)]), [0, 1])
    assert inner(found.filter(p=make(3))) == [0]
    assert inner(found.filter(p=[make(4)])) == [1]


def test_an_equal_number_of_another_type_is_named() -> None:
    found, _ = results_of(FakeMatrix(p=[1.0, 2.0]), [0, 1])
    with pytest.raises(
        ValueError, match=r"its values are: 1\.0, 2\.0\. \(1\.0 is another value than 1, as in keys\)"
    ):
        found.filter(p=1)


def test_what_a_table_shows_selects() -> None:
    first, second = (lambda: 1), (lambda: 2)
    found, _ = results_of(FakeMatrix(p=[first, second, "a", 1, "1"]), [0, 1, 2, 3, 4])
    texts = found._selection.axes()[0].texts
    assert texts == [*(f"{first.__qualname__}#{i}" for i in (1, 2)), "a", "1", "'1'"]
    assert [inner(found.filter(p=text)) for text in texts[:3]] == [[0], [1], [2]]


def test_a_function_selects() -> None:
    assert inner(results().filter(lambda result: result.config.C == 10 and result.repeat == 1)) == [3, 7]
    assert inner(results().filter(lambda result: result.repeat == 1, C=1)) == [1, None]
    assert inner(results().filter(lambda result: False)) == []


def test_a_function_that_fails_says_for_which_result_and_what_to_write() -> None:
    found, _ = results_of(FakeMatrix(lr=[1, 2], m=["a"]), [0.5, failure()])
    with pytest.raises(
        TypeError, match=r"raised TypeError for lr=2, m=a: .*task is failed.*\(function, status=\"done\"\)"
    ):
        found.filter(lambda result: result.value > 0.1)
    assert inner(found.filter(lambda result: result.value > 0.1, status="done")) == [0.5]
    with pytest.raises(
        TypeError, match=r"for lr=1, m=a: .*write result\.config\['lr'\] for a parameter, result\.value"
    ):
        found.filter(lambda config: config["lr"] > 1)  # type: ignore[index]
    with pytest.raises(AttributeError, match=r"It is a parameter: write result\.config\.lr"):
        found.filter(lambda config: config.lr > 1)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"raised ZeroDivisionError for lr=1") as caught:
        found.filter(lambda result: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_column_that_is_no_parameter_is_chosen_by_with_a_function() -> None:
    found, _ = results_of(FakeMatrix(n=[1, 2]), [{"acc": 0.5}, {"acc": 0.7}])
    with pytest.raises(
        ValueError, match=r"'acc' is a column .*, and no parameter\. Write results\.filter\(lambda result"
    ):
        found.filter(acc=0.5)


def test_none_is_a_value_and_no_absent_parameter() -> None:
    matrix = FakeMatrix(m=[None, "a", "None"], n=[1, 2])
    matrix.table().columns[2:4, 0] = -1
    found, _ = results_of(matrix, list(range(6)))
    assert inner(found.filter(m=None)) == [0, 1]
    assert inner(found.filter(m=[None, "-"])) == [0, 1, 2, 3]
    assert inner(found.filter(m="-")) == [2, 3]
    lacking = FakeMatrix(m=["a", "b"])
    lacking.table().columns[0, 0] = -1
    with pytest.raises(ValueError, match=r"no task has m=None; .* Tasks that do not have it: m='-'"):
        results_of(lacking, [0, 1])[0].filter(m=None)


def test_filters_follow_each_other() -> None:
    assert inner(results().filter(model=list).filter(C=10)[1:]) == [7]


def test_an_unknown_parameter_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'modle'.*Did you mean 'model'"):
        results().filter(modle=dict)


def test_an_unknown_value_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"model='set'; its values are: dict, list"):
        results().filter(model="set")


def test_a_parameter_may_have_any_name_that_a_matrix_allows() -> None:
    found = results_of(FakeMatrix(self=[1, 2]), [10, 20])[0]
    assert inner(found.filter(self=2)) == [20]


@pytest.mark.parametrize("wanted", [0.9, "0.89"])
def test_of_numbers_the_nearest_is_named_and_not_what_looks_alike(wanted: Any) -> None:
    found, _ = results_of(FakeMatrix(lr=[0.1, 0.7, 0.88462, 0.98]), [0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"The nearest is 0\.88462$"):
        found.filter(lr=wanted)
