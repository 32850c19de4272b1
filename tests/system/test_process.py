"""Processes are known for what they are, and found wherever they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento import system
from memento.clock import SYSTEM_CLOCK
from memento.system import process as processes

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_this_process_is_alive_under_its_own_start_only() -> None:
    started = system.process_start(os.getpid())
    assert started is not None
    assert system.is_alive(os.getpid(), started)
    assert not system.is_alive(os.getpid(), started + "1")


def test_the_start_of_this_program_is_what_others_see() -> None:
    import psutil

    before = SYSTEM_CLOCK.now()
    told = system.program_start(before)
    took = SYSTEM_CLOCK.now() - before  # where the program stood still meanwhile, it began so much later
    assert -2 - took < told - psutil.Process().create_time() < 2


def test_a_process_that_was_collected_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(300)
    assert system.process_start(child.pid) is None


@linux
def test_a_name_with_spaces_and_parentheses_does_not_shift_the_start(tmp_path: Path) -> None:
    program = tmp_path / "a) R (b c"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        started = system.process_start(child.pid)
        child.kill()
    own = system.process_start(os.getpid())
    assert started is not None
    assert own is not None
    assert int(started) >= int(own)


def test_what_was_started_with_a_mark_is_found_and_killed_wherever_it_hangs() -> None:
    sleeper = "import time; print('begun', flush=True); time.sleep(1000)"
    mine, other = (
        subprocess.Popen(
            [sys.executable, "-c", sleeper],
            env={**os.environ, "A_MARK": mark},
            start_new_session=True,
            stdout=subprocess.PIPE,
        )
        for mark in (f"mine {os.getpid()}", f"other {os.getpid()}")
    )
    try:
        for process in (mine, other):  # for a moment a process that begins has no environment to be read
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
        system.kill_marked("A_MARK", f"mine {os.getpid()}")
        assert mine.wait(timeout=300) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (mine, other):
            process.kill()
            process.communicate()


ASK_MARK = "from memento import system; print(system.own_mark())"


def test_the_mark_of_a_process_that_has_ended_tells_so() -> None:
    told = subprocess.run([sys.executable, "-c", ASK_MARK], capture_output=True, text=True, check=True)
    assert system.is_marked_gone(told.stdout.strip()) is True


def test_a_mark_is_not_taken_for_that_of_another_process_with_its_pid() -> None:
    pid, started, boot = system.own_mark().split("~")
    assert system.is_marked_gone(f"{pid}~{started}~{boot}") is False
    assert system.is_marked_gone(f"{pid}~{started}0~{boot}") is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of a process are made by fork")
def test_a_copy_of_a_process_has_a_mark_of_its_own() -> None:
    own = system.own_mark()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, system.own_mark().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() != own
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("mark", ["", "x", "1-abc", "~~", "1~2~3", "99999999999~1~zz"])
def test_a_mark_that_was_made_elsewhere_or_is_none_is_not_judged(mark: str) -> None:
    assert system.is_marked_gone(mark) is None


def test_the_mark_of_another_boot_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = system.own_mark()
    monkeypatch.setattr(processes, "_boot", lambda: "00000000")
    assert system.is_marked_gone(mark) is None


def in_a_thread(func: Any) -> Any:
    told: list[Any] = []
    thread = threading.Thread(target=lambda: told.append(func()))
    thread.start()
    thread.join()
    return told[0]


def test_a_variable_that_another_thread_removes_meanwhile_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Changing(dict[str, str]):
        def __iter__(self) -> Iterator[str]:
            yield from ["STAYS", "GOES"]

    monkeypatch.setattr(os, "environ", Changing(STAYS="1"))
    assert system.environment() == {"STAYS": "1"}


def test_the_environment_is_what_the_process_has() -> None:
    assert system.environment() == dict(os.environ)


@pytest.mark.parametrize("told", [True, False])
def test_asking_for_the_umask_leaves_it(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not told:  # as on systems without /proc
        monkeypatch.setattr(processes, "read_text", lambda path: "")
    before = os.umask(0o027)
    try:
        assert (system.umask(), system.umask()) == (0o027, 0o027)
    finally:
        assert os.umask(before) == 0o027


def test_one_thread_at_a_time_puts_the_filters_of_warnings_aside() -> None:
    # Of two that overlap, the second would put back what ignores everything.
    def is_free() -> bool:
        turn: Any = system.turn()
        free: bool = turn.acquire(blocking=False)
        if free:
            turn.release()
        return free

    before = list(warnings.filters)
    with system.quiet():
        assert not in_a_thread(is_free)
        assert warnings.filters[0][0] == "ignore"
    assert in_a_thread(is_free)
    assert list(warnings.filters) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_copy_of_the_process_takes_its_turn_whoever_has_it_in_the_original() -> None:
    has_it, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with system.turn():
            has_it.set()
            may_end.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    has_it.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside a fork
        pid = os.fork()
    if pid == 0:
        turn: Any = system.turn()
        os._exit(0 if turn.acquire(blocking=False) else 1)
    may_end.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
