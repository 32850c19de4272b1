"""Steps that tasks share: computed once over the whole grid, by one worker, while others wait.

Knows: keys, values as files, locks of files. May not know: other workers, the index.

``steps/keys/<key>.json`` names a value file in ``steps/``; ``<key>.lock`` is locked by who computes. The kernel
releases the lock of a process that dies, and the next one in line computes.
Whoever computed reads the value back as the others do: all tasks get the same kind of value.
"""

from __future__ import annotations

import contextlib
import os
import time
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.context.task_space import StopTask
from memento.errors import PayloadDamaged
from memento.keys.names import qualified_name
from memento.keys.readable import outline
from memento.layout import Layout
from memento.records import StepRecord
from memento.store.step_records import read_record, write_record
from memento.system import try_lock
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir

if TYPE_CHECKING:
    from memento.context.attempt import Attempt
    from memento.keys.code_versions import CodeVersion

_MOST_KNOWN = 256  # steps whose code is kept in mind
_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.2  # seconds between two looks at a lock that another task holds


def cached(attempt: Attempt, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the step's value: what is stored, or else what `func` returns, stored."""
    space = attempt.place()
    key = step_key(func, args, kwargs, space.run)
    layout = Layout(space.store)
    payloads = PayloadDir(layout.steps)
    record = Path(layout.step_keys, f"{key}.json")
    value = _stored(attempt, bytes.fromhex(key), payloads)
    if value is not None:
        return value[0]
    if key in attempt.computing:
        name = getattr(func, "__qualname__", repr(func))
        raise RuntimeError(
            f"cached({name}, ...): this step asks for itself with the same arguments; it would never end"
        )
    record.parent.mkdir(parents=True, exist_ok=True)
    with _locked(record.with_suffix(".lock"), space.stopping):
        value = _stored(
            attempt, bytes.fromhex(key), payloads
        )  # somebody may have computed it while we waited
        if value is not None:
            return value[0]
        attempt.computing = (*attempt.computing, key)
        before, attempt.steps = attempt.steps, ()
        begun = space.clock.monotonic()
        try:
            # Not from where this task is: the step is one for all tasks, and draws nothing of what they draw.
            with attempt.generators().apart(key.encode()):
                computed = func(*args, **kwargs)
        finally:
            attempt.computing = attempt.computing[:-1]
            inner, attempt.steps = attempt.steps, before
            attempt.used(inner)
        encoded = encode(computed, payloads, space.inline_limit)
        runtime = space.clock.monotonic() - begun
        told = StepRecord(
            bytes.fromhex(key), encoded, qualified_name(func), _shown(args, kwargs), space.clock.now(), runtime,
            space.run, space.key, inner,
        )  # fmt: skip
        write_record(space.store, told)
        attempt.used((told.key,))
        return decode(encoded, payloads, mmap=True)


def _shown(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return ", ".join([*(outline(a)[0] for a in args), *(f"{n}={outline(v)[0]}" for n, v in kwargs.items())])


def step_key(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], run: str = "") -> str:
    """Name a step: the function, its arguments, and the code of them all, which is read once a run."""
    from memento.keys.value_digest import digest

    parts = [digest(func, "cached(func)"), _code_of(func, [*args, *kwargs.values()], run)]
    parts += [digest(value, f"cached, argument {i}") for i, value in enumerate(args)]
    parts += [
        name.encode() + b"=" + digest(value, f"cached, {name}") for name, value in sorted(kwargs.items())
    ]
    return digest(tuple(parts)).hex()


def _code_of(func: Callable[..., Any], values: Iterable[Any], run: str) -> bytes:
    """Return the digest of the code of a step and of its arguments: what the experiment itself would notice, too."""
    from memento.keys.code_versions import combined, value_code

    codes = [code for value in values if (code := value_code(value)) is not None]
    version = _versions.of(func, run)
    return bytes((combined([version, *codes]) if codes else version).digest)


class _Versions:
    """The code of steps, read once a run: tasks change globals; what a notebook defines next is for the next run."""

    def __init__(self) -> None:
        self._run = ""
        self._known: dict[Any, CodeVersion] = {}

    def of(self, func: Callable[..., Any], run: str) -> CodeVersion:
        from memento.keys.code_versions import code_version

        if run != self._run:
            self._run, self._known = run, {}
        if type(func) not in (types.FunctionType, types.MethodType):  # equal ones may be of different code
            return code_version(func)
        version = self._known.get(func)
        if version is None:
            version = code_version(func)
            if len(self._known) < _MOST_KNOWN:
                self._known[func] = version
        return version


_versions = _Versions()


def _stored(attempt: Attempt, key: bytes, payloads: PayloadDir) -> tuple[Any] | None:
    """Return the stored value in a tuple, or None where there is none that is whole."""
    record = read_record(attempt.place().store, key)
    if record is None:
        return None
    try:
        value = decode(record.value, payloads, mmap=True)
    except PayloadDamaged:
        if record.value.ref is not None:
            with contextlib.suppress(PayloadDamaged):
                payloads.quarantine(record.value.ref)
        return None
    attempt.used((key, *record.steps))
    return (value,)


@contextlib.contextmanager
def _locked(path: Path, stopping: Callable[[], bool]) -> Iterator[None]:
    """Hold a file's lock; waiting costs a look now and then, and ends when the task is to stop."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        wait = _FIRST_WAIT
        while not try_lock(descriptor):
            if stopping():
                raise StopTask
            time.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT)
        yield
    finally:
        os.close(descriptor)  # releases the lock
