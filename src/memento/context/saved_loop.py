"""Loops that save themselves and go on where they were.

Knows: a task's checkpoints, iterables, states. May not know: how checkpoints are stored, who asks for an end.

All loops of a task are saved together, apart from what `checkpoint` saves: each by its name, with how many items are
done and its state. Finished loops stay in the save, so that a second loop's checkpoint also brings back what the
first one trained; loops inside an item are forgotten when the item is done.

Where the random generators were goes with each loop, so that the attempt that goes on draws what it would have drawn:

    the innermost loop     where they are when it is saved, between two items
    loops around it        where they were before their item: what stands before the inner loop runs again
    loops that are over    where they were at their end
    an iterable that is    where they were before it was begun: it may draw what it yields, as a loader that shuffles
    walked through

The step of what is recorded in a loop is the number of its item. A loop inside an item counts on from where the one in
the item before ended, so that a metric of batches is one curve over all epochs. What the lines before a loop recorded
is in the save, and these lines run again: a loop that goes on puts the metrics back to what they were.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.context.saved import capture, fill
from memento.context.states import check
from memento.context.task_space import StopTask
from memento.wording import seconds_in

if TYPE_CHECKING:
    from memento.context.attempt import Attempt

_END, _WHOLE = object(), object()
_SLOW = 0.005  # seconds an item; looking at the generators takes a hundredth of that
_SHARED = (int, float, complex, str, bytes, tuple, frozenset, type(None))  # one object stands in many places
_COUNTED = frozenset({"step", "iteration", "item", "epoch", "batch", "batche"})


class Every(NamedTuple):
    """When to save: after so many seconds, or so many items."""

    seconds: float | None
    steps: int | None


def parse_every(every: float | str) -> Every:
    """Read an interval."""
    match = re.fullmatch(r"\s*(\d+)\s*([a-z]+?)s?\s*", every.lower()) if isinstance(every, str) else None
    if match is not None and match[2] in _COUNTED and int(match[1]) >= 1:
        return Every(None, int(match[1]))
    seconds = seconds_in(every, short=True)
    if seconds is not None:
        return Every(seconds, None)
    raise ValueError(
        f"loop(every={every!r}): give seconds, or a text like '30s', '10min', '2h' or '100 steps'"
    )


class Names:
    """The names that the function around a loop has for its state, and for the parts of it.

    `state = step(state)` leaves the object that the loop was given as it was: saved, and brought back later, it would
    be the first one with the number of a later item, and the task's result another one than without an interruption.
    """

    def __init__(self, frame: FrameType, state: Any) -> None:
        self._frame = frame
        parts = {id(part): key for key, part in _parts(state) if not isinstance(part, _SHARED)}
        parts |= {} if state is None else {id(state): _WHOLE}
        self._known = [
            (name, parts.get(id(value), name), value)
            for name, value in frame.f_locals.items()
            if id(value) in parts or (isinstance(state, dict) and state.get(name, _WHOLE) is value)
        ]

    def problem(self, state: Any) -> str | None:
        """Say which name has another object now while the state has the one of the beginning, and what to write."""
        now = self._frame.f_locals if self._known else {}
        for name, key, value in self._known:
            if now.get(name, value) is value or _part(state, key) is not value:
                continue
            in_place = "Change it in place: state['total'] += 1, array[:] = new"
            todo = in_place if key is _WHOLE else f"Write state[{key!r}] = {name}, or change it in place"
            return (
                f"loop(state=...): {name!r} is another object now, and the state has the old one, so nothing is saved."
                f" {todo}."
            )
        return None


def _parts(state: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(state, dict):
        return state.items()
    return enumerate(state) if isinstance(state, (list, tuple)) else ()


def _part(state: Any, key: Any) -> Any:
    if key is _WHOLE:
        return state
    if isinstance(state, dict):
        return state.get(key, _WHOLE)
    return state[key] if key < len(state) else _WHOLE


class Entry:
    """One loop's place in the save."""

    __slots__ = ("before", "begun", "done", "draws", "finished", "names", "nests", "state", "stood")

    def __init__(self, state: Any, stood: dict[int, Any]) -> None:
        self.done, self.finished, self.state = 0, False, state
        self.before = 0  # items of this loop in the items before this one, where it stands in one
        self.stood = stood  # what was in the state when the loop began, by its id
        self.names: Names | None = None  # for the state, in the function around the loop
        self.nests = False  # an item has had a loop inside
        # Where the generators were before the iterable was begun, if it is walked through; before the item was asked
        # for, or at the end.
        self.begun: Any = None
        self.draws: Any = None


class Loops:
    """All loops of one task: which run, which are finished, what an earlier attempt saved."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        space = attempt.place()
        self.clock, self.stopping = space.clock, space.stopping
        self.entries: dict[str, Entry] = {}
        self.running: list[str] = []
        self._checkpoints = attempt.checkpoints_at(f"{attempt.folders}/loops")
        self._saved: dict[str, tuple[int, bool, Any, Any, Any]] = {}
        # A loop inside items, by its place -> its items, in items that are done.
        self._counted: dict[str, int] = {}
        self._metrics: Mapping[str, bytes] = {}  # of the save, until an item is done
        if self._checkpoints.exists():
            (self._saved,), extra = self._checkpoints.load()
            attempt.take(extra)
            self._counted, self._metrics = extra.get("counted", {}), extra.get("metrics", {})
        self.draws, self.bring_back = attempt.draws, attempt.bring_back

    def enter(self, name: str | None, state: Any, stood: dict[int, Any]) -> tuple[str, Entry]:
        """Begin a loop: where it was saved, its state is filled and its place known."""
        above = ""
        if self.running:
            around = self.entries[self.running[-1]]
            above = f"{self.running[-1]}[{around.done}]/"
            around.nests = True
        if name is None:
            within = [n for n in self.entries if n.startswith(above) and "/" not in n[len(above) :]]
            name = str(len(within))
        full = above + name.replace("/", "_")
        if full in self.entries:
            problem = f"loop(name={name!r}): this task has had a loop of that name. Give each its own name."
            raise RuntimeError(problem)
        entry = self.entries[full] = Entry(state, stood)
        entry.before = self._counted.get(_place(full), 0)
        saved = self._saved.pop(full, None)
        if saved is not None:
            entry.done, entry.finished, value, entry.begun, entry.draws = saved
            fill(state, value)
            if self.attempt.metrics is not None:
                self.attempt.metrics.restore(self._metrics, again=True)
        self.running.append(full)
        return full, entry

    def number_items(self) -> None:
        """Say what is the step of what is recorded from now on, until the innermost loop goes on or ends."""
        entry = self.entries[self.running[-1]] if self.running else None
        self.attempt.loop_step = None if entry is None else entry.before + entry.done

    def leave(self, name: str) -> None:
        """End a loop; a loop that ended out of turn (left by an exception) takes those inside with it."""
        if name in self.running:
            for other in self.running[self.running.index(name) :]:
                self.entries[other].names = None
            del self.running[self.running.index(name) :]
            self.number_items()

    def forget_inside(self, name: str, item: int) -> None:
        """Forget the loops that ran inside an item that is done, but for how many items they had."""
        inside, self._metrics = f"{name}[{item}]/", {}
        for other in [n for n in self.entries if n.startswith(inside)]:
            self.count(other, self.entries.pop(other).done)

    def count(self, name: str, items: int) -> None:
        """Count items of a loop, for the one that stands at its place in the next item."""
        self._counted[_place(name)] = self._counted.get(_place(name), 0) + items

    def save(self, name: str) -> bool:
        """Save all loops, and what goes with them, on behalf of one that is between two items.

        Returns False, and saves nothing, where a loop around it has not looked at the generators before its item: what
        stands before the inner loop could not draw the same again; or where a name of a state has another object now.
        """
        for entry in map(self.entries.__getitem__, self.running):
            problem = entry.names and entry.names.problem(entry.state)
            if problem:
                warnings.warn(problem, RuntimeWarning, stacklevel=3)  # at the line of the innermost loop
                return False
        if any(self.entries[other].draws is None for other in self.running if other != name):
            return False
        self.entries[name].draws = self.draws()
        states = {
            n: (e.done, e.finished, capture(e.state, e.stood), e.begun, e.draws)
            for n, e in self.entries.items()
        }
        self._checkpoints.save((states,), {**self.attempt.extra(), "counted": dict(self._counted)})
        return True


def _place(name: str) -> str:
    """Return what the loops have in common that stand at one place, in one item or another."""
    return re.sub(r"\[\d+\]/", "/", name)


class Loop:
    """One loop of a task."""

    def __init__(
        self, loops: Loops, iterable: Iterable[Any], state: Any, every: float | str, name: str | None
    ) -> None:
        self._stood = check(state)
        self._loops, self._iterable, self._state, self._name = loops, iterable, state, name
        self._every = parse_every(every)

    def run(self) -> Iterator[Any]:
        """Yield what is not done yet."""
        loops = self._loops
        name, entry = loops.enter(self._name, self._state, self._stood)
        entry.names = Names(sys._getframe(1), entry.state)
        top = len(loops.running) == 1
        seconds, steps = self._every
        monotonic, stopping, progress = loops.clock.monotonic, loops.stopping, loops.attempt.progress
        completed = False
        try:
            if entry.finished:
                loops.bring_back(entry.draws)
                completed = True
                return
            if top:
                total = len(self._iterable) if isinstance(self._iterable, Sized) else None
                progress(entry.done - loops.attempt.done, total)
            items = self._items(entry)
            if stopping():
                raise StopTask
            now = monotonic()
            due, since, slow, saved = now + (seconds or 0.0), 0, True, False
            while True:
                if not saved:
                    # For a loop inside the item; where items are short, only if there is one.
                    entry.draws = loops.draws() if slow or entry.nests else None
                item = next(items, _END)
                if item is _END:
                    break
                loops.number_items()
                yield item
                loops.forget_inside(name, entry.done)
                entry.done += 1
                since += 1
                if top:
                    progress(1)
                ask, before, now = stopping(), now, monotonic()
                slow, saved = now - before >= _SLOW, False
                if ask or (steps is not None and since >= steps) or (seconds is not None and now >= due):
                    saved = loops.save(name)
                    if ask:
                        raise StopTask
                    if saved:
                        now = monotonic()
                        since, due = 0, now + (seconds or 0.0)
            completed = True
        except GeneratorExit:  # `break`: what comes after the loop counts on it being over
            completed = True
            loops.count(name, 1)  # the item that it left was begun
            raise
        finally:
            if completed and not entry.finished:
                entry.finished, entry.draws = True, loops.draws()
            loops.leave(name)

    def _items(self, entry: Entry) -> Iterator[Any]:
        """Return what is not done yet, with the generators where they were when the loop was saved."""
        loops, iterable = self._loops, self._iterable
        goes_on, at_hand = entry.draws is not None, isinstance(iterable, Sequence) or _is_array(iterable)
        if not at_hand and not goes_on:
            entry.begun = loops.draws()
        elif entry.begun is not None:
            loops.bring_back(entry.begun)
        items = remaining(iterable, entry.done)
        if goes_on:
            loops.bring_back(entry.draws)
        return items


def remaining(iterable: Iterable[Any], done: int) -> Iterator[Any]:
    """Return an iterator over what follows the first `done` items; sequences are not walked through."""
    if done and (isinstance(iterable, Sequence) or _is_array(iterable)):
        sequence: Any = iterable
        return (sequence[i] for i in range(done, len(sequence)))
    items = iter(iterable)
    deque(islice(items, done), maxlen=0)
    return items


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"
