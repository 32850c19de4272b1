"""Say why a worker's end ended the task that it ran.

Knows: exit codes, and what the supervisor had decided. May not know: pipes, processes.
"""

from __future__ import annotations

from dataclasses import dataclass

from memento.errors import MemoryLimitExceeded, WorkerDied
from memento.executors import failures
from memento.executors.base import Work
from memento.executors.task import stopped, timed_out
from memento.store.records import DIED, MEMORY, STOPPED, TIMEOUT, Failure

CLOSED = 113  # exit code of a worker whose task has closed its pipes


@dataclass(frozen=True)
class Sentence:
    """Why a worker is being ended, and at which position that was decided."""

    kind: str  # a Failure.kind
    position: int
    memory: int | None = None  # bytes that its tree was seen to use


def why_ended(work: Work, sentence: Sentence | None, code: int, output: str) -> Failure:
    """Describe the end of a task whose process ended: as decided here, or else as the system tells it."""
    if sentence is None:
        name = failures.exit_name(code)
        text = f"its worker process ended with {name} while it ran"
        if code == CLOSED:
            text = (
                "it closed file descriptors that it had not opened (os.closerange?), so that its outcome could not"
                " be told. Close only what you have opened."
            )
        return failures.without_exception(DIED, name, text, output, WorkerDied(text))
    if sentence.kind == TIMEOUT:
        return timed_out(work.timeout or 0.0, output)
    if sentence.kind == STOPPED:
        return stopped(output)
    text = (
        f"it used {(sentence.memory or 0) / 2**20:,.0f} MiB, more than"
        f" memory_limit={(work.memory_limit or 0) / 2**20:,.0f} MiB, and was ended"
    )
    return failures.without_exception(MEMORY, "MemoryLimitExceeded", text, output, MemoryLimitExceeded(text))
