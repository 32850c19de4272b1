"""Promises about steps: whole numbers are steps, times are times, other numbers are counted."""

from __future__ import annotations

import math

import pytest

from memento.exchange.written import moments_of
from tests.exchange.making import STARTED, task

RECORD = task(1, started=STARTED, runtime=10.0).record


def test_whole_numbers_are_steps_and_the_time_is_divided() -> None:
    steps, moments = moments_of(RECORD, [1.0, 5.0])
    assert steps == [1, 5]
    assert moments == [STARTED + 5, STARTED + 10]


def test_times_at_which_the_task_ran_are_times_and_steps_are_counted() -> None:
    xs = [STARTED + 1.5, STARTED + 2.25]
    assert moments_of(RECORD, xs) == ([0, 1], xs)


@pytest.mark.parametrize("xs", [[0.5, 1.0], [math.nan, 1.0], [math.inf, 1.0], [1e300, 2.0]])
def test_what_is_no_step_is_counted(xs: list[float]) -> None:
    assert moments_of(RECORD, xs)[0] == [0, 1]


def test_nothing_recorded_has_no_steps() -> None:
    assert moments_of(RECORD, []) == ([], [])
