"""What an engine must do to run tasks: the one page that a new executor is written from.

Knows: tasks, outcomes, messages. May not know: stores' indexes, matrices, displays, retry rules.

    runner ── start(work), submit(tasks), cancel, resize, close ──> executor ──> workers
    runner <── poll(): Outcome, Lost, Update, Note ──────────────── executor <── outcomes

One thread, the runner's, calls an executor; only `wake` and `interrupt` may come from a signal handler. Results are
returned from `poll`; nothing calls back upward. An executor owns its workers, its queue of submitted tasks and every
process and thread that it started.

To add an engine: subclass `Executor` (or `memento.executors.batches.BatchExecutor`, for what carries a batch of tasks
there and outcomes back), declare its capabilities, give it a name in the entry point group "memento.executors", and
have it pass `memento.testing.ExecutorContract`.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from memento.records import Outcome
from memento.worker.work import Task, Work


class Lost(NamedTuple):
    """An attempt that is given back without an outcome.

    Either `cancel` asked for it before it had started, or its place was taken away from it (a node was preempted, a
    container ended). The runner records the second kind as lost, with the reason, and submits the task again under the
    next attempt's number, as often as `Retry.losses` says; `retries` do not count it. An executor does not have to
    give back what had not started when its place was taken away: it may put that elsewhere by itself.
    """

    number: int  # Task.number
    attempt: int  # Task.attempt
    reason: str = ""  # for people: "node n17 was preempted"
    cancelled: bool = False  # `cancel` asked for it
    # Nothing of it lives on, as its own place has said; else the next attempt keeps away from it.
    gone: bool = False
    kept: bool = False  # it has lost nothing: it had not begun, or has saved its state and goes on from there


class Update(NamedTuple):
    """A running task's own bar and latest metrics; at most one each `Work.live_every` seconds a task."""

    number: int
    worker: str
    done: float
    total: float | None
    metrics: dict[str, float]
    doing: str = ""  # what it is at, where that is more than its own work: "waits for step load('x')"


class Note(NamedTuple):
    """Something that a person should know: a worker was replaced, a limit was near."""

    text: str
    level: str = "warning"  # or "info"


# An outcome is a message itself: an attempt ended. Each submitted task yields one Outcome or one Lost, never both.
Message = Outcome | Lost | Update | Note


class Running(NamedTuple):
    """What a worker does now."""

    worker: str
    number: int
    seconds: float


class Executor(ABC):
    """Start attempts, report outcomes.

    What an engine can do stands in its attributes, so that neither the runner nor a test asks for names or types.
    They may be set on the instance where they depend on how it was made, before `start` returns.
    """

    name: str  # for people: "processes"
    # How many tasks it runs at once, whatever the run asks for; None: what that asks for.
    workers: int | None = None

    # How many it has room for where the run asks for no number; None: as this machine has.
    at_once: int | None = None

    # Capabilities
    isolates: bool = False  # a task that ends its process fails alone; its mates run, none of them twice
    # A running task can be ended: `timeout`, `memory_limit`, and `cancel` after the grace.
    preempts: bool = False
    in_process: bool = False  # tasks run in the caller's thread, inside `poll`: only `interrupt` can end one
    shares_memory: bool = False  # tasks run in this process: what cannot be pickled reaches them
    same_host: bool = False  # its workers are of this machine and end with this process: its memory is theirs
    alone: bool = True  # each of its processes runs one task at a time
    gives_gpus: bool = False  # a task sees the GPUs that it asked for, and no others
    # Bytes that a task may have; None: the machine's (`same_host`), or not known.
    most_memory: int | None = None
    # Seconds of forecast of a task that fits its places; None: they have no end.
    most_cost: float | None = None
    grows: bool = False  # its places come and go while it runs; `num_workers` is how many there may be
    resizable: bool = False  # `resize` changes the number of workers while the run goes on
    tells: bool = False  # bars and metrics of running tasks come as Updates
    # What a task prints is its own: `Outcome.log` says where it stands in the store.
    keeps_output: bool = False
    # Tasks go on when this process is killed, and leave outcomes for the next one: `handover`.
    outlives: bool = False

    def take_over(  # noqa: B027  # workers of most end with this process
        self, dead: Sequence[str], outdated: Mapping[str, Collection[int]]
    ) -> None:
        """Wait for what workers of these dead runs are at, and have done, where it `outlives` a run; see `Work`."""

    def gpu_places(self, per_task: float, memory: int | None) -> int | None:
        """Say before `start` for how many tasks at once it has GPUs; None where that is not known here.

        Parameters
        ----------
        per_task : float
            GPUs that a task needs; below 1, a share of one.
        memory : int, optional
            Bytes of its memory that a task needs.

        Raises
        ------
        WorkerStartError
            Not for one.
        """
        return None

    @abstractmethod
    def start(self, work: Work) -> None:
        """Get ready; returns without waiting for workers. Called before anything else, and again after `close`.

        Of one run nothing may be left for the next. Where this raises, `close` is called all the same.

        Raises
        ------
        Unsendable
            Function or settings cannot be pickled, and tasks run in other processes.
        WorkerStartError
            No worker can be started.
        """

    @abstractmethod
    def want(self) -> int:
        """How many more tasks it would take now, to be busy for about the next second; 0 when it has enough."""

    @abstractmethod
    def submit(self, tasks: Sequence[Task]) -> None:
        """Queue tasks, in order. Each yields exactly one Outcome or exactly one Lost."""

    @abstractmethod
    def poll(self, timeout: float) -> list[Message]:
        """Wait up to `timeout` seconds for messages; may return none.

        Raises
        ------
        Unsendable
            A value cannot be pickled, and tasks run in other processes.
        WorkerStartError
            Nothing can run any more.
        """

    @abstractmethod
    def running(self) -> list[Running]:
        """What is being executed at this moment, for the display."""

    @abstractmethod
    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        """Give back what has not started, as Lost with `cancelled` in a later poll; with `running`, stop what runs.

        A stopped task is told first (`context.stopping`) and ended after `Work.grace`, or left to itself where it
        cannot be ended; it yields an Outcome with kind STOPPED, or its true outcome when it finishes in time.
        Idempotent; what is not here (any more) is left out.

        Parameters
        ----------
        numbers : iterable of int, optional
            Which tasks; by default all. All with `running` is the end of the run: nothing more is started, and what
            is submitted from then on comes back as Lost.
        running : bool
            Whether also tasks that have started are meant.
        """

    def resize(self, workers: int) -> None:
        """Run so many tasks at once from now on, 1 or more; ends nothing that runs. Only where `resizable`."""
        raise NotImplementedError(f"{self.name} cannot change its number of workers")

    def places(self) -> int | None:
        """Return how many tasks it can run at once just now; None: as many as it was asked for."""
        return None

    def waits(self) -> str:
        """Return what keeps tasks from starting, for people: "Slurm job 17 waits (Priority)"; "" where nothing does."""
        return ""

    def unbegun(self) -> Iterable[tuple[int, str]]:
        """Yield numbers of tasks that are here and have not begun, each with why, for people; some of many do."""
        return ()

    def closing_words(self) -> str:
        """Return what a person may want to know of it at the end of a run, in one line; "" where that is nothing."""
        return ""

    @abstractmethod
    def wake(self) -> None:
        """Make a `poll` that waits return soon. With `interrupt` all that a signal handler may call."""

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt into the task that runs in this very thread; elsewhere, do nothing."""
        return

    @abstractmethod
    def close(self) -> None:
        """End every worker and child at once and wait until they are gone. Idempotent; safe after errors."""


def take_out(queue: deque[Task], numbers: Iterable[int] | None) -> list[Task]:
    """Take these tasks, or all, out of a queue, in its order."""
    wanted = None if numbers is None else set(numbers)
    taken = [task for task in queue if wanted is None or task.number in wanted]
    if taken:
        left = [task for task in queue if wanted is not None and task.number not in wanted]
        queue.clear()
        queue.extend(left)
    return taken


def cancelled(tasks: Iterable[Task]) -> list[Message]:
    """Give tasks back that `cancel` keeps from starting."""
    return [Lost(task.number, task.attempt, cancelled=True) for task in tasks]
