"""A real pseudo-terminal with a program in it: type, resize, and read what stands there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from memento.wording import safe_text

PATIENCE = 300.0  # seconds; what a test waits for has long happened by then, or never will

# The terminal becomes the program's own, so that Ctrl-C reaches all that it started, as in a shell.
_TAKE = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """A program in a terminal of its own. Use it as a context manager.

    Owners
        reader thread   the terminal's other end, until the program has let go of it
    """

    def __init__(
        self, *arguments: str | Path, cwd: Path, env: dict[str, str], columns: int = 100, rows: int = 30
    ) -> None:
        self._main, other = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE, *map(str, arguments)],
            cwd=cwd,
            env={**env, "TERM": "xterm-256color"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
        )
        os.close(other)
        self._read = b""
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()

    def _listen(self) -> None:
        while True:
            try:
                piece = os.read(self._main, 65536)
            except OSError:  # how Linux says that nobody has the other end any more
                return
            if not piece:
                return
            self._read += piece

    @property
    def raw(self) -> str:
        """All that was written so far, with what steers a terminal."""
        return self._read.decode(errors="replace")

    @property
    def text(self) -> str:
        """The same without what steers a terminal."""
        return safe_text(self.raw)

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._main, text.encode())

    def resize(self, columns: int, rows: int = 30) -> None:
        """Change the size of the window, of which the program hears."""
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: str, after: int = 0) -> int:
        """Wait until a text stands there, `after` so many characters; return how many there are by then."""
        end = time.monotonic() + PATIENCE
        while text not in (told := self.text)[after:]:
            ended = self.process.poll() is not None and not self._reader.is_alive()
            assert not ended or text in self.text[after:], f"it ended without {text!r}:\n{self.text}"
            assert time.monotonic() < end, f"{text!r} was not written:\n{self.text}"
            time.sleep(0.02)
        return len(told)

    def wait(self, code: int | None = 0) -> str:
        """Wait for the end of the program, with this exit status; return all that it wrote."""
        found = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert code in (None, found), f"exit status {found}:\n{self.text}"
        return self.text

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join(PATIENCE)
        os.close(self._main)
