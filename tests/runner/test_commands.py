"""A live run does what another process asks of it, says so, and says how to undo it; what it cannot do it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memento.events import CommandTaken, Said, TasksFinished, Tick
from memento.index.types import Command
from memento.records import RAISED
from memento.runner.commands import carry_out, matching
from memento.runner.retry import Retry
from memento.worker.work import Task
from tests.runner.fakes import FakeSession, fails, outcome

Ask = dict[int, tuple[str, dict[str, Any]]]


def commanded(session: FakeSession, asked: Ask, every: float = 0.6) -> FakeSession:
    """Run, with commands before these polls; each poll takes as long as the loop waits to look for some."""
    polls = 0

    def before_poll() -> None:
        nonlocal polls
        session.clock.time += every
        if polls in asked:
            verb, arguments = asked[polls]
            session.run.asked.append(Command(verb, 1, "", arguments, "ada@node7", session.clock.now(), polls))
        polls += 1

    session.executor.before_poll = before_poll
    session.executor.capacity = 2
    session.loop()
    return session


def order(session: FakeSession) -> list[int]:
    """The tasks in the order in which they ended."""
    numbers = {session.plan.tasks.key(number): number for number in range(session.plan.total)}
    return [numbers[row.key] for row in session.run.rows]


def test_a_paused_run_starts_nothing_until_it_is_resumed() -> None:
    session = commanded(FakeSession(10), {2: ("pause", {}), 40: ("resume", {})})
    done, text, undo = session.run.answers[2]
    assert (done, undo) == (True, "resume")
    assert "nothing more is started, and 1 running task may finish" in text
    assert session.run.answers[40][:2] == (True, "it goes on")
    finished = [event.time or i for i, event in enumerate(session.events) if isinstance(event, TasksFinished)]
    assert finished
    assert sorted(order(session)) == list(range(10))
    assert session.runner.progress.done == 10
    assert not session.run.attempts  # what was given back meanwhile is no loss
    assert not session.runner.left


def test_while_it_is_paused_other_runs_may_have_what_waits() -> None:
    session = commanded(FakeSession(10), {2: ("pause", {}), 20: ("stop", {})})
    assert session.run.released
    assert session.runner.progress.done < 5


@pytest.mark.parametrize("paused", [0, 4], ids=["before it fails", "after it"])
def test_while_it_is_paused_other_runs_may_have_what_waits_for_its_next_attempt(paused: int) -> None:
    session = FakeSession(10, fails(0, until=1), Retry(1, delay=60.0, longest=600.0))
    session.executor.capacity = 1
    commanded(session, {paused: ("pause", {}), 200: ("resume", {})})
    assert session.plan.tasks.key(0) in session.run.released
    assert session.runner.progress.done == 10


def test_stop_lets_what_runs_finish_and_ends_the_run() -> None:
    session = commanded(FakeSession(10), {2: ("stop", {})})
    assert session.runner.is_stopping
    assert not session.executor.cancelled
    assert 0 < session.runner.progress.done < 10
    assert session.runner.progress.failed == 0
    assert session.run.answers[2][0]


def test_stop_now_does_not_wait_for_what_runs() -> None:
    session = commanded(FakeSession(10), {2: ("stop", {"now": True})})
    assert session.runner.is_stopping
    assert session.executor.cancelled
    assert session.runner.progress.done < 5
    assert session.runner.progress.failed == 0
    assert session.run.answers[2][1] == "the run ends now: 1 running task may save what there is so far"


def test_a_run_that_lets_tasks_finish_can_still_be_ended_now() -> None:
    session = FakeSession(10)
    session.runner.stop(running=False)
    assert carry_out(session.runner, Command("stop", 1)).text == "the run is stopping already"
    assert not session.executor.cancelled
    assert carry_out(session.runner, Command("stop", 1, arguments={"now": True})).done
    assert session.executor.cancelled


def test_who_has_paused_a_run_is_told_with_every_tick_until_it_goes_on() -> None:
    session = commanded(FakeSession(10), {2: ("pause", {}), 3: ("pause", {}), 20: ("resume", {})})
    paused = [tick.paused for tick in session.of(Tick)]
    assert [who for who, before in zip(paused, ["", *paused], strict=False) if who != before] == [
        "ada@node7",
        "",
    ]
    assert all((tick.eta is None) for tick in session.of(Tick) if tick.paused)
    assert session.run.answers[3][:2] == (
        False,
        "it is paused already, by ada@node7: `memento resume` has it go on",
    )


def test_the_answer_comes_with_how_far_the_run_is() -> None:
    session = FakeSession(10)
    seen: list[tuple[int, str]] = []
    answered = session.run.answer

    def answer(command: int, *told: Any, **more: Any) -> None:
        assert session.run.standing is not None
        seen.append((command, session.run.standing.paused))
        answered(command, *told, **more)

    session.run.answer = answer  # type: ignore[method-assign]
    commanded(session, {2: ("pause", {}), 20: ("resume", {})})
    assert seen == [(2, "ada@node7"), (20, "")]


def test_what_was_cancelled_is_not_counted_as_time_that_is_left() -> None:
    session = commanded(FakeSession(10), {2: ("cancel", {"parameters": {"a": [5, 6, 7, 8, 9]}})})
    assert session.runner.progress.finished == 5
    assert session.runner.progress.eta(session.clock.time) == 0.0


def test_a_beginning_of_several_keys_is_refused() -> None:
    session = FakeSession(40)
    keys = [session.plan.tasks.key(number).hex() for number in range(40)]
    twice = next(key[0] for key in keys if sum(other[0] == key[0] for other in keys) > 1)
    commanded(session, {2: ("cancel", {"keys": [twice]})})
    done, text, _ = session.run.answers[2]
    assert not done
    assert f"tasks' keys begin with {twice!r}" in text
    assert session.runner.progress.done == 40


def test_what_was_cancelled_before_is_not_told_as_finished() -> None:
    ask = ("cancel", {"parameters": {"a": 9}})
    session = commanded(FakeSession(10), {2: ask, 3: ask, 4: ("first", {"parameters": {"a": [0, 9]}})})
    assert session.run.answers[3][:2] == (
        False,
        "all of these tasks were cancelled already: run it again to compute them",
    )
    assert "all of these tasks have finished or were cancelled" in session.run.answers[4][1]


def test_an_interrupt_after_a_stop_still_stops_what_runs() -> None:
    session = FakeSession(10)

    def behave(task: Task) -> Any:
        session.interrupt.count = 1 if session.runner.is_stopping else 0
        return outcome(task)

    session.executor.behave = behave
    commanded(session, {2: ("stop", {})})
    assert session.runner.is_stopping


def test_cancelled_tasks_are_not_done_and_not_failed_and_the_rest_goes_on() -> None:
    session = commanded(FakeSession(10), {2: ("cancel", {"parameters": {"a": [0, 1, 2, 3, 8, 9]}})})
    done, text, _ = session.run.answers[2]
    assert done
    cancelled = session.runner.cancelled
    assert {8, 9} <= cancelled <= {1, 2, 3, 8, 9}
    assert text.startswith(f"{len(cancelled)} tasks cancelled, 1 of them while at work")
    assert session.runner.left == cancelled
    assert sorted([*order(session), *cancelled]) == list(range(10))
    assert session.runner.progress.failed == 0
    assert {session.plan.tasks.key(number) for number in cancelled} <= set(session.run.released)


def test_a_cancelled_task_is_not_tried_again() -> None:
    session = FakeSession(3, lambda task: outcome(task, RAISED if task.number == 0 else ""), retries=1000)
    commanded(session, {5: ("cancel", {"parameters": {"a": 0}})})
    assert session.runner.cancelled == session.runner.left == {0}
    assert session.runner.progress.failed == 0


def test_tasks_that_another_run_computes_are_waited_for_no_longer() -> None:
    session = FakeSession(3)
    session.run.others[session.plan.tasks.key(2)] = None
    commanded(session, {5: ("cancel", {"parameters": {"a": 2}})})
    assert session.runner.left == {2}


@pytest.mark.parametrize("by", ["key", "beginning", "parameter"])
def test_tasks_put_first_come_before_all_others_that_wait(by: str) -> None:
    session = FakeSession(10)
    key = session.plan.tasks.key(8).hex()
    named: dict[str, dict[str, Any]] = {
        "key": {"keys": [key]},
        "beginning": {"keys": [key[:12].upper()]},
        "parameter": {"parameters": {"a": 8}},
    }
    commanded(session, {2: ("first", named[by])})
    assert order(session).index(8) < 5
    assert sorted(order(session)) == list(range(10))
    assert not session.run.attempts


def test_the_number_of_workers_changes_and_the_answer_says_what_it_was() -> None:
    session = commanded(FakeSession(10), {2: ("resize", {"workers": 7})})
    assert session.executor.size == session.runner.progress.workers == 7
    assert session.run.answers[2] == (True, "7 workers from now on, instead of 2", "resize to 2")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("resize", {"workers": 0}, "whole number above 0, got 0"),
    ("resize", {}, "got None"),
    ("resume", {}, "it is not paused"),
    ("cancel", {}, "does not say which tasks"),
    ("cancel", {"parameters": {"b": 1}}, "there is no parameter 'b'; there are: a, repeat"),
    ("cancel", {"parameters": {"a": 77}}, "no task has a=77; its values are: 0, 1"),
    ("first", {"keys": ["zz"]}, "no task of this run has a key that begins with 'zz'"),
    ("cancel", {"parameters": {"a": 0}}, "have finished"),
    ("dance", {}, "there is no command 'dance'; there are: pause, resume, stop, cancel, first, resize"),
]


@pytest.mark.parametrize(("verb", "arguments", "why"), REFUSED)
def test_what_cannot_be_done_is_refused_and_the_run_goes_on(
    verb: str, arguments: dict[str, Any], why: str
) -> None:
    session = commanded(FakeSession(10), {4: (verb, arguments)})
    done, text, _ = session.run.answers[4]
    assert not done
    assert why in text
    assert session.runner.progress.done == 10


def test_an_engine_that_keeps_its_size_says_so() -> None:
    session = FakeSession(10)
    session.executor.resizable = False
    commanded(session, {4: ("resize", {"workers": 7})})
    assert "executor='fake' cannot change its number of workers" in session.run.answers[4][1]


def test_every_command_is_told_as_an_event_with_the_tasks_that_it_was_about() -> None:
    session = commanded(FakeSession(10), {2: ("cancel", {"parameters": {"a": 9}}), 3: ("resume", {})})
    taken, refused = session.of(CommandTaken)
    assert taken[:2] == ("cancel", "ada@node7")
    assert taken.done
    assert taken.keys == (session.plan.tasks.key(9).hex(),)
    assert not refused.done
    assert [event.text for event in session.of(Said)] == [
        f"Command cancel by ada@node7: {taken.answer}",
        "Command resume by ada@node7: refused: it is not paused",
    ]


def test_a_stop_that_waits_for_nothing_is_told_as_it_is_typed() -> None:
    session = commanded(FakeSession(10), {2: ("stop", {"now": True})})
    (text,) = [event.text for event in session.of(Said) if "Command" in event.text]
    assert text.startswith("Command cancel --all by ada@node7: the run ends now")


def test_a_task_that_stands_for_others_of_its_key_is_meant_with_them() -> None:
    session = FakeSession(2, parameters={"a": [1, 2], "device": ["cpu", "gpu"]}, volatile=["device"])
    assert matching(session.plan, {"parameters": {"device": "gpu", "a": 2}}) == [2]


@pytest.mark.parametrize("name", ["repeat", "a"])
def test_repeats_can_be_named_like_parameters(name: str) -> None:
    session = FakeSession(2, parameters={"a": [0, 1]}, repeats=2)
    found: Callable[..., list[int]] = matching
    assert found(session.plan, {"parameters": {name: 1}}) == ([1, 3] if name == "repeat" else [2, 3])
