"""What happens in a run, told to displays and notifiers.

Knows: plain facts. May not know: who listens, stores, executors.

Events come in the order in which things happened, from the runner's thread, after they are durable:
what an event says is done is done, whatever happens next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class FailureGroup:
    """Failures with one cause, and what they have in common."""

    title: str  # "ValueError: inconsistent numbers of samples (experiment.py:24)"
    kind: str
    count: int
    traceback: str  # of the first
    config: str  # short text of the first configuration
    key: str  # hex key of the first
    rule: str = ""  # "all 4 have dataset=load_wine_broken, no success has it"
    output: str = ""  # last lines printed by the first
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunStarted:
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


@dataclass(frozen=True)
class TasksFinished:
    """Some tasks finished and are durable."""

    done: int  # how many succeeded in this event
    failed: int
    seconds: float  # sum of their runtimes
    shared: int = 0  # of done: computed by another run


@dataclass(frozen=True)
class TaskFailed:
    """A task failed for good; sent for the first of each group at once, and for each one as it comes."""

    key: str
    config: str
    group: FailureGroup
    first_of_group: bool


@dataclass(frozen=True)
class TaskRetried:
    """A failed attempt will be repeated."""

    key: str
    config: str
    attempt: int
    reason: str
    delay: float


@dataclass(frozen=True)
class WorkerState:
    """What one worker does now, with its task's own bar."""

    worker: str
    key: str
    config: str
    seconds: float
    done: float = 0.0
    total: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tick:
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


@dataclass(frozen=True)
class Said:
    """A line for a person: a worker was replaced, code has changed, a run waits for another."""

    text: str
    level: str = "info"  # "info", "warning"


@dataclass(frozen=True)
class RunFinished:
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


Event = RunStarted | TasksFinished | TaskFailed | TaskRetried | Tick | Said | RunFinished
Listener = Callable[[Any], None]
