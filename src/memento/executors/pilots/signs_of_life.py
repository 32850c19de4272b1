"""What pilots of a dead run are at, as far as their files show.

Knows: accounts of pilots. May not know: engines, indexes; who takes such pilots over.

A pilot that goes on without its coordinator gives a sign of life each few seconds. Whether one is recent is judged by
the times of files, which the file system gives: that is good for showing only.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from memento.executors.pilots import charter as charters
from memento.executors.pilots.account import accounts_of, pilots_of
from memento.executors.pilots.pilot_messages import Beat
from memento.records import DONE


class Signs(NamedTuple):
    """What is known of the pilots of a dead run."""

    working: int  # that gave a sign of life lately
    silent: int  # that gave none, and have not said that they leave
    running: int  # tasks there
    done: int  # tasks of the run that its pilots have ever done
    heard: float  # UTC seconds of the last sign of life; 0.0 where there was none


def signs_of_life(store: str, run: str, now: float) -> Signs:
    """Look for those of a run's pilots that nobody else has taken over."""
    working = silent = running = done = 0
    heard = 0.0
    for folder in pilots_of(store, run):
        accounts = accounts_of(folder)
        ended = [left for one in accounts for left in one.ended]
        done += sum(left.run == run and left.outcome.status == DONE for left in ended)
        if not accounts or accounts[-1].has_left or charters.is_noted_over(folder):
            continue
        _, instance, said = accounts[-1]
        if charters.last_coordinator(folder, instance) > 1:  # another run has taken it over
            continue
        told_at = charters.heard_from(folder, instance).stat().st_mtime
        heard = max(heard, told_at)
        with contextlib.suppress(OSError, ValueError):
            if now - told_at > charters.read_charter(folder).silence:
                silent += 1
                continue
        working += 1
        running += next((len(one.running) for one in reversed(said) if isinstance(one, Beat)), 0)
    return Signs(working, silent, running, done, heard)
