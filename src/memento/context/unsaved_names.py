"""Notice where a loop's body gives a name of the state another object, which the loop would not save.

Knows: the frame around a loop, its state. May not know: how a loop saves.

`state = step(state)` leaves the object that the loop was given as it was: saved, and brought back later, it would be
the first one with the number of a later item, and the task's result another one than without an interruption.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import FrameType
from typing import Any

_WHOLE = object()
_PLAIN = (int, float, complex, str, bytes, tuple, frozenset, type(None))  # one object stands in many places


class Names:
    """The names that the function around a loop has for its state, and for the parts of it."""

    def __init__(self, frame: FrameType, state: Any) -> None:
        self._frame = frame
        parts = {id(part): key for key, part in _parts(state) if not isinstance(part, _PLAIN)}
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
