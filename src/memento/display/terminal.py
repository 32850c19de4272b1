"""Show a run live on a terminal: lines that stay above, a bar and the workers below.

Knows: rich and the terminal's size. May not know: the runner; no thread of its own redraws, the ticks do.

The cursor is never hidden: there is then no way to end the process, kill -9 included, that leaves it so.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import deque
from typing import TYPE_CHECKING, TextIO, cast

from memento.clock import Clock
from memento.display.streams import AboveStream, SafeStream
from memento.display.text import (
    Line,
    Narrator,
    metrics_text,
    progress_parts,
    settled,
    share,
)
from memento.events import Event, RunFinished, RunStarted, Tick
from memento.wording import duration, one_line

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_NEXT_PARAMETER = re.compile(r", (?=\w+=)")
REDRAW = 0.2  # seconds: at most five redraws a second
FOREIGN = "foreign"  # lines that tasks in this process print
STYLES = {
    "head": "bold",
    "warning": "yellow",
    "failure": "red",
    "detail": "dim",
    "done": "green",
}


class TerminalScreen:
    """The live display. Owns the rows below the last line, and sys.stdout and sys.stderr while it is on."""

    def __init__(self, stream: SafeStream, clock: Clock) -> None:
        from rich.console import Console

        class _Console(Console):
            def show_cursor(self, show: bool = True) -> bool:  # see the module's header
                return False

        self._stream = stream
        self._clock = clock
        self._narrator = Narrator()
        self._console = _Console(
            file=cast("TextIO", stream),  # it has all that rich asks of a stream
            force_terminal=True,
            force_interactive=True,
            force_jupyter=False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._live: Live | None = None
        self._ours: dict[str, AboveStream] = {}
        self._waiting: deque[Line] = deque()  # tasks in threads add what they print
        self._drawn: list[int] = []  # width of each row on the screen now
        self._width = 0
        self._last = float("-inf")

    def listen(self, event: Event) -> None:
        """Show what `event` changes, at most five times a second."""
        self._waiting.extend(self._narrator.lines(event))
        if isinstance(event, RunStarted):
            self.close()
            if event.todo:
                self._start()
        elif isinstance(event, RunFinished):
            self.close()
        elif isinstance(event, Tick):
            if self._live is not None and self._due():
                self._draw(event)
        elif self._live is None:
            self._say()

    def close(self) -> None:
        """Take the live rows away and give the streams back."""
        self._stop()
        self._say()
        self._release()  # last: half a line that waits belongs to what is printed next

    def _start(self) -> None:
        from rich.live import Live
        from rich.text import Text

        self._live = Live(
            Text(""),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if SafeStream(stream).isatty():  # sys.stdout may also be None
                self._ours[name] = AboveStream(stream, self._show_foreign)
                setattr(sys, name, self._ours[name])

    def _stop(self) -> None:
        if self._live is None:
            return
        live, self._live = self._live, None
        self._fit()
        from rich.text import Text

        live.update(Text(""))
        live.stop()
        self._drawn = []
        self._last = float("-inf")

    def _release(self) -> None:
        for name, stream in self._ours.items():
            stream.release()
            if getattr(sys, name) is stream:  # somebody may have put his own in its place
                setattr(sys, name, stream.original)
        self._ours = {}

    def _say(self) -> None:
        """Print the lines that wait; they stay."""
        from rich.text import Text

        lines = []
        while self._waiting:
            line = self._waiting.popleft()
            if line.kind == FOREIGN:
                lines.append(Text.from_ansi(line.text))
            else:
                lines.append(Text(line.text, style=STYLES.get(line.kind, "")))
        if lines:
            self._console.print(Text("\n").join(lines), soft_wrap=True)

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

    def _fit(self) -> tuple[int, int]:
        """Learn the terminal's size; where it became narrower, take away what it wrapped."""
        from rich.console import ConsoleDimensions

        width, height = terminal_size(self._stream)
        if width < self._width and self._drawn:
            from rich.control import Control
            from rich.segment import ControlType

            extra = sum(-(-max(row, 1) // width) - 1 for row in self._drawn)
            erase = (ControlType.ERASE_IN_LINE, 2)
            self._console.control(Control(ControlType.CARRIAGE_RETURN, erase))
            for _ in range(extra):
                self._console.control(Control((ControlType.CURSOR_UP, 1), erase))
        self._width = width
        self._console.size = ConsoleDimensions(width, height)
        return width, height

    def _draw(self, tick: Tick) -> None:
        from rich.console import Group
        from rich.text import Text

        live = self._live
        assert live is not None
        width, height = self._fit()
        self._say()
        # One column and one row stay free: a full last column wraps on some terminals.
        rows = live_rows(tick, width - 1, max(height - 2, 1), self._stream.encoding)
        for row in rows:
            row.truncate(max(width - 1, 1), overflow="ellipsis")
        # The cursor rests on a row of its own: what the keyboard echoes there, like ^C, wraps no other row.
        rows.append(Text(""))
        self._drawn = [row.cell_len for row in rows]
        live.update(Group(*rows), refresh=True)


def live_rows(tick: Tick, width: int, height: int, encoding: str = "utf-8") -> list[Text]:
    """Make the rows of the live display: the bar, then the workers, `height` rows at most."""
    from rich.text import Text

    fine = encoding.lower().replace("-", "").startswith("utf")
    parts = progress_parts(tick)
    told = (" · " if fine else ", ").join(parts)
    length = min(max(width - len(told) - 2, 10), 40)
    bar = Text(no_wrap=True)
    full, empty = ("━", "─") if fine else ("#", "-")
    used = 0
    for count, style in ((tick.cached, "cyan"), (tick.done, "green"), (tick.failed, "red")):
        cells = min(round(length * count / max(tick.total, 1)), length - used)
        if count and not cells and used < length and style == "red":
            cells = 1  # a single failure among thousands is still to be seen
        bar.append(full * cells, style=style)
        used += cells
    if settled(tick) < tick.total and used == length:
        bar.right_crop(1)
        used -= 1
    bar.append(empty * (length - used), style="dim")
    bar.append(f"  {told}", style="bold")
    return [bar, *_worker_rows(tick, width, height - 1, full, empty)]


def _worker_rows(tick: Tick, width: int, room: int, full: str, empty: str) -> list[Text]:
    from rich.cells import cell_len
    from rich.text import Text

    running, count = tick.running, len(tick.running) + tick.unlisted
    if room <= 0 or not running:
        return []
    shown = running
    if count > room:
        # Those that run longest are the ones that somebody wonders about; their order stays.
        keep = sorted(range(len(running)), key=lambda i: -running[i].seconds)[: room - 1]
        shown = tuple(running[i] for i in sorted(keep))
    rows = []
    has_bar = any(share(state) is not None for state in shown)
    for state in shown:
        row = Text(f"{duration(state.seconds):>11}  ", no_wrap=True)
        part = share(state)
        if part is not None:
            cells = int(part * 10)
            row.append(full * cells, style="green").append(empty * (10 - cells), style="dim")
            row.append(f" {part:>4.0%}  ")
        elif has_bar:
            row.append(" " * 17)
        metrics = metrics_text(state)
        if metrics:
            row.append(f"{metrics}  ", style="magenta")
        rows.append(row)
    texts = [one_line(state.config, 400) for state in shown]
    if any(row.cell_len + cell_len(text) > width for row, text in zip(rows, texts, strict=True)):
        texts = _differing(texts)
    for row, text in zip(rows, texts, strict=True):
        row.append(text)
    if len(shown) < count:
        rows.append(Text(f"{'':>11}  and {count - len(shown):,} more running", style="dim", no_wrap=True))
    return rows


def _differing(configs: list[str]) -> list[str]:
    """Leave out of configurations what all have alike: what tells them apart is what must be seen.

    >>> _differing(["data=digits, scaler=MinMax, model=SVC", "data=digits, scaler=MinMax, model=Ada"])
    ['model=SVC', 'model=Ada']
    """
    parts = [_NEXT_PARAMETER.split(config) for config in configs]
    alike = set(parts[0]).intersection(*parts[1:])
    if len(parts) == 1 or any(alike.issuperset(part) for part in parts):
        return configs
    return [", ".join(piece for piece in part if piece not in alike) for part in parts]


def terminal_size(stream: SafeStream) -> tuple[int, int]:
    """Ask the terminal for columns and rows; 80 by 24 where it will not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError, AttributeError):
        size = shutil.get_terminal_size()
    return max(size.columns or 80, 20), max(size.lines or 24, 3)
