"""Tell how an object that a loop changes can be brought back in place, and refuse what cannot.

Knows: containers, objects, arrays, tensors, generators. May not know: loops, files, what is saved.

A plain value (a number, a text, a date) cannot be changed, so it is replaced in the container or object that holds it;
by itself it is no state. Types of libraries are known by name: nothing here imports one that is not loaded.
"""

from __future__ import annotations

import copyreg
import dataclasses
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from memento.context.generators import kind_of
from memento.keys.names import is_project_module

_PLAIN = frozenset(
    {int, float, complex, bool, str, bytes, type(None), range, type(Ellipsis), type(NotImplemented)}
)
_NAMED = (
    type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, types.GenericAlias
)  # fmt: skip
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_POINTER = 8  # bytes


class CannotFill(TypeError):
    """A part of a loop's state cannot be brought back."""


def how_to_fill(value: Any) -> str:
    """Name the way in which an object is filled; "plain" where it can only be replaced, "" where not even that."""
    kind = type(value)
    if kind in _PLAIN:
        return "plain"
    if kind in (dict, list, tuple, deque, set):
        return kind.__name__
    if isinstance(value, _NAMED) or _is_of_the_process(kind):
        return "named"
    if _keeps_state(value):
        return "state_dict"
    if kind_of(value) is not None:
        return "generator"
    for base, way in _bases():
        if isinstance(value, base):
            return way
    if getattr(getattr(value, "__dataclass_params__", None), "frozen", False):
        return "frozen"
    if _has_value(value):
        return "plain"
    if own_state(value) is not None:
        return "pickled"
    return "object" if _is_written_in_python(kind) else ""


def _bases() -> Iterator[tuple[Any, str]]:
    numpy, torch, array = (sys.modules.get(name) for name in ("numpy", "torch", "array"))
    if torch is not None and hasattr(torch, "Tensor"):
        yield torch.Tensor, "tensor"
    if numpy is not None and hasattr(numpy, "ndarray"):
        yield numpy.ndarray, "array"
    if array is not None:
        yield array.array, "slice"
    yield bytearray, "slice"
    yield from ((dict, "dict"), (list, "list"), (deque, "deque"), (set, "set"), (tuple, "tuple"))


def _is_of_the_process(kind: type) -> bool:
    """Tell whether instances belong to this attempt and process, and not to what is saved: loggers, our contexts."""
    logging: Any = sys.modules.get("logging")
    return kind.__module__.startswith("memento.") or (
        logging is not None and issubclass(kind, (logging.Logger, logging.LoggerAdapter))
    )


def _keeps_state(value: Any) -> bool:
    return callable(getattr(value, "state_dict", None)) and callable(getattr(value, "load_state_dict", None))


def _has_value(value: Any) -> bool:
    """Tell whether an object is told from others by what it is worth, as numbers are: it does not change, then."""
    told: Any = type(value).__hash__
    if told is None or told is object.__hash__:
        return False
    try:
        hash(value)
    except Exception:
        return False
    return True


def own_state(value: Any) -> Any:
    """Return what an object gives to pickles and takes back by ``__setstate__``; None where it does not."""
    if not hasattr(type(value), "__setstate__"):
        return None
    try:
        made, args, state = value.__reduce_ex__(4)[:3]
    except Exception:
        return None
    return state if made is getattr(copyreg, "__newobj__", None) and args == (type(value),) else None


def _is_written_in_python(kind: type) -> bool:
    """Tell whether all that instances hold are attributes: no class in the line keeps anything in C."""
    if issubclass(kind, types.SimpleNamespace):
        return True
    pointers = 0
    for base in kind.__mro__[:-1]:
        if not base.__flags__ & _HEAP_TYPE:
            return False
        named = vars(base).get("__slots__", ())
        pointers += 1 if isinstance(named, str) else len(named)
        pointers += ("__dict__" in vars(base)) + ("__weakref__" in vars(base))
    return kind.__basicsize__ <= object.__basicsize__ + _POINTER * pointers


def attributes(value: Any) -> dict[str, Any]:
    """Return what an object holds: of its ``__dict__`` and of its slots."""
    found = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        named = vars(base).get("__slots__", ())
        for name in (named,) if isinstance(named, str) else named:
            if name in ("__dict__", "__weakref__"):
                continue
            if name.startswith("__") and not name.endswith("__"):
                name = f"_{base.__name__.lstrip('_')}{name}"
            if hasattr(value, name):
                found[name] = getattr(value, name)
    return found


def fields(value: Any) -> dict[str, Any]:
    """Return the fields of a frozen dataclass."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def all_plain(values: Any) -> bool:
    """Tell whether a container holds nothing that could be filled; a million numbers take some milliseconds."""
    return _PLAIN.issuperset(map(type, values))


def is_of_the_project(value: Any) -> bool:
    """Tell whether an object is of a class of the user's own."""
    return is_project_module(type(value).__module__)


# ---------------------------------------------------------------- before the first item


def check(state: Any) -> dict[int, Any]:
    """Raise CannotFill where a state could not be brought back in place; return what stands in it, by its id."""
    looking = _Check()
    looking.look(state, "state", held=False)
    return looking.seen


class _Check:
    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}

    def look(self, value: Any, path: str, *, held: bool) -> None:
        """Look at one part; `held` where it stands in something in which it can be replaced."""
        if value is None or id(value) in self.seen:
            return
        how = how_to_fill(value)
        if not how or (how in ("plain", "named") and not held):
            raise CannotFill(_refusal(value, path))
        self.seen[id(value)] = value
        if how == "tuple":
            for i, part in enumerate(value):
                self.look(part, f"{path}[{i}]", held=held)
        elif how == "frozen":
            parts = fields(value)
            # Nothing can replace a field of it, so a plain one stays: no harm beside others that are filled.
            held = held or any(how_to_fill(part) not in ("plain", "named") for part in parts.values())
            for name, part in parts.items():
                self.look(part, f"{path}.{name}", held=held)
        elif how in ("list", "deque"):
            if not all_plain(value):
                for i, part in enumerate(value):
                    self.look(part, f"{path}[{i}]", held=True)
        elif how == "set":
            self._keys(value, f"an item of {path}")
        elif how == "dict":
            self._keys(value, f"a key of {path}")
            if not all_plain(value.values()):
                for key, part in value.items():
                    self.look(part, f"{path}[{key!r}]", held=True)
        if how in ("object", "list", "deque", "set", "dict"):
            for name, part in attributes(value).items():
                self.look(part, f"{path}.{name}", held=True)

    @staticmethod
    def _keys(keys: Any, where: str) -> None:
        if not all_plain(keys):
            for key in keys:
                if how_to_fill(key) not in ("plain", "named", "tuple", "frozen"):
                    raise CannotFill(_refusal(key, where))


def _refusal(value: Any, path: str) -> str:
    kind = an(type(value).__qualname__)
    if how_to_fill(value):
        return (
            f"loop(state=...): {path} is {kind}, which cannot be filled in place when the loop goes on in a later"
            ' attempt. Keep it in something that can: state = {"total": 0}, then'
            ' `for item in context.loop(items, state)`, and `state["total"] += 1` inside.'
        )
    return (
        f"loop(state=...): {path} is {kind}, which cannot be filled in place: nothing saves its state and brings it"
        " back. Leave it out of the state and make it anew in each attempt, or give its class state_dict() and"
        " load_state_dict()."
    )


def an(kind: str) -> str:
    """Put an article before a word."""
    return f"an {kind}" if kind[:1].lower() in "aeiou" else f"a {kind}"
