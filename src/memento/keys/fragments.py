"""Write a value as short readable JSON, for people.

Knows: how a value shows best in a table. May not know: keys; this text identifies nothing.
"""

from __future__ import annotations

import enum
import functools
import json
import math
import sys
import types
from typing import Any, NamedTuple

from memento.config import short_text
from memento.keys.kinds import digest
from memento.keys.names import qualified_name

LIMIT = 2000  # characters of the whole
_ITEMS = 50
_DEPTH = 6
_WIDE = 1 << 63  # from here on, readers of JSON lose digits


def json_fragment(value: Any, limit: int = LIMIT) -> str:
    """Return a value as valid JSON for people to read; never raises.

    Parameters
    ----------
    value : object
        Anything.
    limit : int, default=2000
        Most characters of the text.

    Returns
    -------
    str
        Plain values as themselves, classes and functions as ``"module:qualname"``, arrays as a summary,
        everything else as short text.

    Examples
    --------
    >>> import collections
    >>> json_fragment({"lr": 0.1, "model": collections.OrderedDict, "bad": float("nan")})
    '{"lr": 0.1, "model": "collections:OrderedDict", "bad": "nan"}'
    """
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

    text: str  # a class or function by its qualified name in its module, the rest by its repr
    home: str  # the module that the text is a name of; "" where it is none


def described(value: Any, limit: int = 1000) -> Described:
    """Return what a value can be called; never raises.

    Examples
    --------
    >>> import collections
    >>> described(collections.OrderedDict), described((64, 64))
    (Described(text='OrderedDict', home='collections'), Described(text='(64, 64)', home=''))
    """
    cls = type(value)
    if isinstance(value, enum.Enum):
        text = f"{cls.__qualname__}.{value.name or value.value}"
    elif _is_path(value):
        text = value.as_posix()
    else:
        text = short_text(value, limit)
    text = " ".join(text.split())
    owner = value if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)) else cls
    try:
        home, _, name = qualified_name(owner).rpartition(":")
    except Exception:  # a class may answer for its name in any way
        return Described(text, "")
    return Described(text, home if text.startswith((name, cls.__name__)) else "")


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
        shown = {_key(k, room): _plain(v, room, depth - 1) for k, v in list(value.items())[:_ITEMS]}
        if len(value) > _ITEMS:
            shown["..."] = _marked(f"{len(value) - _ITEMS} more", value)
        return shown
    shown_items = [_plain(v, room, depth - 1) for v in value[:_ITEMS]]
    if len(value) > _ITEMS:
        shown_items.append(_marked(f"... {len(value) - _ITEMS} more", value))
    return shown_items


def _key(key: Any, room: int) -> str:
    plain = _plain(key, room, 1)
    return plain if isinstance(plain, str) else json.dumps(plain)


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
    if _is_path(value):
        return _short(value.as_posix(), room * 4)
    if _is_scalar(value):
        item = value.item()
        return (
            _plain(item, room, depth) if type(item) in (bool, int, float, str) else _short(str(value), room)
        )
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
    return f"{shown} {_mark(value)}".strip()


def _is_path(value: Any) -> bool:
    paths: Any = getattr(sys.modules.get("pathlib"), "PurePath", ())
    return isinstance(value, paths)


def _is_scalar(value: Any) -> bool:
    return any(base.__module__ == "numpy" and base.__name__ == "generic" for base in type(value).__mro__)


def _short(value: str, room: int) -> str:
    return value if len(value) <= room else value[: room - 3] + "..."


def _mark(value: Any) -> str:
    """Return what tells a value from its like where its text is cut off."""
    try:
        return "#" + digest(value).hex()[:8]
    except Exception:  # a value under 'volatile' need not have a digest
        return ""
