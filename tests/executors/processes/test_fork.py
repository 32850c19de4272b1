"""A fork that cannot be, or that would not be sound, leaves the process as it was."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

import pytest

from memento.executors.processes import fork

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux copies programs safely"
)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_system_without_room_for_a_copy_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> NoReturn:
        raise BlockingIOError("too many processes")

    monkeypatch.setattr(os, "fork", refuse)
    before, descriptors = signal.pthread_sigmask(signal.SIG_BLOCK, []), open_descriptors()
    assert fork.fork() is None
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert open_descriptors() <= descriptors  # what an earlier test has left may be closed just now


def test_a_copy_that_would_lack_a_thread_is_ended_before_it_does_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really, made = os.fork, []

    def note() -> int:
        pid = really()
        made.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", note)
    wait = threading.Event()
    thread = threading.Thread(target=wait.wait)
    thread.start()
    before, descriptors = signal.pthread_sigmask(signal.SIG_BLOCK, []), open_descriptors()
    try:
        assert fork.fork() is None
        with pytest.raises(ChildProcessError):  # it has been waited for
            os.waitpid(made[0], os.WNOHANG)
    finally:
        wait.set()
        thread.join()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
    assert open_descriptors() <= descriptors  # what an earlier test has left may be closed just now
