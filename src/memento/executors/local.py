"""Give tasks that run in this very process what the program has: nothing needs to be pickled for them.

Knows: copies of values, stations. May not know: who asks for them.

A task that changes a value in place must change nothing for the next, so each gets a copy of its own, as far as there
can be one: what has a lock, a connection or a device in it is handed over as it is, and what lies beside it is copied.
"""

from __future__ import annotations

import contextvars
import copy
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from memento.errors import MementoError
from memento.values import pickling
from memento.worker.options import Options
from memento.worker.task_runner import Conditions, Station, is_unchangeable
from memento.worker.work import Work

if TYPE_CHECKING:
    from typing import TypeVar

    _T = TypeVar("_T")

_KEEP = 1_000_000  # bytes; larger pickles are made again rather than kept beside the value


class Lent:
    """One value, for many tasks.

    Parameters
    ----------
    value : object
        The program's own.

    Examples
    --------
    >>> import threading
    >>> lent = Lent({"numbers": [1], "lock": threading.Lock()})
    >>> one, two = lent.get(), lent.get()
    >>> one["numbers"] is two["numbers"], one["lock"] is two["lock"]
    (False, True)
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self.shared = is_unchangeable(value)  # by all tasks: nothing can be changed in it
        self._data: bytes | None = None
        self._pickles = not self.shared

    def get(self) -> Any:
        """Return a copy; the value itself where nothing can be changed in it, or no copy can be made."""
        if self.shared:
            return self._value
        if self._pickles:
            try:
                # As other executors do it: what a pickle leaves out is missing here as well.
                data = pickling.dumps(self._value) if self._data is None else self._data
                made = pickling.loads(data)
            except MementoError:  # an upstream result that is damaged
                raise
            except Exception:  # whatever somebody's __reduce__ raises
                self._pickles = False
            else:
                self._data = data if len(data) <= _KEEP else None
                return made
        return copied(self._value)


def copied(value: Any) -> Any:
    """Copy what can be copied of a value; parts for which that fails are the same objects."""
    try:
        return _copied(value, {})
    except Exception:  # nested too deep
        return value


def _copied(value: Any, made: dict[int, Any]) -> Any:
    if id(value) in made:
        return made[id(value)]
    kind = type(value)
    result: Any
    if kind is dict:
        result = made[id(value)] = {}
        result.update((key, _copied(part, made)) for key, part in value.items())
    elif kind is list:
        result = made[id(value)] = []
        result.extend(_copied(part, made) for part in value)
    elif kind is tuple:
        result = tuple(_copied(part, made) for part in value)
    else:
        try:
            result = copy.deepcopy(value, dict(made))
        except Exception:  # a lock, a socket, a client
            result = value
    made[id(value)] = result
    return result


class LocalValues:
    """Values by number, for tasks of this process.

    Parameters
    ----------
    values : sequence of bytes
        Those of `Work.values`. Where it has a method `here`, that returns the program's own value of a number, and
        nothing is asked for its bytes.
    """

    def __init__(self, values: Sequence[bytes]) -> None:
        here: Callable[[int], Any] | None = getattr(values, "here", None)
        self._here = here if here is not None else lambda number: pickling.loads(values[number])
        self._lent: dict[int, Lent] = {}
        self.follow: Callable[[Any], None] | None = None  # hears of each function and class among them, once
        self._shared: dict[int, Any] = {}  # of these the values in which nothing can be changed

    def named(self, names: Sequence[str], numbers: Sequence[int]) -> dict[str, Any]:
        """Return the values of these numbers by these names."""
        shared = self._shared
        return {
            name: shared[n] if n in shared else self._get(n) for name, n in zip(names, numbers, strict=True)
        }

    def _get(self, number: int) -> Any:
        lent = self._lent.get(number)
        if lent is None:
            value = self._here(number)
            lent = self._lent[number] = Lent(value)
            if self.follow is not None and callable(value):
                self.follow(value)
            if lent.shared:
                self._shared[number] = lent.get()
        return lent.get()


class LocalSettings:
    """The settings, for tasks of this process.

    Parameters
    ----------
    settings : dict
        The program's own.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._plain = settings if all(map(is_unchangeable, settings.values())) else None
        self._lent = Lent(settings)

    def get(self) -> dict[str, Any]:
        """Return a copy that the task may change."""
        settings: dict[str, Any] = dict(self._plain) if self._plain is not None else self._lent.get()
        return settings


def local_station(work: Work, conditions: Conditions) -> Station:
    """Return a station that calls the very function that the program has."""
    function = work.function.here if work.function.here is not None else work.function.load()
    settings = work.settings.here if work.settings.here is not None else work.settings.load()
    return Station(work, conditions, function, LocalValues(work.values), LocalSettings(settings))


class OfThisThread:
    """What this thread has and a new one has not: NumPy's error state, decimal's precision, options of libraries."""

    def __init__(self) -> None:
        self._context = contextvars.copy_context()
        decimal = sys.modules.get("decimal")
        self._decimal = None if decimal is None else decimal.getcontext()
        self._options = Options(local=True)

    def call(self, func: Callable[..., _T], *args: Any) -> _T:
        """Call a function in another thread as if in this one."""
        return self._context.copy().run(self._call, func, args)

    def _call(self, func: Callable[..., _T], args: tuple[Any, ...]) -> _T:
        if self._decimal is not None:
            sys.modules["decimal"].setcontext(self._decimal.copy())  # or threads would share its flags
        self._options.put_back()
        return func(*args)
