"""Add up what jobs asked for and what tasks used of it.

Knows: cores, seconds, bytes. May not know: Slurm, tasks.
"""

from __future__ import annotations

from memento.clock import Clock
from memento.wording import duration, number_of, size_text

_LITTLE = 0.5  # share of what was asked for, below which the remedy is said
_SHORT = 600.0  # core-seconds; of less there is nothing to learn


class Usage:
    """What one run asked for and used."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began: dict[str, tuple[float, int]] = {}  # pilot -> since when, how many cores
        self._asked = self._used = 0.0  # core-seconds
        self._memory = 0  # bytes of the largest task
        self._jobs = 0

    def began(self, pilot: str, cores: int) -> None:
        """Note that a job has begun."""
        self._jobs += 1
        self._began[pilot] = self._clock.monotonic(), cores

    def ended(self, pilot: str) -> None:
        """Note that a job has ended."""
        since, cores = self._began.pop(pilot, (self._clock.monotonic(), 0))
        self._asked += cores * (self._clock.monotonic() - since)

    def used(self, cpu: float | None, memory: int | None) -> None:
        """Note what a task used."""
        self._used += cpu or 0.0
        self._memory = max(self._memory, memory or 0)

    def text(self, memory_of_task: int | None, limit: float) -> str:
        """Say it in one line; "" where no job has begun."""
        for pilot in list(self._began):
            self.ended(pilot)
        if not self._jobs:
            return ""
        share = self._used / self._asked if self._asked else 0.0
        told = f"Slurm: {number_of(self._jobs, 'job')} of up to {duration(limit)}"
        told += f", which asked for {duration(self._asked)} of core time, of which tasks used {share:.0%}"
        told += f"; the largest task had {size_text(self._memory)}"
        if memory_of_task:
            told += f" of {size_text(memory_of_task)} asked"
        if share < _LITTLE and self._asked > _SHORT:
            told += ". Lower cpus_per_task or tasks_per_job where tasks do not use their cores"
        return told
