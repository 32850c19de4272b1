"""A deadline is read as people write it, and is the moment that was meant whatever the clocks do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from datetime import time as time_of_day
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento.runner.deadline import Deadline, moment_of

VIENNA = "Europe/Vienna"
SPRING = datetime(2026, 3, 29, tzinfo=timezone.utc)  # at 02:00 clocks go to 03:00, which is 01:00 UTC
AUTUMN = datetime(2026, 10, 25, tzinfo=timezone.utc)  # at 03:00 they go back to 02:00, which is 01:00 UTC


@pytest.fixture(autouse=True)
def vienna() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = VIENNA
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


class TwoClocks:
    """Clocks that go alike, until one of them jumps."""

    def __init__(self, now: float = 1.8e9) -> None:
        self.wall, self.steady = now, 100.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def go(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def utc(day: datetime, text: str) -> float:
    hours, minutes = map(int, text.split(":"))
    return (day + timedelta(hours=hours, minutes=minutes)).timestamp()


@pytest.mark.parametrize(
    ("now", "until", "meant"),
    [
        (utc(SPRING, "-10:00"), "07:00", utc(SPRING, "5:00")),  # the evening before; summer time by then
        (utc(AUTUMN, "-10:00"), "07:00", utc(AUTUMN, "6:00")),  # winter time by then
        (utc(SPRING, "-10:00"), "02:30", utc(SPRING, "1:30")),  # which clocks skip: 2 1/2 hours after midnight
        (utc(AUTUMN, "-10:00"), "02:30", utc(AUTUMN, "0:30")),  # comes twice: the first
        (utc(AUTUMN, "0:45"), "02:30", utc(AUTUMN, "1:30")),  # the second
        (utc(SPRING, "0:30"), "00:00", utc(SPRING, "22:00")),  # midnight is the next one
        (utc(SPRING, "22:30"), "00:29", utc(SPRING, "46:29")),  # a minute ago: tomorrow's
        (utc(SPRING, "10:00"), "12:00", utc(SPRING, "34:00")),  # it is noon: tomorrow's
        (utc(SPRING, "10:00"), "12:00:01", utc(SPRING, "10:00") + 1),
        (utc(SPRING, "10:00"), " 7:05 ", utc(SPRING, "29:05")),
        (utc(SPRING, "10:00"), time_of_day(13, 0), utc(SPRING, "11:00")),
        (utc(SPRING, "10:00"), "2026-03-29 15:00", utc(SPRING, "13:00")),  # this machine's time
        (utc(SPRING, "10:00"), "2026-03-29T15:00Z", utc(SPRING, "15:00")),
        (utc(SPRING, "10:00"), "2026-03-29T15:00-05:00", utc(SPRING, "20:00")),
        (utc(SPRING, "10:00"), datetime(2026, 3, 29, 15, 0, tzinfo=timezone.utc), utc(SPRING, "15:00")),
        (utc(SPRING, "10:00"), datetime(2026, 3, 29, 15, 0), utc(SPRING, "13:00")),  # noqa: DTZ001 - as people give it
    ],
)  # fmt: skip
def test_a_time_is_the_moment_that_people_mean(now: float, until: Any, meant: float) -> None:
    assert moment_of(until, now) == meant


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(now=st.floats(1.7e9, 1.9e9), minutes=st.integers(0, 24 * 60 - 1))
def test_the_next_such_time_is_within_a_day_and_shown_by_clocks_then(now: float, minutes: int) -> None:
    text = f"{minutes // 60:02}:{minutes % 60:02}"
    moment = moment_of(text, now)
    assert now < moment <= now + 25 * 3600
    shown = time.strftime("%H:%M", time.localtime(moment))
    assert shown == text or (text[:2] == "02" and shown[:2] == "03")


@pytest.mark.parametrize("wrong", ["25:00", "soon", "07:60", "", "2026-13-01T00:00", 7, True, 7.5])
def test_what_is_no_time_is_refused_with_what_would_be(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="'07:00'"):
        moment_of(wrong, 1.8e9)


def test_a_length_of_time_belongs_to_budget() -> None:
    with pytest.raises(ValueError, match="budget='8h'"):
        moment_of("8h", 1.8e9)


@pytest.mark.parametrize("wrong", [0, -1, "nothing", "07:00", True])
def test_a_budget_is_a_length_of_time(wrong: Any) -> None:
    with pytest.raises(ValueError, match="budget must be"):
        Deadline(None, wrong, TwoClocks())


def test_of_two_what_comes_first_counts() -> None:
    clock = TwoClocks()
    soon = datetime.fromtimestamp(clock.now() + 60, timezone.utc)
    assert Deadline(soon, "1h", clock).left() == pytest.approx(60)
    assert Deadline(soon, "10s", clock).left() == pytest.approx(10)


@pytest.mark.parametrize("jump", [3_600.0, -3_600.0])
def test_a_moment_stays_the_moment_where_the_clock_is_set_and_it_is_said_once(jump: float) -> None:
    clock = TwoClocks()
    deadline = Deadline(datetime.fromtimestamp(clock.now() + 7_200, timezone.utc), None, clock)
    clock.go(60)
    assert deadline.left() == pytest.approx(7_140)
    assert not list(deadline.notes())
    clock.wall += jump
    assert deadline.left() == pytest.approx(7_140 - jump)
    (told,) = deadline.notes()
    assert ("went forward by 1 h" if jump > 0 else "went back by 1 h") in told
    clock.go(60)
    assert deadline.left() == pytest.approx(7_080 - jump)
    assert not list(deadline.notes())


def test_a_clock_that_is_corrected_slowly_is_no_news() -> None:
    clock = TwoClocks()
    deadline = Deadline(datetime.fromtimestamp(clock.now() + 7_200, timezone.utc), None, clock)
    clock.wall += 0.5
    assert deadline.left() == pytest.approx(7_200)
    assert not list(deadline.notes())


def test_a_budget_does_not_ask_the_wall() -> None:
    clock = TwoClocks()
    deadline = Deadline(None, "1h", clock)
    clock.wall -= 86_400
    clock.go(60)
    assert deadline.left() == pytest.approx(3_540)
    assert not list(deadline.notes())


@pytest.mark.parametrize(("budget", "grace"), [("8h", 5.0), ("2min", 1.2), ("10s", 0.1), ("1s", 0.05)])
def test_tasks_are_told_before_the_deadline_in_proportion_to_the_whole(budget: str, grace: float) -> None:
    deadline = Deadline(None, budget, TwoClocks())
    assert deadline.grace == pytest.approx(grace)
    assert grace < deadline.left() - deadline.left_for_tasks() <= max(0.015 * deadline.whole, 0.1) + 1e-6
    deadline.let_save()
    assert deadline.grace == pytest.approx(max(grace, 0.3))


def test_it_is_told_in_this_machines_time() -> None:
    clock = TwoClocks(utc(SPRING, "10:00"))
    assert Deadline("13:30", None, clock).text() == "13:30"
    assert Deadline("11:30", None, clock).text() == "2026-03-30 11:30"
    assert Deadline(None, "10s", clock).text() == "12:00:10"
