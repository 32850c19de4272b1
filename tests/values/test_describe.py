"""A description of a value says what it is, and gives back what a table shows of it."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from collections import OrderedDict
from dataclasses import InitVar, dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.values.describe import (
    ITEMS,
    LargeValue,
    Part,
    describe,
    flat_items,
    is_scalar,
    items_of,
    read_description,
    what_it_is,
)
from memento.values.encoding import encode
from memento.values.payloads import PayloadDir


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 2


class Odd(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class Shaped:
    @property
    def shape(self) -> Any:
        raise RuntimeError("no shape")


SCALARS: list[tuple[Any, Any]] = [
    *((value, value) for value in (None, True, 3, 2**70, 0.5, math.inf, "text", "\udcff.csv", 1 + 2j)),
    (np.float32(0.5), 0.5),
    (np.int8(-3), -3),
    (np.bool_(True), True),
    (np.str_("a"), "a"),
    (np.complex64(1j), 1j),
    (np.datetime64("2024-03-31T01:00:00", "ns"), dt.datetime.fromisoformat("2024-03-31T01:00")),
    (np.timedelta64(90, "s"), dt.timedelta(seconds=90)),
    (np.datetime64("NaT", "s"), None),
    (pd.Timestamp("2024-03-31 01:00:00+02:00"), dt.datetime.fromisoformat("2024-03-31T01:00:00+02:00")),
    (pd.NaT, None),
    (pd.NA, None),
    (pd.Timedelta("2s"), dt.timedelta(seconds=2)),
    (dt.date(2024, 3, 31), dt.date(2024, 3, 31)),
    (dt.time(1, 2), dt.time(1, 2)),
    (Color.RED, "Color.RED"),
    (Level.LOW, 2),
    (Decimal("0.10"), Decimal("0.10")),
    (Fraction(1, 3), Fraction(1, 3)),
]


@pytest.mark.parametrize(("value", "shown"), SCALARS, ids=lambda value: repr(value))
def test_a_scalar_of_a_dict_comes_back(value: Any, shown: Any) -> None:
    assert is_scalar(type(value))
    items = read_description(describe({"a": value, "b": [1]})).items
    assert items == {"a": shown, "b": Part("list of 1 item")}
    assert type(items["a"]) is type(shown)


OTHERS: list[tuple[Any, str]] = [
    (np.zeros((2, 3), "float32"), "array 2x3 float32"),
    (np.zeros(5, "int64"), "array 5 int64"),
    (pd.DataFrame({"a": [1, 2]}), "DataFrame 2x1"),
    (pd.Series([0.5]), "Series 1 float64"),
    ([1] * 1234, "list of 1,234 items"),
    ({1, 2}, "set of 2 items"),
    ({1: "a"}, "dict of 1 key"),
    (b"x", "bytes"),
    (Path("/store/artifacts/model.pt"), "…/model.pt"),
    (Shaped(), "Shaped"),
]


@pytest.mark.parametrize(("value", "what"), OTHERS, ids=[what for _, what in OTHERS])
def test_what_is_no_scalar_is_named(value: Any, what: str) -> None:
    assert not is_scalar(type(value))
    assert what_it_is(value) == read_description(describe(value)).what == what
    assert read_description(describe({"a": value})).items == {"a": Part(what)}


@pytest.mark.parametrize("value", ["x" * 1_000, np.void(b"ab"), 2**2000, Decimal("1" * 500)])
def test_a_long_scalar_stands_for_itself_no_more(value: Any) -> None:
    items = read_description(describe({"a": value})).items
    assert items is not None
    assert isinstance(items["a"], Part)


@pytest.mark.parametrize(
    "value",
    [dict.fromkeys(map(str, range(ITEMS + 1)), 1.0), {f"{i}" * 100: "x" * 200 for i in range(90)}],
    ids=["many", "long"],
)
def test_a_dict_of_too_much_is_a_value(value: dict[str, Any]) -> None:
    known = read_description(describe(value))
    assert known == (f"dict of {len(value)} keys", True, None)


def test_names_that_are_no_text_make_no_column() -> None:
    assert read_description(describe({1: 0.5, (2,): 0.5})).items == {
        "1": Part("0.5"),
        "tuple of 1 item": Part("0.5"),
    }


class Pair(NamedTuple):
    acc: float
    of: Any = None


@dataclass(slots=True, frozen=True)
class Scores:
    acc: float
    kind: ClassVar[str] = "class"
    seed: InitVar[int] = 0
    test: Any = None


class Planet(Pair, enum.Enum):
    EARTH = (1.0, 2)


class Tensor:
    """Stands for a tensor of no dimensions."""

    def __init__(self, number: float, *shape: int) -> None:
        self.number, self.shape = number, shape

    def item(self) -> float:
        return self.number


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (Pair(0.5, [1]), {"acc": 0.5, "of": Part("list of 1 item")}),
        (
            Scores(0.5, test=Pair(1, {"f1": np.float32(2)})),
            {"acc": 0.5, "test": {"acc": 1, "of": {"f1": 2.0}}},
        ),
        (
            {"t": Tensor(0.5), "u": Tensor(0.5, 2), "v": np.array(3)},
            {"t": 0.5, "u": Part("tensor 2"), "v": 3},
        ),
        ({"d": np.array("2024-03-31", "M8[ns]")}, {"d": dt.datetime.fromisoformat("2024-03-31")}),
        ({"a": {}, "b": {1: 2}}, {"a": Part("dict of 0 keys"), "b": Part("dict of 1 key")}),
        (
            {"a": 1, "b": dict.fromkeys(map(str, range(99)), 1)},
            {"a": 1, "b": dict.fromkeys(map(str, range(99)), 1)},
        ),
        ({"a": 1, "b": dict.fromkeys(map(str, range(100)), 1)}, {"a": 1, "b": Part("dict of 100 keys")}),
        ({"a": 1, "b": {f"{i}": "x" * 199 for i in range(90)}}, {"a": 1, "b": Part("dict of 90 keys")}),
        ({"a": Planet.EARTH}, {"a": "Planet.EARTH"}),
        ((1, 2), None),
        (Planet.EARTH, None),
        (Part("a"), None),
    ],
)
def test_items_are_those_of_dicts_named_tuples_and_dataclasses_at_any_depth(value: Any, items: Any) -> None:
    known = read_description(describe(value))
    assert known.items == items
    assert known.is_dict == (items is not None)


def test_classes_of_attrs_have_items_too() -> None:
    attrs = pytest.importorskip("attrs")
    made = attrs.make_class("Made", ["acc", "of"])
    assert items_of(made(0.5, [1])) == {"acc": 0.5, "of": [1]}


def test_a_field_that_was_never_set_is_left_out() -> None:
    value = Scores.__new__(Scores)
    object.__setattr__(value, "acc", 0.5)
    assert items_of(value) == {"acc": 0.5}


def test_a_dict_that_holds_itself_ends() -> None:
    value: dict[str, Any] = {"a": 1}
    value["self"] = value["again"] = value
    assert read_description(describe(value)).items == {
        "a": 1,
        "self": Part("dict of 3 keys"),
        "again": Part("dict of 3 keys"),
    }
    assert flat_items(value)["a"] == 1


def test_what_was_described_before_nested_items_were_is_read() -> None:
    items = {"acc": 0.5, "t": "dict of 1 key"}
    old = json.dumps({"what": "dict of 2 keys", "is_dict": True, "items": items, "kinds": {"t": "part"}})
    assert read_description(old) == ("dict of 2 keys", True, {"acc": 0.5, "t": Part("dict of 1 key")})


def test_a_line_names_what_is_nested() -> None:
    known = read_description(describe({"test": {"f1": 1 / 3, "cm": [1]}, "n": 1}))
    assert known.line(10**6) == "{test: {f1: 0.333333, cm: list of 1 item}, n: 1}, dict of 2 keys, 1 MB"


def test_a_strange_class_fails_nothing() -> None:
    assert read_description(describe(Odd(a=1))).what == "Odd"


@pytest.mark.slow
@given(text=st.text() | st.builds(json.dumps, st.recursive(st.none() | st.text(), st.lists)))
def test_a_damaged_description_leaves_the_type(text: str) -> None:
    assert read_description(text, "numpy:ndarray").what == "ndarray"


@pytest.mark.slow
@given(
    value=st.dictionaries(
        st.text() | st.integers(),
        st.none() | st.floats(allow_nan=False) | st.text() | st.lists(st.integers(), max_size=2),
        max_size=9,
    )
)
def test_each_item_is_told(value: dict[Any, Any]) -> None:
    items = read_description(describe(value)).items
    assert items is not None
    for name, item in value.items():
        if not isinstance(name, str):
            continue
        if isinstance(item, list) or (isinstance(item, str) and len(item) > 200):
            assert isinstance(items[name], Part)
        elif str(name) not in map(str, (key for key in value if not isinstance(key, str))):
            assert items[name] == item


def test_a_file_and_a_pickle_with_named_items_have_a_description(tmp_path: Path) -> None:
    payloads = PayloadDir(tmp_path)
    pickles = {"acc": 0.5, "x": np.zeros(3)}, OrderedDict(acc=0.5, x=np.zeros(3)), [np.zeros(3)]
    told = [encode(value, payloads) for value in pickles]
    assert [one.format for one in told] == ["pickle"] * 3
    known = [read_description(one.shown).items for one in told]
    assert known == [{"acc": 0.5, "x": Part("array 3 float64")}] * 2 + [None]
    small, large = encode({"a": 1}, payloads), encode({"acc": 0.5, "x": np.zeros(20_000)}, payloads)
    assert (small.ref, small.shown) == (None, None)
    assert large.ref is not None
    assert LargeValue.of(large) == "{acc: 0.5, x: array 20000 float64}, dict of 2 keys, 160 kB"
    assert LargeValue.of(large._replace(shown=None)) == "dict, 160 kB"
