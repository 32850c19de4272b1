"""Let one task compute a step while others wait; see where waiting would never end.

Knows: locks of files. May not know: keys, values, what a step is.

``<key>.lock`` is locked by who computes the step, and says which other step that one has asked for meanwhile. The
kernel releases the lock of a process that dies, and the next one in line computes. Whoever waits while it computes a
step itself follows what the locks say: where they lead back to its own step, all of them would wait forever.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager

from memento.context.task_space import TaskSpace
from memento.system import try_lock, unlock

_FIRST_WAIT, _LONGEST_WAIT = 0.005, 0.2  # seconds between two looks at a lock that another task holds
# Lustre without its option `flock`, NFS without its lock service.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK})
_AT = 1  # the first byte of what a lock's file says; on Windows nobody else reads what is locked: byte 0


class StepLock:
    """The lock of one step."""

    def __init__(self, folder: str, key: str) -> None:
        self._folder, self.key = folder, key
        self._descriptor: int | None = None

    @contextlib.contextmanager
    def held(
        self, computing: Collection[str], space: TaskSpace, waiting: AbstractContextManager[None]
    ) -> Iterator[None]:
        """Hold the lock; waiting costs a look now and then, and `waiting` is entered meanwhile.

        `computing` are the steps that the caller computes already. Raises `Stopped` where the task is to stop, and
        `Circle` where it would wait forever.
        """
        os.makedirs(self._folder, exist_ok=True)
        descriptor = os.open(
            self._path(self.key), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666
        )
        try:
            if not _is_ours(descriptor):
                with waiting:
                    self._wait(descriptor, computing, space)
            os.ftruncate(descriptor, 0)  # what one said that died
            self._descriptor, holder = descriptor, os.getpid()
            try:
                yield
            finally:
                self._descriptor = None
                if os.getpid() == holder:  # not in a process that the step has forked
                    with contextlib.suppress(OSError):  # where there are no locks
                        unlock(descriptor)
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int, computing: Collection[str], space: TaskSpace) -> None:
        wait, since = _FIRST_WAIT, space.clock.monotonic()
        while not _is_ours(descriptor):
            if space.stopping():
                raise Stopped
            if computing and self._leads_back(computing):
                raise Circle
            time.sleep(wait)
            now = space.clock.monotonic()
            space.waited(now - since)
            wait, since = min(wait * 1.5, _LONGEST_WAIT), now

    @contextlib.contextmanager
    def asking(self, key: str) -> Iterator[None]:
        """Say that who computes this step has asked for another, until that is there."""
        assert self._descriptor is not None
        os.lseek(self._descriptor, _AT, os.SEEK_SET)
        os.write(self._descriptor, key.encode())
        os.lseek(self._descriptor, 0, os.SEEK_SET)  # what is locked, on Windows
        try:
            yield
        finally:
            os.ftruncate(self._descriptor, 0)

    def _leads_back(self, computing: Collection[str]) -> bool:
        """Tell whether who computes this step waits for one of these, perhaps through others."""
        key, seen = self._asked_by(self.key), {self.key}
        while key and key not in seen:
            if key in computing:
                return True
            seen.add(key)
            key = self._asked_by(key)
        return False

    def _asked_by(self, key: str) -> str:
        try:
            with open(self._path(key), "rb") as file:
                return file.read()[_AT:].decode()
        except (OSError, ValueError):
            return ""

    def _path(self, key: str) -> str:
        return os.path.join(self._folder, f"{key}.lock")


def _is_ours(descriptor: int) -> bool:
    """Lock a file, or tell that somebody else has it; where its disk has no locks, several may compute one step.

    That costs time and harms nothing: a step's value has the name of its content, and its record is replaced at once.
    """
    try:
        return try_lock(descriptor)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return True
        raise


class Stopped(Exception):
    """The task is to stop, and waits no longer."""


class Circle(Exception):
    """Steps wait for each other."""
