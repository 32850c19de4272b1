"""Say why a worker's end ended the task that it ran.

Knows: exit codes, and what the supervisor had decided. May not know: pipes, processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from memento import system
from memento.errors import MemoryLimitExceeded, TaskTimeout, WorkerDied
from memento.records import DIED, MEMORY, OUT_OF_MEMORY, STOPPED, TIMEOUT, Failure
from memento.worker import failures
from memento.worker.task_runner import stopped, timed_out
from memento.worker.work import Work

CLOSED = 113  # exit code of a worker whose task has closed its pipes
FAULT = 114  # ... of one in which our own code failed; its log ends with the traceback
_TRACEBACK = "Traceback (most recent call last):"


class Sentence(NamedTuple):
    """Why a worker is being ended, and at which position that was decided."""

    kind: str  # a Failure.kind
    position: int
    memory: int | None = None  # bytes that its tree was seen to use
    suspended: bool = False  # it had stopped itself, long ago
    scarce: bool = False  # the machine was nearly out of memory, whatever the limit


def why_ended(
    work: Work, sentence: Sentence | None, code: int, output: str, *, struck: int | None = None
) -> Failure:
    """Describe the end of a task whose process ended: as decided here, or else as the system tells it.

    Parameters
    ----------
    work : Work
        What says the limits.
    sentence : Sentence or None
        What was decided here.
    code : int
        How the process ended, as `subprocess` gives it.
    output : str
        What it printed last.
    struck : int, optional
        Its peak memory in bytes, where the kernel is known to have killed it for want of memory.
    """
    if sentence is None and struck is not None:
        return _out_of_memory(
            "the kernel was out of memory and killed its worker process (SIGKILL)", struck, output
        )
    if sentence is None and code == FAULT and _TRACEBACK in output:
        text = (
            "Memento's own code failed in its worker process, or what the task has changed of it; the traceback says"
            " where"
        )
        said, _, trace = output.rpartition(_TRACEBACK)
        failure = failures.without_exception(DIED, "WorkerDied", text, said.rstrip(), WorkerDied(text))
        return failure._replace(traceback=_TRACEBACK + trace + "\n")
    if sentence is None:
        name = failures.exit_name(code)
        text = f"its worker process ended with {name} while it ran"
        if code == CLOSED:
            text = (
                "it closed file descriptors that it had not opened (os.closerange?), so that its outcome could not"
                " be told. Close only what you have opened."
            )
        return failures.without_exception(DIED, name, text, output, WorkerDied(text))
    if sentence.suspended:
        text = (
            "it was suspended (SIGSTOP), while other workers were not, for so much longer than"
            f" timeout={work.timeout:g} s that it will hardly go on, and was ended"
        )
        return failures.without_exception(TIMEOUT, "TaskTimeout", text, output, TaskTimeout(text))
    if sentence.kind == TIMEOUT:
        return timed_out(work.timeout or 0.0, output)
    if sentence.kind == STOPPED:
        return stopped(output)
    if sentence.scarce:
        what = "the machine was nearly out of memory, so the largest task was ended before the kernel would choose one"
        return _out_of_memory(what, sentence.memory or 0, output)
    text = (
        f"it used {(sentence.memory or 0) / 2**20:,.0f} MiB, more than"
        f" memory_limit={(work.memory_limit or 0) / 2**20:,.0f} MiB, and was ended"
    )
    return failures.without_exception(MEMORY, "MemoryLimitExceeded", text, output, MemoryLimitExceeded(text))


def _out_of_memory(what: str, used: int, output: str) -> Failure:
    text = (
        f"{what}; its worker had used {used / 2**20:,.0f} MiB. Run fewer tasks at once (num_workers), or set"
        " memory_limit"
    )
    failure = failures.without_exception(MEMORY, "OutOfMemory", text, output, MemoryLimitExceeded(text))
    return failure._replace(code=OUT_OF_MEMORY)


def garbled() -> Failure:
    """Describe a task whose worker told what nobody can read."""
    text = (
        "its outcome could not be read: it has written to a file descriptor that it had not opened, or changed"
        " functions of Python itself"
    )
    return failures.without_exception(DIED, "WorkerDied", text, "", WorkerDied(text))


class Scarcity:
    """Watches whether the kernel kills processes for want of memory.

    The count is of all processes of a cgroup, or of the machine: so it is only looked at a moment around an end.

    Parameters
    ----------
    pid : int
        A process that lives where the workers live.
    count : callable
        Returns how many were killed so far, given the process; None where that cannot be known.
    """

    def __init__(self, pid: int, count: Callable[[int], int | None] = system.oom_kills) -> None:
        self._pid, self._count = pid, count
        self._older = self._newer = count(pid)
        self._at = 0.0

    def look(self, now: float) -> None:
        """Take note of the count, now and then."""
        if now - self._at >= _MOMENT:
            self._at, self._older, self._newer = now, self._newer, self._count(self._pid)

    def struck(self) -> bool:
        """Tell whether somebody was killed within the last moments."""
        now = self._count(self._pid)
        return now is not None and self._older is not None and now > self._older


_MOMENT = 1.0  # seconds
