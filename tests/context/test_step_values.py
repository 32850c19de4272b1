"""What a step returns comes back to every task as it was: one of each kind of value, and any plain data."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.errors import UnsavableResult
from memento.store.step_records import names
from tests.context.making import context


@dataclasses.dataclass
class Split:
    train: Any
    seed: int


class Words(str):
    """A text of a class of its own."""


VALUES: list[Any] = [
    None,
    True,
    0,
    2**100,
    math.nan,
    -0.0,
    "text \ud800",
    "é" * 20_000,
    b"\xff\0",
    b"x" * 20_000,
    np.float32(0.1),
    np.int8(-3),
    np.bool_(True),
    np.arange(10).mean(),
    np.datetime64("2020-01-01"),
    [],
    (1, (2.0, [np.float64(3.0)])),
    {"a": {1: "x", (2,): None}},
    {3, 1},
    frozenset("ab"),
    range(3),
    1 + 2j,
    np.zeros(0),
    np.arange(6).reshape(2, 3)[:, ::2],
    np.arange(100_000.0),
    np.array(["a", "bc"]),
    np.array([{"a": 1}, None], dtype=object),
    {"X": np.arange(50_000), "y": [np.ones(3)]},
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["r", "s"]),
    pd.DataFrame({"a": np.arange(50_000.0)}),
    pd.Series([1.5, None], name="s"),
    Split(np.arange(4), 7),
    Words("words"),
    Path("a/b"),
    OSError(2, "gone"),
    int,
    len,
    "",
]
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def _given(place: int) -> Any:
    return VALUES[place]


class _Value:
    """Carries what a step is to return; no part of its key."""

    value: Any = None

    def __memento_key__(self) -> str:
        return "value"

    def give(self, number: int) -> Any:
        return self.value


def alike(one: Any, other: Any) -> bool:
    """Tell whether two values are of one type and equal, in all their parts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, (set, frozenset)):  # in whatever order: that is the hash seed's
        return bool(one == other) and sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and alike(one.tolist(), other.tolist())
    if isinstance(one, (pd.DataFrame, pd.Series)):
        return one.equals(other) and alike(list(one.index), list(other.index))
    if dataclasses.is_dataclass(one) or isinstance(one, OSError):
        return alike(vars(one), vars(other)) and str(one) == str(other)
    return bool(one == other or (one != one and other != other)) and repr(one) == repr(other)


@pytest.mark.parametrize("place", range(len(VALUES)))
def test_a_value_of_any_kind_comes_back_to_whoever_asks(store: str, place: int) -> None:
    for number in range(3):
        found = context(store, number).cached(_given, place)
        assert alike(found, VALUES[place]), found


@pytest.mark.slow
@settings(max_examples=60)
@given(plain)
def test_plain_data_come_back_to_whoever_asks(value: Any) -> None:
    giver = _Value()
    giver.value = value
    with tempfile.TemporaryDirectory() as store:
        assert all(alike(context(store, number).cached(giver.give, 1), value) for number in range(2))


IN_ANOTHER_PROCESS = """
import pickle, sys
import tests.context.test_step_values as steps
from tests.context.making import context
places = [place for place in range(len(steps.VALUES))]
assert all(steps.alike(context(sys.argv[1]).cached(steps._given, place), steps.VALUES[place]) for place in places)
"""


@pytest.mark.slow
def test_values_come_back_in_another_process(store: str) -> None:
    for place in range(len(VALUES)):
        context(store).cached(_given, place)
    before = {path.name: path.stat().st_mtime_ns for path in Path(store, "steps", "keys").glob("*.json")}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", IN_ANOTHER_PROCESS, store], check=True, cwd=root)
    assert before == {
        path.name: path.stat().st_mtime_ns for path in Path(store, "steps", "keys").glob("*.json")
    }


class Irreversible:
    def __reduce__(self) -> Any:
        return (_never_made, ())


def _never_made() -> Any:
    raise ValueError("no way back")


def test_what_cannot_be_stored_or_read_back_is_told_with_the_right_line(store: str) -> None:
    def rows() -> Any:
        return (n for n in range(3))

    def back() -> Any:
        return Irreversible()

    with pytest.raises(UnsavableResult, match=r"the step .*rows\(\) returned a generator.*list\(...\)"):
        context(store).cached(rows)
    with pytest.raises(UnsavableResult, match=r"can be stored but not read back .ValueError: no way back."):
        context(store).cached(back)
    assert names(store) == []
