"""Decide which workers have to be ended because of the task they run.

Knows: time limits, memory limits, the end of the run. May not know: how a worker is ended, pipes, the queue.

Time in which a worker or this process itself was suspended (SIGSTOP, a batch system, a laptop's lid) is not the task's:
it is seen by looking several times a second, and left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from memento import system
from memento.executors.processes.ends import Sentence
from memento.executors.processes.link import Link
from memento.executors.processes.slots import Slots
from memento.records import MEMORY, STOPPED, TIMEOUT
from memento.worker.work import Work

_WATCH = 0.1  # seconds between looks at memory
_WATCH_NEAR, _NEAR = (
    0.01,
    0.5,
)  # ... where a task has this share of what it may take: a core fills some GB a second
_LOOK = 0.25  # seconds between looks at who is suspended
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
_NEVER = float("inf")


class Limits:
    """The limits of a run's tasks.

    Parameters
    ----------
    work : Work
        What says the limits.
    slots : Slots
        The memory shared with the workers: what each runs, since when.
    links : dict of int to Link
        The workers by slot; the supervisor's own table, which changes.
    """

    def __init__(self, work: Work, slots: Slots, links: dict[int, Link]) -> None:
        self._work, self._slots, self._links = work, slots, links
        self._deadline = _NEVER  # the run has been stopped, and its grace ends then
        self._next_look = 0.0
        self._looked = _NEVER
        self._next_telling = self._next_scarcity = 0.0
        self._tight = False  # little memory is left on the machine
        self._seen_stopped: set[int] = set()  # pids
        self._alone: dict[int, float] = {}  # pid -> seconds for which it was suspended while others were not

    def stop(self, now: float) -> None:
        """Begin the grace in which running tasks may finish."""
        self._deadline = now + self._work.grace

    def next_look(self, now: float) -> float:
        """Return when something has to be looked at though nothing arrives."""
        work, ends = self._work, [self._next_scarcity if self._tight and self._links else _NEVER]
        for link in self._links.values():
            if link.revoked is not None and not link.drained:
                ends.append(link.settles)
            if link.kill_at is not None:
                ends.append(link.kill_at)
            if link.in_flight and link.sentence is None:
                if work.timeout is not None:
                    position = self._slots.position(link.place.slot)
                    begun = self._slots.start(link.place.slot) if position in link.in_flight else now
                    ends += [begun + self._paused(link, position) + work.timeout, self._looked + _LOOK]
                if work.memory_limit is not None:
                    ends.append(max(self._next_look, now + 0.001))
                ends.append(self._deadline)
        return min(ends)

    def exceeded(self, now: float) -> Iterator[tuple[Link, Sentence, float]]:
        """Name the workers to end: why, and how many seconds they get to end by themselves."""
        work, look = self._work, False
        self._see_suspended(now)
        if work.memory_limit is not None and now >= self._next_look:
            look, self._next_look = True, now + _WATCH
        near = _NEAR * (work.memory_limit or 0)
        for link in list(self._links.values()):
            slot = link.place.slot
            position = self._slots.position(slot)
            if link.sentence is not None or not link.pid:
                continue
            if position not in link.in_flight or position >= self._slots.skipped(slot):
                continue
            ran = now - self._slots.start(slot) - self._paused(link, position)
            if work.timeout is not None and ran >= work.timeout:
                yield link, Sentence(TIMEOUT, position), min(work.grace, _INSIST)
            elif work.timeout is not None and self._alone.get(link.pid, 0.0) >= self._patience(work.timeout):
                # It would not hear anything less.
                yield link, Sentence(TIMEOUT, position, suspended=True), 0.0
            elif now >= self._deadline:
                yield link, Sentence(STOPPED, position), min(work.grace, _INSIST)
            elif look and (used := self._memory(link, position)) > near:
                self._next_look = now + _WATCH_NEAR
                if used > (work.memory_limit or 0):
                    yield link, Sentence(MEMORY, position, used), 0.0
        yield from self._scarce(now)

    def _scarce(self, now: float) -> Iterator[tuple[Link, Sentence, float]]:
        """Name the largest worker where the machine is nearly out of memory, and the worker is why."""
        if now < self._next_scarcity:
            return
        left, total = system.memory_left(os.getpid()) or (1, 0)
        self._tight = left < _TIGHT * total
        self._next_scarcity = now + (_TIGHT_LOOK if self._tight else _LOOK)
        if left >= min(_SCARCE * total, _SCARCE_MOST):
            return
        sizes = {slot: system.tree_own_memory(link.pid) for slot, link in self._links.items() if link.pid}
        slot = max(sizes, key=lambda one: sizes[one], default=-1)
        link, position = self._links.get(slot), self._slots.position(slot) if slot >= 0 else -1
        if link is None or link.sentence is not None or sizes[slot] < _LARGE * total:
            return
        if position in link.in_flight and position < self._slots.skipped(slot):
            self._next_scarcity = now + _RELIEF
            link.note_memory(position, sizes[slot])
            yield link, Sentence(MEMORY, position, sizes[slot], scarce=True), 0.0

    @staticmethod
    def _paused(link: Link, position: int) -> float:
        return link.paused if link.watched == position else 0.0

    def _see_suspended(self, now: float) -> None:
        """Note for how long tasks were suspended since the last look."""
        since = now - self._looked
        if 0 <= since < _LOOK:
            return
        self._looked = now
        lost = max(since - _GAP, 0.0)
        self._deadline += lost
        stopped = self._stopped(max(since - lost, 0.0)) if self._work.timeout is not None else set()
        for link in self._links.values():
            if link.kill_at is not None:
                link.kill_at += lost
            slot = link.place.slot
            position = self._slots.position(slot)
            if self._work.timeout is None or position not in link.in_flight:
                continue
            if link.watched != position:
                link.watched, link.paused = position, 0.0
            ran = now - self._slots.start(slot)
            if lost:
                link.paused += min(lost, max(ran - _GAP, 0.0))
            if since > 0 and link.pid in stopped:
                link.paused += min(since - lost, ran)

    def _stopped(self, seconds: float) -> set[int]:
        """Return the workers that are suspended, and count the time for those that are so while others are not."""
        pids = {link.pid for link in self._links.values() if link.pid}
        stopped = {pid for pid in pids if system.is_stopped(pid)}
        if stopped != pids:
            self._alone = {pid: self._alone.get(pid, 0.0) + seconds for pid in stopped}
        return stopped

    @staticmethod
    def _patience(timeout: float) -> float:
        return max(_ALONE * timeout, _ALONE_LEAST)

    def suspended(self, now: float) -> list[Link]:
        """Return the workers with a task that two looks in a row have found suspended; each once in a while."""
        if now < self._next_telling:
            return []
        self._next_telling = now + _STOPPED
        links = [
            link
            for link in self._links.values()
            if link.pid and link.in_flight and system.is_stopped(link.pid)
        ]
        before, self._seen_stopped = self._seen_stopped, {link.pid for link in links}
        return [link for link in links if link.pid in before]

    def _memory(self, link: Link, position: int) -> int:
        """Look at what a worker's tree uses, and remember the highest that its task was seen to use."""
        used = system.tree_memory(link.pid)
        if used > (self._work.memory_limit or 0):
            # Pages that the tree's processes share were counted for each: ask again, exactly.
            used = system.tree_own_memory(link.pid) if system.descendants(link.pid) else used
        link.note_memory(position, used)
        return used
