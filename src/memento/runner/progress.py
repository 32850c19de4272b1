"""Keep count of a run and say how long it will still take.

Knows: counts, runtimes, expected costs. May not know: executors, stores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

_WINDOW = 10.0  # seconds over which the recent throughput is measured
_TRUSTED_AFTER = 3  # finished tasks before the forecast is corrected by what was seen
_OVERDUE = 3.0  # a task that runs so many times as long as it should is unlike those that the estimate knows
_PATIENCE = 2.0  # seconds in which no task is overdue


class Progress:
    """Counts of a run, its recent throughput, and the time that is left.

    Parameters
    ----------
    todo : int
        Tasks to run.
    cost : float or None
        Their expected seconds in all, where known.
    workers : int
        How many run at once.
    started : float
        Monotonic seconds.
    """

    def __init__(self, todo: int, cost: float | None, workers: int, started: float) -> None:
        self.done = 0  # computed by this run
        self.shared = 0  # computed meanwhile by another run
        self.failed = 0
        self._todo = todo
        self._cost_left = cost
        self._workers = max(1, workers)
        self._started = started
        self.longest = 0.0  # seconds that the longest of the finished tasks took
        self._spent = 0.0  # seconds of work seen
        self._expected = 0.0  # seconds of work that the forecast had for the same tasks
        self._recent: deque[tuple[float, int]] = deque([(started, 0)])

    @property
    def finished(self) -> int:
        """Tasks that are over, in whatever way."""
        return self.done + self.shared + self.failed

    def note(self, seconds: float, expected: float, longest: float = 0.0) -> None:
        """Take in the runtimes of finished tasks, and what was expected of them; 0.0 where nothing was."""
        self._spent += seconds
        self.longest = max(self.longest, longest)
        if self._cost_left is not None and expected:
            self._cost_left = max(0.0, self._cost_left - expected)
            self._expected += expected

    def throughput(self, now: float) -> float:
        """Finished tasks a second, over the last seconds."""
        self._recent.append((now, self.finished))
        while len(self._recent) > 2 and self._recent[0][0] < now - _WINDOW:
            self._recent.popleft()
        (start, before), (end, after) = self._recent[0], self._recent[-1]
        return (after - before) / (end - start) if end > start else 0.0

    def eta(self, now: float, running: Iterable[tuple[float, float]] = ()) -> float | None:
        """Seconds until the run is over; None where nothing can be said, yet or any more.

        Parameters
        ----------
        now : float
            Monotonic seconds.
        running : iterable of (float, float)
            How long each running task has run, and what was expected of it; 0.0 where nothing was.
        """
        left = self._todo - self.finished
        if left <= 0:
            return 0.0
        seen = self.finished >= _TRUSTED_AFTER and self._expected > 0
        pace = self._spent / self._expected if seen else 1.0
        if self._cost_left is not None and self._cost_left > 0:
            estimate = self._cost_left * pace / self._workers
        elif self.finished:
            estimate = (now - self._started) / self.finished * left
        else:
            return None
        for seconds, expected in running:
            # It may never end, and what others took says nothing of it.
            usual = max(self.longest, expected * pace)
            if seconds > max(estimate, _OVERDUE * usual, _PATIENCE) and usual:
                return None
        return estimate
