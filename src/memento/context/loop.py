"""Loops that save themselves and go on where they were.

Knows: a task's checkpoints, iterables, states. May not know: how checkpoints are stored, who asks for an end.

All loops of a task are saved together, apart from what `checkpoint` saves: each by its name, with how many items are
done and its state. Finished loops stay in the save, so that a second loop's checkpoint also brings back what the
first one trained; loops inside an item are forgotten when the item is done.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.context.space import StopTask

if TYPE_CHECKING:
    from memento.context.context import Context

_UNITS = {"": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0}
_UNITS |= {"h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0, "ms": 0.001}
_COUNTED = frozenset({"step", "iteration", "item", "epoch", "batch", "batche"})


class Every(NamedTuple):
    """When to save: after so many seconds, or so many items."""

    seconds: float | None
    steps: int | None


def parse_every(every: float | str) -> Every:
    """Read an interval.

    Examples
    --------
    >>> parse_every("10min").seconds, parse_every("100 steps").steps, parse_every(2).seconds
    (600.0, 100, 2.0)
    """
    text = str(every).strip().lower()
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", text)
    if match is not None and not isinstance(every, bool):
        amount, unit = float(match[1]), match[2]
        unit = unit.removesuffix("s") if len(unit) > 1 and unit != "ms" else unit
        if unit in _COUNTED and amount >= 1 and amount == int(amount):
            return Every(None, int(amount))
        if unit in _UNITS:
            return Every(amount * _UNITS[unit], None)
    raise ValueError(
        f"loop(every={every!r}): give seconds, or a text like '30s', '10min', '2h' or '100 steps'"
    )


class Stated(NamedTuple):
    """What an object's own `state_dict` gave."""

    state: Any


class Attributes(NamedTuple):
    """The attributes of an object that has no `state_dict`."""

    values: dict[str, Any]


def _keeps_state(value: Any) -> bool:
    return (
        not isinstance(value, type)
        and callable(getattr(value, "state_dict", None))
        and callable(getattr(value, "load_state_dict", None))
    )


def _fills(value: Any) -> bool:
    """Say whether an object can be filled in place."""
    if value is None or _keeps_state(value) or isinstance(value, (dict, list, deque, set, bytearray)):
        return True
    if isinstance(value, tuple):
        return all(_fills(part) for part in value)
    return _is_array(value) or isinstance(getattr(value, "__dict__", None), dict)


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def capture(state: Any) -> Any:
    """Return what to save of a loop's state; nothing is copied."""
    if _keeps_state(state):
        return Stated(state.state_dict())
    if isinstance(state, dict):
        return {name: Stated(v.state_dict()) if _keeps_state(v) else v for name, v in state.items()}
    if isinstance(state, tuple):
        return [capture(part) for part in state]
    if isinstance(state, list):
        return [Stated(v.state_dict()) if _keeps_state(v) else v for v in state]
    if isinstance(state, (deque, set, bytearray)) or state is None or _is_array(state):
        return state
    return Attributes(dict(vars(state)))


def fill(state: Any, saved: Any) -> None:
    """Bring a loop's state back, in place: the names that the task holds stay the same objects."""
    if state is None:
        return
    if isinstance(saved, Stated):
        state.load_state_dict(saved.state)
    elif isinstance(state, dict):
        values = {name: _part(state.get(name), value) for name, value in saved.items()}
        state.clear()
        state.update(values)
    elif isinstance(state, tuple):
        for part, value in zip(state, saved, strict=True):
            fill(part, value)
    elif isinstance(state, list):
        state[:] = [_part(state[i] if i < len(state) else None, value) for i, value in enumerate(saved)]
    elif isinstance(state, deque):
        state.clear()
        state.extend(saved)
    elif isinstance(state, set):
        state.clear()
        state.update(saved)
    elif isinstance(state, bytearray):
        state[:] = saved
    elif _is_array(state):
        state[...] = saved
    else:
        vars(state).clear()
        vars(state).update(saved.values)


def _part(there: Any, value: Any) -> Any:
    """Return a part of a restored container: the object that stands there, filled, if it keeps its own state."""
    if not isinstance(value, Stated):
        return value
    if not _keeps_state(there):
        raise TypeError(
            "loop: an object of the saved state has a state_dict(), and there is none in its place now"
        )
    there.load_state_dict(value.state)
    return there


class Entry:
    """One loop's place in the save."""

    __slots__ = ("done", "finished", "state")

    def __init__(self, state: Any) -> None:
        self.done, self.finished, self.state = 0, False, state


class Loops:
    """All loops of one task: which run, which are finished, what an earlier attempt saved."""

    def __init__(self, context: Context) -> None:
        self.context = context
        space = context._place()
        self.clock, self.stopping = space.clock, space.stopping
        self.entries: dict[str, Entry] = {}
        self.running: list[str] = []
        self._checkpoints = context._checkpoints_at(f"{context.key}/loops")
        self._saved: dict[str, tuple[int, bool, Any]] = {}
        if self._checkpoints.exists():
            (self._saved,), extra = self._checkpoints.load()
            context._take(extra)

    def enter(self, name: str | None, state: Any) -> tuple[str, Entry]:
        """Begin a loop: where it was saved, its state is filled and its place known."""
        above = self.running[-1] + f"[{self.entries[self.running[-1]].done}]/" if self.running else ""
        if name is None:
            within = [n for n in self.entries if n.startswith(above) and "/" not in n[len(above) :]]
            name = str(len(within))
        full = above + name.replace("/", "_")
        if full in self.entries:
            raise RuntimeError(
                f"loop(name={name!r}): this task has had a loop of that name. Give each its own name."
            )
        entry = self.entries[full] = Entry(state)
        saved = self._saved.pop(full, None)
        if saved is not None:
            entry.done, entry.finished, value = saved
            fill(state, value)
        self.running.append(full)
        return full, entry

    def leave(self, name: str) -> None:
        """End a loop; a loop that ended out of turn (left by an exception) takes those inside with it."""
        if name in self.running:
            del self.running[self.running.index(name) :]

    def forget_inside(self, name: str, item: int) -> None:
        """Forget the loops that ran inside an item that is done."""
        inside = f"{name}[{item}]/"
        for other in [n for n in self.entries if n.startswith(inside)]:
            del self.entries[other]

    def save(self) -> None:
        """Save all loops, and what goes with them."""
        states = {n: (e.done, e.finished, capture(e.state)) for n, e in self.entries.items()}
        self._checkpoints.save((states,), self.context._extra())


class Loop:
    """One loop of a task.

    Parameters
    ----------
    loops : Loops
        Those of the task.
    iterable, state, every, name : object
        As `Context.loop` has them.
    """

    def __init__(
        self, loops: Loops, iterable: Iterable[Any], state: Any, every: float | str, name: str | None
    ) -> None:
        if not _fills(state):
            raise TypeError(
                f"loop(state=...): a {type(state).__qualname__} cannot be filled in place when the loop goes on in a"
                " later attempt. Give a dict, a list, or an object with state_dict() and load_state_dict()."
            )
        self._loops, self._iterable, self._state, self._name = loops, iterable, state, name
        self._every = parse_every(every)

    def run(self) -> Iterator[Any]:
        """Yield what is not done yet."""
        loops = self._loops
        name, entry = loops.enter(self._name, self._state)
        top = len(loops.running) == 1
        seconds, steps = self._every
        monotonic, stopping, progress = loops.clock.monotonic, loops.stopping, loops.context.progress
        completed = False
        try:
            if entry.finished:
                completed = True
                return
            if top:
                total = len(self._iterable) if isinstance(self._iterable, Sized) else None
                progress(entry.done - loops.context._done, total)
            if stopping():
                raise StopTask
            due = monotonic() + (seconds or 0.0)
            since = 0
            for item in remaining(self._iterable, entry.done):
                yield item
                loops.forget_inside(name, entry.done)
                entry.done += 1
                since += 1
                if top:
                    progress(1)
                ask = stopping()
                if (
                    ask
                    or (steps is not None and since >= steps)
                    or (seconds is not None and monotonic() >= due)
                ):
                    loops.save()
                    if ask:
                        raise StopTask
                    since, due = 0, monotonic() + (seconds or 0.0)
            completed = True
        except GeneratorExit:  # `break`: what comes after the loop counts on it being over
            completed = True
            raise
        finally:
            entry.finished = completed
            loops.leave(name)


def remaining(iterable: Iterable[Any], done: int) -> Iterator[Any]:
    """Return an iterator over what follows the first `done` items; sequences are not walked through."""
    if not done:
        return iter(iterable)
    if isinstance(iterable, Sequence) or _is_array(iterable):
        items: Any = iterable
        return (items[i] for i in range(done, len(items)))
    return islice(iter(iterable), done, None)
