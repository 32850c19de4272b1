"""A loop whose body gives a name of the state another object saves nothing that a later attempt would go on from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from memento.context.task_space import StopTask
from tests.context.making import context


def whole(told: Any) -> float:
    state = {"w": np.zeros(2)}
    for _ in told.loop(range(6), state, every="1 step"):
        state = {"w": state["w"] + 1}
    return float(state["w"][0])


def part(told: Any) -> float:
    w = np.zeros(2)
    for _ in told.loop(range(6), {"weights": w}, every="1 step"):
        w = w + 1
    return float(w[0])


def number(told: Any) -> float:
    total, other = 0, 0
    for _ in told.loop(range(6), {"total": total, "n": other}, every="1 step"):
        total += 1
    return total


def outer(told: Any) -> float:
    w = [0]
    for _ in told.loop(range(3), [w], every="1 step"):
        for _ in told.loop(range(2), None, every="1 step"):
            w = [w[0] + 1]
    return w[0]


@pytest.mark.parametrize(("task", "name"), [(whole, "state"), (part, "w"), (number, "total"), (outer, "w")])
def test_what_would_be_lost_is_not_saved_and_told(task: Callable[..., float], name: str, store: str) -> None:
    asked = iter([False, False, False])
    with (
        pytest.warns(RuntimeWarning, match=f"'{name}' is another object now, and the state has the old one"),
        pytest.raises(StopTask),
    ):
        task(context(store, stopping=lambda: next(asked, True)))
    with pytest.warns(RuntimeWarning):
        assert task(context(store)) == 6


def conditional(told: Any) -> float:
    best, n = 9, np.zeros(1)
    state = {"best": best, "n": n}
    for item in told.loop([5, 3, 4], state, every="1 step"):
        best = item
        state["best"] = min(best, state["best"])
        n += 1
    return float(state["best"] + n[0])


def swapped(told: Any) -> float:
    state = {"n": 0, "m": 0}
    n = state["n"]
    for n in told.loop(range(4), state, every="1 step"):
        state["n"] = n + 1
    return state["n"] + 2


@pytest.mark.parametrize("task", [conditional, swapped])
def test_a_state_that_follows_is_saved_without_a_word(task: Callable[..., float], store: str) -> None:
    asked = iter([False, False])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(StopTask):
            task(context(store, stopping=lambda: next(asked, True)))
        told = context(store)
        assert task(told) == 6
    assert told._attempt.checkpoints_at(f"{told.key}/loops").exists()
