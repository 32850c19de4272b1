"""Run tasks through any `concurrent.futures.Executor`: pools of processes or threads, Dask, loky, MPI.

Knows: futures, batches as calls of one module-level function. May not know: what kind of pool it is.

The pool is the user's: it is not shut down here. A pool of this process' threads is given the program's own function
and values. To others a batch carries what its tasks need; values over 64 KB and the
function are written once into the store's folder, which workers share, and are kept by the process that has read them.
Limits: the pool decides who runs what, so a pool that breaks (a process of it died) fails the tasks of the batch
that were being run, by name where there is only one; `timeout` is kept by a signal where tasks run in a main thread.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pickle
import queue
import shutil
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor as Pool
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.context import Resources
from memento.errors import WorkerDied, WorkerStartError
from memento.executors.base import Executor, Lost, Message, Running, cancelled, take_out
from memento.executors.calling_thread import CallingThread
from memento.layout import HANDED, Layout
from memento.records import DIED, Outcome
from memento.values import pickling
from memento.worker import failures
from memento.worker.alarm import TimeUp, alarm
from memento.worker.measure import process_name
from memento.worker.sending import initialize
from memento.worker.task_runner import Conditions, TaskRunner, local_runner, stopped, timed_out, verdict
from memento.worker.task_values import TaskValues
from memento.worker.work import Task, Work

_BATCH = 0.1  # seconds that a batch lasts
_MOST = 1_000  # tasks in a batch
_SMALL = 1 << 16  # bytes; larger values are files
_KEPT_RUNS = 2  # of how many runs a pool's process keeps function and values


class Batch(NamedTuple):
    """What one call carries; all of it pickles."""

    run: str
    folder: str  # where the work and large values lie
    coordinator: tuple[str, int]  # host/pid: who must not be given another __main__
    layouts: dict[int, tuple[str, ...]]
    values: dict[int, bytes | str]  # bytes, or a file's name in `folder`
    tasks: tuple[Task, ...]
    main_thread_only: bool = False


class _Kept:
    """Stations of this process, one a run and thread; a pool's process serves many batches of a run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.stations: dict[tuple[str, int], tuple[TaskRunner, TaskValues, set[int]]] = {}
        self.begun: deque[str] = deque(maxlen=_KEPT_RUNS)  # folders of runs whose initializer was called here


_kept = _Kept()


def run_batch(batch: Batch) -> list[Outcome]:
    """Run a batch's tasks, in a process or thread of the pool."""
    station, values, known = _station(batch)
    station.layouts.update(batch.layouts)
    for number, data in batch.values.items():
        if number not in known:
            values.put(number, Path(batch.folder, data).read_bytes() if isinstance(data, str) else data)
            known.add(number)
    return _run(station, batch.tasks)


def _run(runner: TaskRunner, tasks: Sequence[Task]) -> list[Outcome]:
    outcomes = []
    for task in tasks:
        begun, started = SYSTEM_CLOCK.monotonic(), SYSTEM_CLOCK.now()
        try:
            with alarm(runner.timeout, lambda: runner.inside):
                outcomes.append(runner.run(task))
        except TimeUp:
            ran = SYSTEM_CLOCK.monotonic() - begun
            outcomes.append(verdict(task, timed_out(runner.timeout or 0.0), started, ran, process_name()))
    return outcomes


def _station(batch: Batch) -> tuple[TaskRunner, TaskValues, set[int]]:
    place = (batch.folder, threading.get_ident())
    with _kept.lock:
        found = _kept.stations.get(place)
    if found is None:
        work: Work = pickle.loads(Path(batch.folder, HANDED).read_bytes())
        here = (process_name(), os.getpid())
        if here != batch.coordinator:
            pickling.install_main(work.script)
        with _kept.lock:
            if batch.folder not in _kept.begun:
                initialize(work.initializer)
                _kept.begun.append(batch.folder)
        stop = Path(batch.folder, "stop")
        conditions = Conditions(
            resources=Resources(work.cpus_per_task, (), work.memory_limit),
            stopping=stop.exists,
            shared_process=here == batch.coordinator,
            alone=here != batch.coordinator,
        )
        values = TaskValues()
        found = TaskRunner(work, conditions, values=values), values, set()
        with _kept.lock:
            runs = list(dict.fromkeys(folder for folder, _ in _kept.stations))
            for old in runs[: max(len(runs) - _KEPT_RUNS, 0)]:
                for key in [key for key in _kept.stations if key[0] == old]:
                    del _kept.stations[key]
            _kept.stations[place] = found
    return found


@dataclasses.dataclass(eq=False)
class _Call:
    """One batch in the pool."""

    tasks: tuple[Task, ...]
    sent: float  # monotonic seconds
    cancelled: bool = False


class Futures(Executor):
    """Runs tasks in somebody's pool.

    Parameters
    ----------
    pool : concurrent.futures.Executor
        Where tasks run. Its owner shuts it down.
    num_workers : int, optional
        How many tasks it runs at once; by default its own size.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor(2) as pool:
    ...     Futures(pool).name
    'ThreadPoolExecutor'
    """

    resizable = True

    def __init__(self, pool: Pool, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name = type(pool).__name__
        self._pool, self._clock = pool, clock
        self.alone = not isinstance(pool, ThreadPoolExecutor)
        self.workers = num_workers or getattr(pool, "_max_workers", None)
        self._queue: deque[Task] = deque()
        self._calls: dict[Future[list[Outcome]], _Call] = {}
        self._ended: queue.SimpleQueue[Future[list[Outcome]] | None] = queue.SimpleQueue()
        self._inbox: list[Message] = []
        self._pace = 1.0  # seconds a task
        self._work: Work | None = None
        self._stopping, self._deadline = False, float("inf")
        self._written: set[int] = set()
        self.shares_memory = isinstance(pool, concurrent.futures.ThreadPoolExecutor)
        self._runners: dict[int, TaskRunner] = {}  # by thread, where these are of this process

    def start(self, work: Work) -> None:
        self._work = work
        self._count = max(self.workers or work.num_workers, 1)
        if self.shares_memory:
            initialize(work.initializer)
            self._like = CallingThread()
            return
        self._folder = Path(Layout(work.store).work(work.run))
        self._folder.mkdir(parents=True, exist_ok=True)
        plain = work._replace(layouts=(), values=())
        (self._folder / HANDED).write_bytes(pickle.dumps(plain, protocol=5))

    def want(self) -> int:
        if self._stopping:
            return 0
        second = min(max(int(self._count / max(self._pace, 1e-5)), 2 * self._count), 20_000)
        return max(second - len(self._queue) - sum(len(call.tasks) for call in self._calls.values()), 0)

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._inbox += cancelled(tasks)
            return
        self._queue.extend(tasks)
        self._feed()

    def _feed(self) -> None:
        # One call in hand and one waiting for each worker of the pool.
        while self._queue and len(self._calls) < 2 * self._count:
            share = max(len(self._queue) // (2 * self._count), 1)
            size = min(max(int(_BATCH / max(self._pace, 1e-6)), 1), share, _MOST)
            tasks = tuple(self._queue.popleft() for _ in range(min(size, len(self._queue))))
            batch = None if self.shares_memory else self._batch(tasks)
            try:
                if batch is None:
                    future = self._pool.submit(self._like.call, self._run_here, tasks)
                else:
                    future = self._pool.submit(run_batch, batch)
            except Exception as exc:  # broken or shut down: nothing more can run in it
                self._queue.extendleft(reversed(tasks))
                if self._calls:
                    return  # what it was running is told first
                raise WorkerStartError(
                    f"{self.name} takes no more tasks: {type(exc).__name__}: {exc}. Give a new pool, or"
                    " executor='processes', which replaces workers that die."
                ) from exc
            self._calls[future] = _Call(tasks, self._clock.monotonic())
            future.add_done_callback(self._ended.put)

    def _run_here(self, tasks: tuple[Task, ...]) -> list[Outcome]:
        """Run a batch in a thread of this process."""
        work, here = self._work, threading.get_ident()
        assert work is not None, "start() comes first"
        if here not in self._runners:
            resources = Resources(work.cpus_per_task, (), work.memory_limit)
            conditions = Conditions(
                resources=resources, stopping=lambda: self._stopping, shared_process=True, clock=self._clock
            )
            self._runners[here] = local_runner(work, conditions)
        return _run(self._runners[here], tasks)

    def _batch(self, tasks: tuple[Task, ...]) -> Batch:
        work = self._work
        assert work is not None, "start() comes first"
        values: dict[int, bytes | str] = {}
        for number in {number for task in tasks for number in task.values}:
            name = f"value-{number}"
            if number in self._written:
                values[number] = name
                continue
            data = work.values[number]
            if len(data) > _SMALL:
                (self._folder / name).write_bytes(data)
                self._written.add(number)
                values[number] = name
            else:
                values[number] = data
        layouts = {task.layout: tuple(work.layouts[task.layout]) for task in tasks}
        return Batch(work.run, str(self._folder), (process_name(), os.getpid()), layouts, values, tasks)

    def poll(self, timeout: float) -> list[Message]:
        self._feed()
        messages, self._inbox = self._inbox, []
        wait = 0.0 if messages else max(min(timeout, self._deadline - self._clock.monotonic()), 0.0)
        while True:
            try:
                future = self._ended.get(timeout=wait) if wait > 0 else self._ended.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            if future is not None and future in self._calls:
                messages += self._take(future, self._calls.pop(future))
        if self._clock.monotonic() >= self._deadline:
            messages += self._give_up()
        self._feed()
        return messages

    def _take(self, future: Future[list[Outcome]], call: _Call) -> list[Message]:
        if future.cancelled():
            return [
                Lost(task.number, task.attempt, "its pool has cancelled it", call.cancelled)
                for task in call.tasks
            ]
        error = future.exception()
        if error is None:
            outcomes = future.result()
            for outcome in outcomes:
                self._pace += 0.2 * (outcome.runtime - self._pace)
            return list(outcomes)
        if not isinstance(error, concurrent.futures.BrokenExecutor):
            raise WorkerStartError(
                f"{self.name} could not run a batch: {type(error).__name__}: {error}"
            ) from error
        ran = self._clock.monotonic() - call.sent
        others = f"; it is one of {len(call.tasks)} of which one did" if len(call.tasks) > 1 else ""
        text = f"the pool's process died while it ran this task{others}: {error}"
        failure = failures.without_exception(DIED, type(error).__name__, text, error=WorkerDied(text))
        now = self._clock.now() - ran
        return [verdict(task, failure, now, ran, self.name) for task in call.tasks]

    def _give_up(self) -> list[Message]:
        """The run's grace is over: what still runs is left to the pool, and told as stopped."""
        now, messages = self._clock.monotonic(), list[Message]()
        for call in self._calls.values():
            for task in call.tasks:
                ran = now - call.sent
                done = verdict(task, stopped(), self._clock.now() - ran, ran, self.name)
                messages.append(done)
        self._calls.clear()
        self._deadline = float("inf")
        return messages

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        calls = [call for future, call in self._calls.items() if future.running()][: self._count]
        return [Running(self.name, call.tasks[0].number, now - call.sent) for call in calls]

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        wanted = None if numbers is None else set(numbers)
        self._inbox += cancelled(take_out(self._queue, wanted))
        for future, call in list(self._calls.items()):
            if wanted is None or wanted.issuperset(task.number for task in call.tasks):
                call.cancelled = True
                future.cancel()
        if wanted is None and running and not self._stopping and self._work is not None:
            self._stopping = True
            if not self.shares_memory:
                (self._folder / "stop").touch()
            self._deadline = self._clock.monotonic() + self._work.grace

    def resize(self, workers: int) -> None:
        self._count = max(workers, 1)

    def wake(self) -> None:
        self._ended.put(None)  # SimpleQueue.put is reentrant: safe in a signal handler

    def close(self) -> None:
        self._queue.clear()
        for future in self._calls:
            future.cancel()
        self._calls.clear()
        if self._work is not None and not self.shares_memory:
            # A batch that still runs finds no values any more, and nobody listens to it.
            shutil.rmtree(self._folder, ignore_errors=True)
            with _kept.lock:
                for key in [key for key in _kept.stations if key[0] == str(self._folder)]:
                    del _kept.stations[key]
