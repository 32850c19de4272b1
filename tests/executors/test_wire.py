"""Frames carry what was put in, however the bytes arrive."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memento.executors.processes import wire
from memento.records import DONE, FAILED, RAISED, Encoded, Failure, LogSlice, Outcome, Series


def outcome(**changed: object) -> Outcome:
    value = Encoded("json", b"1", None, 1, "builtins:int")
    whole = Outcome(1, DONE, 1, 2.0, 0.5, 0.1, 10, 20, "h/1", value, (), (), None, None)
    return whole._replace(**changed)  # type: ignore[arg-type]  # fields by name


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 30))
def test_frames_are_whole_however_the_bytes_arrive(bodies: list[bytes], step: int) -> None:
    data = b"".join(wire.frame(index, body) for index, body in enumerate(bodies))
    frames, found = wire.Frames(), []
    for start in range(0, len(data), step):
        frames.add(data[start : start + step])
        found += [(kind, bytes(body)) for kind, body in frames]
    assert found == list(enumerate(bodies))


def test_an_outcome_comes_back_equal() -> None:
    for sent in (
        outcome(),
        outcome(log=LogSlice("r/1.log", 0, 9), metrics=(Series("loss", 1, 0.5, 0.5, 0.5, b"x" * 16),)),
        outcome(status=FAILED, value=None, failure=Failure(RAISED, "ValueError", "no", "", "", b"p", "out")),
    ):
        received = back(sent)
        assert received == sent
        assert [type(field) for field in received] == [type(field) for field in sent]


def test_numbers_that_are_not_pythons_own_come_through_too() -> None:
    sent = outcome(metrics=(Series("loss", 1, np.float64(0.5), np.float32(1), 0.5, b""),))
    received = back(sent)
    assert received == sent
    assert type(received.metrics[0].last) is float


def test_outcomes_that_are_taken_at_once_are_those_that_are_taken_one_by_one() -> None:
    sent = [outcome(number=n, value=Encoded("json", b"%d" % n, None, 1, "builtins:int")) for n in range(50)]
    items = wire.items(50, b"".join(map(wire.pack_outcome, sent)))
    received = wire.unpack_outcomes(items)
    assert received == sent == list(map(wire.unpack_outcome, items))
    assert {type(one) for one in received} == {Outcome}
    assert {type(one.value) for one in received} == {Encoded}


def test_outcomes_with_more_than_a_value_are_taken_one_by_one() -> None:
    for other in (
        outcome(log=LogSlice("r/1.log", 0, 9)),
        outcome(artifacts=("a.txt",)),
        outcome(value=None),
        outcome(metrics=(Series("loss", 1, 0.5, 0.5, 0.5, b"x" * 16),)),
    ):
        items = wire.items(2, wire.pack_outcome(outcome()) + wire.pack_outcome(other))
        assert wire.unpack_outcomes(items) == []
        assert list(map(wire.unpack_outcome, items)) == [outcome(), other]
    assert wire.unpack_outcomes([(wire.PASSED, 7)]) == []
    assert wire.unpack_outcomes([]) == []


class Name(str):
    """What marshal does not take."""


def test_what_marshal_does_not_take_comes_through_too() -> None:
    received = back(outcome(artifacts=(Name("a.txt"),)))
    assert received.artifacts == ("a.txt",)
    assert type(received.artifacts[0]) is Name


plain = st.tuples(st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False), st.text(), st.binary())


@given(sent=st.lists(plain, max_size=20), cut=st.integers(0, 200))
def test_items_are_whole_and_what_comes_after_them_is_known_for_none(
    sent: list[tuple[object, ...]], cut: int
) -> None:
    data = [wire.item(content) for content in sent]
    assert wire.items(len(sent), b"".join(data)) == sent
    if data and 0 < cut <= len(data[-1]):
        torn = b"".join(data)[:-cut]
        assert wire.items(len(sent), torn) == [*sent[:-1], wire.GARBLED]


def back(sent: Outcome) -> Outcome:
    (item,) = wire.items(1, wire.pack_outcome(sent))
    return wire.unpack_outcome(item)
