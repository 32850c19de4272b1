"""What `digest` promises of plain values."""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import itertools
import random
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import UnkeyableValue
from memento.keys.encode import plain_number
from memento.keys.value_digest import digest, register_key

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.binary()
    | st.dates()
    | st.timedeltas()
    | st.uuids()
    | st.fractions()
)
hashable = st.recursive(
    leaves, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=12,
)


def rebuilt(value: Any, rng: random.Random) -> Any:
    """Return an equal value that shares no container with it, filled in another order."""
    if type(value) is list:
        return [rebuilt(v, rng) for v in value]
    if type(value) is tuple:
        return tuple(rebuilt(v, rng) for v in value)
    if type(value) in (set, frozenset):
        return type(value)(rng.sample([rebuilt(v, rng) for v in value], len(value)))
    if type(value) is dict:
        pairs = [(rebuilt(k, rng), rebuilt(v, rng)) for k, v in value.items()]
        return dict(rng.sample(pairs, len(pairs)))
    return value


def typed(value: Any) -> Any:
    """Return a description that is equal for values that are the same in type and content."""
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return kind, [typed(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(map(repr, map(typed, value)))
    if isinstance(value, dict):
        return kind, sorted(repr((typed(k), typed(v))) for k, v in value.items())
    return kind, repr(value)


@pytest.mark.slow
@given(values, st.integers())
def test_equal_values_have_equal_digests_in_whatever_order_they_were_built(value: Any, seed: int) -> None:
    assert digest(rebuilt(value, random.Random(seed))) == digest(value)


@pytest.mark.slow
@given(values, values)
def test_values_have_equal_digests_only_if_they_are_the_same_in_type_and_content(a: Any, b: Any) -> None:
    assert (digest(a) == digest(b)) == (typed(a) == typed(b))


@pytest.mark.slow
@given(st.lists(st.text() | st.binary(), max_size=5), st.lists(st.text() | st.binary(), max_size=5))
def test_no_two_splits_of_the_same_text_have_one_digest(a: list[Any], b: list[Any]) -> None:
    assert (digest(a) == digest(b)) == (a == b)


class Pair(NamedTuple):
    x: int
    y: int


class Text(str):
    __slots__ = ()


class Plain:
    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Other(Plain):
    pass


def test_values_that_compare_equal_but_differ_in_type_have_different_digests() -> None:
    alike: list[Any] = [
        1, True, 1.0, 1 + 0j, "1", b"1", bytearray(b"1"), (1,), [1], {1}, frozenset([1]), {1: None},
        decimal.Decimal(1),
        Text("1"), range(1), PurePosixPath("1"), collections.deque([1]), collections.deque([1], maxlen=1),
        0, 0.0, -0.0, False, None, "", b"", (), [], {}, set(), frozenset(), ..., NotImplemented,
        Pair(1, 2), (1, 2), [1, 2], Plain(x=1), Other(x=1), Plain(x=1.0), Plain, Other, re.compile("1"),
        re.compile(b"1"),
        collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1), {"a": 1, "b": 2},
        collections.Counter(a=1, b=2), collections.defaultdict(int, a=1, b=2), collections.defaultdict(float, a=1, b=2),
        datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), "2024-01-01",  # noqa: DTZ001
    ]  # fmt: skip
    assert len({digest(value) for value in alike}) == len(alike)


def test_nan_equals_itself() -> None:
    assert digest([float("nan")]) == digest([-float("nan")])


def test_ranges_with_the_same_elements_are_the_same() -> None:
    assert digest(range(0, 3, 2)) == digest(range(0, 4, 2))
    assert digest(range(3)) != digest(range(4))


def test_a_value_shared_within_another_counts_as_an_equal_one_does() -> None:
    shared = ["x"]
    assert digest([shared, shared]) == digest([["x"], ["x"]])


def test_a_value_that_contains_itself_has_a_digest() -> None:
    def ring(last: Any) -> list[Any]:
        items: list[Any] = [1]
        items.extend([items, last])
        return items

    assert digest(ring(2)) == digest(ring(2))
    assert digest(ring(2)) != digest(ring(3))


def test_cycles_do_not_depend_on_the_order_of_what_leads_to_them() -> None:
    def family(names: str) -> dict[str, Plain]:
        a, b = Plain(name="a"), Plain(name="b")
        a.other, b.other = b, a  # type: ignore[attr-defined]
        both = {"a": a, "b": b}
        return {name: both[name] for name in names}

    assert digest(family("ab")) == digest(family("ba"))


def test_deeply_shared_values_take_no_exponential_time() -> None:
    value: Any = ["leaf"]
    for _ in range(60):
        value = [value, value]
    assert len(digest(value)) == 16


@pytest.mark.slow
def test_objects_that_all_know_each_other_are_refused_in_finite_time() -> None:
    crowd = [Plain(number=i) for i in range(12)]
    for one in crowd:
        one.others = list(crowd)  # type: ignore[attr-defined]
    with pytest.raises(UnkeyableValue, match="circles"):
        digest(crowd[0])


def test_the_order_in_which_attributes_were_set_does_not_count() -> None:
    assert digest(Plain(a=1, b=2)) == digest(Plain(b=2, a=1))
    assert digest(Plain(a=1, b=2)) != digest(Plain(a=2, b=1))


def test_reading_a_cached_property_changes_no_digest() -> None:
    class Lazy:
        @functools.cached_property
        def value(self) -> int:
            return 3

    lazy = Lazy()
    before = digest(lazy)
    assert lazy.value == 3
    assert digest(lazy) == before


def test_a_dataclass_counts_what_its_init_adds_to_its_fields() -> None:
    @dataclass
    class Seeded:
        size: int
        start: int = field(default=0, init=False)

        def __post_init__(self) -> None:
            self.extra: Any = None

    one, two = Seeded(1), Seeded(1)
    assert digest(one) == digest(two)
    two.extra = 5
    assert digest(one) != digest(two)


def test_a_class_says_itself_what_identifies_its_values() -> None:
    class Connection:
        def __init__(self, url: str) -> None:
            self.url, self.lock = url, threading.Lock()

        def __memento_key__(self) -> str:
            return self.url

    assert digest(Connection("a")) == digest(Connection("a"))
    assert digest(Connection("a")) != digest(Connection("b"))
    assert digest(Connection) == digest(Connection)


def test_a_registered_function_serves_subclasses_too() -> None:
    class Handle:
        def __init__(self, name: str) -> None:
            self.name, self.lock = name, threading.Lock()

    class Special(Handle):
        pass

    register_key(Handle, lambda handle: handle.name)
    assert digest(Special("a")) == digest(Special("a"))
    assert digest(Special("a")) != digest(Handle("a"))


@pytest.mark.parametrize(("kind", "func"), [(3, len), (int, 3)])
def test_registering_something_else_than_a_class_and_a_function_is_refused(kind: Any, func: Any) -> None:
    with pytest.raises(TypeError, match="register_key"):
        register_key(kind, func)


class Addressed:
    def __init__(self) -> None:
        self.name = f"<Addressed at 0x{id(self):x}>"


class Failing:
    def __memento_key__(self) -> Any:
        raise ValueError("no")


class Numbered:
    def __reduce__(self) -> Any:
        return Numbered, (), id(self)


unkeyable: dict[str, Callable[[], Any]] = {
    "object": object,
    "file": Path(__file__).open,
    "socket": socket.socket,
    "generator": lambda: (i for i in "abc"),
    "list iterator": lambda: iter([1]),
    "map": lambda: map(len, []),
    "count": itertools.count,
    "own address": Addressed,
    "own address in its reduction": Numbered,
    "own key raises": Failing,
    "system random": random.SystemRandom,
    "frame": lambda: (lambda: 0).__code__,
}


@pytest.mark.parametrize("kind", unkeyable)
def test_what_has_no_certain_identity_is_an_error(kind: str) -> None:
    value = unkeyable[kind]()
    try:
        with pytest.raises(UnkeyableValue) as caught:
            digest({"steps": [("first", Plain(part=value))]}, "model")
    finally:
        if hasattr(value, "close"):
            value.close()
    assert caught.value.where.startswith("model['steps'][0][1].part")
    assert "register_key" in str(caught.value)


def test_the_error_names_the_way_to_a_captured_value() -> None:
    token = object()
    with pytest.raises(UnkeyableValue, match=r"loader\.<captured token>: "):
        digest(lambda: token, "loader")


@pytest.mark.slow
def test_nesting_without_end_is_an_error_and_no_crash() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnkeyableValue, match="nested too deeply"):
        digest(value, "x")
    while value:  # taken apart by hand: the interpreter would do it recursively
        value = value.pop()


@settings(max_examples=20)
@given(st.integers(min_value=1, max_value=3000))
def test_long_values_differ_at_their_end_too(size: int) -> None:
    assert digest("x" * size + "a") != digest("x" * size + "b")
    assert digest([0] * size + [1]) != digest([0] * size + [2])


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [(np.int8(4), 4), (np.float32(0.5), 0.5), (np.str_("a"), "a"), (np.bool_(True), True), (4, 4)],
)
def test_a_scalar_of_numpy_is_the_plain_value_that_it_equals(scalar: Any, plain: Any) -> None:
    assert type(plain_number(scalar)) is type(plain)
    assert plain_number(scalar) == plain
    assert digest(scalar) == digest(plain)
