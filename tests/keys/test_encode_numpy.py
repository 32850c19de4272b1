"""What the quick hash of large arrays promises: any change is seen, and it is the same on every machine."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.keys import encode_numpy
from memento.keys.encode_numpy import LARGE, quick_hash

SIZE = LARGE // 8 + 1003  # words; the last block is not whole
BASE = np.random.default_rng(0).standard_normal(SIZE)
TYPES = ["f8", "f4", "f2", "i8", "u1", "bool", "c16", "M8[ns]", "m8[s]", "S3", "U2"]


def of(array: np.ndarray) -> bytes:
    found = quick_hash(array, np)
    assert found is not None
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, SIZE - 1), st.integers(0, 63))
def test_a_change_of_any_one_bit_is_seen(place: int, bit: int) -> None:
    changed = BASE.copy()
    changed.view(np.uint64)[place] ^= np.uint64(1 << bit)
    assert of(changed) != of(BASE)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_an_exchange_of_any_two_elements_is_seen(one: int, other: int) -> None:
    changed = BASE.copy()
    changed[[one, other]] = changed[[other, one]]
    assert (of(changed) != of(BASE)) == (BASE[one] != BASE[other])


@pytest.mark.parametrize("kind", TYPES)
def test_the_last_element_of_every_type_counts(kind: str) -> None:
    array = np.zeros(LARGE + 5, dtype=kind)
    before = of(array)
    array[-1] = 1 if array.dtype.kind not in "SU" else "1"
    assert of(array) != before
    assert of(array.copy()) == of(array)


def test_shape_type_and_order_count() -> None:
    side = int(SIZE**0.5)
    square = BASE[: side * side].reshape(side, side)
    marks = [
        of(square),
        of(square.reshape(-1)),
        of(square.view(np.int64)),
        of(np.ascontiguousarray(square.T)),
    ]
    assert len(set(marks)) == 4
    assert of(np.asfortranarray(square)) == of(np.asfortranarray(square).copy(order="F"))


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_pickled_or_mapped_from_a_file_has_the_digest_that_it_had(kind: str, tmp_path: Path) -> None:
    array = np.ones(LARGE, dtype=kind)
    np.save(tmp_path / "array.npy", array)
    assert of(pickle.loads(pickle.dumps(array))) == of(array)
    assert of(np.load(tmp_path / "array.npy", mmap_mode="c").view(np.ndarray)) == of(array)


@pytest.mark.parametrize(
    "array", [BASE[:10], BASE.astype(">f8"), BASE.astype(object)[: LARGE // 4], BASE.astype("g")]
)
def test_what_is_small_or_has_other_bytes_than_its_value_is_left_to_the_exact_hash(array: np.ndarray) -> None:
    assert quick_hash(array, np) is None


CUBE = np.random.default_rng(1).standard_normal((70, 80, 90))
LAYOUTS = {
    "rows": CUBE, "columns": CUBE.T, "axes": CUBE.transpose(1, 0, 2), "gaps": CUBE[::2, 1:, ::-1],
    "turned gaps": CUBE.transpose(2, 0, 1)[::2], "few rows": CUBE.reshape(2, -1)[:, ::2],
    "one column": CUBE.reshape(-1, 2)[:, 0], "repeated": np.broadcast_to(CUBE[:1], CUBE.shape),
    "axes of one": CUBE[:, None, :, None],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_in_every_layout_each_element_counts_for_both_hashes(name: str) -> None:
    array = LAYOUTS[name]
    exact = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()
    assert encode_numpy._exact(array, np) == exact
    turned = array.copy(order="K")
    assert of(turned) == of(turned.copy(order="K"))
    for place in (0, array.size // 3, array.size - 1):
        other = turned.copy(order="K")
        other[np.unravel_index(place, array.shape)] += 1
        assert of(other) != of(turned)
        assert encode_numpy._exact(other, np) != exact


def test_the_digest_is_the_same_everywhere() -> None:
    assert of(np.arange((1 << 17) + 3, dtype=np.int64)).hex() == "11506be07ddd7eb24289cca55fb820a8"
