"""Combine the digests of values into the keys of tasks.

Knows: digests and the layout of a key. May not know: what the values are.

    part = H("p" or "s", name, value's digest)                    16 bytes, once a distinct value
    body = H(version, settings' parts, parameters' parts, repeat's part)     once a task
    key  = body XOR H(experiment)

Parts have a fixed length and carry their own names, so that they can be joined without separators and an
absent one leaves no trace. That is what lets a grid grow a dimension and keep its keys. The experiment's name is
laid over the body, so that `memento rename` finds the new key of a stored result without its parameters' values.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice

# Every task key depends on it. A change of the format is a change of this byte, and a breaking release.
VERSION = 1

_AT_ONCE = 256  # hashers: so few that each lot takes the memory of the one before, which is in the cache


def part(namespace: str, name: str, value_digest: bytes | None) -> bytes:
    """Return what one parameter or setting contributes to a key."""
    if value_digest is None:
        return b""
    raw = name.encode("utf-8", "surrogatepass")
    told = len(raw).to_bytes(8, "little") + raw + value_digest + namespace.encode()
    return blake2b(told, digest_size=16, person=b"memento part").digest()


def repeat_part(repeat: int) -> bytes:
    """Return what a repeat contributes: nothing for the first, so that `repeats` can be raised later."""
    return part("r", "", repeat.to_bytes(16, "little")) if repeat else b""


def task_digest(key: bytes, experiment: str) -> bytes:
    """Return the digest that stands for an upstream task where its result is a parameter."""
    return blake2b(_laid_over(key, _mask(experiment)), digest_size=16, person=b"memento task").digest()


def _mask(experiment: str) -> bytes:
    raw = experiment.encode("utf-8", "surrogatepass")
    return blake2b(raw, digest_size=16, person=b"memento exp").digest()


def _laid_over(keys: bytes, mask: bytes) -> bytes:
    """Return keys or bodies, joined, each XOR a mask."""
    size = len(keys)
    masks = int.from_bytes(mask * (size // len(mask)), "little")
    return (int.from_bytes(keys, "little") ^ masks).to_bytes(size, "little")


def renamed_keys(keys: bytes, old: str, new: str) -> bytes:
    """Return the keys that tasks have under another name of their experiment."""
    return _laid_over(_laid_over(keys, _mask(old)), _mask(new))


class TaskKeys:
    """Make the keys of one experiment's tasks."""

    def __init__(self, experiment: str, settings_parts: Iterable[bytes] = ()) -> None:
        self._mask = _mask(experiment)
        self._base = blake2b(bytes([VERSION]), digest_size=16, person=b"memento key")
        self._base.update(b"".join(sorted(settings_parts)))

    def key(self, parts: Iterable[bytes], repeat: int = 0) -> bytes:
        """Return the key of one task."""
        return self.keys([(*parts, repeat_part(repeat))])

    def keys(self, rows: Iterable[tuple[bytes, ...]]) -> bytes:
        """Return the keys of many tasks, joined."""
        copy, join = self._base.copy, b"".join
        kind = type(self._base)
        texts, keys = map(join, rows), []
        while some := list(islice(texts, _AT_ONCE)):
            # A copy takes half of the time of a new hasher, since the prefix is hashed once; and step by step
            # for many, all but the copying goes on in C.
            hashers = [copy() for _ in some]
            deque(map(kind.update, hashers, some), maxlen=0)
            keys.append(_laid_over(join(map(kind.digest, hashers)), self._mask))
        return join(keys)
