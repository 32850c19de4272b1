"""Tell what a file is by its first bytes.

Knows: files. May not know: what is made of them.
"""

from __future__ import annotations

from pathlib import Path

SQLITE = b"SQLite format 3\x00"


def beginning_of(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as stream:
        return stream.read(len(SQLITE))
