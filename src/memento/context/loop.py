"""Iterate with automatic checkpoints.

Knows: a context's checkpoints, states of common shapes. May not know: files, tasks.

The position is saved with the state, in one file: they cannot disagree.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from memento.context.space import StopTask

if TYPE_CHECKING:
    from memento.context.context import Context

_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}  # fmt: skip
_STEPS = ("step", "iteration", "item", "epoch")


def parse_every(every: float | str) -> tuple[float | None, int | None]:
    """Read an interval: seconds, or a number of steps.

    Examples
    --------
    >>> parse_every("10min"), parse_every("100 steps"), parse_every(2.5)
    ((600.0, None), (None, 100), (2.5, None))
    """
    if isinstance(every, (int, float)) and not isinstance(every, bool) and every >= 0:
        return float(every), None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s*", str(every).lower())
    if match:
        unit = match[2] or "s"
        if unit in _STEPS and float(match[1]) >= 1:
            return None, int(float(match[1]))
        if unit in _SECONDS:
            return float(match[1]) * _SECONDS[unit], None
    seconds = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*s?\s*", str(every).lower())
    if seconds:
        return float(seconds[1]), None
    raise ValueError(f"every={every!r} is no interval: give seconds, or a text like '10min', '30s', '100 steps'")


def loop(context: Context, iterable: Iterable[Any], state: Any, every: float | str) -> Iterator[Any]:
    """Run `Context.loop`; the interval is checked at once, not at the first item."""
    seconds, steps = parse_every(every)
    if context._loops is not None and context._loops.get("active"):
        raise RuntimeError("context.loop is running already in this task: loops with checkpoints cannot be nested")
    return _iterate(context, iterable, state, seconds, steps)


def _iterate(
    context: Context, iterable: Iterable[Any], state: Any, seconds: float | None, steps: int | None
) -> Iterator[Any]:
    clock = context._space.clock
    done = _resume(context, state)
    total = len(iterable) if hasattr(iterable, "__len__") else None
    if total is not None:
        context.progress(done - context._done, total)
    context._loops = {"active": True, "position": done}
    saved_at, saved = clock.monotonic(), done
    items = iter(iterable)
    next(itertools.islice(items, done, done), None)
    for item in items:
        yield item
        done += 1
        context.progress(1)
        stopping = context.stopping
        due = done - saved >= steps if steps is not None else clock.monotonic() - saved_at >= (seconds or 0.0)
        if (due or stopping) and _can_save(context):
            context._loops = {"active": False, "position": done}
            context._save((_snapshot(state),))
            context._loops = {"active": True, "position": done}
            saved_at, saved = clock.monotonic(), done
        if stopping:
            raise StopTask(f"stopped after {done} steps; the state is saved")
    context._loops = None


def _can_save(context: Context) -> bool:
    return context._key is None


def _resume(context: Context, state: Any) -> int:
    """Put an earlier attempt's state back; return how many items it had done."""
    if not _can_save(context) or not context.checkpoint_exist():
        return 0
    values = context._load()
    position = (context._loops or {}).get("position")
    if position is None or len(values) != 1:
        return 0  # a checkpoint that the task made by itself, not by a loop
    restore_into(state, values[0])
    return int(position)


def _snapshot(state: Any) -> Any:
    """What is saved of a state."""
    if hasattr(state, "state_dict") and hasattr(state, "load_state_dict"):
        return state.state_dict()
    if type(state) is dict:
        return {name: _snapshot(part) for name, part in state.items()}
    if type(state) in (list, tuple):
        return type(state)(_snapshot(part) for part in state)
    return state


def restore_into(state: Any, saved: Any) -> None:
    """Put what was saved back into the object that the task holds.

    Raises
    ------
    TypeError
        The object cannot be changed in place.
    """
    if hasattr(state, "state_dict") and hasattr(state, "load_state_dict"):
        state.load_state_dict(saved)
    elif isinstance(state, dict):
        fresh = {name: _merged(state[name], part) if name in state else part for name, part in saved.items()}
        state.clear()
        state.update(fresh)
    elif isinstance(state, list):
        parts = [_merged(old, part) for old, part in itertools.zip_longest(state[: len(saved)], saved)]
        state[:] = parts
    elif isinstance(state, tuple):
        for old, part in zip(state, saved, strict=True):
            restore_into(old, part)
    elif hasattr(state, "dtype") and hasattr(state, "shape"):
        state[...] = saved
    elif hasattr(state, "__dict__"):
        state.__dict__.clear()
        state.__dict__.update(copy.copy(saved.__dict__))
    else:
        raise TypeError(
            f"context.loop cannot put a saved state back into a {type(state).__qualname__}:"
            " give it a dict, a list, an array, or an object with attributes or state_dict()"
        )


def _merged(old: Any, saved: Any) -> Any:
    """Restore in place what others may refer to; replace what cannot be changed."""
    in_place = hasattr(old, "load_state_dict") or (type(old) is type(saved) and isinstance(old, (dict, list)))
    if not in_place:
        return saved
    restore_into(old, saved)
    return old
