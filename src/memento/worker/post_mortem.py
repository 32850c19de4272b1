"""Look at a task where it has raised: Python's debugger, at the user's own frame.

Knows: frames, whose they are. May not know: tasks, who wants to look.
"""

from __future__ import annotations

import bdb
import pdb
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from memento.context.task_space import StopTask
from memento.wording import safe_text
from memento.worker.user_lines import is_ours, is_users


def caught(*, debug: bool) -> Callable[[BaseException], BaseException]:
    """Return what is to be called with each exception of a task, and returns the one to be told.

    With `debug` the debugger is opened. Whoever leaves a debugger by `q` has seen enough: the task has not failed.
    """

    def look(error: BaseException) -> BaseException:
        if isinstance(error, bdb.BdbQuit):
            return StopTask("the debugger was left")
        if debug and not isinstance(error, (StopTask, KeyboardInterrupt)):
            post_mortem(error)
        return error

    return look


def post_mortem(error: BaseException) -> None:
    """Open the debugger where an exception was raised: at the innermost frame of the user's own code."""
    trace = _without_ours(error.__traceback__)
    if trace is None:
        return
    debugger = _AtUsersFrame()
    debugger.reset()
    debugger.message(safe_text(f"{type(error).__name__}: {error}"))
    debugger.interaction(None, trace)


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that have called the experiment."""
    while trace is not None and trace.tb_next is not None and is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


class _AtUsersFrame(pdb.Pdb):
    """Begins at the user's frame, where `up` and `down` lead to the others."""

    def setup(self, f: FrameType | None, tb: TracebackType | None) -> None:
        super().setup(f, tb)
        stack: list[tuple[FrameType, int]] = self.stack
        own = [
            place
            for place, (frame, _) in enumerate(stack)
            if is_users(frame.f_code.co_filename, frame.f_globals)
        ]
        if own:
            self._begin_at(stack, own[-1])

    def _begin_at(self, stack: list[tuple[FrameType, int]], place: int) -> None:
        attributes: dict[str, Any] = {"curindex": place, "curframe": stack[place][0]}
        attributes["curframe_locals"] = stack[place][0].f_locals
        for name, value in attributes.items():
            setattr(self, name, value)
