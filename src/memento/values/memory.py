"""Memory that files are written from and read into.

Knows: buffers. May not know: files' places, what the bytes mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from memento import pages

PIECE = 1 << 20  # bytes worth a call of their own: to write, to digest
_SMALL = PIECE // 16
_REUSED = 32 << 20  # above, glibc asks the system for memory anew each time (mallopt(3), M_MMAP_THRESHOLD)


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
    """Return writable memory that is about to be filled whole, perhaps without its pages yet (`pages.take`).

    From the allocator, where it may have memory to give once more: that has its pages, and reading into it takes a
    third of the time.
    """
    return memoryview(pages.unfilled(size)) if size < _REUSED else pages.fresh_memory(size)
