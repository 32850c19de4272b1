"""Run tasks in pilots: processes that an engine starts somewhere, each of which works as a laptop would.

Knows: pilots, their streams, who has which task. May not know: any one engine, indexes, displays.

    runner ── submit ──> queue ──(Do)──> pilot        the engine: `ask` for pilots, which are `gone`, `end` them
    runner <── poll ──── inbox <─(Ended, Told)─ pilot

An engine (Slurm, Dask, Ray, ...) is a subclass with the methods of `PilotEngine`. A task is at one pilot
at a time. A pilot is lost when the engine says that its place has ended, or when it has not been heard of for long and
the engine does not know it; what it says from then on is not read, and its tasks come back as `Lost`.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import StreamDamaged, WorkerStartError
from memento.executors.base import Lost, Message, Note, Running, Update, cancelled, take_out
from memento.executors.handing import Handing
from memento.executors.pace import Pace
from memento.executors.pilots.charter import Charter, note_over, write_charter
from memento.executors.pilots.handle import PilotHandle
from memento.executors.pilots.pilot_engine import BROKEN, PilotEngine
from memento.executors.pilots.pilot_messages import (
    Beat,
    Broken,
    Cancel,
    Ended,
    Here,
    Leaving,
    Resize,
    Told,
)
from memento.executors.pilots.takeover import Former, leave_rest
from memento.executors.processes import launch
from memento.layout import PILOTS
from memento.worker import failures
from memento.worker.task_runner import verdict
from memento.worker.work import Task, Work

_QUICK, _SLOW = 0.004, 0.25  # seconds between two looks: after news, and when there was none for long
_SOON, _BEGINS = 0.005, 2.0  # at most so long, for so many seconds, after a pilot was asked for: it may begin
_A_PILOT = 0.005  # seconds between two looks at least, for each pilot: hundreds cost the login node little
_A_BEAT = 0.015  # seconds between two signs of life of a pilot, for each pilot that there may be
_AHEAD = 30.0  # seconds; of tasks that are longer, none waits at a pilot
_MOST = 1_000  # tasks in a batch


class PilotExecutor(PilotEngine):
    """Gives tasks to pilots, and hears of them."""

    _work: Work
    _former: Former

    def __init__(self, num_workers: int | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.workers, self._clock = num_workers, clock
        self._waker: socket.socket | None = None  # between `start` and `close`
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing, whatever an earlier run has left."""
        self.queue: deque[Task] = deque()
        self.pilots: dict[str, PilotHandle] = {}  # those that were asked for and are not over
        self.count = 1  # tasks at once
        self._inbox: list[Message] = []
        self._pace = Pace()
        self._next_end = inf  # monotonic; when the first task is given up that was told to stop
        self._stopping = False
        self._made = 0  # pilots, so far
        self.broken_in_a_row = self._unbegun = 0  # pilots that could run nothing, or did not begin, in a row
        self._wait = _QUICK
        self._next_look = self._begin_until = 0.0  # monotonic; until when pilots may begin at any moment
        self.awaited_since: float | None = inf

    # -- what the runner says

    def start(self, work: Work) -> None:
        self._begin()
        self._work = launch.for_fresh(work)
        self.count = max(self.workers or work.num_workers, 1)
        self._handing = Handing(self._work)
        self._waker, self._woken = socket.socketpair()
        self._handing.share(outlives=self.outlives, snapshot=True)
        self._waker.setblocking(False)
        self._former = Former(self._work, self._clock)
        (self._handing.folder / PILOTS).mkdir(exist_ok=True)  # also where it only takes some over
        self.take_over(work.former, work.outdated)
        first = min(-(-min(self.count, work.num_workers) // self.width), self.wanted_at_start())
        if first > len(self.pilots):
            self.ask(first - len(self.pilots))

    def take_over(self, dead: Sequence[str], outdated: Mapping[str, Collection[int]]) -> None:
        taken = self._former.take_over(self, str(self._handing.folder), dead, outdated)
        self.pilots.update((pilot.name, pilot) for pilot in taken)
        self._share_out()  # the run before may have had more tasks at once

    def new_pilot(self, width: int | None = None) -> str:
        """Make the folder of one more pilot, which runs so many tasks at once; return its name."""
        self._made += 1
        name = f"p{self._made:04d}"
        width = self.width if width is None else width
        charter = Charter(
            run=str(self._handing.folder),
            width=width,
            seconds=self.seconds(),
            grace=self.grace,
            beat=max(self.beat, _A_BEAT * self.count / width),
            silence=self.silence,
            idle=self.idle,
        )
        folder = write_charter(charter, name)
        self.pilots[name] = PilotHandle(charter, name, folder, self._clock)
        self._begin_until = self._clock.monotonic() + _BEGINS
        return name

    @property
    def in_hand(self) -> int:
        """How many tasks are here without an outcome."""
        return len(self.queue) + sum(len(pilot.tasks) for pilot in self.pilots.values())

    def want(self) -> int:
        return 0 if self._stopping else self._pace.wanted(self.count, self.in_hand)

    def submit(self, tasks: Sequence[Task]) -> None:
        if self._stopping:
            self._inbox += cancelled(tasks)
            return
        self.queue.extend(task for task in tasks if not self._former.has(task, self._inbox))
        self._feed()

    def running(self) -> list[Running]:
        now = self._clock.monotonic()
        pilots = [*self.pilots.values(), *self._former.elsewhere]
        return [state for pilot in pilots for state in pilot.running(now)]

    def resize(self, workers: int) -> None:
        self.count = max(workers, 1)
        self._share_out()
        self._feed()

    def _share_out(self) -> None:
        """Have the pilots that are there run as many tasks at once as are wanted, and no more."""
        left = self.count
        for pilot in self.pilots.values():
            width = min(pilot.charter.width, left)
            left -= width
            if width == 0:
                pilot.dismiss()
            elif width != pilot.width:
                pilot.width = width
                pilot.say(Resize(width))

    def cancel(self, numbers: Iterable[int] | None = None, *, running: bool) -> None:
        wanted = None if numbers is None else set(numbers)
        self._inbox += cancelled(take_out(self.queue, wanted))
        if running:
            self._inbox += cancelled(self._former.let_go(wanted))
        end = self._clock.monotonic() + self._work.grace + self.beat
        for pilot in self.pilots.values():
            if there := pilot.numbers_there(wanted):
                pilot.say(Cancel(None if wanted is None else tuple(there), running))
            for number in there:
                one = pilot.tasks[number]
                one.recalled = False
                if running:
                    one.ends, self._next_end = end, min(end, self._next_end)
        if running and wanted is None:
            self._stopping = True

    def wake(self) -> None:
        if self._waker is not None:
            with contextlib.suppress(OSError):  # full: it wakes up anyway
                self._waker.send(b"\0")

    def close(self) -> None:
        for pilot in self.pilots.values():
            pilot.leave()
        self.end(list(self.pilots))
        for pilot in self.pilots.values():
            leave_rest(self._work, pilot, self._clock.monotonic())
            note_over(pilot.folder)
        self.pilots.clear()
        self.queue.clear()
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.close()
            self._woken.close()
            self._handing.drop_unused()

    # -- the loop

    def poll(self, timeout: float) -> list[Message]:
        until = self._clock.monotonic() + timeout
        while True:
            now = self._clock.monotonic()
            if now >= self._next_look:  # a runner polls several times a second, whatever there is to hear
                self._look()
                self._next_look = self._clock.monotonic() + self._pause()
            self._feed()
            if (
                self._inbox
                or (now := self._clock.monotonic()) >= until
                or self._woken_within(min(until, self._next_look) - now)
            ):
                break
        messages, self._inbox = self._inbox, []
        return messages

    def _pause(self) -> float:
        """Return how long to wait before the next look: longer, the longer there was nothing."""
        pause = max(self._wait, least := _A_PILOT * len(self.pilots))
        slow = _SOON if self._clock.monotonic() < self._begin_until else _SLOW
        self._wait = min(pause * 1.5, max(slow, 2 * least))
        return pause

    def _woken_within(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._woken], [], [], max(seconds, 0.0))
        if ready:
            self._woken.recv(4096)
        return bool(ready)

    def _look(self) -> None:
        """Hear all pilots; bury those that are gone; give up what does not end."""
        now = self._clock.monotonic()
        for pilot in list(self.pilots.values()):
            try:
                told = pilot.hear(now)
            except StreamDamaged as exc:
                self._bury(pilot, f"what {pilot.name} says cannot be read: {exc}")
                continue
            if not all(isinstance(message, Beat) for message in told):
                self._wait = _QUICK
            for message in told:
                self._take(pilot, message)
            if pilot.succeeded and pilot.adopted:  # its next instance works for the run that has started it
                self._bury(pilot, f"{pilot.name} was started again elsewhere")
            elif pilot.succeeded:
                self._hear_out(pilot)
                self._lose(pilot, f"{pilot.name} was started again elsewhere")
                pilot.follow(now)
        for name, why in self.gone().items():
            if name in self.pilots and self.pilots[name].ended_since(now) >= self.settle:
                self._bury(self.pilots[name], why)
        self._inbox += self._former.look(now, self.silence)
        for pilot in list(self.pilots.values()):
            if pilot.has_left and not pilot.tasks:
                self._bury(pilot, pilot.has_left)
            elif pilot.silent > self.silence and not self.is_known(pilot.name):
                self._bury(pilot, f"nothing was heard of {pilot.name} for {pilot.silent:.0f} s")
            elif pilot.silent > 0:
                pilot.keep_alive(now)
        self._give_up(now)
        self._inbox += self.say_what_is_awaited(now)

    def _take(self, pilot: PilotHandle, message: object) -> None:
        if isinstance(message, Ended) and message.left.run != self._work.run:
            self._inbox += self._former.take(pilot, message)
        elif isinstance(message, Ended):
            outcome = message.left.outcome
            task = pilot.over(outcome.number)
            if task is not None:  # else it was given up
                self.broken_in_a_row = 0
                self._pace.learn(outcome.runtime)
                self._inbox += self.judge(pilot, task, outcome)
        elif isinstance(message, Told):
            self._pass_on(pilot, message.message)
        elif isinstance(message, Broken):
            pilot.has_left = message.why
            self.broken(pilot, message.why, sudden=message.sudden)
        elif isinstance(message, Leaving):
            pilot.has_left = message.why or "it has left"
            # They were on their way: it has given back all it had.
            self._lose(pilot, pilot.has_left, kept=True)
        else:
            assert isinstance(message, (Here, Beat))
            if isinstance(message, Here):
                self._inbox += self._former.take(pilot, message)
            self._unbegun = self._unbegun if pilot.came_late else 0

    def _pass_on(self, pilot: PilotHandle, message: Update | Note | Lost) -> None:
        if isinstance(message, Note):
            self._inbox.append(message)
        elif isinstance(message, Update):
            if (number := pilot.number_here(message.number)) is not None:
                self._inbox.append(message._replace(number=number))
        elif message.number in pilot.former:
            self._inbox += self._former.take(pilot, Told(message))
        elif (one := pilot.tasks.pop(message.number, None)) is not None:
            if one.recalled and message.cancelled:
                self.queue.appendleft(one.task)
            else:
                self._inbox.append(message)

    def _bury(self, pilot: PilotHandle, why: str) -> None:
        """Let go of a pilot whose place has ended."""
        self._hear_out(pilot)  # what it wrote comes first
        self._lose(pilot, why)
        pilot.leave()  # a copy that lives on hears it, where it hears anything
        note_over(pilot.folder)
        self.pilots.pop(pilot.name, None)
        self.end([pilot.name])
        if pilot.came_late or (pilot.here is None and not pilot.dismissed and not pilot.adopted):
            self._unbegun += 1
            if self._unbegun >= BROKEN:
                text = f"{self._unbegun} places in a row ended before a pilot began there, the last: {why}"
                raise WorkerStartError(f"{text}\n{failures.tail(str(pilot.output))}".rstrip())

    def _hear_out(self, pilot: PilotHandle) -> None:
        """Take all that a pilot has said."""
        with contextlib.suppress(StreamDamaged):
            for message in pilot.hear_out(self._clock.monotonic()):
                self._take(pilot, message)

    def _lose(self, pilot: PilotHandle, why: str, *, kept: bool = False) -> None:
        """Give back what a place had in hand; a loss counts for those tasks only that may have caused it."""
        suspects = set() if kept else pilot.suspects()
        for number, one in pilot.take_all().items():
            task, asked = one.task, self._stopping or one.ends is not None
            harmless = number not in suspects
            self._inbox.append(Lost(task.number, task.attempt, why, cancelled=asked, kept=harmless))

    def _give_up(self, now: float) -> None:
        """Tell as stopped whose grace is over and whose pilot says nothing."""
        if now < self._next_end:
            return
        self._next_end = inf
        for pilot in self.pilots.values():
            for number, one in list(pilot.tasks.items()):
                if one.ends is None:
                    continue
                if now < one.ends:
                    self._next_end = min(self._next_end, one.ends)
                    continue
                del pilot.tasks[number]
                outcome = verdict(one.task, failures.stopped(), self._clock.now(), 0.0, pilot.name)
                self._inbox.append(outcome)

    # -- giving

    def _feed(self) -> None:
        """Ask for pilots as long as tasks wait; give each what keeps it busy."""
        if self._stopping:
            return
        coming = [pilot for pilot in self.pilots.values() if not pilot.has_left]
        if (more := self.wanted() - len(coming)) > 0:
            self.ask(more)
        ready = [pilot for pilot in coming if pilot.is_here and not pilot.dismissed]
        ready.sort(key=lambda one: len(one.tasks) / one.width)
        for place, pilot in enumerate(ready):
            share = -(-len(self.queue) // (len(ready) - place))
            if tasks := self._next_for(pilot, min(self._room(pilot), share, _MOST)):
                pilot.give(self._handing.pack(tasks, pilot.known), tasks)
        if not self.queue:
            self._even_out(ready)

    def _room(self, pilot: PilotHandle) -> int:
        """Return how many more tasks keep a pilot busy until the next looks."""
        width, pace = pilot.width, max(self._pace.seconds, 1e-5)
        ahead = (
            0 if pace > _AHEAD else max(width, int(width * 4 * max(_A_PILOT * len(self.pilots), 0.1) / pace))
        )
        return width + ahead - len(pilot.tasks)

    def _next_for(self, pilot: PilotHandle, most: int) -> list[Task]:
        found, passed = list[Task](), list[Task]()
        while self.queue and len(found) < most:
            task = self.queue.popleft()
            (found if self.fits(task, pilot) else passed).append(task)
        self.queue.extendleft(reversed(passed))
        return found

    def _even_out(self, ready: Sequence[PilotHandle]) -> None:
        """Take back what waits at busy pilots while others have nothing to do."""
        idle = sum(max(pilot.width - len(pilot.tasks), 0) for pilot in ready)
        for pilot in ready:
            waiting = [one for one in list(pilot.tasks.values())[pilot.width :] if not one.recalled]
            if (taken := waiting[-idle:] if idle else []) and self._pace.seconds > 4 * _QUICK:
                idle -= len(taken)
                for one in taken:
                    one.recalled = True
                pilot.say(Cancel(tuple(one.task.number for one in taken), running=False))
