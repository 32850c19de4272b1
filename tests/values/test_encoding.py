"""Values come back as themselves, and damaged ones never come back."""

from __future__ import annotations

import itertools
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.errors import PayloadDamaged, StoreUnwritable, UnsavableResult, UntrustedStore, ValueUnreadable
from memento.records import Encoded
from memento.values.buffers import PIECE
from memento.values.encoding import decode, encode, readable
from memento.values.payloads import PayloadDir, checksum

BIG = 140_000  # doubles: well over the inline limit, and over what is mapped


@pytest.fixture
def payloads(tmp_path: Path) -> PayloadDir:
    return PayloadDir(tmp_path / "pay'loads\n")


class Sub(dict[str, int]):
    """A dict that is more than a dict."""


def there_and_back(value: Any, payloads: PayloadDir) -> tuple[str, Any]:
    encoded = encode(value, payloads)
    home = "tests/values/test_encoding.py" if type(value) is Sub else type(value).__module__
    assert encoded.type == f"{home}:{type(value).__qualname__}"
    return encoded.format, decode(encoded, payloads)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "json"), (True, "json"), (3, "json"), (-0.0, "json"), (1e-300, "json"), (math.inf, "json"),
        (2**200, "json"), ([1, "a", {"b": [None, 2.5]}], "json"), ({}, "json"), ("naïve", "text"), (b"\x00", "bytes"),
        ("\ud800", "pickle"), (["\ud800"], "pickle"), ({1: 2}, "pickle"), ((1, 2), "typed"), ([(1, 2)], "typed"),
        pytest.param(10**5000, "pickle", id="huge"), (Sub(a=1), "pickle"), (1j, "pickle"),
        (list(range(20_000)), "pickle"),
        (np.float32(0.1), "npscalar"), (np.int8(-3), "npscalar"), (np.bool_(True), "npscalar"),
        (np.datetime64("2020-01-01"), "pickle"), (np.complex64(1j), "pickle"),
    ],
)  # fmt: skip
def test_a_value_comes_back_with_its_type_in_the_expected_format(
    value: Any, expected: str, payloads: PayloadDir
) -> None:
    name, back = there_and_back(value, payloads)
    assert (name, type(back)) == (expected, type(value))
    assert back == value
    assert math.copysign(1, back) == math.copysign(1, value) if isinstance(value, float) else True


def test_nan_comes_back(payloads: PayloadDir) -> None:
    assert math.isnan(there_and_back(math.nan, payloads)[1])


def test_a_list_that_stands_twice_stays_one_list(payloads: PayloadDir) -> None:
    inner = [1]
    back = there_and_back([inner, inner], payloads)[1]
    assert back[0] is back[1]


def test_a_list_that_holds_itself_comes_back(payloads: PayloadDir) -> None:
    circle: list[Any] = []
    circle.append(circle)
    back = there_and_back(circle, payloads)[1]
    assert back[0] is back


_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.slow
@given(_trees)
def test_every_tree_of_plain_values_comes_back_exactly(value: Any) -> None:
    payloads = PayloadDir("/nonexistent")  # small values never touch it
    back = decode(encode(value, payloads, inline_limit=1 << 30), payloads)
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(5), np.array(3.0), np.zeros((0, 3)), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(20)[::3], np.array(["2020-01-01"], "M8[D]"), np.array(["ab", "c"]), np.arange(4, dtype=">i4"),
        np.zeros(3, [("a", "i4"), ("b", "f8")]), np.arange(BIG, dtype=float), np.ones((300, 300), dtype="f2"),
    ],
    ids=lambda a: f"{a.dtype}-{a.shape}",
)  # fmt: skip
@pytest.mark.parametrize("mmap", [False, True])
def test_a_plain_array_is_kept_as_npy(array: Any, mmap: bool, payloads: PayloadDir) -> None:
    encoded = encode(array, payloads)
    back = decode(encoded, payloads, mmap=mmap)
    assert encoded.format == "npy"
    assert type(back) is np.ndarray
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert (back == array).all()
    assert back.flags.writeable


def test_the_file_of_an_array_is_a_plain_npy_file(payloads: PayloadDir) -> None:
    array = np.arange(BIG, dtype=float)
    encoded = encode(array, payloads)
    assert encoded.ref is not None
    assert (np.load(payloads.path(encoded.ref)) == array).all()


def test_an_array_of_objects_is_pickled(payloads: PayloadDir) -> None:
    name, back = there_and_back(np.array([{1}, None], dtype=object), payloads)
    assert (name, back[0]) == ("pickle", {1})


def test_what_is_changed_in_a_mapped_array_never_reaches_the_file(payloads: PayloadDir) -> None:
    encoded = encode(np.zeros(BIG), payloads)
    decode(encoded, payloads, mmap=True)[:] = 1
    assert decode(encoded, payloads).sum() == 0


def test_arrays_inside_other_values_stand_beside_the_pickle(payloads: PayloadDir) -> None:
    value = {"w": np.arange(BIG, dtype=float), "b": [np.ones(BIG)]}
    encoded = encode(value, payloads)
    back = decode(encoded, payloads, mmap=True)
    assert (back["w"] == value["w"]).all()
    assert back["w"].ctypes.data % 64 == 0


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": [True, False]}), "arrow"),
        (pd.Series([1, 2, 3]), "arrow"),
        (pd.Series([1.0], name="q", index=[3]), "arrow"),
        (pd.DataFrame({"t": pd.date_range("2020", periods=3, tz="UTC")}), "arrow"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "pickle"),
        (pd.DataFrame({1: [2]}), "pickle"),
        (pd.DataFrame({"o": [{1}, {2}]}), "pickle"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2020", periods=2)), "pickle"),
        (pd.DataFrame({"c": pd.Categorical(["a"])}), "pickle"),
    ],
)
def test_a_frame_comes_back_the_same(frame: Any, expected: str, payloads: PayloadDir) -> None:
    pytest.importorskip("pyarrow")
    name, back = there_and_back(frame, payloads)
    same = (
        pd.testing.assert_frame_equal if isinstance(frame, pd.DataFrame) else pd.testing.assert_series_equal
    )
    same(back, frame)
    assert name == expected


def test_a_value_that_cannot_be_pickled_names_the_part_at_fault(payloads: PayloadDir) -> None:
    with pytest.raises(
        UnsavableResult, match=r"the result\['model'\]\[1\] cannot be saved: it is a _thread\.lock"
    ):
        encode({"score": 1, "model": [0, threading.Lock()]}, payloads)


def test_the_same_value_is_one_file(payloads: PayloadDir) -> None:
    first, second = (encode(np.arange(BIG), payloads) for _ in range(2))
    assert first.ref == second.ref
    assert list(payloads.refs()) == [first.ref]


def test_a_large_file_has_every_byte_however_it_is_cut_into_buffers(payloads: PayloadDir) -> None:
    content = np.random.default_rng(0).integers(0, 256, 3 * PIECE + 17, dtype=np.uint8).tobytes()
    cuts = [0, 5, PIECE, PIECE + 1, 2 * PIECE + 9, len(content)]
    ref = payloads.write([content[a:b] for a, b in itertools.pairwise(cuts)], ".bin")
    assert payloads.path(ref).read_bytes() == content


def test_writing_leaves_nothing_temporary(payloads: PayloadDir) -> None:
    payloads.write([b"x"], ".bin")
    assert not any((payloads.root / ".writing").iterdir())


@pytest.mark.parametrize("harm", ["flip", "cut", "zero", "swap", "gone"])
def test_a_damaged_file_is_never_returned(harm: str, payloads: PayloadDir) -> None:
    ref = encode(np.random.default_rng(0).random(BIG), payloads).ref
    assert ref is not None
    path = payloads.path(ref)
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[200_000] ^= 1
    elif harm == "cut":
        del data[-100:]
    elif harm == "zero":
        data[8192:12288] = bytes(4096)
    elif harm == "swap":
        data[4096:4104], data[4104:4112] = data[4104:4112], data[4096:4104]
    path.write_bytes(data)
    if harm == "gone":
        path.unlink()
    with pytest.raises(PayloadDamaged):
        payloads.read(ref)


def test_a_damaged_file_is_written_anew(payloads: PayloadDir) -> None:
    value = np.arange(BIG)
    ref = encode(value, payloads).ref
    assert ref is not None
    size = payloads.path(ref).stat().st_size
    payloads.path(ref).write_bytes(bytes(size))
    assert (decode(encode(value, payloads), payloads) == value).all()


def test_a_damaged_file_can_be_moved_aside(payloads: PayloadDir) -> None:
    ref = payloads.write([b"x"], ".bin")
    aside = payloads.quarantine(ref)
    assert aside is not None
    assert (payloads.root / aside).read_bytes() == b"x"
    assert payloads.quarantine(ref) is None


@pytest.mark.parametrize("ref", ["../../etc/passwd", "/etc/passwd", "ab/../../x", "ab/" + "0" * 31 + ".bin"])
def test_a_name_never_leads_out_of_the_folder(ref: str, payloads: PayloadDir) -> None:
    with pytest.raises(PayloadDamaged, match="not the name of a payload"):
        payloads.read(ref)


def test_a_folder_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnwritable, match="cannot write"):
        PayloadDir(tmp_path / "file").write([b"x"], ".bin")


@pytest.mark.parametrize("depth", [3, 100, 400, 20_000])
@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: {"k": v}, lambda v: (v,), lambda v: Link(v)],
    ids=["list", "dict", "tuple", "object"],
)
def test_what_is_nested_deeply_comes_back_or_is_refused_when_it_is_saved(
    depth: int, wrap: Any, payloads: PayloadDir
) -> None:
    value: Any = 1
    for _ in range(depth):
        value = wrap(value)
    encoded, refused = None, ""
    try:
        encoded = encode(value, payloads)
    except UnsavableResult as error:
        refused = str(error)
    assert refused == "" or (depth > 200 and "nested too deeply" in refused and len(refused) < 400)
    if encoded is not None:
        back = decode(encoded, payloads)
        for _ in range(depth):
            (back,) = (
                back.values() if isinstance(back, dict) else back.inner if isinstance(back, Link) else back
            )
        assert back == 1


class Link:
    def __init__(self, inner: Any) -> None:
        self.inner = [inner]


def test_an_untrusted_store_never_unpickles(payloads: PayloadDir) -> None:
    with pytest.raises(UntrustedStore, match="trusted=True"):
        decode(encode({1, 2}, payloads), payloads, trusted=False)
    assert decode(encode([1, 2], payloads), payloads, trusted=False) == [1, 2]


@pytest.mark.parametrize("text", ["", "two words", "x/y", "json/1/a b"])
def test_a_format_that_cannot_be_one_is_damage(text: str, payloads: PayloadDir) -> None:
    with pytest.raises(PayloadDamaged, match="unknown format"):
        decode(Encoded(text, b"", None, 0, "a:B"), payloads)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("xyz", r"the codec 'xyz', which is not known here.*install the latest release"),
        ("xyz/2/memento-xyz", r"the codec 'xyz', which is not known here.*pip install memento-xyz"),
        ("json/7", r"version 7 of the codec 'json', and here is version 1.*pip install -U memento-ml"),
    ],
)
def test_a_codec_that_is_missing_or_too_old_is_told_and_is_no_damage(
    text: str, told: str, payloads: PayloadDir
) -> None:
    encoded = Encoded(text, b"1", None, 1, "a:B")
    with pytest.raises(ValueUnreadable, match=told):
        decode(encoded, payloads)
    assert readable(encoded, payloads) == (False, None)


def test_the_checksum_of_content_is_pinned() -> None:
    assert checksum([b"abc"]).hex() == "06b05ab6733a618578af5f94892f3950"
    assert checksum([bytes(range(256)) * 1024]).hex() == "63637e9b9c5891c0f34cc5c9153c3287"


@pytest.mark.slow
@given(st.lists(st.integers(0, PIECE), max_size=4))
def test_the_checksum_does_not_depend_on_how_content_is_cut(cuts: list[int]) -> None:
    content = np.random.default_rng(1).bytes(PIECE)
    at = [0, *sorted(cuts), len(content)]
    assert checksum(content[a:b] for a, b in itertools.pairwise(at)) == checksum([content])
