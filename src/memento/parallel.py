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
from memento.events import RunFinished, TasksFinished
from memento.executors import make_executor
from memento.keys.project_files import script
from memento.notify.base import DefaultNotificationProvider, DigestNotificationProvider, NotificationProvider
from memento.notify.notifier import Notifier
from memento.records import Outcome
from memento.results.remote import exception_of
from memento.worker.work import Task, Work

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
        @functools.wraps(func, updated=())  # a class's own attributes are no part of a call of it
        def call() -> Any:
            return func(*args, **kwargs)

        return call

    return keep


def _call(_: Any, config: Any) -> Any:
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
        self._tasks: list[tuple[int, bytes]] = []  # priority, the pickled callable

    def add_task(self, callable_: Callable[[], Any], priority: int = TASK_PRIORITY_HIGH) -> None:
        """Add a task; it is pickled now, so what its arguments hold is what they hold now.

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
        from memento.values import pickling

        # Now and not in `run`: an open file can be closed by then, a list changed.
        self._tasks.append((priority, pickling.dumps(callable_)))

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
        # Those that would send digests are told of each task: here is no run to make one of.
        notifier = Notifier(self._provider, each_task=isinstance(self._provider, DigestNotificationProvider))
        try:
            with tempfile.TemporaryDirectory(prefix="memento-tasks-") as folder:
                outcomes = self._outcomes(tasks, Path(folder), notifier)
                failures = [outcome.failure for outcome in outcomes if outcome.failure is not None]
                if failures:
                    raise AggregateException([exception_of(f) for f in failures])
                results = [_value(outcome, Path(folder)) for outcome in outcomes]
            if self._notify_on_complete:
                count = len(results)
                notifier.listen(
                    RunFinished("TaskManager", "", count, done=count, cached=0, failed=0, elapsed=0.0)
                )
        finally:
            notifier.close()
        return results

    def _outcomes(self, tasks: list[tuple[int, bytes]], folder: Path, notifier: Notifier) -> list[Outcome]:
        if not tasks:
            return []
        order = sorted(range(len(tasks)), key=lambda i: tasks[i][0])
        workers = min(self._workers, len(tasks))
        executor = make_executor("processes", workers)
        outcomes: dict[int, Outcome] = {}
        try:
            executor.start(self._work([pickled for _, pickled in tasks], folder, workers))
            keys = [hashlib.blake2b(str(i).encode(), digest_size=16).digest() for i in range(len(tasks))]
            executor.submit([Task(i, keys[i], 0, (i,), 0, 1, 0.0) for i in order])
            while len(outcomes) < len(tasks):
                for message in executor.poll(1.0):
                    if isinstance(message, Outcome):
                        outcome = outcomes[message.number] = message
                        failed = int(outcome.failure is not None)
                        notifier.listen(TasksFinished(1 - failed, failed, outcome.runtime))
        finally:
            executor.close()
        return [outcomes[i] for i in range(len(tasks))]

    def _work(self, pickled: list[bytes], folder: Path, workers: int) -> Work:
        from memento.worker.portable import Portable

        return Work(
            run="tasks",
            experiment="memento.parallel:TaskManager",
            function=Portable(_call, "a task"),
            settings=Portable({}, "settings"),
            layouts=[("call",)],
            values=pickled,
            store=str(folder),
            script=script(),
            sys_path=[path or os.getcwd() for path in sys.path],
            cwd=os.getcwd(),
            num_workers=workers,
            max_tasks_per_worker=self._max_tasks_per_worker,
            log_output=False,  # as in 1.2.0: what tasks print is seen
        )


def _value(outcome: Outcome, folder: Path) -> Any:
    from memento.layout import Layout
    from memento.values.encoding import decode
    from memento.values.payloads import PayloadDir

    assert outcome.value is not None
    return decode(outcome.value, PayloadDir(Layout(str(folder)).payloads))
