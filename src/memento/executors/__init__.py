"""Who runs the tasks: worker processes here, threads, this process, or somebody's pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

# For type checkers, to which `X as X` says that X is public. A test compares it with the table.
if TYPE_CHECKING:
    from memento.executors.base import Executor as Executor
    from memento.executors.base import Lost as Lost
    from memento.executors.base import Message as Message
    from memento.executors.base import Note as Note
    from memento.executors.base import Running as Running
    from memento.executors.base import Update as Update
    from memento.executors.choose import make_executor as make_executor
    from memento.executors.dask import Dask as Dask
    from memento.executors.futures import Futures as Futures
    from memento.executors.processes import Processes as Processes
    from memento.executors.ray import Ray as Ray
    from memento.executors.serial import Serial as Serial
    from memento.executors.slurm.engine import Slurm as Slurm
    from memento.executors.threads import Threads as Threads
    from memento.worker.work import Task as Task
    from memento.worker.work import Work as Work

_HOMES = {
    "memento.executors.base": "Executor Lost Message Note Running Update",
    "memento.executors.choose": "make_executor",
    "memento.executors.dask": "Dask",
    "memento.executors.futures": "Futures",
    "memento.executors.processes": "Processes",
    "memento.executors.ray": "Ray",
    "memento.executors.serial": "Serial",
    "memento.executors.slurm.engine": "Slurm",
    "memento.executors.threads": "Threads",
    "memento.worker.work": "Task Work",
}

__getattr__, __all__ = on_first_use(__name__, _HOMES)
