"""What every executor speaks: work, tasks, messages, and the protocol itself.

Knows: the shape of work and its outcomes. May not know: stores' indexes, matrices, displays, retry rules.

    runner ── start(work), submit(tasks), cancel, close ──> executor ──> workers
    runner <── poll(): Outcome, Lost, Update, Note ──────── executor <── outcomes

One thread, the runner's, calls an executor. Results are returned from `poll`; nothing calls back upward.
An executor owns its workers, its queue of submitted tasks and every process and thread that it started.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from memento.records import Outcome
from memento.worker.work import Task, Work


class Lost(NamedTuple):
    """Submitted tasks that are given back without an outcome.

    After a `cancel` these are tasks that have not started. At any other time their place was taken away (a node was
    preempted, a container ended): each such attempt is recorded as lost, with the reason, and the runner submits the
    task again under the next attempt's number, as often as `Retry.losses` says; `retries` do not count it. What has
    not started an executor puts elsewhere by itself; the local ones give tasks back only on `cancel`.
    """

    numbers: tuple[int, ...]
    reason: str = ""  # "node n17 was preempted"; for people


class Update(NamedTuple):
    """A running task's own bar and latest metrics; at most one each `Work.live_every` seconds a task."""

    number: int
    worker: str
    done: float
    total: float | None
    metrics: dict[str, float]


class Note(NamedTuple):
    """Something that a person should know: a worker was replaced, a limit was near."""

    text: str
    level: str = "warning"  # or "info"


# An outcome is a message itself: an attempt ended, one for each submitted task that is not lost.
Message = Outcome | Lost | Update | Note


class Running(NamedTuple):
    """What a worker does now."""

    worker: str
    number: int
    seconds: float


class Executor(Protocol):
    """Start attempts, report outcomes. Called from one thread only.

    Limits are declared as attributes, so that tests and the runner need not know types.
    """

    name: str
    isolates: bool  # a task that kills its process fails alone
    preempts: bool  # `timeout` and `memory_limit` can end a running task
    alone: bool = True  # each of its processes runs one task at a time
    shares_memory: bool = False  # tasks run in this process: what cannot be pickled reaches them
    in_process: bool = False  # tasks run in the caller's thread, inside `poll`: only `interrupt` can end one

    def start(self, work: Work) -> None:
        """Get ready; returns without waiting for workers. Called once, before anything else."""

    def want(self) -> int:
        """How many more tasks it would take now, to be busy for about the next second; 0 when it has enough."""

    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks, in order. Each yields exactly one Outcome or stands in exactly one Lost."""

    def poll(self, timeout: float) -> list[Message]:
        """Wait up to `timeout` seconds for messages; may return none. Raises WorkerStartError when nothing can run."""

    def running(self) -> list[Running]:
        """What is being executed at this moment, for the display."""

    def cancel(self, *, running: bool) -> None:
        """Give back what has not started (as Lost in the next poll); with `running`, also stop what runs.

        A stopped task is told first (`context.stopping`, checkpoint at once) and ended after `Work.grace`;
        it yields an Outcome with kind STOPPED, or its true outcome when it finishes in time. Idempotent.
        """

    def wake(self) -> None:
        """Make a `poll` that waits return soon. With `interrupt` all that a signal handler may call."""

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt into the task that runs in this very thread; elsewhere, do nothing."""
        return

    def close(self) -> None:
        """End every worker and child at once and wait until they are gone. Idempotent; safe after errors."""
