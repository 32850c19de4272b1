"""What a worker tells its supervisor: in memory that both share, and through a pipe.

Knows: frames, an outbox, a pipe. May not know: tasks, what the frames are about.

    in order     outcomes and what must follow them. They begin in the pipe and go on in the outbox, which costs no call
                 of the system; when that is full, SPILL in it says that the pipe is next, and BACK in the pipe that
                 the outbox is.
    unordered    always in the pipe: updates of a task, and rings, which say that something is in the outbox

A worker rings at most once a millisecond, so what it left within the millisecond after a ring may lie there with
no other: whoever heard it listens once more a little later. What was told survives the worker, in either place.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from memento.executors.processes import wire
from memento.executors.processes.outbox import SIZE, Outbox

RING_EVERY = 0.001  # seconds
_READ = 1 << 18
_RING, _SPILL, _BACK = (wire.frame(kind, b"") for kind in (wire.RING, wire.SPILL, wire.BACK))

Frame = tuple[int, memoryview]


class Teller:
    """The worker's end.

    Parameters
    ----------
    pipe : int
        Descriptor to write to; it may block.
    outbox : Outbox
        Empty.
    """

    def __init__(self, pipe: int, outbox: Outbox) -> None:
        self._pipe, self._outbox = pipe, outbox
        self._spilled = True  # what is told in order goes through the pipe
        self._left, self._rung = False, 0.0  # something lies there unrung for; monotonic seconds
        self._lock = threading.Lock()  # a task's threads may tell how far it is

    def use_outbox(self) -> None:
        """Go back to the outbox where it has room again."""
        if self._spilled and self._outbox.room() >= SIZE // 2:
            self.send(_BACK)
            self._spilled = False

    def tell(self, frame: bytes) -> None:
        """Leave a frame, in order."""
        if not self._spilled:
            if self._outbox.put(frame, len(_SPILL)):
                self._left = True
                return
            self._outbox.put(_SPILL)
            self._spilled = True
        self.send(frame)

    def ring(self, now: float | None = None) -> None:
        """Say that something is there, if it is; not too soon after the last time, where the time is given."""
        if self._left and (now is None or now - self._rung >= RING_EVERY):
            self._left = False
            if now is not None:
                self._rung = now
            self.send(_RING)

    def send(self, data: bytes) -> None:
        """Write a whole frame into the pipe."""
        # A pipe's writes beyond its free room wait and may come back short.
        with self._lock:
            done = os.write(self._pipe, data)
            while done < len(data):
                done += os.write(self._pipe, memoryview(data)[done:])


class Listener:
    """The supervisor's end.

    Parameters
    ----------
    pipe : int
        Descriptor to read from; never blocks.
    outbox : Outbox
        The worker's.
    """

    def __init__(self, pipe: int, outbox: Outbox) -> None:
        self._pipe, self._outbox = pipe, outbox
        self._piped, self._boxed = wire.Frames(), wire.Frames()
        self._in_pipe: deque[Frame] = deque()  # frames in order, not handed out yet
        self._in_box: deque[Frame] = deque()
        self._spilled = True  # the next of them comes through the pipe

    @property
    def heard(self) -> int:
        """How many bytes were ever told."""
        return self._piped.total + self._boxed.total

    def take(self, *, pipe: bool) -> list[Frame]:
        """Return the frames that are there: in the outbox, and in the pipe if asked.

        Raises
        ------
        ValueError
            Something else is in the outbox.
        """
        found: list[Frame] = []
        if pipe:
            self._read()
            for frame in self._piped:
                if frame[0] == wire.UPDATE:
                    found.append(frame)
                elif frame[0] != wire.RING:
                    self._in_pipe.append(frame)
        data = self._outbox.take()
        if data:
            self._boxed.add(data)
            self._in_box.extend(self._boxed)
            if self._boxed.waiting:  # frames are put in whole: this is none, and would be waited for for ever
                raise ValueError("what a worker left is no frame")
        while queue := self._in_pipe if self._spilled else self._in_box:
            frame = queue.popleft()
            if frame[0] == wire.SPILL or frame[0] == wire.BACK:
                self._spilled = frame[0] == wire.SPILL
            else:
                found.append(frame)
        return found

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._pipe, _READ)
            except BlockingIOError:
                return
            if data:
                self._piped.add(data)
            if len(data) < _READ:
                return

    def close(self) -> None:
        """Let go of the memory. Idempotent."""
        self._outbox.close()
