"""One host computes a step: who is gone is noticed by who waits, by his own clock."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from memento.context import step_leases
from memento.context.step_leases import StepLease
from memento.context.step_locks import Stopped
from memento.context.task_space import TaskSpace


class Conditional:
    """A place with conditional writes, in memory."""

    address = "memory:leases"

    def __init__(self, *, honours: bool = True) -> None:
        self.contents: dict[str, tuple[bytes, str]] = {}
        self.lock, self.number, self.honours = threading.Lock(), 0, honours

    def claim(self, name: str, content: bytes, instead_of: str | None = None) -> str | None:
        with self.lock:
            stamp = self.contents[name][1] if name in self.contents else None
            if stamp != instead_of and self.honours:
                return None
            self.number += 1
            self.contents[name] = content, str(self.number)
            return str(self.number)

    def stamped(self, name: str) -> tuple[bytes, str]:
        with self.lock:
            if name not in self.contents:
                raise FileNotFoundError(name)
            return self.contents[name]

    def remove(self, name: str) -> None:
        with self.lock:
            self.contents.pop(name, None)


class Beats:
    """A clock that goes on by so many seconds with each renewal: a machine that stands still makes nobody late."""

    def __init__(self, place: Conditional, seconds: float = 0.05) -> None:
        self.place, self.seconds = place, seconds

    def now(self) -> float:
        return self.monotonic()

    def monotonic(self) -> float:
        return self.place.number * self.seconds


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskSpace:
    monkeypatch.setattr(step_leases, "_checked", {})
    monkeypatch.setattr(step_leases, "_LONGEST_LOOK", 0.01)
    monkeypatch.setattr(step_leases, "_FIRST_LOOK", 0.01)
    return TaskSpace(str(tmp_path), "run", b"k" * 16)


def lease(place: Conditional, lapse: float = 0.3, renewed: float = 0.05) -> StepLease:
    return StepLease(place, "aa", lapse, renewed)  # type: ignore[arg-type]  # it does what is asked of one


def test_one_of_many_computes_and_the_others_find_the_step(space: TaskSpace) -> None:
    place, computed, done = Conditional(), list[int](), threading.Event()
    space = space._replace(clock=Beats(place))
    waiting = threading.Barrier(6)

    def host(number: int) -> None:
        waiting.wait()
        with lease(place).held(space, done.is_set):
            if not done.is_set():
                computed.append(number)
                done.set()

    hosts = [threading.Thread(target=host, args=(number,)) for number in range(6)]
    for one in hosts:
        one.start()
    for one in hosts:
        one.join()
    assert len(computed) == 1
    assert place.contents == {}


def test_who_lives_keeps_the_lease_for_longer_than_its_lapse(space: TaskSpace) -> None:
    place, done, second = Conditional(), threading.Event(), list[bool]()
    clock = Beats(place)
    space = space._replace(clock=clock)

    def other() -> None:
        with lease(place).held(space, done.is_set):
            second.append(done.is_set())

    with lease(place).held(space, done.is_set):
        first = place.stamped("leases/aa")[1]
        thread = threading.Thread(target=other)
        thread.start()
        while clock.monotonic() < 1.0 and thread.is_alive():  # three times the lapse
            time.sleep(0.01)
        assert second == []
        assert place.stamped("leases/aa")[1] != first
        done.set()
    thread.join(300)
    assert second == [True]


def test_who_is_gone_is_succeeded(space: TaskSpace) -> None:
    place = Conditional()
    place.contents["leases/aa"] = b"gone 7", "stamp"
    with lease(place, lapse=0.05).held(space, lambda: False):
        assert b"gone" not in place.contents["leases/aa"][0]


def test_a_claim_whose_answer_was_lost_is_ones_own(space: TaskSpace) -> None:
    place = Conditional()
    claim = place.claim

    def lossy(name: str, content: bytes, instead_of: str | None = None) -> str | None:
        claim(name, content, instead_of)
        return None

    place.claim = lossy  # type: ignore[method-assign]
    with lease(place, lapse=60, renewed=60).held(space, lambda: False):
        pass
    assert place.contents == {}


def test_who_is_to_stop_waits_no_longer(space: TaskSpace) -> None:
    place = Conditional()
    place.contents["leases/aa"] = b"other 7", "stamp"
    with pytest.raises(Stopped), lease(place).held(space._replace(stopping=lambda: True), lambda: False):
        pass


def test_a_server_that_minds_no_conditions_is_told_once(
    space: TaskSpace, caplog: pytest.LogCaptureFixture
) -> None:
    place = Conditional(honours=False)
    for _ in range(2):
        with lease(place).held(space, lambda: False):
            pass
    assert [record.getMessage() for record in caplog.records].count(
        "memory:leases does not honour conditional writes: hosts cannot agree on who computes a shared step, and may"
        " compute it twice"
    ) == 1


def test_who_computes_another_step_does_not_wait_for_ever(space: TaskSpace) -> None:
    place = Conditional()
    space = space._replace(clock=Beats(place))
    with lease(place, lapse=60, renewed=0.01).held(space, lambda: False):
        with lease(place, lapse=0.1).held(space, lambda: False, nested=True):
            pass
        assert "leases/aa" in place.contents
