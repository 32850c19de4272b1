"""Memory in which a worker leaves what it has to tell, so that telling costs it no call of the system.

Knows: bytes that one process puts in and another takes out. May not know: what they mean, who rings whom.

    written   int64   bytes that were ever put in; set after they are there
    taken     int64   bytes that were ever taken out
    bytes     a ring of `SIZE`

What was put in survives its writer, like what is in a pipe. One process writes `written` and the ring, another
`taken`; that the reader never sees the first before the second, only machines promise that show
stores to other cores in their order (`system.STORES_IN_ORDER`). Elsewhere there is never room.
"""

from __future__ import annotations

from memento import system

SIZE = 1 << 18  # bytes: 1,500 outcomes, which a worker makes in some 40 ms
_HEAD = 64  # a cache line each for the two that write
_TAKEN = _HEAD // 8
WHOLE = 2 * _HEAD + SIZE  # bytes of memory that an outbox takes


class Outbox:
    """One worker's outbox, seen from either side.

    Parameters
    ----------
    memory : memoryview
        `WHOLE` bytes, shared, zero at first.

    Examples
    --------
    >>> box = Outbox(memoryview(bytearray(WHOLE)))
    >>> box.put(b"first") and box.put(b"second")
    True
    >>> box.take(), box.take()
    (b'firstsecond', b'')
    """

    def __init__(self, memory: memoryview) -> None:
        self._words = memory[: 2 * _HEAD].cast("q")
        self._ring = memory[2 * _HEAD :]

    def clear(self) -> None:
        """Make it ready for a new writer."""
        self._words[0] = self._words[_TAKEN] = 0

    def room(self) -> int:
        """Return how many bytes can be put in."""
        return SIZE - self._words[0] + self._words[_TAKEN] if system.STORES_IN_ORDER else 0

    def put(self, data: bytes, spare: int = 0) -> bool:
        """Put bytes in, where they fit and leave so much room; tell whether they did."""
        words, size = self._words, len(data)
        written = words[0]
        if size + spare > self.room():
            return False
        start = written % SIZE
        end = start + size
        if end <= SIZE:
            self._ring[start:end] = data
        else:
            self._ring[start:] = data[: SIZE - start]
            self._ring[: end - SIZE] = data[SIZE - start :]
        words[0] = written + size
        return True

    def take(self) -> bytes:
        """Take out all that is there."""
        written, taken = self._words[0], self._words[_TAKEN]
        if written == taken:
            return b""
        start, end = taken % SIZE, written % SIZE
        ring = self._ring
        data = bytes(ring[start:end]) if start < end else bytes(ring[start:]) + bytes(ring[:end])
        self._words[_TAKEN] = written
        return data

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._ring.release()
