"""Let one host compute a step while others wait, where hosts share nothing but an object store.

Knows: a far place that can write on a condition. May not know: steps' values, tasks.

``steps/leases/<key>`` holds who computes the step, and a number that grows while that one lives. Nobody compares
clocks: who waits looks whether the object has changed, and takes over one that has stayed the same for long by his own
monotonic clock. Processes of one host agree by a lock first (`step_locks`), so that one of them asks the store.

Computing a step twice harms nothing but time: its value is content, and the later record stands. So a server that
ignores conditions, or is away while a lease runs out, costs no more than that; the former is said once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from memento.context.step_locks import Stopped
from memento.errors import StoreError
from memento.layout import STEP_LEASES
from memento.system import own_mark

if TYPE_CHECKING:
    from memento.context.task_space import TaskSpace
    from memento.values.object_store import ObjectStore, Stamp

log = logging.getLogger("memento.store")

RENEWED = 15.0  # seconds between two numbers
LAPSE = 90.0  # seconds without a new number, by who waits: the owner is gone
_FIRST_LOOK, _LONGEST_LOOK = 0.2, 5.0  # seconds between two looks

_checked: dict[str, bool] = {}  # addresses -> whether the server honours conditions


class StepLease:
    """One host's claim to compute a step."""

    def __init__(self, place: ObjectStore, key: str, lapse: float = LAPSE, renewed: float = RENEWED) -> None:
        self._place, self._name = place, f"{STEP_LEASES}/{key}"
        self._owner = f"{own_mark()}-{os.urandom(6).hex()}".encode()
        self._lapse, self._renewed = lapse, renewed
        self._number = 0
        self._stamp: Stamp | None = None
        self._over = threading.Event()

    @contextlib.contextmanager
    def held(self, space: TaskSpace, is_there: Callable[[], bool], *, nested: bool = False) -> Iterator[None]:
        """Hold the lease, or go on without it once the step is there; raises `Stopped` where the task is to stop.

        Where the caller holds another one, `nested`, it goes on without this one after a while: two hosts might wait
        for each other.
        """
        if not self._wait(space, is_there, nested):
            yield
            return
        thread = threading.Thread(target=self._renew, name="memento-step-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(self._renewed)
            if self._stamp is not None:
                with contextlib.suppress(OSError, StoreError):
                    self._place.remove(self._name)

    def _wait(self, space: TaskSpace, is_there: Callable[[], bool], nested: bool) -> bool:
        """Wait until the lease is ours (True), or nobody needs it."""
        wait, since = _FIRST_LOOK, space.clock.monotonic()
        seen: Stamp | None = None
        begun = since
        while True:
            if self._take(None):
                return True
            try:
                content, stamp = self._place.stamped(self._name)
            except FileNotFoundError:
                if is_there():
                    return False
                continue
            if content.startswith(self._owner):  # the answer to our own claim was lost
                self._stamp = stamp
                return True
            now = space.clock.monotonic()
            if stamp != seen:
                seen, since = stamp, now
            elif now - since > self._lapse and self._take(stamp):
                log.warning(
                    "step %s: who computed it is gone; it is computed here", self._name.rpartition("/")[2]
                )
                return True
            if space.stopping():
                raise Stopped
            if nested and now - begun > self._lapse:
                return False
            time.sleep(wait)
            space.waited(wait)
            wait = min(wait * 1.5, _LONGEST_LOOK)
            if is_there():
                return False

    def _take(self, instead_of: Stamp | None) -> bool:
        self._number += 1
        content = self._owner + b" %d" % self._number
        stamp = self._place.claim(self._name, content, instead_of)
        if stamp is None:
            return False
        self._stamp = stamp
        return self._is_honoured()

    def _is_honoured(self) -> bool:
        """See once a process whether the server minds conditions: what is there cannot be made anew."""
        place = self._place.address
        if place not in _checked:
            again = self._place.claim(self._name, self._owner + b" 0")
            _checked[place] = again is None
            if again is not None:
                self._stamp = again
                log.warning(
                    "%s does not honour conditional writes: hosts cannot agree on who computes a shared step, and may"
                    " compute it twice",
                    place,
                )
        return True

    def _renew(self) -> None:
        while not self._over.wait(self._renewed):
            self._number += 1
            content = self._owner + b" %d" % self._number
            try:
                stamp = self._place.claim(self._name, content, self._stamp)
                if stamp is None:
                    found, now = self._place.stamped(self._name)
                    stamp = now if found.startswith(self._owner) else None
            except (OSError, StoreError):
                continue  # it may be back for the next one
            self._stamp = stamp
            if stamp is None:
                return  # another host took us for gone
