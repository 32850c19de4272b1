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
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from memento.context.step_attempt import StepAttempt
from memento.context.step_calls import Call
from memento.context.step_failures import StepFailures
from memento.context.step_locks import Circle, StepLock, Stopped
from memento.context.task_space import StopTask
from memento.errors import PayloadDamaged, StoreError, StoreUnwritable, UnsavableResult, ValueUnreadable
from memento.layout import Layout
from memento.records import Encoded, StepRecord
from memento.store.step_records import read_record, record_path, write_record
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir

if TYPE_CHECKING:
    from memento.context.attempt import Attempt

_MOST_KNOWN = 1024  # records that are kept in mind
_LAZY = (types.GeneratorType, types.AsyncGeneratorType, types.CoroutineType)


def cached(attempt: Attempt, call: Call, context_of: Callable[[Attempt], object]) -> Any:
    """Return the step's value: what is stored, or else what is called returns, stored."""
    space = attempt.place()
    payloads = PayloadDir(Layout(space.store).steps)
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
        value = _stored(attempt, call.key, payloads)  # somebody may have computed it meanwhile
        if value is not None:
            return value[0]
        with attempt.holding(lock.key), attempt.at(f"computes step {call}"):
            return _computed(attempt, call, context_of, lock, payloads)


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
        facts = (
            call.name,
            call.arguments,
            space.clock.now(),
            runtime,
            space.run,
            bytes.fromhex(attempt.task),
        )
        write_record(space.store, StepRecord(call.key, encoded, *facts, tuple(own.steps)))
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
    record = _records.of(attempt.place().store, key)
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


class _Records:
    """Records that this process has read; each is read again when its file is another."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, ...], StepRecord]] = {}

    def of(self, store: str, key: bytes) -> StepRecord | None:
        path = record_path(store, key)
        try:
            status = os.stat(path)
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        record = read_record(store, key)
        if record is not None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[path] = stamp, record
        return record


_records = _Records()
