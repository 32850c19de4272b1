"""Notice what is worth telling of a run that goes on: nothing finishes any more, or the end moves away.

Knows: events, how long things took. May not know: messages, clocks (the time is an argument).
"""

from __future__ import annotations

from typing import NamedTuple

from memento.events import CommandTaken, Event, RunStarted, TasksFinished, Tick

STALL_TIMES = 5.0  # as long as tasks take
STALL_SECONDS = 60.0  # a shorter silence is no news
SLIP_TIMES = 1.5  # as long as was told
SLIP_SECONDS = 1800.0  # half an hour: who waits for the end plans anew
SLIP_HOLDS = 300.0  # seconds for which an estimate must stand: a first one may be of three tasks
KNOWN_AFTER = 60.0, 0.05  # seconds, and share of the whole, after which a run's own estimate is its forecast


class Stall(NamedTuple):
    """Nothing has finished for longer than tasks take."""

    silent: float  # seconds
    usual: float  # seconds that a task takes
    tick: Tick  # what runs


class StallWatch:
    """Notices when nothing has finished for five times the usual; once, and again only after something has.

    The usual is what tasks of the run took, or else the forecast. A task that takes as long as another one did is
    no stall, nor is a run that was paused.
    """

    def __init__(self, started: RunStarted | None, now: float) -> None:
        self._since = now
        self._forecast: float | None = None
        if started is not None and started.forecast and started.todo:
            self._forecast = started.forecast * max(1, started.workers) / started.todo
        self._tasks, self._seconds = 0, 0.0
        self._paused = self._told = False
        self.found: Stall | None = None  # what is to be told

    def take(self, event: Event, now: float) -> None:
        """Take an event in."""
        if isinstance(event, TasksFinished):
            self._tasks += event.done - event.shared + event.failed
            self._seconds += event.seconds
            self._moved(now)
            self._told = False
        elif isinstance(event, CommandTaken) and event.done and event.command in ("pause", "resume"):
            self._paused = event.command == "pause"
            self._moved(now)
        elif isinstance(event, Tick):
            self._look(event, now)

    def tell(self) -> None:
        """Note that it was told."""
        self.found, self._told = None, True

    def _moved(self, now: float) -> None:
        self._since, self.found = now, None

    def _look(self, tick: Tick, now: float) -> None:
        usual = self._seconds / self._tasks if self._tasks > 0 else self._forecast
        if self._told or self._paused or usual is None:
            return
        silent = now - self._since
        if silent >= max(STALL_TIMES * usual, tick.longest, STALL_SECONDS):
            self.found = Stall(silent, usual, tick)


class Slip(NamedTuple):
    """A run takes longer than was told."""

    before: float  # seconds, the whole run
    now: float  # seconds, the whole run
    left: float  # seconds


class SlipWatch:
    """Notices when a run will take half as long again as was told, and half an hour more.

    What was told is the forecast, or else the first estimate that had seen something, and then what was told last.
    """

    def __init__(self, started: RunStarted | None) -> None:
        self._expected = started.forecast if started is not None else None
        self._since: float | None = None
        self.found: Slip | None = None  # what is to be told

    def take(self, event: Event, now: float) -> None:
        """Take an event in."""
        if not isinstance(event, Tick) or event.eta is None:
            return
        whole = event.elapsed + event.eta
        if not self._expected:
            seconds, share = KNOWN_AFTER
            if event.elapsed >= max(seconds, share * whole):
                self._expected = whole
        elif whole < SLIP_TIMES * self._expected or whole - self._expected < SLIP_SECONDS:
            self._since = self.found = None
        else:
            self._since = now if self._since is None else self._since
            if now - self._since >= SLIP_HOLDS:
                self.found = Slip(self._expected, whole, event.eta)

    def tell(self) -> None:
        """Note that it was told."""
        if self.found is not None:
            self._expected = self.found.now
        self._since = self.found = None
