"""Digest the content of files: fast enough that verifying never costs more than reading.

Knows: bytes. May not know: files, values.

Up to 64 KiB: BLAKE2b. Above: each page of 4 KiB becomes one 64-bit number, the sum of its 512 words each times
an odd number of its own (mod 2**64), and BLAKE2b runs over these numbers. Measured on one core: BLAKE2b
0.9 GB/s, SHA-256 1.8, CRC-32 4.2, this 12; pickle to a file with fsync reaches 2. So a strong hash over all bytes would
halve the speed of every checkpoint. A changed word always changes its page's sum; torn, zeroed, moved and flipped
pages are seen; two different contents of one size meet by chance once in 2**64. It is no defence against someone who
makes a collision on purpose: payload files compare bytes before they share a name.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from memento.hints import Any
from memento.keys.blake2 import blake2b

PAGE = 4096
SMALL = 65_536
_BLOCK = 16 << 20  # bytes digested at a time, so that the sums of a large buffer need little memory


@functools.cache
def _weights() -> Any:
    import hashlib

    import numpy

    return numpy.frombuffer(hashlib.shake_128(b"memento pages").digest(PAGE), dtype="<u8") | numpy.uint64(1)


def digest(buffers: Iterable[memoryview | bytes]) -> bytes:
    """Digest buffers as if they were one.

    Parameters
    ----------
    buffers : iterable of bytes-like
        One-dimensional, of bytes, as ``memoryview(x).cast("B")``.

    Returns
    -------
    bytes
        16 bytes; the same however the content is cut into buffers.

    Examples
    --------
    >>> digest([b"ab", b"c"]) == digest([b"abc"])
    True
    """
    parts = [memoryview(b) for b in buffers]
    size = sum(p.nbytes for p in parts)
    if size <= SMALL:
        small = blake2b(digest_size=16)
        for part in parts:
            small.update(part)
        return small.digest()
    import numpy

    state = blake2b(b"pages" + size.to_bytes(8, "little"), digest_size=16)
    rest = b""  # what stands before the next whole page
    for part in parts:
        start = 0
        if rest:
            start = min(PAGE - len(rest), part.nbytes)
            rest += bytes(part[:start])
            if len(rest) < PAGE:
                continue
            state.update(_sums(numpy.frombuffer(rest, dtype="<u8")))
            rest = b""
        whole = (part.nbytes - start) // PAGE * PAGE
        for at in range(start, start + whole, _BLOCK):
            end = min(at + _BLOCK, start + whole)
            state.update(_sums(numpy.frombuffer(part[at:end], dtype="<u8")))
        rest = bytes(part[start + whole :])
    state.update(rest)
    return state.digest()


def _sums(words: Any) -> bytes:
    sums = words.reshape(-1, PAGE // 8) @ _weights()
    return bytes(sums.astype("<u8", copy=False).tobytes())
