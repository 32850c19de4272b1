"""Turn signals into a wish to stop: the first asks, the second insists.

Knows: signals of this process. May not know: what stopping means.

Handlers are installed in the main thread only, for as long as a run lasts, and put back afterwards.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

from memento.errors import AggregateException, RunInterrupted

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # SIGUSR1: Slurm's warning before a time limit


class Interrupt:
    """Counts the signals that ask a run to stop.

    `wake` makes a waiting loop look at `count`. `insist`, if given, is called from the second signal on; what it raises
    reaches whatever runs in this thread. Both are called from the handler, and must be safe there.
    """

    def __init__(self, wake: Callable[[], None], insist: Callable[[], None] | None = None) -> None:
        self.count = 0
        self.signal: signal.Signals | None = None
        self._wake, self._insist = wake, insist
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for name in _NAMES:
                number = getattr(signal, name, None)
                # A signal that somebody chose to ignore (nohup) stays ignored.
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            # A child that a task has forked here: whoever ends it, like a pool of processes, waits for its death.
            handler = self._before.get(signal.Signals(number))
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
            os.kill(os.getpid(), number)
            return
        self.count += 1
        self.signal = signal.Signals(number)
        self._wake()
        if self.count >= 2 and self._insist is not None:
            self._insist()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            # None: the handler was not set from Python and cannot be put back from it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()


def end_quietly(*, told: bool) -> None:
    """Have an interrupted run that nobody catches end the script with its message and status 130, not a traceback.

    Where the display has `told` how the run ended, the message is not said again. Python does so much for a plain
    KeyboardInterrupt only, not for its subclasses. Prompts and notebooks, which go on, and whoever has a hook of their
    own, keep what they have.
    """
    _hook(_end_told if told else _end)


def drop_last_words() -> None:
    """Drop what can no longer be written, as to a terminal that is closed: for it Python would end with status 120."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # it is None, closed, or of the program's own making
            try:
                stream.flush()
            except OSError:
                with open(os.devnull, "wb") as null:
                    os.dup2(null.fileno(), stream.fileno())


def show_users_frames() -> None:
    """Have failures that nobody catches end the script with the user's frames and the report, without ours."""
    _hook(_without_ours)


def _hook(hook: Callable[[type[BaseException], BaseException, TracebackType | None], None]) -> None:
    free = sys.excepthook in (sys.__excepthook__, _without_ours, _end, _end_told)
    if free and not sys.flags.interactive and not hasattr(sys, "ps1"):
        sys.excepthook = hook


def _without_ours(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, AggregateException):
        from memento.uncaught import users_part

        trace = users_part(trace)
        error.__traceback__ = trace  # which Python shows, whatever it is told
    sys.__excepthook__(kind, error, trace)


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, RunInterrupted):
        sys.stderr.write(f"Interrupted: {error.summary}\n")
    _end_told(kind, error, trace)


def _end_told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, RunInterrupted):
        raise SystemExit(128 + signal.SIGINT)
    _without_ours(kind, error, trace)
