"""A run that is interrupted by any means keeps what finished, leaves nobody behind, and goes on where it was."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.workplace import COUNTING, Program, Workplace

# Tasks 0..3 finish at once; the others loop, and wait in the middle until the file `go` is there, or they are to stop.
SCRIPT = (
    COUNTING
    + """
import subprocess

def experiment(context, config):
    note(config.x, "begun")
    if config.x < 4:
        note(config.x)
        return config.x
    if config.settings["child"]:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    state = {"steps": 0}
    for step in context.loop(range(50), state, every="1 steps"):
        note(f"{config.x} {step}", "steps")
        state["steps"] += 1
        while step == 20 and not (HERE / "go").exists() and not context.stopping:
            time.sleep(0.01)
        if config.settings["deaf"] and step == 10 and not (HERE / "go").exists():
            time.sleep(1000)
    if config.settings["child"]:
        child.kill()
        child.wait()
    note(config.x)
    return state["steps"]

MATRIX = {
    "parameters": {"x": list(range(8))},
    "settings": {"deaf": "deaf" in sys.argv, "child": "child" in sys.argv},
    "volatile": ["deaf", "child"],
}
results = Memento(experiment, num_workers=2).run(MATRIX)
print("values", [r.inner for r in results], "cached", sum(r.was_cached for r in results))
"""
)
FULL = "values [0, 1, 2, 3, 50, 50, 50, 50]"


def started(place: Workplace, *arguments: str) -> Program:
    """Start the script, and wait until two tasks are in the middle of their loops and the first four are done."""
    place.write("exp.py", SCRIPT)
    program = place.start("exp.py", *arguments)
    last = "10" if "deaf" in arguments else "20"
    place.until(
        lambda: sum(line.split()[1] == last for line in place.lines("steps")) == 2,
        what="two tasks to get going",
    )
    return program


def resumed(place: Workplace) -> str:
    """Run the script again, to its end."""
    place.write("go", "")
    return place.run("exp.py").out


def each_step_once(place: Workplace, but: int = 0) -> None:
    """Assert that every step of every loop was computed once; `but` may have been lost and computed again."""
    counts = place.counts("steps")
    assert set(counts) == {f"{x} {step}" for x in (4, 5, 6, 7) for step in range(50)}
    assert sum(counts.values()) - len(counts) <= but, {k: v for k, v in counts.items() if v > 1}


@pytest.mark.slow
def test_ctrl_c_saves_running_tasks_and_the_next_run_goes_on_from_there(place: Workplace) -> None:
    program = started(place)
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does it
    program.wait(None)
    assert program.process.returncode == 130, program.err
    place.nobody_left()
    assert "Traceback" not in program.err
    assert re.search(r"compute the [2-4] that are left", program.err)
    assert FULL in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place)


@pytest.mark.slow
def test_a_task_that_does_not_listen_is_ended_after_its_grace(place: Workplace) -> None:
    program = started(place, "deaf")
    program.send(signal.SIGINT)
    program.wait(None)
    assert program.process.returncode == 130, program.err
    place.nobody_left()
    assert "compute the 4 that are left" in program.err
    assert f"{FULL} cached 4" in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place, but=2)


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(place: Workplace) -> None:
    program = started(place, "deaf", "child")
    program.send(signal.SIGINT)
    place.until(lambda: "Ctrl-C again" in program.err, what="word that it stops")
    program.send(signal.SIGINT)
    program.wait(None)
    assert program.process.returncode == 130, program.err
    place.nobody_left()
    assert f"{FULL} cached 4" in resumed(place)
    each_step_once(place, but=2)


@pytest.mark.slow
def test_sigterm_stops_like_ctrl_c_and_ends_with_143(place: Workplace) -> None:
    program = started(place)
    program.send(signal.SIGTERM)
    program.wait(143)
    place.nobody_left()
    assert "Traceback" not in program.err
    assert FULL in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_hangup_and_slurms_warning_stop_like_ctrl_c(number: signal.Signals, place: Workplace) -> None:
    program = started(place)
    program.send(number)
    program.wait(128 + number)
    place.nobody_left()
    assert "Traceback" not in program.err
    assert re.search(r"compute the [2-4] that are left", program.err)
    assert FULL in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place)


# Give a program the terminal that it was started on: closing that is a hangup then.
OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="terminals are Linux's here")
def test_a_terminal_that_is_closed_stops_the_run_like_ctrl_c(place: Workplace) -> None:
    place.write("exp.py", SCRIPT)
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, "exp.py"],
        cwd=place.folder,
        env=place.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    with ThreadPoolExecutor(1) as readers:  # a terminal that nobody reads would hold up what writes to it
        shown = readers.submit(read_until, ours, place.folder / "close")
        place.until(lambda: sum(line.endswith(" 20") for line in place.lines("steps")) == 2)
        place.write("close", "")
        assert b"exp.py:experiment" in shown.result()
    os.close(ours)
    assert process.wait(300) == 128 + signal.SIGHUP
    place.nobody_left()
    assert FULL in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place)


def read_until(descriptor: int, file: Path) -> bytes:
    """Read what a program shows, until a file is there."""
    shown = b""
    while not file.exists():
        if select.select([descriptor], [], [], 0.05)[0]:
            shown += os.read(descriptor, 65_536)
    return shown


@pytest.mark.slow
def test_kill_9_of_the_whole_process_group_is_as_kill_9_of_the_run(place: Workplace) -> None:
    program = started(place, "child")
    place.until(lambda: len(place.lines("computed")) >= 4)
    assert committed(place) == 4
    os.killpg(program.pid, signal.SIGKILL)
    program.wait(-signal.SIGKILL)
    place.nobody_left()
    assert f"{FULL} cached 4" in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place, but=2)


@pytest.mark.slow
def test_kill_9_of_the_run_leaves_nobody_and_the_next_run_computes_the_rest_only(place: Workplace) -> None:
    program = started(place, "child")
    place.until(lambda: len(place.lines("computed")) >= 4)
    done = committed(place)
    program.send(signal.SIGKILL)
    program.wait(-signal.SIGKILL)
    place.nobody_left()
    out = resumed(place)
    assert f"{FULL} cached 4" in out
    assert done == 4
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place, but=2)


@pytest.mark.slow
def test_kill_9_of_the_process_that_starts_workers_costs_a_running_task_at_most_its_last_steps(
    place: Workplace,
) -> None:
    program = started(place, "child")
    place.until(lambda: len(place.lines("computed")) >= 4)
    assert committed(place) == 4
    (server,) = [p for p in place.alive() if p.ppid() == program.pid]
    server.kill()
    place.until(lambda: "started again" in program.err, what="word of the server's death")
    place.write("go", "")
    program.wait(0)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place, but=2)


def committed(place: Workplace) -> int:
    """Wait until the four quick tasks stand in the store; return how many do."""
    import memento

    def done() -> int:
        return sum(1 for r in memento.load(place.folder / "memento-store") if r.status == "done")

    place.until(lambda: done() == 4, what="four committed tasks")
    return done()


@pytest.mark.slow
def test_kill_9_of_a_worker_fails_its_task_only_and_the_next_run_goes_on_from_its_checkpoint(
    place: Workplace,
) -> None:
    program = started(place)
    workers = [p for p in place.alive() if p.pid != program.pid and p.parent() and p.ppid() != program.pid]
    assert len(workers) == 2
    workers[0].kill()
    place.until(lambda: "SIGKILL" in program.err, what="word of the worker's death")
    place.write("go", "")
    program.wait(1)
    assert "1 of 8 tasks failed" in program.err
    assert f"{FULL} cached 7" in resumed(place)
    assert place.counts("computed") == {str(x): 1 for x in range(8)}
    each_step_once(place, but=1)


@pytest.mark.slow
def test_ctrl_c_before_any_task_has_begun_ends_the_run_too(place: Workplace) -> None:
    place.write(
        "slow_import.py", "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(1000)\n"
    )
    place.write(
        "exp.py",
        COUNTING
        + """
class Slow:
    def __reduce__(self):
        return __import__, ("slow_import",)
class Holder:
    def __init__(self):
        self.slow = Slow()
    def __call__(self, context, config):
        return 1
from memento.executors.processes import Processes
Memento(Holder(), name="slow", executor=Processes(1, copy=False)).run({"parameters": {"x": [1]}})
""",
    )
    program = place.start("exp.py")
    place.until(lambda: (place.folder / "importing").exists(), what="the import in the worker")
    program.send(signal.SIGINT)
    program.wait(None)
    assert program.process.returncode == 130, program.err
    place.nobody_left()


def test_whoever_interrupts_in_code_can_catch_it(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
import signal
from memento.errors import RunInterrupted
def experiment(context, config):
    if config.x == 0:
        os.kill(config.settings["pid"], signal.SIGINT)
        while not context.stopping:
            time.sleep(0.01)
    return config.x
try:
    Memento(experiment, num_workers=1).run(
        {"parameters": {"x": [0, 1]}, "settings": {"pid": os.getpid()}, "volatile": ["pid"]})
except KeyboardInterrupt as error:
    print("caught", type(error) is RunInterrupted, error)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
""",
    )
    assert "caught True 1 task left; run it again to compute what is missing" in place.run("exp.py").out


# x=2 sends its own program a signal, and waits to be told to stop.
STOPPED = (
    COUNTING
    + """
import signal
def experiment(context, config):
    if config.x == 2:
        os.kill(config.settings["pid"], getattr(signal, sys.argv[2]))
        while not context.stopping:
            time.sleep(0.01)
    return config.x
runs = Memento(experiment, executor=sys.argv[1], num_workers=1, order="matrix")
try:
    runs.run({"parameters": {"x": [1, 2, 3, 4]}, "settings": {"pid": os.getpid()}, "volatile": ["pid"]})
except (KeyboardInterrupt, SystemExit) as error:
    print("caught", type(error).__name__, error)
    print("same", getattr(error, "results", runs.results) is runs.results)
print([(result.value, result.status) for result in runs.results if result.config.x != 2])
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["processes", "threads", "serial"])
def test_what_is_done_is_there_after_ctrl_c(executor: str, place: Workplace) -> None:
    place.write("exp.py", STOPPED)
    program = place.run("exp.py", executor, "SIGINT")
    assert "caught RunInterrupted" in program.out
    assert "it again to compute what is missing. What there is: runs.results\nsame True\n" in program.out
    assert "[(1, 'done'), (None, 'missing'), (None, 'missing')]" in program.out


def test_what_is_done_is_there_after_a_batch_systems_end(place: Workplace) -> None:
    place.write("exp.py", STOPPED)
    program = place.run("exp.py", "processes", "SIGTERM")
    assert "caught SystemExit 143\nsame True\n" in program.out
    assert "[(1, 'done'), (None, 'missing'), (None, 'missing')]" in program.out


@pytest.mark.slow
def test_at_a_prompt_the_line_to_type_is_right(place: Workplace) -> None:
    script = STOPPED.partition("runs = ")[0]
    run = """Memento(experiment, num_workers=1, order="matrix").run(
    {"parameters": {"x": [1, 2, 3]}, "settings": {"pid": os.getpid()}, "volatile": ["pid"]})"""
    place.write("exp.py", script + run)
    typed = """import sys; print("there is", [result.value for result in sys.last_value.results])
runs = Memento(lambda context, config: 1 / config.y)
runs.run({"parameters": {"y": [0, 1]}})
print("then", [result.value for result in runs.results])
"""
    program = place.run("-i", "exp.py", "processes", "SIGINT", stdin=typed)
    assert "What there is: import sys; sys.last_value.results" in program.err
    assert "What there is: runs.results" in program.err
    assert re.search(r"there is \[1, (2|None), None\]", program.out)
    assert "then [None, 1.0]" in program.out
