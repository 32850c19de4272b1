"""Bring a run's workers to the GPUs that its executor has.

Knows: options, what an executor says of its GPUs. May not know: devices, sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.errors import WorkerStartError
from memento.runner.options import default_workers, executor_name
from memento.wording import number_of

if TYPE_CHECKING:
    from memento.executors.base import Executor
    from memento.runner.options import Options


def fitted(options: Options, executor: Executor, tasks: int) -> tuple[Options, str]:
    """Return options with no more workers than there are GPUs for, and what of that a person may not expect."""
    if not executor.gives_gpus:
        asked = "gpus_per_task" if options.gpus_per_task else "gpu_memory"
        name = executor_name(options.executor)
        return (
            options,
            f"{asked} has no effect: with executor={name!r} each task sees all GPUs of its process.",
        )
    most = executor.gpu_places(options.gpus_per_task, options.gpu_memory)
    if most is None:
        return options, ""
    workers, note = min(options.num_workers, tasks), ""
    if most < workers:
        note = f"{number_of(most, 'worker')}, not {workers}: there are no more GPUs."
    elif workers < min(most, tasks) and options.gpus_per_task >= 1:
        idle = f"{number_of(workers, 'worker')}, though there are GPUs for {most}"
        if options.num_workers == default_workers(options.cpus_per_task):
            note = f"{idle}: there are no more cores. num_workers={most} uses them all."
    return options._replace(num_workers=min(options.num_workers, most)), note


def planned(options: Options, tasks: int) -> tuple[Options, str]:
    """Return the same for a plan, in which it is told and not raised that there are none."""
    from memento.executors import make_executor

    try:
        return fitted(options, make_executor(options.executor, options.num_workers), tasks)
    except WorkerStartError as error:
        return options, f"it would not run: {error}"
