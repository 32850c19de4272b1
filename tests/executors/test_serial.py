"""What only the executor of this very process promises: a second Ctrl-C ends the task that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.executors import make_executor
from memento.records import DONE, STOPPED
from memento.runner.signals import Interrupt
from memento.testing.driving import Drive


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    store = tmp_path / "store"
    (store / "payloads").mkdir(parents=True)
    drive = Drive(make_executor("serial"), store)
    yield drive
    drive.executor.close()


def test_one_interrupt_asks_the_task_and_two_end_it(drive: Drive) -> None:
    def deaf(context: Any, config: Any) -> str:
        before = context.stopping
        os.kill(os.getpid(), signal.SIGINT)
        after = context.stopping
        if config.x:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        return f"{before}, then {after}"

    drive.start(deaf)
    executor = drive.executor
    with Interrupt(executor.wake, executor.interrupt):
        drive.run([drive.task(0, False)])
    with Interrupt(executor.wake, executor.interrupt) as interrupt:
        executor.submit([drive.task(1, True)])
        drive.until(lambda: 1 in drive.outcomes)
    assert drive.value(0) == "False, then True"
    assert interrupt.count == 2
    failure = drive.outcomes[1].failure
    assert failure is not None
    assert failure.kind == STOPPED
    assert drive.outcomes[0].status == DONE


def test_an_interrupt_between_tasks_raises_nothing(drive: Drive) -> None:
    drive.start(lambda context, config: 1)
    drive.run([drive.task(0)])
    drive.executor.interrupt()


SCRIPT = """
import sys, time
from memento import Memento

def experiment(context, config):
    print("began", config.x, file=sys.stderr, flush=True)
    if config.x == 2:
        while True:
            time.sleep(0.05)
            if context.stopping:
                print("told", file=sys.stderr, flush=True)
                time.sleep(600)
    return config.x

Memento(experiment, executor="serial").run({"parameters": {"x": [1, 2, 3]}})
"""


@pytest.mark.slow
def test_a_script_that_is_interrupted_twice_ends_and_keeps_what_was_done(tmp_path: Path) -> None:
    script = tmp_path / "exp.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "exp.py"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        seen = ""
        for line in process.stderr:
            seen += line
            if "began 2" in line or "told" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(300) == 128 + signal.SIGINT, seen
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stderr.close()
    script.write_text(SCRIPT.replace("== 2", "== 9"))
    again = subprocess.run(
        [sys.executable, "exp.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert [line for line in again.stderr.splitlines() if line.startswith("began")] == ["began 2", "began 3"]
