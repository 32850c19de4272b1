"""Make one attempt at one task: everything caught, everything measured.

Knows: the work of a run, contexts, payloads. May not know: queues, pipes, who asked.

A `Station` is what a worker has at hand: the function, the settings, the values that it was sent. It belongs to one
thread at a time; the executors of this process and the worker processes all use it, so that a task meets
the same conditions everywhere.
"""

from __future__ import annotations

import contextvars
import enum
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from memento.clock import SYSTEM_CLOCK, Clock
from memento.config import Config
from memento.context import Context, Resources, StopTask, TaskSpace
from memento.context.seeding import LIBRARIES, Seeding
from memento.context.space import Live, never_stopping
from memento.errors import StoreUnwritable
from memento.layout import Layout
from memento.records import (
    DONE,
    FAILED,
    RAISED,
    STOPPED,
    TIMEOUT,
    UNSAVABLE,
    Encoded,
    Failure,
    LogSlice,
    Outcome,
    Piece,
)
from memento.values import pickling
from memento.values.formats import encode
from memento.values.payloads import PayloadDir
from memento.worker import failures
from memento.worker.alarm import TimeUp
from memento.worker.imports import ImportWatch
from memento.worker.measure import Meter, process_name
from memento.worker.sources import install
from memento.worker.warned import Watch
from memento.worker.work import Task, Work

_ATOMS = frozenset({int, float, bool, str, bytes, complex, type(None), range, type(Ellipsis)})
_OTHER_ATOMS = frozenset({("fractions", "Fraction")})  # by name: few programs import it
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, enum.Enum)
_NEVER_AWAITED = frozenset({int, float, bool, str, bytes, type(None), dict, list, tuple})


def is_unchangeable(value: object) -> bool:
    """Tell whether tasks can share one object without one task's changes reaching the next.

    Examples
    --------
    >>> is_unchangeable((1, "a")), is_unchangeable([1]), is_unchangeable(dict)
    (True, False, True)
    """
    kind = type(value)
    paths: type | tuple[()] = getattr(sys.modules.get("pathlib"), "PurePath", ())
    if (
        kind in _ATOMS
        or isinstance(value, (_NAMED, paths))
        or (kind.__module__, kind.__name__) in _OTHER_ATOMS
    ):
        return True
    if kind is tuple or kind is frozenset:
        return all(map(is_unchangeable, value))  # type: ignore[call-overload]  # just checked
    return False


class KeptValues:
    """Values by number, each unpickled once where tasks can share it, else for each task.

    Parameters
    ----------
    source : sequence of bytes, optional
        Where a value comes from that was not put here.
    """

    def __init__(self, source: Sequence[bytes] | None = None) -> None:
        self._source = source
        self.follow: Callable[[Any], None] | None = None  # hears of each function and class among them, once
        self._packed: dict[int, bytes | memoryview] = {}
        self._shared: dict[int, Any] = {}

    def put(self, number: int, data: bytes | memoryview) -> None:
        """Keep the bytes of a value."""
        self._packed[number] = data
        self._shared.pop(number, None)

    def named(self, names: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
        """Return the values of these numbers by these names; unpickling may raise anything."""
        shared = self._shared
        return {
            name: shared[n] if n in shared else self._unpickle(n)
            for name, n in zip(names, numbers, strict=True)
        }

    def _unpickle(self, number: int) -> Any:
        data = self._packed.get(number)
        if data is None:
            if self._source is None:
                raise KeyError(
                    f"value number {number} was not sent to this worker; this is a fault of Memento"
                )
            data = self._source[number]
        value = pickling.loads(data)
        if is_unchangeable(value):
            if self.follow is not None and callable(value):
                self.follow(value)
            self._shared[number] = value
            self._packed.pop(number, None)
        return value


class KeptSettings:
    """The settings, as new for each task."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        settings = pickling.loads(data)
        self._plain: dict[str, Any] | None = None
        if type(settings) is dict and all(map(is_unchangeable, settings.values())):
            self._plain = settings

    def get(self) -> dict[str, Any]:
        """Return a copy that the task may change."""
        if self._plain is not None:
            return dict(self._plain)
        settings: dict[str, Any] = pickling.loads(self._data)
        return settings


class SomeValues(Protocol):
    """Where a station's values come from."""

    follow: Callable[[Any], None] | None  # hears of each function and class among them, once

    def named(self, names: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
        """Return the values of these numbers by these names; may raise anything."""


class SomeSettings(Protocol):
    """Where a station's settings come from."""

    def get(self) -> dict[str, Any]:
        """Return settings that the task may change."""


class Conditions(NamedTuple):
    """What differs between the places in which tasks run."""

    worker: str = ""  # "host/pid"; this process where it is empty
    resources: Resources = Resources()
    stopping: Callable[[], bool] = never_stopping
    live: Callable[[int, float, float | None, dict[str, float]], None] | None = None  # (task's number, ...)
    log: Callable[[], LogSlice | None] | None = None  # what was printed since it was last asked
    log_so_far: Callable[[], LogSlice | None] | None = None  # the same, and it will be told again
    last_lines: Callable[[LogSlice], str] | None = None
    shared_process: bool = False  # other threads of this process run tasks too
    alone: bool = True  # one task at a time runs in this process
    own_process: bool = False  # this process does nothing but tasks
    clock: Clock = SYSTEM_CLOCK


class Station:
    """One worker's place: runs one task after another.

    Parameters
    ----------
    work : Work
        What all tasks of the run share. `work.values` may be empty where `values` is given.
    conditions : Conditions
        What is special about this place.
    function : callable, optional
        The experiment, where it is unpickled already.
    values : KeptValues, optional
        Where values come from; by default ``work.values``.
    settings : object with `get`, optional
        Where settings come from; by default ``work.settings``.
    """

    def __init__(
        self,
        work: Work,
        conditions: Conditions,
        function: Callable[..., Any] | None = None,
        values: SomeValues | None = None,
        settings: SomeSettings | None = None,
    ) -> None:
        self._work, self._conditions = work, conditions
        install(work.sources)
        self._function = work.function.load() if function is None else function
        self._settings = KeptSettings(work.settings.data) if settings is None else settings
        self.values = KeptValues(work.values) if values is None else values
        self._seeding = Seeding(alone=conditions.alone, origins=work.generators)
        self._imports = ImportWatch(list(LIBRARIES) if conditions.alone else [], self._seeding.notice)
        self._seeding.follow(self._function)
        self.values.follow = self._seeding.follow
        self.layouts: dict[int, tuple[str, ...]] = {}
        self._payloads = PayloadDir(Layout(work.store).payloads)
        self._worker = conditions.worker or process_name()
        self._meter = Meter(shared=conditions.shared_process, alone=conditions.own_process)
        self._clock = conditions.clock
        # A pool's process may run several tasks too, in threads that it has started.
        alone = not conditions.shared_process and threading.current_thread() is threading.main_thread()
        self._watch = Watch(shared=not alone)
        self._now = (
            0,
            0.0,
            0.0,
        )  # the attempt that is made: its number, its start, the same on the steady clock
        self._so_far = self._piece  # one bound method for all tasks
        self.inside = False  # the task's own code runs now
        self.timeout = work.timeout

    def run(self, task: Task) -> Outcome:
        """Make one attempt; whatever the task does short of ending the process, this returns."""
        number, key, layout, values, repeat, attempt, _, version = task
        clock, conditions, context = self._clock, self._conditions, None
        value: Encoded | None = None
        failure: Failure | None = None
        error: BaseException | None = None
        live: Live | None = None
        if conditions.live is not None:
            tell = conditions.live

            def live(done: float, total: float | None, metrics: dict[str, float]) -> None:
                tell(number, done, total, metrics)

        started, begun = clock.now(), clock.monotonic()
        self._now = (attempt, started, begun)
        self._meter.start()
        self._watch.begin()
        try:
            self.inside = True
            names = self.layouts.get(layout)
            if names is None:  # a task may have no parameter at all
                names = self._layout(layout)
            config = Config.build(self.values.named(names, values), self._settings.get(), repeat)
            context = Context.for_task(
                TaskSpace(
                    self._work.store,
                    self._work.run,
                    key,
                    attempt,
                    conditions.resources,
                    live,
                    conditions.stopping,
                    self._work.live_every,
                    clock,
                    self._work.inline_limit,
                    self._so_far,
                    self._work.codes[version],
                    self._work.on_code_change,
                    repeat,
                    self._seeding,
                )
            )
            self._seeding.begin(key)
            # In a copy of the context: decimal's precision, NumPy's error state end with the task.
            returned = contextvars.copy_context().run(self._function, context, config)
            if type(returned) not in _NEVER_AWAITED and _is_awaitable(returned):
                returned = _finished(returned)
            try:
                value = encode(returned, self._payloads, self._work.inline_limit)
            except (StopTask, TimeUp, KeyboardInterrupt, StoreUnwritable):
                raise
            except BaseException as exc:  # whatever a user's __reduce__ raises
                error, failure = exc, unsavable(returned, exc)
            returned = None  # or its memory would be told as the next task's
            self.inside = False
        except BaseException as exc:  # SystemExit and KeyboardInterrupt too: they fail this task only
            self.inside = False
            error = exc
        runtime = max(clock.monotonic() - begun, 0.0)
        cpu_time, memory, virtual = self._meter.stop(runtime)
        warned = self._watch.end()
        log = conditions.log() if conditions.log is not None else None
        if error is not None:
            failure, value = self._explain(error, failure, runtime, log), None
        return Outcome(
            number,
            FAILED if failure is not None else DONE,
            attempt,
            started,
            runtime,
            cpu_time,
            memory,
            virtual,
            self._worker,
            value,
            context.series() if context is not None else (),
            context.artifact_names() if context is not None else (),
            log,
            failure,
            warned,
            context.earlier if context is not None else (),
            context.origin.older or None if context is not None and context.origin is not None else None,
        )

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

    def _layout(self, number: int) -> tuple[str, ...]:
        names = self._work.layouts[number]
        self.layouts[number] = names
        return names

    def _explain(
        self, error: BaseException, known: Failure | None, runtime: float, log: LogSlice | None
    ) -> Failure:
        """Describe what was caught; describing must not fail either."""
        output = ""
        if log is not None and self._conditions.last_lines is not None:
            output = self._conditions.last_lines(log)
        if known is not None:
            return known._replace(output=output)
        if isinstance(error, StopTask):
            return failures.raised(error, output, STOPPED, pickled=False)
        if isinstance(error, TimeUp):
            return timed_out(self._work.timeout or runtime, output)
        try:
            return failures.raised(error, output)
        except RecursionError:
            # Caught at the very end of the stack: there was no room left to tell it well.
            text = "maximum recursion depth exceeded"
            return failures.without_exception(RAISED, type(error).__name__, text, output)


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


def unsavable(returned: object, error: BaseException) -> Failure:
    """Describe a value that cannot be stored."""
    from memento.errors import UnsavableResult

    if isinstance(error, UnsavableResult):  # it says which part is at fault, and the ways out
        message = str(error)
    else:
        kind = f"{type(returned).__module__}.{type(returned).__qualname__}"
        message = (
            f"it returned a {kind}, which cannot be stored: {type(error).__name__}: {error}."
            " Return what can be pickled (numbers, arrays, frames, fitted models), or write it to"
            " `context.artifact(name)` and return its name."
        )
    message = failures.clipped(message, 4_000)
    short = failures.without_exception(UNSAVABLE, "UnsavableResult", message, error=UnsavableResult(message))
    cause = error.__cause__ or error
    if not failures.users_line(cause):  # where a pickler stood tells nothing
        return short._replace(traceback=f"UnsavableResult: {message}\n")
    told = failures.raised(cause, kind=UNSAVABLE, pickled=False)
    return short._replace(traceback=told.traceback, location=told.location)


def timed_out(limit: float, output: str = "") -> Failure:
    """Describe a task that ran longer than it may."""
    from memento.errors import TaskTimeout

    message = f"it ran longer than timeout={limit:g} s and was ended"
    return failures.without_exception(TIMEOUT, "TaskTimeout", message, output, TaskTimeout(message))


def stopped(output: str = "") -> Failure:
    """Describe a task that the run's own end ended."""
    return failures.without_exception(STOPPED, "StopTask", "the run was stopped before it finished", output)


def verdict(
    task: Task, failure: Failure, started: float, runtime: float, worker: str, memory: int | None = None,
    log: LogSlice | None = None,
) -> Outcome:  # fmt: skip
    """Make the outcome of a task on behalf of a worker that cannot."""
    return Outcome(
        task.number, FAILED, task.attempt, started, max(runtime, 0.0), None, memory, None, worker, None, (), (), log,
        failure,
    )  # fmt: skip
