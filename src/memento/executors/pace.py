"""Judge how many tasks are about a second of work.

Knows: how long tasks took lately. May not know: tasks, workers.
"""

from __future__ import annotations

_MOST = 20_000  # tasks in hand: more are claimed from other runs in vain
_LEAST = 1e-5  # seconds a task
_FIRST = 4  # tasks that count nearly alone: the guess before them is none


class Pace:
    """Seconds that a task takes, lately."""

    def __init__(self) -> None:
        self.seconds = 1.0
        self._seen = 0

    def learn(self, runtime: float) -> None:
        """Take note of a task that has ended."""
        self.seconds += (0.8 if self._seen < _FIRST else 0.3) * (runtime - self.seconds)
        self._seen += 1

    def wanted(self, workers: int, in_hand: int) -> int:
        """Return how many more tasks keep workers busy for about a second, with so many in hand."""
        second = int(workers / max(self.seconds, _LEAST))
        return max(min(max(second, 2 * workers), _MOST) - in_hand, 0)
