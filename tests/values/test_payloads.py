"""Payloads are verified once a process where that costs time, and mapped for each who asks alone."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from memento.errors import PayloadDamaged
from memento.keys import value_digest
from memento.values import array_codecs, payloads, places
from memento.values.encoding import decode, encode
from memento.values.payloads import PayloadDir

LARGE = 3 << 20
CONTENT = np.random.default_rng(0).bytes(LARGE + 17)
BOTH = pytest.mark.parametrize("mapped", [False, True], ids=["read", "mapped"])


@pytest.fixture(autouse=True)
def nothing_is_verified_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_verified", set())


@pytest.fixture
def store(tmp_path: Path) -> PayloadDir:
    return PayloadDir(tmp_path)


@pytest.fixture
def large_from_a_byte_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have small contents treated as large ones are."""
    monkeypatch.setattr(payloads, "_LARGE", 1)
    monkeypatch.setattr(array_codecs, "_LARGE", 1)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many bytes each read of a file brought."""
    counts: list[int] = []
    read_into = places._File.read_into

    def counted(self: Any, memory: memoryview, at: int) -> int:
        counts.append(read_into(self, memory, at))
        return counts[-1]

    monkeypatch.setattr(places._File, "read_into", counted)
    return counts


def written_elsewhere(store: PayloadDir, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write a payload, as another process would."""
    ref = store.write([CONTENT], ".bin")
    monkeypatch.setattr(payloads, "_verified", set())
    return ref


def flip(path: Path) -> None:
    """Change a bit in place, some time later."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(LARGE // 2)
        old = file.read(1)
        file.seek(LARGE // 2)
        file.write(bytes([old[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_a_large_payload_is_read_for_its_checksum_once_a_process(
    store: PayloadDir, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = written_elsewhere(store, monkeypatch)
    mappings = [PayloadDir(store.place).read(ref, mapped=True) for _ in range(3)]
    assert sum(reads) == len(CONTENT)
    assert all(mapping == CONTENT for mapping in mappings)
    assert store.read(ref) == CONTENT
    assert sum(reads) == 2 * len(CONTENT)  # into memory of its own


@BOTH
def test_what_this_process_wrote_is_not_verified(
    mapped: bool, store: PayloadDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = store.write([CONTENT], ".bin")

    def compares(*_: Any) -> Any:
        raise AssertionError("it is verified")

    monkeypatch.setattr(PayloadDir, "_compare", compares)
    assert store.read(ref, mapped=mapped) == CONTENT


@BOTH
@pytest.mark.parametrize("known", [False, True], ids=["at once", "later"])
def test_damage_is_found_also_in_what_was_verified_before(
    mapped: bool, known: bool, store: PayloadDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = written_elsewhere(store, monkeypatch)
    if known:
        store.read(ref, mapped=mapped)
    flip(store.path(ref))
    for _ in range(2):  # it is not taken for verified the second time
        with pytest.raises(PayloadDamaged):
            store.read(ref, mapped=mapped)


@BOTH
def test_a_file_that_others_put_in_its_place_is_verified(mapped: bool, store: PayloadDir) -> None:
    ref = store.write([CONTENT], ".bin")
    other = store.path(ref).with_name("other")
    other.write_bytes(bytes(len(CONTENT)))
    status = store.path(ref).stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, store.path(ref))
    with pytest.raises(PayloadDamaged):
        store.read(ref, mapped=mapped)


def test_who_asks_for_it_has_a_payload_verified_again(store: PayloadDir, reads: list[int]) -> None:
    ref = store.write([CONTENT], ".bin")
    assert store.verify(ref) == sum(reads) == len(CONTENT)
    assert store.verify(ref) == len(CONTENT)
    assert sum(reads) == 2 * len(CONTENT)


def test_what_is_verified_keeps_no_memory(store: PayloadDir, reads: list[int]) -> None:
    store.verify(store.write([CONTENT], ".bin"))
    assert max(reads) <= 1 << 20


def test_a_small_payload_is_verified_whenever_it_is_read(store: PayloadDir) -> None:
    ref = store.write([b"small"], ".bin")
    status = store.path(ref).stat()
    assert bytes(store.read(ref)) == b"small"
    store.path(ref).write_bytes(b"smell")
    os.utime(store.path(ref), ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(PayloadDamaged):
        store.read(ref, mapped=True)


def test_what_is_known_as_verified_stays_small(store: PayloadDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_MOST_VERIFIED", 3)
    for number in range(8):
        store.write([bytes([number]), bytes(LARGE)], ".bin")
        assert 1 <= len(payloads._verified) <= 3


def test_where_nothing_tells_contents_apart_they_are_verified_each_time(
    store: PayloadDir, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = places._File.__init__

    def nameless(self: Any, file: Any) -> None:
        opened(self, file)
        self.identity = None

    monkeypatch.setattr(places._File, "__init__", nameless)
    ref = store.write([CONTENT], ".bin")
    for _ in range(3):
        assert store.read(ref, mapped=True) == CONTENT
    assert sum(reads) == 3 * len(CONTENT)


@pytest.mark.parametrize(
    "error", [OSError(errno.EMFILE, ""), OSError(errno.ENOMEM, ""), OSError(errno.ENODEV, "")]
)
def test_what_cannot_be_mapped_is_read(
    error: OSError, store: PayloadDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: Any) -> Any:
        raise error

    ref = written_elsewhere(store, monkeypatch)
    monkeypatch.setattr(places, "map_private", refuses)
    memory = store.read(ref, mapped=True)
    memory[:4] = b"mine"
    assert memory[4:] == CONTENT[4:]
    assert store.read(ref, mapped=True) == CONTENT


@BOTH
def test_a_file_that_is_cut_short_once_it_is_open_is_damaged_though_it_was_verified(
    mapped: bool, store: PayloadDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = store.write([CONTENT], ".bin")
    opened = places._File.__init__

    def cut(self: Any, file: Any) -> None:
        opened(self, file)
        os.truncate(store.path(ref), LARGE)

    monkeypatch.setattr(places._File, "__init__", cut)
    with pytest.raises(PayloadDamaged):
        store.read(ref, mapped=mapped)


def test_what_is_mapped_stays_when_its_store_goes(store: PayloadDir) -> None:
    encoded = encode({"weights": np.arange(200_000.0)}, store)
    value = decode(encoded, store, mmap=True)
    store.place.remove(encoded.ref or "")
    assert value["weights"].sum() == 199_999 * 100_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell its mappings in a file")
def test_loads_leave_no_descriptors_and_no_mappings(store: PayloadDir) -> None:
    encoded = encode(np.ones(200_000), store)

    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), Path("/proc/self/maps").read_text().count(f"{encoded.ref}")

    before = held()
    kept = [decode(encoded, store, mmap=True) for _ in range(5)]
    assert held()[1] == 5
    del kept
    for _ in range(2_000):  # more than most systems allow descriptors
        decode(encoded, store, mmap=True)
    assert held() == before


# ---------------------------------------------------------------- every codec, read and mapped


def arrays(dtypes: list[str]) -> st.SearchStrategy[Any]:
    return hypothesis_numpy.arrays(
        st.sampled_from(dtypes), hypothesis_numpy.array_shapes(max_dims=2, max_side=40)
    )


ARRAYS = arrays(["f8", "f4", "i8", "u1", ">i2", "?", "M8[s]", "U3", "c16"])
NUMBERS = arrays(["f8", "f4", "i8", "u1"])
FRAMES = st.integers(1, 200).flatmap(
    lambda rows: st.dictionaries(
        st.text("abc", min_size=1, max_size=3),
        hypothesis_numpy.arrays(st.sampled_from(["f8", "i4", "?", "M8[ns]"]), rows),
        min_size=1,
        max_size=5,
    ).map(pd.DataFrame)
)
VALUES = st.one_of(
    st.text(), st.binary(), st.lists(st.integers()), st.tuples(st.floats(), st.text()), ARRAYS, FRAMES,
    st.dictionaries(st.integers(), ARRAYS), st.lists(NUMBERS | st.text()),
    st.integers(1, 5).map(lambda n: {"big": np.arange(n * 1_000.0), 1: np.ones((n, 700), order="F")}),
)  # fmt: skip


@pytest.mark.slow
@given(value=VALUES)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@pytest.mark.usefixtures("large_from_a_byte_on")
def test_a_value_is_the_same_whether_read_or_mapped_and_each_load_is_alone(
    value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = PayloadDir(tmp_path_factory.mktemp("store"))
    encoded = encode(value, store, inline_limit=-1)
    if encoded.ref is None:
        return
    first, second, read = (decode(encoded, store, mmap=mmap) for mmap in (True, True, False))
    before = digest(value)
    assert digest(first) == digest(second) == digest(read) == before
    for array in parts(first):
        assert array.flags.writeable
        array.reshape(-1).view("u1")[:] ^= 255
    if isinstance(first, pd.DataFrame):
        for number in range(first.shape[1]):
            column = first.columns[number]
            first.loc[0, column] = first[column].iloc[-1]
    assert digest(second) == digest(read) == digest(decode(encoded, store, mmap=True)) == before
    assert store.verify(encoded.ref) == encoded.size


def digest(value: Any) -> bytes:
    return value_digest.digest(value, "value")


def parts(value: Any) -> Iterator[Any]:
    """Yield the arrays in a value."""
    if isinstance(value, np.ndarray):
        if value.size and value.flags.c_contiguous:
            yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from parts(part)
    elif isinstance(value, dict):
        yield from parts(list(value.values()))


@pytest.mark.usefixtures("large_from_a_byte_on")
@pytest.mark.parametrize(
    "make",
    [
        lambda: np.arange(2_000, dtype="f4"),
        lambda: {"a": np.arange(2_000, dtype="f4"), "b": [np.ones(5_000, "u1"), np.zeros((40, 50))]},
        lambda: pd.DataFrame({"a": np.arange(2_000.0), "b": np.arange(2_000)}),
        lambda: pd.Series(np.arange(2_000.0), name="a"),
    ],
    ids=["npy", "pickle", "arrow", "arrow series"],
)
def test_arrays_of_a_mapped_value_lie_in_its_mapping_aligned_and_may_be_changed(
    make: Callable[[], Any], store: PayloadDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    mapped: list[memoryview] = []
    whole = places._File.map

    def noted(self: Any) -> memoryview:
        mapped.append(whole(self))
        return mapped[-1]

    monkeypatch.setattr(places._File, "map", noted)
    value = decode(encode(make(), store, inline_limit=-1), store, mmap=True)
    if not isinstance(value, (np.ndarray, dict)):
        value = [value[name].to_numpy() for name in value.columns] if value.ndim == 2 else value.to_numpy()
    found = list(parts(value))
    assert found
    memory = np.frombuffer(mapped[0], np.uint8)
    for array in found:
        assert np.shares_memory(memory, array)
        assert array.flags.aligned


def test_columns_of_a_frame_that_lie_in_a_mapping_may_be_changed(store: PayloadDir) -> None:
    pytest.importorskip("pyarrow")
    times = pd.date_range("2020", periods=150_000, freq="s", tz="UTC")
    frame = pd.DataFrame(
        {"f": np.ones(150_000), "i": np.arange(150_000), "t": times, "n": [None, 1.0] * 75_000}
    )
    if pd.Series(["a"]).dtype != object:  # pandas 3
        frame["s"] = ["a", "b", "naïve"] * 50_000
    frame.index.name = "row"
    encoded = encode(frame, store)
    assert encoded.format == "arrow"
    back = decode(encoded, store, mmap=True)
    pd.testing.assert_frame_equal(back, frame)
    for name in frame.columns:
        back.loc[0, name] = back[name].iloc[-1]
        assert back[name].iloc[0] == frame[name].iloc[-1]
    pd.testing.assert_frame_equal(decode(encoded, store, mmap=True), frame)


@pytest.mark.slow
def test_a_frame_of_many_columns_may_get_more_without_a_word(store: PayloadDir) -> None:
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(np.arange(200_000.0).reshape(-1, 100), columns=[f"c{n}" for n in range(100)])
    encoded = encode(frame, store)
    assert encoded.format == "arrow"
    back = decode(encoded, store, mmap=True)
    back["new"] = 1  # warnings are errors here
    back.loc[0, "c1"] = -1.0
    pd.testing.assert_frame_equal(decode(encoded, store, mmap=True), frame)
