"""Show a run live on a terminal: lines that stay above, a bar, causes of failures and the workers below.

Knows: rich's colours, the rows' form. May not know: the runner; no thread of its own redraws, the ticks do.
"""

from __future__ import annotations

import sys
import threading
from collections import deque

from memento.clock import Clock
from memento.display.colours import Colours
from memento.display.live_rows import LiveRows
from memento.display.painter import Painter, Row, terminal_size
from memento.display.text import Causes, Line, Narrator
from memento.display.text_streams import AboveStream, SafeStream
from memento.events import Event, RunFinished, RunStarted, Tick

REDRAW = 0.2  # seconds: at most five redraws a second
FOREIGN = "foreign"  # lines that tasks in this process print
STYLES = {
    "head": "bold",
    "warning": "yellow",
    "failure": "red",
    "detail": "dim",
    "command": "dim",
    "done": "green",
}


class TerminalScreen:
    """The live display. Owns the rows below the last line, and sys.stdout and sys.stderr while it is on."""

    def __init__(self, stream: SafeStream, clock: Clock, *, reported: bool = False) -> None:
        self._stream = stream
        self._clock = clock
        self._narrator = Narrator(failures=False, reported=reported)
        self._causes = Causes()
        self._colours = Colours()
        self._painter = Painter(stream)
        self._rows: LiveRows | None = None  # while a run goes on
        self._ours: dict[str, AboveStream] = {}
        self._waiting: deque[Line] = deque()  # tasks in threads add what they print
        self._lock = threading.RLock()  # who holds it paints
        self._last = float("-inf")
        self._shown: list[Row] = []

    def listen(self, event: Event) -> None:
        """Show what `event` changes, at most five times a second."""
        self._causes.hear(event)
        self._waiting.extend(self._narrator.lines(event))
        if isinstance(event, RunStarted):
            self.close()
            if event.todo:
                self._start()
        elif isinstance(event, RunFinished):
            self.close()
        elif isinstance(event, Tick):
            if self._rows is not None and self._due():
                self._draw(event)
        elif self._rows is None:
            self._say()

    def close(self) -> None:
        """Take the live rows away and give the streams back."""
        self._rows, self._shown = None, []
        self._last = float("-inf")
        self._say()
        self._release()  # last: half a line that waits belongs to what is printed next

    def _start(self) -> None:
        self._rows = LiveRows(self._causes, self._stream.encoding)
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if SafeStream(stream).isatty():  # sys.stdout may also be None
                self._ours[name] = AboveStream(stream, self._show_foreign)
                setattr(sys, name, self._ours[name])

    def _release(self) -> None:
        for name, stream in self._ours.items():
            stream.release()
            if getattr(sys, name) is stream:  # somebody may have put his own in its place
                setattr(sys, name, stream.original)
        self._ours = {}

    def _say(self) -> None:
        """Print the lines that wait; they stay."""
        width, _ = terminal_size(self._stream)
        with self._lock:
            if self._shown:
                self._painter.paint(self._shown, width, self._lines())
            else:
                self._painter.clear(width, self._lines())

    def _lines(self) -> str:
        """Return the lines that wait, as they are written."""
        from rich.text import Text

        lines = []
        while self._waiting:
            line = self._waiting.popleft()
            if line.kind == FOREIGN:
                lines.append(Text.from_ansi(line.text))
            else:
                lines.append(Text(line.text, style=STYLES.get(line.kind, "")))
        return f"{self._colours.written(Text(chr(10)).join(lines))}\n" if lines else ""

    def _show_foreign(self, lines: str) -> None:
        """Print what somebody else prints; from any thread. Each print redraws the rows below it."""
        self._waiting.append(Line(lines, FOREIGN))
        if self._due():
            self._say()

    def _due(self) -> bool:
        now = self._clock.monotonic()
        if now - self._last < REDRAW:
            return False
        self._last = now
        return True

    def _draw(self, tick: Tick) -> None:
        assert self._rows is not None
        width, height = terminal_size(self._stream)
        # One column and one row stay free: a full last column wraps on some terminals.
        rows = self._rows.rows(tick, width - 1, max(height - 2, 1))
        for row in rows:
            row.truncate(max(width - 1, 1), overflow="ellipsis")
            row.rstrip()
        with self._lock:
            self._shown = [Row(self._colours.written(row), row.plain) for row in rows]
            self._painter.paint(self._shown, width, self._lines())
