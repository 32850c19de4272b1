"""Steps that tasks share: computed once over the whole grid, by one worker, while others wait.

Knows: keys, value formats, file locks. May not know: tasks' results, the index, executors.

``steps/<digest>.step`` holds where the value is; ``steps/<digest>.lock`` is locked by whoever computes it. The kernel
releases the lock when that process dies, so the next one takes over.
Crash at any line: the step file is written last, atomically; without it the step is not computed yet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memento.context.space import StopTask, TaskSpace
from memento.errors import MementoError
from memento.keys import code_version, digest, experiment_name
from memento.store.formats import decode, encode
from memento.store.payloads import PayloadDir, write_file
from memento.store.records import Encoded

log = logging.getLogger("memento.context")

_LOOK_EVERY = 0.1  # seconds between looks whether the task is asked to stop, while another computes the step
_computing = threading.local()


def cached(space: TaskSpace, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute a step, or return what another task computed.

    Raises
    ------
    RuntimeError
        The step needs itself.
    UnkeyableValue
        An argument has no certain identity.
    """
    name = step_name(func, args, kwargs)
    folder = Path(space.store) / "steps"
    payloads = PayloadDir(Path(space.store) / "payloads")
    found, value = _read(folder / f"{name}.step", payloads)
    if found:
        return value
    active: set[str] = _computing.__dict__.setdefault("names", set())
    if name in active:
        raise RuntimeError(f"context.cached({experiment_name(func)}) needs itself: it calls itself with the same arguments")
    folder.mkdir(parents=True, exist_ok=True)
    with _Lock(folder / f"{name}.lock", space):
        found, value = _read(folder / f"{name}.step", payloads)
        if found:
            return value
        active.add(name)
        try:
            value = func(*args, **kwargs)
        finally:
            active.discard(name)
        _write(folder / f"{name}.step", encode(value, payloads, space.inline_limit), experiment_name(func))
    # As others will see it: a task that changes it in place changes nothing for them.
    found, copy = _read(folder / f"{name}.step", payloads)
    return copy if found else value


def step_name(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Name a step by its function, its function's code, and its arguments."""
    title = experiment_name(func)
    hasher = hashlib.blake2b(digest_size=16, person=b"memento step")
    hasher.update(digest(title))
    hasher.update(code_version(func).digest)
    hasher.update(digest(args, f"cached({title}): arguments"))
    hasher.update(digest(kwargs, f"cached({title}): arguments"))
    return hasher.hexdigest()


def _write(path: Path, encoded: Encoded, title: str) -> None:
    fields = encoded._asdict()
    if encoded.data is not None:
        fields["data"] = base64.b64encode(encoded.data).decode()
    text = json.dumps({"step": title, "value": fields})
    check = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    write_file(path, [memoryview(f"{check}\n{text}".encode())])


def _read(path: Path, payloads: PayloadDir) -> tuple[bool, Any]:
    """Return whether the step has a whole value, and the value."""
    try:
        check, _, text = path.read_text("utf-8").partition("\n")
    except FileNotFoundError:
        return False, None
    except (OSError, UnicodeDecodeError):
        check, text = "", "unreadable"
    if hashlib.blake2b(text.encode(), digest_size=16).hexdigest() != check:
        log.warning("a damaged step is computed again", extra={"file": str(path)})
        return False, None
    fields = json.loads(text)["value"]
    if fields["data"] is not None:
        fields["data"] = base64.b64decode(fields["data"])
    try:
        return True, decode(Encoded(**fields), payloads)
    except MementoError as error:
        log.warning("a step whose value is damaged is computed again: %s", error)
        return False, None


class _Lock:
    """An exclusive lock of the operating system on a file; waits, and notices when the task is to stop."""

    def __init__(self, path: Path, space: TaskSpace) -> None:
        self._path, self._space = path, space

    def __enter__(self) -> None:
        from memento import system

        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        pause = threading.Event()
        try:
            while not system.try_lock(self._file):
                if self._space.stopping():
                    raise StopTask("stopped while another task computed a shared step")
                pause.wait(_LOOK_EVERY)
        except BaseException:
            os.close(self._file)
            raise

    def __exit__(self, *error: object) -> None:
        os.close(self._file)  # closing releases the lock
