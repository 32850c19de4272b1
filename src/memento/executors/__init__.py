"""Who runs the tasks: worker processes here, threads, this process, or somebody's pool."""

from memento.executors.base import Executor, Finished, Lost, Message, Note, Running, Task, Update, Work
from memento.executors.choose import make_executor

__all__ = [
    "Executor",
    "Finished",
    "Lost",
    "Message",
    "Note",
    "Running",
    "Task",
    "Update",
    "Work",
    "make_executor",
]
