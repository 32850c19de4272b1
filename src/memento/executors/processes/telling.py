"""What a worker tells its supervisor: in memory that both share, and through a pipe.

Knows: items, frames, an outbox, a pipe. May not know: tasks, what they are about.

    in order     items: outcomes and what must follow them. They begin in the pipe and go on in the outbox, which costs
                 no call of the system; when that is full, a TURN in it says that the pipe is next, and a TURN in the
                 pipe that the outbox is.
    unordered    frames in the pipe: updates of a task, and rings, which say that something is in the outbox

A worker rings at most once a millisecond, so what it left within the millisecond after a ring may lie there with
no other: whoever heard it listens once more a little later. What was told survives the worker, in either place.
"""

from __future__ import annotations

import os
import threading

from memento.executors.processes import wire
from memento.executors.processes.outbox import SIZE, Outbox

RING_EVERY = 0.001  # seconds
_READ = 1 << 18
_RING = wire.frame(wire.RING, b"")
_TURN = wire.item(wire.TURN)


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
            self.send(wire.frame(wire.ITEM, _TURN))
            self._spilled = False

    def tell(self, item: bytes) -> None:
        """Leave an item, in order."""
        if not self._spilled:
            if self._outbox.put(item, len(_TURN)):
                self._left = True
                return
            self._outbox.put(_TURN)
            self._spilled = True
        self.send(wire.frame(wire.ITEM, item))

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
        self._frames = wire.Frames()
        self._in_pipe: list[wire.Item] = []  # in order, not handed out yet
        self._in_box: list[wire.Item] = []
        self._spilled = True  # the next of them comes through the pipe
        self.heard = 0  # how many items and frames were ever told

    def take(self, *, pipe: bool) -> tuple[list[wire.Item], list[wire.Frame]]:
        """Return the items that are there, in the outbox and in the pipe if asked, and frames that have no order.

        Raises
        ------
        ValueError
            Something else is in the outbox.
        """
        frames: list[wire.Frame] = []
        if pipe:
            self._read()
            for frame in self._frames:
                self.heard += 1
                if frame[0] == wire.ITEM:
                    self._in_pipe += wire.items(1, frame[1])
                elif frame[0] != wire.RING:
                    frames.append(frame)
        pieces, data = self._outbox.take()
        if pieces:
            self.heard += pieces
            self._in_box += wire.items(pieces, data)
        found: list[wire.Item] = []
        while items := self._in_pipe if self._spilled else self._in_box:
            turn = items.index(wire.TURN) if wire.TURN in items else len(items)
            found += items[:turn]
            if turn < len(items):
                self._spilled = not self._spilled
            del items[: turn + 1]
        return found, frames

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._pipe, _READ)
            except BlockingIOError:
                return
            if data:
                self._frames.add(data)
            if len(data) < _READ:
                return

    def close(self) -> None:
        """Let go of the memory. Idempotent."""
        self._outbox.close()
