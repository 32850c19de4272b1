"""What an engine of pilots writes: how pilots are started, which are gone, how they are ended.

Knows: pilots as their coordinator sees them. May not know: what is given to whom, any one engine.

`memento.executors.pilots.executor.PilotExecutor` does all the rest; an engine is a subclass of that, and passes
`memento.testing.ExecutorContract`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from memento.errors import WorkerStartError
from memento.executors.base import Executor, Message, Note
from memento.executors.pilots.handle import PilotHandle
from memento.records import Outcome
from memento.wording import number_of
from memento.worker.work import Task

_LONG = 20.0  # seconds in which nothing has begun after which it is said what is awaited
_TOLD = 50  # tasks of the queue, and of each pilot, of which it is told why they have not begun
BROKEN = 3  # pilots that can run nothing, in a row


class PilotEngine(Executor):
    """Starts pilots somewhere."""

    isolates = True
    preempts = True
    resizable = True
    tells = True
    keeps_output = True
    gives_gpus = True
    outlives = True

    width = 1  # tasks that one pilot runs at once
    grace = 5.0  # seconds before the end of its time in which a pilot's tasks save what they have
    beat = 1.0  # seconds between two signs of life
    silence = 60.0  # seconds without one after which a pilot whose place the engine does not know is lost
    idle = 60.0  # seconds without a task after which a pilot leaves
    settle = 0.3  # seconds in which what a pilot wrote may arrive, once its place has ended

    place_word = "pilot"  # what people call the place of one

    queue: deque[Task]  # that no pilot has
    pilots: dict[str, PilotHandle]  # those that were asked for and are not over, by name
    count: int  # tasks at once
    broken_in_a_row: int
    # When tasks first waited for a pilot; None where one has come, or that was said.
    awaited_since: float | None

    @property
    @abstractmethod
    def in_hand(self) -> int:
        """How many tasks are here without an outcome."""

    # -- what an engine writes

    @abstractmethod
    def ask(self, count: int) -> Collection[str]:
        """Start up to `count` pilots; return the names of those that are on their way.

        For each: `name = self.new_pilot()`, then have `pilot_command(folder, name)` run somewhere, with what it
        prints in `self.pilots[name].output`. None where the engine takes no more for now. Raises `WorkerStartError`
        where it never will, with what to do.
        """

    @abstractmethod
    def gone(self) -> Mapping[str, str]:
        """Return pilots whose place has ended for sure, each with why, for people; called often, so cheap."""

    @abstractmethod
    def end(self, names: Collection[str]) -> None:
        """End the places of these pilots, without waiting; those that were not begun too. Idempotent."""

    def can_adopt(self, place: str) -> bool:
        """Tell whether the engine can watch and end a pilot of a dead run, by what it calls its place."""
        return False

    def adopt(self, name: str, place: str) -> None:
        """Watch such a pilot from now on."""

    def is_known(self, name: str) -> bool:
        """Tell whether the engine knows that this pilot's place waits or runs: then silence proves nothing."""
        return True

    def seconds(self) -> float | None:
        """Return how long the place of a new pilot lasts; None where it has no end."""
        return None

    def wanted(self) -> int:
        """Return how many pilots there are to be now: enough for what is in hand, and no more than were asked for."""
        tasks = min(self.in_hand, self.count)
        return -(-tasks // self.width)

    def wanted_at_start(self) -> int:
        """Return how many pilots are started before the first task is there; they start while the run is planned."""
        return -(-self.count // self.width)

    def fits(self, task: Task, pilot: PilotHandle) -> bool:
        """Tell whether a pilot's place lasts long enough for a task."""
        return True

    def why_none_fits(self, task: Task, pilots: Sequence[PilotHandle]) -> str:
        """Say what none of these pilots has that a task needs, for people; "" where one has all."""
        return ""

    def place_name(self, pilot: PilotHandle) -> str:
        """Name the place of a pilot, for people."""
        on = f" on {pilot.here.host}" if pilot.here is not None else ""
        return f"{self.place_word} {pilot.name}{on}"

    def judge(self, pilot: PilotHandle, task: Task, outcome: Outcome) -> Sequence[Message]:
        """Return what is told of an outcome: itself, unless it is not the task that is to blame."""
        return [outcome]

    def broken(self, pilot: PilotHandle, why: str, *, sudden: bool) -> None:
        """Note a pilot that could run nothing; raise WorkerStartError where that is so of all."""
        self.broken_in_a_row += 1
        alone = not sudden and not any(other.is_here for other in self.pilots.values())
        if alone or self.broken_in_a_row >= BROKEN:
            raise WorkerStartError(why)

    # -- what people are told

    def say_what_is_awaited(self, now: float) -> list[Message]:
        """Say once why nothing has begun, where that takes long: elsewhere nobody would see that it waits at all."""
        if self.awaited_since is None or not self.in_hand:
            return []
        self.awaited_since = min(self.awaited_since, now)
        is_over = any(pilot.here is not None for pilot in self.pilots.values())
        if not is_over and now - self.awaited_since < _LONG:
            return []
        self.awaited_since = None
        told = f"nothing has begun yet: {self.waits() or f'no {self.place_word} is there'}"
        return [] if is_over else [Note(told, "info")]

    def places(self) -> int:
        here = (pilot for pilot in self.pilots.values() if pilot.is_here and not pilot.dismissed)
        return sum(pilot.width for pilot in here)

    def unbegun(self) -> Iterator[tuple[int, str]]:
        for pilot in self.pilots.values():
            running = {state.number for state in pilot.running(0.0)}
            here = (one.task.number for one in pilot.tasks.values() if one.task.number not in running)
            why = "and starts it when one of those that run there has ended"
            if pilot.former:
                why = "for a run whose program is gone: its result is awaited"
            yield from ((number, f"{self.place_name(pilot)} has it, {why}") for number in islice(here, _TOLD))
        yield from self._unbegun_in_queue()

    def _unbegun_in_queue(self) -> Iterator[tuple[int, str]]:
        here = [pilot for pilot in self.pilots.values() if pilot.is_here and not pilot.dismissed]
        rest = self.waits()
        places = f"{number_of(sum(pilot.width for pilot in here), 'place')} of {number_of(len(here), self.place_word)}"
        turn = f"its turn has not come: all is taken, {places}"
        for task in islice(self.queue, _TOLD):
            why = (self.why_none_fits(task, here) or turn) if here else ""
            yield task.number, "; ".join(filter(None, (why, rest))) or f"no {self.place_word} has begun yet"
