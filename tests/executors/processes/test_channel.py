"""What goes through the pipes arrives whole, once and in order, or is known for garbage."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.executors.processes import channel
from memento.executors.processes.channel import Garbled, Receiver, Sender
from memento.records import DONE, FAILED, RAISED, Encoded, Failure, LogSlice, Outcome, Piece, Series
from memento.testing.driving import Drive


def outcome(**changed: object) -> Outcome:
    value = Encoded("json", b"1", None, 1, "builtins:int")
    whole = Outcome(1, DONE, 1, 2.0, 0.5, 0.1, 10, 20, "h/1", value, (), (), None, None)
    return whole._replace(**changed)  # type: ignore[arg-type]  # fields by name


class Name(str):
    """A text of a class of somebody's own."""


def unpacked(data: bytes) -> list[Any]:
    frames = channel.Frames()
    frames.add(data)
    return [channel.unpack(kind, body) for kind, body in frames]


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 30))
def test_frames_are_whole_however_the_bytes_arrive(bodies: list[bytes], step: int) -> None:
    data = b"".join(channel.frame(index, body) for index, body in enumerate(bodies))
    frames, found = channel.Frames(), []
    for start in range(0, len(data), step):
        frames.add(data[start : start + step])
        found += [(kind, bytes(body)) for kind, body in frames]
    assert found == list(enumerate(bodies))


def test_an_outcome_comes_back_equal() -> None:
    for sent in (
        outcome(),
        outcome(log=LogSlice("r/1.log", 0, 9), metrics=(Series("loss", 1, 0.5, 0.5, 0.5, b"x" * 16),)),
        outcome(status=FAILED, value=None, failure=Failure(RAISED, "ValueError", "no", "", "", b"p", "out")),
        outcome(earlier=(Piece("r", 1, 1.0, 2.0, None, None, "h/2", LogSlice("r/1.log", 0, 9)),)),
        outcome(artifacts=(Name("a.txt"),)),
    ):
        (received,) = unpacked(channel.pack_outcome(sent))
        assert received == sent
        assert [type(field) for field in received] == [type(field) for field in sent]
        assert list(map(type, received.artifacts)) == list(map(type, sent.artifacts))


@given(st.sampled_from([channel.OUTCOME, channel.UPDATE, channel.PASSED]), st.binary(max_size=100))
def test_what_is_no_message_is_garbled_and_nothing_else(kind: int, body: bytes) -> None:
    with contextlib.suppress(Garbled):
        channel.unpack(kind, memoryview(body))
    with pytest.raises(Garbled):
        channel.unpack(
            channel.OUTCOME, memoryview(channel.pack(channel.OUTCOME, (1, 2)))[channel.HEADER.size :]
        )


def test_what_a_task_prints_into_the_pipe_is_garbled_and_what_came_before_it_is_heard() -> None:
    ends = channel.make_pipes()
    Sender(ends[3]).send(channel.pack_outcome(outcome()))
    os.write(ends[3], b"a line of text\n")
    messages = Receiver(ends[2]).messages()
    assert next(messages) == (channel.OUTCOME, outcome())
    with pytest.raises(Garbled):
        next(messages)
    for end in ends:
        os.close(end)


def test_a_full_pipe_makes_its_writer_wait_and_loses_nothing() -> None:
    ends = channel.make_pipes()
    sender, receiver = Sender(ends[3]), Receiver(ends[2])
    many = 30_000  # more than fits

    def tell() -> None:
        for number in range(many):
            sender.send(channel.pack(channel.PASSED, number))

    thread = threading.Thread(target=tell)
    thread.start()
    heard: list[int] = []
    while len(heard) < many:
        heard += [content for _, content in receiver.messages()]
    thread.join()
    assert heard == list(range(many))
    for end in ends:
        os.close(end)


def test_what_was_sent_survives_its_sender() -> None:
    ends = channel.make_pipes()
    child = os.fork()
    if child == 0:
        for number in range(100):
            Sender(ends[3]).send(channel.pack_outcome(outcome(number=number)))
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    heard = [content.number for _, content in Receiver(ends[2]).messages()]
    assert heard == list(range(100))
    for end in ends:
        os.close(end)


def test_a_task_is_told_of_when_the_next_one_runs_on_and_on(drive: Drive) -> None:
    def wait(context: object, config: object) -> int:
        import time

        if config.x == 3:  # type: ignore[attr-defined]
            while not os.path.exists(config.settings["file"]):  # type: ignore[attr-defined]
                time.sleep(0.01)
        return 1

    file = str(drive.store / "go")
    drive.start(wait, settings={"file": file}, num_workers=1)
    drive.executor.submit([drive.task(i, i) for i in range(4)])
    drive.until(lambda: len(drive.outcomes) == 3)
    open(file, "w").close()
    drive.until(lambda: len(drive.outcomes) == 4)
    assert all(one.status == DONE for one in drive.outcomes.values())


def test_what_finished_before_a_task_that_kills_its_worker_is_kept_and_not_run_again(drive: Drive) -> None:
    def count(context: Any, config: Any) -> int:
        file = os.open(config.settings["file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, b"%d\n" % config.x)
        os.close(file)
        if config.x in (150, 151, 170):
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    file = drive.store / "ran"
    drive.start(count, settings={"file": str(file)}, num_workers=1)
    outcomes = drive.run([drive.task(i, i) for i in range(300)])
    assert [i for i in range(300) if outcomes[i].status == FAILED] == [150, 151, 170]
    assert sorted(map(int, file.read_text().split())) == list(range(300))


@pytest.mark.slow
def test_large_values_and_large_outcomes_at_once_wait_for_nobody(drive: Drive) -> None:
    drive.start(lambda context, config: config.x * 2, num_workers=2, inline_limit=1 << 24)
    outcomes = drive.run([drive.task(i, bytes([i]) * 2_000_000) for i in range(30)])
    assert {one.status for one in outcomes.values()} == {DONE}
    assert drive.value(29) == bytes([29]) * 4_000_000
