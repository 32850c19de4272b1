"""The time of a task in this process ends it, once, and suspensions are no part of it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from memento.worker.alarm import TimeUp, alarm

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system has no alarms")


class Moved:
    """The machine's clock, moved forward by the time that a test wants to have gone by."""

    def __init__(self) -> None:
        self.by = 0.0

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return time.monotonic() + self.by


def always() -> bool:
    return True


def wait(seconds: float, happened: Callable[[], bool] = lambda: False) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.01)
    return False


def test_a_task_over_its_time_is_ended() -> None:
    with pytest.raises(TimeUp), alarm(0.2, always):
        wait(60)


def test_a_task_in_its_time_is_left_alone() -> None:
    with alarm(30, always):
        assert not wait(0.2)


def test_a_task_that_has_waited_for_another_has_more_time() -> None:
    clock = Moved()
    with alarm(2.0, always, clock) as put_off:
        put_off(3600.0)
        clock.by += 600
        assert not wait(0.8)  # in which it has rung


def test_a_task_that_is_no_more_at_its_own_code_is_left_alone() -> None:
    with alarm(0.05, lambda: False):
        assert not wait(0.3)


@pytest.mark.slow
def test_a_gap_after_which_the_process_goes_on_is_not_counted() -> None:
    clock = Moved()
    with alarm(10, always, clock):
        clock.by += 3600
        os.kill(os.getpid(), signal.SIGCONT)
        assert not wait(1.6)


@pytest.mark.slow
def test_a_gap_in_which_no_handler_could_run_is_counted() -> None:
    clock = Moved()

    def call_in_c() -> None:
        clock.by += 3600
        wait(60)

    with pytest.raises(TimeUp), alarm(10, always, clock):
        call_in_c()


def test_what_the_signals_did_before_they_do_again() -> None:
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGCONT, hear)
    rings = signal.getsignal(signal.SIGURG)
    try:
        with alarm(30, always):
            os.kill(os.getpid(), signal.SIGCONT)
            assert wait(60, lambda: bool(heard))
        assert signal.getsignal(signal.SIGCONT) is hear
        assert signal.getsignal(signal.SIGURG) is rings
    finally:
        signal.signal(signal.SIGCONT, before)


def test_a_task_may_use_the_systems_alarm_itself_and_is_ended_all_the_same() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(TimeUp), alarm(2.0, always):  # noqa: PT012 - a task of several steps
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            assert wait(60, lambda: bool(heard))
            signal.setitimer(signal.ITIMER_REAL, 0)
            wait(60)
        assert heard == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
