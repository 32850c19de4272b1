"""Find the random generators that an experiment reaches and did not make: all its tasks share them.

Knows: functions, classes, objects and what these refer to. May not know: tasks, how a generator is set.

Nothing is imported, called or parsed: the names in compiled code lead on. A generator that is found and never drawn
from does no harm, so the way is wide: containers, attributes, what a library's object holds.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from memento.context.generators import global_generators, kind_of, origin_of
from memento.keys.names import is_project_module

_MOST = 5_000  # objects looked at
_DEEP = 4  # steps into objects of libraries
_WIDE = 1_000  # items of a container
_DEAD_ENDS = (int, float, complex, str, bytes, bool, type(None), range, bytearray)
_BOUND = (types.MethodType, types.BuiltinMethodType, type(object().__str__))


class Reach:
    """What was looked at so far: each object once, however many values lead to it."""

    def __init__(self) -> None:
        self._seen: dict[int, Any] = {}  # kept, so that no id is used twice
        self.files: dict[str, str] = {}  # where what was found is used first, by its label

    def generators(self, value: Any) -> Iterator[tuple[str, Any]]:
        """Yield the generators that are new, each with what the script calls it: ``rng``, ``common.rng``."""
        for one in global_generators():
            self._seen[id(one)] = one
        todo: list[tuple[str, Any, int, str]] = [("", value, 0, "")]
        while todo and len(self._seen) < _MOST:
            label, item, depth, file = todo.pop()
            if isinstance(item, _DEAD_ENDS) or id(item) in self._seen:
                continue
            self._seen[id(item)] = item
            if kind_of(item) is not None:
                bits = getattr(item, "bit_generator", None)
                if bits is not None and id(bits) in self._seen:
                    continue  # found under another object that draws from it
                self._seen[id(bits)] = bits
                label = self._unique(label or "it")
                self.files[label] = file
                yield label, item
                continue
            try:
                found = list(self._next(label, item, depth))
            except Exception:  # an object whose attributes cannot be read
                continue
            file = item.__code__.co_filename if isinstance(item, types.FunctionType) else file
            todo.extend((*one, file) for one in reversed(found))

    def _unique(self, label: str) -> str:
        name, number = label, 2
        while name in self.files:
            name, number = f"{label} ({number})", number + 1
        return name

    def _next(self, label: str, item: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
        if isinstance(item, types.FunctionType):
            yield from _of_function(item)
        elif isinstance(item, _BOUND):
            yield label, getattr(item, "__self__", None), depth
            yield label, getattr(item, "__func__", None), depth
        elif isinstance(item, functools.partial):
            yield label, item.func, depth
            yield from (("", one, depth) for one in (*item.args, *item.keywords.values()))
        elif isinstance(item, (list, tuple, set, frozenset)):
            yield from ((f"{label}[{i}]", one, depth) for i, one in enumerate(islice(item, _WIDE)))
        elif isinstance(item, dict):
            yield from ((f"{label}[{k!r}]", one, depth) for k, one in _held(item))
        elif isinstance(item, type):
            if is_project_module(item.__module__):
                yield from (_under(item.__name__, name, one) for name, one in _held(vars(item), None))
                yield from (("", base, 0) for base in item.__bases__)
        elif isinstance(item, (staticmethod, classmethod)):
            yield "", item.__func__, depth
        elif isinstance(item, property):
            yield from (("", one, depth) for one in (item.fget, item.fset))
        elif not isinstance(item, types.ModuleType):
            yield from self._of_object(label, item, depth)

    def _of_object(self, label: str, item: Any, depth: int) -> Iterator[tuple[str, Any, int]]:
        kind = type(item)
        own = is_project_module(kind.__module__)
        if depth > _DEEP:
            return
        for name, one in _held(getattr(item, "__dict__", {})):
            yield f"{label}.{name}" if label else str(name), one, depth + (not own)
        if own:
            slots = getattr(kind, "__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                yield f"{label}.{name}", getattr(item, name, None), depth
            yield "", kind, 0
        wrapped = getattr(item, "__wrapped__", None)
        if wrapped is not None:  # `functools.lru_cache`
            yield label, wrapped, depth


def _held(space: Mapping[Any, Any], most: int | None = _WIDE) -> Iterator[tuple[Any, Any]]:
    """Yield what a dict, or the dict of a class, holds in a copy: other threads of the program may add to it."""
    copied = dict.copy(space) if isinstance(space, dict) else space.copy()  # type: ignore[attr-defined]
    return islice(copied.items(), most)


def _under(owner: str, name: str, value: Any) -> tuple[str, Any, int]:
    return (f"{owner}.{name}" if owner else name), value, 0


def _of_function(func: types.FunctionType) -> Iterator[tuple[str, Any, int]]:
    wrapped = getattr(func, "__wrapped__", None)
    if wrapped is not None:
        yield "", wrapped, 0
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents, 0
        except ValueError:  # not assigned yet
            continue
    home = func.__globals__.get("__name__")
    if not is_project_module(home if isinstance(home, str) else None):
        return
    for one in (*(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values()):
        yield f"a default of {func.__name__}()", one, 0
    yield from (("", one, 0) for _, one in _held(vars(func), None))
    names = sorted(_names(func.__code__))
    for name in names:
        value = func.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if is_project_module(value.__name__):
                yield from (
                    _under(value.__name__, one, vars(value)[one]) for one in names if one in vars(value)
                )
        elif value is not None:
            yield name, value, 0


def _names(code: types.CodeType) -> set[str]:
    """Return all names that a function's code may look up, those of functions inside it too."""
    found, todo = set[str](), [code]
    while todo:
        one = todo.pop()
        found.update(one.co_names)
        todo += [inner for inner in one.co_consts if isinstance(inner, types.CodeType)]
    return found


def shared_generators(values: Iterable[Any]) -> tuple[list[str], dict[str, bytes]]:
    """Find the generators that tasks of an experiment share.

    Returns what people call them, ``rng (script.py)``, and by label what their children are derived from.
    """
    if not any(name in sys.modules for name in ("random", "numpy.random", "torch")):
        return [], {}
    reach = Reach()
    found = [one for value in values for one in reach.generators(value)]
    names = [f"{label} ({os.path.basename(reach.files[label])})" for label, _ in found]
    return names, {label: origin for label, generator in found if (origin := origin_of(generator))}
