"""Choose a display and keep it from ever harming a run.

Knows: which displays there are and where a run is watched. May not know: the runner, the store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, cast

from memento.clock import SYSTEM_CLOCK, Clock
from memento.events import Event, RunFinished, RunStarted, Said

if TYPE_CHECKING:
    from typing import TextIO

_LOG = "memento.display"


class Screen(Protocol):
    """Shows events somewhere. Called from one thread, the runner's."""

    def listen(self, event: Event) -> None:
        """Show what `event` changes."""

    def close(self) -> None:
        """Leave the place as it was found. Idempotent."""


class LogScreen:
    """No display: warnings go to logging, everything else is in the results and the exception."""

    def __init__(self) -> None:
        self._running = False  # what sums several runs up says nothing new

    def listen(self, event: Event) -> None:
        """Log a warning; be silent about the rest."""
        texts: list[str] = []
        if isinstance(event, Said) and event.level == "warning":
            texts = [event.text]
        elif isinstance(event, RunStarted):
            self._running = True
        elif isinstance(event, RunFinished):
            if self._running and (event.warned or event.notes):
                from memento.display.text import odd_lines

                texts = list(odd_lines(event))
            self._running = False
        for text in texts:
            import logging

            from memento.wording import safe_text

            lines = [safe_text(line).rstrip() for line in text.splitlines()]  # some are a diff
            logging.getLogger(_LOG).warning("%s", "\n".join(lines))

    def close(self) -> None:
        """Nothing is held."""


class Display:
    """What a run tells its events to; whatever goes wrong in showing them stays here."""

    def __init__(self, screen: Screen, plain: Screen | None = None) -> None:
        self._screen = screen
        self._plain = plain  # takes over where tasks run in this process: they may print or ask at any time

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def shows(self) -> bool:
        """Whether it is seen by somebody, and not off."""
        return not isinstance(self._screen, LogScreen)

    def listen(self, event: Event) -> None:
        """Show `event`; never raises."""
        try:
            if self._plain is not None and isinstance(event, RunStarted) and event.in_process:
                # A debugger's prompt and a live display cannot share a terminal.
                self._screen.close()
                self._screen, self._plain = self._plain, None
            self._screen.listen(event)
        except Exception:
            import logging

            logging.getLogger(_LOG).warning("the display failed and is off; the run goes on", exc_info=True)
            self.close()
            self._screen, self._plain = LogScreen(), None

    def close(self) -> None:
        """Give the terminal back; never raises."""
        with suppress(Exception):
            self._screen.close()


def make_display(
    progress: bool | None = None,
    stream: TextIO | None = None,
    *,
    reported: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> Display:
    """Make the display that fits where the run is watched; `progress=False` shows nothing but logs warnings.

    `reported` says that what fails is told by the exception which the caller gets.
    """
    if progress is False:
        return Display(LogScreen())
    if stream is None and _in_notebook():
        from memento.display.notebook import NotebookScreen

        return Display(NotebookScreen(clock, reported=reported))
    # Not stdout: what a script prints there stays clean.
    target = stream if stream is not None else sys.stderr
    if target is None:  # pythonw and some services have no standard streams
        return Display(LogScreen())
    from memento.display.plain import PlainScreen
    from memento.display.text_streams import SafeStream

    safe = SafeStream(target)
    # SafeStream has the part of a text stream that is used here.
    plain = PlainScreen(cast("TextIO", safe), clock, reported=reported)
    if not safe.isatty() or not _can_be_live(os.environ):
        return Display(plain)
    from memento.display.terminal import TerminalScreen

    return Display(TerminalScreen(safe, clock, reported=reported), plain)


def _can_be_live(environment: Mapping[str, str]) -> bool:
    """Whether rows can be painted over; what a service for tests runs is a log, also where it has a terminal."""
    if environment.get("TERM", "") in ("dumb", "unknown"):
        return False
    return environment.get("CI", "").lower() in ("", "0", "false")


def _in_notebook() -> bool:
    """Whether IPython runs a notebook's kernel; in a terminal it has none."""
    if "IPython" not in sys.modules:
        return False
    with suppress(Exception):
        from IPython.core.getipython import get_ipython

        return getattr(get_ipython(), "kernel", None) is not None
    return False
