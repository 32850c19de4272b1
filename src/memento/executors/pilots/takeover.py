"""Take over what the pilots of a dead coordinator have done, and are at.

Knows: folders of pilots, streams, tasks by key. May not know: engines, indexes, the queue.

What has ended is in the streams of pilots, whoever lives: `what_ended` reads it. A pilot that lives is told to serve
the run of its new coordinator when what it runs has ended; until then what it runs counts as a task of that run, so
that nothing is computed twice.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from memento.clock import Clock
from memento.errors import StoreUnwritable, StreamDamaged
from memento.executors.base import Lost, Message
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.handle import PilotHandle
from memento.executors.pilots.pilot_engine import PilotEngine
from memento.executors.pilots.pilot_messages import Ended, FromPilot, Here, Leaving, Told
from memento.executors.pilots.streams import Reader
from memento.layout import PILOTS, Layout
from memento.records import DONE, STOPPED, Outcome
from memento.worker import handover
from memento.worker.handover import Left
from memento.worker.work import Task, Work

_LONG = 86_400.0  # seconds: pilots give a sign of life each few


def what_ended(folder: Path) -> tuple[list[Left], bool]:
    """Return what a pilot has told of tasks that ended, and whether that is all that it will ever tell."""
    instances = list(_instances(folder))
    # Asked first: what it tells afterwards is not among what is read below.
    is_over = not instances or charters.is_noted_over(folder) or _is_long_silent(folder, instances[-1])
    left, told = list[Left](), list[FromPilot]()
    for instance in instances:
        told = _all_of(folder, instance)
        left += [message.left for message in told if isinstance(message, Ended)]
    return left, is_over or any(isinstance(message, Leaving) for message in told)


def _is_long_silent(folder: Path, instance: int) -> bool:
    try:
        changed = charters.heard_from(folder, instance).stat().st_mtime
    except OSError:
        return False
    return time.time() - changed > _LONG  # noqa: TID251  # of files


def pilots_of(store: str, run: str) -> list[Path]:
    """Return the folders of a run's pilots."""
    root = Path(Layout(store).work(run), PILOTS)
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


def tasks_in_hand(store: str, run: str) -> set[bytes] | None:
    """Return the keys of the tasks that pilots of a dead run may be at; None where it had no pilots."""
    folders = pilots_of(store, run)
    keys: set[bytes] = set()
    for folder in folders:
        for instance in _instances(folder):
            told = _all_of(folder, instance)
            if any(isinstance(message, Leaving) for message in told):
                continue
            given = _given(folder, instance)
            over = _over(told) if len(given) == 1 else set()  # who took it over counts anew
            found = {task.key for run in given.values() for number, task in run.items() if number not in over}
            keys |= found - {message.left.key for message in told if isinstance(message, Ended)}
    return keys if folders else None


class Former:
    """What pilots of dead runs have in hand, and have done, for whoever starts their tasks now.

    A pilot serves one run alone. Another one that is started at the same moment, and has tasks which that pilot has in
    hand, listens until it has ended them.
    """

    def __init__(self, work: Work, clock: Clock) -> None:
        self._work, self._clock = work, clock
        self._outdated: Mapping[str, Collection[int]] = {}
        # By key: who is at it, under which number, as a task of which run.
        self._at: dict[bytes, tuple[PilotHandle, int, str]] = {}
        self._done: dict[bytes, Left] = {}
        self.elsewhere: list[PilotHandle] = []  # of these, those that serve another run

    def take_over(
        self,
        engine: PilotEngine,
        run_folder: str,
        dead: Sequence[str],
        outdated: Mapping[str, Collection[int]],
    ) -> list[PilotHandle]:
        """Have living pilots of dead runs, as far as the engine knows their places, serve this run; return them."""
        taken, self._outdated = [], outdated
        known = {pilot.name for pilot in self.elsewhere}
        for pilot, ended, is_free in former_pilots(self._work.store, dead, self._clock):
            if pilot is not None and pilot.name in engine.pilots:
                continue
            self._done.update((left.key, left) for left in ended if left.outcome.status == DONE)
            if pilot is None or (pilot.name in known and not is_free):
                continue
            place, run = (pilot.here.place, pilot.here.run) if pilot.here is not None else ("", "")
            if is_free and not engine.can_adopt(place):
                continue
            if is_free and pilot.serve(run_folder):
                engine.adopt(pilot.name, place)
                taken.append(pilot)
            else:
                self.elsewhere.append(pilot)
            self._at.update((task.key, (pilot, number, run)) for number, task in pilot.former.items())
        return taken

    def has(self, task: Task, inbox: list[Message]) -> bool:
        """Tell whether a task is done, which goes into `inbox`, or a pilot is at it: then this run waits for that."""
        left = self._done.pop(task.key, None)
        if left is not None and self._is_same_code(task, left) and self._is_recent(task, left.run):
            inbox.append(left.outcome._replace(number=task.number))
            return True
        pilot, number, run = self._at.pop(task.key, (None, 0, ""))
        if pilot is None or number not in pilot.former or not self._is_recent(task, run):
            return False
        pilot.waiting[number] = task
        return True

    def look(self, now: float, silence: float) -> list[Outcome | Lost]:
        """Hear the pilots that serve another run; one of which nothing is heard for so long is gone."""
        told: list[Outcome | Lost] = []
        for pilot in list(self.elsewhere):
            is_over = charters.is_noted_over(pilot.folder)  # asked first: what it has said before counts
            try:
                for message in pilot.hear(now):
                    told += self.take(pilot, message)
            except StreamDamaged:
                is_over = True
            if is_over or pilot.succeeded or pilot.silent > silence:
                why = "nothing more is heard of the pilot that was at it, which serves another run"
                told += _given_back(pilot, why, cancelled=False)
            if not pilot.former:
                self.elsewhere.remove(pilot)
        return told

    def let_go(self, numbers: Collection[int] | None) -> list[Task]:
        """Wait no longer for these tasks, or all, where they are at pilots of another run; return them."""
        gone = []
        for pilot in self.elsewhere:
            for former, task in list(pilot.waiting.items()):
                if numbers is None or task.number in numbers:
                    gone.append(pilot.waiting.pop(former))
        return gone

    def take(self, pilot: PilotHandle, message: FromPilot) -> list[Outcome | Lost]:
        """Take what a pilot says of tasks that it was given by a dead run."""
        if isinstance(message, Ended):
            return self._ended(pilot, message.left)
        if isinstance(message, Told) and isinstance(message.message, Lost):
            pilot.former.pop(message.message.number, None)
            task = pilot.waiting.pop(message.message.number, None)
            again = message.message._replace(kept=True)
            return [] if task is None else [again._replace(number=task.number, attempt=task.attempt)]
        if isinstance(message, (Here, Leaving)):  # it has none any more: what is left has never reached it
            return _given_back(pilot, "", cancelled=True)
        return []

    def _ended(self, pilot: PilotHandle, left: Left) -> list[Outcome | Lost]:
        number, failure = left.outcome.number, left.outcome.failure
        pilot.former.pop(number, None)
        task = pilot.waiting.pop(number, None)
        if task is None:
            self._done[left.key] = left
            return []
        if not self._is_same_code(task, left):
            return [Lost(task.number, task.attempt, "it was computed by other code", kept=True)]
        if failure is not None and failure.kind != STOPPED:
            # As if it had failed before this run began: it is tried again, and no attempt of this run is used up.
            why = f"an attempt of the run before failed: {failure.type}: {failure.message}"
            return [Lost(task.number, task.attempt, why, gone=True, kept=True)]
        return [left.outcome._replace(number=task.number, attempt=task.attempt)]

    def _is_recent(self, task: Task, run: str) -> bool:
        return task.number not in self._outdated.get(run, ())

    def _is_same_code(self, task: Task, left: Left) -> bool:
        codes = self._work.codes[task.version]
        return not codes or left.code in codes


def _given_back(pilot: PilotHandle, why: str, *, cancelled: bool) -> list[Outcome | Lost]:
    """Have what was waited for at a pilot run elsewhere; `cancelled`: there it has not begun."""
    waiting = list(pilot.waiting.values())
    pilot.former, pilot.waiting = {}, {}
    return [Lost(task.number, task.attempt, why, cancelled=cancelled, kept=True) for task in waiting]


def former_pilots(
    store: str, runs: Sequence[str], clock: Clock
) -> Iterator[tuple[PilotHandle | None, list[Left], bool]]:
    """Yield pilots of dead runs, None where one is over, with what each has ended, and whether no living run has it."""
    for run in runs:
        for folder in pilots_of(store, run):
            instance = max(_instances(folder), default=0)
            # Before the look: who is quicker has this one.
            successor = charters.coordinators(folder, instance) + 1
            if not instance:
                continue
            is_over = charters.is_noted_over(folder)
            with contextlib.suppress(StreamDamaged, OSError, ValueError):
                handle = PilotHandle(
                    charters.read_charter(folder), f"{run}/{folder.name}", folder, clock, instance
                )
                handle.successor = successor
                told = list(
                    handle.hear_out(clock.monotonic())
                )  # what it says later is heard by who serves it
                ended = [message.left for message in told if isinstance(message, Ended)]
                begins = [(place, one) for place, one in enumerate(told) if isinstance(one, Here)]
                if is_over or not begins or any(isinstance(message, Leaving) for message in told):
                    yield None, ended, False
                    continue
                place, handle.here = begins[-1]
                is_free = not _is_served(folder, instance, successor - 1, runs)
                if handle.here.run in runs:
                    tasks, over = _given(folder, instance).get(handle.here.run, {}), _over(told[place:])
                    handle.former = {number: task for number, task in tasks.items() if number not in over}
                yield handle, ended, is_free


def _is_served(folder: Path, instance: int, coordinator: int, dead: Sequence[str]) -> bool:
    """Tell whether a run that is not dead has taken an instance over."""
    if coordinator == 1:  # the run that has started it is dead
        return False
    try:
        return charters.who_took(folder, instance, coordinator) not in dead
    except (OSError, ValueError):
        return True


def _given(folder: Path, instance: int) -> dict[str, dict[int, Task]]:
    """Return the tasks that an instance was given, by run and number."""
    given: dict[str, dict[int, Task]] = {}
    for coordinator in range(1, charters.coordinators(folder, instance) + 1):
        reader = Reader(charters.told_to(folder, instance, coordinator))
        while data := reader.read():
            for run, tasks in map(pilot_messages.tasks_given, data):
                given.setdefault(run, {}).update((task.number, task) for task in tasks)
    return given


def _over(told: Sequence[FromPilot]) -> set[int]:
    """Return the numbers of tasks that a pilot has ended or given back."""
    numbers = {message.left.outcome.number for message in told if isinstance(message, Ended)}
    lost = (message.message for message in told if isinstance(message, Told))
    return numbers | {message.number for message in lost if isinstance(message, Lost)}


def _instances(folder: Path) -> Iterator[int]:
    number = 1
    while charters.heard_from(folder, number).exists():
        yield number
        number += 1


def _all_of(folder: Path, instance: int) -> list[FromPilot]:
    """Return all that an instance has said so far."""
    reader, found = Reader(charters.heard_from(folder, instance)), list[FromPilot]()
    with contextlib.suppress(StreamDamaged):  # what came before counts
        while data := reader.read():
            found += [message for one in data for message in pilot_messages.heard(one)]
    return found


def leave_rest(work: Work, pilot: PilotHandle, now: float) -> None:
    """Leave what a pilot has ended, and its coordinator will not hear any more, to whoever comes next."""
    with contextlib.suppress(StreamDamaged):  # what came before counts
        for message in pilot.hear_out(now):
            left = message.left if isinstance(message, Ended) else None
            task = pilot.tasks.get(left.outcome.number) if left is not None and left.run == work.run else None
            if left is not None and task is not None:
                with contextlib.suppress(StoreUnwritable):
                    handover.leave(work, task, left.outcome)
