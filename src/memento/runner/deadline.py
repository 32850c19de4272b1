"""Read `until` and `budget`, and tell how much time is left: when a run ends that may not go on for ever.

Knows: times as people write them, clocks. May not know: tasks, executors.

Time passes by the monotonic clock. A deadline by the wall clock is looked at there, too: where the clock was set, or
the machine slept, it is still the moment that was asked for, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta, timezone
from typing import TYPE_CHECKING

from memento.wording import duration, seconds_of

if TYPE_CHECKING:
    from memento.clock import Clock

# Of the whole time, for running tasks to save what they have; seconds: at least, where their code listens, at most.
_GRACE, _LEAST_GRACE, _LISTENING_GRACE, _MOST_GRACE = 0.01, 0.05, 0.3, 5.0
_ENDING, _LEAST_ENDING, _MOST_ENDING = 0.005, 0.05, 1.0  # the same for ending those that did not, and the run
_JUMP = 2.0  # seconds by which two clocks may differ; less is a clock that is being corrected
_TEXTS = "'07:00', '2026-12-01 07:00', '2026-12-01T07:00+01:00' or a datetime"


class Deadline:
    """When a run has to have ended.

    `until` is the next such time of this machine's day, like "07:00", or a moment; `budget` seconds from now, or a text
    like "8h". Where both are given, what comes first counts.
    """

    def __init__(self, until: object, budget: object, clock: Clock) -> None:
        self._clock, self._notes = clock, list[str]()
        self.began, now = clock.monotonic(), clock.now()
        self._wall = None if until is None else moment_of(until, now)
        self._ends = float("inf") if self._wall is None else self.began + self._wall - now
        seconds = float("inf") if budget is None else seconds_of(budget, "budget", short=True)
        if not seconds > 0:
            raise ValueError(f"budget must be more than 0, got {budget!r}")
        self._budget_ends = self.began + seconds
        self.whole = max(min(self._ends, self._budget_ends) - self.began, 0.0)  # seconds; 0 where it is past
        # Seconds that running tasks get to save what they have, before it.
        self.grace = min(max(_GRACE * self.whole, _LEAST_GRACE), _MOST_GRACE)
        self._ending = min(max(_ENDING * self.whole, _LEAST_ENDING), _MOST_ENDING)

    def left(self) -> float:
        """Seconds until the deadline; negative once it is past."""
        now = self._clock.monotonic()
        if self._wall is not None:
            by_wall = self._wall - self._clock.now()
            jump = self._ends - now - by_wall
            if abs(jump) > _JUMP:
                self._ends = now + by_wall
                self._notes.append(_jumped(jump, by_wall, self.text()))
        return min(self._ends, self._budget_ends) - now

    def left_for_tasks(self) -> float:
        """Seconds until running tasks are told to stop."""
        return self.left() - self.grace - self._ending

    def let_save(self) -> None:
        """Take note that tasks save what they have when they are told to stop: they get the time in short runs too."""
        self.grace = max(self.grace, _LISTENING_GRACE)

    @property
    def moment(self) -> float:
        """When it is, in UTC seconds."""
        if self._wall is not None and self._ends <= self._budget_ends:
            return self._wall
        return self._clock.now() + self.left()

    def text(self) -> str:
        """Say when it is, in this machine's time."""
        at, today = _here(self.moment), _here(self._clock.now()).date()
        return at.strftime("%H:%M:%S" if at.date() == today else "%Y-%m-%d %H:%M:%S").removesuffix(":00")

    def notes(self) -> Iterator[str]:
        """Yield what people should know, once."""
        while self._notes:
            yield self._notes.pop(0)


def moment_of(until: object, now: float) -> float:
    """Return the UTC seconds of a deadline; a time of day is the next such one of this machine.

    >>> moment_of("1970-01-01T01:00:30+01:00", now=0.0)
    30.0
    """
    if isinstance(until, datetime):
        return until.timestamp()
    if isinstance(until, time):
        return _next(until, now)
    if not isinstance(until, str):
        raise TypeError(f"until must be a text like {_TEXTS}, got {until!r}")
    text = until.strip()
    try:
        hours, colon, rest = text.partition(":")
        if colon and hours.isdecimal() and len(hours) <= 2:
            return _next(time.fromisoformat(f"{int(hours):02d}:{rest}"), now)
        # Python 3.10 reads no Z.
        return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in ("Z", "z") else text).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        seconds_of(text, "budget", short=True)
    except ValueError:
        raise ValueError(f"until must be a text like {_TEXTS}, got {until!r}") from None
    raise ValueError(f"until is a moment, like {_TEXTS}; for a length of time write budget={until!r}")


def _next(at: time, now: float) -> float:
    """Return when this machine's clocks next show a time of day.

    A time that they skip in spring counts as if they had not been changed; what comes twice in autumn is twice there.
    """
    today = datetime.fromtimestamp(now, at.tzinfo).date() if at.tzinfo else _here(now).date()
    found: set[float] = set()
    for days in range(3):
        day = datetime.combine(today + timedelta(days), at)
        moments = {day.replace(fold=fold).timestamp() for fold in (0, 1)}
        found |= {one for one in moments if at.tzinfo or _here(one) == day} or {day.timestamp()}
    return min(one for one in found if one > now)


def _here(moment: float) -> datetime:
    """Return what this machine's clocks show."""
    return datetime.fromtimestamp(moment, timezone.utc).astimezone().replace(tzinfo=None)


def _jumped(jump: float, left: float, at: str) -> str:
    how = "forward" if jump > 0 else "back"
    rest = f"{duration(left)} from now" if left > 0 else "which is past"
    return (
        f"this machine's clock went {how} by {duration(abs(jump))} (it was set, or the machine slept): the deadline is"
        f" still {at}, {rest}"
    )
