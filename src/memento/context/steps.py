"""Steps that tasks share: computed once over the whole grid, by one worker, while others wait.

Knows: calls as steps, values as files, who computes. May not know: other workers, the index.

    steps/keys/<key>.json    the record: which value the step has, who computed it when, which steps it used
    steps/keys/<key>.lock    locked by who computes it (`step_locks`)
    steps/files/<key>/       the step's own folder, as long as the step
    steps/work/<key>/        its checkpoints, until it is computed
    steps/failed/<key>.json  what it failed of in a run (`step_failures`)

Whoever computed reads the value back as the others do: all tasks get the same kind of value.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from memento.context.attempt import Attempt
from memento.context.step_calls import Call
from memento.context.step_failures import StepFailures
from memento.context.step_locks import Circle, StepLock, Stopped
from memento.context.task_space import StopTask
from memento.errors import PayloadDamaged, StoreError, StoreUnwritable, UnsavableResult, ValueUnreadable
from memento.layout import STEP_WORK, STEPS, Layout
from memento.records import Encoded, StepRecord
from memento.store.step_records import bring_record, read_record, record_name, write_record
from memento.values.choose_place import place_of
from memento.values.encoding import decode, encode
from memento.values.far_files import Nearby
from memento.values.payloads import PayloadDir

if TYPE_CHECKING:
    from memento.context.task_space import TaskSpace

_LAZY = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)


def cached(attempt: Attempt, call: Call, context_of: Callable[[Attempt], object]) -> Any:
    """Return the step's value: what is stored, or else what is called returns, stored."""
    space = attempt.place()
    place = place_of(space.store, STEPS, space.payloads, for_tasks=True, waited=space.waited)
    payloads = PayloadDir(place, space.store)
    value = _stored(attempt, call.key, payloads)
    if value is not None:
        return value[0]
    lock = StepLock(Layout(space.store).step_keys, call.key.hex())
    held = attempt.held_steps()
    if lock.key in held:
        raise RuntimeError(f"the step {call} asks for itself, with the same arguments; it would never end")
    with contextlib.ExitStack() as stack:
        if isinstance(attempt, StepAttempt):
            stack.enter_context(attempt.lock.asking(lock.key))
        try:
            waiting = attempt.at(f"waits for step {call}")
            stack.enter_context(lock.held(held, space, waiting))
        except Stopped:
            raise StopTask from None
        except Circle:
            raise RuntimeError(
                f"the step {call} asks for a step that asks for it, with the same arguments: another task computes it,"
                f" and waits for {attempt.step or 'one'} of this task; neither would ever end"
            ) from None
        waits = attempt.at(f"waits for step {call}")
        try:
            stack.enter_context(_leased(lock.key, space, payloads, waits, nested=bool(held)))
        except Stopped:
            raise StopTask from None
        value = _stored(attempt, call.key, payloads)  # somebody may have computed it meanwhile
        if value is not None:
            return value[0]
        with attempt.holding(lock.key), attempt.at(f"computes step {call}"):
            return _computed(attempt, call, context_of, lock, payloads)


@contextlib.contextmanager
def _leased(
    key: str,
    space: TaskSpace,
    payloads: PayloadDir,
    waiting: contextlib.AbstractContextManager[None],
    *,
    nested: bool,
) -> Iterator[None]:
    """Where values are in an object store: have other hosts wait, or wait for the one that computes the step."""
    if not isinstance(payloads.place, Nearby):
        yield
        return
    from memento.context.step_leases import StepLease
    from memento.values.object_store import ObjectStore

    far, name = payloads.place.far, record_name(bytes.fromhex(key))
    assert isinstance(far, ObjectStore)
    with contextlib.ExitStack() as stack:
        with waiting:
            stack.enter_context(StepLease(far, key).held(space, lambda: far.exists(name), nested=nested))
        yield


def _computed(
    attempt: Attempt,
    call: Call,
    context_of: Callable[[Attempt], object],
    lock: StepLock,
    payloads: PayloadDir,
) -> Any:
    """Compute the step, store its value, and return it as the others will read it."""
    space = attempt.place()
    own = StepAttempt(attempt, lock, str(call))
    failures = StepFailures(space.store, space.run, lock.key, own.step)
    failures.begin(attempt.task, space.attempt)
    begun = space.clock.monotonic()
    try:
        # Not from where this task is: the step is one for all tasks, and draws nothing of what they draw.
        with attempt.generators().apart(lock.key.encode()):
            returned = call.made(context_of(own))
        encoded = _encoded(returned, payloads, space.inline_limit, own.step)
        returned = None  # it may be large, and is about to be read back
        value = _decoded(encoded, payloads, own.step)
        runtime = max(space.clock.monotonic() - begun, 0.0)
        task, used = bytes.fromhex(attempt.task), tuple(own.steps)
        facts = (call.name, call.arguments, space.clock.now(), runtime, space.run, task, used)
        write_record(space.store, StepRecord(call.key, encoded, *facts), payloads.place)
    except (StoreUnwritable, StopTask, KeyboardInterrupt):
        failures.stopped()
        raise
    except (Exception, SystemExit) as error:
        failures.failed(error)
        raise
    finally:
        attempt.used(own.steps)
    failures.done()
    own.finish()
    attempt.used((call.key,))
    return value


def _encoded(returned: object, payloads: PayloadDir, inline_limit: int, step: str) -> Encoded:
    if isinstance(returned, _LAZY):
        raise UnsavableResult(
            f"the step {step} returned a {type(returned).__name__}, which can be read only once and cannot be stored."
            " Return what it yields: list(...)"
        )
    try:
        return encode(returned, payloads, inline_limit)
    except StoreUnwritable:
        raise
    except Exception as error:
        from memento.values.unpicklable import explain

        cause = error.__cause__ if isinstance(error, UnsavableResult) and error.__cause__ else error
        raise UnsavableResult(explain(returned, cause, f"what the step {step} returned")) from cause


def _decoded(encoded: Encoded, payloads: PayloadDir, step: str) -> Any:
    """Read back what was just stored, before others are told of it."""
    try:
        return decode(encoded, payloads, mmap=True)
    except (StoreError, MemoryError):
        raise
    except Exception as error:
        raise UnsavableResult(
            f"what the step {step} returned, a {encoded.type}, can be stored but not read back"
            f" ({type(error).__name__}: {error}). Return plain data, or give its class a __reduce__ that makes it again"
        ) from error


def _stored(attempt: Attempt, key: bytes, payloads: PayloadDir) -> tuple[Any] | None:
    """Return the stored value in a tuple, or None where there is none that can be read."""
    record = read_record(payloads.store, key)
    if record is None and isinstance(payloads.place, Nearby):
        bring_record(key, payloads.place)
        record = read_record(payloads.store, key)
    if record is None:
        return None
    try:
        value = decode(record.value, payloads, mmap=True)
    except PayloadDamaged:
        if record.value.ref is not None:
            with contextlib.suppress(PayloadDamaged):
                payloads.quarantine(record.value.ref)
        return None
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, StoreError) and not isinstance(error, ValueUnreadable):
            raise  # it cannot be read now
        return None  # another release of a library has written it: what is computed anew can be read
    attempt.used((key, *record.steps))
    return (value,)


class StepAttempt(Attempt):
    """An attempt at a step; `around` is what computes it: a task's attempt, or a step's.

    A step is one for all tasks, so nothing in it may be of the task that happens to compute it, but for what people
    see: the bar, metrics, the log.
    """

    rooms = f"{STEPS}/{STEP_WORK}", STEPS

    def __init__(self, around: Attempt, lock: StepLock, step: str) -> None:
        # No versions of code: its code is a part of its key.
        space = around.place()._replace(
            key=bytes.fromhex(lock.key), so_far=None, codes=(), on_code_change="ignore", repeat=0, fence=0
        )
        super().__init__(space, lock.key)
        self.around, self.lock, self.step = around, lock, step

    @property
    def task(self) -> str:
        """The key of the task that computes it, in hexadecimal."""
        return self.around.task

    @property
    def repeat(self) -> int:
        """None: raises RuntimeError."""
        raise RuntimeError(
            f"the step {self.step} is one for the tasks of all repeats, so it has no shared_seed and no shared_rng:"
            " give it what it draws from, like context.cached(split, X, seed=context.shared_seed), or use context.rng"
        )

    def held_steps(self) -> list[str]:
        """Return the keys of this step and of those around it."""
        return [self.key, *super().held_steps(), *self.around.held_steps()]

    def record(self, values: Mapping[str, Any], step: float | None) -> None:
        """Record for the task."""
        self.around.record(values, self.loop_step if step is None else step)

    def progress(self, delta: float, total: float | None = None) -> None:
        """Move the task's bar."""
        self.around.progress(delta, total)

    def at(self, doing: str) -> Any:
        """Tell what the task is at."""
        return self.around.at(doing)

    def folder(self) -> str:
        """Return the step's own folder, which stays as long as the step."""
        return Layout(self.place().store).step_files(self.key)

    def finish(self) -> None:
        """Remove what the step had to go on from."""
        space, here = self.place(), os.path.join(Layout(self.place().store).step_work, self.key)
        if space.payloads and os.path.isdir(here):
            place_of(space.store, self.rooms[0], space.payloads, for_tasks=True).clear(self.key)
        shutil.rmtree(here, ignore_errors=True)
