"""What one attempt at a task has so far: metrics, bar, generators, and what it saved or took from earlier attempts.

Knows: the task's space, checkpoints. May not know: loops, shared steps, what users may ask for.

Everything is made when it is first needed, so that a task that asks for nothing pays next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from threading import get_ident
from typing import TYPE_CHECKING, Any

from memento.clock import SYSTEM_CLOCK
from memento.context.metrics import Metrics, number
from memento.layout import CHECKPOINTS, FAR_STATES, PAYLOADS, Layout, fenced
from memento.records import Piece

if TYPE_CHECKING:
    import numpy

    from memento.context.seeding import Seeding
    from memento.context.task_space import TaskSpace
    from memento.values.checkpoints import CheckpointDir, Origin

_CLOCK_SET_BACK = 3600.0  # seconds


class Attempt:
    """One attempt at a task; without a space, a context that a user made by himself."""

    step = ""  # what is computed, for people, where this is an attempt at a shared step
    rooms = CHECKPOINTS, PAYLOADS  # where its checkpoints are, and what they refer to

    def __init__(self, space: TaskSpace | None, key: str | None = None) -> None:
        self.space, self._key = space, key
        self.metrics: Metrics | None = None
        self.loop_step: int | None = None  # the x of what is recorded in a loop
        self.done = 0.0
        self.total: float | None = None
        self._next_live = 0.0
        self.earlier: tuple[Piece, ...] = ()  # what the attempts gave from whose checkpoint this one went on
        self.origin: Origin | None = None  # which code came to its checkpoints; None until one is asked for
        self._computing: dict[str, int] = {}  # keys of the shared steps that are being computed -> threads
        self.doing = ""  # "waits for step load('x')"; "" for the task's own work
        self.steps: dict[bytes, None] = {}  # keys of the shared steps that it has used, in any attempt
        self._checkpoints: CheckpointDir | None = None
        self._own: dict[str, numpy.random.Generator] | None = None
        self._seeding: Seeding | None = None

    @property
    def key(self) -> str:
        """The task's key, in hexadecimal."""
        if self._key is None:
            self._key = self.place().key.hex()
        return self._key

    @property
    def task(self) -> str:
        """The same, also where this is an attempt at a step of the task."""
        return self.key

    @property
    def repeat(self) -> int:
        """Which repeat of its configuration the task is."""
        return self.space.repeat if self.space is not None else 0

    def place(self) -> TaskSpace:
        """Return the space; RuntimeError where the context belongs to no run."""
        if self.space is None:
            raise RuntimeError(
                "this context belongs to no store: it was made by Context(key, provider), not by a run. What you"
                " asked for works inside a task that Memento runs."
            )
        return self.space

    @property
    def folders(self) -> str:
        """The name of the folders that are this attempt's: the task's key, and its fence if it has one."""
        return fenced(self.key, self.place().fence)

    def folder(self) -> str:
        """Return what `Context.directory` is."""
        return Layout(self.place().store).work(self.folders)

    # ------------------------------------------------------------ shared steps

    def used(self, steps: Iterable[bytes]) -> None:
        """Note that the task has used shared steps."""
        self.steps.update(dict.fromkeys(steps))

    def held_steps(self) -> list[str]:
        """Return the keys of the steps that this thread computes for it."""
        return [key for key, thread in self._computing.items() if thread == get_ident()]

    @contextmanager
    def at(self, doing: str) -> Iterator[None]:
        """Tell people that the task is at this meanwhile."""
        before, self.doing = self.doing, doing
        now = self.place().clock.now()
        self._tell(now)
        try:
            yield
        finally:
            self.doing = before
            self._tell(now)

    @contextmanager
    def holding(self, step: str) -> Iterator[None]:
        """Note that this thread computes a step meanwhile."""
        self._computing[step] = get_ident()
        try:
            yield
        finally:
            del self._computing[step]

    # ------------------------------------------------------------ metrics and the bar

    def record(self, values: Mapping[str, Any], step: float | None) -> None:
        """Record values of metrics, and tell of them if it is time to."""
        if self.metrics is None:
            self.metrics = Metrics()
        now = (self.space.clock if self.space is not None else SYSTEM_CLOCK).now()
        x = self.loop_step if step is None else number("step", step)
        self.metrics.record(values, now if x is None else x)
        self._tell_at_times(now)

    def progress(self, delta: float, total: float | None = None) -> None:
        """Move the bar, and tell of it if it is time to; never raises."""
        try:
            if total is not None:
                self.total = number("progress", total)
            self.done += number("progress", delta)
            if self.space is not None and self.space.live is not None:
                self._tell_at_times(self.space.clock.now())
        except Exception:  # a bar is never worth a task
            return

    def _tell_at_times(self, now: float) -> None:
        if now >= self._next_live or now < self._next_live - _CLOCK_SET_BACK:
            self._tell(now)

    def _tell(self, now: float) -> None:
        space = self.space
        if space is None or space.live is None:
            self._next_live = float("inf")  # nobody listens
            return
        self._next_live = now + space.live_every
        latest = self.metrics.latest() if self.metrics is not None else {}
        if self.doing:
            space.live(self.done, self.total, latest, self.doing)
        else:
            space.live(self.done, self.total, latest)

    # ------------------------------------------------------------ random generators

    def generator(self, name: str) -> numpy.random.Generator:
        """Return the generator that the context calls `rng` or `shared_rng`."""
        if self._own is None:
            self._own = {}
        if name not in self._own:
            import numpy

            if name == "rng":
                seed = derived_number(self.key, 16, b"memento rng")
            else:
                seed = derived_number(str(self.repeat), 16, b"memento shared")
            self._own[name] = numpy.random.default_rng(seed)
        return self._own[name]

    def generators(self) -> Seeding:
        """Return those that the task may draw from without having made them."""
        if self._seeding is None:
            from memento.context.seeding import Seeding

            told = self.space.seeding if self.space is not None else None
            self._seeding = told or Seeding()
        return self._seeding

    def draws(self) -> dict[str, Any]:
        """Return where all of them are."""
        from memento.context.generators import state_of

        own = {name: state_of(rng) for name, rng in (self._own or {}).items()}
        return {"own": own, "process": self.generators().states()}

    def bring_back(self, draws: Mapping[str, Any]) -> None:
        """Set them to where they were."""
        from memento.context.generators import set_state

        self.generators().bring_back(draws.get("process", {}))
        for name, state in draws.get("own", {}).items():
            set_state(self.generator(name), state)

    # ------------------------------------------------------------ checkpoints

    def checkpoints(self) -> CheckpointDir:
        """Return what `Context.checkpoint` saves to."""
        if self._checkpoints is None:
            self._checkpoints = self.checkpoints_at(self.folders)
        return self._checkpoints

    def checkpoints_at(self, name: str) -> CheckpointDir:
        """Open a folder of checkpoints of this task; all of them together are of certain versions of the code."""
        from memento.values.checkpoints import CheckpointDir, Origin
        from memento.values.choose_place import place_of
        from memento.values.payloads import PayloadDir

        space = self.place()
        if self.origin is None:
            self.origin = Origin(space.codes, space.on_code_change)
        rooms = self.rooms
        if space.payloads:  # a folder here says that there may be some in the object store
            here = os.path.join(space.store, rooms[0], name.partition("/")[0], FAR_STATES)
            os.makedirs(here, exist_ok=True)
        states, payloads = (
            place_of(space.store, room, space.payloads, for_tasks=True, waited=space.waited) for room in rooms
        )
        return CheckpointDir(states, name, self.origin, PayloadDir(payloads, space.store))

    def extra(self) -> dict[str, Any]:
        """Return what goes with a checkpoint: the metrics so far, the bar, which attempts are in it."""
        metrics = self.metrics.packed() if self.metrics is not None else {}
        space = self.space
        pieces = self.earlier if space is None or space.so_far is None else (*self.earlier, space.so_far())
        told = {"metrics": metrics, "done": self.done, "total": self.total, "pieces": pieces}
        return {**told, "steps": tuple(self.steps)} if self.steps else told

    def take(self, extra: Mapping[str, Any]) -> None:
        """Take over what came with a checkpoint."""
        if extra.get("metrics"):
            if self.metrics is None:
                self.metrics = Metrics()
            self.metrics.restore(extra["metrics"])
        self.done = max(self.done, extra.get("done", 0.0))
        if self.total is None:
            self.total = extra.get("total")
        self.used(extra.get("steps", ()))
        self._take_pieces(extra.get("pieces", ()))

    def _take_pieces(self, pieces: Iterable[Piece]) -> None:
        """Add earlier attempts; of two checkpoints that tell of one the later counts."""
        known = {(piece.run, piece.started): piece for piece in self.earlier}
        for piece in pieces:
            name = (piece.run, piece.started)
            if name not in known or known[name].runtime < piece.runtime:
                known[name] = piece
        if known and self.space is not None and self.space.so_far is not None:
            own = self.space.so_far()
            known.pop((own.run, own.started), None)  # this very attempt saved it
        self.earlier = tuple(known.values())


def derived_number(told: str, size: int, purpose: bytes) -> int:
    """Return a number of so many bytes that is the same wherever the text is."""
    return int.from_bytes(blake2b(told.encode(), digest_size=size, person=purpose).digest(), "little")
