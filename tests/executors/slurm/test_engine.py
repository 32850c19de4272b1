"""Whole runs on a real Slurm of two nodes, and what happens to them there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.errors import RunInterrupted, WorkerStartError
from memento.executors import Slurm
from tests.engines.slurm import Cluster, Shim, quick, shim, slurm, slurm_cluster, started, wait_until

__all__ = ["quick", "shim", "slurm", "slurm_cluster"]  # fixtures

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("quick")]


def executor_of(**options: Any) -> Slurm:
    executor = Slurm(**{"tasks_per_job": 4, "time": "10min", "max_jobs": 4, "idle": 20, **options})
    executor.beat = 0.3
    return executor


def memento_of(experiment: Callable[..., Any], store: Path, executor: Slurm, **options: Any) -> Memento:
    return Memento(experiment, executor=executor, store=store, name="exp", progress=False, **options)


@contextlib.contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Do something while a run goes on; what it raises is told at the end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failed:
        raise failed[0]


def test_what_nodes_preemption_and_scancel_do_costs_time_only(slurm: Cluster, tmp_path: Path) -> None:
    began, done, nodes = tmp_path / "began", tmp_path / "done", tmp_path / "nodes"
    nodes.mkdir()

    def experiment(context: Any, config: Any) -> list[int]:
        (nodes / os.environ["SLURMD_NODENAME"]).touch()
        steps: list[int] = []
        for step in context.loop(range(30), steps, every="1s"):
            steps.append(step)
            with began.open("a") as file:
                file.write(".")
            time.sleep(0.1)
        with done.open("a") as file:
            file.write(f"{config.x}\n")
        return steps

    def steps_begun() -> int:
        return began.stat().st_size if began.exists() else 0

    def trouble() -> None:
        wait_until(lambda: len(list(nodes.iterdir())) == 2, "tasks run on both nodes")
        wait_until(lambda: steps_begun() > 150, "tasks are under way")
        slurm.preempt("n1")
        wait_until(lambda: steps_begun() > 350, "tasks go on")
        slurm.run("scancel", slurm.jobs("RUNNING")[0])
        wait_until(lambda: steps_begun() > 500, "tasks go on")
        slurm.kill_node("n2")  # its jobs' processes live on
        slurm.fail_node("n2")

    with beside(trouble):
        results = memento_of(experiment, tmp_path / "st", executor_of()).run(
            {"parameters": {"x": list(range(30))}}
        )
    assert results is not None
    assert [result.status for result in results] == ["done"] * 30
    assert all(result.inner == list(range(30)) for result in results)
    counts = Counter(done.read_text().split())
    assert len(counts) == 30
    # A copy that lives on behind a node that Slurm has given up may end once more; nobody hears it.
    assert sum(counts.values()) <= 30 + 4


def test_a_site_with_small_limits_that_refuses_at_times_runs_all_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memento.executors.slurm.jobs.LATER", 0.2)
    for cluster in started({"MaxArraySize": "3", "MaxJobCount": "6"}):
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        made = Shim(tmp_path / "shim")
        monkeypatch.setenv("PATH", made.path)
        made.fail("sbatch", "sbatch: error: QOSMaxSubmitJobPerUserLimit", times=5)
        executor = executor_of(max_jobs=12, tasks_per_job=1)
        results = memento_of(lambda context, config: config.x * 2, tmp_path / "st", executor).run(
            {"parameters": {"x": list(range(300))}}
        )
        assert results is not None
        assert [result.inner for result in results] == [x * 2 for x in range(300)]
        wait_until(lambda: not cluster.jobs(), "no job is left")  # noqa: B023


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            {"partition": "gpus"},
            r"(?s)invalid partition specified: gpus.*Partitions here: main, high, short \(30:00\)",
        ),
        ({"partition": "short", "time": "5h"}, r"PartitionTimeLimit.*lower time="),
        ({"constraint": "a100"}, "Invalid feature specification"),
        ({"gpus_per_task": 1}, r"(?i)generic resource"),
        (
            {"setup": ["echo first", "module load cuda"]},
            r"(?s)setup of a job failed.*module: command not found",
        ),
        ({"extra": {"no-such": "x"}}, "unrecognized option"),
        ({"python": "/no/such/python"}, r"(?s)ended before.*No such file or directory"),
    ],
)
def test_what_cannot_work_is_told_in_the_first_seconds(
    slurm: Cluster, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    began = time.monotonic()
    with pytest.raises(WorkerStartError, match=told):
        memento_of(lambda context, config: 1, tmp_path, executor_of(**options)).run(
            {"parameters": {"x": [1, 2]}}
        )
    assert time.monotonic() - began < 200  # on any machine
    wait_until(lambda: not slurm.jobs(), "no job is left")
    assert not list((tmp_path / "work").iterdir()), "nothing of the run is left"


def test_a_host_on_which_all_fails_at_once_is_left_alone(
    slurm: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = tmp_path / "works"
    monkeypatch.setattr("memento.executors.slurm.hosts.QUICK", 300.0)

    def experiment(context: Any, config: Any) -> str:
        if os.environ["SLURMD_NODENAME"] == "n2":
            while (
                not works.exists()
            ):  # else n2 would be alone for a moment, and nobody could say that it is n2's fault
                time.sleep(0.01)
            raise OSError("read-only file system")
        time.sleep(0.2)
        works.touch()
        return os.environ["SLURMD_NODENAME"]

    results = memento_of(experiment, tmp_path / "st", executor_of(), log_output=False).run(
        {"parameters": {"x": list(range(60))}}
    )
    assert results is not None
    assert {result.inner for result in results} == {"n1"}
    assert "n2 gets no more tasks of this run" in caplog.text


def test_ctrl_c_leaves_no_job_behind(slurm: Cluster, tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    def experiment(context: Any, config: Any) -> None:
        begun.touch()
        while not context.stopping:
            time.sleep(0.01)

    def interrupt() -> None:
        wait_until(begun.exists, "a task runs")
        os.kill(os.getpid(), signal.SIGINT)

    executor = executor_of(idle=3600)  # by itself no job would end so soon
    with beside(interrupt), pytest.raises(RunInterrupted):
        memento_of(experiment, tmp_path / "st", executor).run({"parameters": {"x": list(range(60))}})
    wait_until(lambda: not slurm.jobs(), "no job is left")


@pytest.mark.parametrize("how", ["hang", "nonsense"])
def test_a_queue_that_cannot_be_looked_at_harms_no_run(
    slurm: Cluster, shim: Shim, tmp_path: Path, how: str
) -> None:
    if how == "hang":
        shim.hang("squeue")
    else:
        shim.fail("squeue", "slurm_load_jobs error: Invalid job id specified")
    calls = shim.folder / "calls"

    def experiment(context: Any, config: Any) -> None:
        while "squeue " not in calls.read_text():  # the run goes on until it has looked
            time.sleep(0.05)

    results = memento_of(experiment, tmp_path / "st", executor_of()).run(
        {"parameters": {"x": list(range(60))}}
    )
    assert results is not None
    assert {result.status for result in results} == {"done"}


SCRIPT = """
import os, time
from memento import Memento
from memento.executors import Slurm

def experiment(context, config):
    with open("begun", "a") as file:
        file.write(f"{config.x} ")
    time.sleep(1.0)
    return config.x

if __name__ == "__main__":
    executor = Slurm(tasks_per_job=2, max_jobs=2, time="10min", idle=20)
    results = Memento(experiment, executor=executor).run({"parameters": {"x": list(range(24))}})
    print("all", [result.inner for result in results])
"""


def test_a_coordinator_that_is_itself_a_job_is_ended_and_started_again_and_repeats_nothing(
    slurm: Cluster, tmp_path: Path
) -> None:
    (tmp_path / "exp.py").write_text(SCRIPT)
    (tmp_path / "pyproject.toml").touch()
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    job = tmp_path / "job.sh"
    job.write_text(f"#!/bin/sh\nexport PYTHONPATH='{path}'\nexec '{sys.executable}' exp.py\n")
    begun, out = tmp_path / "begun", tmp_path / "out"

    def tasks() -> list[str]:
        return begun.read_text().split() if begun.exists() else []

    def submit() -> str:
        told = slurm.run(
            "sbatch", "--parsable", "-c", "1", "--mem=100", "-D", str(tmp_path), "-o", str(out), "--open-mode=append",
            str(job),
        )  # fmt: skip
        return told.strip()

    for life, how in enumerate(("TERM", "KILL")):
        coordinator = submit()
        wait_until(lambda life=life: len(tasks()) >= 4 + 6 * life, "tasks run")  # type: ignore[misc]
        slurm.run("scancel", "--full", f"--signal={how}", coordinator)
        wait_until(lambda coordinator=coordinator: coordinator not in slurm.jobs(), "it has ended")  # type: ignore[misc]
    submit()
    wait_until(lambda: "all [" in (out.read_text() if out.exists() else ""), "it is done")
    assert f"all {list(range(24))}" in out.read_text()
    finished_once = Counter(tasks())
    # After SIGTERM what ran is stopped, as by Ctrl-C: those begin again. After SIGKILL pilots go on.
    assert len(finished_once) == 24
    assert sum(finished_once.values()) <= 24 + 4


def test_why_a_task_waits_is_told_in_slurms_words(slurm: Cluster, tmp_path: Path) -> None:
    (tmp_path / "exp.py").write_text(SCRIPT)
    (tmp_path / "pyproject.toml").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    for node in slurm.nodes:
        slurm.drain(node)
    run = subprocess.Popen(
        [sys.executable, "exp.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    try:

        def status() -> str:
            told = subprocess.run(
                [sys.executable, "-m", "memento", "status"], cwd=tmp_path, env=environment, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            return told.stdout

        wait_until(lambda: "DRAINED" in status(), "it says what it waits for")
    finally:
        run.terminate()
        run.wait(300)
    wait_until(lambda: not slurm.jobs(), "no job is left")
