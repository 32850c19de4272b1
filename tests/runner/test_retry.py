"""Failed attempts are repeated as often and as late as was asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memento.errors import MemoryLimitExceeded, WorkerDied
from memento.records import DIED, LOST, MEMORY, RAISED, Failure
from memento.runner.retry import Retry, RetryPolicy


def failure(kind: str = RAISED, name: str = "ValueError", module: str = "builtins") -> Failure:
    lineage = (f"{module}:{name}", "builtins:Exception", "builtins:BaseException", "builtins:object")
    return Failure(kind, name, "it failed", "", "", None, "", lineage=lineage)


def test_without_retries_nothing_is_repeated() -> None:
    assert RetryPolicy(0).delay(failure(), 1) is None


def test_a_number_of_retries_is_how_many_attempts_follow_the_first() -> None:
    policy = RetryPolicy(2)
    assert [policy.delay(failure(), attempt) is None for attempt in (1, 2, 3)] == [False, False, True]


def test_each_wait_is_longer_up_to_the_longest() -> None:
    retry = Retry(10, delay=1.0, factor=3.0, longest=5.0)
    assert [retry.wait(attempt) for attempt in (1, 2, 3, 4)] == [1.0, 3.0, 5.0, 5.0]


def test_waits_may_be_written_as_people_say_them() -> None:
    assert Retry(1, delay="2min", longest=timedelta(hours=1)) == Retry(1, delay=120, longest=3600)
    with pytest.raises(ValueError, match=r"Retry\(longest=\.\.\.\) must be seconds or a text like"):
        Retry(1, longest="ever")


def test_only_the_named_types_are_repeated() -> None:
    policy = RetryPolicy(Retry(1, on=(OSError,)))
    assert policy.delay(failure(name="ValueError"), 1) is None
    assert policy.delay(failure(name="OSError"), 1) is not None


def test_another_modules_type_of_the_same_name_is_another_type() -> None:
    assert RetryPolicy(Retry(1, on=OSError)).delay(failure(name="OSError", module="mine"), 1) is None


def test_a_type_stands_for_those_that_derive_from_it() -> None:
    assert RetryPolicy(Retry(1, on=Exception)).delay(failure(name="Own", module="mine"), 1) is not None


def test_a_place_that_was_taken_away_is_no_matter_of_retries() -> None:
    assert RetryPolicy(5).delay(failure(LOST, "TaskLost"), 1) is None
    assert RetryPolicy(Retry(5, losses=3)).losses == 3
    assert RetryPolicy({OSError: 1}).losses == RetryPolicy(0).losses > 0


@pytest.mark.parametrize("on", [OSError, [OSError], {OSError}], ids=["one type", "a list", "a set"])
def test_types_may_be_named_in_any_way(on: Any) -> None:
    policy = RetryPolicy(Retry(1, on=on))
    assert policy.delay(failure(name="ValueError"), 1) is None
    assert policy.delay(failure(name="OSError"), 1) is not None


@pytest.mark.parametrize("wrong", ["OSError", OSError("an instance"), int])
def test_what_is_no_exception_type_is_refused_before_anything_runs(wrong: Any) -> None:
    with pytest.raises(TypeError, match="takes exception types"):
        Retry(1, on=(wrong,))


def test_each_type_has_its_own_number() -> None:
    policy = RetryPolicy({WorkerDied: 3, MemoryLimitExceeded: 1})
    assert policy.delay(failure(DIED, "SIGSEGV"), 3) is not None
    assert policy.delay(failure(MEMORY, "MemoryLimitExceeded"), 1) is not None
    assert policy.delay(failure(MEMORY, "MemoryLimitExceeded"), 2) is None
    assert policy.delay(failure(RAISED), 1) is None


@pytest.mark.parametrize("wrong", ["3", 2.5, None])
def test_what_is_no_number_of_retries_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="retries must be"):
        RetryPolicy(wrong)  # type: ignore[arg-type]  # what the test is about


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        RetryPolicy(-1)
