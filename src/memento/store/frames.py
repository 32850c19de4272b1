"""Keep pandas frames as Arrow, where Arrow gives back the very same frame.

Knows: pandas and pyarrow, when the one is loaded and the other installed. May not know: files, the index.
"""

from __future__ import annotations

from typing import Any


def to_arrow(value: Any) -> bytes | None:
    """Return a frame as an Arrow file, or None where it would not come back the same."""
    return None


def from_arrow(content: memoryview) -> Any:
    """Return the frame."""
    raise ValueError("no arrow")
