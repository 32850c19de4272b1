"""Run tasks through any `concurrent.futures.Executor`: pools of processes or threads, Dask, loky, MPI.

Knows: futures. May not know: what kind of pool it is.

The pool is the user's: it is not shut down here. A pool of this process' threads is given the program's own function
and values; to others go batches (`batches`).
Limits: the pool decides who runs what, so a pool that breaks (a process of it died) fails the tasks of the batch
that were being run, by name where there is only one; `timeout` is kept by a signal where tasks run in a main thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import Executor as Pool
from typing import cast

from memento.clock import SYSTEM_CLOCK, Clock
from memento.executors.batches import BatchExecutor, Death
from memento.executors.calling_thread import CallingThread
from memento.records import Outcome
from memento.worker.batch_runner import Batch, BatchRunner, run_batch
from memento.worker.portable import initialize
from memento.worker.work import Task, Work


class Futures(BatchExecutor):
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

    def __init__(self, pool: Pool, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        size = getattr(pool, "_max_workers", None)
        super().__init__(num_workers or size, clock=clock)
        self.capacity = size
        self.name = type(pool).__name__
        self.shares_memory = isinstance(pool, ThreadPoolExecutor)
        # Python's own, and loky's: its children.
        self.same_host = self.shares_memory or hasattr(pool, "_processes")
        self.alone = not self.shares_memory
        self._pool = pool
        self._over: queue.SimpleQueue[Future[list[Outcome]] | None] = queue.SimpleQueue()
        self._runners: dict[int, BatchRunner] = {}  # by thread, where these are of this process

    def start(self, work: Work) -> None:
        super().start(work)
        self.capacity = self.capacity or self._count

    def share(self, work: Work) -> None:
        self._over = queue.SimpleQueue()  # calls of an earlier run may still end: in the old one
        if self.shares_memory:
            self._runners = {}
            initialize(work.initializer)
            self._thread = CallingThread()
        else:
            super().share(work)

    def pack(self, tasks: Sequence[Task]) -> Batch:
        return Batch(0, "", "", {}, {}, tuple(tasks)) if self.shares_memory else super().pack(tasks)

    def send(self, batch: Batch) -> Hashable:
        if self.shares_memory:
            future = self._pool.submit(self._thread.call, self._run_here, batch.tasks)
        else:
            future = self._pool.submit(run_batch, batch)
        future.add_done_callback(self._over.put)
        return future

    def _run_here(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Run a batch in a thread of this process."""
        here = threading.get_ident()
        if here not in self._runners:
            self._runners[here] = BatchRunner(
                self._work, self.is_told, shared_process=True, local=True, clock=self._clock
            )
        return list(self._runners[here].run(tasks))

    def receive(self, timeout: float) -> Iterator[tuple[Hashable, list[Outcome] | BaseException]]:
        while True:
            try:
                future = self._over.get(timeout=timeout) if timeout > 0 else self._over.get_nowait()
            except queue.Empty:
                return
            timeout = 0.0
            if future is not None:
                error = CancelledError() if future.cancelled() else future.exception()
                yield future, future.result() if error is None else error

    def withdraw(self, call: Hashable) -> bool:
        return cast("Future[list[Outcome]]", call).cancel()

    def is_running(self, call: Hashable) -> bool:
        return cast("Future[list[Outcome]]", call).running()

    def why_ended(self, error: BaseException) -> Death | str | None:
        if isinstance(error, CancelledError):
            return "its pool has cancelled it"
        if isinstance(error, BrokenExecutor):
            return Death(type(error).__name__, f"the pool's process died while it ran this task: {error}")
        return None

    def tell_to_stop(self) -> None:
        if not self.shares_memory:  # threads ask `is_told` themselves
            super().tell_to_stop()

    def wake(self) -> None:
        self._over.put(None)  # SimpleQueue.put is reentrant: safe in a signal handler

    def close(self) -> None:
        for call in list(self._calls):
            self.withdraw(call)
        super().close()
