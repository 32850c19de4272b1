"""Show a run while it goes on: on a terminal, in a notebook, or as plain lines.

Knows: events. May not know: the runner, the store. `make_display` chooses.
"""

from __future__ import annotations

from memento.display.base import Display, make_display

__all__ = ["Display", "make_display"]
