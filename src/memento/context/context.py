"""What a task sees of Memento.

Knows: its task's space, checkpoints, metrics. May not know: queues, indexes, displays.

Everything is made when it is first asked for, so that a task that asks for nothing pays next to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from memento.clock import SYSTEM_CLOCK
from memento.context.metrics import Metrics, number
from memento.context.space import Resources, StopTask, TaskSpace
from memento.layout import Layout
from memento.records import Piece, Series

if TYPE_CHECKING:
    import logging
    from pathlib import Path
    from typing import TypeVar

    import numpy
    import pandas

    from memento.context.loop import Loops
    from memento.context.seeding import Seeding
    from memento.values.checkpoints import CheckpointDir, Origin

    T = TypeVar("T")


_NOTHING: dict[str, Any] = {}


class Context:
    """A task's way to checkpoints, metrics, shared steps and all else that Memento offers inside a task.

    Parameters
    ----------
    key : str
        The task's key.
    checkpoint_provider : object, optional
        Anything with ``get``, ``set``, ``contains`` and ``remove`` by key, such as `FileSystemCheckpointing`.

    Examples
    --------
    >>> context = Context("key")
    >>> context.record({"loss": (1, 0.5)})
    >>> context.collect_metrics()["loss"]
         x    y
    0  1.0  0.5
    """

    __slots__ = (
        "_artifacts",
        "_checkpoints",
        "_done",
        "_key",
        "_live",
        "_logger",
        "_loops",
        "_metrics",
        "_next_live",
        "_provider",
        "_rng",
        "_seed",
        "_seeding",
        "_shared_rng",
        "_space",
        "_steps",
        "_total",
        "checkpoint_key",
        "earlier",
        "origin",
    )

    def __init__(self, key: str, checkpoint_provider: Any = None) -> None:
        self._key: str | None = key
        self._provider = checkpoint_provider
        self._space: TaskSpace | None = None
        self._begin()

    @classmethod
    def for_task(cls, space: TaskSpace) -> Context:
        """Make the context of one attempt at a task.

        Parameters
        ----------
        space : TaskSpace
            Where it works and whom it tells.

        Returns
        -------
        Context
            A new context.
        """
        self = cls.__new__(cls)
        self._key, self._provider, self._space = None, None, space
        self._begin()
        return self

    def _begin(self) -> None:
        self._metrics: Metrics | None = None
        self._checkpoints: CheckpointDir | None = None
        self.origin: Origin | None = None  # which code came to its checkpoints; None until one is asked for
        self._artifacts: tuple[str, ...] = ()
        self._done, self._total = 0.0, None
        self._next_live = 0.0
        self._logger: logging.Logger | None = None
        self._rng: numpy.random.Generator | None = None
        self._shared_rng: numpy.random.Generator | None = None
        self._seeding: Seeding | None = None
        self._seed: int | None = None
        self._loops: Loops | None = None
        self._steps: tuple[str, ...] = ()  # names of the cached steps that are being computed
        self.checkpoint_key = None
        self.earlier: tuple[Piece, ...] = ()  # what the attempts gave from whose checkpoint this one went on

    _total: float | None

    if not TYPE_CHECKING:  # who checks types is told of a wrong name there

        def __getattr__(self, name: str) -> Any:
            from memento.context.usage import no_such_attribute

            raise AttributeError(no_such_attribute(name, dir(type(self))))

    # ------------------------------------------------------------ who we are

    @property
    def key(self) -> str:
        """The task's key, in hexadecimal."""
        if self._key is None:
            self._key = self._place().key.hex()
        return self._key

    @property
    def attempt(self) -> int:
        """Which attempt at the task this is; 1 for the first."""
        return self._space.attempt if self._space is not None else 1

    @property
    def resources(self) -> Resources:
        """Cores, devices and memory that the task may use."""
        return self._space.resources if self._space is not None else Resources()

    @property
    def stopping(self) -> bool:
        """Whether the run wants the task to end: save what you have and return, or let `loop` do it."""
        return self._space.stopping() if self._space is not None else False

    @property
    def seed(self) -> int:
        """An int below 2**32 for this task: the same in every re-run, different between tasks."""
        if self._seed is None:
            self._seed = _number(self.key, 4, b"memento seed")
        return self._seed

    @property
    def rng(self) -> numpy.random.Generator:
        """A NumPy generator for this task: the same in every re-run, different between tasks."""
        if self._rng is None:
            import numpy

            self._rng = numpy.random.default_rng(_number(self.key, 16, b"memento rng"))
        return self._rng

    @property
    def shared_seed(self) -> int:
        """An int below 2**32 that all tasks of one repeat share, of whatever experiment: for splits of the data."""
        return _number(str(self._repeat), 4, b"memento shared")

    @property
    def shared_rng(self) -> numpy.random.Generator:
        """A NumPy generator that draws the same in all tasks of one repeat: for splits of the data."""
        if self._shared_rng is None:
            import numpy

            self._shared_rng = numpy.random.default_rng(_number(str(self._repeat), 16, b"memento shared"))
        return self._shared_rng

    @property
    def _repeat(self) -> int:
        return self._space.repeat if self._space is not None else 0

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines, from INFO up, stand in the task's log."""
        if self._logger is None:
            from memento.context.logs import task_logger

            self._logger = task_logger()
        return self._logger

    def _place(self) -> TaskSpace:
        if self._space is None:
            raise RuntimeError(
                "this context belongs to no store: it was made by Context(key, provider), not by a run. What you"
                " asked for works inside a task that Memento runs."
            )
        return self._space

    # ------------------------------------------------------------ metrics and progress

    def record(
        self, value_dict: Mapping[str, Any] = _NOTHING, step: float | None = None, *more: Any, **named: Any
    ) -> None:
        """Record values of metrics.

        Parameters
        ----------
        value_dict : dict
            Name -> number, or -> pair ``(x, y)``. Without x the step counts, or the time (UTC seconds).
        step : float, optional
            The x of all values that bring none.
        *more, **named : object
            Nothing may be given here: other tools do, and are told the right line.

        Raises
        ------
        TypeError
            A value is no number; names the metric and the type.
        """
        if more or named or value_dict is _NOTHING or not hasattr(value_dict, "items"):
            from memento.context.usage import wrong_record

            raise TypeError(wrong_record(value_dict, step, more, named))
        metrics = self._metrics
        if metrics is None:
            metrics = self._metrics = Metrics()
        space = self._space
        now = (space.clock if space is not None else SYSTEM_CLOCK).now()
        metrics.record(value_dict, now if step is None else number("step", step))
        if now >= self._next_live or now < self._next_live - 3600:
            self._tell(now)

    def _tell(self, now: float) -> None:
        """Tell the display where the task stands; at most once each `live_every` seconds."""
        space = self._space
        if space is None or space.live is None:
            self._next_live = float("inf")  # nobody listens
            return
        self._next_live = now + space.live_every
        space.live(self._done, self._total, self._metrics.latest() if self._metrics is not None else {})

    def progress(self, delta: float, total: float | None = None) -> None:
        """Move this task's bar.

        Parameters
        ----------
        delta : float
            How much was done since the last call.
        total : float, optional
            How much there is in all; may be corrected later.
        """
        try:
            if total is not None:
                self._total = number("progress", total)
            self._done += number("progress", delta)
            space = self._space
            if space is not None and space.live is not None:
                now = space.clock.now()
                if now >= self._next_live or now < self._next_live - 3600:
                    self._tell(now)
        except Exception:  # a bar is never worth a task
            return

    def collect_metrics(self) -> dict[str, pandas.DataFrame]:
        """Return what was recorded: name -> frame with columns ``x`` and ``y``."""
        return self._metrics.frames() if self._metrics is not None else {}

    def series(self) -> tuple[Series, ...]:
        """Return what was recorded, packed for the store."""
        return self._metrics.series() if self._metrics is not None else ()

    # ------------------------------------------------------------ checkpoints

    def checkpoint(self, *values: Any) -> None:
        """Save what the task has so far; a crash leaves the old state or the new one, whole.

        Where the random generators are is saved with it: those of `random`, NumPy and PyTorch, `rng`, `shared_rng`,
        and those among the script's globals.

        Parameters
        ----------
        *values : object
            What `restore` gives back: one value as itself, several as a tuple.
        """
        if self._space is None:
            self._given().set(self.key, values)
            return
        self._saved().save(values, {**self._extra(), "draws": self._draws()})

    def restore(self) -> Any:
        """Return what was saved last; metrics recorded before it come back with it, random generators go on from it.

        Returns
        -------
        object
            One value as itself, several as a tuple.

        Raises
        ------
        KeyError
            There is no checkpoint.
        """
        if self._space is None:
            item = self._given().get(self.key)
            return item[0] if isinstance(item, tuple) and len(item) == 1 else item
        state, extra = self._saved().load()
        self._take(extra)
        self._bring_back(extra.get("draws", {}))
        return state[0] if len(state) == 1 else state

    def checkpoint_exist(self) -> bool:
        """Say whether there is something to restore."""
        if self._space is None:
            return bool(self._given().contains(self.key))
        return self._saved().exists()

    def _extra(self) -> dict[str, Any]:
        """Return what goes with a checkpoint: the metrics so far, the bar, what it took."""
        metrics = self._metrics.packed() if self._metrics is not None else {}
        space = self._space
        pieces = self.earlier if space is None or space.so_far is None else (*self.earlier, space.so_far())
        return {"metrics": metrics, "done": self._done, "total": self._total, "pieces": pieces}

    def _take(self, extra: Mapping[str, Any]) -> None:
        """Take over what came with a checkpoint."""
        if extra.get("metrics"):
            if self._metrics is None:
                self._metrics = Metrics()
            self._metrics.restore(extra["metrics"])
        self._done = max(self._done, extra.get("done", 0.0))
        if self._total is None:
            self._total = extra.get("total")
        self._take_pieces(extra.get("pieces", ()))

    def _take_pieces(self, pieces: Iterable[Piece]) -> None:
        """Add earlier attempts to what this task took; of two checkpoints that tell of one the later counts."""
        known = {(piece.run, piece.started): piece for piece in self.earlier}
        for piece in pieces:
            name = (piece.run, piece.started)
            if name not in known or known[name].runtime < piece.runtime:
                known[name] = piece
        space = self._space
        if known and space is not None and space.so_far is not None:
            own = space.so_far()
            known.pop((own.run, own.started), None)  # this very attempt saved it
        self.earlier = tuple(known.values())

    def _draws(self) -> dict[str, Any]:
        """Return where all generators are that the task may draw from without having made them."""
        from memento.context.generators import state_of

        own = {
            name: state_of(rng)
            for name, rng in (("rng", self._rng), ("shared_rng", self._shared_rng))
            if rng is not None
        }
        return {"own": own, "process": self._generators().states()}

    def _bring_back(self, draws: Mapping[str, Any]) -> None:
        """Set them to where they were."""
        from memento.context.generators import set_state

        self._generators().bring_back(draws.get("process", {}))
        for name, state in draws.get("own", {}).items():
            set_state(getattr(self, name), state)

    def _generators(self) -> Seeding:
        if self._seeding is None:
            from memento.context.seeding import Seeding

            told = self._space.seeding if self._space is not None else None
            self._seeding = told or Seeding()
        return self._seeding

    def _given(self) -> Any:
        if self._provider is None:
            raise RuntimeError("Context(key) has nowhere to save to: give it a checkpoint provider")
        return self._provider

    def _saved(self) -> CheckpointDir:
        if self._checkpoints is None:
            self._checkpoints = self._checkpoints_at(self.key)
        return self._checkpoints

    def _checkpoints_at(self, name: str) -> CheckpointDir:
        """Open a folder of checkpoints of this task; all of them together are of certain versions of the code."""
        from memento.values.checkpoints import CheckpointDir, Origin

        space = self._place()
        if self.origin is None:
            self.origin = Origin(space.codes, space.on_code_change)
        return CheckpointDir(Layout(space.store).checkpoints, name, self.origin)

    def loop(
        self, iterable: Iterable[T], state: Any, every: float | str = "10min", name: str | None = None
    ) -> Iterator[T]:
        """Iterate with automatic checkpoints.

        Parameters
        ----------
        iterable : iterable
            The same items in the same order at each attempt.
        state : object
            What the loop changes. It is filled in place, however deep, so the task's own names for its parts stay
            good: dicts, lists, sets and deques, arrays, tensors, random generators, what has ``state_dict`` and
            ``load_state_dict``, any object with attributes. Numbers and texts are replaced in what holds them.
        every : float or str, default="10min"
            Seconds, or a text like ``"30s"``, ``"2h"``, ``"100 steps"``.
        name : str, optional
            Tells two loops of a task from each other; by default they are numbered.

        Yields
        ------
        object
            The items that are not done yet.

        Raises
        ------
        TypeError
            Before the first item: the state, or a part of it, cannot be filled in place.
        """
        from memento.context.loop import Loop, Loops

        if self._loops is None:
            self._loops = Loops(self)
        return Loop(self._loops, iterable, state, every, name).run()

    # ------------------------------------------------------------ files and shared steps

    def cached(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Compute a step that tasks share, once over the whole grid.

        Parameters
        ----------
        func : callable
            The step; its code and its arguments are its key.
        *args, **kwargs : object
            Its arguments.

        Returns
        -------
        object
            What `func` returned, here or in another task. Large arrays are read-only views of one file.
        """
        from memento.context.steps import cached

        value: T = cached(self, func, args, kwargs)
        return value

    @property
    def directory(self) -> Path:
        """A folder of this task's own, kept across attempts."""
        from pathlib import Path

        folder = Path(Layout(self._place().store).work(self.key))
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def artifact(self, name: str) -> Path:
        """Return the path at which to write a file that is kept with the result.

        Parameters
        ----------
        name : str
            Name of the file; may name folders, ``"plots/roc.png"``.

        Returns
        -------
        Path
            Where to write it; its folder exists.

        Raises
        ------
        ValueError
            The name leads out of the task's folder.
        """
        from pathlib import Path

        parts = str(os.fspath(name)).replace("\\", "/").split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in name or ":" in parts[0]:
            raise ValueError(f"artifact({name!r}): give a relative name without '..', like 'plots/roc.png'")
        path = Path(Layout(self._place().store).artifacts(self.key), *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        relative = "/".join(parts)
        if relative not in self._artifacts:
            self._artifacts += (relative,)
        return path

    def artifact_names(self) -> tuple[str, ...]:
        """Return the names of the artifacts that were written."""
        if not self._artifacts:
            return ()
        root = Layout(self._place().store).artifacts(self.key)
        return tuple(sorted(name for name in self._artifacts if os.path.exists(os.path.join(root, name))))

    def finish(self) -> None:
        """Forget the checkpoints of a task whose result is safe."""
        self._saved().drop()


def _number(told: str, size: int, purpose: bytes) -> int:
    return int.from_bytes(blake2b(told.encode(), digest_size=size, person=purpose).digest(), "little")


__all__ = ["Context", "StopTask"]
