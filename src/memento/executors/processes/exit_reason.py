"""Say why a worker's end ended the task that it ran.

Knows: exit codes, and what the supervisor had decided. May not know: pipes, processes.
"""

from __future__ import annotations

from typing import NamedTuple

from memento.errors import MemoryLimitExceeded, TaskTimeout, WorkerDied
from memento.records import DIED, MEMORY, OUT_OF_MEMORY, STOPPED, TIMEOUT, Failure
from memento.wording import size_text
from memento.worker import failures
from memento.worker.work import Work

CLOSED = 113  # exit code of a worker whose task has closed its pipes
FAULT = 114  # ... of one in which our own code failed; its log ends with the traceback
_TRACEBACK = "Traceback (most recent call last):"


class ExitReason(NamedTuple):
    """Why a worker is being ended, and at which position that was decided."""

    kind: str  # a Failure.kind
    position: int
    memory: int | None = None  # bytes that its tree was seen to use
    suspended: bool = False  # it had stopped itself, long ago
    scarce: bool = False  # the machine was nearly out of memory, whatever the limit


def why_ended(
    work: Work, decided: ExitReason | None, code: int, printed: str, *, struck: int | None = None
) -> Failure:
    """Describe the end of a task whose process ended: as decided here, or else as the system tells it."""
    if decided is None and struck is not None:
        return _out_of_memory(
            "the kernel was out of memory and killed its worker process (SIGKILL)", struck, printed
        )
    if decided is None and code == FAULT and _TRACEBACK in printed:
        text = (
            "Memento's own code failed in its worker process, or what the task has changed of it; the traceback says"
            " where"
        )
        said, _, trace = printed.rpartition(_TRACEBACK)
        failure = failures.without_exception(DIED, "WorkerDied", text, said.rstrip(), WorkerDied(text))
        return failure._replace(traceback=_TRACEBACK + trace + "\n")
    if decided is None:
        name = failures.exit_name(code)
        text = f"its worker process ended with {name} while it ran"
        if code == CLOSED:
            text = (
                "it closed file descriptors that it had not opened (os.closerange?), so that its outcome could not"
                " be told. Close only what you have opened."
            )
        if name == "SIGBUS":
            text += (
                ": a mapped file could not be read there. Its disk failed, or somebody has cut it short;"
                " `memento verify` looks at those of the store"
            )
        return failures.without_exception(DIED, name, text, printed, WorkerDied(text))
    if decided.suspended:
        text = (
            "it was suspended (SIGSTOP), while other workers were not, for so much longer than"
            f" timeout={work.timeout:g} s that it will hardly go on, and was ended"
        )
        return failures.without_exception(TIMEOUT, "TaskTimeout", text, printed, TaskTimeout(text))
    if decided.kind == TIMEOUT:
        return failures.timed_out(work.timeout or 0.0, printed)
    if decided.kind == STOPPED:
        return failures.stopped(printed)
    if decided.scarce:
        what = "the machine was nearly out of memory, so the largest task was ended before the kernel would choose one"
        return _out_of_memory(what, decided.memory or 0, printed)
    used, limit = size_text(decided.memory or 0), size_text(work.memory_limit or 0)
    had = f"it used {used} of memory, more than" if used != limit else "it used more memory than"
    text = f"{had} memory_limit={limit}, and was ended"
    return failures.without_exception(MEMORY, "MemoryLimitExceeded", text, printed, MemoryLimitExceeded(text))


def _out_of_memory(what: str, used: int, printed: str) -> Failure:
    text = (
        f"{what}; its worker had used {size_text(used)}. Run fewer tasks at once (num_workers), or set"
        " memory_limit"
    )
    failure = failures.without_exception(MEMORY, "OutOfMemory", text, printed, MemoryLimitExceeded(text))
    return failure._replace(code=OUT_OF_MEMORY)


def garbled() -> Failure:
    """Describe a task whose worker told what nobody can read."""
    text = (
        "its outcome could not be read: it has written to a file descriptor that it had not opened, or changed"
        " functions of Python itself"
    )
    return failures.without_exception(DIED, "WorkerDied", text, "", WorkerDied(text))
