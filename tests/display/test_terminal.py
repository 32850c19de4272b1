from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import TextIO, cast

import pytest
from rich.text import Text

from memento.display.base import Display, make_display
from memento.display.live_rows import LiveRows
from memento.display.text import Causes, progress_parts
from memento.events import (
    FailureGroup,
    RunFinished,
    RunStarted,
    Said,
    TaskFailed,
    TasksFinished,
    Tick,
)
from tests.display.fakes import FINISHED, RUN, STARTED, FakeTerminal, SetClock, tick

Make = Callable[[int, int], FakeTerminal]


def rows_of(now: Tick, width: int, height: int, encoding: str = "utf-8") -> list[Text]:
    return LiveRows(Causes(), encoding).rows(now, width, height)


def show(terminal: FakeTerminal, clock: SetClock) -> Display:
    return make_display(stream=cast(TextIO, terminal), clock=clock)


def test_the_running_screen_is_as_recorded(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(110, 20)
    with show(terminal, clock) as display:
        for event in RUN:
            clock.time += 1
            display.listen(event)
        assert terminal.screen == (
            "experiment:experiment, store /data/memento-store\n"
            "27 tasks: 5 cached, 22 to run on 2 workers, about 1 min 40 s\n"
            "worker host/12 was replaced\n"
            f"{'━' * 15:─<27}  15/27 (55%) · 1 failed · 30 s left · 5 cached · 2 running · 1.2 tasks/s\n"
            "  1 failed: ValueError: inconsistent numbers of samples (experiment.py:24)\n"
            "  dataset=load_digits, model=SVC, fold=0        12 s  ━━━━━─────  50%  loss=0.3125\n"
            "  dataset=load_digits, model=SVC, fold=1        13 s"
        )


def test_the_bar_is_gone_and_the_lines_stay_when_the_run_is_over(
    make_terminal: Make, clock: SetClock
) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        for event in (*RUN, FINISHED):
            clock.time += 1
            display.listen(event)
    assert terminal.screen == (
        "experiment:experiment, store /data/memento-store\n"
        "27 tasks: 5 cached, 22 to run on 2 workers, about 1 min 40 s\n"
        "worker host/12 was replaced\n"
        "27 tasks: 22 done, 5 cached in 2 min 3 s"
    )


def test_an_exception_in_the_run_takes_the_bar_away(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)

    def run() -> None:
        with show(terminal, clock) as display:
            display.listen(STARTED)
            display.listen(tick(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert terminal.screen.endswith("about 1 min 40 s")


def test_each_cause_of_failures_is_shown_once_while_a_run_goes_on(
    make_terminal: Make, clock: SetClock
) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        for event in RUN:
            clock.time += 1
            display.listen(event)
        assert terminal.screen.count("inconsistent numbers") == 1


def test_a_run_in_which_all_is_cached_takes_one_line(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        display.listen(RunStarted("exp:f", "/data/memento-store", 27, 27, 0, 2))
        display.listen(tick(0, cached=27, workers=0))
        display.listen(RunFinished("exp:f", "/data/memento-store", 27, 0, 27, 0, 0.1))
    assert terminal.screen == "exp:f: 27 tasks, all cached in /data/memento-store"


def test_it_is_redrawn_five_times_a_second_at_most(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        before = terminal.writes
        for i in range(1000):
            clock.time += 0.001
            display.listen(tick(i % 20))
            display.listen(TasksFinished(1, 0, 0.1))
            display.listen(Said(f"note {i}"))
        # Each redraw may print waiting lines and then the rows: two writes.
        assert terminal.writes - before <= 2 * 6


def test_what_tasks_print_stands_above_the_bar(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(100, 20)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        display.listen(tick(3))
        clock.time += 1
        print("hello from a thread")
        lines = terminal.screen.splitlines()
        assert lines[2] == "hello from a thread"
        assert "8/27" in lines[3]


def test_a_flood_of_prints_is_shown_whole_with_few_redraws(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(100, 20)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        display.listen(tick(3))
        before = terminal.writes
        for i in range(1000):
            clock.time += 0.001
            print(f"line {i}")
        assert terminal.writes - before <= 6
    assert [line for line in terminal.screen.splitlines() if line.startswith("line ")] == [
        f"line {i}" for i in range(1000)
    ]


def test_half_a_printed_line_comes_after_the_summary(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(100, 20)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        display.listen(tick(3))
        print("half a ", end="", flush=True)
        display.listen(FINISHED)
    print("line")
    assert terminal.screen.splitlines()[-1] == "half a line"


def test_stdout_is_given_back(make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = make_terminal(100, 20)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        assert sys.stdout is not cast(object, terminal)
        display.listen(FINISHED)
        assert sys.stdout is cast(object, terminal)


def test_a_stdout_that_somebody_put_in_between_is_left_and_still_writes(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(100, 20)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        ours, other = sys.stdout, io.StringIO()
        monkeypatch.setattr(sys, "stdout", other)
        display.listen(FINISHED)
        assert sys.stdout is other
    monkeypatch.setattr(sys, "stdout", ours)  # as executors do that put back what they found
    print("still heard")
    assert terminal.screen.endswith("still heard")


def test_a_terminal_that_became_narrower_shows_one_bar(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        display.listen(tick(3, workers=4))
        for width in (60, 35, 90, 21):
            terminal.resize(width)
            monkeypatch.setenv("COLUMNS", str(width))
            clock.time += 1
            display.listen(tick(4, workers=4))
            bars = [row for row in terminal.rows if ("━" in row and "/27" in row) or "9/2" in row]
            assert len(bars) <= 1, terminal.screen
            assert sum("fold" in row or " s " in row for row in terminal.rows[-5:]) <= 5
        terminal.resize(100)
        monkeypatch.setenv("COLUMNS", "100")
        clock.time += 1
        display.listen(tick(5, workers=4))
        assert terminal.screen.count("10/27") == 1
        assert terminal.screen.count("9/27") == 0


@pytest.mark.parametrize("height", [3, 4, 10, 24])
@pytest.mark.parametrize("workers", [0, 1, 5, 400])
def test_the_live_rows_fit_the_terminal(height: int, workers: int) -> None:
    rows = rows_of(tick(3, workers=workers), 80, height)
    assert len(rows) <= max(height, 1)
    assert workers == 0 or height < 2 or len(rows) > 1


def test_what_a_tick_does_not_list_is_counted_too() -> None:
    many = tick(3, workers=30, unlisted=9_970)
    assert "10,000 running" in progress_parts(many)
    assert rows_of(many, 80, 50)[-1].plain.strip() == "and 9,970 more running"


def test_workers_that_find_no_room_are_counted() -> None:
    rows = [row.plain for row in rows_of(tick(3, workers=30), 80, 10)]
    assert rows[-1].strip() == "and 22 more running"
    assert "fold=29" in rows[-2]  # those that run longest are shown


def test_a_single_failure_among_thousands_shows_in_the_bar() -> None:
    bar = rows_of(tick(5000, 1, total=100_000, workers=0), 100, 5)[0]
    assert any(span.style == "red" and span.end > span.start for span in bar.spans)


def test_a_bar_is_full_only_when_all_is_settled() -> None:
    assert "─" in rows_of(tick(99_990, 0, total=100_000, workers=0), 100, 5)[0].plain
    assert "─" not in rows_of(tick(22, 0, workers=0), 100, 5)[0].plain


def test_a_terminal_without_unicode_gets_ascii() -> None:
    rows = rows_of(tick(3), 80, 10, "ascii")
    assert all(row.plain.isascii() for row in rows)


def test_foreign_text_cannot_steer_the_terminal(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)
    evil = "\x1b]0;title\x07\x1b[2J[bold]\x9b31m\r\nx\u202e"
    with show(terminal, clock) as display:
        display.listen(STARTED)
        display.listen(Said(evil))
        group = FailureGroup(evil, "raised", 1, evil, evil, "ab", evil)
        display.listen(TaskFailed("ab", evil, group, True))
        display.listen(tick(3))
        assert "[bold]?31m x?" in terminal.screen
    for bad in ("\x1b]0", "\x1b[2J", "\x07", "\x9b", "\u202e"):
        assert bad not in terminal.raw


@pytest.mark.slow
def test_a_flood_of_causes_and_notes_is_cut_short(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        for i in range(500):
            group = FailureGroup(f"Error{i}: bad", "raised", 1, "", "a=1", f"{i:x}")
            display.listen(TaskFailed(f"{i:x}", "a=1", group, True))
            display.listen(Said(f"worker {i} was replaced"))
            clock.time += 1
            display.listen(tick(3, i))
        assert len(terminal.screen.splitlines()) < 60
        assert "1 failed from 1 other cause" not in terminal.screen
        assert "497 failed from 497 other causes" in terminal.screen


@pytest.mark.parametrize("error", [OSError(5, "gone"), ValueError("closed"), BrokenPipeError()])
def test_a_terminal_that_is_gone_harms_nothing(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    terminal = make_terminal(100, 20)
    tries = []

    def fail(text: str) -> int:
        tries.append(text)
        raise error

    with show(terminal, clock) as display:
        display.listen(STARTED)
        monkeypatch.setattr(terminal, "write", fail)
        for event in (*RUN, FINISHED):
            clock.time += 1
            display.listen(event)
    assert len(tries) == 1


def test_tasks_in_this_process_get_plain_lines_so_that_a_debugger_works(
    make_terminal: Make, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(100, 20)
    monkeypatch.setattr(sys, "stdout", terminal)
    with show(terminal, clock) as display:
        display.listen(RunStarted("exp:f", "/s", 3, 0, 3, 1, executor="serial", in_process=True))
        display.listen(tick(1, total=3))
        assert sys.stdout is cast(object, terminal)
    assert "\x1b" not in terminal.raw


def test_the_cursor_is_never_hidden(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        for event in (*RUN, FINISHED):
            display.listen(event)
    assert "\x1b[?25l" not in terminal.raw


def test_several_runs_in_a_row_each_tell_their_story(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(100, 20)
    with show(terminal, clock) as display:
        for _ in range(2):
            for event in (*RUN, FINISHED):
                clock.time += 1
                display.listen(event)
    assert terminal.screen.count("27 tasks: 22 done") == 2
    assert "failed: ValueError" not in terminal.screen


def test_the_echo_of_a_key_leaves_no_row_behind(make_terminal: Make, clock: SetClock) -> None:
    terminal = make_terminal(60, 20)
    with show(terminal, clock) as display:
        display.listen(STARTED)
        display.listen(tick(3))
        terminal.write("^C")
        display.listen(FINISHED)
    assert terminal.screen.splitlines()[-2:] == [
        "27 tasks: 5 cached, 22 to run on 2 workers, about 1 min 40 s",
        "27 tasks: 22 done, 5 cached in 2 min 3 s",
    ]
