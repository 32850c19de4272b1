"""What happens in a run, told to displays, notification providers and your own listeners.

Knows: plain facts. May not know: who listens, stores, executors.

Events come in the order in which things happened, after they are durable: what an event says is done is done, whatever
happens next. Each has `run`, the run's name in the store ("" where it is about no one run), and `time`, UTC seconds.
Keys are hex texts, as `Result.key` and the command line have them.

A listener is any callable that takes an event, given as ``Memento(..., listeners=[...])``. It is called in a thread of
its own, one event after another, so it may be slow or hang without holding up the run: what waits for it is shortened
(ticks to the latest one, finished tasks to sums, whose keys are left out beyond ten thousand). One that raises is told
once, by a `Said`, and hears no more. `docs/events.md` has some to begin with.

>>> def on_failure(event):
...     if isinstance(event, TaskFailed):
...         print(f"{event.key[:8]} failed: {event.group.title}")
>>> group = FailureGroup("ValueError: no such dataset (train.py:24)", "ValueError", 1, "", "dataset=wine", "0a1b")
>>> on_failure(TaskFailed("0a1b2c3d4e5f", "dataset=wine", group, first_of_group=True))
0a1b2c3d failed: ValueError: no such dataset (train.py:24)
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class FailureGroup(NamedTuple):
    """Failures with one cause, and what they have in common."""

    title: str  # "ValueError: inconsistent numbers of samples (experiment.py:24)"
    kind: str
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks a group for
    traceback: str  # of the first
    config: str  # short text of the first configuration
    key: str  # hex key of the first
    rule: str = ""  # "all 4 have dataset=load_wine_broken, no success has it"
    output: str = ""  # last lines printed by the first
    keys: tuple[str, ...] = ()
    different: int = 1  # how many messages they have, that differ in numbers, paths or names
    messages: tuple[str, ...] = ()  # the first of these


class WarningGroup(NamedTuple):
    """Tasks that warned of the same, and what they have in common."""

    title: str  # "RuntimeWarning: invalid value encountered in divide (experiment.py:19)"
    count: int  # type: ignore[assignment]  # tasks; hides tuple.count, which nobody asks a group for
    times: int  # how often they warned, all together
    config: str  # short text of the first configuration
    key: str  # hex key of the first
    rule: str = ""  # "all 12 have model=SVC, no other task has it"
    keys: tuple[str, ...] = ()


class Extreme(NamedTuple):
    """The configuration with the highest, or the lowest, of a number that tasks returned or recorded."""

    by: str  # "accuracy"
    highest: bool
    value: float  # the mean of its repeats
    config: str  # "lr=0.1, model=SVC"
    key: str  # hex key of its first
    repeats: int = 1


class RunStarted(NamedTuple):
    """The plan is made and work begins."""

    experiment: str
    store: str
    total: int
    cached: int
    todo: int
    workers: int
    forecast: float | None = None  # seconds, from past runtimes
    executor: str = "processes"
    in_process: bool = False  # tasks run in the program's own thread, and may use its terminal
    matrix: str = ""  # its id, where it has one
    grows: bool = False  # `workers` is how many there may be: they come and go
    run: str = ""
    time: float = 0.0


class TasksStarted(NamedTuple):
    """Tasks are at work, or have been since the last event; told before they are told as finished.

    Where nobody but the display listens there is no such event.
    """

    keys: tuple[str, ...]
    workers: tuple[str, ...]  # the worker of each
    configs: tuple[str, ...] = ()  # of each
    run: str = ""
    time: float = 0.0


class FinishedTask(NamedTuple):
    """A task that this run has finished, as plain data."""

    key: str
    config: str  # "lr=0.1, model=SVC"
    status: str  # "done", "failed"
    seconds: float
    parameters: Mapping[str, Any]  # numbers and texts as they are, the rest by what it is called
    value: Any = None  # what it returned, where that is small and plain: a number, a text, a dict of such
    metrics: Mapping[str, float] = MappingProxyType({})  # the last value of each
    error: str = ""  # "ValueError: no such dataset"


class TasksFinished(NamedTuple):
    """Some tasks finished and are durable."""

    done: int  # how many succeeded in this event
    failed: int
    seconds: float  # sum of their runtimes
    shared: int = 0  # of done: computed by another run
    # Whose these are, where somebody but the display listens; tasks that differ in volatile parameters only share one.
    keys: tuple[str, ...] = ()
    failed_keys: tuple[str, ...] = ()
    tasks: tuple[FinishedTask, ...] = ()  # where keys are told, those that this run has computed
    run: str = ""
    time: float = 0.0


class TaskFailed(NamedTuple):
    """A task failed for good; sent for the first of each group at once, and for each one as it comes."""

    key: str
    config: str
    group: FailureGroup
    first_of_group: bool
    run: str = ""
    time: float = 0.0


class TaskRetried(NamedTuple):
    """An attempt that failed, or whose place was lost, will be repeated."""

    key: str
    config: str
    attempt: int
    reason: str
    delay: float
    lost: bool = False  # its place was: the task itself has not failed, and may not have begun
    run: str = ""
    time: float = 0.0


class WorkerState(NamedTuple):
    """What one worker does now, with its task's own bar."""

    worker: str
    key: str
    config: str
    seconds: float
    done: float = 0.0
    total: float | None = None
    metrics: Mapping[str, float] = MappingProxyType({})
    doing: str = ""  # what it is at, where that is more than its own work: "waits for step load('x')"


class Tick(NamedTuple):
    """The state of the run, a few times a second."""

    total: int
    done: int  # computed in this run
    cached: int
    failed: int
    running: tuple[WorkerState, ...]
    elapsed: float  # seconds since RunStarted
    eta: float | None  # seconds
    throughput: float  # tasks a second, recent
    # Tasks that run beside those in `running`, which names the longest where there are many.
    unlisted: int = 0
    longest: float = 0.0  # seconds that the longest of the finished tasks took
    paused: str = ""  # who has paused it, like "ada@node7"; "" where nobody has
    run: str = ""
    time: float = 0.0


class Said(NamedTuple):
    """A line for a person: a worker was replaced, code has changed, a run waits for another."""

    text: str
    level: str = "info"  # "info", "warning"
    run: str = ""
    time: float = 0.0


class CommandTaken(NamedTuple):
    """Another process asked something of the run, and this is what was done about it; see `memento.control`."""

    command: str  # "pause", "resume", "stop", "cancel", "first", "resize"
    who: str  # "ada@node7"
    answer: str  # "3 tasks are cancelled, 1 of them was running"
    undo: str  # how to undo it; "" where there is nothing to undo
    done: bool  # False where it was refused
    keys: tuple[str, ...] = ()  # the tasks that it was about, where they are no more than a thousand
    run: str = ""
    time: float = 0.0


class RunFinished(NamedTuple):
    """The run is over."""

    experiment: str
    store: str
    total: int
    done: int
    cached: int
    failed: int
    elapsed: float
    interrupted: bool = False
    left: int = 0  # tasks that were not run
    groups: tuple[FailureGroup, ...] = ()
    notify: bool = True  # False where the caller will send one message for several runs
    how_to_go_on: str = ""
    warned: tuple[WarningGroup, ...] = ()
    notes: tuple[str, ...] = ()  # what else is to be known of the results
    best: tuple[Extreme, ...] = ()  # of the whole grid; where somebody is told of the end by a message
    run: str = ""
    time: float = 0.0


Event = (
    RunStarted
    | TasksStarted
    | TasksFinished
    | TaskFailed
    | TaskRetried
    | Tick
    | Said
    | CommandTaken
    | RunFinished
)
Listener = Callable[[Any], object]
