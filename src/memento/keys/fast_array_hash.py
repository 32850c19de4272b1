"""Hash large arrays at the speed of memory, where only changes are to be seen.

Knows: words of 64 bits. May not know: keys, which need the same digest for equal arrays of every layout and library.

Each block of words is summed up twice, with random weights: the words, whose weights are odd, so that no one word can
change without the sum, and their upper halves, whose changes leave few bits in the first sum. The sums are hashed. That
reads 4 GB a second on one core, BLAKE2b 0.9 GB: the arrays of a script are to be hashed at every run, cached ones too.
Nobody is to be kept from making two arrays of one digest; chance makes them once in 2**64.
"""

from __future__ import annotations

import sys
from hashlib import blake2b
from typing import Any

LARGE = 1 << 20  # bytes; below, BLAKE2b takes a millisecond
_BLOCK = 1 << 14  # words: 128 KiB, which stay in the cache of a core
_GOLDEN, _MIX = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of the generator SplitMix64


def large_digest(value: Any, np: Any) -> bytes | None:
    """Return a digest of an array's dtype, shape and memory, or None where its memory is not its value."""
    if sys.byteorder != "little" or value.nbytes < LARGE or not _is_memory(value):
        return None
    hasher = blake2b(repr((value.dtype.str, value.shape, value.flags.c_contiguous)).encode(), digest_size=16)
    flat = value if value.flags.c_contiguous else value.T
    octets = flat.reshape(-1).view(np.uint8)
    whole = octets.size - octets.size % 8
    words = octets[:whole].view(np.uint64)
    weights = _random_words(2 * _BLOCK, np)
    odd, others, half = weights[:_BLOCK] | np.uint64(1), weights[_BLOCK:], np.uint64(32)
    for start in range(0, words.size, _BLOCK):
        block = words[start : start + _BLOCK]
        hasher.update(block.dot(odd[: block.size]))
        hasher.update((block >> half).dot(others[: block.size]))
    hasher.update(octets[whole:].tobytes())
    return hasher.digest()


def _is_memory(value: Any) -> bool:
    contiguous = value.flags.c_contiguous or value.flags.f_contiguous
    plain = value.dtype.kind in "biufcmMSU" and value.dtype.isbuiltin == 1 and value.dtype.char not in "gG"
    return bool(contiguous and (plain or value.dtype.kind in "SUmM"))


def _random_words(count: int, np: Any) -> Any:
    """Return the same words always: those of SplitMix64 from zero on."""
    words = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    for shift, factor in zip((30, 27), _MIX, strict=True):
        words = (words ^ (words >> np.uint64(shift))) * np.uint64(factor)
    return words ^ (words >> np.uint64(31))
