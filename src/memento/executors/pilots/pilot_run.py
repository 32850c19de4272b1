"""A pilot's local executor for one run, with the tasks that it has in hand and the values that have arrived.

Knows: the run's folder, the local executor. May not know: streams, when a pilot ends.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from memento.clock import Clock
from memento.executors.base import Executor, Lost, Message
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.pilot_messages import Ended, FromPilot
from memento.executors.processes import Processes
from memento.layout import HANDED, SNAPSHOT
from memento.records import STOPPED, Outcome
from memento.worker.batch_runner import Batch, value_file
from memento.worker.failures import has_saved
from memento.worker.handover import Left
from memento.worker.work import Task, Work


class Received(Sequence[Any]):
    """Values or layouts as they arrive, by number; large values are read from the run's folder when asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, Any] = {}

    def put(self, number: int, data: Any) -> None:
        """Take one."""
        self._known[number] = data

    def __len__(self) -> int:
        return 0  # nothing is here from the start

    @overload
    def __getitem__(self, number: int) -> Any: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Any]: ...
    def __getitem__(self, number: Any) -> Any:
        data = self._known[number]
        return value_file(self._folder, number).read_bytes() if data is None else data


class Engine:
    """The local executor of one run, with what it has in hand."""

    def __init__(self, folder: Path, name: str, width: int, clock: Clock) -> None:
        work: Work = pickle.loads((folder / HANDED).read_bytes())
        if work.snapshot:  # the coordinator's path of it may be another
            work = work._replace(snapshot=str(folder / SNAPSHOT))
        self.values, self.layouts = Received(folder), Received(folder)
        self.work = work._replace(values=self.values, layouts=self.layouts, num_workers=width)
        self.tasks: dict[int, Task] = {}
        self.executor: Executor = Processes(width, blank=True, log_prefix=f"{name}-", clock=clock)
        self.executor.start(self.work)

    def do(self, batch: Batch) -> None:
        """Take tasks."""
        for number, names in batch.layouts.items():
            self.layouts.put(number, names)
        for number, data in batch.values.items():
            self.values.put(number, data)
        self.tasks.update((task.number, task) for task in batch.tasks)
        self.executor.submit(batch.tasks)

    def told(self, message: Message, leaving: str) -> FromPilot | None:
        """Make what the coordinator is told of a message; None where that is nothing."""
        if isinstance(message, Outcome):
            task = self.tasks.pop(message.number, None)
            if task is None:  # it was dropped when this pilot was told to end at once
                return None
            failure = message.failure
            if leaving and failure is not None and failure.kind == STOPPED:
                return pilot_messages.Told(
                    Lost(task.number, task.attempt, leaving, gone=True, kept=has_saved(failure))
                )
            codes = self.work.codes[task.version]
            left = Left(self.work.run, self.work.experiment, task.key, codes[0] if codes else b"", message)
            return Ended(left)
        if isinstance(message, Lost):
            self.tasks.pop(message.number, None)
            if leaving and message.cancelled:
                message = message._replace(cancelled=False, reason=leaving, gone=True, kept=True)
        return pilot_messages.Told(message)
