"""Memory that values are written from and read into.

Knows: buffers, threads. May not know: files' places, what the bytes mean.

Of the time that reading a large content takes, most is the system's for pages of memory that this process did not have
before, so several threads read (500 MB on two cores: 60 ms instead of 107). Who asked checks each part while the
processor's cache has it.

Owners
    threads    the call of `read_pieces` that starts them: it waits for them before it returns or raises
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

PIECE = 1 << 20  # bytes worth a call of their own: to write, to read
_SMALL = PIECE // 16
_PART = 8 << 20  # bytes that a thread reads at a time
_LARGE = 32 << 20  # bytes from which on threads are worth starting
_MOST_THREADS = 4  # a guess: that more would wait for the memory, and for each other

ReadInto = Callable[[memoryview, int], int]
"""Reads bytes from a place of the content on into memory; returns how many, 0 at the end. Called by several threads."""

Seen = Callable[[memoryview], object]
"""Told each part of a content, in order; for a checksum."""


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

    A content that ends before is damaged, which its checksum tells: what is missing is read as zeros.
    """
    pieces = [new_memory(length) for length in lengths]
    pool = _pool_for(sum(lengths))
    try:
        filled = _filled(pool, read_into, pieces)
        for part in filled:
            if seen is not None:
                seen(part)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)
    return pieces


def pass_through(read_into: ReadInto, size: int, seen: Seen) -> None:
    """Read a content and keep nothing of it."""
    room = new_memory(min(size, PIECE))
    for start in range(0, size, PIECE):
        part = room[: min(PIECE, size - start)]
        _fill(_Part(part, start), read_into)
        seen(part)


class _Part(NamedTuple):
    """A part of a piece, and where its content begins."""

    memory: memoryview
    at: int


def _parts(pieces: Iterable[memoryview], size: int) -> Iterator[_Part]:
    at = 0
    for piece in pieces:
        for start in range(0, piece.nbytes, size):
            part = piece[start : start + size]
            yield _Part(part, at)
            at += part.nbytes


def _filled(
    pool: ThreadPoolExecutor | None, read_into: ReadInto, pieces: list[memoryview]
) -> Iterable[memoryview]:
    """Fill the pieces part by part, and return the parts in order as they are filled."""
    if pool is not None:
        try:
            return pool.map(lambda part: _fill(part, read_into), _parts(pieces, _PART))
        except RuntimeError:  # no more threads to be had
            pool.shutdown(cancel_futures=True)
    return (_fill(part, read_into) for part in _parts(pieces, PIECE))


def _pool_for(size: int) -> ThreadPoolExecutor | None:
    if size < _LARGE or _cores() == 1:
        return None
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(min(_cores(), _MOST_THREADS), thread_name_prefix="memento-read")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fill(part: _Part, read_into: ReadInto) -> memoryview:
    """Fill a part, with zeros where the content ends before; return its memory."""
    rest, at = part
    while rest.nbytes:
        count = read_into(rest, at)
        if not count:
            rest[:] = bytes(rest.nbytes)
            break
        rest, at = rest[count:], at + count
    return part.memory
