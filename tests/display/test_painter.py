"""What stands on a terminal after each redraw, whatever happened and whatever size it was given meanwhile."""

from __future__ import annotations

import os
from typing import TextIO, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memento.display.base import make_display
from memento.display.painter import flows_anew
from memento.display.text import Narrator
from memento.events import Event, FailureGroup, RunFinished, RunStarted, Said, TaskFailed, WorkerState
from tests.display.fakes import FakeTerminal, SetClock, tick

TEXTS = st.text(alphabet="ab =,日語🎉é", min_size=1, max_size=120)
STEPS = st.one_of(
    st.tuples(st.just("say"), TEXTS),
    st.tuples(st.just("fail"), TEXTS),
    st.tuples(st.just("tick"), st.lists(TEXTS, max_size=6)),
    st.tuples(st.just("resize"), st.integers(20, 200)),
    st.tuples(st.just("type"), st.sampled_from(["^C", "^Z", "abc"])),
)


def event_of(kind: str, argument: object, number: int) -> Event:
    if kind == "say":
        return Said(f"{number}: {argument}")
    if kind == "fail":
        return TaskFailed("ab", "", FailureGroup(str(argument), "raised", 1, "", "", str(number % 5)), True)
    assert isinstance(argument, list)
    states = tuple(WorkerState("w", "k", text, 1.0, 1.0, 2.0, {"loss": 0.1}) for text in argument)
    return tick(number, workers=0, total=1000)._replace(running=states)


@pytest.mark.slow
@pytest.mark.parametrize("flows", [True, False], ids=["flows anew", "cuts"])
@given(steps=st.lists(STEPS, max_size=30))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_stay_whole_and_rows_stand_once_below_them(
    flows: bool, steps: list[tuple[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, clock = FakeTerminal(80, flows=flows), SetClock()
    for name, value in (("TERM", "xterm"), ("COLUMNS", "80"), ("LINES", "24")):
        monkeypatch.setenv(name, value)
    if not flows:
        monkeypatch.setenv("XTERM_VERSION", "XTerm(390)")
    narrator = Narrator(failures=False)
    started: list[Event] = [RunStarted("exp:f", "/s", 1000, 5, 995, 2)]
    with make_display(stream=cast("TextIO", terminal), clock=clock) as display:
        stay = [line.text for line in narrator.lines(started[0])]
        display.listen(started[0])
        display.listen(tick(0, total=1000))
        for number, (kind, argument) in enumerate(steps):
            clock.time += 1
            if kind == "resize":
                assert isinstance(argument, int)
                terminal.resize(argument)
                monkeypatch.setenv("COLUMNS", str(argument))
                continue
            if kind == "type":
                terminal.write(str(argument))
                continue
            event = event_of(kind, argument, number)
            stay += [line.text for line in narrator.lines(event)]
            display.listen(event)
            if kind == "tick":
                lines = terminal.lines
                if flows:
                    assert lines[: len(stay)] == stay
                assert sum("/1,000 (" in line for line in lines) == 1
                assert len("\n".join(lines).rstrip().split("\n")) - len(stay) <= 24 or not flows
        end = RunFinished("exp:f", "/s", 1000, 995, 5, 0, 1.0)
        stay += [line.text for line in narrator.lines(end)]
        display.listen(end)
    if flows:
        assert [line for line in terminal.lines if line] == [line for line in stay if line]
    else:  # what the terminal has cut off is lost; of the rows nothing is left
        assert not any("/1,000 (" in line or "loss=0.1" in line for line in terminal.lines)


def test_what_has_not_changed_is_not_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal, clock = FakeTerminal(100), SetClock()
    with make_display(stream=cast("TextIO", terminal), clock=clock) as display:
        display.listen(RunStarted("exp:f", "/s", 27, 5, 22, 2))
        display.listen(tick(3))
        before = terminal.writes
        clock.time += 1
        display.listen(tick(3))
        assert terminal.writes == before
        terminal.raw = ""
        clock.time += 1
        display.listen(tick(4))
        assert terminal.writes == before + 1  # one write a redraw: nothing is seen half
        assert "fold" not in terminal.raw  # the workers' rows are as they were


@pytest.mark.parametrize(
    ("environment", "flows"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "XTERM_VERSION": "XTerm(390)"}, False),
        ({"TERM": "screen.xterm-256color"}, False),
        ({"TERM": "screen", "TMUX": "/tmp/tmux-0/default,1,0", "XTERM_VERSION": "XTerm(390)"}, True),
    ],
)
def test_terminals_that_cut_rows_when_narrowed_are_known(environment: dict[str, str], flows: bool) -> None:
    assert flows_anew(environment) is flows


def test_a_service_for_tests_gets_a_log_also_where_it_has_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for value, live in (("true", False), ("1", False), ("", True), ("false", True)):
        monkeypatch.setenv("CI", value)
        terminal = FakeTerminal(80)
        with make_display(stream=cast("TextIO", terminal), clock=SetClock()) as display:
            display.listen(RunStarted("exp:f", "/s", 27, 5, 22, 2))
            display.listen(tick(3))
        assert ("\x1b" in terminal.raw) is live
    assert os.environ["CI"] == "false"


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [
        ({}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"CLICOLOR": "0"}, False),
        ({"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True),
    ],
)
def test_a_terminal_has_colours_unless_the_user_wants_none(
    environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", **environment}.items():
        monkeypatch.setenv(name, value)
    terminal, clock = FakeTerminal(100), SetClock()
    with make_display(stream=cast("TextIO", terminal), clock=clock) as display:
        display.listen(RunStarted("exp:f", "/s", 27, 5, 22, 2))
        display.listen(tick(3, 1))
    assert ("\x1b[31m" in terminal.raw) is coloured
