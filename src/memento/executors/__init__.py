"""Who runs the tasks: worker processes here, threads, this process, or somebody's pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memento.executors.base import Executor, Finished, Lost, Message, Note, Running, Task, Update, Work
from memento.executors.choose import make_executor

if TYPE_CHECKING:
    from memento.executors.futures import Futures
    from memento.executors.processes import Processes
    from memento.executors.serial import Serial
    from memento.executors.threads import Threads

__all__ = [
    "Executor",
    "Finished",
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

_HOME_OF = {"Futures": "futures", "Processes": "processes", "Serial": "serial", "Threads": "threads"}


def __getattr__(name: str) -> Any:
    """Load an executor when it is named: a run needs one of them."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
