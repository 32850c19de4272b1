"""What only the executor of this very process promises: a second Ctrl-C ends the task that runs."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import memento
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
    watchdog = threading.Timer(300, process.kill)
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


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_runs_in_two_threads_leave_each_other_what_their_tasks_have_changed(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other_begun, has_begun, may_end = (threading.Event() for _ in range(3))

    def changes(context: Any, config: Any) -> Any:
        os.environ["OF_A_TASK"] = "1"
        (tmp_path / "own").mkdir(exist_ok=True)
        os.chdir(tmp_path / "own")
        has_begun.set()
        may_end.wait(60)
        return os.environ.get("OF_A_TASK"), os.path.basename(os.getcwd())

    def short(context: Any, config: Any) -> None:
        if config.x == 0:
            other_begun.set()
            has_begun.wait(60)
        os.environ[f"OF_ANOTHER_{config.x}"] = "1"

    def run(function: Any, count: int) -> Any:
        options: Any = {} if executor == "serial" else {"num_workers": 1}
        heard: list[str] = []
        runs = memento.Memento(
            function,
            store=tmp_path / "store",
            executor=executor,
            progress=False,
            listeners=[lambda event: heard.append(getattr(event, "text", ""))],
            **options,
        )
        results = runs.run({"parameters": {"x": list(range(count))}})
        assert results is not None
        return [result.inner for result in results], "".join(heard)

    def begin_second() -> None:
        other_begun.wait(60)
        told.append(run(changes, 1))

    told: list[Any] = []
    thread = threading.Thread(target=begin_second)
    thread.start()
    beside = run(short, 3)
    may_end.set()
    thread.join()
    ((values, heard),) = told
    assert values == [("1", "own")]
    assert [values for values, _ in (beside, run(short, 1))] == [[None] * 3, [None]]
    assert ["another thread" in text for text in (heard, beside[1], run(short, 5)[1])] == [True, True, False]
    for name in [name for name in os.environ if name.startswith("OF_A")]:
        del os.environ[name]


def test_a_run_that_a_task_starts_is_no_company_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draws(context: Any, config: Any) -> float:
        return random.random()

    def starts(context: Any, config: Any) -> Any:
        os.environ["OF_A_TASK"] = "1"
        inner = [
            memento.Memento(
                draws, store=tmp_path / name, executor=name, progress=False, num_workers=workers
            ).run({"parameters": {"x": [1]}})
            for name, workers in (("serial", None), ("threads", 1))
        ]
        return [results[0].inner for results in inner if results is not None]

    def run(function: Any, store: str) -> Any:
        runs = memento.Memento(function, store=tmp_path / store, executor="serial", progress=False)
        results = runs.run({"parameters": {"x": [1]}})
        assert results is not None
        return results[0].inner

    alone = run(draws, "alone")
    assert run(starts, "outer") == [alone, alone]
    assert "OF_A_TASK" not in os.environ
