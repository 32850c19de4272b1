"""What a task sees: its key, its checkpoints, its metrics, its bar, its own folder.

Knows: one attempt at one task. May not know: the index, other tasks, executors.

Making one costs next to nothing, since a task of a microsecond pays for it: all of it is lazy.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from memento.context.metrics import Metrics
from memento.context.space import Resources, TaskSpace
from memento.store.records import Series

if TYPE_CHECKING:
    import numpy
    import pandas

    from memento.store.checkpoints import CheckpointDir


class Context:
    """Checkpoints, metrics, progress and more for one task.

    Parameters
    ----------
    key : object
        The task's key.
    checkpoint_provider : object, optional
        Anything with ``get``, ``set``, ``contains`` and ``remove`` by key, like `FileSystemCheckpointing`.

    Examples
    --------
    >>> context = Context("task")
    >>> context.record({"loss": 0.5})
    >>> context.collect_metrics()["loss"]["y"].tolist()
    [0.5]
    """

    __slots__ = ("__weakref__", "_artifacts", "_checkpoints", "_done", "_hex", "_key", "_live_at", "_loops",
                 "_metrics", "_provider", "_restored", "_rng", "_space", "_total")  # fmt: skip

    def __init__(self, key: Any = "", checkpoint_provider: Any = None) -> None:
        self._key, self._provider = key, checkpoint_provider
        self._space = _ALONE
        self._start()

    @classmethod
    def for_task(cls, space: TaskSpace) -> Context:
        """Make the context of an attempt that a worker runs."""
        self = cls.__new__(cls)
        self._key, self._provider, self._space = None, None, space
        self._start()
        return self

    def _start(self) -> None:
        self._metrics: Metrics | None = None
        self._checkpoints: CheckpointDir | None = None
        self._artifacts: list[str] | None = None
        self._rng: numpy.random.Generator | None = None
        self._loops: dict[str, Any] | None = None  # positions of loops, by name
        self._restored = False
        self._hex: str | None = None
        self._done = 0.0
        self._total: float | None = None
        self._live_at = 0.0

    # -- who it is

    @property
    def key(self) -> Any:
        """The task's key, in hexadecimal digits."""
        if self._key is not None:
            return self._key
        if self._hex is None:
            self._hex = self._space.key.hex()
        return self._hex

    @property
    def attempt(self) -> int:
        """1 for the first attempt at this task in this run."""
        return self._space.attempt

    @property
    def resources(self) -> Resources:
        """Cores, GPUs and memory that the task may use."""
        return self._space.resources

    @property
    def stopping(self) -> bool:
        """Whether the task is asked to save its state and return soon."""
        return self._space.stopping()

    @property
    def seed(self) -> int:
        """An int below 2**32 that belongs to the key: the same at every re-run, different between tasks."""
        return int.from_bytes(hashlib.blake2b(self._key_bytes, digest_size=4, person=b"memento seed").digest(), "big")

    @property
    def rng(self) -> numpy.random.Generator:
        """A NumPy generator that belongs to the key."""
        if self._rng is None:
            import numpy

            entropy = hashlib.blake2b(self._key_bytes, digest_size=16, person=b"memento rng").digest()
            self._rng = numpy.random.default_rng(int.from_bytes(entropy, "big"))
        return self._rng

    @property
    def _key_bytes(self) -> bytes:
        return self._space.key if self._key is None else str(self._key).encode("utf-8", "surrogatepass")

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines stand in the task's log."""
        logger = logging.getLogger("memento.task")
        if not any(isinstance(handler, _ToStderr) for handler in logger.handlers):
            logger.addHandler(_ToStderr())
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
        return logger

    # -- metrics and progress

    def record(self, value_dict: Mapping[str, Any]) -> None:
        """Record metrics over time.

        Parameters
        ----------
        value_dict : mapping of str to number or pair
            For each metric its value, or ``(x, value)``; without an x, all of one call share the UTC time.

        Raises
        ------
        TypeError
            A value is no number.

        Examples
        --------
        >>> context = Context("task")
        >>> context.record({"loss": (1, 0.5), "accuracy": (1, 0.9)})
        """
        metrics = self._metrics
        if metrics is None:
            metrics = self._metrics = Metrics()
        now = self._space.clock.now()
        metrics.record(value_dict, now)
        if self._space.live is not None and now >= self._live_at:
            self._tell(now)

    def collect_metrics(self) -> dict[str, pandas.DataFrame]:
        """Return each metric as a frame with columns ``x`` and ``y``."""
        return self._metrics.frames() if self._metrics is not None else {}

    def series(self) -> tuple[Series, ...]:
        """Return the metrics as the store keeps them."""
        return self._metrics.series() if self._metrics is not None else ()

    def progress(self, delta: float = 1, total: float | None = None) -> None:
        """Move this task's bar.

        Parameters
        ----------
        delta : float
            How much further it is.
        total : float, optional
            How much there is to do; may be corrected later.
        """
        try:
            self._done += float(delta)
            if total is not None:
                self._total = float(total)
        except (TypeError, ValueError):
            return  # a bar is never worth a task
        if self._space.live is not None:
            now = self._space.clock.now()
            if now >= self._live_at:
                self._tell(now)

    def _tell(self, now: float) -> None:
        space = self._space
        assert space.live is not None
        self._live_at = now + space.live_every
        space.live(self._done, self._total, self._metrics.latest() if self._metrics is not None else {})

    # -- checkpoints

    def checkpoint(self, *values: Any) -> None:
        """Save the task's state: atomic, durable on return, there for the next attempt.

        Parameters
        ----------
        *values
            What `restore` is to give back.

        Raises
        ------
        UnsavableResult
            A part cannot be pickled; names it.
        """
        if self._space is _ALONE:
            self._alone().set(self._key, values)
            return
        self._save(values)

    def _save(self, values: tuple[Any, ...]) -> None:
        curves = {series.name: series.data for series in self.series()}
        extra = {"metrics": curves, "loops": self._loops or {}, "done": self._done, "total": self._total}
        self._kept().save(values, extra)

    def restore(self) -> Any:
        """Return the saved state: one value as itself, several as a tuple.

        Raises
        ------
        KeyError
            There is none.
        """
        if self._space is _ALONE:
            return self._alone().get(self._key)
        values = self._load()
        return values[0] if len(values) == 1 else values

    def _load(self) -> tuple[Any, ...]:
        values, extra = self._kept().load()
        if not self._restored:
            # What was recorded up to the checkpoint belongs to the curve; once, however often this is asked.
            self._restored = True
            mine, self._metrics = self._metrics, Metrics()
            self._metrics.restore(extra["metrics"])
            self._done, self._total = extra["done"], extra["total"]
            if mine is not None:
                for name, curve in mine.curves.items():
                    for x, y in zip(curve.x, curve.y, strict=True):
                        self._metrics.record({name: (x, y)}, 0.0)
        self._loops = dict(extra["loops"])
        return values

    def checkpoint_exist(self) -> bool:
        """Say whether an earlier attempt left a state."""
        if self._space is _ALONE:
            return bool(self._alone().contains(self._key))
        return self._kept().exists()

    def _kept(self) -> CheckpointDir:
        if self._checkpoints is None:
            from memento.store.checkpoints import CheckpointDir

            self._checkpoints = CheckpointDir(self._space.store, self.key)
        return self._checkpoints

    def _alone(self) -> Any:
        if self._provider is None:
            raise TypeError("this Context stands alone and was made without a checkpoint_provider")
        return self._provider

    # -- loops and shared steps

    def loop(self, iterable: Iterable[Any], state: Any, every: float | str = "10min") -> Iterator[Any]:
        """Iterate with automatic checkpoints: what an earlier attempt did is skipped.

        Parameters
        ----------
        iterable : iterable
            What to go through; must yield the same in each attempt.
        state : object
            What the loop changes: a dict, list, or object, one with ``state_dict`` and ``load_state_dict``, or a
            dict, list or tuple of such. An earlier attempt's state is put back into it, in place.
        every : float or str
            Seconds, or a text like ``"10min"``, ``"30s"``, ``"100 steps"``.

        Yields
        ------
        object
            The items that are still to do.

        Raises
        ------
        StopTask
            The task was asked to stop; its state has been saved.

        Examples
        --------
        >>> state = {"total": 0}
        >>> for item in Context("task").loop([1, 2, 3], state):
        ...     state["total"] += item
        >>> state
        {'total': 6}
        """
        from memento.context.loop import loop

        return loop(self, iterable, state, every)

    def cached(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return ``func(*args, **kwargs)``, computed once over all tasks and runs of the store.

        One worker computes it while others wait; when that worker dies, another takes over.

        Parameters
        ----------
        func : callable
            The step; its code is part of the key, so an edited step is computed again.
        *args, **kwargs
            Its arguments; must be keyable.
        """
        if self._space is _ALONE:
            return func(*args, **kwargs)
        from memento.context.steps import cached

        return cached(self._space, func, args, kwargs)

    # -- files

    @property
    def directory(self) -> Path:
        """A folder of this task's own, kept across attempts."""
        folder = Path(self._space.store) / "work" / str(self.key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def artifact(self, name: str) -> Path:
        """Return where to write a file that is kept with the result.

        Parameters
        ----------
        name : str
            Name of the file; may have folders.

        Raises
        ------
        ValueError
            The name leads out of the task's folder.
        """
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
            raise ValueError(f"an artifact's name must be a relative path without '..', got {name!r}")
        path = Path(self._space.store, "artifacts", str(self.key), *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._artifacts is None:
            self._artifacts = []
        if name not in self._artifacts:
            self._artifacts.append(name)
        return path

    def artifact_names(self) -> tuple[str, ...]:
        """Return the names of the artifacts that were written."""
        if self._artifacts is None:
            return ()
        folder = Path(self._space.store, "artifacts", str(self.key))
        return tuple(name for name in self._artifacts if (folder / name).exists())


class _ToStderr(logging.StreamHandler):  # type: ignore[type-arg]  # generic only for type checkers
    """Writes to what `sys.stderr` is at that moment: the task's log."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    @property
    def stream(self) -> Any:
        import sys

        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        """Whatever the base class sets: what counts is `sys.stderr`."""


_ALONE = TaskSpace("", "", b"")  # a context that no worker made
