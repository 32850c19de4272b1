"""Limit the time of a task that runs in this very process, leaving out the time in which the process was suspended.

Knows: the signals SIGURG and SIGCONT. May not know: tasks, outcomes.

The system's own alarm (SIGALRM, `setitimer`) is the task's: a process has only one, and a task that sets it would take
ours away. So a thread rings, by a signal that does nothing where nobody listens.

A suspended process (Ctrl-Z, a batch system) does not see that its time goes by: the clock goes on. So the alarm rings
several times, looks at the clock, and does not count a gap after which the system says "go on" (SIGCONT). A gap without
that was a call in C that let no handler run, and counts.

Owners
    calling thread  the handlers, what is left of the time
    bell            when to ring next; ends with the `with` block
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
def alarm(
    seconds: float | None, armed: Callable[[], bool], clock: Clock = SYSTEM_CLOCK
) -> Iterator[Callable[[float], None]]:
    """Raise TimeUp in this thread after some seconds, if it is `armed` then, where system and thread can.

    Gives what this thread calls to have more seconds.
    """
    usable = hasattr(signal, "pthread_kill") and threading.current_thread() is threading.main_thread()
    if seconds is None or not usable:
        yield lambda _: None
        return
    bell = _Bell()
    watch = _Watch(seconds, armed, clock, bell.ring_in)
    before = signal.signal(signal.SIGURG, watch.ring)
    watch.chained = signal.signal(signal.SIGCONT, watch.go_on)
    watch.wind(watch.step)
    try:
        yield watch.put_off
    finally:
        bell.close()
        signal.signal(signal.SIGURG, before if before is not None else signal.SIG_DFL)
        signal.signal(signal.SIGCONT, watch.chained if watch.chained is not None else signal.SIG_DFL)


class _Bell:
    """A thread that sends a signal to the thread that made it, when it is time."""

    def __init__(self) -> None:
        self._to = threading.get_ident()
        self._due: float | None = None  # seconds of the steady clock
        self._closed = False
        self._changed = threading.Condition()  # reentrant: a handler may interrupt whoever holds it
        self._thread = threading.Thread(target=self._serve, name="memento-bell", daemon=True)
        self._thread.start()

    def ring_in(self, seconds: float) -> None:
        with self._changed:
            self._due = SYSTEM_CLOCK.monotonic() + seconds
            self._changed.notify()

    def _serve(self) -> None:
        with self._changed:
            while not self._closed:
                left = None if self._due is None else self._due - SYSTEM_CLOCK.monotonic()
                if left is None or left > 0:
                    self._changed.wait(left)
                else:
                    self._due = None
                    signal.pthread_kill(self._to, signal.SIGURG)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()


class _Watch:
    """One alarm: what is left of the time, and when the clock was last looked at."""

    def __init__(
        self, seconds: float, armed: Callable[[], bool], clock: Clock, ring_in: Callable[[float], None]
    ) -> None:
        self._armed, self._clock, self._ring_in = armed, clock, ring_in
        self._left = seconds
        self._more = 0.0  # apart: a handler may come between reading and writing of a number
        self.step = min(max(seconds / _LOOKS, _SHORTEST), _LONGEST, seconds)
        self._looked = clock.monotonic()
        self._went_on = self._doubted = False
        self.chained: object = None  # what SIGCONT did before

    def wind(self, seconds: float) -> None:
        self._ring_in(max(seconds, _JUDGED))

    def put_off(self, seconds: float) -> None:
        """Let the time end later."""
        self._more += seconds

    def go_on(self, number: int, frame: object) -> None:
        """Note that the process was suspended; the body of the handler of SIGCONT."""
        self._went_on = True
        if callable(self.chained):
            self.chained(number, frame)

    def ring(self, *_: object) -> None:
        """Count the time since the last look; the body of the handler of SIGURG."""
        now = self._clock.monotonic()
        gap = now - self._looked
        if gap > 2 * self.step and not self._went_on and not self._doubted:
            self._doubted = True
            self.wind(_JUDGED)
            return
        if not self._went_on:
            self._left -= gap
        self._looked, self._went_on, self._doubted = now, False, False
        left = self._left + self._more
        if left > 0:
            self.wind(min(left, self.step))
        elif self._armed():
            self.wind(_AGAIN)
            raise TimeUp
