"""Tuples and NumPy's scalars come back as themselves, from JSON that anybody can read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.values.encoding import decode, encode, readable
from memento.values.payloads import PayloadDir
from memento.values.plain_codecs import Typed

typed = Typed()

SCALARS = st.one_of(
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(0, 255).map(np.uint8),
    st.booleans().map(np.bool_),
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), SCALARS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Compare values and all types inside, nan equal to itself, -0.0 apart from 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, float | np.floating):
        return bool(
            (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
        )
    return bool(a == b)


@pytest.mark.slow
@given(VALUES)
def test_what_is_kept_comes_back_as_it_was(value: Any) -> None:
    content = typed.dump(value)
    if content is not None:
        assert same(typed.load(memoryview(content[0]), 1), value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"acc": np.float64(0.85), "n": 3}, {"acc": 0.85, "n": 3}),
        ((0.5, "a"), [0.5, "a"]),
        ([np.int32(4), (np.bool_(True), None)], [4, [True, None]]),
        ({"fold": (np.float32(0.5),)}, {"fold": [0.5]}),
        (np.float64(0.25), 0.25),
        (np.bool_(True), True),
        (np.int8(-3), -3),
    ],
)
def test_numbers_of_numpy_are_read_without_it(value: Any, shown: Any, tmp_path: Path) -> None:
    for limit in (1000, -1):  # in the index, and in a file
        payloads = PayloadDir(tmp_path)
        encoded = encode(value, payloads, limit)
        assert encoded.format in ("typed", "npscalar")
        assert readable(encoded, payloads, 1000) == (True, shown)
        assert readable(encoded, payloads)[0] == (limit > 0)  # no file is read unasked
        assert same(decode(encoded, payloads, trusted=False), value)


SHARED: list[int] = []


@pytest.mark.parametrize(
    "value",
    [{1, 2}, {"a": object}, {1: (2,)}, (SHARED, SHARED), (np.datetime64("2020-01-01"),), (np.complex64(1j),)],
)
def test_what_json_would_change_is_left_to_pickle(value: Any) -> None:
    assert typed.dump(value) is None


def test_the_first_half_is_plain_json() -> None:
    content = typed.dump({"acc": np.float64(0.5), "size": (2, 3)})
    assert content is not None
    assert json.loads(content[0]) == [{"acc": 0.5, "size": [2, 3]}, [["float64", "acc"], ["tuple", "size"]]]
