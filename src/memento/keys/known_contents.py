"""Remember the hashes of large arrays, so that a content is hashed for keys once, not in every run and process.

Knows: two hashes of the same bytes: a quick one, and the one that keys are made of, which takes thirty times as long.
May not know: arrays, what a store is.

A content is known by its quick hash, never by the object that has it: what was changed in place is another content.
"""

from __future__ import annotations

import contextlib
import os
from hashlib import blake2b

_known: dict[bytes, bytes] = {}  # of a process; 32 bytes for each
_file = ""  # where those of all processes are kept
_seen = 0  # how much of it was read


def keep_in(file: str) -> None:
    """Share what is known with all processes that keep it in the same file."""
    global _file, _seen
    _file, _seen = file, 0


def known_hash(quick: bytes) -> bytes | None:
    """Return the hash of a content that has a quick one, where some process has made it."""
    if quick not in _known and _file:
        with contextlib.suppress(OSError):
            _recall()
    return _known.get(quick)


def remember(quick: bytes, exact: bytes) -> None:
    """Let all processes know the two hashes of a content."""
    _known[quick] = exact
    if _file:
        with contextlib.suppress(OSError):  # it is full, or not to be written to
            _note(quick, exact)


def _recall() -> None:
    global _seen
    with open(_file, "rb") as stream:
        stream.seek(_seen)
        text = stream.read()
    _seen += len(text)
    for line in text.decode("ascii", "replace").splitlines():
        quick, _, rest = line.partition(" ")
        exact, _, check = rest.partition(" ")
        # A damaged line would give a value another's key.
        if check and check == _check(quick, exact):
            _known[bytes.fromhex(quick)] = bytes.fromhex(exact)


def _note(quick: bytes, exact: bytes) -> None:
    words = quick.hex(), exact.hex()
    file = os.open(_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        # In one piece, as others write too; a new line first, as the last may have been cut short.
        os.write(file, f"\n{' '.join(words)} {_check(*words)}\n".encode())
    finally:
        os.close(file)


def _check(*words: str) -> str:
    return blake2b(" ".join(words).encode(), digest_size=16, person=b"memento content").hexdigest()
