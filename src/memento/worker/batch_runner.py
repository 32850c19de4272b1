"""Run batches of tasks in a process or thread that some engine has lent.

Knows: batches, the folder that the coordinator shares with it. May not know: the engine, who asks.

    work/<run>/work.pickle   what all tasks of the run share
               value-3       a value too large to travel with each batch that needs it
               stop          who is to stop: "*" for all tasks, or lines "number-attempt"
               begun-7       batch 7 has begun, where its engine could not tell
               outcomes/     see `handover`

A process serves many batches of a run: it keeps a task runner for each of its threads, and the values that it has read.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.context.task_space import Resources
from memento.errors import StoreUnwritable
from memento.layout import HANDED
from memento.records import Outcome
from memento.values import pickling
from memento.worker import failures, handover
from memento.worker.at_work import AtWork
from memento.worker.measure import process_name
from memento.worker.portable import initialize
from memento.worker.task_runner import Conditions, TaskRunner, local_runner
from memento.worker.task_values import TaskValues
from memento.worker.work import Task, Work

STOP, STOP_ALL = "stop", "*"
_KEPT_RUNS = 2  # of how many runs a process keeps function and values


class Batch(NamedTuple):
    """What an engine carries to a worker; all of it pickles."""

    number: int  # unique in the run
    folder: str  # the run's, which coordinator and workers share
    coordinator: str  # host/pid: who must not be given another __main__
    layouts: dict[int, tuple[str, ...]]
    values: dict[int, bytes | None]  # None: it is a file in `folder`
    tasks: tuple[Task, ...]
    leaves: bool = False  # each outcome is left as a file as soon as it is there


def run_batch(batch: Batch) -> list[Outcome]:
    """Run a batch's tasks here; those that were told to stop before they began are left out."""
    return _runner_of(batch).run_batch(batch)


def begun_file(folder: Path, number: int) -> Path:
    """Return the file that says that a batch has begun."""
    return folder / f"begun-{number}"


def value_file(folder: Path, number: int) -> Path:
    """Return the file in which a large value is."""
    return folder / f"value-{number}"


def stop_line(task: Task) -> str:
    """Name a task in the file of those that are to stop."""
    return f"{task.number}-{task.attempt}"


class BatchRunner:
    """Runs one batch after another, in one thread; `local` where tasks get the program's own function and values."""

    def __init__(
        self,
        work: Work,
        is_told: Callable[[Task], bool],
        *,
        shared_process: bool,
        local: bool = False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._work, self._is_told = work, is_told
        self._task: Task | None = None
        self._known: set[int] = set()  # values that were read
        conditions = Conditions(
            resources=Resources(work.cpus_per_task, (), work.memory_limit),
            stopping=lambda: self._task is not None and is_told(self._task),
            shared_process=shared_process,
            alone=not shared_process,
            clock=clock,
        )
        self._runner = (
            local_runner(work, conditions) if local else TaskRunner(work, conditions, values=TaskValues())
        )

    def run_batch(self, batch: Batch) -> list[Outcome]:
        """Run what was sent."""
        folder = Path(batch.folder)
        if batch.leaves:
            begun_file(folder, batch.number).touch()
        self._runner.layouts.update(batch.layouts)
        for number, data in batch.values.items():
            if number not in self._known:
                self._runner.values.put(
                    number, value_file(folder, number).read_bytes() if data is None else data
                )
                self._known.add(number)
        return list(self.run(batch.tasks, leaves=batch.leaves))

    def run(self, tasks: Sequence[Task], *, leaves: bool = False) -> Iterator[Outcome]:
        """Run tasks in turn, but for those that are to stop already."""
        for task in tasks:
            if self._is_told(task):
                continue
            self._task = task
            with AtWork():  # a run in another thread of this process leaves it alone
                outcome = self._runner.run_limited(task)
            self._task = None
            if leaves:
                try:
                    handover.leave(self._work, task, outcome)
                except StoreUnwritable as exc:
                    outcome = self._runner.cut_short(task, failures.raised(exc))
            yield outcome


class _Kept:
    """The batch runners of this process, by the run's folder and the thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.runners: dict[tuple[str, int], BatchRunner] = {}
        self.begun: deque[str] = deque(maxlen=_KEPT_RUNS)  # folders of runs whose initializer was called here


_kept = _Kept()


def forget(folder: str) -> None:
    """Let go of what this process keeps of a run."""
    with _kept.lock:
        for place in [place for place in _kept.runners if place[0] == folder]:
            del _kept.runners[place]


def _runner_of(batch: Batch) -> BatchRunner:
    place = (batch.folder, threading.get_ident())
    with _kept.lock:
        found = _kept.runners.get(place)
    if found is not None:
        return found
    work: Work = pickle.loads(Path(batch.folder, HANDED).read_bytes())
    elsewhere = process_name() != batch.coordinator
    if elsewhere:
        pickling.install_main(work.script)
    with _kept.lock:
        if batch.folder not in _kept.begun:
            initialize(work.initializer)
            _kept.begun.append(batch.folder)
        runs = dict.fromkeys(folder for folder, _ in _kept.runners if folder != batch.folder)
    for folder in list(runs)[: max(len(runs) + 1 - _KEPT_RUNS, 0)]:
        forget(folder)
    stop = Path(batch.folder, STOP)

    def is_told(task: Task) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return not {STOP_ALL, stop_line(task)}.isdisjoint(stop.read_text().splitlines())
        return False

    runner = BatchRunner(work, is_told, shared_process=not elsewhere)
    with _kept.lock:
        _kept.runners[place] = runner
    return runner


def main() -> None:
    """Run one batch in a process of its own: `argv` names the file of the batch, and that for its outcomes."""
    batch_file, outcomes_file = map(Path, sys.argv[1:3])
    batch: Batch = pickle.loads(batch_file.read_bytes())
    work: Work = pickle.loads(Path(batch.folder, HANDED).read_bytes())
    os.environ.update(work.environment)
    failures.keep_last_words()
    data = pickle.dumps(run_batch(batch), protocol=5)
    unfinished = outcomes_file.with_name(outcomes_file.name + ".writing")
    unfinished.write_bytes(data)
    unfinished.replace(outcomes_file)
