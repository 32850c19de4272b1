"""`memento run --detach`: start a run that goes on when this terminal is closed.

Knows: the command line, processes, the store's logs. May not know: what a run does.

The same command is started again without `--detach`, in a session of its own and with a file of the store for what it
prints. It has begun once the store knows of it; one that ends before tells why here, as it would have without.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from memento.cli.exit_codes import UsageError
from memento.cli.live_run import Which, line_about
from memento.cli.printing import print_safe
from memento.clock import SYSTEM_CLOCK, Clock
from memento.layout import Layout
from memento.store.location import Location, find_store
from memento.store.store import Store

_PATIENCE = 60.0  # seconds in which a run begins, or is left to itself
_LOOK = 0.1  # seconds
DETACH = "--detach"


def detach(store: str | None, arguments: Sequence[str], *, as_json: bool, clock: Clock = SYSTEM_CLOCK) -> int:
    """Start the same command in the background; return the exit code of this one."""
    if as_json:
        raise UsageError(f"{DETACH} prints no results: leave --json out, and ask `memento ls --json` later.")
    place = find_store(store)
    Store.open(place).close()  # so that there is a place for the log
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(clock.now()))
    log = Path(Layout(place.root).log(f"detached-{moment}-{os.getpid()}.log"))
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "memento", *(word for word in arguments if word != DETACH)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # neither Ctrl-C nor the end of this terminal is for it
        )
    until = clock.monotonic() + _PATIENCE
    run = None
    while process.poll() is None and run is None and clock.monotonic() < until:
        time.sleep(_LOOK)
        run = _run_of(place, process.pid)
    if process.returncode is not None:  # it was done at once, or is wrong
        text = log.read_text(errors="replace")
        print_safe(text.rstrip())
        log.unlink()
        return process.returncode
    which = Which(store, run)
    told = [
        f"it goes on in the background, as process {process.pid}; what it prints goes to {log}",
        f"  {line_about('status', Which(store))}    how far it is",
        f"  tail -f {log}    what it prints",
        f"  {line_about('stop', which)}    ends it; what has finished is kept",
    ]
    print_safe("\n".join(told))
    return 0


def _run_of(place: Location, pid: int) -> int | None:
    """Return the run of a process, once the store knows of it."""
    with Store.open(place, create=False, trusted=False, readonly=True) as store:
        return next((owner.run for owner in store.index.living().runs if owner.pid == pid), None)
