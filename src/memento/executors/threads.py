"""Run tasks in threads of this process: for tasks that wait, or that release the interpreter's lock.

Knows: task runners. May not know: other processes.

Owners
    calling thread   the queue, the table of workers, the inbox it returns
    worker threads   one task each; take from `tasks`, put into `_returned`
Limits: the process' random generators, and what libraries keep for all of it, belong to a task only where one thread
runs (what a thread has for itself is put back); what tasks print is not told apart; `timeout` is soft: a task over it
is reported as timed out at once, and its thread, which nothing can end, is left to itself and replaced. Threads are
daemons, so none keeps a program alive.
Time in which this process was suspended is not the task's: it is seen by looking at the clock several times a second.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memento import system
from memento.clock import SYSTEM_CLOCK, Clock
from memento.context.task_space import Resources
from memento.executors.base import Executor, Message, Note, Running, Update, cancelled, take_out
from memento.executors.calling_thread import CallingThread
from memento.executors.pace import Pace
from memento.records import Outcome
from memento.worker import failures
from memento.worker.at_work import IN_COMPANY, AtWork
from memento.worker.portable import initialize
from memento.worker.process_options import Options
from memento.worker.task_runner import Conditions, TaskRunner, local_runner, verdict
from memento.worker.work import Task, Work

_LOOK = 0.25  # seconds between looks at the clock, where a task's time is limited
# Seconds without a look: this process computed all the time, was suspended, or is too busy to judge.
_GAP = 0.5
_NEVER = float("inf")


@dataclass(eq=False)
class Worker:
    """One thread and what it does. `task` is set by the calling thread, and cleared by it."""

    name: str
    tasks: queue.SimpleQueue[Task | None]
    task: Task | None = None
    begun: float = 0.0  # monotonic seconds, when the task was handed over
    paused: float = 0.0  # seconds of it in which this process was suspended
    # Seconds of it in which its task has only waited for another one; set by its own thread.
    waited: float = 0.0
    ends: float = _NEVER  # monotonic seconds; its task was told to stop, and is given up then
    given_up: bool = False  # whatever its task returns is dropped
    at_work: AtWork | None = None  # its task, from when its thread has begun that
    alone: bool = False  # made as the only one: its tasks have the process' random generators for themselves


class Threads(Executor):
    """Runs tasks in threads.

    Parameters
    ----------
    num_workers : int, optional
        How many; by default as many as the run asks for.

    Examples
    --------
    >>> Threads(4).name
    'threads'
    """

    name = "threads"
    shares_memory = True
    same_host = True
    resizable = True
    tells = True

    def __init__(self, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.workers, self._clock = num_workers, clock
        self._queue: deque[Task] = deque()
        self._workers: list[Worker] = []
        self._inbox: list[Message] = []
        self._returned: queue.SimpleQueue[tuple[Worker, Outcome | Exception] | Update | Note | None] = (
            queue.SimpleQueue()
        )
        self._stopping = threading.Event()
        self._looked, self._computed = _NEVER, 0.0  # monotonic seconds; processor time of this process then
        self._pace = Pace()
        self._made = 0
        self._told = False  # that a task of another run was at work
        self._work: Work | None = None
        self._first: TaskRunner | None = None  # it knows how the program had its random generators

    def start(self, work: Work) -> None:
        self._work, self._told = work, False
        self._stopping.clear()
        self._inbox, self._returned = [], queue.SimpleQueue()  # without what an earlier run has left
        initialize(work.initializer)
        self._like = CallingThread()
        self._wanted = max(self.workers or work.num_workers, 1)
        self.alone = self._wanted == 1

    def want(self) -> int:
        if self._stopping.is_set():
            return 0
        in_hand = len(self._queue) + sum(worker.task is not None for worker in self._workers)
        return self._pace.wanted(self._wanted, in_hand)

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping.is_set():
            self._inbox += cancelled(tasks)
            return
        self._queue.extend(tasks)
        self._feed()

    def _feed(self) -> None:
        if self._stopping.is_set():
            return
        for worker in list(self._workers):
            if worker.task is None and (len(self._workers) > self._wanted or worker.alone > self.alone):
                self._dismiss(worker)
            elif worker.task is None and self._queue:
                self._give(worker, self._queue.popleft())
        if not self.alone and any(worker.alone for worker in self._workers):
            return  # its task may draw from generators that a second one would draw from as well
        while self._queue and len(self._workers) < self._wanted:
            self._give(self._hire(), self._queue.popleft())

    def _give(self, worker: Worker, task: Task) -> None:
        worker.task, worker.begun, worker.ends = task, self._clock.monotonic(), _NEVER
        worker.paused = worker.waited = 0.0
        worker.tasks.put(task)

    def _hire(self) -> Worker:
        assert self._work is not None, "start() comes first"
        self._made += 1
        worker = Worker(
            f"{system.hostname()}/{os.getpid()}-{self._made}", queue.SimpleQueue(), alone=self.alone
        )
        self._workers.append(worker)
        threading.Thread(
            target=self._like.call,
            args=(self._serve, worker, self._work),
            name=f"memento-{self._made}",
            daemon=True,
        ).start()
        return worker

    def _serve(self, worker: Worker, work: Work) -> None:
        """Run what is handed over, until None comes. The body of a worker thread."""

        def tell(
            number: int, done: float, total: float | None, metrics: dict[str, float], doing: str = ""
        ) -> None:
            if not worker.given_up:
                self._returned.put(Update(number, worker.name, done, total, metrics, doing))

        def waited(seconds: float) -> None:
            worker.waited += seconds

        conditions = Conditions(
            worker=worker.name,
            waited=waited,
            resources=Resources(work.cpus_per_task, (), work.memory_limit),
            stopping=lambda: worker.ends < _NEVER or worker.given_up or self._stopping.is_set(),
            live=tell,
            shared_process=True,
            alone=worker.alone,
            clock=self._clock,
        )
        runner: TaskRunner | None = None
        options: Options | None = None
        while (task := worker.tasks.get()) is not None:
            try:
                with AtWork() as worker.at_work:
                    if runner is None or options is None:
                        runner = local_runner(work, conditions)
                        self._first = self._first or runner
                        options = Options(local=not conditions.alone)
                    runner.has_company = worker.alone and worker.at_work.has_company
                    outcome = runner.run(task)
                    if not (worker.alone and worker.at_work.has_company):
                        options.put_back()
                    elif not self._told:
                        self._told = True
                        self._returned.put(Note(IN_COMPANY, "info"))
                self._returned.put((worker, outcome))
            except Exception as exc:
                self._returned.put((worker, exc))

    def poll(self, timeout: float) -> list[Message]:
        messages, self._inbox = self._inbox, []
        wait = 0.0 if messages else self._patience(timeout)
        while True:
            try:
                item = self._returned.get(timeout=wait) if wait > 0 else self._returned.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            if isinstance(item, (Update, Note)):
                messages.append(item)
            elif item is not None:
                self._take(*item, messages)
        messages += self._overdue()
        self._feed()
        return messages

    def _take(self, worker: Worker, result: Outcome | Exception, messages: list[Message]) -> None:
        if worker.given_up:
            return
        if isinstance(result, Exception):
            raise result
        worker.task = None
        self._pace.learn(result.runtime)
        messages.append(result)

    def _patience(self, timeout: float) -> float:
        """Wait no longer than until the next task is over its time."""
        ends = [timeout]
        limit = self._work.timeout if self._work is not None else None
        now = self._clock.monotonic()
        if limit is not None:
            ends.append(_LOOK)
            ends += [
                worker.begun + worker.paused + worker.waited + limit - now
                for worker in self._workers
                if worker.task is not None
            ]
        ends += [worker.ends - now for worker in self._workers if worker.task is not None]
        return max(min(ends), 0.001)

    def _overdue(self) -> list[Message]:
        """Give up the tasks that ran too long, and those whose grace is over."""
        now, messages = self._clock.monotonic(), list[Message]()
        limit = self._work.timeout if self._work is not None else None
        self._see_suspended(now)
        for worker in list(self._workers):
            if worker.task is None:
                continue
            ran = now - worker.begun
            if limit is not None and ran - worker.paused - worker.waited >= limit:
                failure = failures.timed_out(limit)
                messages.append(
                    Note(f"thread {worker.name} is left to itself: nothing can end a task in a thread")
                )
            elif now >= worker.ends:
                failure = failures.stopped()
            else:
                continue
            messages.insert(0, verdict(worker.task, failure, self._clock.now() - ran, ran, worker.name))
            self._dismiss(worker)
        return messages

    def _see_suspended(self, now: float) -> None:
        """Leave out of the tasks' times for how long nobody could look."""
        gap, computed = now - self._looked, time.process_time()
        # Who computed was not suspended: a task in C may have kept us from looking.
        lost = gap if gap > _GAP and computed - self._computed < gap / 2 else 0.0
        self._looked, self._computed = now, computed
        for worker in self._workers:
            worker.ends += lost
            worker.paused += min(lost, max(now - worker.begun - worker.paused, 0.0))

    def _dismiss(self, worker: Worker) -> None:
        worker.given_up, worker.task = True, None
        if worker.at_work is not None:
            worker.at_work.give_up()
        worker.tasks.put(None)
        self._workers.remove(worker)

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        return [Running(w.name, w.task.number, now - w.begun) for w in self._workers if w.task is not None]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        wanted = None if numbers is None else set(numbers)
        self._inbox += cancelled(take_out(self._queue, wanted))
        if not running or self._work is None:
            return
        if wanted is None:
            self._stopping.set()
        for worker in self._workers:
            if worker.task is not None and (wanted is None or worker.task.number in wanted):
                worker.ends = min(worker.ends, self._clock.monotonic() + self._work.grace)

    def resize(self, workers: int) -> None:
        self._wanted = max(workers, 1)
        self.alone = self.alone and self._wanted == 1
        self._feed()

    def wake(self) -> None:
        self._returned.put(None)  # SimpleQueue.put is reentrant: safe in a signal handler

    def close(self) -> None:
        self._queue.clear()
        self._stopping.set()
        for worker in list(self._workers):
            self._dismiss(worker)
        if self._first is not None:
            self._first.close()
            self._first = None
