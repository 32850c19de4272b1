"""What a worker tells: through memory, through a pipe while that is full, and always in order."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento import system
from memento.executors.processes import wire
from memento.executors.processes.link import make_pipes
from memento.executors.processes.outbox import SIZE, WHOLE, Outbox
from memento.executors.processes.telling import Listener, Teller
from memento.records import DONE
from memento.testing.driving import Drive

PIPE = 60_000  # bytes that surely fit into a pipe of any system
SIZES = st.one_of(st.integers(0, 300), st.integers(0, 40_000), st.just(SIZE // 3), st.just(PIPE // 2))


@given(pieces=st.lists(st.tuples(st.binary(min_size=1, max_size=SIZE // 4), st.booleans()), max_size=60))
@settings(deadline=None)
def test_what_is_taken_out_is_what_was_put_in(pieces: list[tuple[bytes, bool]]) -> None:
    memory = memoryview(bytearray(WHOLE))
    giver, taker, sent, taken, count = Outbox(memory), Outbox(memory), b"", b"", 0
    for piece, look in pieces:
        room = giver.room()
        assert giver.put(piece) == (len(piece) <= room)
        if len(piece) <= room:
            sent, count = sent + piece, count + 1
        if look:
            found, data = taker.take()
            taken, count = taken + data, count - found
            assert (taken, count) == (sent, 0)
            assert giver.room() == (SIZE if system.STORES_IN_ORDER else 0)
    found, data = taker.take()
    assert (taken + data, count - found) == (sent, 0)


class Pair:
    """Both ends of what one worker tells."""

    def __init__(self) -> None:
        memory = memoryview(bytearray(WHOLE))
        self.ends = make_pipes()
        self.listener = Listener(self.ends[2], Outbox(memory))
        self.teller = Teller(self.ends[3], Outbox(memory))
        self.piped = 0  # bytes that may wait in the pipe

    def tell(self, number: int, size: int) -> bool:
        """Tell a frame of about this size; False where the pipe might not take it."""
        if self.piped + size >= PIPE:
            return False
        self.piped += size + 50
        self.teller.tell(wire.item((wire.PASSED, number, bytes(size))))
        return True

    def listen(self, *, pipe: bool) -> list[int]:
        self.piped = 0 if pipe else self.piped
        items, frames = self.listener.take(pipe=pipe)
        assert {kind for kind, _ in frames} <= {wire.UPDATE}
        return [item[1] for item in items]

    def close(self) -> None:
        self.listener.close()
        for end in self.ends:
            os.close(end)


@pytest.fixture(params=[True, False], ids=["memory", "pipe only"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not system.STORES_IN_ORDER:
        pytest.skip("stores of this machine's cores are seen in another order")
    monkeypatch.setattr(system, "STORES_IN_ORDER", request.param)


STEPS = st.lists(st.one_of(SIZES, st.sampled_from(["batch", "ring", "update", "box", "all"])), max_size=80)


@pytest.mark.usefixtures("way")
def test_what_is_told_arrives_once_and_in_order_whichever_way_it_took() -> None:
    @given(steps=STEPS)
    @settings(deadline=None)
    def check(steps: list[int | str]) -> None:
        pair, told, heard = Pair(), 0, []
        for step in steps:
            if isinstance(step, int):
                told += pair.tell(told, step)
            elif step == "batch":
                pair.teller.use_outbox()
            elif step == "ring":
                pair.teller.ring()
            elif step == "update":
                pair.teller.send(wire.pack(wire.UPDATE, (1, 0.5, None, {})))
            else:
                heard += pair.listen(pipe=step == "all")
        heard += pair.listen(pipe=True)
        pair.close()
        assert heard == list(range(told))

    check()


@pytest.mark.skipif(not system.STORES_IN_ORDER, reason="nothing is put into memory on this machine")
def test_what_is_no_item_is_known_for_none_and_what_came_before_it_is_taken() -> None:
    pair = Pair()
    pair.teller.use_outbox()
    pair.tell(1, 10)
    pair.tell(2, 10)
    pair.teller.tell(b"\xffand so on")
    items, _ = pair.listener.take(pipe=True)
    assert [item[:2] for item in items] == [(wire.PASSED, 1), (wire.PASSED, 2), wire.GARBLED]
    pair.close()


@pytest.mark.skipif(not system.STORES_IN_ORDER, reason="nothing is put into memory on this machine")
def test_counts_that_cannot_be_are_refused() -> None:
    memory = memoryview(bytearray(WHOLE))
    for word in ((1 << 32) | (SIZE + 1), (8 << 32) | 7):
        memory.cast("Q")[0] = word
        with pytest.raises(ValueError, match="cannot be"):
            Outbox(memory).take()


@pytest.mark.usefixtures("way")
def test_a_full_outbox_goes_on_in_the_pipe_and_back() -> None:
    pair, told, heard = Pair(), 0, []
    for _ in range(3):
        pair.teller.use_outbox()
        for _ in range(4 * SIZE // (PIPE // 2)):  # more than the outbox takes
            if not pair.tell(told, PIPE // 2 - 100):
                heard += pair.listen(pipe=True)
                pair.tell(told, PIPE // 2 - 100)
            told += 1
    heard += pair.listen(pipe=True)
    pair.close()
    assert heard == list(range(told))


def test_a_task_is_told_when_the_next_one_runs_on_and_on(drive: Drive) -> None:
    """Nobody is rung for it, since it ended within a millisecond of the last one that was told."""

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
    assert all(outcome.status == DONE for outcome in drive.outcomes.values())
