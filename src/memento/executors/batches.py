"""Run tasks on an engine that carries a batch of them to some worker, and outcomes back.

Knows: batches, the folder that workers share, what became of a batch. May not know: any one engine.

    submit ──> queue ──> send(batch) ──> the engine's worker: `batch_runner.run_batch`
    poll   <── inbox <── receive() <─── outcomes, or what ended the batch

An engine (Dask, Ray, MPI, any `concurrent.futures.Executor`, a batch system) is a subclass with the seven methods under
"what an engine writes". Workers share the store's folder. Function and settings are written there once; so are values
over 64 KB, while smaller ones travel with each batch; a worker keeps what it has read. A batch that has begun counts as
started: of its tasks `cancel` gives back only those that are told to stop before their turn.

Where a worker's end says nothing of which task it ran (`leaves_outcomes` is False), all tasks of its batch are blamed.
Else each outcome is a file the moment it is there: what was done counts, the one that ran is blamed, the rest is sent
again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MementoError, WorkerDied, WorkerStartError
from memento.executors.base import Executor, Lost, Message, Running, cancelled, take_out
from memento.executors.handing import Handing
from memento.executors.pace import Pace
from memento.layout import OUTCOMES
from memento.records import DIED, Outcome
from memento.worker import failures, handover
from memento.worker.batch_runner import STOP, STOP_ALL, Batch, begun_file, forget, stop_line
from memento.worker.task_runner import verdict
from memento.worker.work import Task, Work

_BATCH = 0.1  # seconds that a batch lasts
_MOST = 1_000  # tasks in a batch
_FRUITLESS = 3  # batches that ended before they had begun, in a row


class Death(NamedTuple):
    """A task ended its worker: what the end is called, and what to tell of it."""

    name: str  # "SIGKILL"
    text: str  # "its worker process ended with SIGKILL while it ran"
    output: str = ""  # the last lines that it printed


@dataclass(eq=False)
class _Call:
    """One batch on its way."""

    number: int  # Batch.number
    tasks: dict[int, Task]  # without an outcome, by number
    sent: float  # monotonic seconds
    ends: dict[int, float] = field(default_factory=dict)  # who was told to stop: when it is given up


class BatchExecutor(Executor):
    """An engine that carries batches."""

    resizable = True
    leaves_outcomes = False  # workers write each outcome as a file; so where `isolates` or `outlives`
    capacity: int | None = None  # calls that the engine runs at once by itself: of more, it lets some wait

    _work: Work
    _folder: Path  # the run's, which workers share

    def __init__(self, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.workers, self._clock = num_workers, clock
        self._forget()

    def _forget(self) -> None:
        """Be as new: of one run nothing is left for the next."""
        self._queue: deque[Task] = deque()
        self._calls: dict[Hashable, _Call] = {}
        self._inbox: list[Message] = []
        self._pace = Pace()
        self._count = 1  # tasks at once
        self._stopping = False
        self._told: set[str] = set()  # the lines of tasks that were told to stop
        self._fruitless = 0

    # -- what an engine writes

    @abstractmethod
    def send(self, batch: Batch) -> Hashable:
        """Have `batch_runner.run_batch(batch)` called somewhere; return what names the call.

        What this raises is told as the reason why nothing more can run.
        """

    @abstractmethod
    def receive(self, timeout: float) -> Iterable[tuple[Hashable, list[Outcome] | BaseException]]:
        """Wait up to `timeout` seconds for calls to end: with their outcomes, or with what ended them."""

    @abstractmethod
    def withdraw(self, call: Hashable) -> bool:
        """Tell whether a call was kept from beginning."""

    def is_running(self, call: Hashable) -> bool:
        """Tell whether a call has begun, for the display."""
        return True

    def why_ended(self, error: BaseException) -> Death | str | None:
        """Say what ended a call: a task's own doing, or why its place was taken away; None: a fault of the engine."""
        return None

    # and `wake`, and `close`, which ends what runs and then calls `close` here

    # -- what the runner says

    def start(self, work: Work) -> None:
        self._work = work
        self._forget()
        self._count = max(self.workers or work.num_workers, 1)
        self.leaves_outcomes = self.leaves_outcomes or self.isolates or self.outlives
        self._handing = Handing(work)
        self._folder = self._handing.folder
        self.share(work)

    def share(self, work: Work) -> None:
        """Write what all workers need; raises Unsendable."""
        self._handing.share(outlives=self.outlives)

    def want(self) -> int:
        in_hand = len(self._queue) + sum(len(call.tasks) for call in self._calls.values())
        return 0 if self._stopping else self._pace.wanted(self._count, in_hand)

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._inbox += cancelled(tasks)
            return
        self._queue.extend(tasks)
        self._feed()

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        begun = [call for name, call in self._calls.items() if call.tasks and self.is_running(name)]
        return [Running(self.name, next(iter(call.tasks)), now - call.sent) for call in begun[: self._count]]

    def resize(self, workers: int) -> None:
        self._count = max(workers, 1)
        self._feed()

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        wanted = None if numbers is None else set(numbers)
        self._inbox += cancelled(take_out(self._queue, wanted))
        for name, call in list(self._calls.items()):
            hit = [task for number, task in call.tasks.items() if wanted is None or number in wanted]
            if hit and self.withdraw(name):
                del self._calls[name]
                self._inbox += cancelled(hit)
                self._queue.extendleft(task for task in reversed(call.tasks.values()) if task not in hit)
            elif running:
                end = self._clock.monotonic() + self._work.grace
                for task in hit:
                    call.ends.setdefault(task.number, end)
                    self._told.add(stop_line(task))
        if running and (wanted is None or self._told):
            self._stopping = self._stopping or wanted is None
            self.tell_to_stop()

    def tell_to_stop(self) -> None:
        """Tell workers who is to stop."""
        unfinished = self._folder / f"{STOP}.writing"
        unfinished.write_text(STOP_ALL if self._stopping else "\n".join(self._told))
        unfinished.replace(self._folder / STOP)

    def is_told(self, task: Task) -> bool:
        """Tell whether a task was told to stop."""
        return self._stopping or stop_line(task) in self._told

    def close(self) -> None:
        self._queue.clear()
        self._calls.clear()
        if hasattr(self, "_folder"):
            # A batch that still runs finds no values any more, and nobody listens to it.
            for path in self._folder.glob("*"):
                if path.name != OUTCOMES:
                    path.unlink(missing_ok=True)
                elif not self.outlives:  # else they stay until they are committed
                    shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):
                self._folder.rmdir()
            forget(str(self._folder))

    # -- batches

    def _feed(self) -> None:
        # One call in hand for each worker, and one waiting where it is the engine that lets it wait.
        waiting = self.capacity is not None and self._count >= self.capacity
        most = 2 * self._count if waiting else self._count
        while self._queue and len(self._calls) < most and not self._stopping:
            share = max(len(self._queue) // (2 * self._count), 1)
            size = min(max(int(_BATCH / max(self._pace.seconds, 1e-6)), 1), share, _MOST)
            tasks = [self._queue.popleft() for _ in range(min(size, len(self._queue)))]
            batch = self.pack(tasks)
            try:
                name = self.send(batch)
            except MementoError:  # what cannot be sent, most likely
                raise
            except Exception as exc:  # broken or shut down: nothing more can run in it
                self._queue.extendleft(reversed(tasks))
                if self._calls:
                    return  # what it was running is told first
                raise WorkerStartError(
                    f"{self.name} takes no more tasks: {type(exc).__name__}: {exc}. Give a new one, or"
                    " executor='processes', which replaces workers that die."
                ) from exc
            call = _Call(batch.number, {task.number: task for task in tasks}, self._clock.monotonic())
            self._calls[name] = call

    def pack(self, tasks: Sequence[Task]) -> Batch:
        """Make what is carried of tasks; raises Unsendable."""
        return self._handing.pack(tasks, leaves_outcomes=self.leaves_outcomes)

    def poll(self, timeout: float) -> list[Message]:
        self._feed()
        messages, self._inbox = self._inbox, []
        ends = [end for call in self._calls.values() for end in call.ends.values()]
        wait = 0.0 if messages else max(min([timeout, *(end - self._clock.monotonic() for end in ends)]), 0.0)
        for name, result in self.receive(wait):
            call = self._calls.pop(name, None)
            if call is None:  # it was withdrawn
                continue
            messages += (
                self._ended(call, result) if isinstance(result, BaseException) else self._done(call, result)
            )
        messages += self._give_up()
        self._feed()
        messages += self._inbox
        self._inbox = []
        return messages

    def _done(self, call: _Call, outcomes: Iterable[Outcome]) -> list[Message]:
        self._fruitless = 0
        messages = self._take(call, outcomes)
        told = [task for task in call.tasks.values() if self.is_told(task)]
        rest = [task for task in call.tasks.values() if task not in told]
        return [*messages, *cancelled(told), *_lost(rest, "no outcome came back of it")]

    def _take(self, call: _Call, outcomes: Iterable[Outcome]) -> list[Message]:
        messages = list[Message]()
        for outcome in outcomes:
            self._pace.learn(outcome.runtime)
            if call.tasks.pop(outcome.number, None) is not None:  # else it was given up
                messages.append(outcome)
        return messages

    def _ended(self, call: _Call, error: BaseException) -> list[Message]:
        """Say what became of the tasks of a batch that ended without its outcomes."""
        why = self.why_ended(error)
        if why is None:
            text = f"{self.name} could not run a batch: {type(error).__name__}: {error}"
            raise WorkerStartError(text) from error
        messages, again = list[Message](), list[Task]()
        if self.leaves_outcomes:
            begun = begun_file(self._folder, call.number).exists()
            self._fruitless = 0 if begun else self._fruitless + 1
            if self._fruitless >= _FRUITLESS:
                text = why if isinstance(why, str) else f"{why.text}\n{why.output}"
                raise WorkerStartError(
                    f"{_FRUITLESS} batches in a row ended before they had begun: {text}".rstrip()
                )
            left = [handover.left_of(self._work, task) for task in call.tasks.values()]
            messages += self._take(call, filter(None, left))
            again = list(call.tasks.values())[1 if begun else 0 :]
        told = [task for task in again if self.is_told(task)]
        messages += cancelled(told)
        self._queue.extendleft(task for task in reversed(again) if task not in told)
        blamed = [task for task in call.tasks.values() if task not in again]
        if isinstance(why, str):
            return [*messages, *_lost(blamed, why)]
        return [*messages, *(self._verdict(task, why, len(blamed), call.sent) for task in blamed)]

    def _verdict(self, task: Task, death: Death, suspects: int, sent: float) -> Outcome:
        if self.is_told(task):
            failure = failures.stopped(death.output)
        else:
            others = f"; it is one of {suspects} of which one did" if suspects > 1 else ""
            text = death.text + others
            failure = failures.without_exception(DIED, death.name, text, death.output, WorkerDied(text))
        ran = self._clock.monotonic() - sent
        return verdict(task, failure, self._clock.now() - ran, ran, self.name)

    def _give_up(self) -> list[Message]:
        """Tell as stopped whose grace is over: what still runs is left to the engine."""
        now, messages = self._clock.monotonic(), list[Message]()
        for call in self._calls.values():
            for number in [number for number, end in call.ends.items() if now >= end]:
                del call.ends[number]
                task = call.tasks.pop(number, None)
                if task is not None:
                    ran = now - call.sent
                    messages.append(
                        verdict(task, failures.stopped(), self._clock.now() - ran, ran, self.name)
                    )
        return messages


def _lost(tasks: Iterable[Task], reason: str) -> list[Message]:
    return [Lost(task.number, task.attempt, reason) for task in tasks]


def worker_command(work: Work, batch_file: Path, outcomes_file: Path) -> list[str]:
    """Return the command of a process that runs one pickled batch, and pickles its outcomes."""
    home = str(Path(__file__).resolve().parents[2])
    path = [*work.sys_path, *([] if home in work.sys_path else [home])]
    code = f"import sys; sys.path[:] = {path!r}; from memento.worker.batch_runner import main; main()"
    return [sys.executable, "-c", code, os.fspath(batch_file), os.fspath(outcomes_file)]
