"""Save what a loop changes, and bring it back in place: the names that the task has for it stay names of it.

Knows: states, part by part. May not know: loops, files.

    capture   what to save: a tree of `Saved`; nothing is copied
    fill      the tree goes into the objects that stand there now, however deep; what was one object stays one object
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from memento.context.generators import set_state, state_of
from memento.context.states import (
    CannotFill,
    all_plain,
    an,
    attributes,
    fields,
    how_to_fill,
    is_of_the_project,
    own_state,
)

_CONTAINERS = ("list", "deque", "dict", "set")
_BUILT_IN = (list, dict, set)


class Saved:
    """One object of a state, as it is saved; `how` it is filled is a word of `how_to_fill`."""

    __slots__ = ("attributes", "how", "parts", "whole")

    def __init__(self, how: str) -> None:
        self.how = how
        self.parts: Any = None  # what it holds; further `Saved` where that is filled in its turn
        self.attributes: Any = None  # those of a container of the user's own class
        self.whole: Any = None  # what to put where nothing stands that could be filled


_ALL: Mapping[int, Any] = {}


def capture(state: Any, stood: Mapping[int, Any] = _ALL) -> Any:
    """Return what to save of a loop's state; nothing is copied.

    What `stood` in it when the loop began, by its id, will stand there again when the loop goes on.
    """
    return _Capture(stood).of(state)


class _Capture:
    def __init__(self, stood: Mapping[int, Any]) -> None:
        self._stood = stood
        self._saved: dict[int, Saved] = {}
        self._kept: list[Any] = []  # so that no id is used twice

    def of(self, value: Any) -> Any:
        if all_plain((value,)):
            return value
        known = self._saved.get(id(value))
        if known is not None:
            return known
        how = how_to_fill(value)
        saved = self._saved[id(value)] = Saved(how)
        self._kept.append(value)
        save = getattr(self, f"_{how}", None)
        if save is None:  # arrays, sets, bytes; what came into the state since it was checked
            saved.parts = value
        else:
            save(value, saved)
        if how in _CONTAINERS and type(value) not in _BUILT_IN and attributes(value):
            saved.attributes = self._each(attributes(value))
        return saved

    def _each(self, values: dict[Any, Any]) -> dict[Any, Any]:
        return {name: self.of(part) for name, part in values.items()}

    def _list(self, value: Any, saved: Saved) -> None:
        saved.parts = list(value) if all_plain(value) else [self.of(part) for part in value]
        saved.whole = _empty(value)

    _deque = _list

    def _dict(self, value: Any, saved: Saved) -> None:
        saved.parts = dict(value) if all_plain(value.values()) else self._each(value)
        saved.whole = _empty(value)

    def _tuple(self, value: Any, saved: Saved) -> None:
        saved.parts, saved.whole = [self.of(part) for part in value], type(value)

    def _frozen(self, value: Any, saved: Saved) -> None:
        saved.parts, saved.whole = self._each(fields(value)), type(value)

    def _object(self, value: Any, saved: Saved) -> None:
        saved.parts, saved.whole = self._each(attributes(value)), type(value)

    def _pickled(self, value: Any, saved: Saved) -> None:
        state = own_state(value)
        if isinstance(state, dict) and is_of_the_project(value):
            saved.parts, saved.whole = self._each(state), type(value)
        else:  # a library's own affair
            saved.parts = value

    def _state_dict(self, value: Any, saved: Saved) -> None:
        saved.parts, saved.whole = value.state_dict(), type(value).__qualname__
        if self._stood and id(value) not in self._stood and _is_apart(value, self._stood):
            # A copy of the best model so far: nothing will stand in its place.
            saved.parts, saved.whole = None, value

    def _generator(self, value: Any, saved: Saved) -> None:
        saved.parts, saved.whole = state_of(value), value

    def _tensor(self, value: Any, saved: Saved) -> None:
        saved.parts = value if value.is_leaf else value.detach()

    def _named(self, value: Any, saved: Saved) -> None:
        # What has no name by which to find it again stays what it is: its pickle would hold a second self of all that
        # it refers to.
        name = getattr(value, "__qualname__", "<")
        found = getattr(sys.modules.get(getattr(value, "__module__", None) or ""), name, None)
        saved.parts = value if found is value else None


def _is_apart(value: Any, stood: Mapping[int, Any]) -> bool:
    """Tell whether an object is a PyTorch module that shares no tensor with those that are brought back in place."""
    kind = getattr(getattr(sys.modules.get("torch"), "nn", None), "Module", None)
    if kind is None or not isinstance(value, kind):
        return False
    others = [other for other in stood.values() if isinstance(other, kind)]
    return _places(value).isdisjoint(*map(_places, others))


def _places(module: Any) -> set[int]:
    """Return where the tensors of a module lie in memory."""
    return {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers()) if tensor.numel()}


def _empty(value: Any) -> Any:
    """Return an empty container of the same kind, to be filled where none stands; None for the usual ones."""
    if type(value) in (list, dict):
        return None
    import copy
    from collections import defaultdict

    if type(value) is defaultdict:
        factory = value.default_factory
        return defaultdict(factory if isinstance(factory, type) else None)
    try:
        made = copy.copy(value)
        made.clear()
        getattr(made, "__dict__", {}).clear()
    except Exception:
        return None
    return made


def fill(state: Any, saved: Any) -> None:
    """Bring a state back, in place; CannotFill names the part at which what was saved does not fit."""
    if state is not None and _Fill().into(state, saved, "state") is not state:
        raise CannotFill(_misfit(state, saved, "state"))


def _misfit(there: Any, saved: Any, path: str) -> str:
    was, now = _described(saved), _described(there)
    return (
        f"loop: what was saved at {path} is {was}, and there is {now} now, so it cannot be brought back. Give the loop"
        " the state that it had, or begin anew: run with force_run=True."
    )


def _described(value: Any) -> str:
    inner = value.parts if isinstance(value, Saved) else value
    kind = (value.how or "object") if isinstance(value, Saved) else type(value).__qualname__
    shape = getattr(inner, "shape", None)
    if shape is None:
        return an(kind)
    return f"{an(kind)} of shape {tuple(shape)} and type {getattr(inner, 'dtype', '?')}"


class _Fill:
    """Goes through what was saved and what stands there, side by side."""

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}  # what stands for a `Saved` now

    def into(self, there: Any, saved: Any, path: str) -> Any:
        """Return what is to stand at a place: the object that is there, filled, wherever that can be."""
        if not isinstance(saved, Saved):
            return saved
        if id(saved) in self._made:
            return self._made[id(saved)]
        if there is not None and how_to_fill(there) != saved.how:
            there = None
        put = getattr(self, f"_{saved.how}", None)
        made = saved.parts if put is None else put(there, saved, path)
        self._made[id(saved)] = made
        for name, part in (saved.attributes or {}).items():
            object.__setattr__(made, name, self.into(getattr(made, name, None), part, f"{path}.{name}"))
        return made

    def _stands(self, there: Any, saved: Saved, kind: type) -> Any:
        made = there
        if made is None:
            made = kind() if saved.whole is None else saved.whole
        self._made[id(saved)] = made  # before its parts, which may lead back to it
        return made

    def _list(self, there: Any, saved: Saved, path: str) -> Any:
        made = self._stands(there, saved, list)
        old = list(made)
        values = [
            self.into(old[i] if i < len(old) else None, part, f"{path}[{i}]")
            for i, part in enumerate(saved.parts)
        ]
        made.clear()
        made.extend(values)
        return made

    _deque = _list

    def _dict(self, there: Any, saved: Saved, path: str) -> Any:
        made = self._stands(there, saved, dict)
        old = dict(made)
        values = {key: self.into(old.get(key), part, f"{path}[{key!r}]") for key, part in saved.parts.items()}
        made.clear()
        for key, value in values.items():
            made[key] = value
        return made

    def _set(self, there: Any, saved: Saved, path: str) -> Any:
        if there is None:
            return saved.parts
        there.clear()
        there.update(saved.parts)
        return there

    def _slice(self, there: Any, saved: Saved, path: str) -> Any:
        if there is None:
            return saved.parts
        there[:] = saved.parts
        return there

    def _tuple(self, there: Any, saved: Saved, path: str) -> Any:
        old = list(there) if there is not None else []
        old += [None] * (len(saved.parts) - len(old))
        parts = [self.into(old[i], part, f"{path}[{i}]") for i, part in enumerate(saved.parts)]
        if there is not None and len(old) == len(parts) and all(map(_same, old, parts)):
            return there
        return tuple.__new__(saved.whole, parts)

    def _frozen(self, there: Any, saved: Saved, path: str) -> Any:
        old = fields(there) if there is not None else {}
        parts = {name: self.into(old.get(name), part, f"{path}.{name}") for name, part in saved.parts.items()}
        if there is not None and all(_same(old.get(name), part) for name, part in parts.items()):
            return there
        made = object.__new__(saved.whole if there is None else type(there))
        for name, part in parts.items():
            object.__setattr__(made, name, part)
        return made

    def _object(self, there: Any, saved: Saved, path: str) -> Any:
        made = object.__new__(saved.whole) if there is None else there
        self._made[id(saved)] = made
        old = attributes(made)
        parts = {name: self.into(old.get(name), part, f"{path}.{name}") for name, part in saved.parts.items()}
        for name in old.keys() - parts.keys():
            object.__delattr__(made, name)
        for name, part in parts.items():
            object.__setattr__(made, name, part)
        return made

    def _pickled(self, there: Any, saved: Saved, path: str) -> Any:
        if saved.whole is None:
            if there is None or type(there) is not type(saved.parts):
                return saved.parts
            there.__setstate__(own_state(saved.parts))
            return there
        made = object.__new__(saved.whole) if there is None else there
        self._made[id(saved)] = made
        old = own_state(there) if there is not None else {}
        old = old if isinstance(old, dict) else {}
        parts = {name: self.into(old.get(name), part, f"{path}.{name}") for name, part in saved.parts.items()}
        made.__setstate__(parts)
        return made

    def _state_dict(self, there: Any, saved: Saved, path: str) -> Any:
        kept = None if isinstance(saved.whole, str) else saved.whole
        if kept is not None:
            if there is None:
                return kept
            there.load_state_dict(kept.state_dict())
            return there
        if there is None:
            raise CannotFill(
                f"loop: what was saved at {path} is {an(saved.whole)}, which has a state_dict(), and there is none in"
                " its place now. Make it before the loop, and put it into the state there."
            )
        there.load_state_dict(saved.parts)
        return there

    def _generator(self, there: Any, saved: Saved, path: str) -> Any:
        if there is None or type(there) is not type(saved.whole):
            return saved.whole
        set_state(there, saved.parts)
        return there

    def _array(self, there: Any, saved: Saved, path: str) -> Any:
        value = saved.parts
        fits = there is not None and there.shape == value.shape and there.dtype == value.dtype
        if not fits or not there.flags.writeable:
            return value
        there[...] = value
        return there

    def _tensor(self, there: Any, saved: Saved, path: str) -> Any:
        value = saved.parts
        if there is None or there.shape != value.shape or there.dtype != value.dtype:
            return value
        try:
            with sys.modules["torch"].no_grad():
                there.copy_(value)
        except RuntimeError:  # several of its elements are one place in memory
            return value
        return there

    def _named(self, there: Any, saved: Saved, path: str) -> Any:
        if saved.parts is None and there is None:
            raise CannotFill(_misfit(there, saved, path))
        return there if saved.parts is None else saved.parts


def _same(one: Any, other: Any) -> bool:
    return one is other or (all_plain((one, other)) and type(one) is type(other) and bool(one == other))
