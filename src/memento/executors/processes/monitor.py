"""Watch workers from outside: time, memory, the end of the run; who is suspended, what logs run over.

Knows: the workers, their logs, limits. May not know: the queue, how a worker is ended.

Time in which a worker or this process itself was suspended (SIGSTOP, a batch system, a laptop's lid) is not the task's:
it is seen by looking several times a second, and left out; as is time in which it waits for another's shared step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from memento import system
from memento.executors.processes import output
from memento.executors.processes.exit_reason import ExitReason
from memento.executors.processes.worker_handle import WorkerHandle
from memento.records import MEMORY, STOPPED, TIMEOUT
from memento.store.activity import ActivityFile
from memento.values.shared_files import IN_MEMORY
from memento.worker.work import Work

LOOK_EVERY = 0.25  # seconds between looks at what has no limit
_WATCH = 0.1  # seconds between looks at memory
# ... where a task has this share of what it may take: a core fills some GB a second
_WATCH_NEAR, _NEAR = 0.01, 0.5
_STOPPED = 5.0  # seconds between looks at who is suspended, to tell people
_GAP = 1.0  # seconds without a look; what is more, this process was suspended, or too busy to judge
_INSIST = 2.0  # seconds between SIGTERM and SIGKILL, at most
# Share of all memory, bytes: with less left the kernel soon kills somebody.
_SCARCE, _SCARCE_MOST = 0.03, 512 << 20
# Share of all memory, seconds: with less left, tasks may use it up between two looks.
_TIGHT, _TIGHT_LOOK = 0.1, 0.02
_LARGE = 0.1  # share of all memory; with less it is not this worker that the memory goes to
_RELIEF = 1.0  # seconds in which the memory of an ended worker comes back
# How long a worker may be suspended while others are not: that is no batch system and no laptop, but its task's own
# doing. Long enough for somebody who looks into it by hand.
_ALONE, _ALONE_LEAST = 10, 600.0  # times the timeout; seconds
_MOMENT = 1.0  # seconds
_NEVER = float("inf")


class Scarcity:
    """Watches whether the kernel kills processes for want of memory.

    The count is of all processes of a cgroup, or of the machine: so it is only looked at a moment around an end.
    """

    def __init__(self, pid: int, count: Callable[[int], int | None] = system.oom_kills) -> None:
        self._pid, self._count = pid, count
        self._older = self._newer = count(pid)
        self._at = 0.0

    def look(self, now: float) -> None:
        """Take note of the count, now and then."""
        if now - self._at >= _MOMENT:
            self._at, self._older, self._newer = now, self._newer, self._count(self._pid)

    def struck(self) -> bool:
        """Tell whether somebody was killed within the last moments."""
        now = self._count(self._pid)
        return now is not None and self._older is not None and now > self._older


class Monitor:
    """Looks at a run's workers."""

    def __init__(
        self,
        work: Work,
        handles: dict[int, WorkerHandle],
        server: int,
        logs: str | None = None,
    ) -> None:
        self._work = work
        self._handles = handles  # the supervisor's own, which changes
        self.follow(server)
        self._activity: ActivityFile | None = None
        if logs is not None:
            with contextlib.suppress(OSError):  # it only serves those who look on
                self._activity = ActivityFile(logs)
        self._next = 0.0
        self._deadline = _NEVER  # the run has been stopped, and its grace ends then
        self._next_look = 0.0
        self._looked = _NEVER
        self._next_telling = self._next_scarcity = 0.0
        self._tight = False  # little memory is left on the machine
        self._seen_stopped: set[int] = set()  # pids
        self._alone: dict[int, float] = {}  # pid -> seconds for which it was suspended while others were not

    def follow(self, server: int) -> None:
        """Watch the memory of those that this process starts."""
        self._scarcity = Scarcity(server)

    def struck(self) -> bool:
        """Tell whether the kernel has killed somebody for want of memory lately."""
        return self._scarcity.struck()

    def close(self) -> None:
        """Let go of the file of activity."""
        if self._activity is not None:
            self._activity.close()

    # -- limits

    def stop(self, now: float) -> None:
        """Begin the grace in which running tasks may finish."""
        self._deadline = now + self._work.grace

    def next_look(self, now: float) -> float:
        """Return when something has to be looked at though nothing arrives."""
        work, ends = self._work, [self._next_scarcity if self._tight and self._handles else _NEVER]
        for handle in self._handles.values():
            if handle.revoked is not None and not handle.drained:
                ends.append(handle.settles)
            if handle.kill_at is not None:
                ends.append(handle.kill_at)
            if handle.in_flight and handle.decided is None:
                if work.timeout is not None:
                    position = handle.running()
                    begun = handle.start() if position >= 0 else now
                    ends += [begun + self._paused(handle, position) + work.timeout, self._looked + LOOK_EVERY]
                if handle.memory_limit(work) is not None:
                    ends.append(max(self._next_look, now + 0.001))
                ends += [self._deadline, handle.stops[1] if handle.stops[0] in handle.in_flight else _NEVER]
        return min(ends)

    def exceeded(self, now: float) -> Iterator[tuple[WorkerHandle, ExitReason, float]]:
        """Name the workers to end: why, and how many seconds they get to end by themselves."""
        work, look = self._work, False
        self._see_suspended(now)
        if now >= self._next_look:
            look, self._next_look = True, now + _WATCH
        for handle in list(self._handles.values()):
            position = handle.running()
            if handle.decided is not None or not handle.pid or position < 0:
                continue
            ran = now - handle.start() - self._paused(handle, position)
            if work.timeout is not None and ran >= work.timeout:
                yield handle, ExitReason(TIMEOUT, position), min(work.grace, _INSIST)
            elif self._alone.get(handle.pid, 0.0) >= max(_ALONE * (work.timeout or _NEVER), _ALONE_LEAST):
                # It would not hear anything less.
                yield handle, ExitReason(TIMEOUT, position, suspended=True), 0.0
            elif now >= self._deadline or (handle.stops[0] == position and now >= handle.stops[1]):
                yield handle, ExitReason(STOPPED, position), min(work.grace, _INSIST)
            elif look and (limit := handle.memory_limit(work)) is not None:
                used = self._memory(handle, position, limit)
                if used > _NEAR * limit:
                    self._next_look = now + _WATCH_NEAR
                if used > limit:
                    yield handle, ExitReason(MEMORY, position, used), 0.0
        yield from self._scarce(now)

    def _scarce(self, now: float) -> Iterator[tuple[WorkerHandle, ExitReason, float]]:
        """Name the largest worker where the machine is nearly out of memory, and the worker is why."""
        if now < self._next_scarcity:
            return
        left, total = system.memory_left(os.getpid()) or (1, 0)
        self._tight = left < _TIGHT * total
        self._next_scarcity = now + (_TIGHT_LOOK if self._tight else LOOK_EVERY)
        if left >= min(_SCARCE * total, _SCARCE_MOST):
            return
        sizes = {
            slot: system.tree_own_memory(handle.pid) for slot, handle in self._handles.items() if handle.pid
        }
        slot = max(sizes, key=lambda one: sizes[one], default=-1)
        handle = self._handles.get(slot)
        if handle is None or handle.decided is not None or sizes[slot] < _LARGE * total:
            return
        position = handle.running()
        if position >= 0:
            self._next_scarcity = now + _RELIEF
            handle.note_memory(position, sizes[slot])
            yield handle, ExitReason(MEMORY, position, sizes[slot], scarce=True), 0.0

    @staticmethod
    def _paused(handle: WorkerHandle, position: int) -> float:
        return (handle.paused if handle.watched == position else 0.0) + handle.waited(position)

    def _see_suspended(self, now: float) -> None:
        """Note for how long tasks were suspended since the last look."""
        since = now - self._looked
        if 0 <= since < LOOK_EVERY:
            return
        self._looked = now
        lost = max(since - _GAP, 0.0)
        self._deadline += lost
        stopped = self._stopped(max(since - lost, 0.0)) if self._work.timeout is not None else set()
        for handle in self._handles.values():
            if handle.kill_at is not None:
                handle.kill_at += lost
            handle.stops = (handle.stops[0], handle.stops[1] + lost)
            position = handle.running()
            if self._work.timeout is None or position < 0:
                continue
            if handle.watched != position:
                handle.watched, handle.paused = position, 0.0
            ran = now - handle.start()
            if lost:
                handle.paused += min(lost, max(ran - _GAP, 0.0))
            if since > 0 and handle.pid in stopped:
                handle.paused += min(since - lost, ran)

    def _stopped(self, seconds: float) -> set[int]:
        """Return the workers that are suspended, and count the time for those that are so while others are not."""
        pids = {handle.pid for handle in self._handles.values() if handle.pid}
        stopped = {pid for pid in pids if system.is_stopped(pid)}
        if stopped != pids:
            self._alone = {pid: self._alone.get(pid, 0.0) + seconds for pid in stopped}
        return stopped

    def _suspended(self, now: float) -> list[WorkerHandle]:
        """Return the workers with a task that two looks in a row have found suspended; each once in a while."""
        if now < self._next_telling:
            return []
        self._next_telling = now + _STOPPED
        found = [
            handle
            for handle in self._handles.values()
            if handle.pid and handle.in_flight and system.is_stopped(handle.pid)
        ]
        before, self._seen_stopped = self._seen_stopped, {handle.pid for handle in found}
        return [handle for handle in found if handle.pid in before]

    @staticmethod
    def _memory(handle: WorkerHandle, position: int, limit: int) -> int:
        """Look at what a worker's tree uses, and remember the highest that its task was seen to use."""
        used = system.tree_memory(handle.pid)
        if used > limit:
            # Pages that the tree's processes share were counted for each: ask again, exactly. Values that tasks share
            # are nobody's.
            used = system.tree_own_memory(handle.pid) - system.tree_mapped_memory(handle.pid, IN_MEMORY)
        handle.note_memory(position, used)
        return used

    # -- what has no limit

    def look(self, now: float) -> Iterator[str]:
        """Look, if it is time; yields what people should know."""
        if now < self._next:
            return
        self._next = now + LOOK_EVERY
        self._scarcity.look(now)
        for handle in self._suspended(now):
            yield (
                f"worker {handle.pid} is suspended (SIGSTOP), and its task with it; that time does not count towards"
                f" timeout. `kill -CONT {handle.pid}` lets it go on, `kill -KILL {handle.pid}` fails the task"
            )
        self._look_at_logs()

    def _look_at_logs(self) -> None:
        """Hold logs that run over; show those who look on what each worker is at, and what that has printed."""
        entries = []
        for handle in self._handles.values():
            position, begun = handle.running(), handle.printed()
            if handle.place.log and position >= 0:
                with contextlib.suppress(OSError):
                    end = os.stat(handle.place.log).st_size
                    if position == handle.running():  # so all of that is this task's
                        output.thin(handle.place.log, begun, end)
                        entries.append((handle.in_flight[position][0].key, begun, end, handle.place.log_name))
        if self._activity is not None:
            with contextlib.suppress(OSError):
                self._activity.show(entries)
