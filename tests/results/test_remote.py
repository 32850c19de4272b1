"""A failed task's exception comes back as it was raised, or as text that says the same."""

from __future__ import annotations

import traceback

import pytest

from memento.errors import (
    MemoryLimitExceeded,
    RemoteError,
    TaskError,
    TaskTimeout,
    UnsavableResult,
    WorkerDied,
)
from memento.records import DIED, MEMORY, TIMEOUT, UNSAVABLE
from memento.results.remote import exception_of
from memento.values import pickling
from tests.results.fakes import FakeMatrix, failure, results_of


class Stiff(Exception):
    """Has a `key` of its own and takes two arguments, so that it cannot come back from a plain pickle."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("stiff")
        self.key = one + two


class Keyed(Exception):
    """Has a `key` of its own."""

    key = 3


def test_the_original_exception_comes_back() -> None:
    raised = failure(exception=pickling.dumps_value(KeyError("petal")))
    results, _ = results_of(FakeMatrix(n=[1]), [raised])
    error = results[0].error
    assert isinstance(error, KeyError)
    assert error.args == ("petal",)


def test_nothing_is_unpickled_from_an_untrusted_store() -> None:
    raised = failure(exception=pickling.dumps_value(KeyError("petal")))
    results, store = results_of(FakeMatrix(n=[1]), [raised])
    store.trusted = False
    assert isinstance(results[0].error, RemoteError)


def test_an_exception_that_cannot_come_back_is_told_as_text() -> None:
    raised = failure("stiff", type="Stiff", exception=pickling.dumps_value(Stiff(1, 2)))
    error = exception_of(raised)
    assert isinstance(error, RemoteError)
    assert str(error) == "Stiff: stiff"


def test_bytes_that_are_no_exception_are_not_raised() -> None:
    assert isinstance(exception_of(failure(exception=pickling.dumps_value(3))), RemoteError)


@pytest.mark.parametrize(
    ("kind", "cls"),
    [(DIED, WorkerDied), (TIMEOUT, TaskTimeout), (MEMORY, MemoryLimitExceeded), (UNSAVABLE, UnsavableResult)],
)
def test_each_kind_of_end_has_its_error(kind: str, cls: type[TaskError]) -> None:
    assert type(exception_of(failure("gone", kind=kind))) is cls


def test_a_printed_error_shows_where_it_was_raised_and_by_which_task() -> None:
    results, _ = results_of(FakeMatrix(n=[7]), [failure("bad")])
    error = results[0].error
    assert error is not None
    printed = "".join(traceback.format_exception(error))
    assert 'File "experiment.py", line 24, in run' in printed
    assert "n=7" in printed
    assert "attempt 1" in printed


def test_an_exceptions_own_attributes_are_left_alone() -> None:
    error = exception_of(failure(exception=pickling.dumps_value(Keyed())), key="0f", attempt=2)
    assert isinstance(error, Keyed)
    assert (error.key, vars(error)["attempt"]) == (3, 2)
