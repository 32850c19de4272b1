"""Give a failed task's exception back to people here, with the traceback from where it was raised.

Knows: failures as records, exceptions. May not know: stores' files, executors, results.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from memento.errors import (
    MemoryLimitExceeded,
    RemoteError,
    TaskError,
    TaskLost,
    TaskTimeout,
    UnsavableResult,
    WorkerDied,
)
from memento.records import DIED, LOST, MEMORY, TIMEOUT, UNSAVABLE, Failure

_CLASSES: dict[str, type[TaskError]] = {
    DIED: WorkerDied,
    LOST: TaskLost,
    TIMEOUT: TaskTimeout,
    MEMORY: MemoryLimitExceeded,
    UNSAVABLE: UnsavableResult,
}


class RemoteTraceback(Exception):
    """Prints what an exception's own traceback cannot: where it was raised, in another process or run."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text.rstrip()}\n"""'


def exception_of(failure: Failure, task: str = "", *, trusted: bool = True, **facts: Any) -> BaseException:
    """Return the exception of a failure: the one that was raised, else a TaskError that carries its text.

    A line that names the task becomes a note; `facts` are set as attributes, where it has none of that name. Only
    with `trusted` anything is unpickled.

    Examples
    --------
    >>> failure = Failure("raised", "ValueError", "bad", "Traceback ...", "exp.py:3", None, "")
    >>> exception_of(failure, key="0f").key
    '0f'
    >>> exception_of(failure)
    RemoteError('ValueError: bad')
    """
    error = (_original(failure) if trusted else None) or _stand_in(failure)
    text = "\n".join(part for part in (failure.traceback.rstrip(), _printed(failure), task) if part)
    if text:
        error.__cause__ = RemoteTraceback(text)
    if task:
        note(error, task)
    for name, value in facts.items():
        if not hasattr(error, name):
            with suppress(Exception):  # a class with slots: the note says it too
                setattr(error, name, value)
    return error


def _original(failure: Failure) -> BaseException | None:
    if failure.exception is None:
        return None
    from memento.values.pickling import loads_value

    try:
        error = loads_value(failure.exception)
    except Exception:  # its class may be gone, or want other arguments: the text stands in for it
        return None
    return error if isinstance(error, BaseException) else None


def _stand_in(failure: Failure) -> TaskError:
    cls = _CLASSES.get(failure.kind)
    if cls is None:
        return RemoteError(f"{failure.type}: {failure.message}" if failure.message else failure.type)
    return cls(failure.message or failure.type)


def _printed(failure: Failure) -> str:
    # With a traceback the cause is known; without one, the last words are what there is to go by.
    if failure.traceback or not failure.output.strip():
        return ""
    return f"Last lines of its output:\n{failure.output.rstrip()}"


def note(error: BaseException, text: str) -> None:
    """Have an exception's traceback end with a text."""
    if hasattr(error, "add_note"):
        error.add_note(text)
        return
    # Python 3.10 prints no notes; tools that know PEP 678 read them, and the remote traceback says it too.
    with suppress(Exception):
        vars(error)["__notes__"] = [*getattr(error, "__notes__", ()), text]
