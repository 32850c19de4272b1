"""A run's heart beats whatever its tasks do, and harms no copy of its process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from memento import system
from memento.index.heartbeat import Heartbeat, stand_still
from memento.store.store import Store
from memento.testing.index_rows import info_of

_PATIENCE = 300.0  # seconds; no test waits so long unless it fails


def test_it_beats_until_it_is_ended() -> None:
    beats: list[int] = []
    enough = threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            enough.set()

    others = set(threading.enumerate())  # of tests before
    with Heartbeat(beat, every=0.001):
        assert enough.wait(_PATIENCE)
    ended = len(beats)
    assert not stand_still
    assert others.issuperset(threading.enumerate())
    assert len(beats) == ended


def test_a_beat_that_fails_is_followed_by_others() -> None:
    enough = threading.Event()
    beats: list[int] = []

    def beat() -> None:
        beats.append(1)
        if len(beats) > 3:
            enough.set()
        raise OSError("the disk is full")

    with Heartbeat(beat, every=0.001):
        assert enough.wait(_PATIENCE)


def test_it_beats_while_this_thread_does_something_else(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        run = store.begin(info_of())
        before = store.index.runs()[0].heartbeat
        beaten = threading.Event()

        def beat() -> None:
            run.heartbeat()
            beaten.set()

        with Heartbeat(beat, every=0.001):
            assert beaten.wait(_PATIENCE)
        assert store.index.runs()[0].heartbeat > before


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_no_copy_of_the_process_begins_in_the_middle_of_a_beat() -> None:
    inside, started = threading.Event(), threading.Event()

    def beat() -> None:
        inside.set()
        started.set()
        threading.Event().wait(0.01)
        inside.clear()

    with Heartbeat(beat, every=0.0001), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert started.wait(_PATIENCE)
        for _ in range(20):
            pid = os.fork()
            if pid == 0:
                os._exit(1 if inside.is_set() else 0)
            assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forking_beside_the_heart_alone_warns_of_nothing_and_after_it_as_ever() -> None:
    code = """if True:
        import os, threading, warnings
        from memento.index.heartbeat import Heartbeat
        warnings.simplefilter("error")
        before = list(warnings.filters)
        def fork():
            pid = os.fork()
            if pid == 0:
                os._exit(0 if warnings.filters == before else 1)
            assert os.waitpid(pid, 0)[1] == 0
        with Heartbeat(lambda: None):
            fork()
        assert warnings.filters == before
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(not system.LINUX, reason="only Linux copies programs")
def test_it_stands_in_the_way_of_no_copy_of_the_program(tmp_path: Path) -> None:
    code = f"""if True:
        import os
        from memento.executors.processes import fork
        from memento.index.heartbeat import Heartbeat
        with Heartbeat(lambda: None):
            assert fork.objection({str(tmp_path)!r}) == "", fork.objection({str(tmp_path)!r})
            pid = fork.fork()
            if pid == 0:
                os._exit(7)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
