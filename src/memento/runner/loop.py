"""The one loop over outcomes: outcome -> store (group commit) -> events.

Knows: the plan, the store's run, one executor. May not know: matrices' files, displays' looks, worker processes.

Owners
    this thread   everything here; the executor and the run are called from it only
    signal handler   `Interrupt.count`, and the executor's `wake`
What is told as done has been committed. What was in flight when anything breaks is simply not done.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat, starmap
from operator import attrgetter, itemgetter, mod
from typing import TYPE_CHECKING

from memento import faultpoints
from memento.clock import Clock
from memento.config import short_text
from memento.errors import StoreUnwritable
from memento.events import Event, Said, TaskFailed, TaskRetried, TasksFinished, Tick, WorkerState
from memento.executors.base import Executor, Lost, Message, Note, Update
from memento.layout import Layout
from memento.plan import Plan
from memento.records import (
    DONE,
    FAILED,
    LOST,
    PAYLOAD_DAMAGED,
    STOPPED,
    STORE_UNWRITABLE,
    Failure,
    Known,
    Outcome,
    TaskRow,
)
from memento.results import FailureGrouper
from memento.runner.progress import Progress
from memento.runner.retry import RetryPolicy
from memento.runner.signals import Interrupt
from memento.worker.work import Task

if TYPE_CHECKING:
    from memento.store import Run

_NUMBER = itemgetter(0)  # of a task, and of an outcome
_FAILURE = attrgetter("failure")
_COMMIT_EVERY = 0.05  # seconds that a finished task waits at most for others to share its commit
_COMMIT_ROWS = 1_000
_TICK_EVERY = 0.2
_TICK_WORKERS = 10_000  # asking what so many workers do takes 8 ms, and happens once a second
_LISTED = 100  # running tasks that a tick names: more than anybody can read
_LOOK_EVERY = 0.5  # seconds between looks at what other runs have finished
_COLLECT_EVERY = 50_000  # new objects: those of a commit and its rows, some times over


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Have Python look for cycles more seldom: among the tuples of tasks on their way there are none to find.

    Otherwise a fifth of the coordinator's time goes there. Not where tasks run in this process: they may make some.
    """
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], _COLLECT_EVERY) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Runner:
    """Runs a plan to its end, or to the user's.

    Parameters
    ----------
    plan : Plan
        What to run; its `rows` are filled in as tasks finish.
    run : Run
        The store's run, which claims and commits.
    executor : Executor
        Started.
    retry : RetryPolicy
        Which failed attempts are repeated.
    codes : sequence of int
        The store's ids of the versions of the code that tasks are of.
    emit : callable
        Receives every event.
    clock : Clock
        Where time comes from.
    workers : int
        How many tasks run at once; for the time that is left.
    store : str
        Where results go; a task that cannot write there ends the run.
    """

    def __init__(
        self,
        plan: Plan,
        run: Run,
        executor: Executor,
        *,
        retry: RetryPolicy,
        codes: Sequence[int],
        emit: Callable[[Event], None],
        clock: Clock,
        workers: int,
        store: str = "",
    ) -> None:
        self.plan = plan
        self.left: set[int] = set()  # tasks that were started or given back, and did not finish
        self.failures = FailureGrouper()
        self.progress = Progress(len(plan.todo), plan.forecast, workers, clock.monotonic())
        self._run, self._executor, self._retry = run, executor, retry
        self._codes, self._emit, self._clock = codes, emit, clock
        self._fresh: Iterator[int] = iter(plan.todo)
        self._again: deque[int] = deque()  # claimed by another run before, free now
        self._delayed: list[tuple[float, int, int]] = []  # (due, number, attempt): failed attempts to repeat
        self._flying: dict[int, Task] = {}
        self._losses: Counter[int] = Counter()  # how often each task's place was taken away
        self._elsewhere: dict[bytes, int] = {}  # keys that another run computes
        self._rows: list[TaskRow] = []
        self._attempts: list[tuple[bytes, TaskRow]] = []
        self._oldest = 0.0  # when the first uncommitted outcome came
        self._live: dict[int, Update] = {}
        self._exhausted = False
        self._stopping = False
        self._store = store
        self._unwritable: Failure | None = None
        # Results of other runs that are of other code: how many, by its id and the number of ours.
        self.other_codes: Counter[tuple[int, int]] = Counter()
        self.damaged: dict[str, str] = {}  # payloads that tasks found damaged -> what is wrong with each
        start = clock.monotonic()
        self._started = start
        self._tick_every = max(_TICK_EVERY, workers / _TICK_WORKERS)
        self._due = {"tick": start, "look": start + _LOOK_EVERY}

    def loop(self, interrupt: Interrupt) -> None:
        """Run until nothing is left to do or the user has insisted on stopping."""
        with _rare_collections() if self._executor.isolates else contextlib.nullcontext():
            self._loop(interrupt)
        self.commit()
        if self._unwritable is not None:
            path, message = self._unwritable.path, self._unwritable.message
            raise StoreUnwritable(
                path,
                message.removeprefix(f"{path}: ").rstrip(),
                "The run was ended, so that no more is computed that cannot be kept. What was told as done is kept:"
                " make room, or put right what is wrong there, and run again.",
            )

    def _loop(self, interrupt: Interrupt) -> None:
        while not self._over():
            if interrupt.count >= 2:
                break
            if interrupt.count and not self._stopping:
                self._stop()
            self._feed()
            messages = self._executor.poll(self._patience())
            outcomes = [message for message in messages if isinstance(message, Outcome)]
            if outcomes:
                self._finish(outcomes)
            if len(outcomes) < len(messages):
                for message in messages:
                    self._take(message)
            now = self._clock.monotonic()
            pending = self._rows or self._attempts
            full = len(self._rows) >= _COMMIT_ROWS or now - self._oldest >= _COMMIT_EVERY
            if pending and (full or not messages):
                self.commit()
            self._do_what_is_due(now)

    def commit(self) -> None:
        """Make what has finished durable, then tell it."""
        rows, attempts = self._rows, self._attempts
        if not rows and not attempts:
            return
        committed = self._run.commit(rows, attempts)
        self._rows, self._attempts = [], []
        done = failed = 0
        told: list[TaskFailed] = []
        ids, superseded, twins = committed.ids, committed.superseded, self.plan.twins
        for key, _, _, _, outcome in rows:
            number, failure = outcome.number, outcome.failure
            other = superseded.get(key) if superseded else None
            if other:
                self._note_code(number, other)
            self.plan.rows[number] = row = other.id if other else ids[key]
            share = 1
            if number in twins:
                self._note_row(number, row)
                share += len(twins[number])
            if failure is None or (other and other.status == DONE):
                done += share
            else:
                failed += share
                told.append(self._failed(number, failure, outcome.attempt))
        seconds = sum(row.outcome.runtime for row in rows)
        self.progress.done += done
        self.progress.failed += failed
        if rows:
            self._emit(TasksFinished(done, failed, seconds))
        for event in told:
            self._emit(event)

    def _over(self) -> bool:
        waiting = self._delayed or self._elsewhere or self._again or not self._exhausted
        return not self._flying and (self._stopping or not waiting)

    def _stop(self) -> None:
        self._stopping = True
        self._executor.cancel(running=True)
        if self._flying:
            self._emit(
                Said("Stopping: running tasks get a moment to save what they have. Ctrl-C again ends them.")
            )
        self.left.update(number for _, number, _ in self._delayed)
        self._delayed.clear()

    # -- tasks to the executor

    def _feed(self) -> None:
        if self._stopping:
            return
        want = self._executor.want()
        if want <= 0:
            return
        batch = self._due_again(want)
        numbers = self._next(want - len(batch))
        if numbers:
            batch += self._tasks(self._claim(numbers))
        if batch:
            self._flying.update(zip(map(_NUMBER, batch), batch, strict=True))
            self._executor.submit(batch)
            faultpoints.at("batch.submitted")

    def _due_again(self, want: int) -> list[Task]:
        batch: list[Task] = []
        now = self._clock.monotonic()
        while self._delayed and self._delayed[0][0] <= now and len(batch) < want:
            _, number, attempt = heapq.heappop(self._delayed)
            batch += self._tasks([number], attempt)
        return batch

    def _next(self, want: int) -> list[int]:
        numbers = [self._again.popleft() for _ in range(min(want, len(self._again)))]
        left = want - len(numbers)
        fresh = list(islice(self._fresh, left))
        self._exhausted = self._exhausted or len(fresh) < left
        return numbers + fresh

    def _claim(self, numbers: list[int]) -> list[int]:
        of_key = dict(zip(self.plan.tasks.keys_of(numbers), numbers, strict=True))
        claim = self._run.claim(list(of_key))
        for key in claim.elsewhere:
            self._elsewhere[key] = of_key[key]
        self._adopt(claim.finished, of_key)
        return [of_key[key] for key in claim.granted]

    def _tasks(self, numbers: list[int], attempt: int = 1) -> list[Task]:
        tasks, costs = self.plan.tasks, self.plan.costs
        layouts, values = tasks.places(numbers)
        repeats = map(mod, numbers, repeat(tasks.repeats))
        expected = map(costs.__getitem__, numbers) if costs is not None else repeat(0.0)
        of = self.plan.versions
        versions = map(of.__getitem__, numbers) if of is not None else repeat(0)
        fields = zip(
            numbers, tasks.keys_of(numbers), layouts, values, repeats, repeat(attempt), expected, versions
        )
        return list(starmap(Task, fields))

    # -- outcomes from the executor

    def _take(self, message: Message) -> None:
        if isinstance(message, Update):
            if message.number in self._flying:
                self._live[message.number] = message
        elif isinstance(message, Lost):
            self._lose(message)
        elif isinstance(message, Note):
            self._emit(Said(message.text, message.level))

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes: into rows for the next commit, or what else becomes of them."""
        if not self._rows and not self._attempts:
            self._oldest = self._clock.monotonic()
        tasks = map(self._flying.pop, map(_NUMBER, outcomes), repeat(None))
        if self._live:
            deque(map(self._live.pop, map(_NUMBER, outcomes), repeat(None)), maxlen=0)
        ended = [(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True) if task is not None]
        if len(ended) < len(outcomes):
            import logging

            log = logging.getLogger("memento.runner")
            log.warning("%d outcomes came for tasks that are not in flight", len(outcomes) - len(ended))
        if any(map(_FAILURE, outcomes)):
            ended = [pair for pair in ended if self._is_over(*pair)]
        self._rows += self._rows_of(ended)
        # What was expected of a task that went on from a checkpoint is the time of all its attempts.
        runtimes = [
            o.runtime + sum([p.runtime for p in o.earlier]) if o.earlier else o.runtime for _, o in ended
        ]
        self.progress.note(sum(runtimes), sum([task.cost for task, _ in ended]), max(runtimes, default=0.0))

    def _rows_of(self, ended: Sequence[tuple[Task, Outcome]]) -> list[TaskRow]:
        """Put outcomes into rows."""
        params = self.plan.tasks.params([task.values for task, _ in ended])
        codes = self._codes
        fields = [
            (
                task.key,
                text,
                task.repeat,
                self._mixed(task, outcome) if outcome.older_codes else codes[task.version],
                outcome,
            )
            for (task, outcome), text in zip(ended, params, strict=True)
        ]
        return list(starmap(TaskRow, fields))

    def _mixed(self, task: Task, outcome: Outcome) -> int:
        """Return the id of the version of what is of several: it went on from what older code had saved."""
        return self._run.mixed_code(self._codes[task.version], outcome.older_codes or ())

    def _is_over(self, task: Task, outcome: Outcome) -> bool:
        """Tell whether this is how a task has ended; if not, it is tried again, or not done at all."""
        failure = outcome.failure
        if failure is None:
            return True
        if self._is_unfinished(task.number, failure):
            return False
        tried = outcome.attempt - self._losses[task.number]
        delay = None if self._stopping else self._retry.delay(failure, tried)
        if delay is None:
            return True
        self._repeat(self._rows_of([(task, outcome)])[0], delay)
        return False

    def _is_unfinished(self, number: int, failure: Failure) -> bool:
        """Tell whether a failure is not the task's own, so this is not done; note what it says of the store."""
        if failure.kind == STOPPED:
            self.left.add(number)
            return True
        if self._is_of_our_disk(failure):
            self._unwritable = self._unwritable or failure
            self.left.add(number)
            if not self._stopping:
                self._stop()
            return True
        if failure.code == PAYLOAD_DAMAGED:
            ref = _below(Layout(self._store).payloads, failure.path) if self._store else None
            if ref is not None:
                self.damaged[ref] = failure.message.removeprefix(f"{failure.path}: ")
        return False

    def _is_of_our_disk(self, failure: Failure) -> bool:
        """Tell whether a task failed because the store takes no more: then the others would fail as well."""
        if failure.code != STORE_UNWRITABLE or not self._store:
            return False
        return _below(self._store, failure.path) is not None

    def _failed(self, number: int, failure: Failure, attempt: int) -> TaskFailed:
        key = self.plan.tasks.key(number).hex()
        text = self._text(number)
        group, first = self.failures.add(key, text, failure, attempt)
        return TaskFailed(key, text, group, first)

    def _lose(self, message: Lost) -> None:
        """Take a task back that has no outcome: since it was to stop, or since its place was taken away from it."""
        number = message.number
        task = self._flying.get(number)
        if task is not None and task.attempt != message.attempt:
            return  # of an attempt that is over: the next one is under way
        self._flying.pop(number, None)
        self._live.pop(number, None)
        if task is None or self._stopping or message.cancelled:
            self.left.add(number)
            self._run.release([self.plan.tasks.key(number)])
            return
        self._losses[number] += 1
        most = self._retry.losses
        text = message.reason or "its executor gave it back without an outcome"
        if self._losses[number] > most:
            text += (
                f"; so its place was taken away {self._losses[number]} times in this run, more than"
                f" Retry(losses={most}) bears. Look for what ends its workers, or raise that bound"
            )
        failure = Failure(LOST, "TaskLost", text, "", "", None, "")
        now = self._clock.now()
        lost = Outcome(
            number, FAILED, task.attempt, now, 0.0, None, None, None, "", None, (), (), None, failure
        )
        if not self._rows and not self._attempts:
            self._oldest = self._clock.monotonic()
        rows = self._rows_of([(task, lost)])
        if self._losses[number] > most:
            self._rows += rows
        else:
            self._repeat(rows[0], 0.0)

    def _repeat(self, row: TaskRow, delay: float) -> None:
        """Keep an attempt that is not the task's last, and have the next one made."""
        outcome = row.outcome
        assert outcome.failure is not None
        self._attempts.append((row.key, row))
        again = (self._clock.monotonic() + delay, outcome.number, outcome.attempt + 1)
        heapq.heappush(self._delayed, again)
        reason = f"{outcome.failure.type}: {outcome.failure.message}"
        self._emit(TaskRetried(row.key.hex(), self._text(outcome.number), outcome.attempt, reason, delay))

    def _note_row(self, number: int, row: int) -> None:
        self.plan.rows[number] = row
        if number in self.plan.twins:
            for twin in self.plan.twins[number]:
                self.plan.rows[twin] = row

    # -- other runs, and what comes by the clock

    def _adopt(self, finished: Iterable[Known], of_key: dict[bytes, int]) -> None:
        done = failed = 0
        for known in finished:
            number = of_key.get(known.key)
            if number is None:
                continue
            self._elsewhere.pop(known.key, None)
            self._note_row(number, known.id)
            self._note_code(number, known)
            share = 1 + len(self.plan.twins.get(number, ()))
            if known.status == DONE:
                done += share
            else:
                failed += share
        self.progress.shared += done
        self.progress.failed += failed
        if done or failed:
            self._emit(TasksFinished(done, failed, 0.0, shared=done))

    def _note_code(self, number: int, known: Known) -> None:
        version = self.plan.version(number)
        if known.code != self._codes[version] and known.code not in self.plan.current[version]:
            self.other_codes[known.code, version] += 1

    def _look_elsewhere(self) -> None:
        self._adopt(self._run.news(), self._elsewhere)
        free = set(self._elsewhere) - set(self._run.waiting(list(self._elsewhere)))
        # Another run finished or lost these after the look above: claiming them tells which.
        self._again.extend(self._elsewhere.pop(key) for key in free)

    def _do_what_is_due(self, now: float) -> None:
        if now >= self._due["tick"]:
            self._due["tick"] = now + self._tick_every
            self._emit(self._tick(now))
        if self._elsewhere and now >= self._due["look"] and not self._stopping:
            self._due["look"] = now + _LOOK_EVERY
            self._look_elsewhere()

    def _patience(self) -> float:
        """How long `poll` may wait: until the next thing that comes by the clock."""
        now = self._clock.monotonic()
        due = self._due["tick"]
        if self._rows or self._attempts:
            due = min(due, self._oldest + _COMMIT_EVERY)
        if self._delayed:
            due = min(due, self._delayed[0][0])
        return max(0.0, due - now)

    def _tick(self, now: float) -> Tick:
        states = [state for state in self._executor.running() if state.number in self._flying]
        listed = states
        if len(states) > _LISTED:
            longest = heapq.nlargest(_LISTED, range(len(states)), key=lambda i: states[i].seconds)
            listed = [states[i] for i in sorted(longest)]  # in the workers' order, from tick to tick
        running = []
        for state in listed:
            live = self._live.get(state.number)
            running.append(
                WorkerState(
                    worker=state.worker,
                    key=self._flying[state.number].key.hex(),
                    config=self._text(state.number),
                    seconds=state.seconds,
                    done=live.done if live else 0.0,
                    total=live.total if live else None,
                    metrics=live.metrics if live else {},
                )
            )
        progress = self.progress
        return Tick(
            total=self.plan.total,
            done=progress.done + progress.shared,
            cached=self.plan.hits,
            failed=progress.failed,
            running=tuple(running),
            elapsed=now - self._started,
            eta=progress.eta(now, [(state.seconds, self._flying[state.number].cost) for state in states]),
            throughput=progress.throughput(now),
            unlisted=len(states) - len(listed),
            longest=progress.longest,
        )

    def _text(self, number: int) -> str:
        tasks = self.plan.tasks
        slots = tasks.slots(number)
        pairs = [(tasks.names[i], tasks.table.values[i][s]) for i, s in enumerate(slots) if s >= 0]
        text = ", ".join(f"{name}={short_text(value, 40)}" for name, value in pairs)
        return f"{text}, repeat={number % tasks.repeats}" if tasks.repeats > 1 else text


def _below(folder: str, path: str) -> str | None:
    """Return a path relative to the folder in which it lies; None where it lies elsewhere.

    Examples
    --------
    >>> _below("/results", "/results/logs/1"), _below("/results", "/results-old/logs/1")
    ('logs/1', None)
    """
    if not os.path.isabs(path):
        return None
    folder, path = os.path.realpath(folder), os.path.realpath(path)
    return os.path.relpath(path, folder) if os.path.commonpath([folder, path]) == folder else None
