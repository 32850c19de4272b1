"""Tell which runs are alive, and what they have claimed.

Knows: processes, hearts, the rows of runs and claims. May not know: what a run does.

A run of this boot of this machine is dead when its process is gone: pid and start are proof. One that cannot be
looked up counts as dead when its heart stood still for as long as no suspended machine is likely to sleep.
"""

from __future__ import annotations

from collections.abc import Callable

from memento import csqlite, system
from memento.clock import Clock
from memento.hints import NamedTuple
from memento.store import sql

KEY = 16  # bytes
UNSEEN_SECONDS = (
    600.0  # a run that cannot be looked up by pid counts as dead when its heart stood still this long
)
REBOOT_SECONDS = 120.0  # ... or, from an earlier boot of this very host, when it has been silent this long


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
        self._seen: dict[
            int, tuple[float, float]
        ] = {}  # run -> heartbeat, when it was first seen (monotonic)

    def is_dead(self, process: Process) -> bool:
        """Tell whether it is proven, or long past doubt, that a run's process is gone."""
        if process.name in _ENDED:
            return True
        if process.boot == self._boot:
            return not self._alive(process.pid, process.started)
        if process.host == self._host and self._clock.now() - process.heartbeat > REBOOT_SECONDS:
            return True
        now = self._clock.monotonic()
        beat, since = self._seen.get(process.run, (None, now))
        if beat != process.heartbeat:
            self._seen[process.run] = (process.heartbeat, now)
            return False
        return now - since >= UNSEEN_SECONDS


_ENDED: set[str] = set()  # names, unique everywhere, of this process' runs whose end no disk took


def note_ended(name: str) -> None:
    """Remember that a run of this process has ended although its row could not be made to say so.

    A notebook whose disk was full lives on; its next run must not wait for the claims of the one before.
    """
    _ENDED.add(name)


def running(connection: csqlite.Connection, live: Liveness) -> list[Process]:
    """Return the runs that have not ended and are not dead."""
    unfinished = map(Process._make, connection.execute(sql.UNFINISHED_RUNS).fetchall())
    return [process for process in unfinished if not live.is_dead(process)]


def claimed(connection: csqlite.Connection, alive: list[Process]) -> set[bytes]:
    """Return the keys that these runs have claimed; some may be finished already."""
    runs = {process.run for process in alive}
    return {
        keys[i : i + KEY]
        for run, keys in connection.execute(sql.OTHERS_CLAIMS, (-1,))
        if run in runs
        for i in range(0, len(keys), KEY)
    }
