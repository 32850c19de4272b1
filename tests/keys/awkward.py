"""Print the digest of each awkward value as JSON: run by tests, in processes with different hash seeds.

Each value is built in an order that depends on the seed where order must not matter. Libraries that are not
installed are left out.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import importlib.util
import ipaddress
import json
import logging
import operator
import pathlib
import random
import re
import sys
import types
import typing
import uuid
from dataclasses import dataclass, field
from typing import Any

from memento.keys.task_key import TaskKeys, part, task_digest
from memento.keys.value_digest import digest

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
SHUFFLED = list(set(WORDS))  # in the order of this process's hash seed
FACTOR = 3


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: float
    tags: set[str] = field(default_factory=lambda: set(WORDS))


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int
    y: tuple[int, ...] = (1, 2)


class Pair(typing.NamedTuple):
    x: int
    y: int


class Plain:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def method(self) -> Any:
        return self

    @classmethod
    def build(cls) -> Plain:
        return cls()


class WithSlots:
    __slots__ = ("__hidden", "shown", "unset")

    def __init__(self) -> None:
        self.__hidden = 1
        self.shown = 2


class Reduced:
    def __init__(self, n: int) -> None:
        self.n, self.lock = n, object()

    def __reduce__(self) -> Any:
        return Reduced, (self.n,)


class WithState:
    def __getstate__(self) -> Any:
        return {"version": 1, "words": set(WORDS)}


class OwnKey:
    def __init__(self) -> None:
        self.noise = object()

    def __memento_key__(self) -> Any:
        return ("own", set(WORDS))


class Text(str):
    __slots__ = ()


class Number(int):
    unit = "kg"


class Table(dict):  # type: ignore[type-arg]
    pass


class Bag(set):  # type: ignore[type-arg]
    pass


def helper(x: int) -> int:
    """Multiply."""
    return x * FACTOR  # a global that counts


def loader(n: int = 3, *, scale: float = 1.0) -> Any:
    return helper(n) * scale + operator.add(1, json.loads("1"))


def even(n: int) -> bool:
    return n == 0 or odd(n - 1)


def odd(n: int) -> bool:
    return n != 0 and even(n - 1)


@functools.lru_cache
def cached(n: int) -> int:
    return helper(n)


def make_counter(start: int) -> Any:
    def count(step: int) -> int:
        return count(step - 1) + start if step else start

    return count


def make_class(k: int) -> type:
    class Local:
        """Hold."""

        base = 1

        def value(self) -> int:
            return k + self.base

    return Local


def circle() -> list[Any]:
    ring: list[Any] = [1]
    ring.append({"ring": ring, "words": set(WORDS)})
    return ring


def parents() -> Plain:
    root = Plain(name="root")
    root.children = {name: Plain(name=name, parent=root) for name in SHUFFLED}  # type: ignore[attr-defined]
    return root


def plain_values() -> dict[str, Any]:
    """Return the values that need no library, by name."""
    zone = datetime.timezone(datetime.timedelta(hours=1), "CET")
    return {
        "none": None, "true": True, "false": False, "ellipsis": ..., "not implemented": NotImplemented,
        "zero": 0, "one": 1, "minus one": -1, "big": 2**200, "minus big": -(2**200), "127": 127, "128": 128,
        "0.0": 0.0, "-0.0": -0.0, "1.0": 1.0, "nan": float("nan"), "inf": float("inf"), "tiny": 5e-324,
        "complex": 1 + 2j, "complex nan": complex(float("nan"), 0), "empty str": "", "str 1": "1",
        "unicode": "naïve ✓", "surrogate": "\ud800", "long str": "x" * 5000, "bytes 1": b"1",
        "bytearray 1": bytearray(b"1"),
        "tuple": (1,), "list": [1], "set": {1}, "frozenset": frozenset({1}), "empty list": [], "empty tuple": (),
        "empty set": set(), "empty dict": {}, "words": set(WORDS), "frozen words": frozenset(WORDS),
        "dict of words": {w: len(w) for w in SHUFFLED}, "nested": [[1, [2]], {"a": (set(WORDS), {1: {2}})}],
        "dict with mixed keys": {1: "a", "1": "b", (1,): "c", None: "d"}, "long list": list(range(3000)),
        "ordered dict": collections.OrderedDict([("b", 1), ("a", 2)]),
        "default dict": collections.defaultdict(list, {w: [w] for w in SHUFFLED}),
        "counter": collections.Counter(SHUFFLED), "deque": collections.deque([1, 2], maxlen=3), "pair": Pair(1, 2),
        "str subclass": Text("x"), "int subclass": Number(1), "dict subclass": Table(dict.fromkeys(SHUFFLED, 1)),
        "set subclass": Bag(WORDS), "chain map": collections.ChainMap({"a": 1}, {"b": 2}),
        "namespace": types.SimpleNamespace(b=1, a=2), "mapping proxy": types.MappingProxyType({"a": 1}),
        "range": range(0, 10, 3), "slice": slice(1, None, 2), "memoryview": memoryview(b"abc"),
        "decimal": decimal.Decimal("1.10"), "fraction": fractions.Fraction(1, 3), "uuid": uuid.UUID(int=7),
        "date": datetime.date(2024, 2, 29), "datetime": datetime.datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001
        "datetime with zone": datetime.datetime(2024, 2, 29, tzinfo=zone), "utc": datetime.timezone.utc,
        "fold": datetime.datetime(2024, 2, 29, fold=1),  # noqa: DTZ001
        "time": datetime.time(1, 2), "timedelta": datetime.timedelta(days=-1, seconds=5),
        "path": pathlib.PurePosixPath("a/b"), "address": ipaddress.ip_address("10.0.0.1"),
        "pattern": re.compile("a+", re.IGNORECASE), "logger": logging.getLogger("memento.awkward"),
        "random": random.Random(3), "exception": ValueError("bad", 3),
        "enum": Color.RED, "other enum": Color.BLUE, "int enum": Level.LOW, "flag": Access.READ | Access.WRITE,
        "dataclass": Point(1.0), "slotted dataclass": Slotted(1), "object": Plain(b=1, a=set(WORDS)),
        "empty object": Plain(),
        "slots": WithSlots(), "reduced": Reduced(3), "state": WithState(), "own key": OwnKey(),
        "class": Plain, "builtin class": dict, "enum class": Color, "own key class": OwnKey,
        "exception class": KeyError,
        "NoneType": type(None), "path class": pathlib.PurePosixPath,
        "generic": list[int], "typing generic": typing.Dict[str, int],  # noqa: UP006
        "optional": typing.Optional[int], "union": int | None | str,  # noqa: UP045
        "any": typing.Any, "callable": collections.abc.Callable[[int], str],
        "builtin": len, "builtin of a module": operator.add, "method of a type": str.upper,
        "bound builtin": [1].append,
        "library function": json.dumps, "module": json, "function": loader, "recursive": even,
        "lru cache": cached, "lambda": lambda x: x + FACTOR, "two lambdas": [lambda: 1, lambda: 2],
        "lambdas of a comprehension": [lambda x: x + k for k in (1,)],  # noqa: B023
        "nested lambda": [(lambda k: lambda x: x + k)(n) for n in (1, 2)], "closure": make_counter(5),
        "partial": functools.partial(loader, 4, scale=2.0), "bound method": Plain(a=1).method,
        "class method": Plain.build,
        "local class": make_class(1), "local instance": make_class(2)(), "property": property(helper),
        "circle": circle(), "parents": parents(),
    }  # fmt: skip


def library_values() -> dict[str, Any]:
    """Return values of the libraries that are installed, by name."""
    values: dict[str, Any] = {}
    for library, build in {
        "numpy": _numpy, "scipy": _scipy, "pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow,
        "sklearn": _sklearn, "attrs": _attrs, "pydantic": _pydantic, "torch": _torch,
    }.items():  # fmt: skip
        if importlib.util.find_spec(library) is not None:
            values |= {f"{library}: {name}": value for name, value in build().items()}
    return values


def _numpy() -> dict[str, Any]:
    import numpy as np

    record = np.array([(1, 2.0, "a")], dtype=[("i", "i4"), ("x", "f8"), ("s", "U3")])
    generator = np.random.default_rng(5)
    generator.random(3)
    return {
        "float64": np.float64(1.5), "int64": np.int64(77), "str": np.str_("np"),
        "datetime": np.datetime64("2024-01-01"), "array": np.arange(12.0).reshape(3, 4),
        "int array": np.arange(3, dtype=np.int32), "0-d": np.array(3.0), "empty": np.zeros((0, 3)),
        "nan": np.array([1.0, np.nan]), "bools": np.array([True, False]), "strings": np.array(["a", "bb"]),
        "objects": np.array(["a", None, set(WORDS)], dtype=object), "record": record, "complex": np.array([1 + 2j]),
        "big": np.ones(100_000), "dates": np.array(["2024-01-01", "NaT"], dtype="M8[ns]"),
        "masked": np.ma.masked_array([1, 2, 3], mask=[False, True, False]), "dtype": np.dtype("f4"),
        "record dtype": record.dtype,
        "type": np.float32, "bool type": np.bool_, "ufunc": np.sin, "function": np.mean, "generator": generator,
        "random state": np.random.RandomState(3), "seed sequence": np.random.SeedSequence(3),
        "longdouble": np.longdouble(1) / 3,
    }  # fmt: skip


def _scipy() -> dict[str, Any]:
    import scipy.sparse

    return {
        "csr": scipy.sparse.csr_matrix([[0, 1.0], [2.0, 0]]),
        "coo array": scipy.sparse.coo_array(([1, 2], ([0, 1], [1, 0]))),
    }


def _pandas() -> dict[str, Any]:
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", float("nan")], "c": pd.Categorical(["u", "v"])})
    return {
        "frame": frame, "series": pd.Series([1.0, 2.0], name="s"), "index": pd.Index([1, 2, 3]),
        "range": pd.RangeIndex(3),
        "nullable": pd.Series([1, None], dtype="Int64"), "nullable bool": pd.Series([True, None], dtype="boolean"),
        "string": pd.Series(["a", None], dtype="string"), "categorical": pd.Categorical(["a", "b"], ordered=True),
        "multi": pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["l", "n"]), "nat": pd.NaT, "na": pd.NA,
        "zoned": pd.Series(pd.to_datetime(["2024-01-01"], utc=True)),
        "timestamp": pd.Timestamp("2024-01-01", tz="UTC"),
        "period": pd.Period("2024-01", freq="M"), "interval": pd.Interval(0, 1), "intervals": pd.interval_range(0, 3),
        "dates": pd.date_range("2024-01-01", periods=2), "class": pd.DataFrame, "function": pd.concat,
        "sparse": pd.Series(pd.arrays.SparseArray([0, 0, 1])), "timedelta": pd.Timedelta("1D"),
    }  # fmt: skip


def _polars() -> dict[str, Any]:
    import polars as pl

    frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], [2, 3]]})
    return {"frame": frame, "series": pl.Series("s", [1.0, 2.0]), "dtype": pl.Int64()}


def _pyarrow() -> dict[str, Any]:
    import pyarrow as pa

    table = pa.table({"a": [1, None], "b": ["x", "y"], "c": [1.0, 2.0]})
    return {"table": table, "array": pa.array([1, 2]), "scalar": pa.scalar(3), "type": pa.int64()}


def _sklearn() -> dict[str, Any]:
    from sklearn.datasets import load_digits
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return {
        "class": SVC, "estimator": SVC(C=10), "default": SVC(), "pipeline": make_pipeline(StandardScaler(), SVC()),
        "fitted": StandardScaler().fit([[0.0], [1.0]]), "loader": load_digits,
    }  # fmt: skip


def _attrs() -> dict[str, Any]:
    import attrs

    @attrs.define
    class Record:
        x: int
        y: Any = None

    Record.__qualname__ = "Record"
    return {"slotted": Record(1, set(WORDS))}


def _pydantic() -> dict[str, Any]:
    import pydantic

    model = pydantic.create_model("Settings", x=(int, 1), words=(set[str], set(WORDS)))
    return {"model": model(), "changed": model(x=2)}


def _torch() -> dict[str, Any]:
    import torch

    layers = torch.nn.Sequential(torch.nn.Linear(2, 1, bias=False), torch.nn.Dropout(0.5))
    with torch.no_grad():
        layers[0].weight.fill_(0.25)
    return {
        "tensor": torch.arange(6.0).reshape(2, 3), "grad": torch.ones(2, requires_grad=True), "dtype": torch.float32,
        "bfloat16": torch.ones(2, dtype=torch.bfloat16), "module": layers, "0-d": torch.tensor(3),
    }  # fmt: skip


def digests(values: dict[str, Any]) -> dict[str, str]:
    """Return the hexadecimal digest of each value, computed from the last to the first."""
    return {name: digest(values[name], name).hex() for name in sorted(values)}


def task_keys() -> dict[str, str]:
    """Return the keys of a few whole tasks, by description."""
    settings = [part("s", "folds", digest(5)), part("s", "metric", digest("f1"))]
    row = [part("p", "lr", digest(0.1)), part("p", "model", digest(Plain))]
    keys = TaskKeys("experiment:train", settings)
    return {
        "no settings, no parameters": TaskKeys("experiment:train").key([]).hex(),
        "a row": keys.key(row).hex(),
        "its third repeat": keys.key(row, 2).hex(),
        "downstream of it": keys.key(
            [part("p", "upstream", task_digest(keys.key(row), "experiment:train"))]
        ).hex(),
    }


def report(chosen: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return all digests and keys."""
    return {"digests": digests(chosen), "keys": task_keys()}


if __name__ == "__main__":
    text = json.dumps(
        report(plain_values() if "--plain" in sys.argv else plain_values() | library_values()), indent=1
    )
    if "--regenerate" in sys.argv:  # a breaking release: every stored result gets a new key
        golden = json.loads(text)
        del golden["digests"]["sklearn: fitted"]  # what an estimator learns differs between releases
        (pathlib.Path(__file__).parent / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(text)
