"""Frames between the supervisor and a worker: a length, a kind, a body.

Knows: bytes and plain values. May not know: who sends what, when.

Bodies are `marshal` of plain tuples: both ends run the same interpreter, and it costs a third of pickle. What marshal
does not take (a subclass of str among the names) is pickled instead. A value's bytes travel as they are.
"""

from __future__ import annotations

import marshal
import pickle
import struct
from collections.abc import Iterator

from memento.hints import Any
from memento.store.records import Encoded, Failure, LogSlice, Outcome, Series

_made: Any = tuple.__new__  # what `_make` of a named tuple does, without a call of Python's

HEADER = struct.Struct("<QB")
NUMBER = struct.Struct("<Q")

# To a worker
BATCH = 1  # (layouts: [(index, names)], small values: [(number, bytes)], first position, [task, ...])
VALUE = 2  # NUMBER, then the value's bytes
# From a worker
OUTCOME = 10
OUTCOME_PICKLED = 11
UPDATE = 12  # (number, done, total, metrics)
PASSED = 13  # position: it has passed this position, all revoked ones included
LEAVING = 14  # (position, reason): it runs nothing after this position, and ends
BROKEN = 15  # text: it could not begin at all
RING = 16  # there is something in the outbox
SPILL = 17  # what comes next in order is in the pipe
BACK = 18  # what comes next in order is in the outbox


def frame(kind: int, body: bytes) -> bytes:
    """Put a body into a frame."""
    return HEADER.pack(len(body), kind) + body


def pack(kind: int, content: Any) -> bytes:
    """Put plain values into a frame."""
    return frame(kind, marshal.dumps(content))


def unpack(body: bytes | memoryview) -> Any:
    """Take plain values out of a body."""
    return marshal.loads(body)


def pack_outcome(outcome: Outcome) -> bytes:
    """Put an outcome into a frame."""
    value, metrics, artifacts, log, failure = outcome[9:]
    plain: Any = (
        *outcome[:9],
        value and tuple(value),
        tuple(map(_plain_series, metrics)) if metrics else (),
        artifacts,
        log and tuple(log),
        failure and tuple(failure),
    )
    try:
        return frame(OUTCOME, marshal.dumps(plain))
    except ValueError:
        return frame(OUTCOME_PICKLED, pickle.dumps(outcome, protocol=5))


def _plain_series(series: Series) -> tuple[Any, ...]:
    # Exact numbers: marshal would take a NumPy number for a buffer of bytes.
    name, count, last, minimum, maximum, data = series
    return name, int(count), float(last), float(minimum), float(maximum), data


def unpack_outcome(kind: int, body: bytes | memoryview) -> Outcome:
    """Take an outcome out of a body."""
    if kind == OUTCOME_PICKLED:
        outcome: Outcome = pickle.loads(body)
        return outcome
    plain: Any = marshal.loads(body)
    value, metrics, artifacts, log, failure = plain[9:]
    made: Outcome = _made(
        Outcome,
        (
            *plain[:9],
            value and _made(Encoded, value),
            tuple(map(Series._make, metrics)) if metrics else (),
            artifacts,
            log and _made(LogSlice, log),
            failure and _made(Failure, failure),
        ),
    )
    return made


class Frames:
    """Bytes as they arrive, whole frames as they leave.

    Examples
    --------
    >>> frames = Frames()
    >>> data = pack(UPDATE, (1, 2.0)) + pack(PASSED, 7)
    >>> frames.add(data[:-3])
    >>> [(kind, unpack(body)) for kind, body in frames]
    [(12, (1, 2.0))]
    >>> frames.add(data[-3:])
    >>> [(kind, unpack(body)) for kind, body in frames]
    [(13, 7)]
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._needed = HEADER.size
        self.total = 0  # bytes that ever came

    @property
    def waiting(self) -> int:
        """How many bytes are there of a frame that is not whole yet."""
        return self._size

    def add(self, data: bytes) -> None:
        """Take what was read."""
        self._pending.append(data)
        self._size += len(data)
        self.total += len(data)

    def __iter__(self) -> Iterator[tuple[int, memoryview]]:
        # Joined only once enough is there: a frame of gigabytes arrives in many thousands of pieces.
        if self._size < self._needed:
            return
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        view, start, end = memoryview(data), 0, len(data)
        self._pending, self._needed = [], HEADER.size
        while end - start >= HEADER.size:
            length, kind = HEADER.unpack_from(data, start)
            if end - start - HEADER.size < length:
                self._needed = HEADER.size + length
                break
            start += HEADER.size
            yield kind, view[start : start + length]
            start += length
        if start < end:
            self._pending = [data[start:]]
        self._size = end - start
