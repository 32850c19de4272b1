"""A pilot as its coordinator sees it: its streams, what it has in hand, when it was last heard of.

Knows: a pilot's folder, messages. May not know: engines, the queue, other pilots.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from memento.clock import Clock
from memento.errors import StoreUnwritable
from memento.executors.base import Running
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.charter import Charter
from memento.executors.pilots.pilot_messages import (
    Alive,
    Beat,
    Cancel,
    Do,
    FromPilot,
    Here,
    Leave,
    Serve,
    ToPilot,
)
from memento.executors.pilots.streams import Reader, Silence, Writer
from memento.worker.batch_runner import Batch
from memento.worker.work import Task

_NEWER = 1.0  # seconds between two looks for a newer instance


@dataclass(slots=True, eq=False)
class InHand:
    """A task at a pilot, without an outcome."""

    task: Task  # as this run knows it
    ends: float | None = None  # it was told to stop: when it is given up
    recalled: bool = False  # it is to be run elsewhere, unless it has begun


class PilotHandle:
    """The coordinator's side of one pilot."""

    def __init__(self, charter: Charter, name: str, folder: Path, clock: Clock, instance: int = 1) -> None:
        self.name, self.charter, self.folder, self.width = name, charter, folder, charter.width
        # This run's tasks that are at it, in the order in which they were given, by the numbers that it knows them by:
        # a pilot of a dead run, by those of that run.
        self.tasks: dict[int, InHand] = {}
        self.known: set[int] = set()  # values that it has
        self.here: Here | None = None  # what its instance said first
        self.left: float | None = None  # seconds until its place ends, when it last told
        self.has_left = ""  # why it takes nothing more
        self.dismissed = False  # it is to end with what it has
        self.came_late = False  # its place ended as soon as it had begun
        self.instance = instance
        self.succeeded = False  # a newer instance has begun
        self.successor = 2  # its coordinator's number, where it is taken over
        self.former: dict[int, bytes] = {}  # keys of all that it has in hand for a dead run, by number
        self.adopted = False  # another run has started it
        self._serves = Path(charter.run).name  # the run whose tasks it is to run
        self._clock = clock
        self.output = folder / "output"  # what it prints, its engine's words too
        self._writer = Writer(charters.told_to(folder, instance))
        self._reader = Reader(charters.heard_from(folder, instance), clock)
        self._newer = str(charters.heard_from(folder, instance + 1))  # there once a newer instance has begun
        self._silence = Silence(clock)
        self.silent = 0.0  # seconds for which nothing was heard of it
        self._running: tuple[Running, ...] = ()
        self._beaten = clock.monotonic()  # when it told what runs
        self._said = self._looked = clock.monotonic()
        self._ended: float | None = None

    @property
    def is_here(self) -> bool:
        """Whether it has begun, and takes tasks."""
        return self.here is not None and not self.has_left and not self.succeeded

    # -- hearing

    def hear(self, now: float) -> list[FromPilot]:
        """Return what it said since the last call; of very much, the first part."""
        told = self._understood(self._reader.read(), now)
        self.silent = self._silence.look(heard=bool(told), blind=bool(self._reader.trouble))
        if now - self._looked >= _NEWER:
            self._looked = now
            self.succeeded = os.path.exists(self._newer)
        return told

    def hear_out(self, now: float) -> Iterator[FromPilot]:
        """Yield all that it said since the last call, however much that is."""
        while said := self._reader.read():
            yield from self._understood(said, now)

    def _understood(self, said: Sequence[bytes], now: float) -> list[FromPilot]:
        told = [message for data in said for message in pilot_messages.heard(data)]
        for message in told:
            if isinstance(message, Here) and message.run == self._serves:
                self.here, self.left = message, message.left
                self.came_late = message.left is not None and message.left <= self.charter.grace
            elif isinstance(message, Beat):
                self._running, self._beaten, self.left = message.running, now, message.left
                self.dismissed = self.dismissed or message.leaving
        return told

    def follow(self, now: float) -> None:
        """Hear the newer instance from now on; nothing that the one before says is read any more."""
        self.instance += 1
        self._reader = Reader(charters.heard_from(self.folder, self.instance), self._clock)
        self._writer = Writer(charters.told_to(self.folder, self.instance))
        self._newer = str(charters.heard_from(self.folder, self.instance + 1))
        self._silence = Silence(self._clock)
        self.here, self.has_left, self.succeeded = None, "", False
        self.known, self._running = set(), ()

    def ended_since(self, now: float) -> float:
        """Return how many seconds ago its engine first said that its place has ended."""
        if self._ended is None:
            self._ended = now
        return now - self._ended

    def running(self, now: float) -> list[Running]:
        """Return what it runs, as it told last."""
        age = now - self._beaten
        return [
            state._replace(number=number, seconds=state.seconds + age)
            for state in self._running
            if (number := self.number_here(state.number)) is not None
        ]

    def number_here(self, number: int) -> int | None:
        """Return which number a task that it names has in this run; None where it is none of this run's."""
        one = self.tasks.get(number)
        return None if one is None else one.task.number

    def numbers_there(self, numbers: Collection[int] | None) -> list[int]:
        """Return which numbers it knows these tasks of this run by, of those that it has; None: all."""
        return [there for there, one in self.tasks.items() if numbers is None or one.task.number in numbers]

    def over(self, number: int) -> Task | None:
        """Note that it has a task no more; return it where it is this run's."""
        self.former.pop(number, None)
        one = self.tasks.pop(number, None)
        return None if one is None else one.task

    def take_all(self) -> dict[int, InHand]:
        """Note that it has nothing more in hand; return what it had of this run."""
        taken, self.tasks, self.former = self.tasks, {}, {}
        return taken

    def suspects(self) -> set[int]:
        """Return those of its tasks that may have ended its place: what it ran, and what it was to run next."""
        first = list(self.former or self.tasks)[: 2 * self.width]
        return {*first, *(state.number for state in self._running)}

    # -- saying

    def say(self, *told: ToPilot) -> None:
        """Tell it something; what cannot be written now is owed, and written with the next word."""
        self._said = self._clock.monotonic()
        with contextlib.suppress(StoreUnwritable):
            self._writer.append(*map(pilot_messages.pack, told))

    def give(self, batch: Batch, tasks: Sequence[Task]) -> None:
        """Have it run tasks."""
        self.tasks.update((task.number, InHand(task)) for task in tasks)
        self.say(Do(batch))

    def keep_alive(self, now: float) -> None:
        """Let it know that its coordinator lives, where it was not told anything for a while."""
        # Less often than a pilot does: it tells of tasks, and waits long for a coordinator that hundreds have.
        if now - self._said >= max(self.charter.beat, self.charter.silence / 10):
            self.say(Alive())

    def dismiss(self) -> None:
        """Have it end with what it has."""
        self.dismissed = True
        self.say(Leave(now=False))

    def serve(self, run_folder: str) -> bool:
        """Take over a pilot whose coordinator is dead; False where another one does so at this moment."""
        number, run = self.successor, Path(run_folder).name
        try:
            with open(charters.taken_by(self.folder, self.instance, number), "x") as file:
                file.write(run)
        except OSError:  # it is there; or nothing can be written, so that nothing could be said either
            return False
        self._writer = Writer(charters.told_to(self.folder, self.instance, number))
        self._serves, self.adopted = run, True
        self.here = None  # it says so again, when it is free for this run
        # What waits there may have ended elsewhere, and is this run's to give out.
        self.say(Cancel(None, running=False), Serve(run_folder, self.width))
        return True

    def leave(self) -> None:
        """Have it end at once."""
        self.say(Leave(now=True))
