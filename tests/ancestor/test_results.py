"""In 1.2.0 the results were a list: what scripts do with a list goes on."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from memento import Config, Context, Memento, Result, Results


def experiment(context: Context, config: Config) -> dict[str, int]:
    context.record({"loss": 1.0})
    return {"accuracy": config.x * 10}


@pytest.fixture
def results() -> Results:
    found = Memento(experiment, executor="serial", store="store", progress=False).run(
        {"parameters": {"x": [1, 3, 2]}}
    )
    assert found is not None
    return found


def accuracy(result: Result) -> int:
    found: int = result.inner["accuracy"]
    return found


def test_results_are_indexed_sliced_and_iterated_like_a_list(results: Results) -> None:
    assert isinstance(results, Sequence)
    assert [accuracy(r) for r in results] == [10, 30, 20]
    assert [accuracy(r) for r in results[1:]] == [30, 20]
    assert accuracy(results[-1]) == 20
    assert [accuracy(r) for r in reversed(results)] == [20, 30, 10]
    assert (len(results), bool(results)) == (3, True)


def test_results_of_several_runs_are_joined_with_plus(results: Results) -> None:
    assert [accuracy(r) for r in results + results[:1]] == [10, 30, 20, 10]
    joined: list[Any] = []
    joined += results
    assert len(joined + results) == 6


def test_results_are_sorted_and_the_best_is_found_again(results: Results) -> None:
    assert [accuracy(r) for r in sorted(results, key=accuracy)] == [10, 20, 30]
    best = max(results, key=accuracy)
    assert best in results
    assert results.index(best) == 1


def test_a_result_that_is_held_stays_the_same_object(results: Results) -> None:
    first = results[0]
    first.was_cached = True
    assert results[0] is first
    assert next(iter(results)).was_cached


@pytest.mark.parametrize("travel", [lambda r: pickle.loads(pickle.dumps(r)), copy.deepcopy])
def test_results_that_travel_are_a_list_that_needs_no_store(results: Results, travel: Any) -> None:
    copied = travel(results)
    assert isinstance(copied, list)
    assert [accuracy(r) for r in copied] == [10, 30, 20]
    assert [r.config.x for r in copied] == [1, 3, 2]
    assert copied[0].metrics["loss"]["y"].tolist() == [1.0]
    assert copied[0].runtime == results[0].runtime


def test_a_frame_is_made_by_hand(results: Results) -> None:
    frame = pd.DataFrame([{**r.config.asdict(), **r.inner, "seconds": r.runtime} for r in results])
    assert frame["accuracy"].tolist() == [10, 30, 20]
