"""An executor and a store's run that do as the test says, and remember what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from memento.events import Event
from memento.executors.base import Executor, Message, Running, cancelled
from memento.index.run_contract import Run
from memento.index.types import Activity, Claim, Command, Committed, Standing
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.plan.plan import Past, Plan, make_plan
from memento.records import DONE, FAILED, RAISED, STOPPED, Encoded, Failure, Known, Outcome, TaskRow
from memento.runner.loop import Runner
from memento.runner.retry import Retries, RetryPolicy
from memento.runner.signals import Interrupt
from memento.worker.work import Task, Work

NUMBER = Encoded("json", b"1", None, 1, "builtins:int")


def outcome(task: Task, kind: str = "", message: str = "it failed") -> Outcome:
    failure = Failure(kind, "ValueError", message, "", "exp.py:1", None, "") if kind else None
    status, value = (FAILED, None) if failure else (DONE, NUMBER)
    return Outcome(
        task.number, status, task.attempt, 0.0, 1.0, None, None, None, "host/1", value, (), (), None, failure
    )


class FakeClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return 1e9 + self.time

    def monotonic(self) -> float:
        return self.time


class FakeExecutor(Executor):
    """Finishes one task a poll, in the way that `behave` says; a poll without tasks lets time pass."""

    name, isolates, preempts, resizable = "fake", True, True, True

    def __init__(self, clock: FakeClock, behave: Callable[[Task], Message], capacity: int = 4) -> None:
        self.clock, self.behave, self.capacity = clock, behave, capacity
        self.queue: list[Task] = []
        self.seen: list[Task] = []
        self.cancelled = self.closed = False
        self.given_back: list[Message] = []
        self.size = 2
        self.before_poll: Callable[[], None] = lambda: None

    def start(self, work: Work) -> None: ...

    def want(self) -> int:
        return max(0, self.capacity - len(self.queue))

    def submit(self, tasks: Sequence[Task]) -> None:
        self.queue += tasks
        self.seen += tasks

    def poll(self, timeout: float) -> list[Message]:
        self.before_poll()
        if self.given_back:
            messages, self.given_back = self.given_back, []
            return messages
        if self.cancelled:
            queue, self.queue = self.queue, []
            running, waiting = queue[:1], queue[1:]
            return [*cancelled(waiting), *(outcome(task, STOPPED) for task in running)]
        if not self.queue:
            self.clock.time += max(timeout, 1e-3)
            return []
        self.clock.time += 1e-3
        return [self.behave(self.queue.pop(0))]

    def running(self) -> list[Running]:
        return [Running("host/1", task.number, 1.0) for task in self.queue[:1]]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        """Of the queue the first one is at work."""
        if numbers is None and running:
            self.cancelled = True
            return
        chosen = {task.number for task in self.queue} if numbers is None else set(numbers)
        waiting = [task for task in self.queue[1:] if task.number in chosen]
        self.given_back += cancelled(waiting)
        working = [task for task in self.queue[:1] if running and task.number in chosen]
        self.given_back += [outcome(task, STOPPED) for task in working]
        self.queue = [task for task in self.queue if task not in waiting and task not in working]

    def resize(self, workers: int) -> None:
        self.size = workers

    def wake(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class FakeRun:
    """Grants every claim but for what `others` have or have finished."""

    def __init__(self) -> None:
        self.rows: list[TaskRow] = []
        self.attempts: list[tuple[bytes, TaskRow]] = []
        self.commits: list[int] = []
        self.others: dict[bytes, Known | None] = {}  # key -> None while another run computes it
        self.superseded: dict[bytes, Known] = {}
        self.released: list[bytes] = []
        self.asked: list[Command] = []
        self.answers: dict[int, tuple[bool, str, str]] = {}
        self.shown: Sequence[Activity] = ()
        self.standing: Standing | None = None
        self.on_look: Callable[[], None] = lambda: None

    def claim(self, keys: Sequence[bytes]) -> Claim:
        finished = [row for key in keys if (row := self.others.get(key)) is not None]
        elsewhere = [key for key in keys if key in self.others and self.others[key] is None]
        return Claim([key for key in keys if key not in self.others], elsewhere, finished)

    def commit(
        self, rows: Sequence[TaskRow], failed_attempts: Sequence[tuple[bytes, TaskRow]] = ()
    ) -> Committed:
        self.commits.append(len(rows))
        ids = {
            row.key: len(self.rows) + i + 1 for i, row in enumerate(rows) if row.key not in self.superseded
        }
        self.rows += rows
        self.attempts += failed_attempts
        return Committed(
            ids, {row.key: self.superseded[row.key] for row in rows if row.key in self.superseded}
        )

    def release(self, keys: Iterable[bytes]) -> None:
        self.released += keys

    def commands(self) -> list[Command]:
        commands, self.asked = self.asked, []
        return commands

    def show(self, activities: Sequence[Activity], standing: Standing | None = None) -> None:
        self.shown, self.standing = activities, standing

    def answer(self, command: int, text: str, *, undo: str = "", done: bool = True) -> None:
        self.answers[command] = (done, text, undo)

    def news(self) -> list[Known]:
        self.on_look()
        return [row for row in self.others.values() if row is not None]

    def waiting(self, keys: Iterable[bytes]) -> list[bytes]:
        return [key for key in keys if key in self.others and self.others[key] is None]


class FakeSession:
    """A runner over fakes, for a matrix of `n` tasks."""

    def __init__(
        self,
        n: int,
        behave: Callable[[Task], Message] = outcome,
        retries: Retries = 0,
        *,
        store: str = "",
        name_tasks: bool = False,
        max_failures: int | None = None,
        **matrix: Any,
    ) -> None:
        declared = {"parameters": {"a": list(range(n))}} | matrix
        self.plan: Plan = make_plan(KeyedTasks(Matrix.of(declared), "exp:train"), Past(), current=[{1}])
        self.clock = FakeClock()
        self.executor = FakeExecutor(self.clock, behave)
        self.run = FakeRun()
        self.events: list[Event] = []
        self.listen: Callable[[Event], None] = self.events.append
        self.interrupt = Interrupt(lambda: None)
        self.runner = Runner(
            self.plan,
            cast("Run", self.run),
            self.executor,
            retry=RetryPolicy(retries),
            codes=[1],
            emit=lambda event: self.listen(event),
            clock=self.clock,
            workers=2,
            store=store,
            name_tasks=name_tasks,
            max_failures=max_failures,
        )

    def loop(self) -> None:
        self.runner.loop(self.interrupt)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def fails(*numbers: int, kind: str = RAISED, until: int = 99) -> Callable[[Task], Outcome]:
    """Let these tasks fail, up to attempt number `until`."""
    return lambda task: outcome(task, kind if task.number in numbers and task.attempt <= until else "")
