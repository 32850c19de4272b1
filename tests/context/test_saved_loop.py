"""A loop goes on where it was stopped, with its state in place."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.context.saved_loop import parse_every
from memento.context.task_space import StopTask
from tests.context.making import Clock, context, y


class Model:
    """As torch's modules and optimizers are."""

    def __init__(self) -> None:
        self.weights = [0]

    def state_dict(self) -> dict[str, Any]:
        return {"weights": list(self.weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.weights[:] = state["weights"]


class Plain:
    """An object with attributes only."""

    def __init__(self) -> None:
        self.total = 0


def train(
    store: str, items: Any, stop_after: int | None, every: Any = "1 step", name: str | None = None
) -> Any:
    """One attempt: returns what was seen, and the sum that it keeps; stopped after so many items."""
    seen: list[int] = []
    told = context(store, stopping=lambda: stop_after is not None and len(seen) >= stop_after)
    state = {"total": 0}
    try:
        for item in told.loop(items, state, every=every, name=name):
            seen.append(item)
            state["total"] += item
            told.record({"item": item})
    except StopTask:
        return seen, None
    return seen, (state["total"], y(told, "item"))


@pytest.mark.parametrize("items", [range(6), list(range(6)), np.arange(6)], ids=["range", "list", "array"])
def test_a_loop_goes_on_where_it_was_stopped(items: Any, store: str) -> None:
    assert train(store, items, 2) == ([0, 1], None)
    assert train(store, items, 1) == ([2], None)
    assert train(store, items, None) == ([3, 4, 5], (15, [0, 1, 2, 3, 4, 5]))


def test_a_loop_over_a_generator_skips_what_is_done(store: str) -> None:
    train(store, (i for i in range(5)), 2)
    assert train(store, (i for i in range(5)), None)[0] == [2, 3, 4]


@settings(max_examples=15)
@given(stops=st.lists(st.integers(1, 4), max_size=4), every=st.integers(1, 4))
def test_however_often_a_loop_is_stopped_each_item_is_done_once(
    stops: list[int], every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = str(tmp_path_factory.mktemp("store"))
    seen = [item for stop in stops for item in train(store, range(20), stop, every=f"{every} steps")[0]]
    last, (total, recorded) = train(store, range(20), None)
    assert seen + last == list(range(20)) == recorded
    assert total == 190


def test_a_loop_saves_when_its_time_has_come(store: str) -> None:
    clock = Clock()
    told = context(store, clock=clock)
    state = {"n": 0}
    for i in told.loop(range(10), state, every="10s"):
        state["n"] = i
        clock.time += 4
        if i == 4:
            break
    again = {"n": -1}
    assert next(iter(context(store).loop(range(10), again, every="10s"))) == 3
    assert again == {"n": 2}


@pytest.mark.parametrize("make", [Model, Plain, list, deque, set, dict, bytearray, lambda: np.zeros(1)])
def test_every_kind_of_state_is_filled_in_place(make: Any, store: str) -> None:
    def change(state: Any) -> None:
        if isinstance(state, Model):
            state.weights.append(5)
        elif isinstance(state, Plain):
            state.total = 5
        elif isinstance(state, (list, deque, bytearray)):
            state.append(5)
        elif isinstance(state, set):
            state.add(5)
        else:
            state[0] = 5

    state, stop = make(), [False]
    with pytest.raises(StopTask):  # noqa: PT012 - it is the loop that raises
        for _ in context(store, stopping=lambda: stop[0]).loop(range(3), state):
            change(state)
            stop[0] = True
    again = make()
    next(iter(context(store).loop(range(3), again)))
    whole = [pickle.dumps(vars(s) if hasattr(s, "__dict__") else s) for s in (state, again)]
    assert whole[0] == whole[1]


def test_parts_with_a_state_dict_are_filled_where_they_stand(store: str) -> None:
    model, stop = Model(), [False]
    with pytest.raises(StopTask):  # noqa: PT012 - it is the loop that raises
        for i in context(store, stopping=lambda: stop[0]).loop(range(3), {"model": model, "epoch": 0}):
            model.weights.append(i + 8)
            stop[0] = True
    again = Model()
    state = {"model": again, "epoch": 0}
    next(iter(context(store).loop(range(3), state)))
    assert state["model"] is again
    assert again.weights == [0, 8]


@pytest.mark.parametrize("state", [3, "abc", (1, 2)])
def test_a_state_that_cannot_be_filled_in_place_is_refused(state: Any, store: str) -> None:
    with pytest.raises(TypeError, match="cannot be filled in place"):
        context(store).loop(range(3), state)


def test_nested_loops_go_on_inside(store: str) -> None:
    def attempt(stop_after: int | None) -> tuple[list[tuple[int, int]], dict[str, int]]:
        seen: list[tuple[int, int]] = []
        told = context(store, stopping=lambda: stop_after is not None and len(seen) >= stop_after)
        outer, inner = {"sum": 0}, {"sum": 0}
        try:
            for a in told.loop(range(3), outer):
                inner["sum"] = 0
                for b in told.loop(range(3), inner):
                    seen.append((a, b))
                    inner["sum"] += b
                outer["sum"] += inner["sum"]
        except StopTask:
            pass
        return seen, outer

    first, _ = attempt(5)
    second, outer = attempt(None)
    assert first + second == [(a, b) for a in range(3) for b in range(3)]
    assert outer == {"sum": 9}


def test_a_second_loop_brings_back_what_the_first_one_trained(store: str) -> None:
    def attempt(stop: bool) -> tuple[list[str], dict[str, int]]:
        seen, state = [], {"n": 0}
        told = context(store, stopping=lambda: stop and "b1" in seen)
        try:
            for kind in "ab":
                for i in told.loop(range(3), state):
                    seen.append(f"{kind}{i}")
                    state["n"] += 1
        except StopTask:
            pass
        return seen, state

    attempt(stop=True)
    assert attempt(stop=False) == (["b2"], {"n": 6})


@pytest.mark.parametrize(
    ("text", "seconds", "steps"),
    [("10min", 600, None), ("30s", 30, None), ("2h", 7200, None), (5, 5, None), ("1.5 h", 5400, None),
     ("100 steps", None, 100), ("1 iteration", None, 1), ("5 epochs", None, 5), ("250ms", 0.25, None)],
)  # fmt: skip
def test_intervals_are_read(text: Any, seconds: Any, steps: Any) -> None:
    assert parse_every(text) == (seconds, steps)


@pytest.mark.parametrize("text", ["", "soon", "10 parsecs", "0.5 steps", "-3", True, None])
def test_an_interval_that_is_none_says_what_would_be_right(text: Any) -> None:
    with pytest.raises(ValueError, match="give seconds, or a text like"):
        parse_every(text)


LOOPER = """
import sys
from memento.context.context import Context
from memento.context.task_space import TaskSpace
context = Context.for_task(TaskSpace(sys.argv[1], "run", bytes(16)))
state = {"sum": 0}
for i in context.loop(range(int(sys.argv[2])), state, every="1 step"):
    state["sum"] += i
    context.record({"i": i})
    print(i, flush=True)
print("sum", state["sum"], len(context.collect_metrics()["i"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_loop_survives_kill_9(store: str) -> None:
    for lines in (1, 4, 2):
        with subprocess.Popen(
            [sys.executable, "-c", LOOPER, store, "100000"], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                last = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            last = int(rest[-1]) if rest else last
    done = subprocess.run(
        [sys.executable, "-c", LOOPER, store, str(last + 5)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    n = last + 5
    assert done.stdout.splitlines()[-1] == f"sum {n * (n - 1) // 2} {n}"


def steps_of(told: Any, name: str) -> list[float]:
    steps: list[float] = told.collect_metrics()[name]["x"].tolist()
    return steps


def test_what_is_recorded_in_a_loop_has_the_number_of_its_item_as_step(store: str) -> None:
    told = context(store)
    for epoch in told.loop("abcd", {}):
        if epoch == "b":
            told.record({"own": 1.0}, step=50)
        told.record(loss=1.0)
        told.record({"pair": (9, 1.0)})
    told.record({"after": 1.0})
    assert steps_of(told, "loss") == [0, 1, 2, 3]
    assert (steps_of(told, "own"), set(steps_of(told, "pair"))) == ([50], {9})
    assert steps_of(told, "after")[0] > 1e9, "the time"


def test_a_loop_in_a_loop_counts_on(store: str) -> None:
    told = context(store)
    for epoch in told.loop(range(3), {}):
        for batch in told.loop(range(4), {}):
            told.record({"loss": 1.0})
            if epoch == 0 and batch == 1:
                break
        for _ in told.loop(range(2), {}):
            told.record({"val_loss": 1.0})
        told.record({"accuracy": 1.0})
    assert steps_of(told, "loss") == list(range(10))
    assert steps_of(told, "val_loss") == list(range(6))
    assert steps_of(told, "accuracy") == [0, 1, 2]


def records(store: str, stop_after: int | None, every: str) -> Any:
    """One attempt at a task that records before, in, between and after loops; stopped after so many inner items."""
    seen = [0]
    told = context(store, stopping=lambda: stop_after is not None and seen[0] >= stop_after)
    told.record({"begin": 1.0}, step=0)
    try:
        for epoch in told.loop(range(3), {}, every=every):
            told.record({"lr": 1.0 / (epoch + 1)})
            for batch in told.loop(range(3 + epoch), {}, every=every):
                told.record({"loss": batch})
                seen[0] += 1
                if epoch == 1 and batch == 2:
                    break
            told.record({"between": epoch})
            for _ in told.loop(range(2), {}, every=every):
                told.record({"val": epoch})
                seen[0] += 1
        told.record({"middle": 1.0}, step=1)
        for _ in told.loop(range(4), {}, every=every):
            told.record({"loss": 0.0, "fine": 1.0})
            seen[0] += 1
        told.record({"end": 1.0}, step=2)
    except StopTask:
        return None
    return {name: frame.to_numpy().tolist() for name, frame in told.collect_metrics().items()}


@pytest.mark.slow
@settings(max_examples=30)
@given(stops=st.lists(st.integers(1, 9), max_size=4), every=st.integers(1, 3))
def test_a_task_that_goes_on_has_the_curves_of_one_that_was_never_stopped(
    stops: list[int], every: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = records(str(tmp_path_factory.mktemp("whole")), None, "1000 steps")
    store = str(tmp_path_factory.mktemp("store"))
    for stop in stops:
        records(store, stop, f"{every} steps")
    assert records(store, None, f"{every} steps") == expected
