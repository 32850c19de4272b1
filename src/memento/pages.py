"""Ask the operating system for pages of memory; beside `system` the one file in which systems differ.

Knows: madvise(2) and its kin, how CPython makes a bytearray. May not know: what the memory is for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from memento.system import LINUX, WINDOWS

_PAGE_SIZE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of madvise(2); the module mmap does not name it
_FEW = 65_536  # bytes of memory whose pages are not worth a call


def fresh_memory(size: int) -> memoryview:
    """Return writable memory of its own that is about to be filled whole; gone with the last view of it.

    In small pages: huge ones, which numpy asks for, cost several times as much where the system has none at hand.

    Raises
    ------
    MemoryError
        There is not so much.
    """
    import mmap

    try:
        if WINDOWS:
            return memoryview(mmap.mmap(-1, size))
        # Private: a copy of this process must not see what is changed here.
        return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON))
    except OSError as exc:
        raise MemoryError(f"no memory for {size:,} bytes") from exc


def touch(mapped: Any) -> None:
    """Read all of a mapped file now (Linux 5.14); an OSError where the disk cannot read it.

    Else whoever looks at such a page gets a SIGBUS, which ends the process.
    """
    if LINUX:
        try:
            mapped.madvise(22)  # MADV_POPULATE_READ: madvise(2)
        except OSError as exc:
            if exc.errno in (errno.EFAULT, 133):  # EHWPOISON, which Python does not name
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from exc
            # EINVAL: an older kernel, which does not know it.


def unfilled(size: int) -> bytearray:
    """Return memory as the allocator gives it; `bytearray(size)` would write zeros over all of it first."""
    return bytearray(size) if size < _FEW else _byte_array()(size)


def take(memory: memoryview) -> None:
    """Have the system give the pages of some memory now: one at a time, when touched, costs half as much again.

    Several threads may do so at once, each for its part of the memory. Where the system cannot (before Linux 5.14),
    nothing is lost.
    """
    if not LINUX or memory.nbytes < _FEW:
        return
    import ctypes

    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    end = -(-(start + memory.nbytes) // _PAGE_SIZE) * _PAGE_SIZE
    start = start // _PAGE_SIZE * _PAGE_SIZE
    advise, look = _memory_calls()
    there = ctypes.create_string_buffer(1)
    # Memory that the allocator gives once more has its pages; to ask for them again is not free. Not the last one,
    # which what follows may have touched.
    if look(end - 2 * _PAGE_SIZE, _PAGE_SIZE, there) == 0 and not there.raw[0] & 1:
        advise(start, end - start, _POPULATE_WRITE)


@lru_cache
def _memory_calls() -> tuple[Callable[[int, int, int], int], Callable[[int, int, Any], int]]:
    """Return madvise(2) and mincore(2)."""
    import ctypes

    library = ctypes.CDLL(None)
    place, size = ctypes.c_void_p, ctypes.c_size_t
    advise = ctypes.CFUNCTYPE(ctypes.c_int, place, size, ctypes.c_int)(("madvise", library))
    look = ctypes.CFUNCTYPE(ctypes.c_int, place, size, ctypes.c_char_p)(("mincore", library))
    return advise, look


@lru_cache
def _byte_array() -> Callable[[int], bytearray]:
    import ctypes

    api = getattr(ctypes, "pythonapi", None)
    if api is None:  # not CPython
        return bytearray
    prototype = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)
    return partial(prototype(("PyByteArray_FromStringAndSize", api)), None)
