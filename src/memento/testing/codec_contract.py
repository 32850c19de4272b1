"""What every codec must do, as tests that a codec's author runs.

Knows: the public face of a codec. May not know: how a codec keeps anything.

Subclass `CodecContract` in a test module and override the fixture `codec`, `values` and, as far as there are any,
`neighbours` and `refused`.
"""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento.errors import UntrustedStore, ValueUnreadable
from memento.records import Encoded
from memento.system import map_private
from memento.values.codecs import Codec, Registry, parsed
from memento.values.encoding import codecs, decode, encode
from memento.values.payloads import PayloadDir

# One test for many codecs, each of which a fixture makes once for all examples.
_SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


class CodecContract:
    """The tests; `values` are some that the codec takes, `refused` some of its types that it does not."""

    values: Sequence[Any] = ()
    refused: Sequence[Any] = ()
    neighbours: st.SearchStrategy[Any] = st.nothing()  # more values, made by Hypothesis

    @pytest.fixture
    def codec(self) -> Codec:
        """Return the codec."""
        raise NotImplementedError("override `codec`")

    def same(self, one: Any, two: Any) -> bool:
        """Compare two values; override where `==` does not say whether they are the same."""
        return bool(one == two)

    def test_every_value_comes_back_as_itself(self, codec: Codec) -> None:
        assert self.values, "override `values`"
        for value in self.values:
            self._comes_back(codec, value)

    @settings(max_examples=50, deadline=None, suppress_health_check=_SHARED)
    @given(data=st.data())
    def test_what_hypothesis_makes_comes_back_or_is_refused(self, codec: Codec, data: st.DataObject) -> None:
        if self.neighbours.is_empty:
            pytest.skip("there is no strategy that makes more values")
        value = data.draw(self.neighbours)
        if codec.dump(value) is not None:
            self._comes_back(codec, value)

    def test_what_it_cannot_hold_is_refused_and_kept_by_others(self, codec: Codec, tmp_path: Any) -> None:
        for value in self.refused:
            assert codec.dump(value) is None
            assert encode(value, PayloadDir(tmp_path)).format != codec.format

    def test_a_value_that_is_dumped_is_left_as_it_was_and_shares_nothing(self, codec: Codec) -> None:
        for value in self.values:
            content = _content(codec, value)
            loaded = codec.load(memoryview(bytearray(content)), codec.version)
            assert _content(codec, value) == content
            other = codec.load(memoryview(bytearray(content)), codec.version)
            assert self.same(loaded, other)

    def test_its_format_can_be_read_from_the_index(self, codec: Codec) -> None:
        found = parsed(codec.format)
        assert found is not None
        assert (found.name, found.version, found.package) == (codec.name, codec.version, codec.package)

    def test_values_of_a_later_version_are_told_and_not_read(self, codec: Codec, tmp_path: Any) -> None:
        later = Encoded(f"{codec.name}/{codec.version + 1}", b"x", None, 1, "a:B")
        registered = codecs.named(codec.name) is not None
        with pytest.raises(ValueUnreadable, match=r"pip install|registers it"):
            decode(later, PayloadDir(tmp_path))
        assert registered == (codecs.named(codec.name) is not None)

    def test_types_are_taken_exactly(self, codec: Codec) -> None:
        registry = Registry([codec])
        for value in self.values:
            kind = type(value)
            assert list(registry.of(kind)) == [codec]
            try:
                other = type("Sub", (kind,), {"__module__": "builtins"})
            except TypeError:  # a class that nobody can inherit from
                continue
            assert list(registry.of(other)) == []

    def test_a_safe_codec_unpickles_nothing(self, codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
        contents = [_content(codec, value) for value in self.values]
        if not codec.safe:
            pytest.skip("the codec does not say that it is safe")

        def unpickles(*_: Any, **__: Any) -> Any:
            raise AssertionError("a safe codec unpickles")

        monkeypatch.setattr(pickle, "loads", unpickles)
        monkeypatch.setattr(pickle, "load", unpickles)
        monkeypatch.setattr(pickle, "Unpickler", unpickles)
        for content in contents:
            codec.load(memoryview(bytearray(content)), codec.version)

    def test_a_store_that_is_not_trusted_is_read_by_safe_codecs_only(
        self, codec: Codec, tmp_path: Any
    ) -> None:
        if codecs.named(codec.name) is not codec:
            pytest.skip("the codec is not registered")
        payloads = PayloadDir(tmp_path)
        for value in self.values:
            encoded = Encoded(codec.format, _content(codec, value), None, 1, "a:B")
            if codec.safe:
                assert self.same(decode(encoded, payloads, trusted=False), value)
            else:
                with pytest.raises(UntrustedStore):
                    decode(encoded, payloads, trusted=False)

    def _comes_back(self, codec: Codec, value: Any) -> None:
        content = _content(codec, value)
        for memory in (memoryview(bytearray(content)), _mapped(content)):
            back = codec.load(memory, codec.version)
            del memory  # the value alone holds it
            assert type(back) is type(value)
            assert self.same(back, value)


def _mapped(content: bytes) -> memoryview:
    """Return a content as it comes from a large file, which is gone by then."""
    if not content:
        return memoryview(b"")
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return memoryview(map_private(file.fileno(), len(content)))


def _content(codec: Codec, value: Any) -> bytes:
    buffers = codec.dump(value)
    assert buffers is not None, f"{value!r} is refused"
    out = io.BytesIO()
    for buffer in buffers:
        out.write(memoryview(buffer).cast("B") if memoryview(buffer).nbytes else b"")
    return out.getvalue()
