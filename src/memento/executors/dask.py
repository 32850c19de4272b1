"""Run tasks on a Dask cluster: one pilot a Dask worker, which runs as many tasks at once as that has threads.

Knows: Dask's client, which workers its cluster has. May not know: what pilots do, who asked.

    coordinator ──client.submit──> scheduler ──> Dask worker: `pilots.lent_worker.run_child` ──> pilot

Dask is asked for one call a worker, not for one a task: what its scheduler takes for a task does not matter. A pilot
is bound to one worker. When that leaves, Dask has nothing to run again, and the tasks in its pilot go on elsewhere;
a worker that comes gets a pilot as long as tasks wait. What pilots are told goes through the store, seen by all hosts.

The client's own thread hears Dask; everything here is called from the runner's.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from asyncio import CancelledError
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import WorkerStartError
from memento.executors.base import Message, Note
from memento.executors.dask_here import cluster_here, thread_given_back
from memento.executors.pilots.charter import pilot_command
from memento.executors.pilots.executor import PilotExecutor
from memento.executors.pilots.lent_worker import Ended, by_value, run_child, sent
from memento.optional_packages import imported
from memento.wording import number_of
from memento.worker.work import Work

_LOOK = 1.0  # seconds between two looks at which workers there are
_A_WORKER = 0.002  # seconds between two looks at least, for each worker
_CROWDED = 3  # looks in a row at which tasks wait for others, before more workers are wished for
_WISH = "memento_wish"  # how these calls are called
_MOST_WISHES = 1_000
_CONNECT = 10.0  # seconds in which a scheduler has to answer
_FAREWELL = 5.0  # seconds that pilots get to end


class _Worker(NamedTuple):
    threads: int
    resources: dict[str, float]


class Dask(PilotExecutor):
    """Runs tasks on a Dask cluster.

    Parameters
    ----------
    cluster : str, distributed.Client or cluster object, optional
        The scheduler's address (``"tcp://host:8786"``), a client, or a cluster like dask-jobqueue's ``SLURMCluster``.
        By default the one that Dask is configured for (``DASK_SCHEDULER_ADDRESS``), else one in this process, which
        is closed at the end.
    num_workers : int, optional
        How many tasks run at once; by default as many as the cluster has threads, also when it grows.
    resources : dict of str to float, optional
        What each pilot holds of its worker's resources (``{"GPU": 1}``); workers that have less get none.

    Examples
    --------
    >>> Dask("tcp://head:8786").name
    'dask'
    """

    name = "dask"
    outlives = False  # a pilot ends with the call of it, and that when its client is gone
    idle = 5.0  # another is there in no time, and another run may wait for the thread

    def __init__(
        self,
        cluster: Any = None,
        num_workers: int | None = None,
        *,
        resources: Mapping[str, float] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(num_workers, clock=clock)
        self._cluster, self._asked = cluster, num_workers
        self._resources = dict(resources or {})
        self.client: Any = None
        self._closing = contextlib.ExitStack()
        self._forget_cluster()

    def _forget_cluster(self) -> None:
        self._futures: dict[str, Any] = {}  # by pilot
        self._places: dict[str, str] = {}  # the worker of each
        self._workers: dict[str, _Worker] = {}
        self._held: dict[str, dict[str, float]] = {}  # the resources of each
        self._refused: dict[str, str] = {}  # workers that cannot run a pilot, and why
        self._looked = -1e9
        # It runs as many tasks at once as the cluster has threads, also when that grows.
        self._follows = False
        # Calls that wait in the scheduler, so that a cluster which adapts itself grows.
        self._wishes: list[Any] = []
        self._crowded = 0  # looks in a row at which tasks waited for others
        self._is_ours = False  # the cluster is made for this run, and ends with it

    # -- life

    def start(self, work: Work) -> None:
        self._forget_cluster()
        self.client = self._connected(work)
        self._look_at_workers()
        threads = sum(worker.threads for worker in self._workers.values())
        self._follows = not (self._asked or work.asked_workers)
        self.workers = self._asked or work.asked_workers or max(threads // work.cpus_per_task, 1)
        super().start(work)

    def _connected(self, work: Work) -> Any:
        imported("dask", "executor='dask'", "dask")
        distributed = imported("distributed", "executor='dask'", "dask")
        self._closing.enter_context(thread_given_back(distributed))
        cluster = self._cluster
        if cluster is None:
            import dask

            cluster = dask.config.get("scheduler-address", None)
        self._is_ours = cluster is None
        if cluster is None:
            cluster = self._closing.enter_context(cluster_here(distributed, self._threads(work)))
        if isinstance(cluster, distributed.Client):
            if cluster.asynchronous:
                raise WorkerStartError(
                    "executor=Client(asynchronous=True) cannot be used: give a plain Client"
                )
            if cluster.status in ("closing", "closed"):
                raise WorkerStartError("the Dask client that was given is closed: give one that is open")
            return cluster
        try:
            client = distributed.Client(cluster, timeout=_CONNECT, set_as_default=False)
        except Exception as exc:  # what listens there may be no scheduler, and answer anything
            raise WorkerStartError(f"no Dask scheduler answers at {cluster!r}: {exc}") from exc
        self._closing.callback(client.close)
        return client

    def _threads(self, work: Work) -> int:
        return (self._asked or work.num_workers) * work.cpus_per_task

    def close(self) -> None:
        for pilot in self.pilots.values():
            pilot.leave()
        if self.pilots:
            self._wait_for_pilots()
        super().close()
        self._end_wishes()
        self._futures.clear()
        self.client = None
        self.workers = self._asked
        closing, self._closing = self._closing, contextlib.ExitStack()
        closing.close()

    def _wait_for_pilots(self) -> None:
        """Wait a moment for the ends of those whose workers are there."""
        end = self._clock.monotonic() + _FAREWELL
        with contextlib.suppress(WorkerStartError):  # they went with the scheduler
            self._look_at_workers()
            while self._clock.monotonic() < end and any(
                not future.done() and self._places[name] in self._workers
                for name, future in self._futures.items()
            ):
                time.sleep(0.02)
                if self._clock.monotonic() - self._looked > _LOOK:
                    self._look_at_workers()

    # -- what an engine does

    def poll(self, timeout: float) -> list[Message]:
        now = self._clock.monotonic()
        if now - self._looked > max(_LOOK, _A_WORKER * len(self._workers)):
            self._look_at_workers()
        return super().poll(timeout)

    def _look_at_workers(self) -> None:
        """Ask which workers there are; where nobody said how many tasks run at once, these have a say."""
        try:
            threads = dict(self.client.nthreads())
            if self._resources and threads.keys() != self._workers.keys():
                # It is noted in Dask's log.
                self._held = self.client.run_on_scheduler(by_value(_resources_of))
        except Exception as exc:  # whatever a connection that is gone raises, or a scheduler that ends
            raise WorkerStartError(
                f"the Dask scheduler is gone ({type(exc).__name__}: {exc}). What has finished is kept:"
                " start a cluster and run again"
            ) from exc
        self._looked = self._clock.monotonic()
        self._workers = {one: _Worker(count, self._held.get(one, {})) for one, count in threads.items()}
        if self._waker is None:
            return
        if self._follows:
            self.count = max(self.count, sum(threads.values()) // self._work.cpus_per_task)
        if not self._workers and not self._wishes:
            self._inbox.append(Note("the Dask cluster has no workers yet: tasks wait for the first", "info"))
        self._wish_for_workers()

    def _wish_for_workers(self) -> None:
        """Have as many calls wait in the scheduler as tasks wait here: a cluster that adapts itself counts those.

        It counts a pilot for one, however many threads that has, and adds workers for what is more than it has.
        """
        client, here = self.client, sum(pilot.width for pilot in self.pilots.values())
        tasks = self.in_hand if self._follows else min(self.in_hand, self.count)
        self._crowded = self._crowded + 1 if tasks > here else 0
        is_fixed = client.cluster is not None and getattr(client.cluster, "_adaptive", None) is None
        wanted = 0
        if not self._workers:
            wanted = max(tasks, 1)
        elif self._crowded >= _CROWDED and not is_fixed:
            wanted = min(tasks * self._work.cpus_per_task - len(self.pilots), _MOST_WISHES)
        if wanted < len(self._wishes) / 2 or not wanted:
            self._end_wishes()
        if wanted <= len(self._wishes):
            return
        with contextlib.suppress(Exception):  # the scheduler is gone: the next look says so
            for _ in range(wanted - len(self._wishes)):
                key = f"{_WISH}-{secrets.token_hex(8)}"
                # No worker has that, so that it waits until it is cancelled, and takes nobody's place.
                self._wishes.append(client.submit(by_value(_nothing), key=key, resources={_WISH: 1}))
            client.run_on_scheduler(by_value(_take_for_long), name=_WISH)

    def _end_wishes(self) -> None:
        wishes, self._wishes = self._wishes, []
        if wishes and self.client is not None and self.client.status == "running":
            with contextlib.suppress(Exception):  # the scheduler is gone, and its workers with it
                self.client.cancel(wishes)

    def resize(self, workers: int) -> None:
        self._follows = False
        super().resize(workers)

    def _free_workers(self) -> Iterator[tuple[str, _Worker]]:
        taken = {self._places[name] for name in self.pilots}
        for address, worker in self._workers.items():
            if address in taken or address in self._refused:
                continue
            if all(worker.resources.get(name, 0) >= need for name, need in self._resources.items()):
                yield address, worker

    def waits(self) -> str:
        """Say that there is no worker, none with the resources that were asked for, or none with a thread free."""
        if not self._workers:
            return "the Dask cluster has no workers yet"
        lacking = [
            f"{name}={need:g} (the most that one has is {most:g})"
            for name, need in self._resources.items()
            if (most := max(worker.resources.get(name, 0) for worker in self._workers.values())) < need
        ]
        if lacking:
            return f"no Dask worker has {', '.join(lacking)}"
        waiting = sum(pilot.here is None for pilot in self.pilots.values())
        return (
            f"Dask has not started {number_of(waiting, 'pilot')} yet: other calls have the threads"
            if waiting
            else ""
        )

    def wanted(self) -> int:
        width = sum(pilot.width for pilot in self.pilots.values() if not pilot.has_left)
        here = sum(not pilot.has_left for pilot in self.pilots.values())
        return here + max(min(self.in_hand, self.count) - width, 0)

    def wanted_at_start(self) -> int:
        return self.count

    def ask(self, count: int) -> Collection[str]:
        names: list[str] = []
        left = self.count - sum(pilot.width for pilot in self.pilots.values())
        for address, worker in self._free_workers():
            width = min(max(worker.threads // self._work.cpus_per_task, 1), left)
            if width <= 0 or len(names) == count:
                break
            name = self.new_pilot(width)
            left -= width
            names.append(name)
            self._places[name] = address
            self._futures[name] = self._submitted(name, address)
        return names

    def _submitted(self, name: str, address: str) -> Any:
        pilot = self.pilots[name]
        run = str(self._handing.folder)
        return self.client.submit(
            sent(_run_on_worker),
            run,
            pilot_command(run, name, "--with-parent", forked=True),
            str(pilot.output),
            address,
            not self._is_ours,
            key=f"memento-{self._work.run}-{name}",
            pure=False,
            workers=[address],
            allow_other_workers=False,
            retries=0,
            resources=self._resources or None,
        )

    def gone(self) -> Mapping[str, str]:
        found = {}
        for name, future in self._futures.items():
            if name not in self.pilots:
                continue
            address = self._places[name]
            if future.status != "pending":
                found[name] = self._why_ended(name, address, future)
            elif address not in self._workers:
                found[name] = f"its Dask worker {address} has left"
        return found

    def _why_ended(self, name: str, address: str, future: Any) -> str:
        try:
            ended = Ended(*future.result(timeout=_CONNECT))
        except (Exception, CancelledError) as exc:  # its worker was lost, or somebody has cancelled it
            return f"Dask ended pilot {name} on {address}: {type(exc).__name__}: {exc}"
        why = ended.reason(name, self._handing.folder, self.pilots[name].output)
        if ended.is_hopeless:
            self._refused[address] = why
            works = any(pilot.is_here for pilot in self.pilots.values())
            if not works and next(self._free_workers(), None) is None:
                raise WorkerStartError(why)
        return why

    def end(self, names: Collection[str]) -> None:
        futures = [self._futures.pop(name) for name in names if name in self._futures]
        if futures and self.client is not None and self.client.status == "running":
            with contextlib.suppress(Exception):  # the scheduler is gone, and its workers with it
                self.client.cancel(futures)

    def is_known(self, name: str) -> bool:
        return self._places.get(name) in self._workers


def _resources_of(dask_scheduler: Any) -> dict[str, dict[str, float]]:
    """Return what each worker has; called in the scheduler."""
    return {address: dict(worker.resources) for address, worker in dask_scheduler.workers.items()}


def _nothing() -> None:
    """Do what a call does that is never made."""


def _take_for_long(name: str, dask_scheduler: Any) -> None:
    """Have calls of this name expected to take an hour: an adaptive cluster grows for half a second of work no bit."""
    prefix = dask_scheduler.task_prefixes.get(name)
    if prefix is not None:
        prefix.duration_average = 3600.0


def _run_on_worker(
    folder: str, command: list[str], output: str, place: str, keep: bool
) -> tuple[str, str, str]:
    """Run a pilot's command until it ends, or Dask does not want the call any more; called in a Dask worker."""
    import distributed

    worker = distributed.get_worker()
    key = worker.get_current_task()

    def is_over() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state not in ("executing", "long-running")

    return run_child(folder, command, output, place, is_over, keep=keep)
