"""Tell whether a lease has fallen: whether the run that holds it is dead.

Knows: processes, heartbeats. May not know: where leases are kept, what a run does.

A run among whose processes we live is dead when its process is gone: pid and start are proof. Of all others (another
machine, another boot, a container beside ours) only heartbeats tell: one counts as dead when its own has not changed
for as long as no suspended machine is likely to sleep. That is counted by this process' own clock, and only while it
looks on: clocks of two machines are never compared, and a pause of both proves nothing. An index with a clock of its
own, like that of a database's server, tells itself which leases have ended (`Owner.expired`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from memento import system
from memento.clock import Clock
from memento.index.types import Owner
from memento.records import RunRecord

KEY = 16  # bytes
UNSEEN_SECONDS = 600.0  # a run that cannot be looked up counts as dead when its heartbeat stopped so long
REBOOT_SECONDS = 120.0  # ... or this long, where it may be of an earlier boot of this very host
_LONGEST_LOOK = 30.0  # seconds that one look proves at most: for longer, this process may have been suspended


class Leases:
    """Tells which leases hold; for runs of other machines it remembers when their heartbeat last changed."""

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

    def is_dead(self, owner: Owner) -> bool:
        """Tell whether it is proven, or long past doubt, that a run's process is gone."""
        if owner.name in _ENDED:
            return True
        if owner.boot == self._boot:
            return not self._alive(owner.pid, owner.started)
        if owner.expired is not None:
            return owner.expired
        now = self._clock.monotonic()
        beat, silent, looked = self._seen.get(owner.run, (None, 0.0, now))
        silent = silent + min(now - looked, _LONGEST_LOOK) if beat == owner.heartbeat else 0.0
        self._seen[owner.run] = (owner.heartbeat, silent, now)
        rebooted = owner.host == self._host and _kernel(owner.boot) != _kernel(self._boot)
        return silent >= (REBOOT_SECONDS if rebooted else UNSEEN_SECONDS)

    def alive(self, owners: Iterable[Owner]) -> list[Owner]:
        """Return those who are not dead."""
        return [owner for owner in owners if not self.is_dead(owner)]

    def with_status(self, run: RunRecord, name: str, expired: bool | None = None) -> RunRecord:
        """Return a run that has not ended, as its row says, with the status that follows from its lease."""
        silent = False
        if expired is None:  # clocks of two machines are compared, which is good for showing only
            silent = run.info.boot_id != self._boot and self._clock.now() - run.heartbeat > UNSEEN_SECONDS
        if silent or self.is_dead(Owner.of(run, name, expired)):
            return run._replace(status="died", ended=run.heartbeat)
        return run._replace(status="running")


def _kernel(boot: str) -> str:
    """Return what containers of one machine share of their `system.boot_identity`."""
    return boot.partition("/")[0]


_ENDED: set[str] = set()  # names, unique everywhere, of this process' runs whose end no disk took


def run_name(now: float, pid: int, number: int) -> str:
    """Name a run, so that no other has its name: when it began, its process, its id."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}-{pid}-{number:04x}"


def note_ended(name: str) -> None:
    """Remember that a run of this process has ended although its row could not be made to say so.

    A notebook whose disk was full lives on; its next run must not wait for the claims of the one before.
    """
    _ENDED.add(name)
