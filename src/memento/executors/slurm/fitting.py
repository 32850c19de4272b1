"""Judge which job a task may go to, and say why where there is none.

Knows: what jobs have left and what they asked for, how long tasks take. May not know: Slurm, the queue.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from memento.executors.pilots.handle import PilotHandle
from memento.executors.slurm.hosts import Hosts
from memento.executors.slurm.runtimes import UNSURE, Runtimes
from memento.layout import Layout
from memento.wording import duration, size_text
from memento.worker.work import Task

_IN_VAIN = 3  # jobs in a row that had the time for no task when they began
_HOST, _MEMORY, _TIME, _ROOM = "host", "memory", "time", "room"


def host_of(pilot: PilotHandle) -> str:
    """Return the host on which a pilot runs, as Slurm names it; "" before it has begun."""
    return "" if pilot.here is None else pilot.here.place.partition("@")[2] or pilot.here.host


class Fitting:
    """What each job has for a task."""

    def __init__(self, store: str, runtimes: Runtimes, hosts: Hosts, limit: float, grace: float) -> None:
        self._layout, self._runtimes, self._hosts = Layout(store), runtimes, hosts
        self._limit, self._grace = limit, grace  # seconds that a job lasts; of these for saving
        self.useful: set[str] = set()  # pilots where tasks have ended
        self._in_vain = 0  # jobs in a row that began, and had the time for none of the next tasks
        self.memory_of: dict[str, int | None] = {}  # bytes of each task, by pilot; None: as the site gives

    @property
    def most_cost(self) -> float | None:
        """Seconds of forecast of a task that fits a job before any was seen; None where tasks save checkpoints."""
        return None if self._runtimes.checkpoints else (self._limit - self._grace) / UNSURE

    def ask(self, pilots: Collection[str], memory: int | None) -> None:
        """Note that jobs ask for so much memory for each of their tasks."""
        self.memory_of.update(dict.fromkeys(pilots, memory))

    def is_doubtful(self, pilot: PilotHandle) -> bool:
        """Tell whether a job gets no more tasks for now, because of its host."""
        return self._hosts.is_doubtful(host_of(pilot))

    def fits_a_job(self, task: Task) -> bool:
        """Tell whether a job of its own is long enough for a task, or it may go on in another one."""
        return self._runtimes.expected(task) <= self._limit - self._grace or self._goes_on(task)

    def lack(self, task: Task, pilot: PilotHandle) -> str:
        """Name what a job has not that a task needs; "" where it has all."""
        if self.is_doubtful(pilot):
            return _HOST
        memory = self.memory_of.get(pilot.name)
        if memory is not None and task.memory_limit is not None and task.memory_limit > memory:
            return _MEMORY
        if pilot.left is None or self._runtimes.checkpoints:
            return ""
        needed = self._runtimes.expected(task)
        if needed == 0.0:  # nothing is known of any: none waits behind another
            return "" if len(pilot.tasks) < pilot.width else _ROOM
        return "" if needed <= pilot.left - self._grace or self._goes_on(task) else _TIME

    def hopeless(
        self, tasks: Sequence[Task], pilot: PilotHandle, others: Collection[PilotHandle]
    ) -> list[Task]:
        """Take note of a job that fits none of these tasks; return those for which job after job begins in vain.

        A setup may take most of a job's time: without this, jobs would come and go for ever.
        """
        most = max((one.here.left or 0.0 for one in others if one.here is not None), default=0.0)
        asked = pilot.charter.seconds or self._limit
        short = [
            task
            for task in tasks
            if not self._goes_on(task) and most < self._runtimes.expected(task) + self._grace <= asked
        ]
        self._in_vain = self._in_vain + 1 if short and pilot.name not in self.useful else 0
        return short if self._in_vain >= _IN_VAIN else []

    def _goes_on(self, task: Task) -> bool:
        return self._runtimes.checkpoints or os.path.isdir(self._layout.checkpoint(task.key.hex()))

    def why_none(self, task: Task, pilots: Sequence[PilotHandle]) -> str:
        """Say what none of these jobs has that a task needs, for people; "" where one has all, or will."""
        lacks = set[str]()
        for pilot in pilots:
            lacks.add(lack := self.lack(task, pilot))
            if lack in ("", _ROOM):
                return ""
        told = []
        if _TIME in lacks:
            needed = duration(self._runtimes.expected(task))
            left = duration(max(0.0, max(pilot.left or 0.0 for pilot in pilots) - self._grace))
            told.append(
                f"no job has the time left: it is expected to take up to {needed} and saves no checkpoint,"
                f" and jobs have at most {left} left, of {duration(self._limit)}"
            )
        if _MEMORY in lacks:
            most = max(self.memory_of.get(pilot.name) or 0 for pilot in pilots)
            told.append(
                f"no job has the memory: it needs {size_text(task.memory_limit or 0)}, and the jobs that run asked for"
                f" {size_text(most)} a task; jobs that are asked for from now on ask for more"
            )
        if _HOST in lacks:
            told.append("the hosts of jobs are in doubt: all has failed there so far")
        return "; ".join(told)

    def too_long(self, task: Task, left: float | None = None) -> str:
        """Say that a task fits no job; `left` is what jobs have left when they begin, where that is too little."""
        needed, limit = duration(self._runtimes.expected(task)), duration(self._limit)
        of = f", of which {duration(left)} are left when it has begun" if left is not None else ""
        return (
            f"it is expected to take {needed}, a job lasts {limit}{of}, and it saves no checkpoint: it was not started."
            " Give jobs more time, executors.Slurm(time=...), or save its state with context.loop or"
            " context.checkpoint, so that it goes on in the next job"
        )
