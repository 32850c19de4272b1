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
Long because what becomes of a task is decided here alone.
"""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import repeat, starmap
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from memento import faultpoints
from memento.clock import Clock
from memento.errors import StoreError
from memento.events import Event, Said, TaskRetried
from memento.executors.base import Executor, Lost, Message, Note, Running, Update
from memento.plan.plan import Plan
from memento.records import STOPPED, Outcome
from memento.runner.commits import Commits
from memento.runner.other_runs import OtherRuns
from memento.runner.packing import make_tasks
from memento.runner.progress import Activity, Progress, task_text
from memento.runner.queue import TaskQueue
from memento.runner.retry import RetryPolicy, StoreFaults, lost
from memento.runner.signals import Interrupt
from memento.wording import size_text
from memento.worker.work import Task

if TYPE_CHECKING:
    from memento.index.run_contract import Run
    from memento.index.types import Command
    from memento.runner.given_fences import GivenFences
    from memento.runner.memory_limits import MemoryLimits
    from memento.runner.store_room import StoreRoom

_NUMBER = itemgetter(0)  # of a task, and of an outcome
_FAILURE = attrgetter("failure")
_TICK_EVERY = 0.2
_TICK_MANY = 300  # workers of whom nobody reads five times a second what they do
_TICK_WORKERS = 10_000  # asking what so many workers do takes 8 ms, and happens once a second
_LOOK_EVERY = 0.5  # seconds between looks at what other runs have finished, and other processes ask
_SHOW_EVERY = 1.0  # seconds between accounts of what runs, for who reads it of the index
_MOST_ASKED = 4_096  # tasks that are claimed at once, to find some that no other run has
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
    results go: a task that cannot write there ends the run. `name_tasks` has events name the tasks that they are about,
    `left_workers` names dead runs whose workers may go on; `inherit` has the executor wait for these, and says whether
    there are more since the last call.
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
        left_workers: Callable[[], Sequence[str]] = tuple,
        inherit: Callable[[], bool] = bool,
        limits: MemoryLimits | None = None,
        queue: TaskQueue | None = None,
    ) -> None:
        now = clock.monotonic()
        self.plan = plan
        self.left: set[int] = set()  # tasks that were started, given back or cancelled, and did not finish
        self.cancelled: set[int] = set()  # of these, by a command
        self.paused_by = ""  # who has paused it; "" where nobody has
        self.progress = Progress(len(plan.todo), plan.forecast, workers, now)
        self.others = OtherRuns(plan, run, self.progress, codes, emit)
        self.commits = Commits(plan, run, self.progress, self.others, codes, emit, clock, name_tasks)
        self.faults = StoreFaults(store)
        self.limits = limits
        self.room = room
        self._fences: GivenFences | None = None  # of tasks whose earlier attempts may live on
        self._left_workers, self._inherit = left_workers, inherit
        self.is_hopeless, self._max_failures = False, max_failures  # whether so many have failed for good
        self.executor = executor
        self._run, self._retry, self._emit, self._clock = run, retry, emit, clock
        self._activity = Activity(plan, executor, self.progress, name_tasks)
        self.queue = queue or TaskQueue(plan.todo)
        self._flying: dict[int, Task] = {}
        self._asking = 0  # tasks to ask for at the next question; 0 where the last one found some
        self._losses: Counter[int] = Counter()  # how often each task's place was taken away
        self._kept: Counter[int] = Counter()  # ... without a loss: its state was saved, or it had not begun
        self._end = _GOING_ON
        self._tick_every = max(_TICK_EVERY, min(workers / _TICK_MANY, 1.0), workers / _TICK_WORKERS)
        self._next_tick, self._next_look, self._next_show = now, now + _LOOK_EVERY, now

    def loop(self, interrupt: Interrupt) -> None:
        """Run until nothing is left to do or the user has insisted on stopping."""
        with _rare_collections() if self.executor.isolates else contextlib.nullcontext():
            while not self._is_over():
                if interrupt.count >= 2:
                    break
                if interrupt.count or self.queue.is_over:
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
        if self.executor.outlives and self._flying:
            self.expect_copies([task.key for task in self._flying.values()])
        self.faults.check()

    def _is_over(self) -> bool:
        waits = self.others.awaited or not self.queue.is_empty
        return not self._flying and (self.is_stopping or not waits)

    def _do_what_is_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + self._tick_every
            states = self._activity.running(self._flying)
            started = self._activity.started(states)
            if started is not None:
                self._emit(started)
            tick = self._activity.tick(states, self._flying, now, self.paused_by)
            self._emit(tick)
            if now >= self._next_show:
                self._next_show = now + _SHOW_EVERY
                self._run.show(*self._activity.account(tick, self._clock.now(), self.is_stopping))
        if now >= self._next_look:
            self._next_look = now + _LOOK_EVERY
            if self.others.awaited and not self.is_stopping:
                back = self.others.look()
                if back:
                    self.expect_copies()
                self.queue.give_back(back)
            self._obey()
            if self.room is not None and self.room.look(self._flying.values()):
                self.stop(running=False)
            for note in self.queue.notes():
                self._emit(Said(note, "warning"))

    def _obey(self) -> None:
        """Carry out what other processes ask."""
        commands: Sequence[Command] = ()
        with contextlib.suppress(StoreError):  # a disk that fails shows when results are committed
            commands = self._run.commands()
        if commands:
            from memento.runner.commands import carry_out, told

        for command in commands:
            done = carry_out(self, command)
            tick = self._activity.tick(self.at_work(), self._flying, self._clock.monotonic(), self.paused_by)
            self._run.show(*self._activity.account(tick, self._clock.now(), self.is_stopping))
            for event in told(command, done, self.plan):
                self._emit(event)
            # Last, and all of this with it: who reads the answer finds the run as it says.
            with contextlib.suppress(StoreError):
                self._run.answer(command.id, done.text, undo=done.undo, done=done.done)

    def _patience(self) -> float:
        """How long `poll` may wait: until the next thing that comes by the clock."""
        if self._asking:
            return 0.0
        now = self._clock.monotonic()
        due = [self._next_tick, self.commits.due, None if self.paused_by else self.queue.due]
        wait = max(0.0, min(at for at in due if at is not None) - now)
        ends_in = None if self.is_stopping else self.queue.ends_in
        return wait if ends_in is None else min(wait, ends_in)

    # -- tasks to the executor

    def _feed(self) -> None:
        asking, self._asking = self._asking, 0
        if self.is_stopping or self.paused_by:
            return
        want = self.executor.want()
        if want <= 0:
            return
        asked = max(want, asking)
        numbers = self.queue.take(asked, self._clock.monotonic(), self._flying.values())
        granted = self.others.claim(numbers) if numbers else []
        # Runs go through a grid in one order. Whoever comes later, or is slower, asks for more at once until he has
        # come to where the others are not; by as many as he wants, he would never overtake them.
        if numbers and not granted:
            self._asking = min(2 * asked, _MOST_ASKED)
        if len(granted) > want:
            self._run.release(self.plan.tasks.keys_of(granted[want:]))
            self.queue.give_back(granted[want:])
        if granted and self._inherit():  # what they had claimed may be among these, and in hand somewhere
            self.expect_copies()
        raised = self.limits.raised if self.limits is not None else None
        batch = make_tasks(self.plan, granted[:want], self.queue.attempts, raised) if granted else []
        if self._fences is not None:
            batch = self._fences.put_on(batch)
        if batch:
            self._flying.update(zip(map(_NUMBER, batch), batch, strict=True))
            self.executor.submit(batch)
            faultpoints.at("batch.submitted")

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
            ended = [last for last in starmap(self._last, ended) if last is not None]
        self.commits.add(ended)
        self.queue.note(ended)
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

    def _last(self, task: Task, outcome: Outcome) -> tuple[Task, Outcome] | None:
        """Return how a task has ended; None where it is tried again, or not done at all."""
        failure = outcome.failure
        if failure is None:
            return task, outcome
        if task.number in self.cancelled:  # whatever it makes of that
            self.left.add(task.number)
            self._run.release([task.key])
            return None
        if failure.kind == STOPPED:
            self.left.add(task.number)
            return None
        if self.faults.is_unwritable(failure):
            self.left.add(task.number)
            self.stop(running=True)
            return None
        self.faults.note_damage(failure)
        tried = outcome.attempt - self._losses[task.number]
        delay = None if self.is_stopping else self._retry.delay(failure, tried)
        if self.limits is not None:
            failure, delay = self.limits.judge(task.number, failure, delay)
            outcome = outcome._replace(failure=failure)
        if delay is None:
            return task, outcome
        self._repeat(task, outcome, delay)
        return None

    def _repeat(self, task: Task, outcome: Outcome, delay: float, *, lost: bool = False) -> None:
        """Keep an attempt that is not the task's last, and have the next one made."""
        number, failure = task.number, outcome.failure
        assert failure is not None
        self.commits.add_attempt(task, outcome)
        self.queue.attempts[number] = outcome.attempt + 1
        self.queue.delay(number, self._clock.monotonic() + delay)
        if self.paused_by:
            self._run.release([task.key])
        text = task_text(self.plan.tasks, number)
        reason = f"{failure.type}: {failure.message}"
        if failure.next_limit:
            reason += f"; next with {size_text(failure.next_limit)}"
        self._emit(TaskRetried(task.key.hex(), text, outcome.attempt, reason, delay, lost))

    def _take(self, messages: Sequence[Message]) -> None:
        gone = []
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
                    gone.append((task, message))
        if gone:
            self._take_back(gone)

    def _take_back(self, gone: Sequence[tuple[Task, Lost]]) -> None:
        """Take tasks that have no outcome: as was asked, or since their place was taken away from them."""
        later = []
        copies = [task.key for task, told in gone if not told.gone and (told.reason or not told.cancelled)]
        if copies:
            self.expect_copies(copies)
        for task, message in gone:
            if self.is_stopping or task.number in self.cancelled:
                self.left.add(task.number)
            elif message.cancelled:
                later.append(task.number)
            else:
                self._lose(task, message.reason, kept=message.kept)
        self.queue.give_back(later)
        # Also of those that start later: a run that is paused keeps no other from them.
        left = [task.key for task, message in gone if task.number in self.left or message.cancelled]
        self._run.release(left)

    def _lose(self, task: Task, reason: str, *, kept: bool) -> None:
        """Note an attempt whose place was taken away, and have the next one made as often as that is allowed."""
        self._losses[task.number] += 1
        self._kept[task.number] += kept
        losses, most = self._losses[task.number] - self._kept[task.number], self._retry.losses
        outcome = lost(task, reason, losses, most, self._clock.now())
        if losses > most:
            self.commits.add([(task, outcome)])
            self._look_at_failures()
        else:
            self._repeat(task, outcome, 0.0, lost=True)

    def expect_copies(self, lost: Iterable[bytes] = ()) -> None:
        """Keep away from attempts that may live on: of lost tasks, and where dead runs may have left workers."""
        if self._fences is None:
            from memento.runner.given_fences import GivenFences  # which most runs do without

            self._fences = GivenFences(self.faults.store)
        self._fences.look(self._left_workers())
        self._fences.lose(lost)

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
            why = "Its deadline is near" if self.queue.is_over else "Stopping"
            told = f"{why}: running tasks get a moment to save what they have. Ctrl-C again ends them."
            self._emit(Said(told))
        self.left.update(self.queue.drop_delayed())

    def pause(self, by: str) -> None:
        """Start nothing more until `resume`; what runs goes on to its end."""
        self.paused_by = by
        self.executor.cancel(running=False)
        # Else other runs would wait for these until somebody resumes this one.
        self._run.release(self.plan.tasks.keys_of(self.queue.delayed))

    def at_work(self) -> list[Running]:
        """Return what runs at this moment; nothing where a task would keep this thread from asking."""
        return [] if self.executor.in_process else self._activity.running(self._flying)

    def resume(self) -> None:
        """Undo `pause`."""
        self.paused_by = ""

    def cancel(self, numbers: Collection[int]) -> tuple[list[int], int]:
        """Do not compute these tasks; return those that were still to be done, and how many of them run now."""
        wanted = set(numbers)
        running = sum(state.number in wanted for state in self.at_work())
        waiting = [*self.queue.drop(wanted), *self.others.forget(wanted)]
        flying = [number for number in self._flying if number in wanted]
        self.cancelled.update(waiting, flying)
        self.left.update(waiting)
        self._run.release(self.plan.tasks.keys_of(waiting))
        if flying:
            self.executor.cancel(flying, running=True)
        costs = self.plan.costs
        self.progress.drop(
            len(waiting) + len(flying), sum(costs[n] for n in [*waiting, *flying]) if costs else 0.0
        )
        return [*waiting, *flying], running

    def put_first(self, numbers: Collection[int]) -> list[int]:
        """Have these tasks computed before all others that have not started; return those that were still to be."""
        first = self.queue.put_first(numbers)
        wanted = set(numbers)
        self.executor.cancel([number for number in self._flying if number not in wanted], running=False)
        return [*first, *(number for number in self._flying if number in wanted)]

    def resize(self, workers: int) -> int:
        """Run so many tasks at once from now on; return how many it was."""
        before, self.progress.workers = self.progress.workers, workers
        self.queue.resize(workers)
        self.executor.resize(workers)
        return before
