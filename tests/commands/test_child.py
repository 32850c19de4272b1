"""One program to its end: output, metrics, stops, and nobody left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from memento.commands import child
from memento.commands.child import Output, run_program
from memento.errors import CommandFailed

PATIENCE = 300.0  # seconds; a test that needs them fails

# Starts a child of its own, tells both numbers, and is deaf if it is told to be.
FAMILY = """
import os, signal, subprocess, sys, time
if "deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
with open("pids.tmp", "w") as file: file.write(f"{os.getpid()} {other.pid}")
os.rename("pids.tmp", "pids")
if "leave" in sys.argv: sys.exit(0)
time.sleep(1000)
"""


def quiet(values: Any, step: float | None) -> None:
    """Record nothing."""


def never() -> bool:
    return False


def run(
    code: str, *arguments: str, stopping: Callable[[], bool] = never, output: Output | None = None
) -> int | None:
    return run_program([sys.executable, "-c", code, *arguments], None, {}, output or Output(quiet), stopping)


def pids() -> list[int]:
    """Wait for the numbers of a family."""
    until(lambda: Path("pids").exists())
    return [int(pid) for pid in Path("pids").read_text().split()]


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def nobody_is_left() -> Callable[[], None]:
    """What waits for the end of a family, and finds no child but those of earlier tests (multiprocessing keeps one)."""
    before = set(psutil.Process().children(recursive=True))

    def look() -> None:
        for pid in pids():
            until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]
        assert set(psutil.Process().children(recursive=True)) <= before

    return look


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("import os; os.kill(os.getpid(), 9)", -9),
        ("import os; os.abort()", -6),
    ],
)
def test_how_it_ended_is_told(code: str, told: int) -> None:
    assert run(code) == told


def test_output_and_errors_come_in_their_order(capfd: Any) -> None:
    output = Output(quiet)
    run("import os\nfor i in range(3): os.write(1 + i % 2, b'%d\\n' % i)", output=output)
    assert output.last_lines() == "0\n1\n2"
    assert capfd.readouterr().out == "0\n1\n2\n"


def test_lines_of_numbers_are_metrics(capfd: Any) -> None:
    heard: list[Any] = []
    output = Output(lambda values, step: heard.append((values, step)))
    lines = [
        b'{"loss": 0.5, "step": 1}',
        b'  {"loss": 2, "acc": 1e-3}  ',
        b'{"name": "x", "loss": 1}',
        b'{"ok": true}',
        b'{"step": 3}',
        b"{}",
        b"[1, 2]",
        b"loss: 3",
        b'{"broken": ',
        b'config: {"lr": 1}',
        b'\r 45%|#### {"bar": 7}',
        b'{"big": 1' + b"0" * 400 + b"}",
        b"\xff\xfe\x00 {}",
        b"[" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"}",
        b'{"nan": NaN}',
    ]
    for line in lines:
        output.feed(line + b"\n")
    output.end()
    capfd.readouterr()
    shown = [(values, step) for values, step in heard if "nan" not in values]
    assert shown == [({"loss": 0.5}, 1.0), ({"loss": 2.0, "acc": 0.001}, None), ({"bar": 7.0}, None)]
    assert len(heard) == 4


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_are_read_however_they_arrive(size: int) -> None:
    heard: list[Any] = []
    output = Output(lambda values, step: heard.append((values["x"], step)))
    data = b"".join(b'{"x": %d, "step": %d}\r\n' % (i, i) for i in range(50)) + b'{"x": 50}'
    for start in range(0, len(data), size):
        output.feed(data[start : start + size])
    output.end()
    assert heard == [*((i, i) for i in range(50)), (50, None)]
    assert output.found == {"x": 50}


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr(child, "_LINE", 1_000)
    output = Output(quiet)
    for _ in range(100):
        output.feed(b'{"a": ' + b"1" * 500)
    output.feed(b'}\n{"x": 2}\n')
    assert output.found == {"x": 2}
    assert len(output._line) <= 1_000
    assert len(output._tail) <= child._TAIL
    capfd.readouterr()


def test_much_output_costs_no_memory_and_no_deadlock(capfd: Any) -> None:
    code = "import os\nfor _ in range(200): os.write(1, b'\\xff\\x00' * 50_000); os.write(2, b'\\n')"
    output = Output(quiet)
    assert run(code, output=output) == 0
    assert len(output._tail) <= child._TAIL
    assert len(capfd.readouterr().out) > 1_000


def test_there_is_nothing_to_read_for_it() -> None:
    assert run("import sys; assert sys.stdin.read() == ''") == 0


def test_a_program_that_closes_its_output_is_waited_for() -> None:
    assert run("import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(5)") == 5


def test_what_it_leaves_running_ends_with_it(nobody_is_left: Callable[[], None]) -> None:
    assert run(FAMILY, "leave") == 0
    nobody_is_left()


def test_the_wish_to_stop_reaches_it_as_one_sigterm(capfd: Any) -> None:
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved', flush=True), time.sleep(0.2), sys.exit(0)))\n"
        "open('ready', 'w').close()\n"
        "time.sleep(1000)"
    )
    output = Output(quiet)
    assert run(code, stopping=Path("ready").exists, output=output) is None
    assert output.last_lines() == "saved"


def test_who_does_not_hear_it_is_killed_after_a_while(
    monkeypatch: pytest.MonkeyPatch, nobody_is_left: Callable[[], None]
) -> None:
    monkeypatch.setattr(child, "_INSIST", 0.3)
    assert run(FAMILY, "deaf", stopping=Path("pids").exists) is None
    nobody_is_left()


def test_a_program_that_prints_without_end_hears_it_too(capfd: Any) -> None:
    code = "open('ready', 'w').close()\nwhile True: print('x' * 1000)"
    assert run(code, stopping=Path("ready").exists) is None
    capfd.readouterr()


def test_whatever_ends_us_ends_it(nobody_is_left: Callable[[], None]) -> None:
    def interrupt() -> bool:
        if Path("pids").exists():
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        run(FAMILY, "deaf", stopping=interrupt)
    nobody_is_left()


@pytest.mark.parametrize("thread", [False, True])
def test_nothing_goes_on_where_we_are_killed(thread: bool) -> None:
    """As in a thread, or in this process, which nobody watches."""
    ours = (
        "import sys, threading\n"
        "from memento.commands.child import Output, run_program\n"
        f"call = lambda: run_program([sys.executable, '-c', {FAMILY!r}, 'deaf'], None, {{}}, Output(print), bool)\n"
        "threading.Thread(target=call).start() if 'thread' in sys.argv else call()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", ours, *(["thread"] if thread else [])])
    found = pids()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for pid in found:
        until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-program"], "there is no program 'no-such-program' in PATH="),
        (["./no-such-program"], "No such file or directory: './no-such-program'"),
        (["/"], "Permission denied"),
        (["x", "a" * 10_000_000], "Argument list too long"),
        (["x", "a\0b"], "null byte"),
    ],
)
def test_what_cannot_be_started_is_told(arguments: list[str], told: str) -> None:
    if told == "Argument list too long":
        arguments = [sys.executable, *arguments[1:]]
    with pytest.raises(CommandFailed) as caught:
        run_program(arguments, None, {}, Output(quiet), never)
    assert told in str(caught.value)
    assert caught.value.code is None


def test_a_folder_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandFailed, match="there is no folder 'nowhere'"):
        run_program([sys.executable], "nowhere", {}, Output(quiet), never)
