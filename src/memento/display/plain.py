"""Tell a run in plain lines, now and then: for log files, batch jobs and pipes.

Knows: a stream to write lines to. May not know: terminals.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from memento.clock import Clock
from memento.display.colours import forced_colours
from memento.display.text import Line, Narrator, hangs, progress_parts, settled
from memento.events import Event, RunStarted, Tick

if TYPE_CHECKING:
    from typing import TextIO

FIRST_PAUSE = 10.0  # seconds between lines, at first
LONGEST_PAUSE = 60.0
# As logs of CI show them.
_CODES = {"head": "1", "warning": "33", "failure": "31", "detail": "2", "done": "32"}
SHORTEST_PAUSE = 2.0  # seconds, however fast the tenths go by


class PlainScreen:
    """Lines only; a line of progress every 10 to 60 seconds or each tenth of the tasks.

    One that would say what the last one said names what runs: that is all there is to see of a task that hangs.
    """

    def __init__(self, stream: TextIO, clock: Clock, *, reported: bool = False) -> None:
        self._stream = stream
        self._clock = clock
        self._narrator = Narrator(reported=reported)
        self._colours = _CODES if forced_colours(os.environ) else {}
        self._begin()

    def _begin(self) -> None:
        self._last = self._clock.monotonic()
        self._pause = FIRST_PAUSE
        self._tenth = 0
        self._settled = -1  # tasks, in the last line

    def listen(self, event: Event) -> None:
        """Write what `event` adds."""
        lines = list(self._narrator.lines(event))
        if isinstance(event, RunStarted):
            self._begin()
            self._tenth = 10 * event.cached // max(event.total, 1)
        elif isinstance(event, Tick) and self._due(event):
            stuck = settled(event) == self._settled or hangs(event)
            told = progress_parts(event, named=stuck)
            lines.append(Line(", ".join(told)))
            self._settled = settled(event)
        if lines:
            self._stream.write("".join(f"[memento] {self._coloured(line)}\n" for line in lines))
            self._stream.flush()

    def _coloured(self, line: Line) -> str:
        code = self._colours.get(line.kind)
        return f"\x1b[{code}m{line.text}\x1b[0m" if code else line.text

    def _due(self, tick: Tick) -> bool:
        now = self._clock.monotonic()
        waited = now - self._last
        tenth = 10 * settled(tick) // max(tick.total, 1)
        by_share = tenth > self._tenth and waited >= SHORTEST_PAUSE
        by_time = waited >= self._pause
        if not (by_share or by_time):
            return False
        if by_time:
            self._pause = min(self._pause * 1.5, LONGEST_PAUSE)
        self._last, self._tenth = now, tenth
        return True

    def close(self) -> None:
        """Nothing is held."""
