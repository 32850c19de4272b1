"""What people see of our exceptions that nobody catches: their own lines and the report, no frames of ours.

Knows: tracebacks, IPython's way to show them. May not know: any other room.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of this package; as it is, where there are no others."""
    steps = []
    step = trace
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(_OURS):
            steps.append(step)
        step = step.tb_next
    shown: TracebackType | None = None
    for step in reversed(steps):
        shown = TracebackType(shown, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return shown or trace


def in_ipython(error: BaseException, *, report: bool) -> list[str]:
    """Return the lines that IPython shows of an error: its text alone if that is a `report`, else the user's frames."""
    if not report:
        shell: Any = sys.modules["IPython"].get_ipython()  # which asks
        trace = users_part(error.__traceback__)
        lines: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, trace, tb_offset=0)
        return lines
    first, *rest = str(error).split("\n")
    # Bold, and not red: a notebook shows errors on a ground of that colour.
    return [f"\x1b[1m{type(error).__name__}\x1b[0m: {first}", *rest]
