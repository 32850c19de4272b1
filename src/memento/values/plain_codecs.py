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

from memento.values.codecs import Codec

_NODES = 10_000  # larger structures are pickled: faster, and nobody reads them as text
_DEPTH = 60
_TYPED_DEPTH = 20
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

    def dump(self, value: Any) -> list[bytes] | None:
        if not _is_json(value):
            return None
        try:
            return [json.dumps(value, ensure_ascii=False).encode()]
        except ValueError:  # lone surrogates; ints of more digits than Python turns into text
            return None

    def load(self, content: memoryview, version: int) -> Any:
        return json.loads(bytes(content))

    def plain(self, content: memoryview) -> Any:
        return json.loads(bytes(content))


def _is_json(value: Any) -> bool:
    """Say whether a structure is a tree of exact JSON types, of bounded size."""
    seen: set[int] = set()
    level, nodes = [value], 0
    for _ in range(_DEPTH):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is float or kind is int or kind is str or kind is bool or item is None:
                continue
            if kind is dict:
                if any(type(name) is not str for name in item):
                    return False
                below.extend(item.values())
            elif kind is list:
                below.extend(item)
            else:
                return False
            if id(item) in seen:  # one object in two places, or a circle: JSON would make two of it
                return False
            seen.add(id(item))
        nodes += len(below)
        if nodes > _NODES:
            return False
        if not below:
            return True
        level = below
    return False


class Typed(Codec):
    """JSON, and the types of what is none of JSON's.

        [content, [["float64", "acc"], ["tuple"], ["tuple", "best", 0]]]

    First plain JSON that anybody can read; then the type of each part that is none of JSON's, and the path to it.
    """

    name, suffix, safe = "typed", ".json", True
    types = tuple(f"builtins:{name}" for name in ("tuple", "list", "dict"))

    def dump(self, value: Any) -> list[bytes] | None:
        kinds: list[list[Any]] = []
        try:
            content = _content(value, (), kinds, set())
            return [json.dumps([content, kinds], ensure_ascii=False).encode()]
        except (
            _Unlike,
            ValueError,
        ):  # ValueError: lone surrogates, numbers of more digits than Python writes
            return None

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


def _content(value: Any, path: tuple[str | int, ...], kinds: list[list[Any]], seen: set[int]) -> Any:
    kind = type(value)
    if kind is float or kind is int or kind is str or kind is bool or value is None:
        return value
    if kind is list or kind is tuple or kind is dict:
        # One object in two places, or a circle: JSON would make two of it.
        if id(value) in seen or len(seen) > _NODES or len(value) > _NODES or len(path) > _TYPED_DEPTH:
            raise _Unlike
        seen.add(id(value))
        if kind is dict:
            if any(type(name) is not str for name in value):
                raise _Unlike
            return {name: _content(part, (*path, name), kinds, seen) for name, part in value.items()}
        if kind is tuple:
            kinds.append(["tuple", *path])
        return [_content(part, (*path, place), kinds, seen) for place, part in enumerate(value)]
    name = _number_type(value)
    if name is None:
        raise _Unlike
    kinds.append([name, *path])
    return value.item()


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
