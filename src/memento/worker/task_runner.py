"""Make one attempt at one task: everything caught, everything measured.

Knows: the work of a run, contexts, payloads. May not know: queues, pipes, who asked.

A `TaskRunner` is what a worker has at hand: the function, the settings, the values that it was sent. It belongs to one
thread at a time; the executors of this process and the worker processes all use it, so that a task meets
the same conditions everywhere.
"""

from __future__ import annotations

import contextvars
import os
import threading
import types
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from memento.clock import SYSTEM_CLOCK, Clock
from memento.config import Config, TaskParameters
from memento.context.context import Context
from memento.context.seeding import LIBRARIES, Seeding
from memento.context.task_space import Resources, StopTask, TaskSpace, never_stopping, nothing
from memento.errors import StoreError, StoreUnwritable
from memento.layout import ARTIFACTS, PAYLOADS, Layout, fenced, user_name
from memento.records import DONE, FAILED, RAISED, STOPPED, Encoded, Failure, LogSlice, Outcome, Piece
from memento.settings import Settings
from memento.values.encoding import encode
from memento.values.payloads import PayloadDir
from memento.values.places import LocalFolder, Place
from memento.worker import failures
from memento.worker.alarm import TimeUp, alarm
from memento.worker.by_name import calling
from memento.worker.import_watch import ImportWatch
from memento.worker.measure import Meter, process_name
from memento.worker.source_texts import install
from memento.worker.task_values import TaskValues, copies, unpacked
from memento.worker.warning_watch import Watch
from memento.worker.work import Task, Work

_NOTHING: Any = ((), (), (), None, None)  # what a task leaves behind that had no context
_NEVER_AWAITED = frozenset({int, float, bool, str, bytes, type(None), dict, list, tuple})


class Conditions(NamedTuple):
    """What differs between the places in which tasks run."""

    worker: str = ""  # "host/pid"; this process where it is empty
    resources: Resources = Resources()
    stopping: Callable[[], bool] = never_stopping
    live: Callable[..., None] | None = None  # (task's number, done, total, metrics, perhaps what it is at)
    log: Callable[[], LogSlice | None] | None = None  # what was printed since it was last asked
    log_so_far: Callable[[], LogSlice | None] | None = None  # the same, and it will be told again
    last_lines: Callable[[LogSlice], str] | None = None
    waited: Callable[[float], None] = nothing  # seconds of a task that do not count towards its timeout
    shared_process: bool = False  # other threads of this process run tasks too
    alone: bool = True  # one task at a time runs in this process
    # Looks at what was raised; says what to tell.
    caught: Callable[[BaseException], BaseException] | None = None
    own_process: bool = False  # this process does nothing but tasks
    clock: Clock = SYSTEM_CLOCK


class TaskRunner:
    """One worker's place: runs one task after another.

    `function` is the experiment where it is unpickled already; `values` and `settings` say where these come from, which
    by default are bytes of `work`.
    """

    def __init__(
        self,
        work: Work,
        conditions: Conditions,
        function: Callable[..., Any] | None = None,
        values: TaskValues | None = None,
        settings: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self._work, self._conditions, self._clock = work, conditions, conditions.clock
        install(work.sources)
        self._function = work.function.load() if function is None else function
        self._call = calling(self._function, work.by_name)
        self._settings = unpacked(work.settings.data) if settings is None else settings
        self.values = TaskValues(work.values) if values is None else values
        self._seeding = Seeding(alone=conditions.alone, origins=work.generators)
        self._imports = ImportWatch(list(LIBRARIES) if conditions.alone else [], self._seeding.notice)
        self._seeding.follow(self._function)
        self.values.follow = self._seeding.follow
        self.layouts: dict[int, tuple[str, ...]] = {}
        self._payloads = PayloadDir(self._place(PAYLOADS), work.store)
        self._worker = conditions.worker or process_name()
        self._meter = Meter(shared=conditions.shared_process, alone=conditions.own_process)
        self._watch = Watch()
        # The attempt that is made: its number, its start, the same on the steady clock.
        self._now = (0, 0.0, 0.0)
        self._so_far = self._piece  # one bound method for all tasks
        self._waited = conditions.waited
        self.inside = False  # the task's own code runs now
        self.has_company = False  # a task of another run is at work in this process when the next one begins

    def run_limited(self, task: Task) -> Outcome:
        """Make one attempt that an alarm ends when its time is over, where this is the main thread."""
        limit = self._work.timeout
        if limit is None:
            return self.run(task)
        try:
            with alarm(limit, lambda: self.inside) as put_off:
                self._waited = put_off
                return self.run(task)
        except TimeUp:  # it came while the task's own exception was being caught
            return self.cut_short(task, failures.timed_out(limit))

    def cut_short(self, task: Task, failure: Failure) -> Outcome:
        """Make the outcome of the attempt that is made, or was last, where `run` could not."""
        _, started, begun = self._now
        return verdict(task, failure, started, self._clock.monotonic() - begun, self._worker)

    def run(self, task: Task) -> Outcome:
        """Make one attempt; whatever the task does short of ending the process, this returns."""
        number, attempt, conditions, context = task.number, task.attempt, self._conditions, None
        value: Encoded | Failure | None = None
        failure: Failure | None = None
        error: BaseException | None = None
        self._now = (_, started, begun) = (attempt, self._clock.now(), self._clock.monotonic())
        self._meter.start()
        self._watch.begin()
        try:
            self.inside = True
            config = self._config(task)
            context = self._context(task)
            self._seeding.begin(task.key, has_company=self.has_company)
            # In a copy of the context: decimal's precision, NumPy's error state end with the task.
            returned = contextvars.copy_context().run(self._call, context, config)
            if type(returned) not in _NEVER_AWAITED and _is_awaitable(returned):
                returned = _finished(returned)
            value = self._store(returned, task, context)
            returned = None  # or its memory would be told as the next task's
            self.inside = False
        except BaseException as exc:  # SystemExit and KeyboardInterrupt too: they fail this task only
            self.inside = False
            error = exc
        runtime = max(self._clock.monotonic() - begun, 0.0)
        cpu_time, memory, virtual = self._meter.stop(runtime)
        warned = self._watch.end()
        log = conditions.log() if conditions.log is not None else None
        if error is not None:
            told = error if conditions.caught is None else conditions.caught(error)
            failure, value = self._explain(told), None
        elif isinstance(value, Failure):
            failure, value = value, None
        if failure is not None and log is not None and conditions.last_lines is not None:
            failure = failure._replace(output=conditions.last_lines(log))
        series, artifacts, earlier, older_codes, steps = (
            _NOTHING if context is None else self._left_behind(task, context, failed=failure is not None)
        )
        status = FAILED if failure is not None else DONE
        return Outcome(
            number, status, attempt, started, runtime, cpu_time, memory, virtual, self._worker, value, series,
            artifacts, log, failure, warned, earlier, older_codes, steps,
        )  # fmt: skip

    def _config(self, task: Task) -> Config:
        names = self.layouts.get(task.layout)
        if names is None:  # a task may have no parameter at all
            names = self.layouts[task.layout] = self._work.layouts[task.layout]
        values, labels = self.values.named(names, task.values), self._work.labels
        if labels:
            told = {name: labels[n] for name, n in zip(names, task.values, strict=True) if n in labels}
            values = TaskParameters(values, told)
        return Config.build(values, Settings(self._settings()), task.repeat)

    def _context(self, task: Task) -> Context:
        work, conditions = self._work, self._conditions
        resources, limit = conditions.resources, task.memory_limit
        if task.fence:
            from memento.store.fences import begin  # which most runs do without

            begin(work.store, task.key.hex(), task.fence, work.payloads)
        return Context.for_task(
            TaskSpace(
                work.store,
                work.run,
                task.key,
                task.attempt,
                resources if limit is None else resources._replace(memory_limit=limit),
                None if conditions.live is None else partial(conditions.live, task.number),
                conditions.stopping,
                work.live_every,
                self._clock,
                work.inline_limit,
                self._so_far,
                work.codes[task.version],
                work.on_code_change,
                task.repeat,
                self._seeding,
                task.fence,
                self._waited,
                work.payloads,
            )
        )

    def _store(self, returned: object, task: Task, context: Context) -> Encoded | Failure:
        try:
            stored = encode(returned, self._payloads, self._work.inline_limit)
            if self._work.payloads:
                self._send_artifacts(task, context.left_behind()[1])
            return stored
        except (StopTask, TimeUp, KeyboardInterrupt, StoreUnwritable):
            raise
        except BaseException as exc:  # whatever a user's __reduce__ raises
            return failures.unsavable(returned, exc)

    def _left_behind(self, task: Task, context: Context, *, failed: bool) -> Any:
        left = context.left_behind()
        if failed and self._work.payloads:
            with suppress(StoreError, OSError):  # it has failed, or was stopped, of something else
                self._send_artifacts(task, left[1])
        return left

    def _send_artifacts(self, task: Task, names: tuple[str, ...]) -> None:
        """Send the files that the task kept to where values are; raises StoreUnwritable."""
        if names:
            from memento.values.far_files import send

            folder = fenced(task.key.hex(), task.fence)
            there = Layout(self._work.store).artifacts(folder)
            send(there, map(user_name, names), self._place(ARTIFACTS), folder)

    def _place(self, room: str) -> Place:
        work = self._work
        if not work.payloads:
            return LocalFolder(os.path.join(work.store, room))
        from memento.values.choose_place import place_of  # which most runs do without

        return place_of(work.store, room, work.payloads, for_tasks=True, waited=lambda s: self._waited(s))

    def close(self) -> None:
        """Leave the process' random generators as they were before the first task."""
        self._imports.close()
        self._seeding.put_back()

    def _piece(self) -> Piece:
        """Return what the attempt that is made has done so far."""
        attempt, started, begun = self._now
        told = self._conditions.log_so_far
        runtime = max(self._clock.monotonic() - begun, 0.0)
        cpu_time, memory = self._meter.so_far()
        log = told() if told is not None else None
        return Piece(self._work.run, attempt, started, runtime, cpu_time, memory, self._worker, log)

    def _explain(self, error: BaseException) -> Failure:
        """Describe what was caught; describing must not fail either."""
        if isinstance(error, StopTask):
            return failures.raised(error, kind=STOPPED, pickled=False)
        if isinstance(error, TimeUp):
            return failures.timed_out(self._work.timeout or 0.0)
        try:
            return failures.raised(error)
        except RecursionError:
            # Caught at the very end of the stack: there was no room left to tell it well.
            text = "maximum recursion depth exceeded"
            return failures.without_exception(RAISED, type(error).__name__, text)


def local_runner(work: Work, conditions: Conditions) -> TaskRunner:
    """Return a task runner that calls the very function that the program has, with the program's own values."""
    function = work.function.here if work.function.here is not None else work.function.load()
    settings = work.settings.here if work.settings.here is not None else work.settings.load()
    return TaskRunner(work, conditions, function, settings=copies(settings, work.settings.packed))


def _is_awaitable(returned: object) -> bool:
    if not hasattr(type(returned), "__await__") and not isinstance(returned, types.GeneratorType):
        return False
    import inspect  # 4 ms, for a few experiments

    return inspect.isawaitable(returned)


def _finished(returned: Any) -> Any:
    """Return what an awaitable comes to."""
    import asyncio  # 20 ms in every worker's life, for a few experiments

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(returned))
    from concurrent.futures import Future

    # A notebook's own loop runs in this thread, and waits for us: the task's loop gets another thread.
    outcome: Future[Any] = Future()

    def finish() -> None:
        try:
            outcome.set_result(asyncio.run(_awaited(returned)))
        except BaseException as exc:
            outcome.set_exception(exc)

    threading.Thread(target=finish, daemon=True).start()
    return outcome.result()


async def _awaited(returned: Any) -> Any:
    return await returned


def verdict(
    task: Task, failure: Failure, started: float, runtime: float, worker: str, memory: int | None = None,
    log: LogSlice | None = None,
) -> Outcome:  # fmt: skip
    """Make the outcome of a task on behalf of a worker that cannot."""
    return Outcome(
        task.number, FAILED, task.attempt, started, max(runtime, 0.0), None, memory, None, worker, None, (), (), log,
        failure,
    )  # fmt: skip
