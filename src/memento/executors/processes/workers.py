"""The places in which workers stand: shared memory, pipes, logs, GPUs; and the table of who stands where.

Knows: descriptors, files, handles. May not know: the queue, limits, why a worker ends.
"""

from __future__ import annotations

import contextlib
import os

from memento.executors.processes import channel, launch
from memento.executors.processes.control import Control
from memento.executors.processes.slots import Slots, make_file
from memento.executors.processes.worker import Place
from memento.executors.processes.worker_handle import WorkerHandle
from memento.layout import Layout
from memento.worker.work import Work

_ROOM = 1_024  # slots that there are, since a run may get more workers; 64 bytes each


class Workers:
    """The workers of a run."""

    def __init__(self, work: Work, count: int) -> None:
        self.handles: dict[int, WorkerHandle] = {}  # by slot
        self.most = max(count, _ROOM)  # at once
        self._gpus: list[tuple[str, ...]] = []
        if work.gpus_per_task:
            from memento.executors.gpus import assign, visible_gpus

            self._gpus = assign(visible_gpus(os.environ), work.gpus_per_task, self.most)
            self.most = len(self._gpus)
        self._run, self._made = work.run, 0
        self.logs = Layout(work.store).log(work.run) if work.log_output else None  # their folder
        if self.logs is not None:
            os.makedirs(self.logs, exist_ok=True)
        self.file = make_file(launch.shared_name(launch.mark(work)), Slots.size(self.most))
        self.slots = Slots(self.file, self.most)

    def start(self, control: Control, slot: int) -> WorkerHandle:
        """Have a worker started in a slot that nobody has."""
        self._made += 1
        name = f"{self._made:04d}.log"
        log = os.path.join(self.logs, name) if self.logs is not None else ""
        self.slots.clear(slot)
        theirs_in, ours_out, ours_in, theirs_out = channel.make_pipes()
        gpus = self._gpus[slot] if self._gpus else ()
        place = Place(slot, self.most, log, f"{self._run}/{name}", gpus)
        handle = self.handles[slot] = WorkerHandle(place, self.slots, ours_in, ours_out)
        try:
            control.spawn(handle, (theirs_in, theirs_out))
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
