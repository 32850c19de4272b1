"""What one task came to: its value, its metrics, and how it went.

Knows: one task's record, and a store to load the rest from. May not know: other tasks, matrices, runs.

A `Result` that comes from a store loads each part when it is first touched; one that a program builds
itself, as scripts for 1.2.0 may, holds what it was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memento.config import Config, plain, short_text
from memento.errors import PayloadDamaged, ValueUnreadable
from memento.records import DAMAGED, DONE, Attempt, Failure, TaskRecord, Warned
from memento.results.remote import exception_of
from memento.results.scan import damaged
from memento.values.describe import LargeValue
from memento.wording import number_of

if TYPE_CHECKING:
    import pandas as pd

    from memento.results.selection import Source

MISSING = "missing"

_HERE = frozenset(("_source", "_number", "_record"))  # that stay where the store is
_LAZY = ("config", "metrics", "error", "attempts", "artifacts", "log")


class _Inner:
    """`Result.inner`, where a program has not set it: loaded when it is touched, and kept where it is small."""

    def __get__(self, result: Result | None, owner: type[Result]) -> Any:
        return self if result is None else result._touched()


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


class Result:
    """One task's value, metrics, and how it went.

    Parameters
    ----------
    config : Config
        Its configuration.
    inner : object
        What the experiment returned; None for a task that failed or has not been run. A large one (a file in the
        store) is loaded when it is touched, and let go when another one is, so that a loop over results needs room
        for one; hold it in a name of your own to change it.
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
    value : object
        The same as `inner`.
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

    # Where its parts come from; none for one that a program made itself, and for a copy that has travelled.
    _source: Source | None = None
    _number: int
    _record: TaskRecord | None = None  # none for a task that has not been run

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
    def stored(cls, source: Source, number: int, record: TaskRecord | None) -> Result:
        """Make a result that loads its parts from a store when they are touched."""
        self = cls.__new__(cls)
        self._source, self._number, self._record = source, number, record
        self.key = source.key(number).hex()
        self.start_time = self.runtime = self.cpu_time = self.memory = None
        if record is None:
            self.status, self.was_cached = MISSING, False
            return self
        self.status, self.failure, self.was_cached = (
            record.status,
            record.failure,
            bool(source.cached[number]),
        )
        if record.value is not None and record.value.format == DAMAGED:  # nothing in its row is certain
            return self
        self.warnings = record.warnings
        self.start_time = local_time(record.started)
        self.runtime = timedelta(seconds=record.runtime)
        if record.cpu_time is not None:
            self.cpu_time = timedelta(seconds=record.cpu_time)
        if record.memory is not None:
            self.memory = MemoryUsage(record.virtual or record.memory, record.memory)
        return self

    if not TYPE_CHECKING:  # for which every name would be there

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # it is there, and raised an AttributeError of its own
                return object.__getattribute__(self, name)
            from memento.results.advice import no_such_attribute

            # Its private parts may not be there yet, while it is unpickled.
            parameters = () if name.startswith("_") else self.config
            raise AttributeError(no_such_attribute(self, name, parameters), name=name, obj=self)

    @cached_property
    def config(self) -> Config:
        """The task's configuration."""
        return self._from("config").tasks.config(self._number)

    @property
    def repeat(self) -> int:
        """Which repeat of its configuration this is; 0 is the first."""
        return self.config.repeat

    inner: Any = _Inner()

    @property
    def value(self) -> Any:
        """What the experiment returned: the same as `inner`, the name that 1.2.0 had for it."""
        return self.inner

    def _touched(self) -> Any:
        source, record = self._from("inner"), self._record
        value = None
        if record is not None and record.status == DONE:
            if record.value is not None and record.value.ref is not None:
                return source.large_values.get(record.id, partial(self._loaded, source, record))
            value = self._loaded(source, record)
        self.__dict__["inner"] = value
        return value

    def _loaded(self, source: Source, record: TaskRecord) -> Any:
        try:
            return source.store.value(record)
        except PayloadDamaged as exc:
            raise damaged(source.store, record, exc, source.named(self._number)) from exc
        except ValueUnreadable as exc:
            task = self.key[:12]
            named = exc.problem.replace(task, f"{task} ({source.named(self._number)})", 1)
            raise ValueUnreadable(exc.path, named, exc.todo) from exc.__cause__

    @cached_property
    def metrics(self) -> dict[str, pd.DataFrame]:
        """What the task recorded: for each metric a frame with `x` and `y`."""
        import pandas as pd

        from memento.results.advice import Recorded

        source, record = self._from("metrics"), self._record
        if record is None:
            return Recorded()
        try:
            series = source.store.index.metrics(record)
        except PayloadDamaged as exc:
            raise damaged(source.store, record, exc, source.named(self._number)) from exc
        return Recorded({name: pd.DataFrame({"x": x, "y": y}) for name, (x, y) in series.items()})

    @cached_property
    def error(self) -> BaseException | None:
        """What a failed task raised; its cause prints the traceback from where it was raised."""
        source, record = self._source, self._record
        if source is None or record is None or self.failure is None:
            return None
        task = f"Task: {source.named(self._number)} (key {self.key[:12]}, attempt {record.attempt})"
        facts = {"config": self.config, "key": self.key, "attempt": record.attempt}
        return exception_of(self.failure, task, trusted=source.store.trusted, **facts)

    @cached_property
    def attempts(self) -> Sequence[Attempt]:
        """All attempts at the task, oldest first."""
        return (
            () if self._source is None else tuple(self._source.store.index.attempts(bytes.fromhex(self.key)))
        )

    @cached_property
    def artifacts(self) -> dict[str, Path]:
        """The files that the task kept: name -> path, to which it is brought where it is in an object store."""
        if self._source is None or self._record is None:
            return {}
        return {name: Path(path) for name, path in self._source.store.artifacts(self._record).items()}

    @cached_property
    def log(self) -> str:
        """What the task printed."""
        if self._source is None or self._record is None or self._record.log is None:
            return ""
        return self._source.store.log(self._record).decode("utf-8", "replace")

    def _from(self, name: str) -> Source:
        if self._source is None:  # unpickled halfway, or made without __init__
            raise AttributeError(f"this Result was built without {name!r}")
        return self._source

    def __getstate__(self) -> dict[str, Any]:
        # A copy that travels has no store to load from: it takes all with it.
        if self._source is not None:
            for name in _LAZY:
                getattr(self, name)
        state = {name: value for name, value in self.__dict__.items() if name not in _HERE}
        return state if self._source is None else state | {"inner": self.inner}

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


def value_text(result: Result, limit: int = 80) -> str:
    """Name a done task's value in a few words; unpickles nothing, and reads no file of arrays."""
    value = value_to_show(result)
    return f"<{value}>" if type(value) is LargeValue else short_text(value, limit)


def value_to_show(result: Result) -> Any:
    """Return a done task's value as plain data, a `LargeValue` for one that would have to be unpickled or read."""
    source, record = result._source, result._record
    if "inner" in result.__dict__ or source is None or record is None:
        return plain(result.__dict__.get("inner"))
    if record.value is None:
        return None
    if record.value.format == DAMAGED:
        return LargeValue.named("damaged")
    found, value = source.store.readable(record)
    if found:
        return plain(value)
    if record.value.data is not None and record.value.format in ("npy", "bytes"):
        with suppress(Exception):
            return plain(result.inner)
    return LargeValue.of(record.value)


def local_time(seconds: float) -> datetime:
    """Return UTC seconds as local time without a zone, which 1.2.0's results have."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).astimezone().replace(tzinfo=None)
