"""One worker as its supervisor sees it: pipes, what was sent to it, what it may have begun.

Knows: frames, slots, descriptors. May not know: the queue, other workers, limits.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from itertools import chain, repeat
from operator import attrgetter, itemgetter

from memento.executors.processes import wire
from memento.executors.processes.ends import Sentence
from memento.executors.processes.telling import Listener
from memento.executors.processes.worker import Place
from memento.worker.work import Task, Work

_PIPE = 1 << 20  # bytes of a pipe's buffer: a thousand outcomes; Linux grants it, others have their own
_SMALL = 1 << 16  # bytes; a larger value travels in a frame of its own, uncopied
_LAYOUT, _VALUES, _COST = attrgetter("layout"), attrgetter("values"), itemgetter(1)


class Link:
    """The supervisor's side of one worker.

    Parameters
    ----------
    place : Place
        Where it stands.
    read, write : int
        Our ends of its pipes: its word comes from one, batches go to the other; neither ever blocks.
    listener : Listener
        What hears it.
    pid : int
        Its process; 0 until the server has started it.
    """

    def __init__(self, place: Place, read: int, write: int, listener: Listener, pid: int = 0) -> None:
        self.place, self.read, self.write, self.listener, self.pid = place, read, write, listener, pid
        self.in_flight: dict[int, tuple[Task, float]] = {}  # position -> task, expected seconds
        self.load = 0.0  # expected seconds of what is in flight
        self.head = 0  # nothing before this position is in flight
        self.sent = 0  # tasks sent so far, which is the next position
        self.out: deque[memoryview] = deque()
        self.values: set[int] = set()
        self.layouts: set[int] = set()
        self.sentence: Sentence | None = None
        self.kill_at: float | None = None  # monotonic seconds: SIGTERM did not help
        self.revoked: int | None = None  # nothing from this position on is run, once `settles` is over
        self.settles = 0.0
        self.drained = False  # the revoked ones were taken back; it has yet to say that it passed them
        self.leaving = False  # nothing more is sent to it
        self.peak: int | None = None  # bytes; highest seen of the task it runs
        self.peak_position = -1
        self.watched = -1  # the position that `paused` is about
        self.paused = 0.0  # seconds in which its task was suspended, as far as was seen

    def queue_batch(self, work: Work, tasks: Sequence[Task], costs: Sequence[float]) -> None:
        """Send tasks, with the values and names that this worker has not seen."""
        layouts = set(map(_LAYOUT, tasks)) - self.layouts
        values = set(chain.from_iterable(map(_VALUES, tasks))) - self.values
        self.layouts |= layouts
        self.values |= values
        small = []
        for number in sorted(values):
            data = work.values[number]
            if len(data) <= _SMALL:
                small.append((number, data))
            else:
                head = wire.HEADER.pack(wire.NUMBER.size + len(data), wire.VALUE)
                self.out.append(memoryview(head + wire.NUMBER.pack(number)))
                self.out.append(memoryview(data))
        first, self.sent = self.sent, self.sent + len(tasks)
        self.in_flight.update(zip(range(first, self.sent), zip(tasks, costs, strict=True), strict=True))
        self.load += sum(costs)
        names = [(number, tuple(work.layouts[number])) for number in sorted(layouts)]
        batch = (names, small, first, list(map(tuple, tasks)))
        self.out.append(memoryview(wire.pack(wire.BATCH, batch)))

    def flush(self) -> bool:
        """Write what the pipe takes now; True when nothing is left."""
        try:
            while self.out:
                piece = self.out[0]
                done = os.write(self.write, piece)
                if done == len(piece):
                    self.out.popleft()
                else:
                    self.out[0] = piece[done:]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            self.out.clear()  # it has ended, and the server will say how
        return True

    def oldest(self) -> int:
        """Return the first position in flight; what was sent so far where there is none."""
        # Counted on: the first key of a dict whose front is taken away again and again is slow to find.
        while self.head < self.sent and self.head not in self.in_flight:
            self.head += 1
        return self.head

    def finish(self, position: int) -> Task | None:
        """Take a task off the table."""
        entry = self.in_flight.pop(position, None)
        if entry is None:
            return None
        self.load = self.load - entry[1] if self.in_flight else 0.0
        return entry[0]

    def finish_oldest(self, count: int) -> list[Task]:
        """Take the first tasks in flight off the table; fewer where there are no more."""
        entries: list[tuple[Task, float]] = []
        while len(entries) < count and self.head < self.sent:
            # What was taken back has left holes.
            first, self.head = self.head, min(self.head + count - len(entries), self.sent)
            entries += filter(None, map(self.in_flight.pop, range(first, self.head), repeat(None)))
        self.load = self.load - sum(map(_COST, entries)) if self.in_flight else 0.0
        return [task for task, _ in entries]

    def take_back(self, first: int, last: int | None = None) -> list[Task]:
        """Take everything between two positions, both included, off the table, in order."""
        last = self.sent if last is None else last
        positions = [position for position in self.in_flight if first <= position <= last]
        return [task for position in positions if (task := self.finish(position)) is not None]

    def note_memory(self, position: int, used: int) -> None:
        """Remember the highest that the task at a position was seen to use, in bytes."""
        if self.peak_position != position:
            self.peak, self.peak_position = 0, position
        self.peak = max(self.peak or 0, used)

    def close(self) -> None:
        """Close the pipes, and let go of the outbox. Idempotent."""
        self.listener.close()
        for descriptor in (self.read, self.write):
            if descriptor >= 0:
                os.close(descriptor)
        self.read = self.write = -1


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
