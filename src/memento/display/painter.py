"""Keep some rows at the bottom of a terminal, below the lines that stay; paint only what changes.

Knows: a stream, the terminal's size, a few control sequences. May not know: events, colours, what the rows say.

Each painting is one write of what has changed: nothing flickers. The cursor rests on a row of its own below the rows:
what the keyboard echoes there, like ^C, moves none of them. It is never hidden, and there is then no way to end the
process, kill -9 included, that leaves it so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from memento.display.text_streams import SafeStream

_UP = "\x1b[{}A"
# Rows are cleared one by one, each whole, before one is written. What "all below" clears goes into the history
# of tmux; and a row of which only the rest is cleared is as long as the terminal for it, and wraps when narrowed.
_CLEAR, _UP_AND_CLEAR = "\x1b[2K", "\x1b[1A\x1b[2K"
# A row that is wider than we think (an emoji that this terminal draws in two parts) is cut by the terminal.
_CUT, _WRAP = "\x1b[?7l", "\x1b[?7h"


class Row(NamedTuple):
    """A row as it is written, with its colours, and its text alone."""

    written: str
    text: str


class Painter:
    """Owns the rows below the last line of a terminal."""

    def __init__(self, stream: SafeStream, environment: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self._reflows = flows_anew(environment)
        self._drawn: list[Row] = []
        self._width = 0  # of the terminal when they were drawn

    def paint(self, rows: Sequence[Row], width: int, lines: str = "") -> None:
        """Show `rows` in place of those that are shown, below new `lines` that stay, on a terminal of some width."""
        moved = self._narrowed(width)
        if list(rows) == self._drawn and not lines and not moved:
            return
        old = self._drawn
        # With what a key has left in the last row.
        start = f"\r{_CLEAR}{_UP.format(len(old))}" if old else "\r"
        if lines or moved:  # a terminal may have moved rows in part: they are all drawn anew
            start, old = f"{self._away(width)}{lines}", []
        painted = [_painted(row, old[place] if place < len(old) else None) for place, row in enumerate(rows)]
        more = len(old) - len(rows)
        end = f"{_CLEAR}\n" * more + _UP.format(more) if more > 0 else ""
        self._stream.write(f"{start}{_CUT}{''.join(painted)}{_WRAP}{end}")
        self._stream.flush()
        self._drawn, self._width = list(rows), width

    def clear(self, width: int, lines: str = "") -> None:
        """Take the rows away, and show new `lines` that stay."""
        if self._drawn or lines:
            self._stream.write(f"{self._away(width)}{lines}")
            self._stream.flush()
        self._drawn = []

    def _away(self, width: int) -> str:
        if not self._drawn:
            return ""
        rows = len(self._drawn)
        if self._reflows and self._narrowed(width):
            rows = sum(height_of(row.text, width) for row in self._drawn)
        return f"\r{_CLEAR}{_UP_AND_CLEAR * rows}"

    def _narrowed(self, width: int) -> bool:
        return bool(self._drawn) and width < self._width


def _painted(row: Row, old: Row | None) -> str:
    if row == old:
        return "\n"
    is_longer = old is None or len(old.text) > len(row.text) or not (old.text + row.text).isascii()
    return f"{_CLEAR if is_longer else ''}{row.written}\n"


def flows_anew(environment: Mapping[str, str]) -> bool:
    """Whether the terminal wraps what stands on it when it becomes narrower; xterm and GNU screen cut it."""
    if "TMUX" in environment:
        return True
    return not ("XTERM_VERSION" in environment or environment.get("TERM", "").startswith("screen"))


def height_of(text: str, width: int) -> int:
    """Return how many rows of a terminal a text takes.

    >>> height_of("", 10), height_of("0123456789", 10), height_of("日本", 3)
    (1, 1, 2)
    """
    from rich.cells import cell_len

    rows, used = 1, 0
    if text.isascii():
        return max(1, -(-len(text) // width))
    for char in text:
        size = cell_len(char)
        if used + size > width:
            rows, used = rows + 1, 0
        used += size
    return rows


def terminal_size(
    stream: SafeStream, ask: Callable[[int], os.terminal_size] = os.get_terminal_size
) -> tuple[int, int]:
    """Ask the terminal for columns and rows; 80 by 24 where it will not say."""
    try:
        size = ask(stream.fileno())
    except (OSError, ValueError, AttributeError):
        size = shutil.get_terminal_size()
    return max(size.columns or 80, 20), max(size.lines or 24, 3)
