"""Processes are known for what they are, and found wherever they are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memento import system
from memento.clock import SYSTEM_CLOCK

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_this_process_is_alive_under_its_own_start_only() -> None:
    started = system.process_start(os.getpid())
    assert started is not None
    assert system.is_alive(os.getpid(), started)
    assert not system.is_alive(os.getpid(), started + "1")


def test_the_start_of_this_program_is_what_others_see() -> None:
    import psutil

    assert abs(system.program_start(SYSTEM_CLOCK.now()) - psutil.Process().create_time()) < 2


def test_a_process_that_was_collected_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(60)
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
    sleeper = "import time; time.sleep(1000)"
    mine, other = (
        subprocess.Popen(
            [sys.executable, "-c", sleeper], env={**os.environ, "A_MARK": mark}, start_new_session=True
        )
        for mark in (f"mine {os.getpid()}", f"other {os.getpid()}")
    )
    try:
        system.kill_marked("A_MARK", f"mine {os.getpid()}")
        assert mine.wait(timeout=60) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (mine, other):
            process.kill()
            process.wait()
