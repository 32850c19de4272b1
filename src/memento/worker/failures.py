"""Describe what went wrong in a task, as text that needs no unpickling to be read.

Knows: exceptions, tracebacks, log files. May not know: processes, executors, stores' indexes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING

from memento.errors import (
    PayloadDamaged,
    RemoteError,
    StoreUnwritable,
    TaskError,
    TaskTimeout,
    UnsavableResult,
)
from memento.records import PAYLOAD_DAMAGED, RAISED, STOPPED, STORE_UNWRITABLE, TIMEOUT, UNSAVABLE, Failure

if TYPE_CHECKING:
    from traceback import TracebackException

    from memento.worker.causes import Cause

_MESSAGE_LIMIT = 4_000  # characters; a message may hold a whole array
_TRACEBACK_LIMIT = 60_000  # characters, head and tail kept: deep recursion prints thousands of frames
_TAIL_LINES = 20
_TAIL_BYTES = 16_384
_CALLS_THE_TASK = os.path.join("worker", "task_runner.py")
_DUMPED_FRAMES = 5  # of each thread; all are in the log
_DUMPED_THREAD = r"(?:Current thread|Thread) 0x[0-9a-f]+.*:"
_DUMPED_FRAME = r'  File "(.*)", line (?:\d+|\?\?\?) in .*'


def raised(error: BaseException, output: str = "", kind: str = RAISED, *, pickled: bool = True) -> Failure:
    """Describe an exception that a task raised: what really failed, and the traceback without Memento's frames."""
    cause = _cause(error)
    message = clipped(cause.message, _MESSAGE_LIMIT)
    step = getattr(error, "__memento_step__", None)  # set by `context.step_failures`
    return Failure(
        kind=kind,
        type=cause.type,
        message=f"{message} (in step {step})".lstrip() if step else message,
        traceback=clipped(_traceback(error), _TRACEBACK_LIMIT),
        location=cause.lines.place,
        exception=_pickle(error) if pickled else None,
        output=output,
        code=(code := _code(error)),
        path=str(getattr(error, "path", "")) if code else "",
        lineage=tuple(f"{kind.__module__}:{kind.__qualname__}" for kind in type(error).__mro__),
    )


def _cause(error: BaseException) -> Cause:
    from memento.worker.causes import Cause, cause_of  # most workers never need it
    from memento.worker.user_lines import Lines

    try:
        return cause_of(error)
    except RecursionError:
        raise
    except Exception:  # a broken __cause__ or __class__ must not hide what failed
        return Cause(type(error).__name__, "", Lines("", ""))


def _code(error: BaseException) -> str:
    """Say what failed beside the experiment's own code: that is for the runner to judge, by the error's path."""
    if isinstance(error, StoreUnwritable):
        return STORE_UNWRITABLE
    return PAYLOAD_DAMAGED if isinstance(error, PayloadDamaged) else ""


def without_exception(
    kind: str, name: str, message: str, output: str = "", error: TaskError | None = None
) -> Failure:
    """Describe an end that no exception tells of: a signal, an exit code, a limit."""
    return Failure(kind, name, message, "", "", _pickle(error) if error is not None else None, output)


def unsavable(returned: object, error: BaseException) -> Failure:
    """Describe a value that cannot be stored."""
    if isinstance(error, UnsavableResult):  # it says which part is at fault, and the ways out
        message = str(error)
    else:
        kind = f"{type(returned).__module__}.{type(returned).__qualname__}"
        message = (
            f"it returned a {kind}, which cannot be stored: {type(error).__name__}: {error}."
            " Return what can be pickled (numbers, arrays, frames, fitted models), or write it to"
            " `context.artifact(name)` and return its name."
        )
    message = clipped(message, 4_000)
    short = without_exception(UNSAVABLE, "UnsavableResult", message, error=UnsavableResult(message))
    cause = error.__cause__ or error
    from memento.worker.user_lines import lines_of_traceback

    if not lines_of_traceback(cause.__traceback__).own:  # where a pickler stood tells nothing
        return short._replace(traceback=f"UnsavableResult: {message}\n")
    told = raised(cause, kind=UNSAVABLE, pickled=False)
    return short._replace(traceback=told.traceback, location=told.location)


def timed_out(limit: float, output: str = "") -> Failure:
    """Describe a task that ran longer than it may."""
    message = f"it ran longer than timeout={limit:g} s and was ended"
    return without_exception(TIMEOUT, "TaskTimeout", message, output, TaskTimeout(message))


def stopped(output: str = "") -> Failure:
    """Describe a task that the run's own end ended."""
    return without_exception(STOPPED, "StopTask", "the run was stopped before it finished", output)


def has_saved(failure: Failure) -> bool:
    """Tell whether a task that was stopped has ended by itself, as a loop does that has saved its state."""
    # A loop raises StopTask without a word; who ends a task that does not end itself says so (`stopped`).
    return failure.kind == STOPPED and failure.type == "StopTask" and not failure.message


def clipped(text: str, limit: int) -> str:
    """Shorten a text in its middle, saying by how much."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def exit_name(status: int) -> str:
    """Name how a process ended, from a return code as `subprocess` gives it."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def keep_last_words() -> None:
    """Have each line leave this process when it is printed: what ends the process may leave it no time to do so."""
    with contextlib.suppress(Exception):  # it may be None, or of the program's own making
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def tail(path: str | os.PathLike[str], start: int = 0, end: int | None = None) -> str:
    """Return the last lines of a slice of a log file; "" where it cannot be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            end = size if end is None else min(end, size)
            first = max(start, end - _TAIL_BYTES)
            file.seek(first)
            data = file.read(max(end - first, 0))
    except OSError:
        return ""
    lines = _without_our_frames(data.decode("utf-8", "replace").splitlines())
    return "\n".join(lines[-_TAIL_LINES:])


def _without_our_frames(lines: list[str]) -> list[str]:
    """Leave of a dump of stacks, as faulthandler prints it at the end of a process, what the task did."""
    import re

    from memento.worker.user_lines import is_ours

    kept: list[str] = []
    inside = False  # below a frame of ours
    outside = False  # below the call of the task: what follows is the program that the worker is a copy of
    shown = 0  # frames of this stack
    for line in lines:
        frame = re.fullmatch(_DUMPED_FRAME, line)
        if frame is None:
            inside, outside, shown = False, False, 0
        elif is_ours(frame[1]) or (inside and frame[1] == "<string>"):
            inside = True
            outside = outside or frame[1].endswith(_CALLS_THE_TASK)
            continue
        elif outside:
            continue
        else:
            shown += 1
            if shown > _DUMPED_FRAMES:  # a runaway recursion must not push out what was printed before it
                continue
        if not line.startswith("Extension modules: "):  # a screenful of names
            kept.append(line)
    bare = [
        number
        for number, line in enumerate(kept)
        if re.fullmatch(_DUMPED_THREAD, line)
        and not any(re.fullmatch(_DUMPED_FRAME, after) for after in kept[number + 1 : number + 2])
    ]
    return [line for number, line in enumerate(kept) if number not in bare]


def _traceback(error: BaseException) -> str:
    import traceback

    try:
        told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        seen: set[int] = set()
        _drop_ours(told, seen)
        return "".join(told.format())
    except Exception as exc:  # a broken __str__, __cause__ or source file must not hide what failed
        return f"{type(error).__name__}: <its traceback cannot be shown: {type(exc).__name__}>\n"


def _drop_ours(told: TracebackException, seen: set[int]) -> None:
    """Leave out the frames of Memento, in the whole chain of causes."""
    from traceback import StackSummary

    from memento.worker.user_lines import is_ours

    if id(told) in seen:
        return
    seen.add(id(told))
    frames = [frame for frame in told.stack if not is_ours(frame.filename)]
    told.stack = StackSummary.from_list(frames)
    linked = [told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())]
    for other in linked:
        if other is not None:
            _drop_ours(other, seen)


def _pickle(error: BaseException) -> bytes | None:
    from memento.values import pickling

    return None if isinstance(error, RemoteError) else pickling.dumps_exception(error)
