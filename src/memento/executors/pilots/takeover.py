"""Take over what the pilots of a dead coordinator have done, and are at.

Knows: accounts of pilots, tasks by key. May not know: engines, indexes, the queue.

A pilot that lives is told to serve the run of its new coordinator when what it runs has ended; until then what it runs
counts as a task of that run, so that nothing is computed twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from memento.clock import Clock
from memento.errors import StoreUnwritable, StreamDamaged
from memento.executors.base import Lost, Message
from memento.executors.pilots import charter as charters
from memento.executors.pilots.account import Account, pilots_of
from memento.executors.pilots.handle import InHand, PilotHandle
from memento.executors.pilots.pilot_engine import PilotEngine
from memento.executors.pilots.pilot_messages import Ended, FromPilot, Here, Leaving, Told
from memento.records import DONE, STOPPED, Outcome
from memento.worker import handover
from memento.worker.handover import Left
from memento.worker.work import Task, Work


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
            self._at.update((key, (pilot, number, run)) for number, key in pilot.former.items())
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
        pilot.tasks[number] = InHand(task)
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
        return [
            pilot.tasks.pop(there).task for pilot in self.elsewhere for there in pilot.numbers_there(numbers)
        ]

    def take(self, pilot: PilotHandle, message: FromPilot) -> list[Outcome | Lost]:
        """Take what a pilot says of tasks that it was given by a dead run."""
        if isinstance(message, Ended):
            return self._ended(pilot, message.left)
        if isinstance(message, Told) and isinstance(message.message, Lost):
            task = pilot.over(message.message.number)
            again = message.message._replace(kept=True)
            return [] if task is None else [again._replace(number=task.number, attempt=task.attempt)]
        if isinstance(message, (Here, Leaving)) and pilot.former:  # what is left has never reached it
            return _given_back(pilot, "", cancelled=True)
        return []

    def _ended(self, pilot: PilotHandle, left: Left) -> list[Outcome | Lost]:
        task, failure = pilot.over(left.outcome.number), left.outcome.failure
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
    tasks = [one.task for one in pilot.take_all().values()]
    return [Lost(task.number, task.attempt, why, cancelled=cancelled, kept=True) for task in tasks]


def former_pilots(
    store: str, runs: Sequence[str], clock: Clock
) -> Iterator[tuple[PilotHandle | None, list[Left], bool]]:
    """Yield pilots of dead runs, None where one is over, with what each has ended, and whether no living run has it."""
    for run in runs:
        for folder in pilots_of(store, run):
            instance = charters.last_instance(folder)
            # Before the look: who is quicker has this one.
            successor = charters.last_coordinator(folder, instance) + 1
            is_over = charters.is_noted_over(folder)
            with contextlib.suppress(OSError, ValueError):
                charter = charters.read_charter(folder)
                pilot = PilotHandle(charter, f"{run}/{folder.name}", folder, clock, instance)
                # What it says later is heard by who serves it.
                account = Account(folder, instance, tuple(pilot.hear_out(clock.monotonic())))
                pilot.here = next((one for one in reversed(account.said) if isinstance(one, Here)), None)
                if is_over or account.has_left or pilot.here is None:
                    yield None, account.ended, False
                    continue
                pilot.successor = successor
                if pilot.here.run in runs:
                    in_hand = account.in_hand().get(pilot.here.run, {})
                    pilot.former = {number: task.key for number, task in in_hand.items()}
                yield pilot, account.ended, not _is_served(folder, instance, successor - 1, runs)


def _is_served(folder: Path, instance: int, coordinator: int, dead: Sequence[str]) -> bool:
    """Tell whether a run that is not dead has taken an instance over."""
    if coordinator == 1:  # the run that has started it is dead
        return False
    try:
        return charters.who_took(folder, instance, coordinator) not in dead
    except (OSError, ValueError):
        return True


def leave_rest(work: Work, pilot: PilotHandle, now: float) -> None:
    """Leave what a pilot has ended, and its coordinator will not hear any more, to whoever comes next."""
    with contextlib.suppress(StreamDamaged):  # what came before counts
        for message in pilot.hear_out(now):
            if not isinstance(message, Ended) or message.left.run != work.run:
                continue
            one = pilot.tasks.get(message.left.outcome.number)
            if one is not None:
                with contextlib.suppress(StoreUnwritable):
                    handover.leave(work, one.task, message.left.outcome)
