"""What a task sees of Memento: the public face of an attempt.

Knows: its attempt, which has the state. May not know: queues, indexes, displays.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from memento.context.attempt import Attempt, derived_number
from memento.context.task_space import Resources, TaskSpace
from memento.layout import Layout, artifact_name
from memento.records import Piece, Series

if TYPE_CHECKING:
    import logging
    from pathlib import Path
    from typing import TypeVar

    import numpy
    import pandas

    from memento.context.saved_loop import Loops

    T = TypeVar("T")


_NOTHING: dict[str, Any] = {}
_Keys = tuple[bytes, ...] | None


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

    __slots__ = ("_artifacts", "_attempt", "_logger", "_loops", "_provider", "_seed")

    def __init__(self, key: str, checkpoint_provider: Any = None) -> None:
        self._begin(Attempt(None, key), checkpoint_provider)

    @classmethod
    def for_task(cls, space: TaskSpace) -> Context:
        """Make the context of one attempt at a task, which works in `space`."""
        return cls._of(Attempt(space))

    @classmethod
    def _of(cls, attempt: Attempt) -> Context:
        self = cls.__new__(cls)
        self._begin(attempt, None)
        return self

    def __memento_key__(self) -> str:
        raise TypeError(
            "a context is its task's own, and a step is of all tasks. Give the step a parameter named `context`:"
            " it gets one of its own, which is no part of its key"
        )

    def _begin(self, attempt: Attempt, provider: Any) -> None:
        self._attempt, self._provider = attempt, provider
        self._artifacts: tuple[str, ...] = ()
        self._logger: logging.Logger | None = None
        self._seed: int | None = None
        self._loops: Loops | None = None

    if not TYPE_CHECKING:  # who checks types is told of a wrong name there

        def __getattr__(self, name: str) -> Any:
            from memento.context.usage import no_such_attribute

            raise AttributeError(no_such_attribute(name, dir(type(self))))

    # ------------------------------------------------------------ who we are

    @property
    def key(self) -> str:
        """The task's key, in hexadecimal."""
        return self._attempt.key

    @property
    def attempt(self) -> int:
        """Which attempt at the task this is; 1 for the first."""
        space = self._attempt.space
        return space.attempt if space is not None else 1

    @property
    def resources(self) -> Resources:
        """Cores, devices and memory that the task may use."""
        space = self._attempt.space
        return space.resources if space is not None else Resources()

    @property
    def stopping(self) -> bool:
        """Whether the run wants the task to end: save what you have and return, or let `loop` do it."""
        space = self._attempt.space
        return space.stopping() if space is not None else False

    @property
    def seed(self) -> int:
        """An int below 2**32 for this task: the same in every re-run, different between tasks."""
        if self._seed is None:
            self._seed = derived_number(self.key, 4, b"memento seed")
        return self._seed

    @property
    def rng(self) -> numpy.random.Generator:
        """A NumPy generator for this task: the same in every re-run, different between tasks."""
        return self._attempt.generator("rng")

    @property
    def shared_seed(self) -> int:
        """An int below 2**32 that all tasks of one repeat share, of whatever experiment: for splits of the data."""
        return derived_number(str(self._attempt.repeat), 4, b"memento shared")

    @property
    def shared_rng(self) -> numpy.random.Generator:
        """A NumPy generator that draws the same in all tasks of one repeat: for splits of the data."""
        return self._attempt.generator("shared_rng")

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines, from INFO up, stand in the task's log."""
        if self._logger is None:
            from memento.context.task_logger import task_logger

            self._logger = task_logger()
        return self._logger

    # ------------------------------------------------------------ metrics and progress

    def record(
        self, value_dict: Mapping[str, Any] = _NOTHING, step: float | None = None, *more: Any, **named: Any
    ) -> None:
        """Record values of metrics: ``record({"loss": 0.3})`` or ``record(loss=0.3)``.

        Parameters
        ----------
        value_dict : dict, optional
            Name -> number, or -> pair ``(x, y)``.
        step : float, optional
            The x of all values that bring none. By default, inside `loop`, how many items came before this one (of a
            loop in another: in all of them together); elsewhere the time (UTC seconds).
        *more : object
            Nothing may be given here: other tools do, and are told the right line.
        **named : number or pair
            More metrics, by name.

        Raises
        ------
        TypeError
            A value is no number; names the metric and the type.

        Examples
        --------
        >>> context = Context("key")
        >>> context.record({"loss": 0.5}, step=1)
        >>> context.record(loss=0.3, step=2)
        >>> context.collect_metrics()["loss"]
             x    y
        0  1.0  0.5
        1  2.0  0.3
        """
        if named and not more and hasattr(value_dict, "items") and named.keys().isdisjoint(value_dict):
            value_dict = {**value_dict, **named}
        elif more or named or value_dict is _NOTHING or not hasattr(value_dict, "items"):
            from memento.context.usage import wrong_record

            raise TypeError(wrong_record(value_dict, step, more, named))
        self._attempt.record(value_dict, step)

    def progress(self, delta: float, total: float | None = None) -> None:
        """Move this task's bar.

        Parameters
        ----------
        delta : float
            How much was done since the last call.
        total : float, optional
            How much there is in all; may be corrected later.
        """
        self._attempt.progress(delta, total)

    def collect_metrics(self) -> dict[str, pandas.DataFrame]:
        """Return what was recorded: name -> frame with columns ``x`` and ``y``."""
        metrics = self._attempt.metrics
        return metrics.frames() if metrics is not None else {}

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
        attempt = self._attempt
        if attempt.space is None:
            self._given().set(self.key, values)
            return
        attempt.checkpoints().save(values, {**attempt.extra(), "draws": attempt.draws()})

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
        attempt = self._attempt
        if attempt.space is None:
            item = self._given().get(self.key)
            return item[0] if isinstance(item, tuple) and len(item) == 1 else item
        state, extra = attempt.checkpoints().load()
        attempt.take(extra)
        attempt.bring_back(extra.get("draws", {}))
        return state[0] if len(state) == 1 else state

    def checkpoint_exist(self) -> bool:
        """Say whether there is something to restore."""
        if self._attempt.space is None:
            return bool(self._given().contains(self.key))
        return self._attempt.checkpoints().exists()

    def _given(self) -> Any:
        if self._provider is None:
            raise RuntimeError("Context(key) has nowhere to save to: give it a checkpoint provider")
        return self._provider

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
            ``load_state_dict``, any object with attributes. Numbers and texts are replaced in what holds them. Change
            it in place as well: after ``state = step(state)`` the loop has the old one, warns, and does not save it.
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
        from memento.context.saved_loop import Loop, Loops

        if self._loops is None:
            self._loops = Loops(self._attempt)
        return Loop(self._loops, iterable, state, every, name).run()

    # ------------------------------------------------------------ files and shared steps

    def cached(self, func: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Compute a step that tasks share, once over the whole grid.

        Parameters
        ----------
        func : callable
            The step; its code and its arguments are its key. A parameter named `context` that it must be given, and is
            not, is a context of its own.
        *args, **kwargs : object
            Its arguments, bound by its signature: names and defaults may be written out or not.

        Returns
        -------
        object
            What `func` returned, here or in another task. Large values are mapped from one file, for each task anew.

        Raises
        ------
        TypeError
            `func` cannot be called so, or is a coroutine function or a generator.
        UnkeyableArgument
            An argument, or what `func` has captured, has no identity that is certain.
        UnsavableResult
            What it returned cannot be stored, or not be read back.
        """
        from memento.context.step_calls import Call
        from memento.context.steps import cached

        attempt = self._attempt
        call = Call(func, args, kwargs, attempt.place().run, Context)
        value: T = cached(attempt, call, self._of)
        return value

    @property
    def directory(self) -> Path:
        """A folder of this task's own, kept across attempts; in a shared step the step's own, kept as long as it is."""
        from pathlib import Path

        folder = Path(self._attempt.folder())
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
            Where to write it; its folder exists. In a result, as a `Path`, it follows the store.

        Raises
        ------
        ValueError
            The name leads out of the task's folder.
        """
        from pathlib import Path

        if self._attempt.step:
            raise RuntimeError(
                f"artifact({name!r}) in the step {self._attempt.step}: artifacts are kept with the result of one task,"
                f" and a step is of all. Write to context.directory / {name!r}, which is kept as long as the step, and"
                " return that path"
            )
        parts = str(os.fspath(name)).replace("\\", "/").split("/")
        if any(part in ("", ".", "..") for part in parts) or "\0" in name or ":" in parts[0]:
            raise ValueError(f"artifact({name!r}): give a relative name without '..', like 'plots/roc.png'")
        path = Path(Layout(self._attempt.place().store).artifacts(self._attempt.folders), *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        relative = "/".join(parts)
        if relative not in self._artifacts:
            self._artifacts += (relative,)
        return path

    def left_behind(self) -> tuple[tuple[Series, ...], tuple[str, ...], tuple[Piece, ...], _Keys, _Keys]:
        """Return what the task leaves beside its value, for the worker; one call, for each task pays it.

        What it recorded, packed for the store; the names of the artifacts that were written; what the attempts gave
        from whose checkpoints it went on; digests of the other versions of the code that these are of;
        keys of the shared steps that it used.
        """
        attempt = self._attempt
        written: tuple[str, ...] = ()
        if self._artifacts:
            space = attempt.place()
            root = Layout(space.store).artifacts(attempt.folders)
            there = sorted(n for n in self._artifacts if os.path.exists(os.path.join(root, n)))
            written = tuple([artifact_name(name, space.fence) for name in there])
        series = attempt.metrics.series() if attempt.metrics is not None else ()
        older = (attempt.origin.older or None) if attempt.origin is not None else None
        return series, written, attempt.earlier, older, tuple(attempt.steps) or None
