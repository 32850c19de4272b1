"""Workers as their supervisor sees them: pipes, what was sent to each, what it may have begun; where each stands.

Knows: frames, descriptors, slots, logs, GPUs. May not know: the queue, limits.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from memento import system
from memento.clock import Clock
from memento.executors.base import Running
from memento.executors.processes import channel, launch, output
from memento.executors.processes.channel import Garbled, Receiver
from memento.executors.processes.control import Control
from memento.executors.processes.exit_reason import ExitReason, why_ended
from memento.executors.processes.slots import SETTLE, Slots, make_file
from memento.executors.processes.worker import Place
from memento.layout import Layout
from memento.records import LogSlice, Outcome
from memento.worker import failures
from memento.worker.task_runner import verdict
from memento.worker.work import Task, Work

if TYPE_CHECKING:
    from memento.executors.gpus import Seat, Seats

_ROOM = 1_024  # slots that there are, since a run may get more workers; 64 bytes each
_SMALL = 1 << 16  # bytes; a larger value travels in a frame of its own, uncopied
_LAYOUT, _VALUES, _LIMIT = attrgetter("layout"), attrgetter("values"), attrgetter("memory_limit")


class WorkerHandle:
    """The supervisor's side of one worker."""

    def __init__(self, place: Place, slots: Slots, read: int, write: int, pid: int = 0) -> None:
        self.place, self.read, self.write, self.pid = place, read, write, pid
        self._slots = slots
        self.receiver = Receiver(read)
        self.in_flight: dict[int, tuple[Task, float]] = {}  # position -> task, expected seconds
        self.load = 0.0  # expected seconds of what is in flight
        self._head = 0  # nothing before this position is in flight
        self.sent = 0  # tasks sent so far, which is the next position
        self.has_limits = False  # whether tasks with memory limits of their own were sent to it
        self.out: deque[memoryview] = deque()
        self._values: set[int] = set()
        self._layouts: set[int] = set()
        self.decided: ExitReason | None = None
        # The position of a task that was told to stop, and when it is ended: monotonic seconds.
        self.stops = (-1, 0.0)
        self.kill_at: float | None = None  # monotonic seconds: SIGTERM did not help
        self.revoked: int | None = None  # nothing from this position on is run, once `settles` is over
        self.settles = 0.0
        self.drained = False  # the revoked ones were taken back; it has yet to say that it passed them
        self.leaving = False  # nothing more is sent to it
        self.distrusted = False  # it wrote what is no message: nothing more of it is read
        self.peak: int | None = None  # bytes; highest seen of the task it runs
        self.peak_position = -1
        self.watched = -1  # the position that `paused` is about
        self.paused = 0.0  # seconds in which its task was suspended, as far as was seen

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{system.hostname()}/{self.pid}"

    # -- what it runs

    def position(self) -> int:
        """Return what it runs, or ran last, or passed; -1 before its first task."""
        return self._slots.position(self.place.slot)

    def running(self) -> int:
        """Return the position of the task that it has begun and not told the end of; -1 where there is none."""
        position = self.position()
        begun = position in self.in_flight and position < self._slots.skipped(self.place.slot)
        return position if begun else -1

    def at_work(self, now: float) -> Running | None:
        """Tell people what it runs; None where that is nothing."""
        position = self.running()
        if position < 0:
            return None
        return Running(self.name, self.in_flight[position][0].number, max(now - self.start(), 0.0))

    def start(self) -> float:
        """Return when it began that, in monotonic seconds."""
        return self._slots.start(self.place.slot)

    def waited(self, position: int) -> float:
        """Return for how many seconds the task at a position has only waited for another one."""
        return self._slots.waited(self.place.slot, position)

    def memory_limit(self, work: Work) -> int | None:
        """Return how many bytes what it runs may use; None where nobody has said."""
        running = self.in_flight.get(self.position()) if self.has_limits else None
        return work.memory_limit if running is None else running[0].memory_limit or work.memory_limit

    def memory_promised(self, work: Work) -> int:
        """Return how many bytes one of the tasks that it has in hand may use; 0 where none has a limit."""
        limit = work.memory_limit or 0
        if not self.has_limits or not self.in_flight:
            return limit if self.in_flight else 0
        return max(task.memory_limit or limit for task, _ in self.in_flight.values())

    def printed(self) -> int:
        """Return where in its log the output of that begins."""
        return self._slots.printed(self.place.slot)

    # -- sending

    def queue_batch(self, work: Work, tasks: Sequence[Task], costs: Sequence[float]) -> None:
        """Send tasks, with the values and names that this worker has not seen."""
        layouts = set(map(_LAYOUT, tasks)) - self._layouts
        values = set(chain.from_iterable(map(_VALUES, tasks))) - self._values
        self._layouts |= layouts
        self._values |= values
        self.has_limits = self.has_limits or any(map(_LIMIT, tasks))
        small = []
        for number in sorted(values):
            data = work.values[number]
            if len(data) <= _SMALL:
                small.append((number, data))
            else:
                head = channel.HEADER.pack(channel.NUMBER.size + len(data), channel.VALUE)
                self.out.append(memoryview(head + channel.NUMBER.pack(number)))
                self.out.append(memoryview(data))
        first, self.sent = self.sent, self.sent + len(tasks)
        self.in_flight.update(zip(range(first, self.sent), zip(tasks, costs, strict=True), strict=True))
        self.load += sum(costs)
        names = [(number, tuple(work.layouts[number])) for number in sorted(layouts)]
        batch = (names, small, first, list(map(tuple, tasks)))
        self.out.append(memoryview(channel.pack(channel.BATCH, batch)))

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

    # -- the table of what is in flight

    def oldest(self) -> int:
        """Return the first position in flight; what was sent so far where there is none."""
        # Counted on: the first key of a dict whose front is taken away again and again is slow to find.
        while self._head < self.sent and self._head not in self.in_flight:
            self._head += 1
        return self._head

    def finish(self, position: int) -> Task:
        """Take a task off the table."""
        task, cost = self.in_flight.pop(position)
        self.load = self.load - cost if self.in_flight else 0.0
        return task

    def finish_oldest(self, number: int) -> Task:
        """Take the task off the table whose outcome is due; raises Garbled where that is not the one of this number."""
        position = self.oldest()
        task, _ = self.in_flight.get(position, (None, 0.0))
        if task is None or task.number != number:
            raise Garbled
        return self.finish(position)

    def take_back(self, first: int, last: int | None = None) -> list[Task]:
        """Take everything between two positions, both included, off the table, in order."""
        last = self.sent if last is None else last
        return [self.finish(position) for position in list(self.in_flight) if first <= position <= last]

    # -- taking back: what it will not begin is known a moment after it was told so, without its answer

    def revoke(self, first: int, now: float) -> None:
        """Let it begin nothing new from a position on; what that leaves is known when `settles` is over."""
        first = max(self.position() + 1, first)
        if self.in_flight and (self.revoked is None or first < self.revoked):
            self.revoked = first
            self.settles, self.drained = now + SETTLE, False
            self._slots.set_limit(self.place.slot, first)

    def drain(self) -> list[Task]:
        """Take back what was revoked a moment ago: its position tells what it had begun by then."""
        assert self.revoked is not None
        # What it reached while it was being told, it runs; unless it says that it skipped that.
        slot = self.place.slot
        first = min(max(self.revoked, self.position() + 1), self._slots.skipped(slot))
        self.drained = True
        tasks = self.take_back(first)
        if first >= self.sent:  # it had begun all
            self._allow()
        return tasks

    def passed(self, position: int) -> list[Task]:
        """Take back what it has skipped up to a position, now that it has told all else."""
        if self.revoked is not None and position < self.sent - 1:
            return []  # more of what was revoked is on its way to it
        self._allow()
        return self.take_back(0, position)

    def _allow(self) -> None:
        self.revoked = None
        self._slots.lift_limit(self.place.slot)

    def stop(self, now: float, grace: float) -> None:
        """Tell what it runs to stop, and remember when it is ended otherwise."""
        position = self.running()
        if position >= 0 and self.stops[0] != position:
            self.stops = (position, now + grace)
            self._slots.stop(self.place.slot, position)

    def note_memory(self, position: int, used: int) -> None:
        """Remember the highest that the task at a position was seen to use, in bytes."""
        if self.peak_position != position:
            self.peak, self.peak_position = 0, position
        self.peak = max(self.peak or 0, used)

    # -- its end

    def was_ended_for_another(self, position: int, code: int) -> bool:
        """Tell whether it was ended for a task that finished meanwhile, so that the one at a position was hit."""
        decided = self.decided
        ours = code in (-signal.SIGTERM, -signal.SIGKILL)
        return ours and decided is not None and decided.position != position

    def last_outcome(self, work: Work, code: int, peak: int, clock: Clock, *, struck: bool) -> Outcome:
        """Make the outcome of what it ran, now that its process has ended.

        `code` says how, as `subprocess` gives it; `peak` its peak memory in bytes; `struck` that the kernel killed it
        for want of memory.
        """
        position, begun, path = self.running(), self.printed(), self.place.log
        task, runtime = self.finish(position), max(clock.monotonic() - self.start(), 0.0)
        log, printed = None, ""
        with contextlib.suppress(OSError):
            end = output.shorten_path(path, begun, os.path.getsize(path)) if path else begun
            if end > begun:
                log = LogSlice(self.place.log_name, begun, end)
                printed = failures.tail(path, begun, end)
        memory = (max(self.peak or 0, peak) if self.peak_position == position else peak) or None
        decided = self.decided if self.decided is not None and self.decided.position == position else None
        if task.memory_limit is not None:
            work = work._replace(memory_limit=task.memory_limit)
        failure = why_ended(work, decided, code, printed, struck=memory if struck else None)
        return verdict(task, failure, clock.now() - runtime, runtime, self.name, memory, log)

    def close_writing(self) -> None:
        """Let the worker end by itself: it reads the end of its pipe. Idempotent."""
        if self.write >= 0:
            os.close(self.write)
        self.write = -1

    def close(self) -> None:
        """Close the pipes. Idempotent."""
        self.close_writing()
        if self.read >= 0:
            os.close(self.read)
        self.read = -1


class Workers:
    """The workers of a run."""

    def __init__(self, work: Work, count: int, log_prefix: str = "", found: Seats | None = None) -> None:
        self.handles: dict[int, WorkerHandle] = {}  # by slot
        self._seats: Sequence[Seat] = ()  # by slot: whoever comes after a worker has its devices
        self.notes: Sequence[str] = ()  # what people should know of these
        self.most = max(count, _ROOM)  # at once
        if work.gpus_per_task or work.gpu_memory:
            from memento.executors.gpus import seats_for

            found = found or seats_for(work.gpus_per_task, work.gpu_memory, os.environ)
            self._seats, self.notes, self.most = found.seats, found.notes, len(found.seats)
        self._run, self._made, self._log_prefix = work.run, 0, log_prefix
        self.logs = Layout(work.store).log(work.run) if work.log_output else None  # their folder
        if self.logs is not None:
            os.makedirs(self.logs, exist_ok=True)
        self.file = make_file(launch.shared_name(launch.mark(work)), Slots.size(self.most))
        self.slots = Slots(self.file, self.most)

    def start(self, control: Control, slot: int) -> WorkerHandle:
        """Have a worker started in a slot that nobody has."""
        self._made += 1
        name = f"{self._log_prefix}{self._made:04d}.log"
        log = os.path.join(self.logs, name) if self.logs is not None else ""
        self.slots.clear(slot)
        theirs_in, ours_out, ours_in, theirs_out = channel.make_pipes()
        place = Place(slot, self.most, log, f"{self._run}/{name}")
        if self._seats:
            from memento.executors.gpus import variables

            seat = self._seats[slot]
            told = tuple(variables(seat, os.environ).items())
            place = place._replace(gpus=seat.gpus, gpu_memory=seat.memory, variables=told)
        handle = self.handles[slot] = WorkerHandle(place, self.slots, ours_in, ours_out)
        try:
            control.spawn(place, (theirs_in, theirs_out))
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return handle

    def forget(self, handle: WorkerHandle) -> None:
        """Clear the slot of a worker that has ended."""
        handle.close()
        del self.handles[handle.place.slot]
        with contextlib.suppress(OSError):
            if handle.place.log and os.path.getsize(handle.place.log) == 0:
                os.unlink(handle.place.log)

    def close(self) -> None:
        """Let go of everything, once all workers have ended."""
        for handle in list(self.handles.values()):
            self.forget(handle)
        self.slots.close()
        os.close(self.file)
