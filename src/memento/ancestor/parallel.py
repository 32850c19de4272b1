"""Run any callables in parallel, as in 1.2.0: `TaskManager` and `delayed`.

Knows: executors, notifiers. May not know: matrices, the index of stores.

The tasks run on the same supervised workers as experiments: one that crashes fails alone.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from memento.errors import AggregateException
from memento.executors import make_executor
from memento.executors.base import Finished, Task, Work
from memento.keys import script_name
from memento.notify import DefaultNotificationProvider, NotificationProvider
from memento.results.remote import exception_of
from memento.store.records import Outcome

TASK_PRIORITY_LOW: int = 3
TASK_PRIORITY_MEDIUM: int = 2
TASK_PRIORITY_HIGH: int = 1


def delayed(func: Callable[..., Any]) -> Callable[..., Callable[[], Any]]:
    """Make a version of a function that keeps its arguments for a later call.

    Parameters
    ----------
    func : callable
        The function.

    Examples
    --------
    >>> delayed(sum)([1, 2])()
    3
    """

    def keep(*args: Any, **kwargs: Any) -> Callable[[], Any]:
        @functools.wraps(func)
        def call() -> Any:
            return func(*args, **kwargs)

        return call

    return keep


def _call(context: Any, config: Any) -> Any:
    return config.call()


class TaskManager:
    """Runs callables in parallel worker processes.

    Parameters
    ----------
    workers : int, optional
        How many run at once; by default the machine's cores.
    max_tasks_per_worker : int, optional
        After how many tasks a worker is replaced.
    notification_provider : NotificationProvider, optional
        Told of every task.
    notify_on_complete : bool
        Whether it is told when all are done.

    Examples
    --------
    >>> manager = TaskManager(workers=1)
    >>> manager.add_task(delayed(sum)([1, 2]))
    >>> manager.run()
    [3]
    """

    def __init__(
        self,
        workers: int | None = None,
        max_tasks_per_worker: int | None = None,
        notification_provider: NotificationProvider | None = None,
        notify_on_complete: bool = False,
    ) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._max_tasks_per_worker = max_tasks_per_worker
        self._provider = notification_provider or DefaultNotificationProvider()
        self._notify_on_complete = notify_on_complete
        self._tasks: list[tuple[int, Callable[[], Any]]] = []

    def add_task(self, callable_: Callable[[], Any], priority: int = TASK_PRIORITY_HIGH) -> None:
        """Add a task.

        Parameters
        ----------
        callable_ : callable
            Called without arguments.
        priority : int
            Tasks of a lower number start first.

        Raises
        ------
        TypeError
            It cannot be called.
        ValueError
            `priority` is negative.
        """
        if not callable(callable_):
            raise TypeError(
                f"a task must be callable, got {type(callable_).__qualname__}: wrap it with delayed()"
            )
        if priority < 0:
            raise ValueError(f"'priority' must be 0 or more, got {priority}")
        self._tasks.append((priority, callable_))

    def add_tasks(self, callables: Iterable[Callable[[], Any]], priority: int = TASK_PRIORITY_HIGH) -> None:
        """Add several tasks of one priority."""
        for callable_ in callables:
            self.add_task(callable_, priority)

    def run(self) -> list[Any]:
        """Run all tasks that were added and return what they returned, in the order of adding.

        Raises
        ------
        AggregateException
            Tasks failed.
        """
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return []
        with tempfile.TemporaryDirectory(prefix="memento-tasks-") as folder:
            outcomes = self._outcomes(tasks, Path(folder))
            errors = [
                exception_of(o.failure, _loads_exception)
                for o in outcomes
                if o is not None and o.failure is not None
            ]
            if errors:
                raise AggregateException(errors)
            results = [_value(outcome, Path(folder)) for outcome in outcomes]
        if self._notify_on_complete:
            self._provider.all_tasks_completed()
        return results

    def _outcomes(self, tasks: list[tuple[int, Callable[[], Any]]], folder: Path) -> list[Outcome | None]:
        order = sorted(range(len(tasks)), key=lambda i: tasks[i][0])
        workers = min(self._workers, len(tasks))
        executor = make_executor("processes", workers)
        outcomes: list[Outcome | None] = [None] * len(tasks)
        left = len(tasks)
        try:
            executor.start(self._work([callable_ for _, callable_ in tasks], folder, workers))
            executor.submit([Task(i, _key(i), 0, (i,), 0, 1, 0.0) for i in order])
            while left:
                for message in executor.poll(1.0):
                    if isinstance(message, Finished):
                        left -= 1
                        outcomes[message.outcome.number] = message.outcome
                        self._tell(message.outcome)
        finally:
            executor.close()
        return outcomes

    def _tell(self, outcome: Outcome) -> None:
        if outcome.failure is None:
            self._provider.task_completed()
        else:
            self._provider.task_failure()

    def _work(self, callables: list[Callable[[], Any]], folder: Path, workers: int) -> Work:
        from memento.store import pickling

        return Work(
            run="tasks",
            experiment="memento.ancestor:TaskManager",
            function=pickling.dumps(_call),
            settings=pickling.dumps({}),
            layouts=[("call",)],
            values=[pickling.dumps(callable_) for callable_ in callables],
            store=str(folder),
            main_name=script_name(),
            sys_path=[path or os.getcwd() for path in sys.path],
            cwd=os.getcwd(),
            num_workers=workers,
            max_tasks_per_worker=self._max_tasks_per_worker,
            log_output=False,  # as in 1.2.0: what tasks print is seen
        )


def _key(number: int) -> bytes:
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def _value(outcome: Outcome | None, folder: Path) -> Any:
    from memento.store.payloads import PayloadDir, decode

    assert outcome is not None and outcome.value is not None
    return decode(outcome.value, PayloadDir(folder / "payloads"))


def _loads_exception(data: bytes) -> Any:
    from memento.store.pickling import loads_value

    return loads_value(data)
