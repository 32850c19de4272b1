"""What the hash of an array's elements promises: any change is seen, and no layout, byte order or machine counts."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.keys.encode_numpy import LARGE
from memento.keys.value_digest import digest

SIZE = LARGE // 8 + 1003  # words; the last block is not whole
BASE = np.random.default_rng(0).standard_normal(SIZE)
TYPES = ["f8", "f4", "f2", "i8", "u1", "bool", "c16", "M8[ns]", "m8[s]", "S3", "U2"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIZE - 1), st.integers(0, 63))
def test_a_change_of_any_one_bit_is_seen(place: int, bit: int) -> None:
    changed = BASE.copy()
    changed.view(np.uint64)[place] ^= np.uint64(1 << bit)
    assert digest(changed) != digest(BASE)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_an_exchange_of_any_two_elements_is_seen(one: int, other: int) -> None:
    changed = BASE.copy()
    changed[[one, other]] = changed[[other, one]]
    assert (digest(changed) != digest(BASE)) == (BASE[one] != BASE[other])


@pytest.mark.parametrize("kind", TYPES)
def test_the_last_element_of_every_type_counts(kind: str) -> None:
    array = np.zeros(LARGE + 5, dtype=kind)
    before = digest(array)
    array[-1] = 1 if array.dtype.kind not in "SU" else "1"
    assert digest(array) != before
    assert digest(array.copy()) == digest(array)


def test_shape_and_type_count() -> None:
    side = int(SIZE**0.5)
    square = BASE[: side * side].reshape(side, side)
    alike = [square, square.reshape(-1), square.view(np.int64), square.T, square.view("M8[s]")]
    assert len(set(map(digest, alike))) == len(alike)


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_pickled_or_mapped_from_a_file_has_the_digest_that_it_had(kind: str, tmp_path: Path) -> None:
    array = np.ones(LARGE, dtype=kind)
    np.save(tmp_path / "array.npy", array)
    assert digest(pickle.loads(pickle.dumps(array))) == digest(array)
    assert digest(np.load(tmp_path / "array.npy", mmap_mode="c")) == digest(array)


def test_every_missing_number_is_one() -> None:
    arrays = [BASE.copy() for _ in range(3)]
    arrays[0][7], arrays[1][7] = np.nan, -np.nan
    arrays[2].view(np.uint64)[7] = 0x7FF8_0000_0000_1234  # some tools write marks into it
    assert len(set(map(digest, arrays))) == 1


CUBE = np.random.default_rng(1).standard_normal((110, 120, 130))
LAYOUTS = {
    "rows": CUBE, "columns": CUBE.T, "axes": CUBE.transpose(1, 0, 2), "gaps": CUBE[::2, 1:, ::-1],
    "turned gaps": CUBE.transpose(2, 0, 1)[::2], "few rows": CUBE.reshape(2, -1)[:, ::2],
    "one column": CUBE.reshape(-1, 2)[:, 0], "repeated": np.broadcast_to(CUBE[:1], CUBE.shape),
    "axes of one": CUBE[:, None, :, None],
    "wide columns": CUBE.reshape(-1, 20).T, "tall columns": CUBE.reshape(20, -1).T,
    "few": CUBE[:2, ::3], "of the other byte order": CUBE.astype(">f8"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_has_the_digest_of_plain_rows_and_each_element_counts(name: str) -> None:
    array = LAYOUTS[name]
    plain = np.ascontiguousarray(array, dtype="<f8")
    assert digest(array) == digest(plain)
    for place in (0, array.size // 3, array.size - 1):
        other = array.copy(order="K")
        other[np.unravel_index(place, array.shape)] += 1
        assert digest(other) != digest(array)


@pytest.mark.parametrize("size", [LARGE // 8 - 1, LARGE // 8])
def test_elements_are_hashed_as_documented_below_and_from_the_limit_on(size: int) -> None:
    from memento.keys import encode_numpy

    array = BASE[:size]
    expected = (
        hashlib.blake2b(array.tobytes(), digest_size=16)
        if size < LARGE // 8
        else xxhash.xxh3_128(array.tobytes())
    )
    assert encode_numpy._content(array, np) == expected.digest()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.arange((1 << 18) + 3, dtype=np.int64), "bb49fa9936056b34ece222ef8f6117c6"),
        (np.arange(1 << 18, dtype="f4").reshape(256, 1024).T, "d29a1762ed173344eca2bc23a6341769"),
    ],
)
def test_the_digest_of_large_arrays_is_the_same_everywhere(array: np.ndarray, expected: str) -> None:
    assert digest(array).hex() == expected
