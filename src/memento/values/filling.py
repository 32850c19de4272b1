"""Fill memory from files, digested on the way; large contents by several threads.

Knows: open files, pieces of memory, threads. May not know: files' places, what the bytes mean.

Of the time that a large content takes, two thirds are the system's for pages of memory that this process did not have,
the rest copying and digesting. All three go on in several threads at once, each of which fills a part, and then the
next that nobody has begun. It costs hardly more of the processor's time than one thread does.

Owners
    threads    the call of `read_whole` that starts them: they have ended when it returns or raises
    file       the caller; the threads read at places of their own and leave where it stands alone
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from memento import pages
from memento.values.digests import Digest, page_sums
from memento.values.memory import PIECE, new_memory

_READ = 2 << 20  # bytes read at a time, and digested while the processor's cache has them
_LARGE = 32 << 20  # bytes from which on threads are worth starting: 15 ms of one
_MOST_THREADS = 4  # a guess: that more would wait for the memory, and for each other


def read_whole(file: Any, lengths: Sequence[int], seen: Digest | None) -> list[memoryview]:
    """Read a file from its beginning, each piece into memory of its own; `seen` digests it on the way.

    A file that ends before is damaged, which its digest tells: what is missing is read as zeros.

    Parameters
    ----------
    file : file object
        Unbuffered, where its beginning is.
    lengths : sequence of int
        Of the pieces.
    seen : Digest, optional
        Of a content that begins with this.
    """
    pieces = [new_memory(length) for length in lengths]
    threads = _threads_for(sum(lengths))
    if threads > 1:
        _fill_together(file.fileno(), _parts(pieces), seen, threads)
        return pieces
    for piece in pieces:
        for start in range(0, piece.nbytes, _READ):
            part = piece[start : start + _READ]
            pages.take(part)
            _fill(part, file.readinto)
            if seen:
                seen.update(part)
    return pieces


def pass_through(file: Any, size: int, seen: Digest) -> list[memoryview]:
    """Read a file from where it stands and keep nothing of it."""
    room = new_memory(min(size, PIECE))
    for start in range(0, size, PIECE):
        part = room[: min(PIECE, size - start)]
        _fill(part, file.readinto)
        seen.update(part)
    return []


def _threads_for(size: int) -> int:
    """Say how many threads fill so many bytes: this one, and perhaps others."""
    return min(_cores(), _MOST_THREADS) if size >= _LARGE and hasattr(os, "preadv") else 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Part(NamedTuple):
    """A part of a piece, and where its content begins."""

    memory: memoryview
    at: int


def _parts(pieces: Sequence[memoryview]) -> list[_Part]:
    """Cut pieces where the content's multiples of `_READ` are, so that nearly every page of it lies in one part."""
    parts, at = [], 0
    for piece in pieces:
        start = 0
        while start < piece.nbytes:
            length = min(_READ - at % _READ, piece.nbytes - start)
            parts.append(_Part(piece[start : start + length], at))
            start, at = start + length, at + length
    return parts


def _fill_together(descriptor: int, parts: Sequence[_Part], seen: Digest | None, threads: int) -> None:
    """Fill the parts in this thread and in others; an error of any of them is raised here when all have ended."""
    import threading

    waiting = deque(enumerate(parts))
    sums = [b""] * len(parts)
    # Of each helper that may have a part in hand: set when it has none any more.
    begun: list[threading.Event] = []
    # This thread's come first: a Ctrl-C matters more than what the disk says.
    errors: deque[BaseException] = deque()

    def work() -> None:
        while True:
            try:
                number, part = waiting.popleft()
            except IndexError:
                return
            pages.take(part.memory)
            _fill(part.memory, _reader(descriptor, part.at))
            if seen:
                sums[number] = page_sums(part.memory, part.at)

    def help_out() -> None:
        ended = threading.Event()
        begun.append(ended)
        try:
            work()
        except BaseException as error:
            errors.append(error)
            waiting.clear()
        finally:
            ended.set()

    helpers = [threading.Thread(target=help_out, name="memento-read") for _ in range(threads - 1)]
    try:
        with contextlib.suppress(RuntimeError):  # no more threads to be had: the work is done without
            for helper in helpers:
                helper.start()
        work()
    except BaseException as error:  # also what the handler of a signal raises: Ctrl-C, an alarm
        errors.appendleft(error)
    waiting.clear()  # who begins only now finds nothing to do, so those that have begun are all there is to wait for
    for ended in begun:
        while not ended.is_set():
            try:
                ended.wait()
            except BaseException as error:  # a signal again: raised when they have ended
                errors.appendleft(error)
    for helper in helpers:
        with contextlib.suppress(RuntimeError):  # it was not started
            helper.join()  # does not say when it is interrupted that the thread goes on: hence the events
    if errors:
        raise _first(errors)
    if seen:
        for part, known in zip(parts, sums, strict=True):
            seen.update(part.memory, known)


def _first(errors: deque[BaseException]) -> BaseException:
    """Return the first of several errors and let go of the others, whose frames hold the memory."""
    first = errors.popleft()
    errors.clear()
    return first


def _reader(descriptor: int, at: int) -> Callable[[memoryview], int]:
    """Return what reads a file from a place on, as the method `readinto` of a file does from where that stands."""

    def read_into(memory: memoryview) -> int:
        nonlocal at
        count = os.preadv(descriptor, [memory], at)
        at += count
        return count

    return read_into


def _fill(memory: memoryview, read_into: Callable[[memoryview], int]) -> None:
    """Fill a part from a file, with zeros where that ends before."""
    while memory.nbytes:
        count = read_into(memory)
        if not count:
            memory[:] = bytes(memory.nbytes)
            return
        memory = memory[count:]
