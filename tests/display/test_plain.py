from __future__ import annotations

import io
import logging
import sys

import pytest

from memento.display.base import make_display
from memento.display.text import Narrator
from memento.events import (
    Event,
    FailureGroup,
    RunFinished,
    RunStarted,
    Said,
    TaskRetried,
    Tick,
    WarningGroup,
    WorkerState,
)
from tests.display.fakes import FINISHED, GROUP, RUN, STARTED, SetClock, tick


def test_a_log_is_as_recorded(clock: SetClock) -> None:
    stream = io.StringIO()
    with make_display(stream=stream, clock=clock) as display:
        for event in (*RUN, FINISHED):
            clock.time += 5
            display.listen(event)
    assert stream.getvalue() == (
        "[memento] experiment:experiment, store /data/memento-store\n"
        "[memento] 27 tasks: 5 cached, 22 to run on 2 workers, about 1 min 40 s\n"
        "[memento] 8/27 (29%), 30 s left, 5 cached, 2 running, 1.2 tasks/s\n"
        "[memento] worker host/12 was replaced\n"
        "[memento] failed: ValueError: inconsistent numbers of samples (experiment.py:24)\n"
        "[memento]     dataset=load_wine_broken, model=SVC\n"
        "[memento] 15/27 (55%), 1 failed, 30 s left, 5 cached, 2 running, 1.2 tasks/s\n"
        "[memento] 27 tasks: 22 done, 5 cached in 2 min 3 s\n"
    )


def lines_of_progress(
    clock: SetClock, total: int, seconds: float, each: float, done_at_end: int | None = None
) -> list[str]:
    stream = io.StringIO()
    with make_display(stream=stream, clock=clock) as display:
        display.listen(RunStarted("exp:f", "/s", total, 0, total, 2))
        steps = int(seconds / each)
        for i in range(steps):
            clock.time += each
            display.listen(
                tick(i * (total if done_at_end is None else done_at_end) // steps, total=total, cached=0)
            )
    return [line for line in stream.getvalue().splitlines() if "running" in line]


def test_a_fast_run_has_no_more_lines_than_its_seconds_allow(clock: SetClock) -> None:
    assert len(lines_of_progress(clock, total=10_000, seconds=4.0, each=0.01)) <= 2


def test_a_run_of_a_day_says_something_each_minute_at_most(clock: SetClock) -> None:
    assert 1000 < len(lines_of_progress(clock, total=100_000, seconds=86_400.0, each=10.0)) <= 1460


def test_a_slow_start_is_told_after_ten_seconds(clock: SetClock) -> None:
    assert len(lines_of_progress(clock, total=100, seconds=11.0, each=0.25, done_at_end=1)) == 1


def hung(seconds: float, *more: WorkerState, done: int = 9, longest: float = 0.1, unlisted: int = 0) -> Tick:
    running = (WorkerState("w", "0" * 32, "n=9", seconds), *more)
    return Tick(10, done, 0, 0, running, seconds, None, 0.0, unlisted, longest)


def last_line(clock: SetClock, *ticks: Event) -> str:
    stream = io.StringIO()
    with make_display(stream=stream, clock=clock) as display:
        display.listen(RunStarted("exp:f", "/s", 10, 0, 10, 2))
        for event in ticks:
            clock.time += 100
            display.listen(event)
    return stream.getvalue().splitlines()[-1].removeprefix("[memento] ")


def test_a_line_that_would_say_the_same_again_names_what_runs(clock: SetClock) -> None:
    assert last_line(clock, hung(20.0)) == "9/10 (90%), 1 running"
    assert last_line(clock, hung(20.0), hung(540.0)) == (
        "9/10 (90%), 1 running for 9 min: n=9 (the others took 0.1 s at most)"
    )
    assert last_line(clock, hung(20.0, done=0, longest=0.0), hung(60.0, done=0, longest=0.0)) == (
        "0/10 (0%), 1 running for 1 min: n=9"
    )


def test_of_many_that_run_the_longest_are_named_with_what_they_told(clock: SetClock) -> None:
    others = [WorkerState("w", "0" * 32, f"n={n}", 10.0 * n, 4.0, 10.0, {"loss": 0.5}) for n in range(1, 5)]
    event = hung(100.0, *others, unlisted=3)
    assert last_line(clock, event, event) == (
        "9/10 (90%), 8 running: n=9 for 1 min 40 s; n=4 [40%, loss=0.5] for 40 s; n=3 [40%, loss=0.5] for 30 s;"
        " and 5 more (the others took 0.1 s at most)"
    )


def test_a_task_that_hangs_is_named_also_while_others_finish(clock: SetClock) -> None:
    other = WorkerState("v", "1" * 32, "n=8", 1.0)
    lines = [last_line(clock, hung(10.0, other, done=d), hung(200.0, other, done=d + 1)) for d in (3, 4)]
    assert all("n=9 for 3 min 20 s" in line for line in lines)
    assert "n=9" not in last_line(clock, hung(30.0, other, done=3), hung(40.0, other, done=4))


def test_progress_false_shows_nothing_but_logs_warnings(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with make_display(False) as display:
        for event in (*RUN, FINISHED):
            display.listen(event)
    assert capsys.readouterr() == ("", "")
    assert [r.getMessage() for r in caplog.records] == ["worker host/12 was replaced"]


def test_it_writes_to_stderr_and_leaves_stdout_clean(capsys: pytest.CaptureFixture[str]) -> None:
    with make_display() as display:
        display.listen(STARTED)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("[memento] experiment:experiment, store")


def test_a_process_without_stderr_runs_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with make_display() as display:
        display.listen(STARTED)


def test_a_stream_with_few_characters_gets_replacements() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with make_display(stream=stream) as display:
        display.listen(Said("naïve… → 5 ± 1"))
    assert raw.getvalue() == b"[memento] na?ve... -> 5 +- 1\n"


def test_a_closed_stream_harms_nothing() -> None:
    stream = io.StringIO()
    with make_display(stream=stream) as display:
        stream.close()
        display.listen(STARTED)


def test_a_breaking_display_is_turned_off_with_a_word(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> object:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Narrator, "lines", fail)
    stream = io.StringIO()
    with make_display(stream=stream) as display:
        display.listen(STARTED)
        display.listen(FINISHED)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "the run goes on" in caplog.text


def told(*events: object) -> list[str]:
    stream = io.StringIO()
    with make_display(stream=stream) as display:
        for event in events:
            display.listen(event)  # type: ignore[arg-type]
    return [line.removeprefix("[memento] ") for line in stream.getvalue().splitlines()]


def test_an_interrupted_run_says_what_is_kept_and_how_to_go_on() -> None:
    event = RunFinished(
        "exp:f", "/s", 27, 7, 5, 1, 12.0, interrupted=True, left=14, how_to_go_on="Run it again to go on."
    )
    assert told(STARTED, event)[2:] == [
        "Interrupted after 12 s: 7 done, 5 cached, 1 failed, 14 left",
        "Run it again to go on.",
    ]


def test_the_end_lists_causes_with_what_they_have_in_common() -> None:
    group = FailureGroup(
        GROUP.title, "raised", 4, "", GROUP.config, "ab", rule="all 4 have dataset=x, no success has it"
    )
    event = RunFinished("exp:f", "/s", 27, 23, 0, 4, 12.0, groups=(group,) * 12)
    lines = told(STARTED, event)
    assert lines[2] == "27 tasks: 23 done, 4 failed in 12 s"
    assert lines[3] == (
        "  4 tasks: ValueError: inconsistent numbers of samples (experiment.py:24)"
        " - all 4 have dataset=x, no success has it"
    )
    assert lines[4] == "      memento show ab --store /s"
    assert lines[-1] == "  and 2 other causes: `results.failures` has them all"


def test_the_end_leaves_causes_to_the_exception_that_the_caller_gets() -> None:
    groups = (GROUP._replace(rule="all 4 have dataset=x"),)
    failed = RunFinished("exp:f", "/s", 27, 23, 0, 4, 12.0, groups=groups)
    stopped = failed._replace(interrupted=True, left=3)  # what is raised then does not tell what failed
    for event, causes in ((failed, 0), (stopped, 1)):
        stream = io.StringIO()
        with make_display(stream=stream, reported=True) as display:
            display.listen(STARTED)
            display.listen(event)
        assert stream.getvalue().count("all 4 have dataset=x") == causes


def test_who_has_paused_a_run_is_said_with_what_undoes_it(clock: SetClock) -> None:
    assert last_line(clock, tick(3, paused="ada@node7")) == (
        "8/27 (29%), paused by ada@node7 (memento resume), 5 cached, 2 running, 1.2 tasks/s"
    )


def test_lines_have_colours_only_where_these_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    event = Said("careful", "warning")
    for name, value, line in (
        ("FORCE_COLOR", "", "careful"),
        ("FORCE_COLOR", "0", "careful"),
        ("FORCE_COLOR", "1", "\x1b[33mcareful\x1b[0m"),
        ("CLICOLOR_FORCE", "1", "\x1b[33mcareful\x1b[0m"),
    ):
        with monkeypatch.context() as environment:
            environment.setenv(name, value)
            assert told(event) == [line]
            environment.setenv("NO_COLOR", "1")
            assert told(event) == ["careful"]


def test_the_end_says_what_tasks_warned_of_and_what_is_odd_about_the_results() -> None:
    group = WarningGroup(
        "UserWarning: odd (exp.py:3)", 4, 9, "n=1", "ab", "all 4 have n=1, no other task has it"
    )
    event = RunFinished(
        "exp:f", "/s", 27, 27, 0, 0, 12.0, warned=(group,) * 7, notes=("all 27 tasks are odd",)
    )
    lines = told(STARTED, event)
    assert lines[2:4] == [
        "27 tasks: 27 done in 12 s",
        "  4 tasks warned: UserWarning: odd (exp.py:3) - all 4 have n=1, no other task has it",
    ]
    assert lines[-2:] == ["  and 2 other warnings: `results.warnings` lists them", "  all 27 tasks are odd"]
    assert len(lines) == 10


def test_without_a_display_what_tasks_warned_of_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    group = WarningGroup("UserWarning: odd (exp.py:3)", 4, 9, "n=1", "ab")
    with make_display(False) as display:
        display.listen(STARTED)
        display.listen(FINISHED._replace(warned=(group,), notes=("all 27 tasks are odd",)))
        display.listen(FINISHED._replace(warned=(group,), notes=("all 27 tasks are odd",)))
    assert [r.getMessage() for r in caplog.records] == [
        "4 tasks warned: UserWarning: odd (exp.py:3)",
        "all 27 tasks are odd",
    ]


def test_what_is_odd_about_cached_results_is_said_again() -> None:
    event = RunFinished("exp:f", "/s", 3, 0, 3, 0, 0.0, notes=("all 3 tasks are odd",))
    assert told(RunStarted("exp:f", "/s", 3, 3, 0, 2), event) == [
        "exp:f: 3 tasks, all cached in /s",
        "  all 3 tasks are odd",
    ]


def test_a_run_of_several_matrices_says_which_one_is_at_work() -> None:
    started = RunStarted("exp:f", "/s", 3, 0, 3, 2, matrix="base")
    assert told(started)[1] == "3 tasks of matrix 'base': 3 to run on 2 workers"
    cached = RunFinished("exp:f", "/s", 3, 0, 3, 0, 0.0)
    assert told(started._replace(cached=3, todo=0), cached) == [
        "exp:f: 3 tasks of matrix 'base', all cached in /s"
    ]


def test_a_retry_is_told_with_its_reason() -> None:
    lines = told(TaskRetried("ab", "a=1", 1, "OSError: busy", 2.0))
    assert lines == ["Attempt 1 failed, trying again in 2.0 s: OSError: busy"]
    lines = told(TaskRetried("ab", "a=1", 1, "WorkerLost: node n1 is down", 0.0, lost=True))
    assert lines == ["A task lost its place and is begun again: WorkerLost: node n1 is down"]


def test_an_empty_matrix_is_told_in_one_line() -> None:
    event = RunFinished("exp:f", "/s", 0, 0, 0, 0, 0.0)
    assert told(RunStarted("exp:f", "/s", 0, 0, 0, 2), event) == [
        "exp:f: no task of its matrix is to be computed; nothing to do in /s"
    ]


def test_the_same_note_is_told_once_in_a_row() -> None:
    assert told(Said("waiting"), Said("waiting"), Said("going on"), Said("waiting")) == [
        "waiting",
        "going on",
        "waiting",
    ]


def test_a_note_of_several_lines_keeps_its_lines_and_indents() -> None:
    assert told(Said("2 configurations: 2 new\n  a=1: new\n  a=2\x07: new")) == [
        "2 configurations: 2 new",
        "  a=1: new",
        "  a=2?: new",
    ]


def test_several_matrices_are_summed_up_in_one_line_more() -> None:
    total = RunFinished("exp:f", "/s", 54, 22, 32, 1, 130.0, groups=(GROUP,))
    assert told(STARTED, FINISHED, total)[3:] == [
        "In all 54 tasks: 22 done, 32 cached, 1 failed in 2 min 10 s"
    ]
