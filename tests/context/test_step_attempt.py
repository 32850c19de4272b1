"""A step has seeds, checkpoints and a folder of its own, whoever computes it."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from memento.context.context import Context
from memento.context.task_space import StopTask
from tests.context.making import context, y


def _with_context(context: Context, n: int) -> Any:
    if context.checkpoint_exist():
        start, drawn = context.restore()
    else:
        start, drawn = 0, []
    for place in range(start, n):
        drawn.append(float(context.rng.random()))
        context.record({"loss": place})
        context.checkpoint(place + 1, drawn)
        if place == 1 and not _interrupted:
            _interrupted.append(1)
            raise StopTask
    (context.directory / "model.bin").write_bytes(b"model")
    return context.seed, drawn, context.directory / "model.bin"


class _Interrupted(list[int]):
    def __memento_key__(self) -> str:
        return "interrupted"


_interrupted = _Interrupted()


def test_a_step_has_seeds_checkpoints_and_a_folder_of_its_own(store: str, tmp_path: Path) -> None:
    _interrupted[:] = [1]
    whole = context(str(tmp_path / "other"), 3).cached(_with_context, 4)
    _interrupted.clear()
    first, second = context(store, 1), context(store, 2)
    with pytest.raises(StopTask):
        first.cached(_with_context, 4)
    seed, drawn, path = second.cached(_with_context, 4)  # goes on from there
    assert y(first, "loss") == [0, 1]
    assert y(second, "loss") == [2, 3]
    assert (seed, drawn) == whole[:2]
    assert seed not in (first.seed, second.seed)
    assert path.read_bytes() == b"model"
    assert not second.checkpoint_exist()
    assert list(Path(store, "steps", "work").iterdir()) == []
    assert not Path(store, "checkpoints").exists()


def test_what_a_step_cannot_have_is_told_with_the_right_line(store: str) -> None:
    def keeps(context: Context) -> Any:
        return context.artifact("model.pt")

    def splits(context: Context) -> Any:
        return context.shared_seed

    with pytest.raises(RuntimeError, match=r"Write to context.directory / 'model.pt'"):
        context(store).cached(keeps)
    with pytest.raises(RuntimeError, match=r"seed=context.shared_seed"):
        context(store).cached(splits)


def _looped(context: Context, n: int) -> Any:
    state = {"sum": 0}
    for item in context.loop(range(n), state, every="1 steps"):
        if item == 3 and not _interrupted:
            _interrupted.append(1)
            raise StopTask
        state["sum"] += item
        context.record({"item": item})
    return state


def test_a_loop_in_a_step_goes_on_in_another_task(store: str) -> None:
    _interrupted.clear()
    first, second = context(store, 1), context(store, 2)
    with pytest.raises(StopTask):
        first.cached(_looped, 6)
    assert second.cached(_looped, 6) == {"sum": 15}
    assert (y(first, "item"), y(second, "item")) == ([0, 1, 2], [3, 4, 5])
    assert list(Path(store, "steps", "work").iterdir()) == []


class Large:
    """A value that a test can see going."""


class _Alive(list[Any]):
    def __memento_key__(self) -> str:
        return "alive"


_alive = _Alive()


def _makes_large(n: int) -> Any:
    large = Large()
    _alive.append(weakref.ref(large))
    return large


def _two_tasks(store: str) -> None:
    captured = Large()

    def step(given: Any) -> Any:
        return captured, given

    for number in range(2):
        found, given = context(store, number).cached(_makes_large, 1), Large()
        context(store, number).cached(step, given)
        _alive.extend(map(weakref.ref, (captured, found, given)))


@pytest.mark.slow
def test_nothing_that_is_large_is_kept_alive(store: str) -> None:
    _alive.clear()
    _two_tasks(store)
    gc.collect()
    assert [one() for one in _alive] == [None] * 7
