"""Tell the time; the only room that may ask the machine for it.

Knows: the system's clocks. May not know: anything of ours.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from; tests pass their own."""

    def now(self) -> float:
        """UTC seconds since 1970; comparable across machines, may jump."""

    def monotonic(self) -> float:
        """Seconds; never goes back, means nothing on another machine."""


class SystemClock:
    """The machine's own clocks."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


SYSTEM_CLOCK = SystemClock()
