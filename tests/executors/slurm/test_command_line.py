"""The command line on a real Slurm, which it names and configures no further."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from memento import load
from memento.store.store import Store
from tests.engines.slurm import Cluster, slurm, slurm_cluster, wait_until

__all__ = ["slurm", "slurm_cluster"]  # fixtures

pytestmark = pytest.mark.engine

SCRIPT = """
import os, time
from pathlib import Path

def experiment(context, config):
    if config.x == 0 and not Path("mended").exists():
        raise ValueError("broken")
    while not Path("gate").exists():
        time.sleep(0.05)
    time.sleep(float(Path("gate").read_text() or 0))
    return os.environ["SLURM_JOB_ID"]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "exp.py").write_text(SCRIPT)
    (tmp_path / "m.yaml").write_text("parameters: {x: [0, 1, 2, 3]}\n")
    (tmp_path / "long.yaml").write_text(f"parameters: {{x: {list(range(1, 400))}}}\n")
    return tmp_path


def memento(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the project's folder."""
    path = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return subprocess.run(
        [sys.executable, "-m", "memento", *arguments, "--store", "st"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        start_new_session=True,
    )


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an experiment on Slurm by its name."""
    return memento(project, "run", "exp.py:experiment", *arguments, "--executor", "slurm")


def test_a_detached_run_says_how_many_workers_there_are_and_what_failed_is_tried_again_on_slurm(
    slurm: Cluster, project: Path
) -> None:
    told = run(project, "m.yaml", "--detach")
    assert told.returncode == 0, told.stdout + told.stderr

    def status() -> str:
        return memento(project, "status").stdout

    wait_until(lambda: "3 running on 4 workers" in status(), "what runs is told, and on how many workers")
    (project / "gate").touch()
    wait_until(lambda: "3 done, 1 failed in" in status(), "it is over")
    assert (
        "4 to run on up to 40 workers" in next((project / "st" / "logs").glob("detached-*.log")).read_text()
    )
    before = {result.config["x"]: result.inner for result in load(project / "st") if result.status == "done"}
    (project / "mended").touch()
    again = memento(project, "retry", "--failed", "--run")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 task run again: 1 done, 0 failed" in again.stdout
    now = {result.config["x"]: result.inner for result in load(project / "st")}
    assert now.keys() == {0, 1, 2, 3}
    assert {x: job for x, job in now.items() if x} == before, "nothing else ran again"
    assert now[0] not in before.values(), "it ran in a job of its own"
    wait_until(lambda: not slurm.jobs(), "no job is left")


@pytest.mark.parametrize("how", ["--budget", "--until"])
def test_a_run_with_a_deadline_ends_in_time_and_says_what_is_left(
    how: str, slurm: Cluster, project: Path
) -> None:
    (project / "gate").write_text("1.5")
    moment = (datetime.now().astimezone() + timedelta(seconds=45)).isoformat(timespec="seconds")
    told = run(project, "long.yaml", how, "45s" if how == "--budget" else moment)
    assert told.returncode == 124, told.stdout + told.stderr
    assert "left" in told.stdout + told.stderr
    with Store.open(project / "st", create=False, readonly=True) as store:
        (one,) = store.index.runs()
    assert one.ended is not None
    assert 0 < one.counts["done"] < 399, "they take 75 s on all of the two nodes' cores"
    wait_until(lambda: not slurm.jobs(), "no job is left")
