"""Write to streams that may be gone, and lead other people's prints around a live display.

Knows: text streams. May not know: events, rich.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import TextIO

_PLAIN = str.maketrans({"…": "...", "·": "-", "—": "-", "±": "+-", "━": "#", "─": "-", "→": "->"})


class SafeStream:
    """A text stream whose writes never raise: a terminal that is gone ends the display, not the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.gone = False

    @property
    def encoding(self) -> str:
        """The stream's own encoding; UTF-8 where it does not say."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write `text`, in characters that the stream has."""
        if self.gone:
            return len(text)
        if not self.encoding.lower().replace("-", "").startswith("utf"):
            text = text.translate(_PLAIN).encode(self.encoding, "replace").decode(self.encoding)
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self.gone = True
        return len(text)

    def flush(self) -> None:
        """Flush, where there is still something to flush to."""
        if self.gone:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.gone = True

    def isatty(self) -> bool:
        """Whether a person's terminal is at the other end."""
        try:
            return not self.gone and bool(self._stream.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def fileno(self) -> int:
        """The descriptor, for those who ask for the terminal's size."""
        return self._stream.fileno()


class AboveStream:
    """Stands for sys.stdout or sys.stderr while a live display is on: whole lines are shown above it.

    After `release` it writes straight through, so that whoever has kept it loses nothing.
    """

    def __init__(self, stream: TextIO, show: Callable[[str], None]) -> None:
        self.original = stream
        self._show: Callable[[str], None] | None = show
        self._held = ""
        import threading

        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Show the whole lines of `text`; keep the rest until its line is whole."""
        with self._lock:
            if self._show is None:
                return self.original.write(text)
            whole, newline, rest = (self._held + text).rpartition("\n")
            self._held = rest
            if newline:
                self._show(whole)
            return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """A part of a line stays held: it would stand inside the live display."""
        if self._show is None:
            self.original.flush()

    def release(self) -> None:
        """Write through from now on, first what was held."""
        with self._lock:
            self._show = None
            if self._held:
                self.original.write(self._held)
                self._held = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)
