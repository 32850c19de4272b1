"""Frames carry what was put in, however the bytes arrive."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memento.executors.processes import wire
from memento.store.records import DONE, FAILED, RAISED, Encoded, Failure, LogSlice, Outcome, Series


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
        ((kind, body),) = list(_through(wire.pack_outcome(sent)))
        received = wire.unpack_outcome(kind, body)
        assert received == sent
        assert [type(field) for field in received] == [type(field) for field in sent]


def test_numbers_that_are_not_pythons_own_come_through_too() -> None:
    sent = outcome(metrics=(Series("loss", 1, np.float64(0.5), np.float32(1), 0.5, b""),))
    ((kind, body),) = list(_through(wire.pack_outcome(sent)))
    received = wire.unpack_outcome(kind, body)
    assert received == sent
    assert type(received.metrics[0].last) is float


def _through(data: bytes) -> wire.Frames:
    frames = wire.Frames()
    frames.add(data)
    return frames
