"""Encode the kinds of values that Python's own library defines.

Knows: the standard library's types and what makes two of their values equal. May not know: other libraries.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from memento.errors import UnkeyableValue
from memento.keys.encode import Encoder, frame, integer, node, text
from memento.keys.encode_object import attributes, has_own, is_plain, unkeyable


def encode(enc: Encoder, value: Any) -> bytes | None:
    """Return the frame of a value of the standard library, or None for other values."""
    cls = type(value)
    simple = _SIMPLE.get(cls) or _by_name(cls)
    if simple is not None:
        return simple(enc, value)
    if isinstance(value, enum.Enum):
        return _encode_enum(enc, value)
    if isinstance(value, PurePath) and cls.__module__.partition(".")[0] == "pathlib":
        return _path(value)
    if isinstance(value, datetime.tzinfo) and hasattr(value, "key"):
        if value.key is None:
            raise unkeyable(value, "a ZoneInfo read from a file has no name")
        return node("zone", text(str(value.key)))
    if isinstance(value, (set, frozenset)):
        return node("set", enc.encode(cls), enc.unordered(value), enc.fields(attributes(value)))
    if isinstance(value, (collections.deque, *_DICTS)) and not _reduces_itself(cls):
        return _encode_collection(enc, value)
    if dataclasses.is_dataclass(value) and is_plain(cls):
        return node("object", enc.encode(cls), enc.fields(attributes(value)))
    return None


def _encode_enum(enc: Encoder, value: enum.Enum) -> bytes:
    """Return the frame of a member: its name, its value, and what the class set on it."""
    cls = type(value)
    # A combination of flags has a name in some versions of Python only; its members have theirs in all.
    name = _flags(cls, value.value) if isinstance(value, enum.Flag) else text(value.name)
    try:
        content = enc.at(".value", value.value)
    except UnkeyableValue:  # `object()` is a usual value where only the name counts
        content = node("unkeyable", enc.encode(type(value.value)))
    more = {n: v for n, v in attributes(value).items() if n not in _OF_MEMBERS}
    return node("enum", enc.encode(cls), name, content, enc.fields(more))


_OF_MEMBERS = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})


def _flags(cls: Any, value: int) -> bytes:
    return b"".join(
        text(name)
        for name, member in cls.__members__.items()
        if member.name == name and member.value and member.value & value == member.value
    )


def _path(value: PurePath) -> bytes:
    """Return the frame of a path: the same on Windows, but what cannot be opened is another kind."""
    kind = "path" if isinstance(value, Path) else "pure path"
    foreign = kind == "pure path" and isinstance(value, PureWindowsPath) and os.name != "nt"
    return node(kind, text(value.as_posix()), *([text("windows")] if foreign else []))


_DICTS = (collections.OrderedDict, collections.defaultdict, collections.Counter)


def _reduces_itself(cls: Any) -> bool:
    ways = [kind.__reduce__ for kind in (*_DICTS, collections.deque, dict)]
    return cls.__reduce__ not in ways or has_own(cls, "__getstate__")


def _encode_collection(enc: Encoder, value: Any) -> bytes:
    cls = type(value)
    if isinstance(value, collections.deque):
        extra = enc.fields(attributes(value))
        return node("deque", enc.encode(cls), enc.encode(value.maxlen), extra, enc.listed(value))
    extra = enc.at(".default_factory", value.default_factory) if hasattr(value, "default_factory") else b"0"
    items = enc.pairs(value.items(), ordered=isinstance(value, collections.OrderedDict))
    return node("mapping", enc.encode(cls), extra, enc.fields(attributes(value)), frame(b"d", items))


def _range(_: Encoder, value: range) -> bytes:
    # Two ranges are equal when they have the same elements, whatever their stop.
    count = len(value)
    return node("range", *map(integer, (count, *value[:1], *([value.step] if count > 1 else []))))


def _delta(_: Encoder, value: datetime.timedelta) -> bytes:
    return node("timedelta", integer(value.days), integer(value.seconds), integer(value.microseconds))


def _moment(enc: Encoder, value: datetime.datetime | datetime.time) -> bytes:
    return (
        text(value.replace(tzinfo=None).isoformat()) + integer(value.fold) + enc.at(".tzinfo", value.tzinfo)
    )


_SIMPLE: dict[type, Callable[[Encoder, Any], bytes]] = {
    range: _range,
    slice: lambda enc, v: node("slice", enc.encode(v.start), enc.encode(v.stop), enc.encode(v.step)),
    memoryview: lambda enc, v: node(
        "memoryview", text(v.format), enc.encode(v.shape), frame(b"b", v.tobytes())
    ),
    datetime.date: lambda _, v: node("date", text(v.isoformat())),
    datetime.datetime: lambda enc, v: node("datetime", _moment(enc, v)),
    datetime.time: lambda enc, v: node("time", _moment(enc, v)),
    datetime.timedelta: _delta,
    datetime.timezone: lambda enc, v: node("timezone", _delta(enc, v.utcoffset(None)), text(v.tzname(None))),
    types.MappingProxyType: lambda enc, v: node("mappingproxy", frame(b"d", enc.pairs(v.items()))),
    types.SimpleNamespace: lambda enc, v: node("namespace", enc.fields(vars(v))),
}

# By name: these modules take long to import, and whoever has such a value has done so.
_SELDOM: dict[tuple[str, str], Callable[[Encoder, Any], bytes]] = {
    ("decimal", "Decimal"): lambda _, v: node("decimal", text(str(v))),
    ("fractions", "Fraction"): lambda _, v: node("fraction", integer(v.numerator), integer(v.denominator)),
    ("typing", "ForwardRef"): lambda _, v: node("forward", text(v.__forward_arg__)),
    ("_struct", "Struct"): lambda _, v: node("struct", text(v.format)),
    ("uuid", "UUID"): lambda _, v: node("uuid", frame(b"b", v.bytes)),
}
for _kind in ("Address", "Network", "Interface"):
    for _version in ("IPv4", "IPv6"):
        _SELDOM["ipaddress", _version + _kind] = lambda _, v: node(
            "address", text(type(v).__name__), text(str(v))
        )


def _by_name(cls: type) -> Callable[[Encoder, Any], bytes] | None:
    found = _SELDOM.get((cls.__module__, cls.__qualname__))
    # A class of the user's may say that it is another.
    return found if getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls else None
