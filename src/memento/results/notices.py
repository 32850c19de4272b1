"""Say what a table or a choice could not show, at the line of the user's that asked for it.

Knows: warnings. May not know: results.
"""

from __future__ import annotations

import sys
import warnings


def say(text: str) -> None:
    """Warn, pointing at the nearest line that is not Memento's own."""
    level, frame = 2, sys._getframe(1)  # as `warn` counts: 1 is this function
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("memento."):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, UserWarning, stacklevel=level)
