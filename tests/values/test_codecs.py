"""Every codec keeps what codecs promise, also one that somebody else has written."""

from __future__ import annotations

import logging
import math
import threading
from fractions import Fraction
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from memento.errors import UntrustedStore, ValueUnreadable
from memento.testing.codec_contract import CodecContract
from memento.values import encoding
from memento.values.codecs import Codec, Registry
from memento.values.encoding import OURS, PICKLE, decode, encode, readable, register_codec
from memento.values.payloads import PayloadDir


def named(name: str) -> Codec:
    return next(codec for codec in OURS if codec.name == name)


def same_floats(one: Any, two: Any) -> bool:
    return repr(one) == repr(two)


class TestText(CodecContract):
    values = (
        "",
        "naïve",
        "\x1b[31m\n",
        "x" * 100_000,
    )
    refused = ("\ud800",)
    neighbours = st.text()

    @pytest.fixture
    def codec(self) -> Codec:
        return named("text")


class TestBytes(CodecContract):
    values = (
        b"",
        b"\x00\xff" * 9,
    )
    neighbours = st.binary()

    @pytest.fixture
    def codec(self) -> Codec:
        return named("bytes")


class TestJson(CodecContract):
    values = (
        None,
        True,
        3,
        -0.0,
        math.nan,
        [1, "a", {"b": [None, 2.5]}],
        {},
    )
    refused = (
        ["\ud800"],
        {1: 2},
        [(1, 2)],
        list(range(20_000)),
        10**5000,
    )
    neighbours = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
    same = staticmethod(same_floats)

    @pytest.fixture
    def codec(self) -> Codec:
        return named("json")


class TestTyped(CodecContract):
    values = (
        (),
        (1, "a"),
        [(1, np.float32(0.5))],
        {"best": (np.int8(3), None)},
    )
    refused = (
        ({1, 2},),
        {"a": object},
        (np.complex64(1j),),
    )
    neighbours = st.tuples(
        st.integers() | st.floats(width=32).map(np.float32), st.lists(st.tuples(st.text()))
    )
    same = staticmethod(same_floats)

    @pytest.fixture
    def codec(self) -> Codec:
        return named("typed")

    def test_types_are_taken_exactly(self, codec: Codec) -> None:
        assert list(Registry(OURS).of(tuple)) == [codec]
        assert list(Registry(OURS).of(type("Sub", (tuple,), {"__module__": "builtins"}))) == []


class TestNumPyNumber(CodecContract):
    values = (
        np.float32(0.1),
        np.int8(-3),
        np.bool_(True),
        np.float64("nan"),
        np.uint64(2**64 - 1),
    )
    neighbours = st.floats(width=16).map(np.float16) | st.integers(0, 255).map(np.uint8)
    same = staticmethod(same_floats)

    @pytest.fixture
    def codec(self) -> Codec:
        return named("npscalar")


class TestNpy(CodecContract):
    values = (
        np.arange(5),
        np.array(3.0),
        np.zeros((0, 3)),
        np.arange(20)[::3],
        np.zeros(3, [("a", "i4"), ("b", "f8")]),
    )
    refused = (np.array([{1}, None], dtype=object),)
    neighbours = hypothesis_numpy.arrays(
        st.sampled_from(["f8", "i4", ">i2", "?", "U3", "M8[D]"]),
        hypothesis_numpy.array_shapes(min_dims=0, min_side=0),
    )

    @pytest.fixture
    def codec(self) -> Codec:
        return named("npy")

    def same(self, one: Any, two: Any) -> bool:
        return (one.dtype, one.shape, one.tobytes()) == (two.dtype, two.shape, two.tobytes())


class TestArrow(CodecContract):
    values = (
        pd.DataFrame({"a": [1, 2], "b": [0.5, None], "c": [True, False]}),
        pd.Series([1.0], name="q", index=[3]),
        pd.Series([1, 2, 3]),
    )
    refused = (
        pd.DataFrame({1: [2]}),
        pd.DataFrame({"o": [{1}, {2}]}),
    )

    @pytest.fixture
    def codec(self) -> Codec:
        pytest.importorskip("pyarrow")
        return named("arrow")

    def same(self, one: Any, two: Any) -> bool:
        return bool(one.equals(two))


class Point:
    """Of a package that has nothing to do with us."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment]  # it can be changed


class Points(Codec):
    """A toy."""

    name, safe, version, package = "point", True, 2, "memento-points"
    types: tuple[type, ...] = (Point,)

    def dump(self, value: Any) -> list[bytes] | None:
        return [f"{value.x} {value.y}".encode()] if type(value.x) is type(value.y) is int else None

    def load(self, content: memoryview, version: int) -> Point:
        numbers = list(map(int, bytes(content).split(b" " if version == 2 else b",")))
        return Point(*numbers)

    def plain(self, content: memoryview) -> list[int]:
        return list(map(int, bytes(content).split()))


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    fresh = Registry(OURS)
    monkeypatch.setattr(encoding, "codecs", fresh)
    monkeypatch.setattr("memento.testing.codec_contract.codecs", fresh)
    return fresh


class TestPoints(CodecContract):
    values = (
        Point(1, 2),
        Point(-1, 10**20),
    )
    refused = (Point(1, "two"),)  # type: ignore[arg-type]  # so wrong that its codec does not take it
    neighbours = st.builds(Point, st.integers(), st.integers())

    @pytest.fixture
    def codec(self) -> Codec:
        codec = Points()
        register_codec(codec)
        return codec


class Unsafe(Points):
    name, safe, types = "unsafe", False, (Fraction,)

    def dump(self, value: Any) -> list[bytes]:
        return [str(value).encode()]

    def load(self, content: memoryview, version: int) -> Any:
        return Fraction(bytes(content).decode())


class TestUnsafe(CodecContract):
    values = (Fraction(1, 3),)

    @pytest.fixture
    def codec(self) -> Codec:
        codec = Unsafe()
        register_codec(codec)
        return codec


def test_a_registered_codec_keeps_values_in_the_index_and_in_files(tmp_path: Path) -> None:
    payloads = PayloadDir(tmp_path)
    register_codec(Points())
    for limit in (1000, -1):
        encoded = encode(Point(3, 4), payloads, limit)
        assert encoded.format == "point/2/memento-points"
        assert decode(encoded, payloads, trusted=False) == Point(3, 4)
        assert readable(encoded, payloads, 1000) == (True, [3, 4])
    assert decode(encoded._replace(format="point/1", data=b"3,4", ref=None), payloads) == Point(3, 4)


def test_where_a_codec_is_not_known_the_reader_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_codec(Points())
    encoded = encode(Point(3, 4), PayloadDir(tmp_path))
    monkeypatch.setattr(encoding, "codecs", Registry(OURS))
    with pytest.raises(
        ValueUnreadable, match=r"codec 'point', which is not known here.*pip install memento-points"
    ):
        decode(encoded, PayloadDir(tmp_path))


def test_what_no_codec_takes_is_pickled(tmp_path: Path) -> None:
    register_codec(Points())
    encoded = encode(Point(1, 2.5), PayloadDir(tmp_path))  # type: ignore[arg-type]
    assert encoded.format == PICKLE.format
    with pytest.raises(UntrustedStore, match="a pickle of"):
        decode(encoded, PayloadDir(tmp_path), trusted=False)


def test_the_latest_codec_of_a_type_comes_first_and_one_of_a_cell_that_ran_again_replaces_itself() -> None:
    class Integers(Codec):
        name, types = "integers", ("builtins:int",)

        def dump(self, value: Any) -> list[bytes]:
            return [b"i"]

        def load(self, content: memoryview, version: int) -> int:
            return 0

    first, second = Integers(), Integers()
    registry = Registry(OURS)
    registry.register(first)
    assert [codec.name for codec in registry.of(int)] == ["integers", "json"]
    registry.register(second)
    assert registry.of(int)[0] is second
    assert len(registry.of(int)) == 2
    assert registry.named("integers") is second


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "two words"}, "letters, digits"), ({"name": "json"}, "choose another"),
        ({"suffix": "../x"}, "suffix"), ({"version": 0}, "version"), ({"package": "a; rm"}, "letters, digits"),
    ],
)  # fmt: skip
def test_a_codec_that_could_not_be_found_again_is_refused(change: dict[str, Any], told: str) -> None:
    codec = Points()
    vars(codec).update(change)
    with pytest.raises(ValueError, match=told):
        register_codec(codec)
    with pytest.raises(TypeError, match=r"instance of memento.Codec"):
        register_codec(Points)  # type: ignore[arg-type]


def test_codecs_of_other_packages_are_loaded_when_a_type_is_met_that_has_none(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def entry_points(group: str) -> list[EntryPoint]:
        asked.append(group)
        return [
            EntryPoint("broken", "no_such_module:Codec", group),
            EntryPoint("points", f"{__name__}:Points", group),
        ]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    monkeypatch.setitem(
        __import__("sys").modules, __name__, __import__("types").SimpleNamespace(Points=Points)
    )
    payloads = PayloadDir(tmp_path)
    for value in (1, {1, 2}, np.arange(3), "text", 1j):
        encode(value, payloads)
    assert asked == []
    with caplog.at_level(logging.WARNING, "memento.store"):
        encoded = encode(Point(1, 2), payloads)
    assert asked == ["memento.codecs"]
    assert encoded.format == "point/2/memento-points"
    assert "no_such_module" in caplog.text
    encode(Points(), payloads)
    assert asked == ["memento.codecs"]  # once


def test_a_thread_that_comes_while_another_loads_codecs_has_them_too_and_may_register_its_own(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = []

    def meet() -> None:
        found.extend(registry.of(Point))
        registry.register(named("text"))

    class Entry:
        """Is imported for a while."""

        value = "points"

        def load(self) -> Any:
            if not found:
                found.append("beginning")
                thread = threading.Thread(target=meet, daemon=True)
                thread.start()
                thread.join(60)  # which ends before this ends
                found.append(thread.is_alive())
            return Points

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Entry()])
    (codec,) = registry.of(Point)
    assert isinstance(codec, Points)
    _, other, is_alive = found
    assert isinstance(other, Points)
    assert not is_alive
