"""Hand a run's work and its values to processes elsewhere, through the folder that they share with the coordinator.

Knows: the work of a run, the run's folder. May not know: engines, what becomes of a batch.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

from memento.layout import HANDED, OUTCOMES, OUTLIVES, Layout
from memento.worker.batch_runner import Batch, value_file
from memento.worker.measure import process_name
from memento.worker.work import Task, Work

_SMALL = 1 << 16  # bytes; larger values are files


class Handing:
    """What a run has handed over; made when an executor starts."""

    def __init__(self, work: Work) -> None:
        self.folder = Path(Layout(work.store).work(work.run))
        self._work = work
        self._written: set[int] = set()  # values that are files
        self._batches = 0

    def share(self, *, outlives: bool, snapshot: bool = False) -> None:
        """Write what all workers need; raises Unsendable. Where they outlive the run, its folder says so.

        With `snapshot` the user's code goes with it, for workers that start when it may have been edited.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if outlives:
            (self.folder / OUTLIVES).touch()
        plain = self._work._replace(layouts=(), values=())
        if snapshot:
            from memento.worker import code_snapshot

            plain = plain._replace(snapshot=code_snapshot.take(plain))
        (self.folder / HANDED).write_bytes(pickle.dumps(plain, protocol=5))

    def drop_unused(self) -> None:
        """Remove what was handed over where no task went with it, and none came back: the run could not begin."""
        if not self._batches and not (self.folder / OUTCOMES).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def pack(
        self, tasks: Sequence[Task], known: set[int] | None = None, *, leaves_outcomes: bool = False
    ) -> Batch:
        """Make what is carried of tasks, without the values that are `known` there, which grow; raises Unsendable."""
        work, values = self._work, dict[int, bytes | None]()
        for number in {number for task in tasks for number in task.values} - (known or set()):
            data = None if number in self._written else work.values[number]
            if data is not None and len(data) > _SMALL:
                value_file(self.folder, number).write_bytes(data)
                self._written.add(number)
                data = None
            values[number] = data
        if known is not None:
            known.update(values)
        layouts = {task.layout: tuple(work.layouts[task.layout]) for task in tasks}
        self._batches += 1
        folder = str(self.folder)
        return Batch(self._batches, folder, process_name(), layouts, values, tuple(tasks), leaves_outcomes)
