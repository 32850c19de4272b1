# ruff: noqa: E501, PIE796 - a table of values; aliases
# mypy: disable-error-code="misc,attr-defined,arg-type"
"""Values of classes and functions such as users write."""

from __future__ import annotations

import abc
import collections
import datetime
import enum
import fractions
import functools
import pathlib
import threading
import types
import typing
import weakref
from dataclasses import InitVar, dataclass, field
from typing import Any


class Plain:
    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)

    def method(self) -> Any:
        return self

    @classmethod
    def build(cls) -> Plain:
        return cls()

    @staticmethod
    def helper(x: int) -> int:
        return x + 1


class Child(Plain):
    level = 2


class Slots:
    __slots__ = ("__hidden", "shown", "unset")

    def __init__(self, hidden: Any, shown: Any) -> None:
        self.__hidden, self.shown = hidden, shown


class SlotsChild(Slots):
    __slots__ = ("more", "shown")

    def __init__(self, hidden: Any, shown: Any, more: Any) -> None:
        super().__init__(hidden, "base")
        Slots.shown.__set__(self, "below")
        self.shown, self.more = shown, more


class SlotsAndDict(Slots):
    def __init__(self, hidden: Any, shown: Any, **more: Any) -> None:
        super().__init__(hidden, shown)
        self.__dict__.update(more)


class State:
    def __init__(self, x: Any) -> None:
        self.x, self.noise = x, object()

    def __getstate__(self) -> Any:
        return {"x": self.x}

    def __setstate__(self, state: Any) -> None:
        self.x, self.noise = state["x"], object()


class TupleState:
    def __init__(self, *values: Any) -> None:
        self.values = values

    def __getstate__(self) -> Any:
        return self.values

    def __setstate__(self, state: Any) -> None:
        self.values = state


class Reduced:
    def __init__(self, x: Any, y: Any = None) -> None:
        self.x, self.y, self.noise = x, y, object()

    def __reduce__(self) -> Any:
        return Reduced, (self.x, self.y)


class Lazy:
    def __init__(self, x: Any) -> None:
        self.x = x

    @functools.cached_property
    def double(self) -> Any:
        return self.x * 2


class Guarded:
    def __init__(self, x: Any) -> None:
        self.x, self.lock, self.event, self.own = x, threading.Lock(), threading.RLock(), threading.local()
        self.owner = weakref.ref(Guarded)
        self.seen: Any = weakref.WeakValueDictionary()


class OwnKey:
    def __init__(self, name: Any) -> None:
        self.name, self.noise = name, object()

    def __memento_key__(self) -> Any:
        return self.name


class Temperature:
    def __init__(self, degrees: float) -> None:
        self._degrees = degrees

    @property
    def degrees(self) -> float:
        return self._degrees

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Abstract(abc.ABC):
    @abc.abstractmethod
    def run(self) -> int: ...


class Concrete(Abstract):
    def __init__(self, n: int) -> None:
        self.n = n

    def run(self) -> int:
        return self.n


class Int(int):
    pass


class Float(float):
    pass


class Text(str):
    pass


class Bytes(bytes):
    pass


class Ratio(fractions.Fraction):
    pass


class Place(pathlib.PurePosixPath):
    pass


class Day(datetime.date):
    pass


class List(list):  # type: ignore[type-arg]
    pass


class SlottedList(list):  # type: ignore[type-arg]
    __slots__ = ("note",)


class Tuple(tuple):  # type: ignore[type-arg]
    pass


class Dict(dict):  # type: ignore[type-arg]
    pass


class Set(set):  # type: ignore[type-arg]
    pass


class Frozen(frozenset):  # type: ignore[type-arg]
    pass


class Deque(collections.deque):  # type: ignore[type-arg]
    pass


class Ordered(collections.OrderedDict):  # type: ignore[type-arg]
    pass


class Missing(dict):  # type: ignore[type-arg]
    def __missing__(self, key: Any) -> Any:
        return None


class Problem(ValueError):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text, code)
        self.code = code


@dataclass
class Point:
    x: float
    tags: set[str] = field(default_factory=lambda: {"a", "b"})
    start: int = field(default=0, init=False)


@dataclass(frozen=True)
class Fixed:
    x: int
    y: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, slots=True)
class Slotted:
    x: int
    y: Any = None


@dataclass(kw_only=True)
class Keywords:
    lr: float
    steps: int = 10


@dataclass
class Point3(Point):
    z: float = 0.0


@dataclass
class Initial:
    base: int
    factor: InitVar[int] = 2
    total: int = field(init=False)

    def __post_init__(self, factor: int) -> None:
        self.total = self.base * factor


class Pair(typing.NamedTuple):
    x: int
    y: Any = 2


Old = collections.namedtuple("Old", ["a", "b"])


class Color(enum.Enum):
    RED = 1
    BLUE = 2
    AZURE = 2  # an alias


class Rate(enum.Enum):
    SLOW = 0.1
    FAST = (9.0, "f")


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Name(str, enum.Enum):
    A = "a"
    B = "b"


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Planet(enum.Enum):
    EARTH = (5.9, 6.3)
    MARS = (6.4, 3.4)

    def __init__(self, mass: float, radius: float) -> None:
        self.mass, self.radius = mass, radius


class Nameless(enum.Enum):
    HERE = object()
    THERE = object()


class Labelled(enum.Enum):
    def __new__(cls, label: str) -> Any:
        made = object.__new__(cls)
        made._value_ = len(cls.__members__) + 1
        made.label = label
        return made

    FIRST = "one"
    SECOND = "two"


T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    def __init__(self, content: Any) -> None:
        self.content = content


FACTOR = 3
CACHE: dict[str, Any] = {}


def scale(x: int) -> int:
    return x * FACTOR


def loader(n: int = 3, *, by: float = 1.0) -> Any:
    return scale(n) * by


def even(n: int) -> bool:
    return n == 0 or odd(n - 1)


def odd(n: int) -> bool:
    return n != 0 and even(n - 1)


@functools.lru_cache
def remembered(n: int) -> int:
    return scale(n)


@functools.singledispatch
def shown(value: Any) -> str:
    return "?"


@shown.register
def _(value: int) -> str:
    return "int"


def keeping(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(*args: Any) -> Any:
        return func(*args)

    return wrapper


@keeping
def kept(n: int) -> int:
    return n


def noted() -> int:
    return 1


noted.unit = "kg"


def counter(start: Any) -> Any:
    def count(step: int) -> Any:
        return count(step - 1) + start if step else start

    return count


def local_class(k: Any) -> Any:
    class Local:
        base = k

        def value(self) -> Any:
            return k

    return Local


def bare_class(k: Any) -> Any:
    class Bare:
        size = k

    return Bare


def local_record(k: Any) -> Any:
    @dataclass
    class Record:
        size: int = k

    return Record


def local_enum(k: Any) -> Any:
    class Kind(enum.Enum):
        A = k

    return Kind


def local_tuple(k: Any) -> Any:
    return collections.namedtuple("Made", ["a", "b"], defaults=[k])


def ring(last: Any) -> list[Any]:
    items: list[Any] = [1]
    items.append({"ring": items, "last": last})
    return items


def family() -> Plain:
    root = Plain(name="root")
    root.child = Plain(name="child", parent=root)
    return root


def values() -> dict[str, Any]:
    """Return values by name, all made anew."""
    used = Lazy(4)
    assert used.double == 8
    with_attribute: Any = Int(3)
    with_attribute.unit = "kg"
    listed: Any = List([1, 2])
    listed.note = "n"
    ratio, place, day = Ratio(1, 3), Place("a/b"), Day(2024, 1, 1)
    for one in (ratio, place, day):
        one.note = "n"  # type: ignore[union-attr]
    slotted: Any = SlottedList([1])
    slotted.note = "n"
    mapped: Any = Dict(a=1)
    mapped.note = {"x": 1}
    return {
        "plain": Plain(a=1, b=["x"]), "empty": Plain(), "child": Child(a=1), "nested": Plain(inner=Plain(x=1.5)),
        "function inside": Plain(f=scale, g=[lambda x: x + 1]), "class inside": Plain(cls=Plain, made=bare_class(1)),
        "slots": Slots(1, "two"), "slots child": SlotsChild(1, 2, 3), "slots and dict": SlotsAndDict(1, 2, z=3),
        "state": State(1), "tuple state": TupleState(1, "b"), "reduced": Reduced(1, [2]), "lazy": used,
        "guarded": Guarded(1), "own key": OwnKey("a"), "property": Temperature(1.5), "concrete": Concrete(3),
        "int": Int(3), "int with attribute": with_attribute, "float": Float(1.5), "text": Text("x"), "bytes": Bytes(b"x"),
        "ratio": ratio, "place": place, "day": day, "list": listed, "slotted list": slotted, "tuple": Tuple((1, 2)), "dict": mapped, "set": Set({1, 2}), "frozen": Frozen({1, 2}),
        "deque": Deque([1, 2], 3), "ordered": Ordered(a=1, b=2), "missing": Missing(a=1), "problem": Problem("bad", 3),
        "dataclass": Point(1.0), "frozen dataclass": Fixed(1), "slotted": Slotted(1, {"a": 1}),
        "keywords": Keywords(lr=0.1), "inherited": Point3(1.0, z=2.0), "post init": Initial(3), "pair": Pair(1),
        "namedtuple": Old(1, [2]), "enum": Color.RED, "alias": Color.AZURE, "enum float": Rate.SLOW,
        "enum tuple": Rate.FAST, "int enum": Level.LOW, "str enum": Name.A, "flag": Access.READ,
        "flags": Access.READ | Access.WRITE, "no flag": Access(0), "int flags": Bits.ONE | Bits.TWO,
        "enum with init": Planet.EARTH, "nameless": Nameless.HERE, "nameless too": Nameless.THERE,
        "labelled": Labelled.SECOND, "generic": Box([1]),
        "class": Plain, "enum class": Color, "abstract class": Abstract, "function": loader, "recursive": even,
        "lru cache": remembered, "single dispatch": shown, "wrapped": kept, "noted": noted, "lambda": lambda x: x + FACTOR,
        "lambda with default": lambda x, k=2: x + k, "closure": counter(5), "closure over list": counter([1, 2]),
        "partial": functools.partial(loader, 4, by=2.0), "partial of lambda": functools.partial(lambda x, y: x, 1),
        "bound method": Plain(a=1).method, "class method": Plain.build, "static method": Plain.helper,
        "partial method": functools.partialmethod(scale, 2), "type variable": T, "generic alias": Box[int],
        "local class": local_class(1), "local instance": local_class(2)(), "bare class": bare_class(1),
        "bare instance": bare_class(2)(), "local record": local_record(1), "local record instance": local_record(2)(),
        "local enum": local_enum(1), "local member": local_enum(2).A, "local tuple": local_tuple(3),
        "local tuple instance": local_tuple(3)(1), "made by type()": type("Made", (), {"size": 1}),
        "class by dict": types.new_class("New", (), exec_body=lambda space: space.update(size=1)),
        "ring": ring(2), "family": family(), "property object": property(scale), "cached property": Lazy.__dict__["double"],
        "static object": staticmethod(scale), "class object": classmethod(scale),
    }  # fmt: skip
