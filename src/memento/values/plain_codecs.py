"""Codecs of Python's plain data and of NumPy's numbers: text that anybody can read.

Knows: exact types. May not know: files, the index.

    json      None, bool, int, float; lists and dicts of them and of str     text, bytes     str, bytes
    typed     JSON with tuples and NumPy's numbers in it, and which they are    npscalar     "float32 0.5"

"Exact" means exact types: a subclass of dict, a list that stands twice in a dict are not taken, since JSON would bring
something else back.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from memento.settings import Settings
from memento.values.codecs import Codec

_SETTINGS = f"{Settings.__module__}:{Settings.__qualname__}"
_NODES = 10_000  # larger structures are pickled: faster, and nobody reads them as text
_DEPTH = 60
_PLAIN, _TEXT = frozenset({float, int, str, bool, type(None)}), frozenset({str})
_KINDS = "biuf"  # of NumPy: booleans, whole numbers, floating-point numbers
_NUMBERS = "bool bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()


class Text(Codec):
    """Text as UTF-8."""

    name, types, suffix, safe = "text", ("builtins:str",), ".txt", True

    def dump(self, value: Any) -> list[bytes] | None:
        try:
            return [value.encode()]
        except UnicodeEncodeError:  # lone surrogates, as file names may have
            return None

    def load(self, content: memoryview, version: int) -> str:
        return str(content, "utf-8")

    def plain(self, content: memoryview) -> str:
        return bytes(content).decode()


class Bytes(Codec):
    """Bytes as they are."""

    name, types, safe = "bytes", ("builtins:bytes",), True

    def dump(self, value: Any) -> list[bytes]:
        return [value]

    def load(self, content: memoryview, version: int) -> bytes:
        return bytes(content)


class Json(Codec):
    """JSON, where it brings back the same."""

    name, suffix, safe = "json", ".json", True
    types = tuple(f"builtins:{name}" for name in ("NoneType", "bool", "int", "float", "list", "dict"))
    types += (_SETTINGS,)

    def dump(self, value: Any) -> list[bytes] | None:
        found = _taken_apart(value)
        return None if found is None or found[1] else _as_text(found[0])

    def load(self, content: memoryview, version: int) -> Any:
        return json.loads(bytes(content))

    def plain(self, content: memoryview) -> Any:
        return json.loads(bytes(content))


class Typed(Codec):
    """JSON, and the types of what is none of JSON's.

        [content, [["float64", "acc"], ["tuple"], ["tuple", "best", 0]]]

    First plain JSON that anybody can read; then the type of each part that is none of JSON's, and the path to it.
    """

    name, suffix, safe = "typed", ".json", True
    types = tuple(f"builtins:{name}" for name in ("tuple", "list", "dict"))
    types += (_SETTINGS,)

    def dump(self, value: Any) -> list[bytes] | None:
        found = _taken_apart(value)
        return None if found is None else _as_text(found)

    def load(self, content: memoryview, version: int) -> Any:
        value, kinds = json.loads(bytes(content))
        # The innermost first: a tuple cannot be changed once it is one.
        for name, *path in sorted(kinds, key=len, reverse=True):
            if not path:
                return _made(name, value)
            *above, last = path
            place = value
            for step in above:
                place = place[step]
            place[last] = _made(name, place[last])
        return value

    def plain(self, content: memoryview) -> Any:
        return json.loads(bytes(content))[0]


class _Unlike(Exception):
    """The structure holds something else."""


def _taken_apart(value: Any) -> tuple[Any, list[list[Any]]] | None:
    """Return plain JSON, and what is to be told of its types; None for what these two do not bring back."""
    parts = _Parts()
    try:
        return parts.plain(value, ()), parts.kinds
    except _Unlike:
        return None


def _as_text(content: Any) -> list[bytes] | None:
    try:
        return [json.dumps(content, ensure_ascii=False).encode()]
    except ValueError:  # lone surrogates; ints of more digits than Python turns into text
        return None


class _Parts:
    """Goes through a structure, a tree of bounded size."""

    def __init__(self) -> None:
        self.kinds: list[list[Any]] = []  # type and path of each part that is none of JSON's
        self._seen: set[int] = set()
        self._nodes = 0

    def plain(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """Return a part as plain JSON."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is Settings:  # what a task returns of them comes back as the dict that they were
            kind = dict
        if kind is not dict and kind is not list and kind is not tuple:
            name = _number_type(value)
            if name is None:
                raise _Unlike
            self.kinds.append([name, *path])
            return value.item()
        self._nodes += len(value)
        # One object in two places, or a circle: JSON would make two of it.
        if id(value) in self._seen or self._nodes > _NODES or len(path) >= _DEPTH:
            raise _Unlike
        self._seen.add(id(value))
        if kind is tuple:
            self.kinds.append(["tuple", *path])
        elif kind is dict and not _TEXT.issuperset(map(type, value)):
            raise _Unlike
        if _PLAIN.issuperset(map(type, value.values() if kind is dict else value)):
            return value
        if kind is dict:
            return {name: self.plain(part, (*path, name)) for name, part in value.items()}
        return [self.plain(part, (*path, place)) for place, part in enumerate(value)]


def _made(name: str, part: Any) -> Any:
    return tuple(part) if name == "tuple" else _number(name, part)


class NumPyNumber(Codec):
    """One of NumPy's numbers."""

    name, suffix, safe = "npscalar", ".txt", True
    types = tuple(f"numpy:{name}" for name in _NUMBERS)

    def dump(self, value: Any) -> list[bytes] | None:
        name = _number_type(value)
        return None if name is None else [f"{name} {value.item()!r}".encode()]

    def load(self, content: memoryview, version: int) -> Any:
        return _number(bytes(content).partition(b" ")[0].decode(), self.plain(content))

    def plain(self, content: memoryview) -> bool | int | float:
        name, _, text = bytes(content).decode().partition(" ")
        if text in ("True", "False"):
            return text == "True"
        return float(text) if name.startswith("float") else int(text)


def _number_type(value: Any) -> str | None:
    """Return the name of a NumPy number's type, where its number and that name bring it back; else None."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return None
    name = str(value.dtype.name)
    plain = value.dtype.kind in _KINDS and value.dtype.itemsize <= 8
    return name if plain and numpy.dtype(name).type is type(value) else None


def _number(name: str, number: bool | int | float) -> Any:
    import numpy

    return numpy.dtype(name).type(number)
