"""Results that are asked for in another tool's way say the right line, and behave like any object otherwise."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

from memento.results.advice import unknown
from memento.results.result import Result
from memento.results.results import Results
from tests.results.fakes import FakeMatrix, results_of


def some() -> Results:
    return results_of(FakeMatrix(lr=[1, 2]), [0.5, 0.7])[0]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("df", "Write results.to_frame()."),
        ("to_pandas", "Write results.to_frame()."),
        ("values", "Write [result.value for result in results]."),
        ("mean", "Write results.summary()."),
        ("pivott", "Write results.pivot."),
    ],
)
def test_results_say_what_to_write_for_what_they_do_not_have(name: str, line: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(some(), name)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("output", "Write result.value."),
        ("params", "Write result.config."),
        ("lr", "It is a parameter: write result.config.lr."),
        ("duration", "Write result.runtime."),
        ("statuss", "Write result.status."),
        ("upstream", "Write results[:1].upstream()."),
        ("acc", "What the task returned is result.value, what it recorded result.metrics."),
        ("steps", "Write memento show KEY on the command line."),
    ],
)
def test_a_result_says_what_to_write_for_what_it_does_not_have(name: str, line: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(some()[0], name)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda results: results["lr"], "It is a column: write results.to_frame()['lr']."),
        (lambda results: results["valu"], "no column 'valu'; there are: lr, value, status"),
        (lambda results: results[{"lr": 1}], "results.filter(name=value)"),
        (lambda results: results.filter({"lr": 1}), "results.filter(lr=1)"),
        (lambda results: results.filter("lr"), "results.filter(name=value)"),
    ],
    ids=["a column", "no column", "a configuration", "a dict", "a text"],
)
def test_results_say_how_to_choose_among_them(ask: Any, line: str) -> None:
    with pytest.raises(TypeError) as caught:
        ask(some())
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda r: r.best(["acc", "f1"]), 'results.best("acc")'),
        (lambda r: r.best(lambda result: result.value["acc"]), 'results.best("name")'),
        (lambda r: r.summary("n", metric=["acc"]), 'results.summary("n", metric="acc")'),
        (lambda r: r.pivot("n", metric=["acc"]), 'results.pivot("n", metric="acc")'),
        (lambda r: r.explode(["acc"]), 'results.explode("acc")'),
    ],
)
def test_several_columns_where_one_is_meant_are_answered_by_the_line_for_one(ask: Any, line: str) -> None:
    results, _ = results_of(FakeMatrix(n=[1, 2]), [{"acc": 1.0}, {"acc": 2.0}])
    with pytest.raises(TypeError, match=f"name of one column.*{re.escape(line)}"):
        ask(results)


def test_a_column_that_is_asked_for_as_an_attribute_is_named_with_the_nearest() -> None:
    results, store = results_of(FakeMatrix(lr=[1, 2]), [{"acc": 1, "name": "a"}, 0.5], {"loss": [1, 2]})
    for name, line in (
        ("acc", "It is a column: write results.to_frame()['acc']."),
        ("lr", "It is a column: write results.to_frame()['lr']."),
        ("Los", "there are: lr, value, acc, name, loss, status"),
        ("Los", "Did you mean 'loss'?"),
    ):
        assert not hasattr(results, name)
        assert store.loads == 0  # to ask is free
        with pytest.raises(AttributeError, match=re.escape(line)) as caught:
            getattr(results, name)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        store.loads = 0


@pytest.mark.parametrize(
    ("name", "meant"), [("Acc", "acc"), ("metric.acc", "acc"), ("seed", "load.seed"), ("ac", "acc")]
)
def test_the_nearest_name_is_found(name: str, meant: str) -> None:
    assert unknown("column", name, ["load.seed", "acc", "value"]).endswith(f"Did you mean {meant!r}?")


def test_a_name_of_an_upstream_task_is_answered_by_its_whole_name() -> None:
    assert unknown("column", "seed", ["load.seed", "value"]).endswith("Did you mean 'load.seed'?")
    assert unknown("upstream matrix", "seed", []) == "there is no upstream matrix 'seed'; there are: none."


def test_what_is_probed_for_is_not_there() -> None:
    results = some()
    for one in (results, results[0]):
        assert not hasattr(one, "_repr_png_")
        assert not hasattr(one, "__array__")
    assert pickle.loads(pickle.dumps(results[0])).inner == copy.copy(results[0]).inner == 0.5


def test_an_attribute_error_of_a_part_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise AttributeError("of the value's own")

    monkeypatch.setattr(Result, "inner", property(fails))
    with pytest.raises(AttributeError, match="of the value's own"):
        _ = some()[0].inner
