"""What pilots of a dead run are at, as far as their files show.

Knows: folders of pilots, streams. May not know: engines, indexes; who takes such pilots over.

A pilot that goes on without its coordinator gives a sign of life each few seconds. Whether one is recent is judged by
the times of files, which the file system gives: that is good for showing only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from memento.errors import StreamDamaged
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.pilot_messages import Beat, Ended, FromPilot, Leaving
from memento.executors.pilots.streams import Reader
from memento.executors.pilots.takeover import pilots_of
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
        instance, told_at = 0, 0.0
        said: list[FromPilot] = []
        while (stream := charters.heard_from(folder, instance + 1)).exists():
            instance += 1
            said = list(_said(stream))
            told_at = stream.stat().st_mtime
            done += sum(_is_done(message, run) for message in said)
        is_taken = charters.coordinators(folder, instance) > 1
        is_over = charters.is_noted_over(folder) or any(isinstance(one, Leaving) for one in said)
        if not instance or is_taken or is_over:
            continue
        heard = max(heard, told_at)
        with contextlib.suppress(OSError, ValueError):
            if now - told_at > charters.read_charter(folder).silence:
                silent += 1
                continue
        working += 1
        beats = [one for one in said if isinstance(one, Beat)]
        running += len(beats[-1].running) if beats else 0
    return Signs(working, silent, running, done, heard)


def _said(stream: Path) -> Iterator[FromPilot]:
    reader = Reader(stream)
    with contextlib.suppress(StreamDamaged):  # what came before counts
        while data := reader.read():
            for one in data:
                yield from pilot_messages.heard(one)


def _is_done(message: FromPilot, run: str) -> bool:
    return isinstance(message, Ended) and message.left.run == run and message.left.outcome.status == DONE
