"""Run tasks in this process, one at a time: a debugger works, and nothing is left when it ends.

Knows: task runners. May not know: other processes, threads.

The function is the program's own, and what it changes outside of its config stays changed. Where a task of another run
is at work in another thread of this process, random generators are not set, and nothing is put back (`at_work`).
A task runs inside `poll`. What it prints goes where this process prints. `timeout` is kept by a signal, in the main
thread, in Python code only, and suspensions are left out (`alarm`); `memory_limit` is not enforced. A `wake` while a
task runs is the run's wish to stop: the task's `context.stopping` becomes true, because nobody else could tell it. An
`interrupt`, from a second Ctrl-C, ends the task.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from memento.clock import SYSTEM_CLOCK, Clock
from memento.context.task_space import Resources
from memento.executors.base import Executor, Message, Note, Running, Update, cancelled, take_out
from memento.executors.pace import Pace
from memento.records import Outcome
from memento.worker import failures
from memento.worker.at_work import IN_COMPANY, AtWork
from memento.worker.isolation import Isolation
from memento.worker.measure import process_name
from memento.worker.portable import initialize
from memento.worker.task_runner import Conditions, TaskRunner, local_runner
from memento.worker.work import Task, Work

_INTERRUPTED = ("builtins:KeyboardInterrupt",)
_NAP = 0.050  # seconds that a poll without tasks sleeps at most: nobody could wake it
_ROUND = 0.050  # seconds of short tasks that one poll runs


class Serial(Executor):
    """Runs tasks in the calling thread.

    Parameters
    ----------
    num_workers : int, optional
        Has no effect: one task runs at a time.
    caught : callable, optional
        Called with each exception of a task while its frames are there; returns the one to be told.

    Examples
    --------
    >>> Serial().name
    'serial'
    """

    name = "serial"
    workers = 1
    in_process = True
    shares_memory = True
    same_host = True
    tells = True

    def __init__(
        self,
        num_workers: int | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        caught: Callable[[BaseException], BaseException] | None = None,
    ) -> None:
        self._clock, self._caught = clock, caught
        self._queue: deque[Task] = deque()
        self._inbox: list[Message] = []
        self._work: Work | None = None
        self._runner: TaskRunner | None = None
        self._isolation: Isolation | None = None
        self._current: tuple[int, float] | None = None
        self._stopping = self._woken = self._told = False
        self._at_work = AtWork()  # the task that runs, or ran last
        self._pace = Pace()

    def start(self, work: Work) -> None:
        self._work, self._inbox, self._stopping, self._told = work, [], False, False
        initialize(work.initializer)

    def want(self) -> int:
        if self._stopping:
            return 0
        return self._pace.wanted(1, len(self._queue))

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._inbox += cancelled(tasks)
        else:
            self._queue.extend(tasks)

    def poll(self, timeout: float) -> list[Message]:
        messages, self._inbox = self._inbox, []
        self._woken = False
        end = self._clock.monotonic() + _ROUND
        while self._queue:
            task = self._queue.popleft()
            outcome = self._attempt(task)
            self._pace.learn(outcome.runtime)
            messages.append(outcome)
            messages += self._inbox
            self._inbox.clear()
            enough = outcome.failure is not None  # the run may start no more after it
            if enough or self._stopping or self._woken or self._clock.monotonic() >= end:
                break
        if not messages and timeout > 0:
            time.sleep(min(timeout, _NAP))
        return messages

    def _attempt(self, task: Task) -> Outcome:
        assert self._work is not None, "start() comes first"
        with AtWork() as self._at_work:
            if self._isolation is None and not self._at_work.has_company:
                self._isolation = Isolation()
            if self._runner is None:
                self._runner = local_runner(self._work, self._conditions(self._work))
            self._runner.has_company = self._at_work.has_company
            self._current = (task.number, self._clock.monotonic())
            try:
                outcome = self._runner.run_limited(task)
            except KeyboardInterrupt:  # it came while the task's own exception was being caught
                return self._runner.cut_short(task, failures.stopped())
            else:
                return self._stopped_or(outcome)
            finally:
                self._current = None
                self._put_back()

    def _put_back(self) -> None:
        """Have the next task find this process as the first one did."""
        if self._at_work.has_company:
            if not self._told:
                self._inbox.append(Note(IN_COMPANY, "info"))
            self._told = True
            return
        left = self._isolation.restore() if self._isolation is not None else ""
        if left:
            self._inbox.append(Note(f"a task {left}, which cannot be put back: the tasks after it see it"))

    def _stopped_or(self, outcome: Outcome) -> Outcome:
        """Take a Ctrl-C that reached the task for the end of the run, not for the task's own fault."""
        failure = outcome.failure
        if failure is None or failure.lineage[:1] != _INTERRUPTED or not (self._woken or self._stopping):
            return outcome
        return outcome._replace(failure=failures.stopped(failure.output))

    def _conditions(self, work: Work) -> Conditions:
        resources = Resources(work.cpus_per_task, (), work.memory_limit)
        return Conditions(
            resources=resources,
            stopping=lambda: self._stopping or self._woken,
            live=self._tell,
            caught=self._caught,
            clock=self._clock,
        )

    def _tell(
        self, number: int, done: float, total: float | None, metrics: dict[str, float], doing: str = ""
    ) -> None:
        self._inbox.append(Update(number, process_name(), done, total, metrics, doing))

    def running(self) -> list[Running]:
        if self._current is None:  # who asks between two tasks hears which is next: during one nobody can ask
            return [Running(process_name(), task.number, 0.0) for task in islice(self._queue, 1)]
        number, since = self._current
        return [Running(process_name(), number, self._clock.monotonic() - since)]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        self._stopping = self._stopping or (running and numbers is None)
        self._inbox += cancelled(take_out(self._queue, numbers))

    def wake(self) -> None:
        self._woken = True

    def interrupt(self) -> None:
        if self._runner is not None and self._runner.inside:
            raise KeyboardInterrupt

    def close(self) -> None:
        self._queue.clear()
        if self._runner is not None:
            self._runner.close()
        if self._isolation is not None:
            self._isolation.close()
        self._runner = self._isolation = None
