"""Whoever steers a run hears what it did; where nobody can have done anything, it is said why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

from memento.errors import CommandRefused
from memento.index.types import Answer, Command, Living, Owner
from memento.records import RunInfo, RunRecord
from memento.runner.remote_control import Control, choose
from tests.runner.fakes import FakeClock


def run(number: int, experiment: str = "exp.py:train", status: str = "running") -> RunRecord:
    info = RunInfo(experiment, 1, "{}", "", "node7", 100 + number, "", "", (), {})
    return RunRecord(number, info, 0.0, 0.0, None, status, {})


class FakeIndex:
    def __init__(self, *runs: RunRecord, alive: tuple[int, ...] = ()) -> None:
        self.records, self.alive = list(runs), set(alive)
        self.sent: list[Command] = []
        self.answer: Callable[[Command], Answer | None] = lambda command: None

    def living(self) -> Living:
        return Living([Owner(number, "node7", 1, "", "", 0.0) for number in self.alive], {})

    def run(self, number: int) -> RunRecord | None:
        return next((one for one in self.records if one.id == number), None)

    def send(self, command: Command) -> int:
        self.sent.append(command)
        return len(self.sent)

    def answers(self, command: int) -> list[Answer]:
        answer = self.answer(self.sent[command - 1])
        return [] if answer is None else [answer]


def chosen(index: FakeIndex, which: Any = None) -> int:
    return choose(cast("Any", index), "/results", which).id


def test_the_only_run_that_is_alive_is_meant() -> None:
    assert chosen(FakeIndex(run(1), run(2), alive=(2,))) == 2


@pytest.mark.parametrize("which", [2, "2", "exp.py:test"], ids=["id", "text", "experiment"])
def test_of_several_one_is_named_by_its_id_or_its_experiment(which: Any) -> None:
    assert chosen(FakeIndex(run(1), run(2, "exp.py:test"), alive=(1, 2)), which) == 2


WRONG = [
    (None, (), "no run over /results is alive"),
    (
        None,
        (1, 2),
        "several runs over /results are alive, so say which one (1: exp.py:train, process 101 on node7; 2:",
    ),
    (1, (2,), "run 1 over /results is not alive: it has ended (done)"),
    ("2", (1,), "run 2 over /results is not alive: its process is gone"),
    (7, (2,), "no run 7 over /results is alive; there are: 2: exp.py:train, process 102 on node7"),
]


@pytest.mark.parametrize(("which", "alive", "why"), WRONG)
def test_where_no_run_can_be_meant_it_is_said_why(which: Any, alive: tuple[int, ...], why: str) -> None:
    index = FakeIndex(run(1, status="done"), run(2), alive=alive)
    with pytest.raises(CommandRefused) as caught:
        chosen(index, which)
    assert why in str(caught.value)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr("time.sleep", lambda seconds: setattr(clock, "time", clock.time + seconds))
    return clock


def control(index: FakeIndex, clock: FakeClock) -> Control:
    return Control(cast("Any", index), run(1), clock)


def test_the_answer_is_returned_as_soon_as_it_is_there(clock: FakeClock) -> None:
    index = FakeIndex(run(1), alive=(1,))
    index.answer = lambda command: Answer(1, 1, 1e9, "paused", "resume") if clock.time > 2 else None
    answer = control(index, clock).pause()
    assert answer is not None
    assert (answer.text, answer.undo) == ("paused", "resume")
    assert index.sent[0][:2] == ("pause", 1)
    assert "@" in index.sent[0].sender


def test_a_refusal_is_raised_with_its_reason(clock: FakeClock) -> None:
    index = FakeIndex(run(1), alive=(1,))
    index.answer = lambda command: Answer(1, 1, 1e9, "it is not paused", done=False)
    with pytest.raises(CommandRefused, match="run 1 refused to resume: it is not paused"):
        control(index, clock).resume()


def test_what_is_not_answered_in_time_is_taken_later(clock: FakeClock) -> None:
    assert control(FakeIndex(run(1), alive=(1,)), clock).stop() is None
    assert clock.time == pytest.approx(10.0, abs=0.2)


@pytest.mark.parametrize("status", ["done", "died"])
def test_a_run_that_ends_without_an_answer_did_not_take_the_command(status: str, clock: FakeClock) -> None:
    with pytest.raises(CommandRefused, match="run 1 has ended, and did not take the command stop"):
        control(FakeIndex(run(1, status=status)), clock).stop()


def test_values_are_sent_as_json_says_them(clock: FakeClock) -> None:
    index = FakeIndex(run(1), alive=(1,))
    control(index, clock).cancel("0a1b", lr=np.float64(0.5), model=["SVC", np.int64(3)])
    assert index.sent[0].arguments == {"keys": ["0a1b"], "parameters": {"lr": 0.5, "model": ["SVC", 3]}}
    control(index, clock).resize(3)
    assert index.sent[1].arguments == {"workers": 3}


def test_a_value_that_json_cannot_say_is_named_by_its_text(clock: FakeClock) -> None:
    index = FakeIndex(run(1), alive=(1,))
    with pytest.raises(TypeError, match=r"model=.* cannot be sent to a run: give its text"):
        control(index, clock).first(model=object())
    assert not index.sent
