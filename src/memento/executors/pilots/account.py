"""What pilots were given and have said, as far as their files show: read by whoever comes after their coordinator.

Knows: folders of pilots, streams, messages. May not know: engines, indexes, who takes pilots over.

What has ended is in the streams of pilots, whoever lives. Reading them changes nothing, and runs nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from memento.executors.base import Lost
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.pilot_messages import Ended, FromPilot, Here, Leaving, Told
from memento.executors.pilots.streams import Reader
from memento.layout import PILOTS, Layout
from memento.worker.handover import Left
from memento.worker.work import Task

_LONG = 86_400.0  # seconds: pilots give a sign of life each few


class Account(NamedTuple):
    """What one instance of a pilot was given, and has said so far."""

    folder: Path
    instance: int
    said: tuple[FromPilot, ...]

    @property
    def ended(self) -> list[Left]:
        """The attempts that it has ended."""
        return [message.left for message in self.said if isinstance(message, Ended)]

    @property
    def has_left(self) -> bool:
        """Whether it will never say any more."""
        return any(isinstance(message, Leaving) for message in self.said)

    def in_hand(self) -> dict[str, dict[int, Task]]:
        """Return what it may be at, by run and number: what it was given more often than it has ended or given it back.

        A task comes a second time when it is tried again, or was taken back for another pilot and came here after all.
        """
        tasks: dict[str, dict[int, Task]] = {}
        times = Counter[bytes]()
        for run, given in self._given():
            tasks.setdefault(run, {}).update((task.number, task) for task in given)
            times.update(task.key for task in given)
        serves = self.folder.parents[1].name
        for message in self.said:
            if isinstance(message, Here):
                serves = message.run
            elif isinstance(message, Ended):
                times[message.left.key] -= 1
            elif isinstance(message, Told) and isinstance(message.message, Lost):
                given_back = tasks.get(serves, {}).get(message.message.number)
                if given_back is not None:
                    times[given_back.key] -= 1
        return {
            run: {number: task for number, task in given.items() if times[task.key] > 0}
            for run, given in tasks.items()
        }

    def _given(self) -> Iterator[tuple[str, tuple[Task, ...]]]:
        for coordinator in range(1, charters.last_coordinator(self.folder, self.instance) + 1):
            stream = charters.told_to(self.folder, self.instance, coordinator)
            yield from map(pilot_messages.tasks_given, _records(stream))


def accounts_of(folder: Path) -> list[Account]:
    """Read the accounts of a pilot's instances."""
    accounts = []
    for instance in range(1, charters.last_instance(folder) + 1):
        records = _records(charters.heard_from(folder, instance))
        said = tuple(message for data in records for message in pilot_messages.heard(data))
        accounts.append(Account(folder, instance, said))
    return accounts


def _records(stream: Path) -> Iterator[bytes]:
    reader = Reader(stream)
    while data := reader.read():
        yield from data


def pilots_of(store: str, run: str) -> list[Path]:
    """Return the folders of a run's pilots."""
    root = Path(Layout(store).work(run), PILOTS)
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


def what_ended(folder: Path) -> tuple[list[Left], bool]:
    """Return what a pilot has told of tasks that ended, and whether that is all that it will ever tell."""
    last = charters.last_instance(folder)
    # Asked first: what it tells afterwards is not among what is read below.
    is_over = not last or charters.is_noted_over(folder) or _is_long_silent(folder, last)
    accounts = accounts_of(folder)
    return [left for one in accounts for left in one.ended], is_over or accounts[-1].has_left


def _is_long_silent(folder: Path, instance: int) -> bool:
    try:
        changed = charters.heard_from(folder, instance).stat().st_mtime
    except OSError:
        return False
    return time.time() - changed > _LONG  # noqa: TID251  # of files


def tasks_in_hand(store: str, run: str) -> set[bytes] | None:
    """Return the keys of the tasks that pilots of a dead run may be at; None where it had no pilots."""
    folders = pilots_of(store, run)
    accounts = [one for folder in folders for one in accounts_of(folder) if not one.has_left]
    keys = {task.key for one in accounts for tasks in one.in_hand().values() for task in tasks.values()}
    return keys if folders else None
