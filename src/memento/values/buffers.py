"""Memory that values are written from and read into.

Knows: buffers. May not know: files' places, what the bytes mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

PIECE = 1 << 20  # bytes worth a call of their own: to write, to read
_SMALL = PIECE // 16

Seen = Callable[[memoryview], object]
"""Told each part of a content, in order, while the processor's cache has it; for a checksum."""


def flat(buffer: Any) -> memoryview:
    """Return a buffer as plain bytes, where it is."""
    view = memoryview(buffer)
    if view.nbytes == 0:
        return memoryview(b"")
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def joined(views: Iterable[memoryview]) -> Iterator[memoryview]:
    """Yield the same bytes, small neighbours copied together: a thousand of them would else cost a thousand calls.

    What is yielded is valid until the next is asked for.
    """
    room, filled = memoryview(b""), 0
    for view in views:
        if filled and (view.nbytes >= _SMALL or filled + view.nbytes > room.nbytes):
            yield room[:filled]
            filled = 0
        if view.nbytes >= _SMALL:
            yield view
        else:
            room = room or memoryview(bytearray(PIECE))
            room[filled : filled + view.nbytes] = view
            filled += view.nbytes
    if filled:
        yield room[:filled]


def new_memory(size: int) -> memoryview:
    """Return writable memory that is about to be filled whole.

    From NumPy where it is loaded: it writes no zeros first, and asks the system for large pages (500 MB: 110 ms
    instead of 340).
    """
    numpy = sys.modules.get("numpy")
    if size < _SMALL or not hasattr(numpy, "empty"):
        return memoryview(bytearray(size))
    return memoryview(numpy.empty(size, numpy.uint8))  # type: ignore[union-attr]  # it has `empty`
