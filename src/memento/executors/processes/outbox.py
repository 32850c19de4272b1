"""Memory in which a worker leaves what it has to tell, so that telling costs it no call of the system.

Knows: bytes that one process puts in and another takes out. May not know: what they mean, who rings whom.

    written   uint64   how many pieces and how many bytes were ever put in (32 bits each); set after they are there
    taken     uint64   bytes that were ever taken out (32 bits)
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
_LOW = 0xFFFF_FFFF
WHOLE = 2 * _HEAD + SIZE  # bytes of memory that an outbox takes


class Outbox:
    """One worker's outbox, seen from one side.

    Parameters
    ----------
    memory : memoryview
        `WHOLE` bytes, shared, zero at first.

    Examples
    --------
    >>> memory = memoryview(bytearray(WHOLE))
    >>> worker, supervisor = Outbox(memory), Outbox(memory)
    >>> worker.put(b"first") and worker.put(b"second")
    True
    >>> supervisor.take(), supervisor.take()
    ((2, b'firstsecond'), (0, b''))
    """

    def __init__(self, memory: memoryview) -> None:
        self._words = memory[: 2 * _HEAD].cast("Q")
        self._ring = memory[2 * _HEAD :]
        self._pieces = self._bytes = 0  # ever put in, or taken out, at this side
        self._room = 0  # bytes that there were when the other side was last looked at, less what came since

    def clear(self) -> None:
        """Make it ready for a new writer."""
        self._words[0] = self._words[_TAKEN] = 0

    def room(self) -> int:
        """Return how many bytes can be put in."""
        self._room = SIZE - (self._bytes - self._words[_TAKEN] & _LOW) if system.STORES_IN_ORDER else 0
        return self._room

    def put(self, data: bytes, spare: int = 0) -> bool:
        """Put a piece in, where it fits and leaves so much room; tell whether it did."""
        size = len(data)
        if size + spare > self._room and size + spare > self.room():
            return False
        start = self._bytes % SIZE
        end = start + size
        if end <= SIZE:
            self._ring[start:end] = data
        else:
            self._ring[start:] = data[: SIZE - start]
            self._ring[: end - SIZE] = data[SIZE - start :]
        self._room -= size
        self._bytes += size
        self._pieces += 1
        self._words[0] = (self._pieces & _LOW) << 32 | self._bytes & _LOW
        return True

    def take(self) -> tuple[int, bytes]:
        """Take out all that is there: how many pieces, and their bytes one after the other."""
        word = self._words[0]
        pieces, size = (word >> 32) - self._pieces & _LOW, word - self._bytes & _LOW
        if not pieces:
            return 0, b""
        if size > SIZE or pieces > size:
            raise ValueError("what a worker's outbox says of itself cannot be")
        start = self._bytes % SIZE
        end = start + size
        ring = self._ring
        data = bytes(ring[start:end]) if end <= SIZE else bytes(ring[start:]) + bytes(ring[: end - SIZE])
        self._pieces += pieces
        self._bytes += size
        self._words[_TAKEN] = self._bytes & _LOW
        return pieces, data

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._ring.release()
