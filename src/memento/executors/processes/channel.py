"""The channel between the supervisor and a worker: two pipes with frames in them.

Knows: bytes, pickles, descriptors. May not know: who is told what, when, why.

A frame has a length, a kind and a body. A worker writes each outcome whole before it begins its next task: what stands
in a pipe survives its writer, so nothing that has finished is lost, whatever the next task does to the process.

The supervisor's ends never block; a worker's do. A worker that finds its pipe full waits until the supervisor reads;
what does not fit into a worker's pipe waits in the supervisor's memory. So the two never wait for each other.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import threading
from collections.abc import Iterator
from typing import Any

from memento.records import Encoded, LogSlice, Outcome

HEADER = struct.Struct("<QB")
NUMBER = struct.Struct("<Q")
Frame = tuple[int, memoryview]

CONTROL = 0  # between supervisor and server; see `server`
# To a worker
BATCH = 1  # (layouts: [(index, names)], small values: [(number, bytes)], first position, [task, ...])
VALUE = 2  # NUMBER, then the value's bytes as they are
# From a worker
OUTCOME = 10  # the fields of an outcome
UPDATE = 11  # (number, done, total, metrics, doing)
PASSED = 12  # position: it has passed this position, all revoked ones included
LEAVING = 13  # (position, reason): it runs nothing after this position, and ends
BROKEN = 14  # (how, what): it could not begin at all

_VALUE, _LOG = Outcome._fields.index("value"), Outcome._fields.index("log")
_LARGEST = 1 << 29  # bytes of a worker's frame; eight letters that a task has printed there say more
_READ = 1 << 18
_PIPE = 1 << 20  # bytes of a pipe's buffer: some thousand outcomes; Linux grants it, others have their own


class Garbled(Exception):
    """What a worker wrote is no message: a task has written to its pipe, or changed functions of Python."""


def frame(kind: int, body: bytes) -> bytes:
    """Put a body into a frame."""
    return HEADER.pack(len(body), kind) + body


def pack(kind: int, content: Any) -> bytes:
    """Put plain values into a frame."""
    return frame(kind, pickle.dumps(content, 5))


def pack_outcome(outcome: Outcome) -> bytes:
    """Put an outcome into a frame."""
    # As plain tuples what every task has: to look up a class by its name takes longer than all else.
    fields: list[Any] = list(outcome)
    if outcome.value is not None:
        fields[_VALUE] = tuple(outcome.value)
    if outcome.log is not None:
        fields[_LOG] = tuple(outcome.log)
    return pack(OUTCOME, fields)


def unpack(kind: int, body: memoryview) -> Any:
    """Take the content out of a frame; raises Garbled."""
    try:
        content = pickle.loads(body)
        if kind == OUTCOME:
            if content[_VALUE] is not None:
                content[_VALUE] = Encoded._make(content[_VALUE])
            if content[_LOG] is not None:
                content[_LOG] = LogSlice._make(content[_LOG])
            return Outcome._make(content)
    except Exception as exc:  # what is no pickle may raise anything
        raise Garbled from exc
    return content


class Frames:
    """Bytes as they arrive, whole frames as they leave.

    Examples
    --------
    >>> frames = Frames()
    >>> data = pack(UPDATE, (1, 2.0)) + pack(PASSED, 7)
    >>> frames.add(data[:-3])
    >>> [(kind, unpack(kind, body)) for kind, body in frames]
    [(11, (1, 2.0))]
    >>> frames.add(data[-3:])
    >>> [(kind, unpack(kind, body)) for kind, body in frames]
    [(12, 7)]
    """

    def __init__(self, largest: int = sys.maxsize) -> None:
        self._largest = largest  # bytes of a body that may be
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
        self._pending, self._size, self._needed = [], 0, HEADER.size
        while end - start >= HEADER.size:
            length, kind = HEADER.unpack_from(data, start)
            if length > self._largest:
                raise Garbled
            if end - start - HEADER.size < length:
                self._needed = HEADER.size + length
                break
            start += HEADER.size + length
            yield kind, view[start - length : start]
        if start < end:
            self._pending, self._size = [data[start:]], end - start


class Sender:
    """A worker's writing end, which may block; a task's threads may use it too."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._lock = pipe, threading.Lock()

    def send(self, data: bytes) -> None:
        """Write a whole frame."""
        with self._lock:
            done = os.write(self._pipe, data)
            while done < len(data):  # a pipe that is nearly full takes a part
                done += os.write(self._pipe, memoryview(data)[done:])


class Receiver:
    """The supervisor's reading end, which never blocks."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._frames = pipe, Frames(_LARGEST)
        self.ended = False  # nobody has the other end any more

    def messages(self) -> Iterator[tuple[int, Any]]:
        """Read all that is there, and yield the kind and the content of each frame; raises Garbled."""
        more = True
        while more:
            try:
                data = os.read(self._pipe, _READ)
            except BlockingIOError:
                return
            self.ended, more = not data, len(data) == _READ
            self._frames.add(data)
            for kind, body in self._frames:
                yield kind, unpack(kind, body)


def make_pipes() -> tuple[int, int, int, int]:
    """Return (worker reads, we write, we read, worker writes); our ends never block."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    os.set_blocking(ours_out, False)
    os.set_blocking(ours_in, False)
    try:
        import fcntl

        for descriptor in (ours_out, ours_in):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
    except (ImportError, AttributeError, OSError):
        pass  # smaller pipes serve too
    return theirs_in, ours_out, ours_in, theirs_out
