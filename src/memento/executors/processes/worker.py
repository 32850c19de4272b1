"""The main of a worker process: read batches, run tasks, send each outcome at once.

Knows: its pipes, its slot, a runner. May not know: the queue, the store's index, other workers.

An outcome is sent (`channel`) before the next task begins, so whatever ends this process afterwards, what
finished is not lost. After each task `worker_isolation` puts back what it has changed; where that cannot be done, this
process says so and ends.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.context.task_space import Resources
from memento.errors import WorkersDiffer
from memento.executors.processes import channel, launch
from memento.executors.processes.exit_reason import CLOSED, FAULT
from memento.executors.processes.output import Output, no_slice
from memento.executors.processes.slots import NO_LIMIT, Slots
from memento.executors.processes.worker_isolation import WorkerIsolation, watch_for_the_end
from memento.worker import failures
from memento.worker.portable import initialize
from memento.worker.task_runner import Conditions, TaskRunner
from memento.worker.task_values import TaskValues
from memento.worker.work import Task, Work

_READ = 1 << 18
# Set where a batch system signals all processes of a job when it takes the place away.
PLACE = "MEMENTO_PLACE"


def _deaf_beside(pid: int) -> Callable[..., None]:
    """Return a handler with which this process, but none that a task starts, lives on after SIGTERM.

    It is the pilot that hears of the end of its job: it tells tasks to save what they have.
    """

    def hear(number: int, *_: object) -> None:
        if os.getpid() != pid:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    return hear


class Place(NamedTuple):
    """Where a worker stands: plain values, so that a fresh process can be told."""

    slot: int
    slots: int  # how many there are
    log: str  # path of its log file; "" to leave output where it goes
    log_name: str  # its name under logs/
    gpus: tuple[str, ...] = ()
    gpu_memory: int | None = None  # bytes of each of them
    variables: tuple[tuple[str, str], ...] = ()  # of its environment: they show it no others


class Worker:
    """One worker's loop over what its pipe brings."""

    def __init__(self, work: Work, place: Place, read: int, write: int, slots: Slots) -> None:
        self._work, self._place, self._read, self._slots = work, place, read, slots
        self._sender = channel.Sender(write)
        self._copied = False  # this is a child that a task has forked, not the worker
        os.register_at_fork(after_in_child=self._note_copied)
        self._frames = channel.Frames()
        self._values = TaskValues()
        self._initializing = False

    def prepare(self, function: Callable[..., Any] | None) -> None:
        """Get ready to run tasks; the function is unpickled where the server has not done so."""
        place, work = self._place, self._work
        os.environ.update(place.variables)  # before anything looks for devices
        resources = Resources(work.cpus_per_task, place.gpus, work.memory_limit, place.gpu_memory)
        output = self._output = None
        if self._place.log:
            output = self._output = Output(self._place.log, self._place.log_name)
        failures.keep_last_words()
        if output is not None:
            with contextlib.suppress(OSError, RuntimeError, ValueError):
                faulthandler.enable(file=2, all_threads=True)
            watch_for_the_end()
        anew = function is None
        if function is None:
            function = launch.arrive(self._work)
        self._initializing = True
        initialize(self._work.initializer)
        self._initializing = False
        if anew or (self._work.function.here is None and self._work.initializer is not None):
            launch.compare(self._work, function)
        conditions = Conditions(
            resources=resources,
            stopping=partial(self._slots.stopping, self._place.slot),
            own_process=True,
            live=self._update,
            waited=partial(self._slots.wait, self._place.slot),
            log=output.slice if output is not None else no_slice,
            log_so_far=output.so_far if output is not None else None,
            last_lines=output.last_lines if output is not None else None,
        )
        self._runner = TaskRunner(self._work, conditions, function, self._values)
        self._isolation = WorkerIsolation(output.file if output is not None else None)
        if output is not None:
            output.slice()  # what importing printed belongs to no task

    def serve(self) -> None:
        """Run batches until the supervisor closes the pipe."""
        while True:
            data = os.read(self._read, _READ)
            if not data:
                return
            self._frames.add(data)
            for kind, body in self._frames:
                if kind == channel.VALUE:
                    self._values.put(channel.NUMBER.unpack_from(body)[0], bytes(body[channel.NUMBER.size :]))
                elif not self._batch(*channel.unpack(kind, body)):
                    return

    def _batch(
        self,
        layouts: list[tuple[int, tuple[str, ...]]],
        values: list[tuple[int, bytes]],
        first: int,
        tasks: list[tuple[Any, ...]],
    ) -> bool:
        """Run a batch; False where this worker should end."""
        self._runner.layouts.update(layouts)
        for number, data in values:
            self._values.put(number, data)
        base = self._slots.base(self._place.slot)
        ints, doubles = self._slots.ints, self._slots.doubles
        run, monotonic, output = self._runner.run, SYSTEM_CLOCK.monotonic, self._output
        send, passed = self._sender.send, False
        for position, task in enumerate(tasks, first):
            doubles[base] = monotonic()
            if output is not None:
                ints[base + 4] = output.end
            ints[base + 1] = position
            if position >= ints[base + 2]:
                if ints[base + 3] == NO_LIMIT:
                    ints[base + 3] = position
                passed = True
                continue
            outcome = run(Task._make(task))
            if self._copied:
                os._exit(0)  # a child that the task forked came back with it: the parent tells the outcome
            send(channel.pack_outcome(outcome))
            left = self._isolation.restore(outcome.runtime)
            if left:
                send(channel.pack(channel.LEAVING, (position, left)))
                return False
        if passed:
            send(channel.pack(channel.PASSED, first + len(tasks) - 1))
        return True

    def _update(
        self, number: int, done: float, total: float | None, metrics: dict[str, float], doing: str = ""
    ) -> None:
        if not self._copied:
            total = None if total is None else float(total)
            metrics = {name: float(value) for name, value in metrics.items()}
            self._sender.send(channel.pack(channel.UPDATE, (number, float(done), total, metrics, doing)))

    def _note_copied(self) -> None:
        self._copied = True

    def fail(self, error: BaseException) -> None:
        """Say why this worker cannot begin."""
        if isinstance(error, WorkersDiffer):
            told: tuple[str, object] = ("differs", error.found)
        else:
            failure = failures.raised(error, pickled=False)
            how = "initializer" if self._initializing else "broken"
            told = (how, failure.traceback or failure.message)
        self._sender.send(channel.pack(channel.BROKEN, told))


def work_until_told(
    work: Work,
    place: Place,
    read: int,
    write: int,
    slots: Slots,
    parent: int,
    function: Callable[..., Any] | None,
) -> None:
    """Be a worker, in a process that is this one's own; ends the process."""
    code = 1
    try:
        # SIGINT is the terminal's word to the coordinator, which tells workers what to do.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _deaf_beside(os.getpid()) if PLACE in os.environ else signal.SIG_DFL)
        system.die_with(parent)
        system.adopt_orphans()
        read, write = system.out_of_reach(read), system.out_of_reach(write)
        worker = Worker(work, place, read, write, slots)
        try:
            worker.prepare(function)
        except BaseException as exc:
            worker.fail(exc)
            raise
        worker.serve()
        code = 0
    except BaseException as exc:  # the supervisor sees the exit code and the log
        code = FAULT
        if isinstance(exc, OSError) and exc.errno == errno.EBADF:
            code = CLOSED  # a task has closed our descriptors: nothing else can be told any more
        else:
            import traceback

            with contextlib.suppress(Exception):
                traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Be a worker that was started afresh: `argv` has the descriptors and the place."""
    import json

    told = json.loads(sys.argv[1])
    place = Place(**{**told["place"], "gpus": tuple(told["place"]["gpus"])})
    for name in ("slots", "work", "read", "write"):
        os.set_inheritable(told[name], False)
    slots = Slots(told["slots"], place.slots)
    work_until_told(
        launch.read_work(told["work"]), place, told["read"], told["write"], slots, told["parent"], None
    )
