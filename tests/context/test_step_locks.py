"""One task computes a step while others wait; waiting that would never end is told."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.context.step_locks import Circle, StepLock, Stopped
from memento.context.task_space import TaskSpace
from tests.context.making import Clock, context


def looking(stops: Iterator[bool]) -> TaskSpace:
    return TaskSpace("", "run", b"", stopping=lambda: next(stops))


def held(lock: StepLock, computing: tuple[str, ...] = ()) -> contextlib.AbstractContextManager[None]:
    return lock.held(computing, TaskSpace("", "run", b""), contextlib.nullcontext())


def test_who_waits_is_told_to_stop_and_what_it_waited(tmp_path: Path) -> None:
    told: list[float] = []
    clock = Clock()

    def stopping() -> bool:
        clock.time += 2.0
        return len(told) == 3

    space = TaskSpace("", "run", b"", stopping=stopping, waited=told.append, clock=clock)
    second = StepLock(str(tmp_path), "a").held((), space, contextlib.nullcontext())
    with held(StepLock(str(tmp_path), "a")), pytest.raises(Stopped), second:
        raise AssertionError("it is held")
    assert told == [2.0, 2.0, 2.0]


def test_a_circle_is_seen_however_many_steps_are_in_it(tmp_path: Path) -> None:
    folder = str(tmp_path)
    locks = {name: StepLock(folder, name) for name in "abcd"}
    with contextlib.ExitStack() as stack:
        for name, other in ("ab", "bc", "cd"):
            stack.enter_context(held(locks[name]))
            stack.enter_context(locks[name].asking(other))
        with pytest.raises(Circle):
            stack.enter_context(held(StepLock(folder, "a"), ("d",)))


def test_what_one_said_that_died_is_forgotten(tmp_path: Path) -> None:
    folder = str(tmp_path)
    (tmp_path / "a.lock").write_bytes(b"\0b")
    with held(StepLock(folder, "a")), held(StepLock(folder, "b")):
        looks = iter([False, False, True])
        second = StepLock(folder, "a").held(("b",), looking(looks), contextlib.nullcontext())
        with pytest.raises(Stopped), second:
            raise AssertionError("it is held")


class _Meeting(list[threading.Barrier]):
    """What steps meet at; no part of their keys."""

    def __memento_key__(self) -> str:
        return "meeting"


_meeting = _Meeting()


def _one(context: Any) -> Any:
    _meet()
    return context.cached(_other)


def _other(context: Any) -> Any:
    _meet()
    return context.cached(_one)


def _meet() -> None:
    with contextlib.suppress(threading.BrokenBarrierError):
        _meeting[0].wait(10)  # until each task computes its step; broken where a step is asked for again


def test_two_tasks_whose_steps_ask_for_each_other_do_not_wait_forever(store: str) -> None:
    told: list[str] = []

    def task(number: int, step: Any) -> None:
        try:
            context(store, number).cached(step)
        except RuntimeError as error:
            told.append(str(error))

    _meeting.append(threading.Barrier(2))
    threads = [threading.Thread(target=task, args=(i, step)) for i, step in enumerate((_one, _other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    _meeting.clear()
    assert not any(thread.is_alive() for thread in threads)
    assert len(told) == 2
    assert "neither would ever end" in told[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_that_was_forked_meanwhile_keeps_nobody_waiting(tmp_path: Path) -> None:
    read, write = os.pipe()
    with held(StepLock(str(tmp_path), "a")):
        child = os.fork()
        if child == 0:  # it has the same open file, and lives on
            os.read(read, 1)
            os._exit(0)
    looks = iter([False, True])
    with StepLock(str(tmp_path), "a").held((), looking(looks), contextlib.nullcontext()):
        pass
    os.write(write, b"x")
    os.waitpid(child, 0)
