# ruff: noqa: E501 - a table of values
"""Values of Python's own types and of its library."""

from __future__ import annotations

import array
import collections
import collections.abc
import datetime
import decimal
import fractions
import functools
import inspect
import io
import ipaddress
import itertools
import json
import logging
import math
import operator
import pathlib
import random
import re
import string
import struct
import types
import typing
import urllib.parse
import uuid
import weakref
import zoneinfo
from typing import Any

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


def plain() -> dict[str, Any]:
    """Return values of the builtin types."""
    return {
        "none": None, "true": True, "false": False, "ellipsis": ..., "not implemented": NotImplemented, "zero": 0,
        "one": 1, "minus": -1, "128": 128, "big": 2**200, "minus big": -(2**200), "0.0": 0.0, "-0.0": -0.0, "1.0": 1.0,
        "nan": float("nan"), "inf": math.inf, "tiny": 5e-324, "complex": 1 + 2j, "complex nan": complex(math.nan, 0),
        "empty": "", "str": "1", "unicode": "naïve ✓", "surrogate": "\ud800", "long": "x" * 5000, "bytes": b"1",
        "empty bytes": b"", "long bytes": b"x" * 3000, "bytearray": bytearray(b"1"), "tuple": (1,), "list": [1],
        "set": {1}, "frozenset": frozenset({1}), "no list": [], "no tuple": (), "no set": set(), "no dict": {},
        "words": set(WORDS), "dict": {"a": 1, "b": [2]}, "mixed keys": {1: "a", "1": "b", (1,): "c", None: "d"},
        "nested": [[1, [2]], {"a": ({"x", "y"}, {1: {2}})}], "numbers": list(range(500)), "floats": [0.1, 0.2],
        "deep": [[[[[[1]]]]]], "range": range(0, 10, 3), "no range": range(0), "slice": slice(1, None, 2),
        "memoryview": memoryview(b"abc"), "view of numbers": memoryview(array.array("i", [1, 2])),
    }  # fmt: skip


def of_library() -> dict[str, Any]:
    """Return values of the standard library."""
    zone = datetime.timezone(datetime.timedelta(hours=1), "CET")
    day = datetime.datetime(2024, 2, 29, 1, 2, 3, 4)  # noqa: DTZ001
    return {
        "ordered": collections.OrderedDict([("b", 1), ("a", 2)]), "counter": collections.Counter(WORDS),
        "defaultdict": collections.defaultdict(list, {"a": [1]}), "deque": collections.deque([1, 2], maxlen=3),
        "endless deque": collections.deque([1]), "chain": collections.ChainMap({"a": 1}, {"b": 2}),
        "user dict": collections.UserDict(a=1), "user list": collections.UserList([1]),
        "user string": collections.UserString("a"), "namespace": types.SimpleNamespace(b=1, a=[2]),
        "proxy": types.MappingProxyType({"a": 1}), "decimal": decimal.Decimal("1.10"),
        "long decimal": decimal.Decimal("1." + "1" * 60), "decimal nan": decimal.Decimal("sNaN12"),
        "fraction": fractions.Fraction(1, 3), "uuid": uuid.UUID(int=7), "structure": struct.Struct("<id"), "date": datetime.date(2024, 2, 29), "moment": day,
        "zoned": day.replace(tzinfo=zone), "in berlin": day.replace(tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        "fold": day.replace(fold=1), "time": datetime.time(1, 2, 3, 4), "zoned time": datetime.time(1, tzinfo=zone),
        "delta": datetime.timedelta(-1, 5, 7), "utc": datetime.timezone.utc, "zone": zone,
        "zoneinfo": zoneinfo.ZoneInfo("Asia/Tokyo"), "path": pathlib.Path("a/b"), "pure path": pathlib.PurePosixPath("a/b"),
        "windows path": pathlib.PureWindowsPath("a/b"), "home": pathlib.Path("~"),
        "ip": ipaddress.ip_address("10.0.0.1"), "ip 6": ipaddress.ip_address("::1"),
        "network": ipaddress.ip_network("10.0.0.0/8"), "interface": ipaddress.ip_interface("10.0.0.1/8"),
        "pattern": re.compile("a+", re.IGNORECASE), "bytes pattern": re.compile(b"a+"), "array": array.array("i", [1, 2]),
        "float array": array.array("d", [1.5]), "random": random.Random(3), "url": urllib.parse.urlparse("http://a/b?c"),
        "template": string.Template("$a"), "formatter": string.Formatter(), "text file": io.StringIO("abc"),
        "binary file": io.BytesIO(b"abc"), "logger": logging.getLogger("memento.corpus"),
        "formatting": logging.Formatter("%(message)s"), "record": logging.makeLogRecord({"msg": "m", "created": 1.0,
        "msecs": 0.0, "relativeCreated": 0.0, "thread": 1, "process": 1, "taskName": None}),
        "error": ValueError("bad", 3), "key error": KeyError("k"), "os error": OSError(2, "no", "file"),
        "itemgetter": operator.itemgetter(1, "a"), "attrgetter": operator.attrgetter("a.b"),
        "methodcaller": operator.methodcaller("f", 1, k=2), "partial": functools.partial(int, base=2),
        "nested partial": functools.partial(functools.partial(sorted, key=len), reverse=True),
        "reduce key": functools.partial(functools.reduce, operator.add), "compare": functools.partial(math.isclose, rel_tol=0.1),
        "builtin": len, "of a module": operator.add, "math": math.sqrt, "of a type": str.upper, "wrapper": int.__add__,
        "class method": dict.fromkeys, "bound": [1, 2].append, "bound text": "a,b".split, "library function": json.dumps,
        "library method": json.JSONEncoder().encode, "module": json, "type": dict, "NoneType": type(None),
        "exception class": KeyError, "library class": json.JSONEncoder, "path class": pathlib.PurePosixPath,
        "encoder": json.JSONEncoder(indent=2), "signature": inspect.signature(lambda a, b=1: 0),
        "generic": list[int], "nested generic": dict[str, list[int]], "typing generic": typing.List[int],  # noqa: UP006
        "typing dict": typing.Dict[str, int], "optional": typing.Optional[int], "union": int | None | str,  # noqa: UP006, UP045
        "any": typing.Any, "callable": collections.abc.Callable[[int], str], "literal": typing.Literal[1, "a"],
        "annotated": typing.Annotated[int, "positive"], "forward": typing.List["Foo"],  # type: ignore[name-defined]  # noqa: F821, UP006
        "class var": typing.ClassVar[int], "tuple of": tuple[int, ...], "weak": weakref.ref(json.JSONEncoder),
        "weak set": weakref.WeakSet([json.JSONEncoder]), "global random": random.gauss, "global choice": random.choice,
        "key of a cmp": functools.partial(sorted, key=operator.itemgetter(1)), "count": itertools.product,
    }  # fmt: skip
