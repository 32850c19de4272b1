"""Tell which runs are alive, and what they have claimed.

Knows: processes, hearts, the rows of runs and claims. May not know: what a run does.

A run among whose processes we live is dead when its process is gone: pid and start are proof. Of all others (another
machine, another boot, a container beside ours) only the heart tells: one counts as dead when its beat has not changed
for as long as no suspended machine is likely to sleep. That is counted by this process' own clock, and only while it
looks on: clocks of two machines are never compared, and a pause of both proves nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from memento import system
from memento.clock import Clock
from memento.store import sql

KEY = 16  # bytes
UNSEEN_SECONDS = 600.0  # a run that cannot be looked up counts as dead when its heart stood still this long
REBOOT_SECONDS = 120.0  # ... or this long, where it may be of an earlier boot of this very host
_LONGEST_LOOK = (
    30.0  # seconds that one look proves at most; what is more, this process may have been suspended
)


class Process(NamedTuple):
    """Who a run is, as its row says: what proves that it lives."""

    run: int
    host: str
    pid: int
    started: str
    boot: str
    heartbeat: float
    name: str = ""  # of the run


class Liveness:
    """Tell which runs are alive; for runs of other machines it remembers when their heart last moved."""

    def __init__(
        self,
        clock: Clock,
        alive: Callable[[int, str], bool] = system.is_alive,
        boot: str | None = None,
        host: str | None = None,
    ) -> None:
        self._clock = clock
        self._alive = alive
        self._boot = system.boot_identity() if boot is None else boot
        self._host = system.hostname() if host is None else host
        # run -> heartbeat, seconds for which it was seen to stand still, when it was last looked at (monotonic)
        self._seen: dict[int, tuple[float, float, float]] = {}

    def is_dead(self, process: Process) -> bool:
        """Tell whether it is proven, or long past doubt, that a run's process is gone."""
        if process.name in _ENDED:
            return True
        if process.boot == self._boot:
            return not self._alive(process.pid, process.started)
        now = self._clock.monotonic()
        beat, silent, looked = self._seen.get(process.run, (None, 0.0, now))
        silent = silent + min(now - looked, _LONGEST_LOOK) if beat == process.heartbeat else 0.0
        self._seen[process.run] = (process.heartbeat, silent, now)
        rebooted = process.host == self._host and _kernel(process.boot) != _kernel(self._boot)
        return silent >= (REBOOT_SECONDS if rebooted else UNSEEN_SECONDS)


def _kernel(boot: str) -> str:
    """Return what containers of one machine share of their `system.boot_identity`."""
    return boot.partition("/")[0]


_ENDED: set[str] = set()  # names, unique everywhere, of this process' runs whose end no disk took


def note_ended(name: str) -> None:
    """Remember that a run of this process has ended although its row could not be made to say so.

    A notebook whose disk was full lives on; its next run must not wait for the claims of the one before.
    """
    _ENDED.add(name)


def running(connection: sqlite3.Connection, live: Liveness) -> list[Process]:
    """Return the runs that have not ended and are not dead."""
    unfinished = map(Process._make, connection.execute(sql.UNFINISHED_RUNS).fetchall())
    return [process for process in unfinished if not live.is_dead(process)]


def claimed(connection: sqlite3.Connection, alive: list[Process]) -> set[bytes]:
    """Return the keys that these runs have claimed; some may be finished already."""
    runs = {process.run for process in alive}
    return {
        keys[i : i + KEY]
        for run, keys in connection.execute(sql.OTHERS_CLAIMS, (-1,))
        if run in runs
        for i in range(0, len(keys), KEY)
    }
