"""Write values for people: as short JSON, by what they can be called, or in one line.

Knows: how a value shows best in a table or a diff. May not know: keys; these texts identify nothing.
"""

from __future__ import annotations

import enum
import functools
import json
import math
import types
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from operator import add
from typing import Any, NamedTuple

from memento.config import short_text
from memento.keys.held_values import attributes_of
from memento.keys.names import is_path, module_name, qualified_name
from memento.keys.value_digest import digest

LIMIT = 2000  # characters of the whole
_ITEMS = 50
_DEPTH = 6
_FEW = 8  # numbers of an array that are shown themselves
_WIDE = 1 << 63  # from here on, readers of JSON lose digits


def json_fragment(value: Any, limit: int = LIMIT) -> str:
    """Return a value as valid JSON for people to read; never raises."""
    cls = type(value)
    if (cls is int and -_WIDE < value < _WIDE) or (cls is float and math.isfinite(value)):
        return repr(value)
    for size in (limit, limit // 4, limit // 16):
        try:
            fragment = json.dumps(_plain(value, max(8, size // 8), _DEPTH), ensure_ascii=False)
            fragment.encode()
        except Exception:
            continue
        if len(fragment) <= limit:
            return fragment
    return json.dumps(_short(_marked(qualified_name(type(value)), value), max(8, limit - 2)))


class Described(NamedTuple):
    """How a value is called."""

    text: str  # a class or function by its qualified name in its module, data by its shape, the rest by its repr
    home: str  # the module that the text is a name of; "" where it is none


def described(value: Any, limit: int = 1000) -> Described:
    """Return what a value can be called; never raises."""
    cls = type(value)
    if isinstance(value, enum.Enum):
        text = f"{cls.__qualname__}.{value.name or value.value}"
    elif is_path(value):
        text = value.as_posix()
    else:
        text = _by_shape(value, 3) or short_text(value, limit)
    text = " ".join(text.split())
    owner = value if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)) else cls
    try:
        home, _, name = qualified_name(owner).rpartition(":")
    except Exception:  # a class may answer for its name in any way
        return Described(text, "")
    return Described(text, home if text.startswith((name, cls.__name__)) else "")


def _by_shape(value: Any, depth: int) -> str:
    """Name large arrays, frames and what holds them by their shapes: numbers in them name nothing. "" for the rest."""
    cls = type(value)
    try:
        shape = getattr(value, "shape", None)
        if type(shape) is tuple and shape and all(type(size) is int for size in shape):
            kind = str(getattr(value, "dtype", "")).rpartition(".")[2]
            if kind and not hasattr(value, "columns") and math.prod(shape) <= _FEW:
                return ""
            name = "array" if cls.__name__ == "ndarray" else cls.__name__
            return short_text(f"{name} {'x'.join(map(str, shape))} {kind}".strip(), 40)
        if not depth or not (cls in (tuple, list) or isinstance(value, dict)):
            return ""
        opening, closing = _BRACKETS.get(cls, ("{" if cls is dict else f"{cls.__name__}{{", "}"))
        pairs = value.items() if isinstance(value, dict) else zip(repeat(""), value, strict=False)
        items = [(name, _by_shape(one, depth - 1), one) for name, one in islice(pairs, _MOST)]
    except Exception:  # a user's class may do anything when it is looked at
        return ""
    if not any(text for _, text, _ in items):
        return ""
    heads = [f"{short_text(name, 20)}: " if isinstance(value, dict) else "" for name, *_ in items]
    texts = [text or short_text(one, 40) for _, text, one in items]
    return f"{opening}{', '.join(map(add, heads, texts))}{closing}"


def _plain(value: Any, room: int, depth: int) -> Any:
    cls = type(value)
    if value is None or cls in (bool, int):
        return value if cls is not int or -_WIDE < value < _WIDE else _short(str(value), room)
    if cls is float:
        return value if math.isfinite(value) else str(value)
    if cls is str:
        shown = value.encode("utf-8", "backslashreplace").decode()
        return shown if len(shown) <= room * 4 else _marked(_short(shown, room * 4), value)
    if cls in (list, tuple, dict) and depth > 0:
        return _container(value, room, depth)
    return _text(value, cls, room, depth)


def _container(value: Any, room: int, depth: int) -> Any:
    if isinstance(value, dict):
        shown = {_inner(k, room, 2): _plain(v, room, depth - 1) for k, v in list(value.items())[:_ITEMS]}
        if len(value) > _ITEMS:
            shown["..."] = _marked(f"{len(value) - _ITEMS} more", value)
        return shown
    shown_items = [_plain(v, room, depth - 1) for v in value[:_ITEMS]]
    if len(value) > _ITEMS:
        shown_items.append(_marked(f"... {len(value) - _ITEMS} more", value))
    return shown_items


def _text(value: Any, cls: type, room: int, depth: int) -> Any:
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        name = qualified_name(value)
        return _marked(name, value) if "<" in name else name
    if isinstance(value, types.MethodType):
        return _marked(f"{qualified_name(type(value.__self__))}.{value.__name__}", value)
    if isinstance(value, functools.partial):
        return _short(_partial(value, room, depth), room * 2)
    if isinstance(value, enum.Enum):
        return f"{qualified_name(cls)}.{value.name or value.value}"
    if cls in (set, frozenset):  # sorted: their own order differs from process to process
        shown = ", ".join(sorted(_inner(item, room, depth) for item in value))
        return f"{{{shown}}}" if len(shown) <= room else _marked(_short(f"{{{shown}", room), value)
    if is_path(value):
        return _short(value.as_posix(), room * 4)
    if any(base.__module__ == "numpy" and base.__name__ == "generic" for base in cls.__mro__):
        item = value.item()
        known = type(item) in (bool, int, float, str)
        return _plain(item, room, depth) if known else _short(str(value), room)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _marked(f"array {value.dtype} {tuple(value.shape)}", value)
    if hasattr(value, "shape") and hasattr(value, "columns"):
        return _marked(f"{cls.__name__} {tuple(value.shape)}", value)
    shown = " ".join(repr(value).split())
    if " at 0x" in shown:
        return _marked(qualified_name(cls), value)
    return shown if len(shown) <= room else _marked(_short(shown, room), value)


def _partial(value: functools.partial[Any], room: int, depth: int) -> str:
    shown = [_inner(item, room, depth) for item in value.args]
    shown += [f"{name}={_inner(item, room, depth)}" for name, item in value.keywords.items()]
    return f"{_inner(value.func, room, depth)}({', '.join(shown)})"


def _inner(value: Any, room: int, depth: int) -> str:
    plain = _plain(value, room, depth - 1)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _marked(shown: str, value: Any) -> str:
    """Add what tells a value from its like where its text is cut off."""
    try:
        return f"{shown} #{digest(value).hex()[:8]}".strip()
    except Exception:  # a value under 'volatile' need not have a digest
        return shown.strip()


def _short(value: str, room: int) -> str:
    return value if len(value) <= room else value[: room - 3] + "..."


# -- in one line, without running any of the value's code ------------------------------------------------

_BUILTIN = (int, float, complex, str, bytes, bool, type(None), range, type(...))
_BRACKETS: dict[Any, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
}
_LINE = 500  # characters
_MOST = 100  # parts


def outline(value: Any) -> tuple[str, bool]:
    """Return a value as one line, and whether values of different lines only differ: all of it is there."""
    writer = _Writer()
    text = writer.write(value, _DEPTH)
    return (text, writer.whole) if len(text) <= _LINE else (f"{text[: _LINE - 3]}...", False)


class _Writer:
    def __init__(self) -> None:
        self.whole = True
        self._room = _LINE

    def write(self, value: Any, depth: int) -> str:
        cls = type(value)
        if cls in _BUILTIN:
            return self._builtin(value)
        if isinstance(value, types.ModuleType):
            return module_name(value.__name__)
        if isinstance(value, type) or cls in (types.FunctionType, types.BuiltinFunctionType):
            return qualified_name(value)
        if depth == 0 or self._room <= 0:
            self.whole = False
            return "..."
        if cls is dict:
            return f"{{{', '.join(self._pairs(value, ': ', depth))}}}"
        if cls in _BRACKETS:
            opening, closing = _BRACKETS[cls]
            parts = [self.write(part, depth - 1) for part in self._some(value)]
            return f"{opening}{', '.join(sorted(parts) if opening == '{' else parts)}{closing}"
        return self._object(value, cls, depth)

    def _builtin(self, value: Any) -> str:
        if isinstance(value, (str, bytes)) and len(value) > _LINE:
            self.whole, value = False, value[:_LINE]
        try:
            text = repr(value)
        except ValueError:  # an int of too many digits
            text, self.whole = hex(value), False
        self._room -= len(text)
        return text

    def _some(self, values: Iterable[Any]) -> list[Any]:
        found = list(islice(values, _MOST + 1))
        self.whole &= len(found) <= _MOST
        return found[:_MOST]

    def _pairs(self, held: dict[Any, Any], between: str, depth: int) -> Iterator[str]:
        for key, value in self._some(held.items()):
            name = key if between == "=" else self.write(key, depth - 1)
            yield f"{name}{between}{self.write(value, depth - 1)}"

    def _object(self, value: Any, cls: type, depth: int) -> str:
        name = qualified_name(cls).rpartition(":")[2]
        is_data = cls.__module__.partition(".")[0] in ("numpy", "pandas", "torch")
        held = {} if is_data else attributes_of(value)
        if held:
            return f"{name}({', '.join(self._pairs(held, '=', depth))})"
        self.whole = False
        shape = getattr(value, "shape", None) if cls.__module__ == "numpy" else None
        return f"{name} {value.dtype} {shape}" if shape else name
