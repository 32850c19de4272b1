"""Keep tuples and NumPy's scalars in lists and dicts as JSON, and bring them back as themselves.

Knows: exact types. May not know: files, the index.

    [content, [["float64", "acc"], ["tuple"], ["tuple", "best", 0]]]

First plain JSON that anybody can read; then the type of each part that is none of JSON's, and the path to it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_PARTS = 10_000  # larger structures are pickled: faster, and nobody reads them as text
_DEPTH = 20
_KINDS = "biuf"  # of NumPy: booleans, whole numbers, floating-point numbers


class _Unlike(Exception):
    """The structure holds something else."""


def dumps(value: Any) -> bytes | None:
    """Return a structure as typed JSON; None where that would not bring back the same.

    Examples
    --------
    >>> dumps((1, "a"))
    b'[[1, "a"], [["tuple"]]]'
    """
    kinds: list[list[Any]] = []
    seen: set[int] = set()
    try:
        content = _content(value, (), kinds, seen)
        return json.dumps([content, kinds], ensure_ascii=False).encode()
    except (_Unlike, ValueError):  # ValueError: lone surrogates, numbers of more digits than Python writes
        return None


def _content(value: Any, path: tuple[str | int, ...], kinds: list[list[Any]], seen: set[int]) -> Any:
    kind = type(value)
    if kind is float or kind is int or kind is str or kind is bool or value is None:
        return value
    if kind is list or kind is tuple or kind is dict:
        # One object in two places, or a circle: JSON would make two of it.
        if id(value) in seen or len(seen) > _PARTS or len(value) > _PARTS or len(path) > _DEPTH:
            raise _Unlike
        seen.add(id(value))
        if kind is dict:
            if any(type(name) is not str for name in value):
                raise _Unlike
            return {name: _content(part, (*path, name), kinds, seen) for name, part in value.items()}
        if kind is tuple:
            kinds.append(["tuple", *path])
        return [_content(part, (*path, place), kinds, seen) for place, part in enumerate(value)]
    name = scalar_name(value)
    if name is None:
        raise _Unlike
    kinds.append([name, *path])
    return value.item()


def scalar_name(value: Any) -> str | None:
    """Return the name of a NumPy scalar's type, where its number and that name bring it back; else None."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.generic):
        return None
    name = str(value.dtype.name)
    plain = value.dtype.kind in _KINDS and value.dtype.itemsize <= 8
    return name if plain and numpy.dtype(name).type is type(value) else None


def scalar(name: str, number: bool | int | float) -> Any:
    """Return a NumPy scalar."""
    import numpy

    return numpy.dtype(name).type(number)


def content(data: bytes) -> Any:
    """Return the plain part."""
    return json.loads(data)[0]


def loads(data: bytes) -> Any:
    """Return the structure as it was.

    Examples
    --------
    >>> loads(b'[[1, "a"], [["tuple"]]]')
    (1, 'a')
    """
    value, kinds = json.loads(data)
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


def _made(name: str, part: Any) -> Any:
    return tuple(part) if name == "tuple" else scalar(name, part)
