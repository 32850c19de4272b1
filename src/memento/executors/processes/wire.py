"""What goes between the supervisor and a worker: frames, which have a length, a kind, a body; and items.

Knows: bytes and plain values. May not know: who sends what, when.

Bodies and items are `marshal` of plain tuples: both ends run the same interpreter, and it costs a third of pickle. What
marshal does not take (a subclass of str among the names) is pickled instead. A value's bytes travel as they are.

An item is an outcome, as the tuple of its fields, or a kind and what belongs to it. Many are read at once: put behind
the head of a list they are, for marshal, that list, as long as none of them refers to another (versions before 3).
"""

from __future__ import annotations

import io
import marshal
import pickle
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from memento.records import Encoded, Failure, LogSlice, Outcome, Piece, Series

HEADER = struct.Struct("<QB")
NUMBER = struct.Struct("<Q")
Frame = tuple[int, memoryview]
Item = tuple[Any, ...]

# Frames to a worker
BATCH = 1  # (layouts: [(index, names)], small values: [(number, bytes)], first position, [task, ...])
VALUE = 2  # NUMBER, then the value's bytes
# Frames from a worker
UPDATE = 12  # (number, done, total, metrics)
BROKEN = 15  # text: it could not begin at all
RING = 16  # there is something in the outbox
ITEM = 17  # an item
# Items from a worker, beside outcomes
PICKLED = 20  # an outcome, pickled
PASSED = 21  # position: it has passed this position, all revoked ones included
LEAVING = 22  # (position, reason): it runs nothing after this position, and ends

TURN: Item = ()  # the next item comes the other way
GARBLED: Item = (None,)  # what stands here is no item
OUTCOME = len(Outcome._fields)  # fields of an item that is an outcome
_VERSION = 2  # of marshal
_LIST = struct.Struct("<ci")
_UNREADABLE = (EOFError, ValueError, TypeError)


def frame(kind: int, body: bytes) -> bytes:
    """Put a body into a frame."""
    return HEADER.pack(len(body), kind) + body


def pack(kind: int, content: Any) -> bytes:
    """Put plain values into a frame."""
    return frame(kind, marshal.dumps(content))


def unpack(body: bytes | memoryview) -> Any:
    """Take plain values out of a body."""
    return marshal.loads(body)


def item(content: Item) -> bytes:
    """Make an item.

    Examples
    --------
    >>> items(2, item((PASSED, 7)) + item(TURN))
    [(21, 7), ()]
    """
    return marshal.dumps(content, _VERSION)


def items(count: int, data: bytes | memoryview) -> list[Item]:
    """Take items apart that stand one after the other; GARBLED comes after the last that can be read."""
    try:
        found: list[Item] = marshal.loads(_LIST.pack(b"[", count) + data)
    except _UNREADABLE:
        pass
    else:
        if set(map(type, found)) <= {tuple}:
            return found
    found, file = [], io.BytesIO(data)
    while len(found) < count:
        try:
            one = marshal.load(file)
        except _UNREADABLE:
            break
        if type(one) is not tuple:
            break
        found.append(one)
    return [*found, GARBLED]


def pack_outcome(outcome: Outcome) -> bytes:
    """Make an outcome an item."""
    value, metrics, artifacts, log, failure, warnings, earlier, older = outcome[9:]
    plain: Any = (
        *outcome[:9],
        value and tuple(value),
        tuple(map(_plain_series, metrics)) if metrics else (),
        artifacts,
        log and tuple(log),
        failure and tuple(failure),
        warnings,
        tuple([(*piece[:7], piece.log and tuple(piece.log)) for piece in earlier]) if earlier else (),
        older,
    )
    try:
        return marshal.dumps(plain, _VERSION)
    except ValueError:
        return item((PICKLED, pickle.dumps(outcome, protocol=5)))


def _plain_series(series: Series) -> tuple[Any, ...]:
    # Exact numbers: marshal would take a NumPy number for a buffer of bytes.
    name, count, last, minimum, maximum, data = series
    return name, int(count), float(last), float(minimum), float(maximum), data


def unpack_outcome(item: Item) -> Outcome:
    """Make an item an outcome again."""
    if item[0] == PICKLED and len(item) == 2:
        pickled: Outcome = pickle.loads(item[1])
        return pickled
    value, metrics, artifacts, log, failure, warnings, earlier, older = item[9:]
    outcome: Outcome = tuple.__new__(
        Outcome,
        (
            *item[:9],
            value and Encoded._make(value),
            tuple(map(Series._make, metrics)) if metrics else (),
            artifacts,
            log and LogSlice._make(log),
            failure and Failure._make(failure),
            warnings,
            tuple([Piece._make((*piece[:7], piece[7] and LogSlice._make(piece[7]))) for piece in earlier]),
            older,
        ),
    )
    return outcome


def unpack_outcomes(items: Sequence[Item]) -> list[Outcome]:
    """Make items outcomes again, all at once; none where they are not all of a value and nothing else, as most are."""
    if set(map(len, items)) != {OUTCOME}:
        return []
    *facts, values, metrics, artifacts, logs, failures, warnings, earlier, older = zip(*items, strict=True)
    if any(map(any, (metrics, artifacts, logs, failures, warnings, earlier))):
        return []
    if set(map(type, values)) != {tuple}:
        return []
    encoded = map(Encoded._make, values)
    fields = zip(*facts, encoded, metrics, artifacts, logs, failures, warnings, earlier, older, strict=True)
    return list(map(Outcome._make, fields))


class Frames:
    """Bytes as they arrive, whole frames as they leave.

    Examples
    --------
    >>> frames = Frames()
    >>> data = pack(UPDATE, (1, 2.0)) + pack(BROKEN, 7)
    >>> frames.add(data[:-3])
    >>> [(kind, unpack(body)) for kind, body in frames]
    [(12, (1, 2.0))]
    >>> frames.add(data[-3:])
    >>> [(kind, unpack(body)) for kind, body in frames]
    [(15, 7)]
    """

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self._needed = HEADER.size

    def add(self, data: bytes) -> None:
        """Take what was read."""
        self._pending.append(data)
        self._size += len(data)

    def __iter__(self) -> Iterator[Frame]:
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
