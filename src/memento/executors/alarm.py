"""Limit the time of a task that runs in this very process, leaving out the time in which the process was suspended.

Knows: the signals SIGALRM and SIGCONT. May not know: tasks, outcomes.

A suspended process (Ctrl-Z, a batch system) does not see that its time goes by: the clock of the alarm goes on. So the
alarm rings several times, looks at the clock, and does not count a gap after which the system says "go on" (SIGCONT).
A gap without that was a call in C that let no handler run, and counts.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from memento.clock import SYSTEM_CLOCK, Clock

_LOOKS = 8  # how often in a task's time the clock is looked at
_SHORTEST, _LONGEST = 0.02, 30.0  # seconds between two looks
_AGAIN = 5.0  # seconds until a task that has caught the end of its time is told again
_JUDGED = 0.001  # seconds: the handler of SIGCONT comes after ours where both signals are waiting


class TimeUp(BaseException):
    """Raised into a task that runs in this process, when its time is over."""


@contextlib.contextmanager
def alarm(seconds: float | None, armed: Callable[[], bool], clock: Clock = SYSTEM_CLOCK) -> Iterator[None]:
    """Raise TimeUp in this thread after some seconds, if it is `armed` then, where system and thread can."""
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if seconds is None or not usable:
        yield
        return
    watch = _Watch(seconds, armed, clock)
    before = signal.signal(signal.SIGALRM, watch.ring)
    watch.chained = signal.signal(signal.SIGCONT, watch.go_on)
    watch.wind(watch.step)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGCONT, watch.chained if watch.chained is not None else signal.SIG_DFL)


class _Watch:
    """One alarm: what is left of the time, and when the clock was last looked at."""

    def __init__(self, seconds: float, armed: Callable[[], bool], clock: Clock) -> None:
        self._armed, self._clock = armed, clock
        self._left = seconds
        self.step = min(max(seconds / _LOOKS, _SHORTEST), _LONGEST, seconds)
        self._looked = clock.monotonic()
        self._went_on = self._doubted = False
        self.chained: object = None  # what SIGCONT did before

    def wind(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, _JUDGED))

    def go_on(self, number: int, frame: object) -> None:
        """Note that the process was suspended; the body of the handler of SIGCONT."""
        self._went_on = True
        if callable(self.chained):
            self.chained(number, frame)

    def ring(self, *_: object) -> None:
        """Count the time since the last look; the body of the handler of SIGALRM."""
        now = self._clock.monotonic()
        gap = now - self._looked
        if gap > 2 * self.step and not self._went_on and not self._doubted:
            self._doubted = True
            self.wind(_JUDGED)
            return
        if not self._went_on:
            self._left -= gap
        self._looked, self._went_on, self._doubted = now, False, False
        if self._left > 0:
            self.wind(min(self._left, self.step))
        elif self._armed():
            self.wind(_AGAIN)
            raise TimeUp
