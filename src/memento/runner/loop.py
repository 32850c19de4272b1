"""The one loop over outcomes: tasks -> executor -> outcomes -> store (group commit) -> events.

Knows: the plan, the store's run, one executor. May not know: matrices' files, displays' looks, worker processes.

    queue, other_runs   which tasks are next, and ours to compute
    commits             outcomes become rows, durable, then told
    progress            what is done, and what is at work, for ticks
    commands            what other processes ask of the run, through the methods `pause` to `resize`

Owners
    this thread   everything here; the executor and the run are called from it only
    signal handler   `Interrupt.count`, and the executor's `wake`
What is told as done has been committed. What was in flight when anything breaks is simply not done.
"""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import repeat, starmap
from operator import attrgetter, itemgetter, mod
from typing import TYPE_CHECKING

from memento import faultpoints
from memento.clock import Clock
from memento.errors import StoreError
from memento.events import CommandTaken, Event, Said, TaskRetried
from memento.executors.base import Executor, Lost, Message, Note, Update
from memento.plan.plan import Plan
from memento.records import FAILED, LOST, STOPPED, Failure, Outcome
from memento.runner.commits import Commits
from memento.runner.other_runs import OtherRuns
from memento.runner.progress import Activity, Progress, activities, task_text
from memento.runner.queue import TaskQueue
from memento.runner.retry import RetryPolicy, StoreFaults
from memento.runner.signals import Interrupt
from memento.worker.work import Task

if TYPE_CHECKING:
    from memento.index.contract import Run
    from memento.index.types import Command
    from memento.runner.store_room import StoreRoom

_NUMBER = itemgetter(0)  # of a task, and of an outcome
_FAILURE = attrgetter("failure")
_TICK_EVERY = 0.2
_TICK_WORKERS = 10_000  # asking what so many workers do takes 8 ms, and happens once a second
_LOOK_EVERY = 0.5  # seconds between looks at what other runs have finished, and other processes ask
_SHOW_EVERY = 1.0  # seconds between accounts of what runs, for who reads it of the index
_NAMED = 1_000  # tasks that the account of a command names
_COLLECT_EVERY = 50_000  # new objects: those of a commit and its rows, some times over
_GOING_ON, _LETTING_FINISH, _STOPPING = range(3)


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

    Its executor is started. `codes` are the store's ids of the versions of the code that tasks are of; `store` is where
    results go: a task that cannot write there ends the run. `name_tasks` has events name the tasks that they are about.
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
        room: StoreRoom | None = None,
        name_tasks: bool = False,
        max_failures: int | None = None,
    ) -> None:
        now = clock.monotonic()
        self.plan = plan
        self.left: set[int] = set()  # tasks that were started, given back or cancelled, and did not finish
        self.cancelled: set[int] = set()  # of these, by a command
        self.paused = False
        self.progress = Progress(len(plan.todo), plan.forecast, workers, now)
        self.others = OtherRuns(plan, run, self.progress, codes, emit)
        self.commits = Commits(plan, run, self.progress, self.others, codes, emit, clock, name_tasks)
        self.faults = StoreFaults(store)
        self.room = room
        self.is_hopeless, self._max_failures = False, max_failures  # whether so many have failed for good
        self.executor = executor
        self._run, self._retry, self._emit, self._clock = run, retry, emit, clock
        self._activity = Activity(plan, executor, self.progress, name_tasks)
        self._queue = TaskQueue(plan.todo)
        self._flying: dict[int, Task] = {}
        self._losses: Counter[int] = Counter()  # how often each task's place was taken away
        self._end = _GOING_ON
        self._tick_every = max(_TICK_EVERY, workers / _TICK_WORKERS)
        self._next_tick, self._next_look, self._next_show = now, now + _LOOK_EVERY, now

    def loop(self, interrupt: Interrupt) -> None:
        """Run until nothing is left to do or the user has insisted on stopping."""
        with _rare_collections() if self.executor.isolates else contextlib.nullcontext():
            while not self._is_over():
                if interrupt.count >= 2:
                    break
                if interrupt.count:
                    self.stop(running=True)
                self._feed()
                self._do_what_is_due()
                messages = self.executor.poll(self._patience())
                outcomes = [message for message in messages if isinstance(message, Outcome)]
                if outcomes:
                    self._finish(outcomes)
                if len(outcomes) < len(messages):
                    self._take(messages)
                due = self.commits.due
                if due is not None and (not messages or due <= self._clock.monotonic()):
                    self.commits.commit()
        self.commits.commit()
        self.faults.check()

    def _is_over(self) -> bool:
        waits = self.others.awaited or not self._queue.is_empty
        return not self._flying and (self.is_stopping or not waits)

    def _do_what_is_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + self._tick_every
            states = self._activity.running(self._flying)
            started = self._activity.started(states)
            if started is not None:
                self._emit(started)
            tick = self._activity.tick(states, self._flying, now)
            self._emit(tick)
            if now >= self._next_show:
                self._next_show = now + _SHOW_EVERY
                self._run.show(activities(tick, self._clock.now()))
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            if self.others.awaited and not self.is_stopping:
                self._queue.give_back(self.others.look())
            self._obey()
            if self.room is not None and self.room.look(self._flying.values()):
                self.stop(running=False)

    def _obey(self) -> None:
        """Carry out what other processes ask."""
        commands: Sequence[Command] = ()
        with contextlib.suppress(StoreError):  # a disk that fails shows when results are committed
            commands = self._run.commands()
        if commands:
            from memento.runner.commands import carry_out

        for command in commands:
            done = carry_out(self, command)
            with contextlib.suppress(StoreError):
                self._run.answer(command.id, done.text, undo=done.undo, done=done.done)
            few = done.numbers if len(done.numbers) <= _NAMED else ()
            keys = tuple(self.plan.tasks.key(number).hex() for number in few)
            self._emit(CommandTaken(command.kind, command.sender, done.text, done.undo, done.done, keys))
            what = done.text if done.done else f"refused: {done.text}"
            self._emit(Said(f"Command {command.kind} by {command.sender}: {what}"))

    def _patience(self) -> float:
        """How long `poll` may wait: until the next thing that comes by the clock."""
        now = self._clock.monotonic()
        due = [self._next_tick, self.commits.due, None if self.paused else self._queue.due]
        return max(0.0, min(at for at in due if at is not None) - now)

    # -- tasks to the executor

    def _feed(self) -> None:
        if self.is_stopping or self.paused:
            return
        want = self.executor.want()
        if want <= 0:
            return
        numbers = self._queue.take(want, self._clock.monotonic())
        batch = self._tasks(self.others.claim(numbers)) if numbers else []
        if batch:
            self._flying.update(zip(map(_NUMBER, batch), batch, strict=True))
            self.executor.submit(batch)
            faultpoints.at("batch.submitted")

    def _tasks(self, numbers: list[int]) -> list[Task]:
        tasks, costs, attempts = self.plan.tasks, self.plan.costs, self._queue.attempts
        layouts, values = tasks.places(numbers)
        repeats = map(mod, numbers, repeat(tasks.repeats))
        tries = [attempts.get(number, 1) for number in numbers] if attempts else repeat(1)
        expected = map(costs.__getitem__, numbers) if costs is not None else repeat(0.0)
        of = self.plan.versions
        versions = map(of.__getitem__, numbers) if of is not None else repeat(0)
        fields = zip(numbers, tasks.keys_of(numbers), layouts, values, repeats, tries, expected, versions)  # noqa: B905 - some are endless
        return list(starmap(Task, fields))

    # -- what the executor tells

    def _finish(self, outcomes: Sequence[Outcome]) -> None:
        """Take outcomes: into rows for the next commit, or what else becomes of them."""
        started = self._activity.finished(outcomes)
        if started is not None:
            self._emit(started)
        tasks = map(self._flying.pop, map(_NUMBER, outcomes), repeat(None))
        ended = [(task, outcome) for task, outcome in zip(tasks, outcomes, strict=True) if task is not None]
        if len(ended) < len(outcomes):
            import logging

            log = logging.getLogger("memento.runner")
            log.warning("%d outcomes came for tasks that are not in flight", len(outcomes) - len(ended))
        self._activity.end(map(_NUMBER, outcomes))
        failed = any(map(_FAILURE, outcomes))
        if failed:
            ended = [pair for pair in ended if self._is_last(*pair)]
        self.commits.add(ended)
        if self.room is not None and self.room.note(ended, self._flying.values()):
            self.stop(running=False)
        # What was expected of a task that went on from a checkpoint is the time of all its attempts.
        runtimes = [
            o.runtime + sum([p.runtime for p in o.earlier]) if o.earlier else o.runtime for _, o in ended
        ]
        self.progress.note(sum(runtimes), sum([task.cost for task, _ in ended]), max(runtimes, default=0.0))
        if failed:
            self._look_at_failures()

    def _look_at_failures(self) -> None:
        """Start nothing more where as many tasks have failed as the user bears."""
        if self._max_failures is None or self.is_hopeless:
            return
        self.commits.commit()  # which also tells whether another run has succeeded meanwhile
        if self.commits.failed >= self._max_failures:
            self.is_hopeless = True
            self.stop(running=False)
            told = f"{self.commits.failed:,} failed: no more tasks are started, what runs finishes."
            self._emit(Said(told, "warning"))

    def _is_last(self, task: Task, outcome: Outcome) -> bool:
        """Tell whether this is how a task has ended; if not, it is tried again, or not done at all."""
        failure = outcome.failure
        if failure is None:
            return True
        if task.number in self.cancelled:  # whatever it makes of that
            self.left.add(task.number)
            self._run.release([task.key])
            return False
        if failure.kind == STOPPED:
            self.left.add(task.number)
            return False
        if self.faults.is_unwritable(failure):
            self.left.add(task.number)
            self.stop(running=True)
            return False
        self.faults.note_damage(failure)
        tried = outcome.attempt - self._losses[task.number]
        delay = None if self.is_stopping else self._retry.delay(failure, tried)
        if delay is None:
            return True
        self._repeat(task, outcome, failure, delay)
        return False

    def _repeat(self, task: Task, outcome: Outcome, failure: Failure, delay: float) -> None:
        """Keep an attempt that is not the task's last, and have the next one made."""
        number = task.number
        self.commits.add_attempt(task, outcome)
        self._queue.attempts[number] = outcome.attempt + 1
        self._queue.delay(number, self._clock.monotonic() + delay)
        text = task_text(self.plan.tasks, number)
        reason = f"{failure.type}: {failure.message}"
        self._emit(TaskRetried(task.key.hex(), text, outcome.attempt, reason, delay))

    def _take(self, messages: Sequence[Message]) -> None:
        lost = []
        for message in messages:
            if isinstance(message, Update):
                if message.number in self._flying:
                    self._activity.update(message)
            elif isinstance(message, Note):
                self._emit(Said(message.text, message.level))
            elif isinstance(message, Lost):
                task = self._flying.get(message.number)
                if task is not None and task.attempt == message.attempt:  # else it is of one that is over
                    del self._flying[message.number]
                    self._activity.lose(message.number)
                    lost.append((task, message))
        if lost:
            self._take_back(lost)

    def _take_back(self, lost: Sequence[tuple[Task, Lost]]) -> None:
        """Take tasks that have no outcome: as was asked, or since their place was taken away from them."""
        later = []
        for task, message in lost:
            if self.is_stopping or task.number in self.cancelled:
                self.left.add(task.number)
            elif message.cancelled:
                later.append(task.number)
            else:
                self._lose(task, message.reason)
        self._queue.give_back(later)
        # Also of those that start later: a run that is paused keeps no other from them.
        self._run.release(
            [task.key for task, message in lost if task.number in self.left or message.cancelled]
        )

    def _lose(self, task: Task, reason: str) -> None:
        """Note an attempt whose place was taken away, and have the next one made as often as that is allowed."""
        self._losses[task.number] += 1
        losses, most = self._losses[task.number], self._retry.losses
        text = reason or "its executor gave it back without an outcome"
        if losses > most:
            text += (
                f"; so its place was taken away {losses} times in this run, more than"
                f" Retry(losses={most}) bears. Look for what ends its workers, or raise that bound"
            )
        failure = Failure(LOST, "TaskLost", text, "", "", None, "")
        now = self._clock.now()
        outcome = Outcome(
            task.number, FAILED, task.attempt, now, 0.0, None, None, None, "", None, (), (), None, failure
        )
        if losses > most:
            self.commits.add([(task, outcome)])
            self._look_at_failures()
        else:
            self._repeat(task, outcome, failure, 0.0)

    # -- what people ask of the run

    @property
    def is_stopping(self) -> bool:
        """Whether the run starts nothing more and ends."""
        return self._end != _GOING_ON

    def stop(self, *, running: bool) -> None:
        """Start nothing more and end the run; with `running`, what runs is told to stop, else it may finish."""
        end = _STOPPING if running else _LETTING_FINISH
        if self._end >= end:
            return
        self._end = end
        self.executor.cancel(running=running)
        if self._flying and running:
            self._emit(
                Said("Stopping: running tasks get a moment to save what they have. Ctrl-C again ends them.")
            )
        self.left.update(self._queue.drop_delayed())

    def pause(self) -> int:
        """Start nothing more until `resume`; return how many tasks run, and go on to their end."""
        self.paused = True
        running = len(self._at_work())
        self.executor.cancel(running=False)
        return running

    def _at_work(self) -> set[int]:
        """Return the tasks that run at this moment; none where a task would keep this thread from asking."""
        states = () if self.executor.in_process else self._activity.running(self._flying)
        return {state.number for state in states}

    def resume(self) -> None:
        """Undo `pause`."""
        self.paused = False

    def cancel(self, numbers: Collection[int]) -> tuple[list[int], int]:
        """Do not compute these tasks; return those that were still to be done, and how many of them run now."""
        wanted = set(numbers)
        running = len(wanted & self._at_work())
        waiting = [*self._queue.drop(wanted), *self.others.forget(wanted)]
        flying = [number for number in self._flying if number in wanted]
        self.cancelled.update(waiting, flying)
        self.left.update(waiting)
        self._run.release(self.plan.tasks.keys_of(waiting))
        if flying:
            self.executor.cancel(flying, running=True)
        return [*waiting, *flying], running

    def put_first(self, numbers: Collection[int]) -> list[int]:
        """Have these tasks computed before all others that have not started; return those that were still to be."""
        first = self._queue.put_first(numbers)
        wanted = set(numbers)
        self.executor.cancel([number for number in self._flying if number not in wanted], running=False)
        return [*first, *(number for number in self._flying if number in wanted)]

    def resize(self, workers: int) -> int:
        """Run so many tasks at once from now on; return how many it was."""
        before, self.progress.workers = self.progress.workers, workers
        self.executor.resize(workers)
        return before
