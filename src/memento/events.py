"""What happens in a run, told to displays and notifiers.

Knows: plain facts. May not know: who listens, stores, executors.

Events come in the order in which things happened, from the runner's thread, after they are durable:
what an event says is done is done, whatever happens next.
"""

from __future__ import annotations

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


class RunStarted(NamedTuple):
    """The plan is made and work begins."""

    experiment: str
    store: str
    total: int
    cached: int
    todo: int
    workers: int
    forecast: float | None = None  # seconds, from past runtimes
    elsewhere: int = 0  # being computed by other runs
    executor: str = "processes"
    in_process: bool = False  # tasks run in the program's own thread, and may use its terminal


class TasksFinished(NamedTuple):
    """Some tasks finished and are durable."""

    done: int  # how many succeeded in this event
    failed: int
    seconds: float  # sum of their runtimes
    shared: int = 0  # of done: computed by another run


class TaskFailed(NamedTuple):
    """A task failed for good; sent for the first of each group at once, and for each one as it comes."""

    key: str
    config: str
    group: FailureGroup
    first_of_group: bool


class TaskRetried(NamedTuple):
    """A failed attempt will be repeated."""

    key: str
    config: str
    attempt: int
    reason: str
    delay: float


class WorkerState(NamedTuple):
    """What one worker does now, with its task's own bar."""

    worker: str
    key: str
    config: str
    seconds: float
    done: float = 0.0
    total: float | None = None
    metrics: Mapping[str, float] = MappingProxyType({})


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
    unlisted: int = (
        0  # tasks that run beside those in `running`, which names the longest where there are many
    )
    longest: float = 0.0  # seconds that the longest of the finished tasks took


class Said(NamedTuple):
    """A line for a person: a worker was replaced, code has changed, a run waits for another."""

    text: str
    level: str = "info"  # "info", "warning"


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


Event = RunStarted | TasksFinished | TaskFailed | TaskRetried | Tick | Said | RunFinished
Listener = Callable[[Any], None]
