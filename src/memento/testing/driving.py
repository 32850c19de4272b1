"""Drive one executor in a test, as the runner would.

Knows: the executor protocol. May not know: any one executor, what is promised.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from memento.executors.base import Executor, Lost, Message, Note, Update
from memento.keys.project_files import Script
from memento.layout import PAYLOADS
from memento.records import Failure, Outcome
from memento.values import pickling
from memento.values.encoding import decode
from memento.values.payloads import PayloadDir
from memento.worker.portable import Portable
from memento.worker.work import Task, Work

_PATIENCE = 300.0  # seconds before a test gives up; no test waits so long unless it fails


class Drive:
    """Plays the runner for one executor: starts it, feeds it as it wishes, gathers what it tells.

    Parameters
    ----------
    executor : Executor
        Not started.
    store : path
        A folder for the work's store.
    """

    def __init__(self, executor: Executor, store: Path) -> None:
        self.executor, self.store = executor, store
        self.values: Sequence[bytes] = []
        self.outcomes: dict[int, Outcome] = {}
        self.order: list[int] = []
        self.lost: list[int] = []
        self.losses: list[Lost] = []
        self.notes: list[str] = []  # warnings
        self.facts: list[str] = []  # other notes
        self.updates: list[Update] = []

    def start(
        self, func: Callable[..., Any], *, settings: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Start the executor with a function."""
        plain: dict[str, Any] = {"num_workers": 2, "grace": 1.0}
        work = Work(
            run=f"run-{os.urandom(4).hex()}",
            experiment="tests:experiment",
            function=Portable(func, "the function"),
            settings=Portable(settings or {}, "settings"),
            layouts=[("x",), ()],
            values=self.values,
            store=str(self.store),
            script=Script("script.py", "script", (str(self.store),), ""),
            sys_path=[path or str(Path.cwd()) for path in sys.path],
            cwd=str(self.store),
            **{**plain, **options},
        )
        self.executor.start(work)

    def task(
        self, number: int, value: Any = None, *, cost: float = 0.0, attempt: int = 1, repeat: int = 0
    ) -> Task:
        """Make a task whose config has `x`."""
        assert isinstance(self.values, list)
        data = pickling.dumps(value)
        if data not in self.values:
            self.values.append(data)
        index = self.values.index(data)
        return Task(number, number.to_bytes(16, "big"), 0, (index,), repeat, attempt, cost)

    def take(self, messages: Sequence[Message]) -> None:
        """Note what was told."""
        for message in messages:
            if isinstance(message, Outcome):
                number = message.number
                assert number not in self.outcomes, f"task {number} was told twice"
                self.outcomes[number] = message
                self.order.append(number)
            elif isinstance(message, Lost):
                assert message.number not in self.lost, f"task {message.number} was lost twice"
                self.lost.append(message.number)
                self.losses.append(message)
            elif isinstance(message, Note):
                (self.notes if message.level == "warning" else self.facts).append(message.text)
            else:
                self.updates.append(message)

    def until(self, done: Callable[[], bool]) -> None:
        """Poll until something is so."""
        end = time.monotonic() + _PATIENCE
        while not done():
            assert time.monotonic() < end, (
                f"nothing for {_PATIENCE} s; told so far: {self.outcomes}, {self.lost}"
            )
            self.take(self.executor.poll(0.5))

    def run(self, tasks: Sequence[Task]) -> dict[int, Outcome]:
        """Run tasks to their end, submitting as many as the executor wants."""
        waiting, before = list(tasks), self.ended
        while waiting or self.ended - before < len(tasks):
            want = self.executor.want()
            if want and waiting:
                self.executor.submit(waiting[:want])
                del waiting[:want]
            expected = before + len(tasks) - len(waiting)
            seen = self.ended
            self.until(lambda: self.ended > seen or seen >= expected)  # noqa: B023
        return self.outcomes

    @property
    def ended(self) -> int:
        """How many tasks have yielded an outcome, or were lost."""
        return len(self.outcomes) + len(self.lost)

    def failure(self, number: int) -> Failure:
        """Return why a task failed."""
        failure = self.outcomes[number].failure
        assert failure is not None
        return failure

    def failure_of(self, func: Callable[..., Any], **options: Any) -> Failure:
        """Return why the one task of a function fails."""
        self.start(func, **options)
        self.run([self.task(0)])
        return self.failure(0)

    def value(self, number: int) -> Any:
        """Return what a task returned."""
        outcome = self.outcomes[number]
        assert outcome.value is not None, outcome.failure
        return decode(outcome.value, PayloadDir(self.store / PAYLOADS))


class OwnValues(Sequence[bytes]):
    """Values that the program has, as a run hands them to an executor: pickled when somebody asks for their bytes."""

    def __init__(self, *values: Any) -> None:
        self._values = values

    def here(self, number: int) -> Any:
        """Return a value itself."""
        return self._values[number]

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, number: Any) -> Any:
        return Portable(self._values[number], "a value of parameter 'x'").data


class Client:
    """What cannot be pickled, nor copied, with something that can."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.used = 0


class Memory:
    """Has a buffer, as an array has, which stands beside its pickle."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Memory, (pickle.PickleBuffer(self.memory),)


class ExecutorFixtures:
    """What the tests of an executor ask for; override `executor`."""

    @pytest.fixture
    def executor(self) -> Executor:
        """Return the executor under test, not started."""
        raise NotImplementedError("override `executor`")

    @pytest.fixture
    def drive(self, executor: Executor, tmp_path: Path) -> Iterator[Drive]:
        """Return a driver in a store whose name is awkward."""
        store = tmp_path / 'a store\'s "name"'
        (store / PAYLOADS).mkdir(parents=True)
        drive = Drive(executor, store)
        yield drive
        executor.close()
        executor.close()  # closing twice is as good as once

    def take_place_away(self, executor: Executor) -> None:
        """End the place of a running task from outside; override it where tasks run in places that can end."""
        raise NotImplementedError

    @pytest.fixture
    def movable(self, executor: Executor) -> None:
        """Skip where the place of a task ends with the program only."""
        if type(self).take_place_away is ExecutorFixtures.take_place_away:
            pytest.skip(f"the place of a task of {executor.name} ends with the program only")

    @pytest.fixture
    def isolating(self, executor: Executor) -> None:
        """Skip where a task that ends its process ends more."""
        if not executor.isolates:
            pytest.skip(f"{executor.name} runs tasks in a shared process")

    @pytest.fixture
    def beside(self, executor: Executor) -> None:
        """Skip where nobody can say anything while a task runs."""
        if executor.in_process:
            pytest.skip("nobody can call it while a task runs")

    @pytest.fixture
    def preempting(self, executor: Executor) -> None:
        """Skip where a running task cannot be ended."""
        if not executor.preempts:
            pytest.skip(f"{executor.name} cannot end a running task")

    @pytest.fixture
    def telling(self, executor: Executor, beside: None) -> None:
        """Skip where nothing is told of a task while it runs."""
        if not executor.tells:
            pytest.skip(f"{executor.name} tells nothing of a task while it runs")


def waiting_for(gate: Path, *, deaf: bool = False) -> Callable[[Any, Any], str]:
    """Return a function whose tasks wait for a file, or until they are told to stop unless they are `deaf`.

    They end with the file's folder, too: where a place serves the next test as well, none may stay at work there.
    """

    def wait(context: Any, config: Any) -> str:
        while not gate.exists() and gate.parent.exists():
            if context.stopping and not deaf:
                return "told"
            time.sleep(0.01)
        return "waited"

    return wait


def wait_until(done: Callable[[], bool]) -> None:
    """Wait until something is so, which nobody has to drive."""
    end = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < end, f"it is not so after {_PATIENCE} s"
        time.sleep(0.02)
