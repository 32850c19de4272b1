"""What only worker processes promise: isolation, logs, replacement, no orphans, no guard."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from memento import system
from memento.errors import WorkerStartError
from memento.executors.processes import Processes, monitor
from memento.records import DIED, DONE, FAILED, MEMORY, TIMEOUT
from memento.testing.driving import Drive


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def log_of(drive: Drive, number: int) -> str:
    log = drive.outcomes[number].log
    if log is None:
        return ""
    return (drive.store / "logs" / log.file).read_bytes()[log.start : log.end].decode()


@pytest.mark.parametrize(
    ("tasks", "started"),
    [pytest.param(1, 1, marks=pytest.mark.slow), (2, 2), pytest.param(9, 3, marks=pytest.mark.slow)],
)
def test_workers_start_before_there_are_tasks_and_no_more_than_there_will_be(
    tmp_path: Path, tasks: int, started: int
) -> None:
    executor = Processes(3)
    drive = Drive(executor, tmp_path)
    try:
        drive.start(lambda context, config: os.getpid(), num_workers=tasks)
        assert len(executor._handles) == started
        wait_for(lambda: all(h.pid or executor.poll(0.01) for h in executor._handles.values()), "they start")
        drive.run([drive.task(i) for i in range(tasks)])
        assert len(executor._handles) == started
    finally:
        executor.close()


@pytest.mark.slow
def test_a_task_that_suspends_itself_is_told_with_the_way_out(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor, "_STOPPED", 0.2)

    def freeze(context: Any, config: Any) -> str:
        os.kill(os.getpid(), signal.SIGSTOP)
        return "went on"

    drive.start(freeze, timeout=4.0)
    drive.executor.submit([drive.task(0)])
    drive.until(lambda: bool(drive.notes))
    over = time.monotonic() + 5.0
    drive.until(lambda: time.monotonic() > over)
    (note,) = drive.notes
    way_out = re.search("kill -CONT ([0-9]+)", note)
    assert way_out is not None, note
    os.kill(int(way_out[1]), signal.SIGCONT)
    drive.until(lambda: 0 in drive.outcomes)
    assert drive.value(0) == "went on"
    assert len(drive.notes) == 1


# -- logs


def test_a_tasks_log_is_what_it_printed_and_nothing_else(drive: Drive) -> None:
    def talk(context: Any, config: Any) -> None:
        if config.x % 2:
            print("task", config.x, end="")
            os.write(2, f" err {config.x}\n".encode() if config.x != 3 else b"")
            subprocess.run(["echo", "child", str(config.x)], check=True)

    drive.start(talk)
    drive.run([drive.task(i, i) for i in range(8)])
    assert "child 5" in log_of(drive, 5)
    assert "task 5" in log_of(drive, 5)
    assert "7" not in log_of(drive, 5)
    assert log_of(drive, 4) == ""


def test_the_log_of_a_hang_shows_where_it_hung(drive: Drive) -> None:
    def hang_in_c(context: Any, config: Any) -> None:
        time.sleep(600)

    drive.start(hang_in_c, timeout=2.0)
    failure = drive.run([drive.task(0)])[0].failure
    assert failure is not None
    assert failure.kind == TIMEOUT
    assert "hang_in_c" in failure.output


def test_a_segfault_shows_the_python_stack(drive: Drive) -> None:
    def crash_here(context: Any, config: Any) -> None:
        import ctypes

        ctypes.string_at(0)

    drive.start(crash_here)
    failure = drive.run([drive.task(0)])[0].failure
    assert failure is not None
    assert failure.type == "SIGSEGV"
    assert "crash_here" in failure.output


# -- what a task leaves behind


def test_a_task_changes_neither_folder_nor_environment_nor_warnings_nor_output_of_the_next(
    drive: Drive,
) -> None:
    def change(context: Any, config: Any) -> list[Any]:
        import io
        import warnings

        before = [
            os.getcwd(),
            os.environ.get("LEFT"),
            len(warnings.filters),
            isinstance(sys.stdout, io.StringIO),
            signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
        ]
        os.chdir("/")
        os.environ["LEFT"] = "behind"
        warnings.simplefilter("ignore")
        sys.stdout = io.StringIO()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return before

    drive.start(change, num_workers=1)
    drive.run([drive.task(i, i) for i in range(5)])
    assert all(drive.value(i) == drive.value(0) for i in range(5))
    assert drive.value(0)[0] == str(drive.store)


def test_children_that_a_task_leaves_are_ended_and_its_worker_replaced(drive: Drive) -> None:
    def leave(context: Any, config: Any) -> list[int]:
        pids = [os.getpid()]
        if config.x == 1:
            pids.append(subprocess.Popen(["sleep", "600"]).pid)
            pids.append(subprocess.Popen(["sleep", "601"], start_new_session=True).pid)
        return pids

    drive.start(leave, num_workers=1)
    drive.run([drive.task(i, i) for i in range(6)])
    worker, *children = drive.value(1)
    assert drive.value(5)[0] != worker
    for child in children:
        wait_for(lambda: not alive(child), "a child outlived its task")  # noqa: B023
    assert any("child processes" in note for note in drive.notes)


@pytest.mark.slow
def test_threads_that_a_task_leaves_go_with_its_worker(drive: Drive) -> None:
    def leave(context: Any, config: Any) -> int:
        if config.x == 0:
            threading.Thread(target=time.sleep, args=(600,)).start()
        return os.getpid()

    drive.start(leave, num_workers=1)
    drive.run([drive.task(i, i) for i in range(3)])
    assert drive.value(2) != drive.value(0)


@pytest.mark.slow
def test_a_timeout_ends_the_children_of_its_task_even_those_in_sessions_of_their_own(
    drive: Drive, tmp_path: Path
) -> None:
    def hang(context: Any, config: Any) -> None:
        a = subprocess.Popen(["sleep", "600"])
        b = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (tmp_path / "pids").write_text(f"{a.pid} {b.pid}")
        time.sleep(600)

    drive.start(hang, timeout=4.0)
    drive.run([drive.task(0)])
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_for(lambda: not alive(pid), "a child outlived its task's timeout")  # noqa: B023


def test_a_child_that_comes_back_with_the_task_tells_no_second_outcome(drive: Drive) -> None:
    def fork(context: Any, config: Any) -> int:
        return os.fork()

    drive.start(fork)
    outcomes = drive.run([drive.task(i, i) for i in range(4)])
    assert {outcome.status for outcome in outcomes.values()} == {DONE}


# -- workers


@pytest.mark.slow
def test_a_worker_is_replaced_after_so_many_tasks(drive: Drive) -> None:
    drive.start(lambda context, config: os.getpid(), num_workers=2, max_tasks_per_worker=3)
    drive.run([drive.task(i, i) for i in range(20)])
    pids = [drive.value(i) for i in range(20)]
    assert max(pids.count(pid) for pid in pids) <= 3


def test_a_value_is_sent_to_each_worker_once(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    from memento.executors.processes.worker_handle import WorkerHandle

    sizes: list[int] = []
    flush = WorkerHandle.flush

    def counting(self: WorkerHandle) -> bool:
        sizes.append(sum(len(piece) for piece in self.out))
        before = sizes[-1]
        done = flush(self)
        sizes[-1] = before - sum(len(piece) for piece in self.out)
        return done

    monkeypatch.setattr(WorkerHandle, "flush", counting)
    large = os.urandom(3_000_000)
    drive.start(lambda context, config: len(config.x), num_workers=2)
    drive.run([drive.task(i, large) for i in range(40)])
    assert 3_000_000 <= sum(sizes) < 2 * 3_100_000


@pytest.mark.slow
def test_a_large_value_keeps_no_worker_waiting_for_another(drive: Drive, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def busy(context: Any, config: Any) -> int:
        while config.x is None and not gate.exists():
            time.sleep(0.005)
        return os.getpid()

    drive.start(busy, num_workers=2)
    drive.executor.submit(
        [drive.task(0, None, cost=0.3), drive.task(1, bytes(30_000_000)), drive.task(2, 1), drive.task(3, 2)]
    )
    drive.until(lambda: len(drive.outcomes) == 3)
    assert 0 not in drive.outcomes
    gate.touch()
    drive.until(lambda: len(drive.outcomes) == 4)


@pytest.mark.slow
def test_no_task_waits_behind_a_long_one_while_a_worker_is_idle(drive: Drive, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def mixed(context: Any, config: Any) -> int:
        while config.x == "long" and not gate.exists():
            time.sleep(0.005)
        return 1

    drive.start(mixed)
    # Learned to be short, so that they travel in large batches; then one of them is not.
    drive.run([drive.task(i, "short") for i in range(2_000)])
    more = [drive.task(i, "long" if i == 2_005 else "short") for i in range(2_000, 4_000)]
    drive.executor.submit(more)
    drive.until(lambda: len(drive.outcomes) == 3_999)
    assert 2_005 not in drive.outcomes
    gate.touch()
    drive.until(lambda: len(drive.outcomes) == 4_000)


@pytest.mark.slow
def test_a_process_with_threads_is_not_copied(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "starts_a_thread.py"
    module.write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    def threads(context: Any, config: Any) -> int:
        return threading.active_count()

    starts_a_thread = pytest.importorskip("starts_a_thread")

    def uses(context: Any, config: Any) -> int:
        assert starts_a_thread is not None
        return threads(context, config)

    drive.start(uses)
    outcomes = drive.run([drive.task(i, i) for i in range(4)])
    assert {outcome.status for outcome in outcomes.values()} == {DONE}
    assert {drive.value(i) for i in range(4)} == {2}, "a copied process would have one thread"


@pytest.mark.slow
def test_copies_draw_different_random_numbers(drive: Drive) -> None:
    def draw(context: Any, config: Any) -> tuple[float, float]:
        import random

        import numpy as np

        time.sleep(0.05)
        return random.random(), float(np.random.random())

    drive.start(draw, num_workers=2)
    drive.run([drive.task(i, i) for i in range(6)])
    drawn = [drive.value(i) for i in range(6)]
    assert len({a for a, _ in drawn}) == len({b for _, b in drawn}) == 6


def test_gpus_are_owned_by_workers(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")

    def devices(context: Any, config: Any) -> tuple[str | None, tuple[str, ...]]:
        time.sleep(0.02)
        return os.environ.get("CUDA_VISIBLE_DEVICES"), context.resources.gpus

    drive.start(devices, gpus_per_task=1, num_workers=4)
    drive.run([drive.task(i, i) for i in range(6)])
    assert {drive.value(i)[0] for i in range(6)} == {"4", "7"}
    assert any("2 workers, not 4" in note for note in drive.notes)


@pytest.mark.slow
def test_thread_pools_of_libraries_are_bounded(drive: Drive) -> None:
    drive.start(lambda context, config: os.environ["OMP_NUM_THREADS"], cpus_per_task=2)
    drive.run([drive.task(0)])
    assert drive.value(0) == "2"


@pytest.mark.slow
@pytest.mark.parametrize("cpus", [1, 2])
def test_joblib_in_a_task_sees_the_cores_of_the_task(drive: Drive, cpus: int) -> None:
    def cores(context: Any, config: Any) -> tuple[int, int, bool]:
        import joblib

        before = system.has_children()
        joblib.Parallel(n_jobs=-1)(joblib.delayed(abs)(n) for n in range(4)) if config.x else None
        return joblib.cpu_count(), joblib.effective_n_jobs(-1), before or system.has_children()

    drive.start(cores, cpus_per_task=cpus, num_workers=1)
    drive.run([drive.task(0, cpus == 1)])
    most = min(cpus, os.cpu_count() or 1)
    assert drive.value(0) == (most, most, False)


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [
        ("1", "1"),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in [("64", "2"), ("many", "2"), ("1,4", "1")]),
    ],
)
def test_fewer_threads_that_the_user_has_set_are_kept(
    drive: Drive, set_by_user: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", set_by_user)
    drive.start(lambda context, config: os.environ["OMP_NUM_THREADS"], cpus_per_task=2, num_workers=1)
    drive.run([drive.task(0)])
    assert drive.value(0) == expected


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system shows its shared memory nowhere")
@pytest.mark.parametrize("ends", ["by itself", "by a timeout"])
def test_nothing_of_multiprocessing_stays_in_shared_memory(drive: Drive, ends: str) -> None:
    def use(context: Any, config: Any) -> list[str]:
        import multiprocessing
        from multiprocessing import shared_memory

        kept = shared_memory.SharedMemory(create=True, size=1000)
        lock = multiprocessing.get_context("spawn").Semaphore(3)
        Path(config.settings["names"]).write_text(kept.name.lstrip("/"))
        while not any(map(system.is_resource_tracker, system.descendants(os.getpid()))):
            time.sleep(0.01)
        if config.x:
            time.sleep(60)
        os.kill(os.getpid(), signal.SIGKILL) if lock.acquire() else None
        return []

    names = drive.store.parent / "names"
    limit = 60.0 if ends == "by itself" else 4.0
    drive.start(use, settings={"names": str(names)}, num_workers=1, timeout=limit, grace=0.1)
    drive.run([drive.task(0, ends == "by a timeout")])
    name = names.read_text()
    drive.executor.close()
    soon = time.monotonic() + 300  # who cleans up is not waited for without end
    while Path("/dev/shm", name).exists():
        assert time.monotonic() < soon
        time.sleep(0.01)


@pytest.mark.slow
def test_a_worker_killed_between_tasks_blames_nobody(drive: Drive) -> None:
    drive.start(lambda context, config: os.getpid(), num_workers=1)
    drive.run([drive.task(0, 0)])
    os.kill(drive.value(0), signal.SIGKILL)
    drive.run([drive.task(i, i) for i in range(1, 3)])
    drive.until(lambda: len(drive.outcomes) == 3)
    assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}


@pytest.mark.slow
def test_a_worker_that_has_closed_its_pipes_keeps_nobody_busy(drive: Drive) -> None:
    def close(context: Any, config: Any) -> None:
        os.closerange(3, 70_000)
        time.sleep(1)

    drive.start(close, num_workers=1)
    before = time.process_time()
    drive.run([drive.task(0)])
    assert time.process_time() - before < 0.5
    failure = drive.outcomes[0].failure
    assert failure is not None
    assert "closed file descriptors" in failure.message


# -- what cannot start


def test_a_module_that_workers_cannot_import_is_told_with_its_name(drive: Drive) -> None:
    drive.start(lambda context, config: 1)
    drive.executor.close()
    other = Drive(Processes(), drive.store)
    other.executor.start(_work_with(b"cmemento_no_such_module\nf\n.", other))
    other.executor.submit([other.task(0)])
    with pytest.raises(WorkerStartError, match="memento_no_such_module"):
        other.until(lambda: False)
    other.executor.close()


def _work_with(function: bytes, drive: Drive) -> Any:
    from memento.executors import Work
    from memento.keys.project_files import Script
    from memento.worker.portable import Portable

    return Work(
        run="broken",
        experiment="e",
        function=Portable(None, "the function", function),
        settings=Portable({}, "settings"),
        layouts=[("x",)],
        values=drive.values,
        store=str(drive.store),
        script=Script("script.py", "script", (str(drive.store),), ""),
        sys_path=list(sys.path),
        cwd=str(drive.store),
        num_workers=1,
    )


@pytest.mark.slow
def test_an_executor_may_be_used_from_another_thread(drive: Drive) -> None:
    def use() -> None:
        drive.start(lambda context, config: 1)
        drive.run([drive.task(i, i) for i in range(10)])

    thread = threading.Thread(target=use)
    thread.start()
    thread.join(300)
    assert len(drive.outcomes) == 10


# -- nobody is left


def test_closing_leaves_no_process(drive: Drive) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def leave(context: Any, config: Any) -> None:
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        time.sleep(600)

    drive.start(leave)
    drive.executor.submit([drive.task(i, i) for i in range(4)])
    drive.until(lambda: len(drive.executor.running()) == 2)
    below = {child.pid for child in psutil.Process().children(recursive=True)} - before
    drive.executor.close()
    assert below
    for pid in below:
        wait_for(lambda: not alive(pid), "a process outlived close()")  # noqa: B023


SCRIPT = """
import os, subprocess, sys, time
from pathlib import Path
from memento.executors.processes import Processes
from memento.testing.driving import Drive

class Point:
    def __init__(self, x): self.x = x

def helper(x):
    return Point(x + 1)

def experiment(context, config):
    point = helper(config.x)
    assert type(point) is Point
    if config.x == HANG:
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path("pids").write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
    return point.x

HANG = int(os.environ.get("HANG", "-1"))
print("main runs")
store = Path("store")
(store / "payloads").mkdir(parents=True)
drive = Drive(Processes(), store.absolute())
drive.start(experiment)
if "DEAF" in os.environ:
    drive.executor.submit([drive.task(i, i) for i in range(4)])
    time.sleep(600)
drive.run([drive.task(i, i) for i in range(20)])
print(sum(drive.value(i) for i in range(20)))
drive.executor.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["file", "stdin", "-c"])
def test_a_script_needs_no_guard(tmp_path: Path, how: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    arguments = {"file": ["script.py"], "stdin": ["-"], "-c": ["-c", SCRIPT]}[how]
    done = subprocess.run(
        [sys.executable, *arguments],
        input=SCRIPT if how == "stdin" else "",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["main runs", "210"], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"DEAF": "1"}], ids=["listening", "with unread messages"])
def test_a_coordinator_killed_outright_leaves_no_orphan(tmp_path: Path, more: dict[str, str]) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    pids = tmp_path / "store" / "pids"  # the work's folder
    environment = {**os.environ, "HANG": "0" if more else "7", **more}
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=environment)
    try:
        wait_for(lambda: pids.exists() and bool(pids.read_text()), "it never began")
        tree = psutil.Process(process.pid)
        wait_for(lambda: len(tree.children(recursive=True)) >= 4, "no server, two workers and a child")
        below = [child.pid for child in tree.children(recursive=True)]
    finally:
        process.kill()
        process.wait()
    for pid in below:
        wait_for(lambda: not alive(pid), "a process outlived its coordinator")  # noqa: B023


@pytest.mark.slow
def test_a_server_killed_outright_is_started_again_with_what_was_running(
    drive: Drive, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"

    def wait(context: Any, config: Any) -> int:
        while not gate.exists():
            time.sleep(0.01)
        return os.getppid()

    drive.start(wait)
    drive.executor.submit([drive.task(i, i) for i in range(5)])
    drive.until(lambda: len(drive.executor.running()) == 2)
    assert isinstance(drive.executor, Processes)
    server = drive.executor.server_pid
    below = [child.pid for child in psutil.Process(server).children(recursive=True)]
    os.kill(server, signal.SIGKILL)
    drive.until(lambda: drive.executor.server_pid != server)  # type: ignore[attr-defined]  # just checked
    gate.touch()
    drive.until(lambda: len(drive.outcomes) == 5)
    assert {drive.value(i) for i in range(5)} == {drive.executor.server_pid}
    assert any("started again" in note for note in drive.notes)
    for pid in below:
        wait_for(lambda: not alive(pid), "a worker outlived its server")  # noqa: B023


@pytest.mark.slow
def test_the_interrupt_of_a_terminal_does_not_reach_workers(drive: Drive) -> None:
    drive.start(lambda context, config: (os.getpgid(0), os.getsid(0)))
    drive.run([drive.task(0)])
    assert drive.value(0)[0] != os.getpgid(0)
    assert drive.value(0)[1] != os.getsid(0)


def test_live_news_arrives_while_the_task_runs(drive: Drive, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def train(context: Any, config: Any) -> int:
        while not gate.exists():
            context.record({"loss": 0.5})
            context.progress(1, total=1_000_000)
            time.sleep(0.002)
        return 1

    drive.start(train, live_every=0.02)
    drive.executor.submit([drive.task(3)])
    drive.until(lambda: any(update.metrics.get("loss") == 0.5 for update in drive.updates))
    assert not drive.outcomes
    gate.touch()
    drive.until(lambda: 3 in drive.outcomes)
    assert [series.name for series in drive.outcomes[3].metrics] == ["loss"]


@pytest.mark.slow
def test_a_failure_with_a_megabyte_of_text_arrives_bounded(drive: Drive) -> None:
    def loud(context: Any, config: Any) -> None:
        raise ValueError("x" * 5_000_000)

    drive.start(loud)
    failure = drive.run([drive.task(0)])[0].failure
    assert failure is not None
    assert len(failure.message) < 10_000
    assert "left out" in failure.message


def test_a_worker_that_ends_its_python_properly_is_named_too(drive: Drive) -> None:
    def leave(context: Any, config: Any) -> None:
        os._exit(0)

    drive.start(leave)
    failure = drive.run([drive.task(0)])[0].failure
    assert failure is not None
    assert (failure.kind, failure.type) == (DIED, "exit code 0")


@pytest.mark.slow
def test_a_fault_of_ours_in_a_worker_fails_its_task_with_the_traceback(drive: Drive) -> None:
    def spoil(context: Any, config: Any) -> int:
        from memento.executors.processes import channel

        if config.x == 1:
            print("before")
            channel.pack_outcome = "not callable any more"  # type: ignore[assignment]  # as a patch gone wrong
        return 1

    drive.start(spoil, num_workers=1)
    outcomes = drive.run([drive.task(i, i) for i in range(3)])
    assert [outcomes[i].status for i in range(3)] == [DONE, FAILED, DONE]
    failure = outcomes[1].failure
    assert failure is not None
    assert "Memento's own code failed" in failure.message
    assert failure.traceback.startswith("Traceback (most recent call last):")
    assert failure.traceback.rstrip().endswith("TypeError: 'str' object is not callable")
    assert failure.output == "before"


@pytest.mark.parametrize("spoiled", ["builtins.len", pytest.param("pickle.dumps", marks=pytest.mark.slow)])
def test_a_task_that_spoils_what_its_worker_tells_fails_alone(drive: Drive, spoiled: str) -> None:
    def spoil(context: Any, config: Any) -> int:
        import importlib

        if config.x == 2:
            module, _, name = spoiled.partition(".")
            # Each message says that it is empty, or it is.
            setattr(importlib.import_module(module), name, lambda *_: 0 if name == "len" else b"")
        return int(config.x)

    drive.start(spoil, num_workers=1)
    outcomes = drive.run([drive.task(i, i) for i in range(6)])
    assert [i for i in range(6) if outcomes[i].status == FAILED] == [2]
    failure = outcomes[2].failure
    assert failure is not None
    assert "its outcome could not be read" in failure.message
    assert [drive.value(i) for i in (0, 1, 3, 4, 5)] == [0, 1, 3, 4, 5]


@pytest.mark.slow
def test_after_memory_ran_out_tasks_have_fewer_neighbours(
    drive: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(context: Any, config: Any) -> int:
        (tmp_path / f"runs-{config.x}").write_text(str(os.getpid()))
        if config.x < 2:
            while not (tmp_path / "go").exists():
                time.sleep(0.01)
        neighbours = len(list(tmp_path.glob("runs-*")))
        time.sleep(0.05)
        (tmp_path / f"runs-{config.x}").unlink(missing_ok=True)
        return neighbours

    def left(pid: int) -> tuple[int, int]:
        if not over:
            begun = [int(file.read_text() or 0) for file in tmp_path.glob("runs-[01]")]
            over.extend(begun if len(begun) == 2 and all(begun) else ())
            return (0 if over else 8 << 30), 16 << 30
        if not all(map(alive, over)):
            (tmp_path / "go").touch()
        return 8 << 30, 16 << 30

    over: list[int] = []  # the workers of the first two tasks, once memory has run out

    monkeypatch.setattr(system, "memory_left", left)
    monkeypatch.setattr(system, "tree_own_memory", lambda pid: 9 << 30)
    drive.start(work, num_workers=2)
    outcomes = drive.run([drive.task(i, i) for i in range(10)])
    (ended,) = [i for i in range(10) if outcomes[i].status == FAILED]
    failure = outcomes[ended].failure
    assert failure is not None
    assert (failure.kind, failure.type) == (MEMORY, "OutOfMemory")
    assert "nearly out of memory" in failure.message
    assert "9.66 GB" in failure.message
    (tmp_path / f"runs-{ended}").unlink(missing_ok=True)
    assert {drive.value(i) for i in range(3, 10)} <= {1, 2}  # itself, and what the ended one left
    assert any("from now on 1 worker at once" in note for note in drive.notes)


@pytest.mark.slow
def test_a_task_that_nobody_has_begun_is_not_passed_to_and_fro(drive: Drive) -> None:
    drive.start(lambda context, config: config.x, num_workers=2)
    outcomes = drive.run([drive.task(0, 7)])
    assert outcomes[0].status == DONE
    executor = drive.executor
    assert isinstance(executor, Processes)
    assert max(handle.sent for handle in executor._handles.values()) == 1  # it was sent once, to one of them
