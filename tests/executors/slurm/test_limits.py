"""What the limits of jobs, time and memory, do to tasks on a real Slurm; what is told of tasks that wait there."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from memento.errors import AggregateException, NotAStore
from memento.executors.slurm.runtimes import Runtimes
from memento.store.store import Store
from memento.testing.index_rows import info_of, row_of
from tests.engines.slurm import Cluster, Shim, quick, shim, slurm, slurm_cluster, wait_until
from tests.executors.slurm.test_engine import SCRIPT, beside, executor_of, memento_of

__all__ = ["quick", "shim", "slurm", "slurm_cluster"]  # fixtures

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("quick")]

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


def told(*arguments: str, store: Path) -> str:
    """Return what a command says of a store."""
    command = [sys.executable, "-m", "memento", *arguments, "--store", str(store)]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(
        command, env=environment, cwd=store.parent, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def claimed(store: Path) -> list[str]:
    """Return the keys of tasks that living runs have claimed."""
    with contextlib.suppress(NotAStore), Store.open(store, create=False, readonly=True) as opened:
        return [key.hex() for key in opened.index.living().claimed]
    return []  # it is being made


# -- time


def test_a_task_goes_on_in_the_next_job_from_where_the_time_of_one_ended(
    slurm: Cluster, tmp_path: Path
) -> None:
    steps_of = tmp_path / "steps"

    def experiment(context: Any, config: Any) -> list[int]:
        steps: list[int] = []
        for step in context.loop(range(50), steps, every="1h"):
            steps.append(step)
            with steps_of.open("a") as file:
                file.write(f"{os.environ['SLURM_JOB_ID']} {step}\n")
            time.sleep(0.4)
        return steps

    # Slurm counts minutes. The setup of these jobs has taken 42 seconds of theirs, as bash counts.
    executor = executor_of(time="1min", tasks_per_job=1, max_jobs=1, setup=["SECONDS=42"])
    results = memento_of(experiment, tmp_path / "st", executor, retries=0).run({"parameters": {"x": [1]}})
    assert results is not None
    assert [result.inner for result in results] == [list(range(50))]
    lines = [line.split() for line in steps_of.read_text().splitlines()]
    assert [int(step) for _, step in lines] == list(range(50)), "no step was done twice"
    assert len({job for job, _ in lines}) >= 2
    states = slurm.run("squeue", "-h", "-t", "all", "-o", "%i %T").split("\n")
    ended = {line.split()[0]: line.split()[1] for line in states if line}
    assert not {ended.get(job) for job, _ in lines} & {"TIMEOUT", "FAILED"}, (
        "they left before Slurm ended them"
    )


def test_what_is_expected_to_take_longer_than_a_job_lasts_fails_before_it_starts_and_says_so(
    slurm: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, started = tmp_path / "st", tmp_path / "started"

    def experiment(context: Any, config: Any) -> int:
        with started.open("a") as file:
            file.write(f"{config.x} ")
        return int(config.x)

    with Store.open(store) as opened:  # tasks that took an hour
        run = opened.begin(info_of(experiment="exp"))
        run.commit(
            [row_of(n, runtime=3600.0)._replace(params=json.dumps({"x": n % 3 + 1})) for n in range(9)]
        )
        run.finish("done", {"done": 9})
    with pytest.raises(AggregateException, match="it saves no checkpoint: it was not started"):
        memento_of(experiment, store, executor_of()).run({"parameters": {"x": [1, 2, 3]}})
    assert not started.exists()
    assert "3 tasks take longer than a job lasts, by the forecast, and save no checkpoint" in caplog.text


def test_why_says_that_no_job_has_the_time_left_or_that_the_turn_has_not_come(
    slurm: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, gate = tmp_path / "st", tmp_path / "gate"
    monkeypatch.setattr(Runtimes, "expected", lambda self, task: 100.0 if task.number else 1.0)

    def experiment(context: Any, config: Any) -> None:
        while not gate.exists():
            time.sleep(0.05)

    said: dict[str, str] = {}

    def look() -> None:
        try:
            wait_until(lambda: len(claimed(store)) >= 2, "tasks are claimed")

            def all_told() -> bool:
                said.update((key, told("why", key, store=store)) for key in claimed(store))
                return any("it is running now" in text for text in said.values()) and any(
                    "no job has the time left" in text for text in said.values()
                )

            wait_until(all_told, "it is told why they wait")
        finally:
            gate.touch()

    executor = executor_of(time="3min", tasks_per_job=1, max_jobs=1, setup=["SECONDS=100"])
    # When the first has ended, job after job begins with too little time for the others.
    with (
        beside(look),
        pytest.raises(AggregateException, match=r"a job lasts 3 min, of which .* are left when"),
    ):
        memento_of(experiment, store, executor).run({"parameters": {"x": [1, 2, 3]}})
    waiting = next(text for text in said.values() if "no job has the time left" in text)
    assert "it is expected to take up to 1 min 40 s" in waiting
    assert f"pid {os.getpid()}) has it, and has not begun it" in waiting


def test_why_says_what_slurm_says_of_jobs_that_have_not_begun(slurm: Cluster, tmp_path: Path) -> None:
    store = tmp_path / "st"
    for node in slurm.nodes:
        slurm.drain(node)

    def look() -> None:
        try:
            wait_until(
                lambda: claimed(store) and "DRAINED" in told("why", claimed(store)[0], store=store),
                "Slurm's own reason is told",
            )
        finally:
            for node in slurm.nodes:
                slurm.resume(node)

    with beside(look):
        memento_of(lambda context, config: 1, store, executor_of()).run({"parameters": {"x": [1, 2]}})


# -- memory


def test_a_task_that_needs_more_memory_gets_it_in_a_job_that_asks_for_more(
    slurm: Cluster, tmp_path: Path
) -> None:
    def experiment(context: Any, config: Any) -> int:
        held = bytearray(config.megabytes << 20)
        held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])  # every page is there
        while context.resources.memory_limit < len(held):  # until somebody has looked
            time.sleep(0.05)
        return len(held) >> 20

    executor = executor_of(tasks_per_job=1, max_jobs=1)
    results = memento_of(
        experiment, tmp_path / "st", executor, memory_limit="300MB", on_oom="double", retries=2
    ).run({"parameters": {"megabytes": [10, 400]}})
    assert results is not None
    assert [result.inner for result in results] == [10, 400]
    asked = slurm.run("squeue", "-h", "-t", "all", "-S", "i", "-o", "%m %j").splitlines()
    run = asked[-1].split()[1]
    sizes = [line.split()[0] for line in asked if line.split()[1] == run]
    assert (sizes[0], sizes[-1]) == ("587M", "873M"), "what the task may have, and what is the pilot's own"


def test_no_job_asks_for_more_memory_than_the_largest_node_has(slurm: Cluster, tmp_path: Path) -> None:
    def experiment(context: Any, config: Any) -> None:
        if config.x:
            raise MemoryError(f"{context.resources.memory_limit >> 20}")

    executor = executor_of(tasks_per_job=1, max_jobs=1)
    runs = memento_of(
        experiment, tmp_path / "st", executor, memory_limit=1500 << 20, on_oom="double", retries=5
    )
    with pytest.raises(AggregateException, match="1 of 2 tasks failed") as failed:
        runs.run({"parameters": {"x": [0, 1]}})
    assert "MemoryError: 3700; it had 3.88 GB, which is all that there is here" in str(failed.value)


def test_slurms_word_that_a_job_had_no_memory_left_is_proof(
    slurm: Cluster, shim: Shim, tmp_path: Path
) -> None:
    began = tmp_path / "began"

    def experiment(context: Any, config: Any) -> int:
        if context.attempt == 1:
            began.touch()
            while True:
                time.sleep(0.05)
        return int(context.attempt)

    def strike() -> None:
        wait_until(began.exists, "the task runs")
        shim.rewrite("squeue", "|RUNNING|", "|OUT_OF_MEMORY|")
        wait_until(lambda: len(shim.calls("sbatch")) >= 3, "another job is asked for")
        shim.heal("squeue")

    executor = executor_of(tasks_per_job=1, max_jobs=1)
    store = tmp_path / "st"
    with beside(strike):
        results = memento_of(
            experiment, store, executor, memory_limit="300MB", on_oom="double", retries=1
        ).run({"parameters": {"x": [1]}})
    assert results is not None
    assert [result.inner for result in results] == [2]
    with Store.open(store, create=False, readonly=True) as opened:
        first, _ = opened.index.attempts(bytes.fromhex(results[0].key))
    assert first.failure is not None
    assert (first.failure.kind, first.failure.memory_limit, first.failure.next_limit) == (
        "memory",
        300_000_000,
        600_000_000,
    )
    assert "its job had no memory left on n" in first.failure.message


# -- a program that is gone


def test_status_says_that_the_program_is_gone_and_that_its_jobs_go_on(slurm: Cluster, tmp_path: Path) -> None:
    (tmp_path / "exp.py").write_text(SCRIPT.replace("time.sleep(1.0)", "time.sleep(3.0)"))
    (tmp_path / "pyproject.toml").touch()
    environment = {**os.environ, **ENVIRONMENT}
    command, store = [sys.executable, "exp.py"], tmp_path / "memento-store"
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until((tmp_path / "begun").exists, "tasks run")
    finally:
        run.kill()
        run.wait(300)
    text = told("status", store=store)
    assert "its program is gone, and " in text
    assert "of it work" in text
    assert "run it again for the rest, which goes on from there: python exp.py" in text
    facts = json.loads(told("status", "--json", store=store))["runs"][0]
    assert (facts["status"], facts["pilots"]["silent"]) == ("died", 0)
    assert facts["pilots"]["working"] >= 1
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert f"all {list(range(24))}" in done.stdout
    assert len((tmp_path / "begun").read_text().split()) == 24, "no task began twice"
