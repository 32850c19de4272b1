"""What an attempt has so far goes with its checkpoints, and the next attempt goes on from it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from memento.context.context import Context
from memento.records import Piece
from tests.context.making import Clock, context, y


def test_values_of_one_call_have_one_time_and_a_pair_keeps_its_x_to_itself(store: str) -> None:
    clock = Clock()
    told = context(store, clock=clock)
    told.record({"a": 1, "b": (5, 2), "c": 3})
    frames = told.collect_metrics()
    assert [frames[n]["x"][0] for n in "abc"] == [1000.0, 5.0, 1000.0]


def test_live_updates_come_at_most_once_an_interval(store: str) -> None:
    clock, seen = Clock(), []
    told = context(store, clock=clock, live=lambda *args: seen.append(args), live_every=0.5)
    for i in range(100):
        told.record({"loss": i})
        told.progress(1, 100)
        clock.time += 0.1
    assert 15 <= len(seen) <= 21
    assert seen[-1][1] == 100.0
    assert seen[-1][2]["loss"] >= 90


@pytest.mark.parametrize("odd", [("a", None), (None, 3), (1, "x"), (math.nan, [])])
def test_progress_never_raises(odd: Any, store: str) -> None:
    context(store, live=lambda *_: None).progress(*odd)


def test_one_value_comes_back_as_itself_several_as_a_tuple(store: str) -> None:
    context(store).checkpoint([1])
    assert context(store).restore() == [1]
    context(store).checkpoint(1, "b")
    assert context(store).restore() == (1, "b")
    context(store).checkpoint()
    assert context(store).restore() == ()


def test_restoring_without_a_checkpoint_is_a_key_error(store: str) -> None:
    assert not context(store).checkpoint_exist()
    with pytest.raises(KeyError, match="checkpoint_exist"):
        context(store).restore()


def test_metrics_recorded_before_a_checkpoint_come_back_exactly_once(store: str) -> None:
    first = context(store)
    first.record({"loss": 3})
    first.record({"loss": 2})
    first.checkpoint("state")
    first.record({"loss": 99})  # lost with the attempt
    second = context(store, attempt=2)
    second.restore()
    second.record({"loss": 1})
    second.checkpoint("state")
    second.restore()
    second.restore()
    assert y(second, "loss") == [3, 2, 1]


def test_metrics_recorded_before_restore_are_kept(store: str) -> None:
    first = context(store)
    first.record({"loss": 3})
    first.checkpoint("state")
    second = context(store)
    second.record({"loss": 7})
    second.restore()
    assert y(second, "loss") == [3, 7]


def test_seed_and_rng_are_the_same_again_and_differ_between_tasks(store: str) -> None:
    one, again, other = context(store, 1), context(store, 1, attempt=2), context(store, 2)
    assert one.seed == again.seed != other.seed
    assert 0 <= one.seed < 2**32
    first = one.rng.random(3).tolist()
    assert first == again.rng.random(3).tolist() != other.rng.random(3).tolist()
    assert one.rng is one.rng


def test_the_seed_of_a_key_is_pinned() -> None:
    assert Context("00" * 16).seed == 2475792558


def attempt(started: float, runtime: float) -> Any:
    """An attempt of a run, with what it has done so far."""
    return lambda: Piece(f"run-{int(started)}", 1, started, runtime, None, None, "host/1", None)


@pytest.mark.parametrize("way", ["checkpoint", "loop", "both"])
def test_a_checkpoint_tells_what_each_attempt_before_it_gave(store: str, way: str) -> None:
    def go_on(told: Context) -> None:
        if way != "loop":
            told.restore() if told.checkpoint_exist() else None
            told.checkpoint(1)
        if way != "checkpoint":
            for count, _ in enumerate(told.loop(range(10), {}, every="1 steps")):
                if count == 1:
                    break

    for started in (1.0, 2.0, 3.0):
        told = context(store, so_far=attempt(started, 10 * started))
        go_on(told)
        assert [(piece.started, piece.runtime) for piece in told.left_behind()[2]] == [
            (n, 10 * n) for n in (1.0, 2.0) if n < started
        ]


def test_what_an_attempt_restores_of_itself_is_no_earlier_one(store: str) -> None:
    told = context(store, so_far=attempt(1.0, 5.0))
    told.checkpoint("a")
    assert told.restore() == "a"
    assert told.left_behind()[2] == ()
