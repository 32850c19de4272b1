"""Slurm: 10,000 tasks of 10 ms on two nodes of four cores, beside eight workers here, and what these need alone.

Slurm is started here; its commands are called through a shim that counts them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TITLE = "Slurm: 10,000 tasks of 10 ms on two nodes of four cores (sleeping)"
MUST = "<= 1.3 times the ideal with <= 10 jobs; the coordinator's share of a core is told for itself"
UNIT = "s"
BASE = "8 workers here"
FULL = True
CONTENDERS = {"Slurm": "ours", "8 workers here": "ours", "ideal: 8 at once": "ours"}
TASKS, SECONDS, NODES, CORES = 10_000, 0.01, 2, 4


def experiment(context: Any, config: Any) -> int:  # noqa: ARG001 - all have both
    """Take ten milliseconds, and no processor."""
    time.sleep(SECONDS)
    return int(config.x)


def run(executor: Any, **options: Any) -> tuple[float, float]:
    """Run the grid; return its seconds, and those of the processor that the coordinator had."""
    from memento import Memento

    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    runs = Memento(experiment, executor=executor, store="store", progress=False, **options)
    results = runs.run({"parameters": {"x": list(range(TASKS))}})
    seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    assert results is not None
    assert [result.inner for result in results] == list(range(TASKS))
    return seconds, used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime


def main(contender: str) -> dict[str, float]:
    """Run one of them once."""
    if contender == "ideal: 8 at once":
        return {contender: TASKS * SECONDS / (NODES * CORES)}
    if contender == "8 workers here":
        return {contender: run("processes", num_workers=NODES * CORES)[0]}
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from memento.executors import Slurm
    from tests.engines.slurm import Shim, started

    for cluster in started():
        shim = Shim(cluster.folder / "shim")
        os.environ.update({**cluster.environment, "PATH": shim.path})
        seconds, cpu = run(Slurm(tasks_per_job=CORES, time="10min"))
        jobs = cluster.run("squeue", "-h", "-r", "-t", "all", "-o", "%i").split()
        assert len(jobs) <= 10, jobs
        return {
            contender: seconds,
            "... share of a core of the coordinator": cpu / seconds,
            "... calls of Slurm's commands": float(len(shim.calls())),
            "... jobs": float(len(jobs)),
        }
    raise AssertionError


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(json.dumps(main(sys.argv[1])))
