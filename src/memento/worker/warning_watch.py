"""Keep the warnings of a task: each has those that Python shows while it runs, as if it were a program of its own.

Knows: the `warnings` module, stacks. May not know: tasks' values, stores.

Python shows a warning once for each place in a process; here, once for each place in a task. What the user's filters
ignore is not seen, what they make an error is raised. The module is one for the whole process: of several tasks in
threads each has what is shown in its own thread, and may see a warning again since another task has begun.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from memento import system

_PLACES = 20  # that warn, of one task
_TEXTS = 3  # of one place
_TEXT = 500  # characters of each
_STACKS = 200  # warnings of one task for which the user's line is looked for; a loop may show millions
_OTHERS = "warnings of other places, which are not listed"

_Show = Callable[..., Any]
_mutated: Callable[[], None] | None = getattr(warnings, "_filters_mutated", None)
_watching: dict[int, Watch] = {}  # by thread: who watches the task that runs in it
_shown_before: _Show = warnings.showwarning


class Watch:
    """Sees what is shown while one task runs, in one thread at a time."""

    def __init__(self) -> None:
        self._thread = 0
        self._outer: Watch | None = None  # of the task that runs this one in its own thread
        self._found: dict[tuple[str, str, int, str], dict[str, int]] = {}
        self._count = self._others = 0

    def begin(self) -> None:
        """Let every place warn again, and see it."""
        global _shown_before
        with system.turn():  # who puts it aside would put back what shows no watch anything
            if not _watching and warnings.showwarning is not _show:
                _shown_before = warnings.showwarning
                warnings.showwarning = _show  # type: ignore[assignment]  # takes what comes
            here = self._thread = threading.get_ident()
            self._outer = _watching.get(here)
            _watching[here] = self
        if _mutated is not None:
            _mutated()  # every module's list of what it has shown is out of date
        else:
            with warnings.catch_warnings():  # does the same on its way, at ten times the price
                pass

    def end(self) -> str | None:
        """Stop looking; return what was shown as JSON, (category, message, place, how often) each; None for nothing."""
        with system.turn():
            if self._outer is not None:
                _watching[self._thread] = self._outer
            else:
                _watching.pop(self._thread, None)
            if not _watching and warnings.showwarning is _show:
                warnings.showwarning = _shown_before
        if not self._count:
            return None
        told = [
            (category, text, place, count)
            for (category, _, _, place), texts in self._found.items()
            for text, count in texts.items()
        ]
        if self._others:
            told.append(("Warning", _OTHERS, "", self._others))
        self._found, self._count, self._others = {}, 0, 0
        return json.dumps(told) if told else None

    def take(self, message: Any, category: type, file: str, line: int) -> None:
        """Count a warning; never raises."""
        with suppress(Exception):  # whatever a message's __str__ does: it is still to be shown
            self._take(message, category, file, line)
        if self._outer is not None:
            self._outer.take(message, category, file, line)

    def _take(self, message: Any, category: type, file: str, line: int) -> None:
        self._count += 1
        place = _place(file, line) if self._count <= _STACKS else f"{os.path.basename(file)}:{line}"
        spot = (category.__name__, file, line, place)
        texts = self._found.get(spot)
        if texts is None:
            if len(self._found) >= _PLACES:
                self._others += 1
                return
            texts = self._found[spot] = {}
        text = str(message)[:_TEXT]
        if text not in texts and len(texts) >= _TEXTS:
            text = next(iter(texts))
        texts[text] = texts.get(text, 0) + 1


def _place(file: str, line: int) -> str:
    """Name the user's line that warned, or that called what warned."""
    from memento.worker.user_lines import is_users, lines_of_stack

    here = f"{os.path.basename(file)}:{line}"
    if is_users(file):
        return here
    return lines_of_stack(sys._getframe(4)).own or here


def _show(message: Any, category: type, filename: str, lineno: int, *rest: Any) -> None:
    watch = _watching.get(threading.get_ident())
    if watch is None and len(_watching) == 1:  # a thread that the only task has started
        with suppress(StopIteration):
            watch = next(iter(_watching.values()))
    if watch is not None:
        watch.take(message, category, filename, lineno)
    _shown_before(message, category, filename, lineno, *rest)
