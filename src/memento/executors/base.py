"""What every executor speaks: work, tasks, messages, and the protocol itself.

Knows: the shape of work and its outcomes. May not know: stores' indexes, matrices, displays, retry rules.

    runner ── start(work), submit(tasks), cancel, close ──> executor ──> workers
    runner <── poll(): Outcome, Lost, Update, Note ──────── executor <── outcomes

One thread, the runner's, calls an executor. Results are returned from `poll`; nothing calls back upward.
An executor owns its workers, its queue of submitted tasks and every process and thread that it started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from memento.executors.sending import Portable
from memento.keys import Script
from memento.store.records import Outcome


class Task(NamedTuple):
    """One attempt to make: which values, by number, in which layout of names."""

    number: int  # the runner's name for the task in this run
    key: bytes
    layout: int  # index into Work.layouts: the names, in order
    values: tuple[int, ...]  # indexes into Work.values, one for each name
    repeat: int
    attempt: int  # 1 for the first
    cost: float  # expected seconds; 0.0 where unknown
    version: int = 0  # index into Work.codes


LIVE_EVERY = 0.5  # seconds
_NOTHING: dict[str, str] = {}
_NO_GENERATORS: dict[str, bytes] = {}
_NO_CODES: tuple[tuple[bytes, ...], ...] = ((),)
_NONE_SEEN: dict[str, tuple[str, str]] = {}


class Work(NamedTuple):
    """What all tasks of a run share; sent to each worker once.

    Every entry of `values` is bytes for `memento.store.pickling.loads`; so are `function.data` and `settings.data`,
    which are made when they are asked for: copies of the program have the function, and who runs tasks in this process
    has everything (`local`). Pickled, this takes function and settings along, and neither `layouts` nor `values`.
    A worker gets a value's bytes at most once, with the first task that uses it, and unpickles
    it for each task, so that a task that changes a value in place changes nothing for the next.
    """

    run: str  # unique name of the run within the store; safe as a file name
    experiment: str
    function: Portable
    settings: Portable  # of a dict
    layouts: Sequence[tuple[str, ...]]  # may grow while the run goes on
    values: Sequence[
        bytes
    ]  # may be lazy: an entry is pickled when it is first asked for; for `here` see `local`
    store: str  # absolute path of the store's folder, shared with the workers
    script: Script  # what the program was started with: workers give the same names as it does
    sys_path: list[str]
    cwd: str
    num_workers: int
    cpus_per_task: int = 1
    gpus_per_task: float = 0
    timeout: float | None = None  # seconds a task
    memory_limit: int | None = None  # bytes a task
    max_tasks_per_worker: int | None = None
    log_output: bool = True
    grace: float = 5.0  # seconds between asking a task to stop and ending it
    inline_limit: int = 16_384  # bytes; larger values are written as payload files by the worker
    live_every: float = LIVE_EVERY  # seconds between live updates of a task
    environment: Mapping[str, str] = _NOTHING
    sources: Mapping[str, str] = _NOTHING  # texts of code by its name, see `sources`
    generators: Mapping[str, bytes] = (
        _NO_GENERATORS  # those that tasks share, by label: what children come from
    )
    initializer: Portable | None = None  # called in each worker before its first task
    carried: Any = None  # what the program has set, for fresh processes; see `carrying`
    seen: Mapping[str, tuple[str, str]] = (
        _NONE_SEEN  # what the function reads, for fresh processes; see `sameness`
    )
    codes: Sequence[tuple[bytes, ...]] = (
        _NO_CODES  # versions of the code: each one's digest, and what counts as it
    )
    on_code_change: str = "ignore"  # what becomes of checkpoints that other versions saved


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
