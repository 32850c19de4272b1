"""Who runs the tasks: worker processes here, threads, this process, or somebody's pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.executors.base import Executor, Lost, Message, Note, Running, Update
    from memento.executors.choose import make_executor
    from memento.executors.futures import Futures
    from memento.executors.processes import Processes
    from memento.executors.serial import Serial
    from memento.executors.threads import Threads
    from memento.worker.work import Task, Work

__all__ = [
    "Executor",
    "Futures",
    "Lost",
    "Message",
    "Note",
    "Processes",
    "Running",
    "Serial",
    "Task",
    "Threads",
    "Update",
    "Work",
    "make_executor",
]

# Of a run whose results are all there nobody needs any of it.
_HOMES = {
    **dict.fromkeys(("Executor", "Lost", "Message", "Note", "Running", "Update"), "memento.executors.base"),
    **dict.fromkeys(("Task", "Work"), "memento.worker.work"),
    "make_executor": "memento.executors.choose",
    "Futures": "memento.executors.futures",
    "Processes": "memento.executors.processes",
    "Serial": "memento.executors.serial",
    "Threads": "memento.executors.threads",
}

__getattr__ = on_first_use(__name__, _HOMES)
