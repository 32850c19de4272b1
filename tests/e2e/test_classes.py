"""Instances of a script's own classes are of those very classes, wherever and whenever they are read."""

from __future__ import annotations

import pytest

from tests.e2e.workplace import Workplace

SCRIPT = """
from collections import namedtuple
from dataclasses import dataclass, field
from enum import Enum, Flag
from typing import NamedTuple
from memento import AggregateException, Memento

class Color(Enum):
    RED = 1
    BLUE = 2

class Access(Flag):
    READ = 1
    WRITE = 2

@dataclass
class Point:
    x: int
    tags: list = field(default_factory=list)

Pair = namedtuple("Pair", "a b")

class Typed(NamedTuple):
    a: int
    color: Color = Color.RED

class Base:
    def __init__(self, value):
        self.value = value
    def twice(self):
        return 2 * self.value

class Child(Base):
    made = 0
    class Inner:
        class Deep:
            depth = 2
        def __init__(self, x):
            self.x = x
    def __init__(self, value):
        super().__init__(value)
        self.inner = Child.Inner(value)
        self.me = self  # a circle
    @property
    def half(self):
        return self.value / 2

class Slotted:
    __slots__ = ("x",)
    def __init__(self, x):
        self.x = x

class Meta(type):
    pass

class WithMeta(metaclass=Meta):
    pass

class Problem(Exception):
    def __init__(self, code, color):
        super().__init__(code, color)
        self.code, self.color = code, color

def make():
    return [Point(1, ["t"]), Color.RED, Access.READ | Access.WRITE, Pair(1, 2), Typed(3, Color.BLUE), Child(4),
            Child.Inner(5), Child.Inner.Deep(), Slotted(6), WithMeta(), Child, Color, Base(7).twice]

CLASSES = [Point, Color, Access, Pair, Typed, Child, Child.Inner, Child.Inner.Deep, Slotted, WithMeta]

def check(found):
    assert [type(x) for x in found[:10]] == CLASSES, [type(x) for x in found]
    point, red, access, pair, typed, child, inner, deep, slotted, meta, cls, color, bound = found
    assert point == Point(1, ["t"]) and red is Color.RED and access == Access.READ | Access.WRITE
    assert pair == (1, 2) and typed.color is Color.BLUE and isinstance(child, Base) and child.twice() == 8
    assert child.me is child and child.half == 2 and type(child.inner) is Child.Inner and inner.x == 5
    assert deep.depth == 2 and slotted.x == 6 and type(WithMeta) is Meta and cls is Child and color is Color
    assert bound() == 14 and type(bound.__self__) is Base

def experiment(context, config):
    if config.i == 1:
        raise Problem(42, Color.BLUE)
    check(config.things)
    check(config.settings["things"])
    if config.i == 2 and context.attempt == 1:
        context.checkpoint(*make())
        raise OSError("again")
    if config.i == 2:
        check(context.restore())
    return make()

MATRIX = {"parameters": {"i": [0, 1, 2], "things": [make()[:12] + [Base(7).twice]]}, "settings": {"things": make()}}

def main():
    from memento import Retry
    try:
        Memento(experiment, num_workers=2, retries=Retry(1, delay=0.0, on=OSError)).run(MATRIX)
    except AggregateException as error:
        first, failed, third = error.results
        check(first.inner)
        check(third.inner)
        (problem,) = error.exceptions
        assert type(problem) is Problem and problem.code == 42 and problem.color is Color.BLUE, repr(problem)
        assert type(failed.error) is Problem
        print("all right", [r.was_cached for r in error.results])

if __name__ == "__main__":
    main()
"""
READER = """
import memento
results = memento.load("memento-store")
done = [r.inner for r in results if r.status == "done"]
(failed,) = [r.error for r in results if r.status == "failed"]
for found in done:
    point, red, access, pair, typed, child, inner, deep, slotted, meta, cls, color, bound = found
    assert point.x == 1 and red.name == "RED" and pair.a == 1 and typed.color.value == 2
    assert child.twice() == 8 and child.inner.x == 4 and deep.depth == 2 and slotted.x == 6 and bound() == 14
    assert type(child) is cls and type(red) is color
assert type(failed).__name__ == "Problem" and failed.code == 42, repr(failed)
print("read", len(done))
"""


@pytest.mark.slow
def test_the_same_run_and_the_next_one_give_the_scripts_own(place: Workplace) -> None:
    place.write("exp.py", SCRIPT)
    assert "all right [False, False, False]" in place.run("exp.py").out
    assert "all right [True, False, True]" in place.run("exp.py").out


@pytest.mark.slow
def test_what_a_script_saved_is_right_where_it_is_imported(place: Workplace) -> None:
    place.write("exp.py", SCRIPT)
    place.run("exp.py")
    assert "all right [True, False, True]" in place.run("-c", "import exp; exp.main()").out


@pytest.mark.slow
def test_what_an_import_saved_is_right_for_the_script(place: Workplace) -> None:
    place.write("exp.py", SCRIPT)
    place.run("-c", "import exp; exp.main()")
    assert "all right [True, False, True]" in place.run("exp.py").out


@pytest.mark.slow
def test_a_module_of_a_package_run_with_m_and_imported_agree(place: Workplace) -> None:
    place.write("pkg/__init__.py", "")
    place.write("pkg/exp.py", SCRIPT)
    assert "all right [False, False, False]" in place.run("-m", "pkg.exp").out
    assert "all right [True, False, True]" in place.run("-m", "pkg.exp").out
    assert "all right [True, False, True]" in place.run("-c", "import pkg.exp; pkg.exp.main()").out


@pytest.mark.slow
@pytest.mark.parametrize("there", ["here", "gone"])
def test_another_program_reads_them_whether_or_not_the_script_is_there(there: str, place: Workplace) -> None:
    script = place.write("exp.py", SCRIPT)
    place.run("exp.py")
    if there == "gone":
        script.unlink()
    assert "read 2" in place.run("-c", READER).out


@pytest.mark.slow
def test_a_class_that_was_changed_reads_its_old_instances(place: Workplace) -> None:
    text = """
    from memento import Memento
    class Point:
        def __init__(self, x):
            self.x = x
    def experiment(context, config):
        return Point(config.x)
    (result,) = Memento(experiment, num_workers=1).run({"parameters": {"x": [1]}})
    print(result.was_cached, type(result.inner) is Point, vars(result.inner))
    """
    place.write("exp.py", text)
    assert "False True {'x': 1}" in place.run("exp.py").out
    place.write("exp.py", text.replace("self.x = x", "self.x = x\n            self.y = 0"))
    assert "True True {'x': 1}" in place.run("exp.py").out


@pytest.mark.slow
def test_classes_made_inside_functions_come_back_whole(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        from memento import Memento
        def make(k):
            class Local:
                def __init__(self, x):
                    self.x = x
                def value(self):
                    return self.x * k
            return Local
        def experiment(context, config):
            return make(3)(config.cls(config.x).value())
        results = Memento(experiment, num_workers=2).run({"parameters": {"x": [1, 2], "cls": [make(2)]}})
        print([r.inner.value() for r in results], [r.was_cached for r in results])
        """,
    )
    assert "[6, 12] [False, False]" in place.run("exp.py").out
    assert "[6, 12] [True, True]" in place.run("exp.py").out


AWKWARD = """
from __future__ import annotations
import abc, contextlib, dataclasses, enum, functools, logging, re, typing
import numpy as np
from memento import Memento

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int

class Abstract(abc.ABC):
    @abc.abstractmethod
    def f(self): ...

class Concrete(Abstract):
    def f(self):
        return 1

class Box(typing.Generic[typing.TypeVar("T")]):
    def __init__(self, v):
        self.v = v

class Mixed(str, enum.Enum):
    A = "a"
    def up(self):
        return self.value.upper()

class Private:
    __slots__ = ("__secret", "__dict__", "__weakref__")
    def __init__(self):
        self.__secret = 5
        self.open = 1
    def get(self):
        return self.__secret

class SlotChild(Private):
    __slots__ = "more"

class Computed:
    @functools.cached_property
    def v(self):
        return 3
    @classmethod
    def c(cls):
        return cls

class DictSub(dict):
    def __init__(self, *a, extra=None):
        super().__init__(*a)
        self.extra = extra

class ArraySub(np.ndarray):
    pass

class Plugin:
    def __init_subclass__(cls, *, label):
        cls.label = label

class Plugged(Plugin, label="plugged"):
    pass

@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

cached_length = functools.cache(len)

def cached_inside(k):
    @functools.cache
    def inner(x):
        return k * x
    return inner

@functools.singledispatch
def kind(x):
    return "other"

@kind.register
def _(x: int):
    return "int"

def plus_one(f):
    @functools.wraps(f)
    def inner(*a, **k):
        return f(*a, **k) + 1
    return inner

@plus_one
def decorated(x):
    return x

@contextlib.contextmanager
def seven():
    yield 7

log = logging.getLogger(__name__)
PATTERN = re.compile("a+")
square = lambda x: x * x
COUNTER = 0

def count():
    global COUNTER
    COUNTER += 1
    return COUNTER

child = SlotChild()
child.more = 9
THINGS = [Frozen(1), Concrete(), Box(1), Mixed.A, Private(), Computed(), DictSub({"a": 1}, extra=2),
          np.arange(3).view(ArraySub), child, Plugged()]

def check(things):
    assert [type(t) for t in things] == [type(t) for t in THINGS]
    frozen, concrete, box, mixed, private, computed, dictionary, array, child, plugged = things
    assert frozen == Frozen(1) and isinstance(concrete, Abstract) and box.v == 1 and mixed.up() == "A"
    assert private.get() == 5 and private.open == 1 and computed.v == 3 and computed.c() is Computed
    assert dictionary == {"a": 1} and dictionary.extra == 2 and array.sum() == 3
    assert plugged.label == "plugged" and Plugged.__mro__ == (Plugged, Plugin, object)
    assert child.more == 9 and child.get() == 5 and not hasattr(Frozen(1), "__dict__")

twice = cached_inside(2)

def experiment(context, config):
    check(config.things)
    assert fib(20) == 6765 and config.cached is fib and fib.cache_info().hits > 0
    assert cached_length("abc") == 3 and twice(4) == 8 and config.local(4) == 12
    assert kind(1) == "int" and kind("") == "other" and decorated(1) == 2 and PATTERN.match("aa") and square(3) == 9
    with seven() as found:
        assert found == 7
    log.warning("a line")
    try:
        Abstract()
    except TypeError:
        pass
    return THINGS, count(), fib

(result,) = Memento(experiment, num_workers=1).run(
    {"parameters": {"things": [THINGS], "cached": [fib], "local": [cached_inside(3)]}})
things, counted, cached = result.inner
check(things)
assert counted == 1 and COUNTER == 0 and cached is fib
print("all right", result.was_cached)
"""


@pytest.mark.slow
def test_whatever_scripts_define_reaches_workers_and_comes_back(place: Workplace) -> None:
    place.write("exp.py", AWKWARD)
    assert "all right False" in place.run("exp.py").out
    assert "all right True" in place.run("exp.py").out
