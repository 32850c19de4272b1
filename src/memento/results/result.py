"""What one task came to: its value, its metrics, and how it went.

Knows: one task's record, and a store to load the rest from. May not know: other tasks, matrices, runs.

A `Result` that comes from a store loads each part when it is first touched; one that a program builds
itself, as scripts for 1.2.0 may, holds what it was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from memento.config import Config, plain, short_text
from memento.errors import PayloadDamaged, ValueUnreadable
from memento.layout import Layout
from memento.records import DAMAGED, DONE, Attempt, Failure, Known, TaskRecord, Warned
from memento.results.reading import damaged
from memento.results.remote import exception_of
from memento.wording import number_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.index.types import Outlines

MISSING = "missing"

_LAZY = ("config", "inner", "metrics", "error", "attempts", "artifacts", "log")


class ResultIndex(Protocol):
    """What results need of a store's index; see `memento.index.Index`."""

    @property
    def is_gone(self) -> bool:
        """Whether the store was removed or moved while it was open."""

    def known(self, experiment: str, /) -> Iterable[Known]:
        """Return the newest row of every task of an experiment."""

    def records(self, ids: Sequence[int], /) -> Iterable[TaskRecord]:
        """Return the records with these ids, in that order, read in bulk."""

    def metrics(self, record: TaskRecord, /) -> Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Return one task's metrics: name -> (x, y)."""

    def last_metrics(
        self, ids: Sequence[int], /
    ) -> Iterable[Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]]:
        """Return the last values of metrics as columns, in pieces: name -> (ids, last values); ids ascend."""

    def warnings(self, first: int, last: int, /) -> Mapping[int, tuple[Warned, ...]]:
        """Return what the tasks with ids from `first` to `last` warned of; those that did not are left out."""

    def attempts(self, key: bytes, /) -> Sequence[Attempt]:
        """Return all attempts at a task, oldest first."""


class ResultStore(Protocol):
    """What results need of a store; `memento.store.Store` has it."""

    @property
    def index(self) -> ResultIndex:
        """Its records."""

    @property
    def path(self) -> Path:
        """The store's folder."""

    @property
    def trusted(self) -> bool:
        """Whether pickles of this store may be opened."""

    def outlines(self, ids: Sequence[int], /, *, values: bool = False) -> Iterable[Outlines]:
        """Return how tasks went as columns, in pieces; ids ascend, and those that are gone are left out."""

    def value(self, record: TaskRecord, /) -> Any:
        """Return one record's value."""

    def readable(self, record: TaskRecord, /) -> tuple[bool, Any]:
        """Return whether a value can be shown without unpickling, and the value as plain data."""

    def writer(self, run: int, type_name: str, /) -> str:
        """Name what wrote values of a type in a run."""

    def discard(self, record: TaskRecord, reason: str, /) -> None:
        """Set a damaged value aside; its task counts as not done."""

    def log(self, record: TaskRecord, /) -> bytes:
        """Return what a task printed."""


class MemoryUsage:
    """The most memory that a task used.

    Parameters
    ----------
    virtual_peak : int
        Peak of its virtual memory, in bytes.
    hardware_peak : int
        Peak of its resident memory, in bytes.
    """

    def __init__(self, virtual_peak: int, hardware_peak: int) -> None:
        self.virtual_peak = virtual_peak
        self.hardware_peak = hardware_peak

    def __repr__(self) -> str:
        return f"MemoryUsage(virtual_peak={self.virtual_peak}, hardware_peak={self.hardware_peak})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MemoryUsage):
            return NotImplemented
        return (self.virtual_peak, self.hardware_peak) == (other.virtual_peak, other.hardware_peak)

    def __hash__(self) -> int:
        return hash((self.virtual_peak, self.hardware_peak))


class Configs(Protocol):
    """Where a result finds its configuration."""

    def config(self, number: int, /) -> Config:
        """Return a task's configuration."""


class Source(NamedTuple):
    """Where a result's parts come from."""

    store: ResultStore
    configs: Configs
    number: int
    key: bytes
    record: TaskRecord | None  # None where the task has not been run


class Result:
    """One task's value, metrics, and how it went.

    Parameters
    ----------
    config : Config
        Its configuration.
    inner : object
        What the experiment returned; None for a task that failed or has not been run.
    metrics : dict of str to DataFrame
        What it recorded: columns `x` and `y`.
    start_time : datetime
        When it began, in local time without a zone, as in 1.2.0.
    runtime : timedelta
        How long it took by the wall clock.
    cpu_time : timedelta or None
        How long it computed.
    memory : MemoryUsage or None
        The most memory that it used.
    was_cached : bool
        Whether it was computed before this run.

    Attributes
    ----------
    status : str
        ``"done"``, ``"failed"``, or ``"missing"`` for a task that has not been run.
    error : Exception or None
        What a failed task raised, with the traceback from where it was raised as its cause.
    failure : Failure or None
        The same as plain text: kind, type, message, traceback, location, output.
    warnings : tuple of Warned
        What Python showed as warnings while it ran: category, message, place, and how often each.
    key : str
        The task's key, in hex.
    attempts : sequence of Attempt
        All attempts, oldest first.
    artifacts : dict of str to Path
        The files that it kept.
    log : str
        What it printed.

    Examples
    --------
    >>> result = Result(Config(n=1), 0.5, {}, datetime(2026, 1, 1), timedelta(seconds=2), None, None, False)
    >>> result.inner, result.status, result.config.n
    (0.5, 'done', 1)
    """

    _source: Source | None = None

    status: str = DONE
    key: str = ""
    failure: Failure | None = None
    warnings: tuple[Warned, ...] = ()
    start_time: datetime | None
    runtime: timedelta | None
    cpu_time: timedelta | None
    memory: MemoryUsage | None
    was_cached: bool

    def __init__(
        self,
        config: Config,
        inner: Any,
        metrics: dict[str, pd.DataFrame],
        start_time: datetime,
        runtime: timedelta,
        cpu_time: timedelta | None,
        memory: MemoryUsage | None,
        was_cached: bool,
    ) -> None:
        self.config = config
        self.inner = inner
        self.metrics = metrics
        self.start_time = start_time
        self.runtime = runtime
        self.cpu_time = cpu_time
        self.memory = memory
        self.was_cached = was_cached

    @classmethod
    def stored(cls, source: Source, was_cached: bool) -> Result:
        """Make a result that loads its parts from a store when they are touched."""
        self = cls.__new__(cls)
        self._source = source
        self.key = source.key.hex()
        record = source.record
        if record is None:
            self.status, self.was_cached = MISSING, False
            self.start_time = self.runtime = self.cpu_time = self.memory = None
            return self
        self.status, self.failure, self.was_cached = record.status, record.failure, was_cached
        if record.value is not None and record.value.format == DAMAGED:  # nothing in its row is certain
            self.start_time = self.runtime = self.cpu_time = self.memory = None
            return self
        self.warnings = record.warnings
        self.start_time = local_time(record.started)
        self.runtime = timedelta(seconds=record.runtime)
        self.cpu_time = None if record.cpu_time is None else timedelta(seconds=record.cpu_time)
        self.memory = None
        if record.memory is not None:
            self.memory = MemoryUsage(record.virtual or record.memory, record.memory)
        return self

    if not TYPE_CHECKING:  # for which every name would be there

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # it is there, and raised an AttributeError of its own
                return object.__getattribute__(self, name)
            from memento.results.usage import no_such_attribute

            # Its private parts may not be there yet, while it is unpickled.
            parameters = () if name.startswith("_") else self.config
            raise AttributeError(no_such_attribute(self, name, parameters), name=name, obj=self)

    @cached_property
    def config(self) -> Config:
        """The task's configuration."""
        source = self._from("config")
        return source.configs.config(source.number)

    @property
    def repeat(self) -> int:
        """Which repeat of its configuration this is; 0 is the first."""
        return self.config.repeat

    @cached_property
    def inner(self) -> Any:
        """What the experiment returned; None for a task that failed or has not been run."""
        source = self._from("inner")
        if source.record is None or source.record.status != DONE:
            return None
        try:
            return source.store.value(source.record)
        except PayloadDamaged as exc:
            raise damaged(source.store, source.record, exc, _config_text(source)) from exc
        except ValueUnreadable as exc:
            task = self.key[:12]
            named = exc.problem.replace(task, f"{task} ({_config_text(source)})", 1)
            raise ValueUnreadable(exc.path, named, exc.todo) from exc.__cause__

    @cached_property
    def metrics(self) -> dict[str, pd.DataFrame]:
        """What the task recorded: for each metric a frame with `x` and `y`."""
        import pandas as pd

        source = self._from("metrics")
        if source.record is None:
            return {}
        try:
            series = source.store.index.metrics(source.record)
        except PayloadDamaged as exc:
            raise damaged(source.store, source.record, exc, _config_text(source)) from exc
        return {name: pd.DataFrame({"x": x, "y": y}) for name, (x, y) in series.items()}

    @cached_property
    def error(self) -> BaseException | None:
        """What a failed task raised; its cause prints the traceback from where it was raised."""
        if self._source is None or self.failure is None:
            return None
        source, record = self._source, self._source.record
        assert record is not None
        text = _config_text(source)
        task = f"Task: {text} (key {self.key[:12]}, attempt {record.attempt})"
        loads = load_exception if source.store.trusted else None
        return exception_of(
            self.failure, loads, task, config=self.config, key=self.key, attempt=record.attempt
        )

    @cached_property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts at the task, oldest first."""
        return () if self._source is None else tuple(self._source.store.index.attempts(self._source.key))

    @cached_property
    def artifacts(self) -> dict[str, Path]:
        """The files that the task kept: name -> path."""
        if self._source is None or self._source.record is None:
            return {}
        folder = Path(Layout(str(self._source.store.path)).artifacts(self.key))
        return {name: folder / name for name in self._source.record.artifacts}

    @cached_property
    def log(self) -> str:
        """What the task printed."""
        if self._source is None or self._source.record is None or self._source.record.log is None:
            return ""
        return self._source.store.log(self._source.record).decode("utf-8", "replace")

    def _from(self, name: str) -> Source:
        if self._source is None:  # unpickled halfway, or made without __init__
            raise AttributeError(f"this Result was built without {name!r}")
        return self._source

    def __getstate__(self) -> dict[str, Any]:
        # A copy that travels has no store to load from: it takes all with it.
        if self._source is not None:
            for name in _LAZY:
                getattr(self, name)
        return {name: value for name, value in self.__dict__.items() if name != "_source"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __repr__(self) -> str:
        return f"Result({', '.join(self._parts())})"

    def _parts(self) -> list[str]:
        parts = [f"config={self.config!r}", f"status={self.status!r}"]
        if self.status == DONE:
            parts.append(f"inner={value_text(self)}")
        elif self.failure is not None:
            parts.append(f"error={short_text(f'{self.failure.type}: {self.failure.message}')!r}")
        return parts


class BestResult(Result):
    """The best configuration of several repeats: the result of one of them, and what all come to.

    Attributes
    ----------
    mean, std : float
        Of the repeats' numbers; the spread is that of the sample, nan where there is one.
    n : int
        How many repeats have a number.
    by : str
        What was compared.
    results : Results
        All repeats of the configuration. This result itself is the repeat nearest to the mean.
    ties : list of Config
        The other configurations with the same mean.
    """

    mean: float
    std: float
    n: int
    by: str
    results: Any
    ties: list[Config]

    @classmethod
    def of(cls, result: Result, **facts: Any) -> BestResult:
        """Make one of a repeat's result."""
        self = cls.__new__(cls)
        self.__dict__.update(result.__dict__)
        self.__dict__.update(facts)
        return self

    def __repr__(self) -> str:
        spread = "" if self.std != self.std else f" ± {self.std:.4g}"
        mean = f"{self.by}={self.mean:.6g}{spread} (mean of {number_of(self.n, 'repeat')})"
        tied = [f"tied with {', '.join(map(repr, self.ties[:3]))}"] if self.ties else []
        return f"BestResult({', '.join([*self._parts(), mean, *tied])})"


def value_text(result: Result, limit: int = 80, *, rounded: bool = False) -> str:
    """Name a done task's value in a few words; unpickles nothing, and reads no file of arrays."""
    value: Any
    source = result._source
    if "inner" in result.__dict__ or source is None or source.record is None:
        value = result.__dict__.get("inner")
    else:
        encoded = source.record.value
        if encoded is None:
            return "None"
        if encoded.format == DAMAGED:
            return "<damaged>"
        found, value = source.store.readable(source.record)
        if not found and encoded.format in ("npy", "bytes") and encoded.data is not None:
            try:
                found, value = True, result.inner
            except Exception:
                found = False
        if not found:
            return f"<{encoded.type.rpartition(':')[2]}, {size_text(encoded.size)}>"
    value = plain(value)
    return f"{value:.6g}" if rounded and isinstance(value, float) else short_text(value, limit)


def size_text(size: int) -> str:
    """Say a number of bytes in few characters.

    Examples
    --------
    >>> size_text(134), size_text(40_000_128)
    ('134 bytes', '40 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return number_of(size, "byte")


def local_time(seconds: float) -> datetime:
    """Return UTC seconds as local time without a zone, which 1.2.0's results have."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).astimezone().replace(tzinfo=None)


def load_exception(data: bytes) -> Any:
    """Unpickle an exception as a worker pickled it."""
    from memento.values import pickling

    return pickling.loads_value(data)


def _config_text(source: Source) -> str:
    return config_text(source.configs.config(source.number))


def config_text(config: Config) -> str:
    """Name a configuration in one line.

    Examples
    --------
    >>> config_text(Config(model=dict, C=1.0))
    'model=dict, C=1.0'
    """
    texts = config._texts()
    repeat = texts.pop("repeat", "") if "repeat" not in config else ""
    parts = [f"{name}={text if len(text) <= 40 else _middle(text)}" for name, text in texts.items()]
    if repeat:
        parts.append(f"repeat={repeat}")
    return ", ".join(parts) or "no parameters"


def _middle(text: str, limit: int = 40) -> str:
    """Cut a text in its middle: both ends tell it from others."""
    head = limit // 2
    return f"{text[:head]}…{text[head + 1 - limit :]}"
