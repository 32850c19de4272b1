"""The pilot: a process that an engine has started somewhere, which runs tasks as a laptop would.

Knows: its folder, messages, the local executor. May not know: engines, stores' indexes, who asked for a task.

    coordinator ──(to-N)──> pilot ──> Processes ──> workers
    coordinator <─(from-N)── pilot <── outcomes, updates, notes

One thread does everything. What it is told is read when it looks, what it tells is gathered for a moment and written at
once. It ends when it is told to, when its place ends, when it has had nothing to do for long, or when another instance
of it has begun. When its coordinator is gone it finishes what runs, and waits for another one to take it over.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from memento import system
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MementoError, StoreUnwritable
from memento.executors.base import Lost, Message
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.pilot_messages import (
    Alive,
    Beat,
    Broken,
    Cancel,
    Do,
    FromPilot,
    Here,
    Leave,
    Leaving,
    Resize,
    Serve,
    ToPilot,
)
from memento.executors.pilots.pilot_run import Engine
from memento.executors.pilots.streams import Reader, Silence, Writer
from memento.executors.processes.control import ServerGone
from memento.records import DIED, Outcome

_QUICK = 0.004  # seconds between two looks for what it is told, after news; longer and longer after that ...
_LOOK = 0.02  # ... up to so long while a worker is idle ...
_FIRST = 2.0  # ... but for the first seconds, in which much is said: a short run is over then ...
_LOOK_BUSY = 0.1  # ... and while all are busy
_GATHER = 0.02  # seconds between two writes, in which outcomes gather
_MOST = 1_000  # messages in a record
_NEWER = 5.0  # seconds between two looks for a newer instance
# Seconds after a worker's death by a signal in which it may turn out that the whole place has ended.
_DOUBT = 1.0
_ENDS = 2.0  # seconds for which it goes on saying that it leaves where its stream cannot be written


class Pilot:
    """One instance of a pilot."""

    def __init__(
        self, run_folder: str, name: str, *, with_parent: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.folder = charters.pilot_folder(run_folder, name)
        self.name, self.clock = name, clock
        self.charter = charters.read_charter(self.folder)
        self.instance = self._next_instance()
        self.began = clock.monotonic()
        told = os.environ.get("MEMENTO_SECONDS", "")  # of its place, less what it took to get here
        limits = (self.charter.seconds, float(told) if told.isdecimal() else None)
        self._seconds = min((limit for limit in limits if limit is not None), default=None)
        self._writer = Writer(charters.heard_from(self.folder, self.instance))
        self._out: list[FromPilot] = []  # what is told with the next write
        self._written = -1e9  # when it wrote last
        self._pause = _QUICK
        self._coordinator = 1  # whose stream is read
        self._reader = Reader(charters.told_to(self.folder, self.instance))
        self._silence = Silence(clock)
        self._engine: Engine | None = None  # from when it has begun
        self._next_folder = ""  # of the run that it serves next
        self._leaving = ""  # why it ends; "" while it does not
        self._stopped = False  # what runs was told to stop
        self._with_parent = with_parent
        self._signalled = ""
        self._doubtful: list[tuple[float, Outcome]] = []  # when each is told
        self._busy = clock.monotonic()  # when it last had something to do
        self._beaten = -1e9
        self._looked = clock.monotonic()

    def _next_instance(self) -> int:
        number = 1
        while True:
            try:
                os.close(os.open(charters.instance_file(self.folder, number), os.O_CREAT | os.O_EXCL, 0o644))
            except FileExistsError:
                number += 1
            else:
                return number

    @property
    def engine(self) -> Engine:
        """Its local executor; all but its first word and its last needs one."""
        assert self._engine is not None
        return self._engine

    # -- life

    def run(self) -> None:
        """Work until there is a reason to leave."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signal)
        self._tell_where()
        self._write()
        objection = self.charter.objection()
        try:
            if objection:
                self._tell(Broken(objection))
            else:
                self._engine = Engine(
                    Path(self.charter.run), self._log_name(), self.charter.width, self.clock
                )
                while self._turn():
                    pass
        except MementoError as exc:  # its workers cannot run anything
            self._tell(Broken(str(exc), sudden=isinstance(exc, ServerGone)))
        except Exception:
            self._tell(Broken(f"a fault of Memento:\n{traceback.format_exc()}"))
        finally:
            self._end()

    def _tell_where(self) -> None:
        run = self._engine.work.run if self._engine is not None else Path(self.charter.run).name
        self._tell(Here(system.hostname(), os.getpid(), self.charter.width, self._left(), _place(), run))

    def _log_name(self) -> str:
        return f"{self.name}-{self.instance}" if self.instance > 1 else self.name

    def _end(self) -> None:
        if self._engine is not None:
            self._give_back(self._leaving or "its place has ended", set(self._engine.tasks))
        self._tell(Leaving(self._leaving))
        end = self.clock.monotonic() + _ENDS
        while not self._write() and self.clock.monotonic() < end:
            time.sleep(0.1)

    def _signal(self, number: int, frame: object) -> None:
        self._signalled = signal.Signals(number).name
        if self._engine is not None:
            self._engine.executor.wake()

    def _turn(self) -> bool:
        """Listen, work, tell; False when it is time to end."""
        engine = self.engine
        now = self.clock.monotonic()
        self._listen()
        self._look_around(now)
        idle = len(engine.executor.running()) < self.charter.width
        first = now - self.began < _FIRST
        self._pause = _QUICK if idle and first else min(self._pause * 1.5, _LOOK if idle else _LOOK_BUSY)
        pause = min(self._pause, self._written + _GATHER - now) if self._out else self._pause
        self._take(engine.executor.poll(max(pause, 0.0)))
        now = self.clock.monotonic()
        if engine.tasks:
            self._busy = now
        if now - self._beaten >= self.charter.beat:
            self._beaten = now
            self._tell(Beat(tuple(engine.executor.running()), self._left(), bool(self._leaving)))
        if not engine.tasks or now - self._written >= _GATHER:
            self._write()
        if not engine.tasks and self._next_folder:
            self._serve()
        return not (self._leaving and not engine.tasks)

    def _take(self, told: Sequence[Message]) -> None:
        """Tell on what the local executor told, but a worker's death by such a signal as ends a place: later."""
        now = self.clock.monotonic()
        sudden = [one for one in told if isinstance(one, Outcome) and _is_sudden(one)]
        self._doubtful += [(now + _DOUBT, one) for one in sudden]
        sure = [one for one in told if one not in sudden]
        while self._doubtful and (self._doubtful[0][0] <= now or self._signalled):
            sure.append(self._doubtful.pop(0)[1])
        for message in sure:
            why = self._leaving if self._stopped else ""
            if self._signalled and isinstance(message, Outcome) and message.failure is not None:
                # Whatever ended it: processes of its own may have heard that signal, too.
                message = Lost(message.number, message.attempt, self._leaving or "its place was taken away")
            self._tell(self.engine.told(message, why))

    def _serve(self) -> None:
        """Work for another run from now on."""
        self.engine.executor.close()
        folder, self._next_folder = Path(self._next_folder), ""
        self._engine = Engine(folder, self._log_name(), self.charter.width, self.clock)
        self._tell_where()

    # -- what it is told

    def _listen(self) -> None:
        heard = False
        for data in self._reader.read():
            heard = True
            self._obey(pilot_messages.told(data))
        if heard:
            self._pause = _QUICK
        silent = self._silence.look(heard=heard, blind=bool(self._reader.trouble))
        is_quiet = silent > self.charter.beat
        if is_quiet and (
            next_one := charters.next_coordinator(self.folder, self.instance, self._coordinator)
        ):
            self._coordinator = next_one  # it has taken this over
            self._reader = Reader(charters.told_to(self.folder, self.instance, next_one))
            self._silence = Silence(self.clock)
            self._listen()
        elif silent > self.charter.silence and not self._leaving:
            self._take_leave_of_coordinator()

    def _take_leave_of_coordinator(self) -> None:
        """Nobody hears it: finish what runs, give back the rest, and wait for somebody else."""
        self.engine.executor.cancel(running=False)
        if self.clock.monotonic() - self._busy > self.charter.idle and not self.engine.tasks:
            self._leaving = "its coordinator is gone, and no other has come"

    def _obey(self, message: ToPilot) -> None:
        engine = self.engine
        if isinstance(message, Do):
            self._busy = self.clock.monotonic()
            engine.do(message.batch)
            if self._leaving:  # it was sent before that was known
                engine.executor.cancel([task.number for task in message.batch.tasks], running=True)
        elif isinstance(message, Cancel):
            engine.executor.cancel(message.numbers, running=message.running)
        elif isinstance(message, Resize):
            self.charter = self.charter._replace(width=message.width)
            engine.executor.resize(message.width)
        elif isinstance(message, Serve):
            self._next_folder = message.folder
            self.charter = self.charter._replace(width=message.width)
        elif isinstance(message, Leave):
            self._leaving = self._leaving or "it was told to"
            if message.now:
                engine.executor.close()
                engine.tasks.clear()
            else:
                engine.executor.cancel(running=False)
        else:
            assert isinstance(message, Alive)

    # -- what it sees

    def _left(self) -> float | None:
        seconds = self._seconds
        return None if seconds is None else max(seconds - (self.clock.monotonic() - self.began), 0.0)

    def _look_around(self, now: float) -> None:
        left = self._left()
        if self._signalled:
            self._stop(f"its place was taken away ({self._signalled})")
        elif left is not None and left <= self.charter.grace:
            self._stop("the time of its job was over")
        if self._with_parent and select.select([0], [], [], 0)[0] and not os.read(0, 1):
            self._leaving = f"the worker {_place()} on {system.hostname()} has ended"
            self._give_back(self._leaving, {state.number for state in self.engine.executor.running()})
        if now - self._looked > _NEWER:
            self._looked = now
            if charters.instance_file(self.folder, self.instance + 1).exists():
                # This copy lives on although its place was given up: nothing more of it is wanted.
                self.engine.executor.close()
                self.engine.tasks.clear()
                self._leaving = "another instance of it has begun"
        if not self._leaving and not self.engine.tasks and now - self._busy > self.charter.idle:
            self._leaving = "it has had nothing to do"

    def _give_back(self, why: str, suspects: set[int]) -> None:
        """Its place is gone: end all; what is no suspect had not begun, and has lost nothing."""
        self.engine.executor.close()
        for number, task in self.engine.tasks.items():
            lost = Lost(number, task.attempt, why, kept=number not in suspects, gone=True)
            self._tell(pilot_messages.Told(lost))
        self.engine.tasks.clear()

    def _stop(self, why: str) -> None:
        """Its place ends: have tasks save what they have."""
        if not self._stopped:
            self._leaving, self._stopped = why, True
            self._beaten = -1e9  # told at once, so that nobody gives it tasks again that it gives back
            self.engine.executor.cancel(running=True)

    # -- what it tells

    def _tell(self, message: FromPilot | None) -> None:
        if message is not None:
            self._out.append(message)

    def _write(self) -> bool:
        """Write what is to be told; False where that could not be done yet."""
        try:
            if self._out or self._writer.owes:
                out, self._out = self._out, []
                self._written = self.clock.monotonic()
                silent = self._silence.look(heard=False)
                pieces = [out[first : first + _MOST] for first in range(0, len(out), _MOST)]
                self._writer.append(
                    *map(pilot_messages.pack_all, pieces), durable=silent > self.charter.silence
                )
        except StoreUnwritable:  # it is owed: the next write begins with it
            return False
        return True


def _is_sudden(outcome: Outcome) -> bool:
    failure = outcome.failure
    return failure is not None and failure.kind == DIED and failure.type in ("SIGKILL", "SIGTERM")


def _place() -> str:
    """Return what an engine calls the place of this process."""
    return os.environ.get("MEMENTO_PLACE") or os.environ.get("SLURM_JOB_ID", str(os.getpid()))


def main() -> None:
    """Be a pilot: `argv` names the run's folder and the pilot."""
    run_folder, name = (argument for argument in sys.argv[1:] if not argument.startswith("--"))
    Pilot(run_folder, name, with_parent="--with-parent" in sys.argv).run()


if __name__ == "__main__":
    main()
