"""Programs as experiments: interrupted, killed, over their limits; none of them goes on, and what is done is kept."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

import memento
from tests.e2e.workplace import Program, Workplace

# Tasks 0 and 1 end at once; the others note where they are, hear SIGTERM unless they are deaf, and wait for a file.
TRAIN = """
import json, os, signal, subprocess, sys, time
x, out, deaf = int(sys.argv[1]), sys.argv[2], "deaf" in sys.argv
state = os.path.join(out, "state")
def save(*_):
    open(state, "w").close()
    with open("computed", "a") as file: file.write(f"saved {x}\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else save)
with open("computed", "a") as file: file.write(f"{'resumed' if os.path.exists(state) else 'begun'} {x}\\n")
if x > 1:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    while not os.path.exists("go"): time.sleep(0.01)
    child.kill()
with open(os.path.join(out, "result.json"), "w") as file: json.dump(x * 10, file)
"""
RUN = """
import sys
from memento import Memento, command
how = sys.argv[1]
limits = {"timeout": 4.0} if "timeout" in sys.argv else {}
train = command("python train.py {x} {context.directory} {how}", result="result.json")
matrix = {"parameters": {"x": [0, 1, 2, 3]}, "settings": {"how": sys.argv[2]}, "volatile": ["how"]}
results = Memento(train, executor=how, num_workers=2, progress=False, on_error="return", **limits).run(matrix)
print("values", [r.inner for r in results], "cached", sum(r.was_cached for r in results))
print("errors", [type(r.error).__name__ for r in results])
"""


def started(place: Workplace, how: str, *arguments: str) -> Program:
    """Start the script, and wait until the first tasks are done and what can run of the others does."""
    place.write("pyproject.toml", "")
    place.write("train.py", TRAIN)
    place.write("run.py", RUN)
    program = place.start("run.py", how, *arguments)
    waiting = 1 if how == "serial" else 2
    place.until(lambda: len([x for x in ("begun 2", "begun 3") if x in place.lines("computed")]) == waiting)
    if "timeout" not in arguments:  # each has started a child of its own
        place.until(lambda: sum("sleep(1000)" in " ".join(_line(p)) for p in place.alive()) == waiting)
    return program


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


EXECUTORS = ["serial", "threads", "processes"]


@pytest.mark.slow
@pytest.mark.parametrize("how", EXECUTORS)
def test_ctrl_c_lets_programs_save_and_the_next_run_goes_on(place: Workplace, how: str) -> None:
    program = started(place, how, "hear")
    program.send(signal.SIGINT)
    program.wait(code=130)
    place.nobody_left()
    saved = {line for line in place.lines("computed") if line.startswith("saved")}
    assert len(saved) == (1 if how == "serial" else 2)
    place.write("go", "")
    again = place.run("run.py", how, "hear")
    assert "values [0, 10, 20, 30] cached 2" in again.out
    counts = place.counts("computed")
    assert counts["begun 0"] == counts["begun 1"] == 1
    assert {line.replace("saved", "resumed") for line in saved} <= counts.keys()


@pytest.mark.slow
@pytest.mark.parametrize("how", EXECUTORS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_whatever_ends_the_run_ends_programs_that_are_deaf(
    place: Workplace, how: str, number: signal.Signals
) -> None:
    program = started(place, how, "deaf")
    program.send(number)
    if how == "serial" and number == signal.SIGINT:  # a task in this process has all the time it wants
        # Two signals that come before the first is heard are one.
        while program.process.poll() is None:
            program.send(number)
            time.sleep(0.5)
    program.wait(code=None)
    place.nobody_left()
    place.write("go", "")
    assert "values [0, 10, 20, 30]" in place.run("run.py", how, "deaf").out


@pytest.mark.slow
@pytest.mark.parametrize("how", EXECUTORS)
def test_a_program_over_its_time_ends(place: Workplace, how: str) -> None:
    program = started(place, how, "hear", "timeout")
    assert "errors ['NoneType', 'NoneType', 'TaskTimeout', 'TaskTimeout']" in program.wait().out
    place.nobody_left()


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_its_program_along(place: Workplace) -> None:
    program = started(place, "processes", "deaf")
    train = next(p for p in place.alive() if "train.py" in _line(p))
    worker = train.parent()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    place.until(lambda: not train.is_running() or train.status() == psutil.STATUS_ZOMBIE)
    Path(place.folder / "go").touch()
    assert "WorkerDied" in program.wait().out


@pytest.mark.slow
def test_the_log_is_live(place: Workplace) -> None:
    place.write("pyproject.toml", "")
    place.write(
        "say.py", "import os, sys, time\nprint('hello')\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
    )
    place.write(
        "run.py",
        "from memento import Memento, command\nMemento(command('python say.py')).run({'parameters': {}})",
    )
    program = place.start("run.py")
    logs = place.folder / "memento-store" / "logs"
    place.until(lambda: any(b"hello" in path.read_bytes() for path in logs.rglob("*") if path.is_file()))
    assert program.process.poll() is None
    place.write("go", "")
    program.wait()


@pytest.mark.slow
def test_the_memory_of_a_program_counts_for_the_limit(place: Workplace) -> None:
    place.write("pyproject.toml", "")
    place.write(
        "grow.py",
        "import time\nx = bytearray(600_000_000)\nx[::4096] = b'1' * len(x[::4096])\ntime.sleep(1000)\n",
    )
    place.write(
        "run.py",
        "from memento import Memento, command\n"
        "runs = Memento(command('python grow.py'), memory_limit='400MB', on_error='return', progress=False)\n"
        "print(type(runs.run({'parameters': {}})[0].error).__name__)\n",
    )
    assert place.run("run.py").out.strip() == "MemoryLimitExceeded"


@pytest.mark.slow
def test_a_program_can_be_cancelled_while_others_go_on(place: Workplace) -> None:
    program = started(place, "processes", "hear")
    memento.control(place.folder / "memento-store").cancel(x=2)
    place.until(lambda: "saved 2" in place.lines("computed"))
    place.write("go", "")
    assert "values [0, 10, None, 30]" in program.wait().out
