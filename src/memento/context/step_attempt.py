"""What a step has while a task computes it: seeds, checkpoints and a folder of its own, the task's metrics and bar.

Knows: the attempt that computes the step. May not know: how steps are found, stored, waited for.

A step is one for all tasks, so nothing in it may be of the task that happens to compute it, but for what people see:
the bar, metrics, the log.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memento.context.attempt import Attempt
from memento.layout import Layout

if TYPE_CHECKING:
    from memento.context.step_locks import StepLock
    from memento.values.checkpoints import CheckpointDir


class StepAttempt(Attempt):
    """An attempt at a step; `around` is what computes it: a task's attempt, or a step's."""

    __slots__ = ("around", "lock", "step")

    def __init__(self, around: Attempt, lock: StepLock, step: str) -> None:
        space = around.place()._replace(
            key=bytes.fromhex(lock.key), so_far=None, codes=(), on_code_change="ignore", repeat=0
        )
        super().__init__(space, lock.key)
        self.around, self.lock, self.step = around, lock, step

    @property
    def task(self) -> str:
        """The key of the task that computes it, in hexadecimal."""
        return self.around.task

    @property
    def repeat(self) -> int:
        """None: raises RuntimeError."""
        raise RuntimeError(
            f"the step {self.step} is one for the tasks of all repeats, so it has no shared_seed and no shared_rng:"
            " give it what it draws from, like context.cached(split, X, seed=context.shared_seed), or use context.rng"
        )

    def held_steps(self) -> list[str]:
        """Return the keys of this step and of those around it."""
        return [self.key, *super().held_steps(), *self.around.held_steps()]

    def record(self, values: Mapping[str, Any], step: float | None) -> None:
        """Record for the task."""
        self.around.record(values, self.loop_step if step is None else step)

    def progress(self, delta: float, total: float | None = None) -> None:
        """Move the task's bar."""
        self.around.progress(delta, total)

    def at(self, doing: str) -> Any:
        """Tell what the task is at."""
        return self.around.at(doing)

    def folder(self) -> str:
        """Return the step's own folder, which stays as long as the step."""
        return Layout(self.place().store).step_files(self.key)

    def checkpoints_at(self, name: str) -> CheckpointDir:
        """Open a folder of checkpoints of this step."""
        from memento.values.checkpoints import CheckpointDir, Origin
        from memento.values.payloads import PayloadDir

        layout = Layout(self.place().store)
        if self.origin is None:
            self.origin = Origin()  # its code is a part of its key
        return CheckpointDir(layout.step_work, name, self.origin, PayloadDir(layout.steps))

    def finish(self) -> None:
        """Remove what the step had to go on from."""
        shutil.rmtree(os.path.join(Layout(self.place().store).step_work, self.key), ignore_errors=True)
