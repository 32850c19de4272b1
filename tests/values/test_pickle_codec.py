"""What is saved with arrays comes back as pickle brings it back, from memory that is its own."""

from __future__ import annotations

import datetime
import json
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.values.checkpoints import CheckpointDir
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir
from memento.values.pickling import dumps_value, loads_value

BIG = 50_000  # doubles
DTYPES: list[Any] = [
    "f8", "f2", "i4", ">i4", ">f8", "c16", "?", "U3", "S2", "M8[ns]", "m8[s]", "V5", "longdouble",
    [("a", "i4"), ("b", ">f8", (2,))], {"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8]},
]  # fmt: skip
COUNTS = [0, 1, 12, 600, 5_000, 140_000]  # inside the pickle, beside it with others, and alone
LAYOUTS: dict[str, Any] = {
    "as made": lambda a: a,
    "0-d": lambda a: a[:1].reshape(()) if a.size else a,
    "Fortran order": lambda a: np.asfortranarray(a.reshape(2, -1)) if a.size % 2 == 0 else a,
    "every third": lambda a: a[::3],
    "backwards": lambda a: a[::-1],
    "a view": lambda a: a[a.size // 2 :],
    "broadcast": lambda a: np.broadcast_to(a[:1], (3, min(a.size, 1))),
    "read-only": lambda a: _locked(a),
    "masked": lambda a: np.ma.masked_array(a, mask=np.arange(a.size) % 2 == 0) if a.dtype.kind in "fi" else a,
    "of objects": lambda a: a.astype(object)[:20] if a.dtype.kind in "fiU" else a,
    "as a record array": lambda a: a.view(np.recarray) if a.dtype.names else a,
}  # fmt: skip


def _locked(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


def _array(dtype: Any, count: int, layout: str) -> Any:
    # Not any bytes are a number of 80 bits that equals itself, nor are any four of them a letter that can be pickled.
    if dtype == "longdouble":
        made = np.arange(count, dtype=dtype) / 3
    elif dtype == "U3":
        made = (np.arange(3 * count, dtype="u4") % 2).view(dtype)
    else:
        made = (np.arange(count * np.dtype(dtype).itemsize, dtype="u1") % 2).view(dtype)
    return LAYOUTS[layout](made)


@dataclass
class Layer:
    """A record that a training keeps."""

    weights: Any
    rest: Any


@dataclass(frozen=True)
class Place:
    """Which of the parts stands here: one that stands twice is one object."""

    number: int


FRAMES = st.sampled_from(
    [
        pd.DataFrame({"a": np.arange(2_000), "b": np.arange(2_000.0), "c": ["x", "y"] * 1_000}),
        pd.DataFrame(
            {"t": pd.date_range("2020", periods=900, tz="UTC"), "k": pd.Categorical(["u", "v", "w"] * 300)}
        ),
        pd.Series(np.arange(700.0), index=pd.date_range("2020", periods=700), name="q"),
    ]
)
PARTS = st.lists(
    st.builds(_array, st.sampled_from(DTYPES), st.sampled_from(COUNTS), st.sampled_from(list(LAYOUTS)))
    | FRAMES
    | st.dates()
    | st.datetimes(timezones=st.just(datetime.timezone.utc)),
    min_size=1,
    max_size=6,
)
SHAPES = st.recursive(
    st.builds(Place, st.integers(0, 5)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.builds(Layer, inner, inner)
    ),
    max_leaves=8,
)


def build(shape: Any, parts: list[Any]) -> Any:
    """Put the parts into their places."""
    if isinstance(shape, Place):
        return parts[shape.number % len(parts)]
    if isinstance(shape, Layer):
        return Layer(build(shape.weights, parts), build(shape.rest, parts))
    if isinstance(shape, dict):
        return {name: build(inner, parts) for name, inner in shape.items()}
    return type(shape)(build(inner, parts) for inner in shape)


def _content(array: Any) -> list[Any]:
    """Return what is in an array: of records their fields, as a copy has anything between them."""
    parts = [array[name] for name in array.dtype.names] if array.dtype.names else [array]
    return [part.tolist() if part.dtype.hasobject else part.tobytes() for part in parts]


def assert_same(one: Any, two: Any, pairs: dict[int, int]) -> None:
    """Compare types, contents, layouts, whether it can be written to, and which objects stand in several places."""
    assert type(one) is type(two)
    if isinstance(one, (np.ndarray, list, dict, Layer)):
        assert pairs.setdefault(id(one), id(two)) == id(two)
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.dtype.str, one.shape) == (two.dtype, two.dtype.str, two.shape)
        for flag in ("WRITEABLE", "C_CONTIGUOUS", "F_CONTIGUOUS", "ALIGNED"):
            assert one.flags[flag] == two.flags[flag], flag
        assert _content(one) == _content(two)
        if isinstance(one, np.ma.MaskedArray):
            assert (np.ma.getmaskarray(one) == np.ma.getmaskarray(two)).all()
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, two)
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, two)
    elif isinstance(one, Layer):
        assert_same([one.weights, one.rest], [two.weights, two.rest], pairs | {})
    elif isinstance(one, dict):
        assert list(one) == list(two)
        for name, value in one.items():
            assert_same(value, two[name], pairs)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two)
        for left, right in zip(one, two, strict=True):
            assert_same(left, right, pairs)
    else:
        assert one == two


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.mark.slow
@given(shape=SHAPES, parts=PARTS)
@settings(max_examples=60)
def test_whatever_is_saved_comes_back_as_pickle_brings_it_back(
    shape: Any, parts: list[Any], place: Path
) -> None:
    value = build(shape, parts)
    expected = pickle.loads(pickle.dumps(value, protocol=5))
    checkpoints, payloads = CheckpointDir(place / "checkpoints", "00"), PayloadDir(place / "payloads")
    checkpoints.save((value,))
    assert_same(CheckpointDir(place / "checkpoints", "00").load()[0][0], expected, {})
    assert_same(loads_value(dumps_value(value)), expected, {})
    nested = [value]  # never the open format of a single array or frame, which keeps more than pickle does
    for mmap in (False, True):
        assert_same(decode(encode(nested, payloads), payloads, mmap=mmap), [expected], {})


def owner(array: Any) -> Any:
    """Return what holds an array's memory."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj


def test_a_large_array_goes_without_the_others(tmp_path: Path) -> None:
    checkpoints = CheckpointDir(tmp_path / "checkpoints", "00")
    checkpoints.save(([np.zeros(200_000), np.ones(200_000), *(np.ones(1_000) for _ in range(8))],))
    (one, two, *small), _ = *checkpoints.load()[0], None
    assert owner(one) is not owner(two)
    assert owner(two) is not owner(small[0])


@pytest.mark.parametrize(
    "header",
    [b"", b"{", b"[]", b"3", b'{"sizes": 3}', b'{"sizes": [-5, 5]}', b'{"sizes": ["a"]}', b'{"sizes": [1e300]}',
     b'{"sizes": [5, 99999999999999]}', b'{"sizes": []}', b'{"sizes": [5, null]}', b"\xff"],
)  # fmt: skip
def test_a_header_that_makes_no_sense_is_damage(header: bytes, tmp_path: Path) -> None:
    checkpoints = CheckpointDir(tmp_path / "checkpoints", "00")
    checkpoints.save((1, np.zeros(BIG)))
    checkpoints.save((2, np.zeros(BIG)))
    path = checkpoints.folder / "b.checkpoint"
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, 9)
    assert json.loads(data[13 : 13 + size])["sizes"][1] == 8 * BIG
    path.write_bytes(data[:9] + struct.pack("<I", len(header)) + header + data[13 + size :])
    assert checkpoints.load()[0][0] == 1
