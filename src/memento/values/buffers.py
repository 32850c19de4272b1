"""Memory that values are written from and read into.

Knows: buffers. May not know: files' places, what the bytes mean.

One thread reads. Several read 500 MB in 60 ms instead of 107 where two cores are idle; where a grid keeps the cores
busy, as it should, they take three times the processor's time, and wait for each other.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

PIECE = 1 << 20  # bytes worth a call of their own: to write, to read
_SMALL = PIECE // 16
_READ = PIECE

ReadInto = Callable[[memoryview, int], int]
"""Reads bytes from a place of the content on into memory; returns how many, 0 at the end."""

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


def read_pieces(read_into: ReadInto, lengths: Sequence[int], seen: Seen | None = None) -> list[memoryview]:
    """Read a content from its beginning, each piece into memory of its own.

    A content that ends before is damaged. Where `seen` makes its checksum, that tells, and what is missing is read as
    zeros; where nobody looks, it is an `OSError`.
    """
    pieces = [new_memory(length) for length in lengths]
    at = 0
    for piece in pieces:
        for start in range(0, piece.nbytes, _READ):
            part = piece[start : start + _READ]
            if not _fill(part, read_into, at) and seen is None:
                raise OSError(errno.EIO, "it was cut short while it was read")
            at += part.nbytes
            if seen is not None:
                seen(part)
    return pieces


def pass_through(read_into: ReadInto, size: int, seen: Seen) -> None:
    """Read a content and keep nothing of it."""
    room = new_memory(min(size, _READ))
    for start in range(0, size, _READ):
        part = room[: min(_READ, size - start)]
        _fill(part, read_into, start)
        seen(part)


def _fill(memory: memoryview, read_into: ReadInto, at: int) -> bool:
    """Fill memory, with zeros where the content ends before; tell whether there was enough."""
    while memory.nbytes:
        count = read_into(memory, at)
        if not count:
            memory[:] = bytes(memory.nbytes)
            return False
        memory, at = memory[count:], at + count
    return True
