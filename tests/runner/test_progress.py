"""The time that is left comes from what was expected, corrected by what was seen."""

from __future__ import annotations

import pytest

from memento.runner.progress import Progress


def test_before_anything_is_known_nothing_is_promised() -> None:
    assert Progress(10, None, 2, started=0.0).eta(5.0) is None


def test_without_a_past_the_pace_so_far_goes_on() -> None:
    progress = Progress(10, None, 2, started=0.0)
    progress.done = 4
    assert progress.eta(8.0) == pytest.approx(12.0)


def test_with_a_past_the_work_that_is_left_is_shared_by_the_workers() -> None:
    progress = Progress(10, 100.0, 2, started=0.0)
    assert progress.eta(0.0) == pytest.approx(50.0)


def test_a_forecast_that_was_wrong_is_corrected() -> None:
    progress = Progress(10, 100.0, 1, started=0.0)
    for _ in range(5):
        progress.note(20.0, 10.0)
        progress.done += 1
    assert progress.eta(100.0) == pytest.approx(100.0)


def test_when_all_is_finished_no_time_is_left() -> None:
    progress = Progress(2, None, 1, started=0.0)
    progress.done, progress.failed = 1, 1
    assert progress.eta(1.0) == 0.0


@pytest.mark.parametrize(
    ("running", "expected"),
    [([], 2.2), ([(0.1, 0.0)], 2.2), ([(1.0, 0.0), (1.9, 0.0)], 2.2), ([(22.0, 0.0)], None)],
)
def test_once_a_task_runs_far_longer_than_any_other_no_time_is_promised(
    running: list[tuple[float, float]], expected: float | None
) -> None:
    progress = Progress(10, None, 2, started=0.0)
    progress.done = 9
    progress.note(0.9, 0.0, 0.1)
    assert progress.eta(20.0, running) == (None if expected is None else pytest.approx(expected, abs=0.1))


def test_a_task_that_takes_as_long_as_was_expected_is_not_overdue() -> None:
    progress = Progress(10, 190.0, 1, started=0.0)
    for _ in range(9):
        progress.note(10.0, 10.0, 10.0)
        progress.done += 1
    assert progress.eta(100.0, [(150.0, 100.0)]) == pytest.approx(100.0)
    assert progress.eta(400.0, [(400.0, 100.0)]) is None


def test_where_much_is_left_one_long_task_changes_nothing() -> None:
    progress = Progress(1000, None, 2, started=0.0)
    progress.done = 100
    progress.note(100.0, 0.0, 1.0)
    assert progress.eta(50.0, [(30.0, 0.0)]) == pytest.approx(450.0)


def test_throughput_forgets_what_is_long_past() -> None:
    progress = Progress(1000, None, 1, started=0.0)
    progress.done = 100
    assert progress.throughput(1.0) == pytest.approx(100.0)
    for second in range(2, 40):
        progress.throughput(float(second))
    assert progress.throughput(40.0) == pytest.approx(0.0)
