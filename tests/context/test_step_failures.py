"""A step that fails is computed once for all tasks of a run, and each attempt number tries it once."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Any

import pytest

from memento.context.task_space import StopTask
from memento.errors import StepFailed, StoreUnwritable
from memento.worker import failures
from tests.context.making import context


class Lost(Exception):
    """An exception that cannot be unpickled."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")
        self.lock = threading.Lock()


class Steps:
    """What a step does, and how often it was asked to; no part of its key."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes, self.calls = list(outcomes), 0

    def __memento_key__(self) -> str:
        return "steps"

    def load(self, path: str = "p") -> Any:
        self.calls += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def failure(store: str, steps: Steps, task: int, attempt: int = 1, **options: Any) -> BaseException:
    try:
        context(store, task, attempt=attempt, **options).cached(steps.load)
    except BaseException as error:
        return error
    raise AssertionError("it has not failed")


def test_other_tasks_get_the_failure_of_the_first(store: str) -> None:
    steps = Steps(FileNotFoundError(errno.ENOENT, "no such file", "x.csv"))
    errors = [failure(store, steps, task) for task in range(4)]
    assert steps.calls == 1
    assert [(type(error), str(error)) for error in errors] == [(FileNotFoundError, str(errors[0]))] * 4
    told = [failures.raised(error) for error in errors]
    assert len({(f.type, f.message, f.location) for f in told}) == 1
    assert told[0].message.endswith("(in step Steps.load())")
    assert f"In task {'00' * 4}, which computed the step Steps.load():" in told[3].traceback
    assert "raise outcome" in told[3].traceback


def test_a_step_that_leaves_the_program_has_failed_too(store: str) -> None:
    steps = Steps(SystemExit("no licence"))
    errors = [failure(store, steps, task) for task in range(2)]
    assert [(type(error), str(error)) for error in errors] == [(SystemExit, "no licence")] * 2
    assert steps.calls == 1


def test_an_exception_that_cannot_travel_is_told_as_text(store: str) -> None:
    steps = Steps(Lost("a", "b"))
    first, second = (failure(store, steps, task) for task in range(2))
    assert type(first) is Lost
    assert isinstance(second, StepFailed)
    assert str(second) == "Lost: a b"
    assert failures.raised(first).location == failures.raised(second).location


def test_each_attempt_number_tries_once(store: str) -> None:
    steps = Steps(OSError("1"), OSError("2"), 7)
    assert [str(failure(store, steps, task)) for task in range(3)] == ["1"] * 3
    assert [str(failure(store, steps, task, attempt=2)) for task in range(3)] == ["2"] * 3
    assert context(store, 0, attempt=3).cached(steps.load) == 7
    assert context(store, 9).cached(steps.load) == 7
    assert steps.calls == 3


def test_another_run_tries_again(store: str) -> None:
    steps = Steps(OSError("away"), OSError("still away"))
    assert str(failure(store, steps, 1)) == "away"
    other = context(store, 1)
    other._attempt.space = other._attempt.place()._replace(run="another")
    with pytest.raises(OSError, match="still away"):
        other.cached(steps.load)


def test_what_cannot_be_stored_is_a_failure_too(store: str) -> None:
    steps = Steps(threading.Lock())
    errors = [str(failure(store, steps, task)) for task in range(2)]
    assert errors[0] == errors[1]
    assert "what the step Steps.load() returned cannot be saved: it is a _thread.lock" in errors[0]
    assert steps.calls == 1


@pytest.mark.parametrize(
    "error", [StopTask(), KeyboardInterrupt(), StoreUnwritable("/store", "the disk is full.")]
)
def test_what_is_no_fault_of_the_step_is_not_remembered(store: str, error: BaseException) -> None:
    steps = Steps(error, 7)
    failure(store, steps, 1)
    assert context(store, 2).cached(steps.load) == 7


def test_a_step_in_which_tasks_end_is_left_after_a_few(store: str) -> None:
    steps = Steps(*[GeneratorExit()] * 5)  # as a killed process leaves it: nothing is noted
    errors = [failure(store, steps, task) for task in range(5)]
    assert [type(error) for error in errors] == [GeneratorExit] * 3 + [StepFailed] * 2
    assert "3 tasks ended (killed, out of time or memory) while they computed the step" in str(errors[3])
    again = [failure(store, steps, task, attempt=2) for task in range(2)]
    assert [type(error) for error in again] == [GeneratorExit, StepFailed]


def test_a_damaged_note_of_a_failure_says_nothing(store: str) -> None:
    steps = Steps(OSError("away"), 7)
    failure(store, steps, 1)
    (note,) = Path(store, "steps", "failed").iterdir()
    note.write_bytes(b"{torn")
    assert context(store, 2).cached(steps.load) == 7
    assert not note.exists()
