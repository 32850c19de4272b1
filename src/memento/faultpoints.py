"""Named places in which a test may end this process, as a crash would.

Knows: one environment variable. May not know: what happens at a point.

    MEMENTO_FAULTS="commit.inside:3" python experiment.py      SIGKILL at the third pass of that point

Points stand where something is done once a commit, claim, batch, checkpoint or payload, never once a task: without
the variable a pass costs one call of a function that does nothing. `POINTS` lists them all, and tests visit each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

VARIABLE = "MEMENTO_FAULTS"

POINTS = (
    "run.begun",  # the run has a row, and nothing else
    "claim.inside",  # a claim is written, not committed
    "claim.made",  # ... committed; its tasks were given to nobody yet
    "batch.submitted",  # tasks are with the executor
    "payload.written",  # a payload's temporary file is durable, and has not its name yet
    "payload.named",  # ... has its name; the folder's entry may not be durable
    "checkpoint.written",  # a checkpoint is written over its older generation, not yet durable
    "commit.before",  # outcomes came, nothing of them is written
    "commit.inside",  # ... written, not committed
    "commit.done",  # ... durable, told to nobody yet
    "checkpoints.dropping",  # results are durable, the checkpoints of their tasks are still there
    "merge.copied",  # files of some tasks are copied, their rows are not there yet
    "merge.inside",  # ... rows are written, not committed
    "merge.done",  # ... durable
    "gc.given_up",  # the rows of results that are given up are gone, and nothing else
    "gc.turn",  # a turn of `gc` is over
    "run.finishing",  # all is committed; the run's row still says "running"
    "rebuild.ready",  # a damaged index has been rebuilt beside itself
    "rebuild.aside",  # ... the damaged one has another name too
)


def _nothing(name: str) -> None:
    """Go on."""


at: Callable[[str], None] = _nothing


def arm(spec: str) -> None:
    """Let this process end at the n-th pass of a point, given as ``name:n``; empty disarms."""
    global at
    if not spec:
        at = _nothing
        return
    wanted, _, count = spec.partition(":")
    if wanted not in POINTS:
        raise ValueError(f"{VARIABLE}={spec!r}: there is no such point; there are {', '.join(POINTS)}")
    left = int(count or 1)

    def passing(name: str) -> None:
        nonlocal left
        if name == wanted:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    at = passing


arm(os.environ.get(VARIABLE, ""))
