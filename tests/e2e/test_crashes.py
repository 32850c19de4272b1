"""A task that ends its process, hangs, or takes too much fails alone; everything else is computed exactly once."""

from __future__ import annotations

import pytest

from tests.e2e.workplace import COUNTING, Workplace

GRID = (
    COUNTING
    + """
import ctypes, signal
from memento.errors import WorkerDied

def overflow_of_the_c_stack():
    @ctypes.CFUNCTYPE(ctypes.c_int)
    def again():
        return again()
    sys.setrecursionlimit(10 ** 8)
    return again()

DEATHS = {
    "exit": lambda: os._exit(3),
    "exit0": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "segfault": lambda: ctypes.string_at(0),
    "abort": lambda: os.abort(),
    "overflow": overflow_of_the_c_stack,
}

def experiment(context, config):
    note(config.x)
    print("task", config.x, "begins")
    if config.x == 77:
        print("last words of", config.x)
        DEATHS[config.settings["how"]]()
    return config.x

how = sys.argv[1]
results = Memento(experiment, num_workers=2, on_error="return").run(
    {"parameters": {"x": list(range(200))}, "settings": {"how": how}})
(failed,) = [r for r in results if r.status == "failed"]
print("failed", failed.config.x, "|", failed.error, "|", isinstance(failed.error, WorkerDied))
print("others", sorted(r.inner for r in results if r.status == "done") == sorted(set(range(200)) - {77}))
print("log", failed.log.splitlines()[:2])
print(results.failures)
"""
)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        pytest.param("exit", "exit code 3", marks=pytest.mark.slow),
        pytest.param("exit0", "exit code 0", marks=pytest.mark.slow),
        ("kill", "SIGKILL"),
        pytest.param("term", "SIGTERM", marks=pytest.mark.slow),
        pytest.param("segfault", "SIGSEGV", marks=pytest.mark.slow),
        pytest.param("abort", "SIGABRT", marks=pytest.mark.slow),
        pytest.param("overflow", "SIGSEGV", marks=pytest.mark.slow),
    ],
)
def test_a_task_that_ends_its_process_fails_alone_in_a_grid_of_200(
    how: str, named: str, place: Workplace
) -> None:
    place.write("exp.py", GRID)
    done = place.run("exp.py", how)
    assert "failed 77" in done.out
    assert named in done.out.split("failed 77")[1].splitlines()[0], done.out
    assert "others True" in done.out
    assert "'task 77 begins', 'last words of 77'" in done.out
    assert "last words of 77" in done.out.split("log [")[1].split("]")[1]  # in the report of failures too
    assert place.counts("computed") == {str(x): 1 for x in range(200)}


LIMITS = (
    COUNTING
    + """
import ctypes, signal, subprocess, threading

def hang(context):
    while True:
        pass

def hang_in_c(context):
    ctypes.PyDLL(None).sleep(1000)  # which keeps the interpreter's lock, unlike a CDLL

def sleep(context):
    time.sleep(1000)

def deaf(context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)

def swallow(context):
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            print("swallowed")

def grow(context):
    hoard = []
    while True:
        hoard.append(bytearray(1 << 24))
        time.sleep(0.001)

def child_hangs(context):
    subprocess.run([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)

def experiment(context, config):
    note(config.x)
    if config.x == 2:
        print("now", config.settings["how"].__name__)
        config.settings["how"](context)
    return config.x

how = globals()[sys.argv[1]]
limits = {"memory_limit": "400MB"} if how is grow else {"timeout": 3.0}
results = Memento(experiment, num_workers=2, on_error="return", **limits).run(
    {"parameters": {"x": list(range(8))}, "settings": {"how": how}})
(failed,) = [r for r in results if r.status == "failed"]
print("failed", failed.config.x, type(failed.error).__name__, failed.error)
print([r.inner for r in results])
"""
)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        pytest.param("hang", "TaskTimeout", marks=pytest.mark.slow),
        pytest.param("hang_in_c", "TaskTimeout", marks=pytest.mark.slow),
        pytest.param("sleep", "TaskTimeout", marks=pytest.mark.slow),
        pytest.param("swallow", "TaskTimeout", marks=pytest.mark.slow),
        pytest.param("child_hangs", "TaskTimeout", marks=pytest.mark.slow),
        pytest.param("deaf", "TaskTimeout", marks=pytest.mark.slow),
        pytest.param("grow", "MemoryLimitExceeded", marks=pytest.mark.slow),
    ],
)
def test_a_task_over_its_limit_fails_alone(how: str, named: str, place: Workplace) -> None:
    place.write("exp.py", LIMITS)
    out = place.run("exp.py", how).out
    assert f"failed 2 {named}" in out
    assert "[0, 1, None, 3, 4, 5, 6, 7]" in out
    assert place.counts("computed") == {str(x): 1 for x in range(8)}


@pytest.mark.slow
def test_what_a_task_leaves_behind_is_gone_while_the_script_still_runs(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
import subprocess, threading, psutil

def experiment(context, config):
    note(os.getpid(), "pids")
    if config.x == 1:
        for new_session in (False, True):
            command = [sys.executable, "-c", "import time; time.sleep(1000)"]
            child = subprocess.Popen(command, start_new_session=new_session)
            note(child.pid, "children")
    if config.x == 2:
        threading.Thread(target=time.sleep, args=(1000,)).start()
    if config.x == 3:
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    return config.x

results = Memento(experiment, num_workers=1).run({"parameters": {"x": list(range(6))}})
left = [int(pid) for pid in (HERE / "children").read_text().split() if psutil.pid_exists(int(pid))]
print([r.inner for r in results], "left", left)
""",
    )
    assert "[0, 1, 2, 3, 4, 5] left []" in place.run("exp.py").out
    assert len(set(place.lines("pids"))) == 3  # after the children, after the thread that is no daemon


RETRIES = (
    COUNTING
    + """
import signal
from memento import Retry
from memento.errors import WorkerDied

class Flaky(Exception):
    pass

def experiment(context, config):
    note(f"{config.how} {context.attempt}")
    if context.attempt == 1:
        if config.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if config.how == "flaky":
            raise Flaky("now and then")
        if config.how == "wrong":
            raise ValueError("always")
    return context.attempt

results = Memento(experiment, num_workers=2, on_error="return", retries={WorkerDied: 2, Flaky: 1}).run(
    {"parameters": {"how": ["killed", "flaky", "wrong", "right"]}})
print([(r.inner, r.status) for r in results])
print([[a.status for a in r.attempts] for r in results])
"""
)


@pytest.mark.slow
def test_attempts_are_repeated_by_type_also_after_real_crashes(place: Workplace) -> None:
    place.write("exp.py", RETRIES)
    out = place.run("exp.py").out
    assert "[(2, 'done'), (2, 'done'), (None, 'failed'), (1, 'done')]" in out
    assert "[['failed', 'done'], ['failed', 'done'], ['failed'], ['done']]" in out
    assert set(place.lines("computed")) == {
        "killed 1", "killed 2", "flaky 1", "flaky 2", "wrong 1", "right 1",
    }  # fmt: skip


@pytest.mark.slow
def test_failures_raise_at_the_end_with_exit_status_1_and_only_they_run_again(place: Workplace) -> None:
    place.write(
        "exp.py",
        COUNTING
        + """
import signal
def experiment(context, config):
    note(config.x)
    if config.x in (3, 5) and not (HERE / "fixed").exists():
        os.kill(os.getpid(), signal.SIGSEGV) if config.x == 3 else [][1]
    return config.x
results = Memento(experiment, num_workers=2).run({"parameters": {"x": list(range(10))}})
print([r.inner for r in results])
""",
    )
    failed = place.run("exp.py", code=1)
    assert "SIGSEGV" in failed.err
    assert "IndexError: list index out of range" in failed.err
    assert "AggregateException: 2 of 10 tasks failed" in failed.err
    place.write("fixed", "")
    assert str(list(range(10))) in place.run("exp.py").out
    assert place.counts("computed") == {str(x): 2 if x in (3, 5) else 1 for x in range(10)}


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_run_with_the_reason(place: Workplace) -> None:
    place.write(
        "tools.py", "import os\nif 'MEMENTO_HERE' not in os.environ:\n    raise RuntimeError('not here')\n"
    )
    place.write(
        "exp.py",
        """
        import os
        os.environ["MEMENTO_HERE"] = "1"
        import tools
        del os.environ["MEMENTO_HERE"]
        from memento import Memento
        from memento.executors.processes import Processes
        def experiment(context, config):
            return tools.__name__
        Memento(experiment, executor=Processes(2, copy=False)).run({"parameters": {"x": [1, 2]}})
        """,
    )
    failed = place.run("exp.py", code=1)
    assert "RuntimeError: not here" in failed.err
    assert "WorkerStartError" in failed.err


@pytest.mark.slow
def test_what_cannot_be_sent_to_workers_is_named_before_anything_runs(place: Workplace) -> None:
    place.write(
        "exp.py",
        """
        import threading
        from memento import Memento
        from memento.executors.processes import Processes
        class Writer:
            def __init__(self):
                self.lock = threading.Lock()
        WRITER = Writer()
        def helper(x):
            with WRITER.lock:
                return x
        def experiment(context, config):
            return helper(config.x)
        Memento(experiment, executor=Processes(1, copy=False)).run({"parameters": {"x": [1]}})
        """,
    )
    told = place.run("exp.py", code=1).err.strip().splitlines()[-1]
    assert "the experiment exp.py:experiment (global 'helper') (global 'WRITER').lock cannot be sent" in told
    assert "build it inside the task" in told


DOUBLED = (
    COUNTING
    + """
def experiment(context, config):
    note(config.x)
    held = b"x" * (config.x * 100_000_000)
    time.sleep(60 if len(held) > 200_000_000 and context.attempt == 1 else 0)  # until somebody has looked
    return len(held) // 100_000_000

results = Memento(experiment, num_workers=2, memory_limit="200MB", retries=2, on_oom="double", store="store").run(
    {"parameters": {"x": [0, 3, 1]}})
print([(r.inner, len(r.attempts)) for r in results])
"""
)


@pytest.mark.slow
def test_a_task_over_its_memory_is_tried_again_with_twice_as_much(place: Workplace) -> None:
    place.write("exp.py", DOUBLED)
    out = place.run("exp.py").out
    assert "[(0, 1), (3, 2), (1, 1)]" in out
    assert place.counts("computed") == {"0": 1, "3": 2, "1": 1}
    shown = place.run("-m", "memento", "show", "x=3", "--store", "store").out
    assert "attempt 1 with 200 MB   failed" in shown
    assert "attempt 2 with 400 MB   done" in shown
    why = place.run("-m", "memento", "why", "x=3", "--store", "store").out
    assert "attempt 1 with 200 MB, run 1: MemoryLimitExceeded" in why
