"""Signals ask a run to stop, and everything is put back afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from memento.runner.signals import Interrupt


def test_signals_are_counted_and_wake_the_loop() -> None:
    woken = []
    with Interrupt(lambda: woken.append(True)) as interrupt:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (interrupt.count, len(woken), interrupt.signal) == (2, 2, signal.SIGTERM)


def test_the_handlers_from_before_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with Interrupt(lambda: None):
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
    assert {number: signal.getsignal(number) for number in before} == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt(lambda: None):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 7)])
def test_a_child_that_a_task_forks_takes_signals_as_without_a_run(number: int, status: int) -> None:
    with Interrupt(lambda: None) as interrupt:
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.kill(os.getpid(), number)
                signal.pause()
            os._exit(7)  # it has raised KeyboardInterrupt
        _, ended = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(ended) == status
        assert interrupt.count == 0


def test_in_other_threads_no_handler_is_installed() -> None:
    seen = []

    def run() -> None:
        with Interrupt(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.slow
def test_what_can_no_longer_be_written_does_not_change_how_the_program_ends() -> None:
    code = "import os; from memento.runner.signals import drop_last_words; os.read(0, 1); print('too late')"
    for say_so, ends in (("drop_last_words(); ", 129), ("", 120)):
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}; {say_so}raise SystemExit(129)"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(b"x")
        process.stdin.close()
        assert process.wait(300) == ends
