"""The grid that `soak` kills: short and long tasks, checkpoints, metrics, values of several kinds.

Knows: the public face of Memento. May not know: who kills it.

    python benchmarks/soak_grid.py STORE JOURNAL TASKS          run what is left; exit code 3 if tasks failed
    python benchmarks/soak_grid.py STORE JOURNAL TASKS --frame FILE   compute nothing, write the results' frame
    ... --engine ENGINE [--payloads WHERE]    "local" (pilots here), "slurm", or the address of a Dask scheduler

The journal is how the outside learns what was done when: "run PID", "start N ATTEMPT HOST PID", "step N STEP", "end N",
"told DONE".
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import memento.display.base
from memento import Config, Context, Memento, Results
from memento.events import TasksFinished

WIDTH = 50
LONG = 125  # one task in so many is long
STEPS, STEP_SECONDS = 20, 0.05


def note(journal: str, line: str) -> None:
    """Append a line; a line is whole or absent, whoever dies when."""
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def experiment(context: Context, config: Config) -> Any:
    """Compute a value that its number alone decides."""
    number = config.block * WIDTH + config.place
    note(config.settings["journal"], f"start {number} {context.attempt} {os.uname().nodename} {os.getpid()}")
    value = value_of(context, config, number)
    note(config.settings["journal"], f"end {number}")
    return value


def value_of(context: Context, config: Config, number: int) -> Any:
    """Compute it, in one of five ways."""
    if number % (2 * LONG) == 0:
        return loop_task(context, config, number)
    if number % LONG == 0:
        return long_task(context, config, number)
    if number % LONG == 1:
        return np.random.default_rng(number).random(4_000)  # large: a file of its own
    if number % 10 == 2:
        time.sleep(0.002)
    return mix(number)


def long_task(context: Context, config: Config, number: int) -> float:
    """Take a second, save every twentieth of it."""
    step, total = context.restore() if context.checkpoint_exist() else (0, 0.0)
    while step < STEPS:
        note(config.settings["journal"], f"step {number} {step}")
        time.sleep(STEP_SECONDS)
        total += mix(number * STEPS + step)
        step += 1
        context.record({"loss": (step, total)})
        context.checkpoint(step, total)
    return float(total)


def loop_task(context: Context, config: Config, number: int) -> float:
    """Do the same by `context.loop`."""
    state = {"total": 0.0}
    for step in context.loop(range(STEPS), state, every="1 steps"):
        note(config.settings["journal"], f"step {number} {step}")
        time.sleep(STEP_SECONDS)
        state["total"] += mix(number * STEPS + step)
        context.record({"loss": (step + 1, state["total"])})
    return state["total"]


def mix(number: int) -> float:
    """Turn a number into another that looks random."""
    return int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=6).digest(), "big") / 2**48


def matrix(tasks: int, journal: str) -> dict[str, Any]:
    """Declare the grid."""
    return {
        "parameters": {"block": list(range(tasks // WIDTH)), "place": list(range(WIDTH))},
        "settings": {"journal": journal},
        "volatile": ["journal"],
    }


class Told:
    """A display that writes down what it is told is done."""

    def __init__(self, journal: str) -> None:
        self._journal = journal

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def listen(self, event: object) -> None:
        """Note how many tasks are done."""
        if isinstance(event, TasksFinished) and event.done:
            note(self._journal, f"told {event.done}")


def executor_of(engine: str) -> Any:
    """Return what runs the grid's tasks."""
    if engine == "processes":
        return engine
    if engine == "local":
        from tests.executors.pilots.local_engine import Local

        return Local()
    if engine == "slurm":
        from memento.executors import Slurm
        from memento.executors.slurm import engine as slurm_engine
        from memento.executors.slurm import job_queue, jobs

        # A look each second, as no site would like it: a soak waits for what they show.
        job_queue.SHORT = slurm_engine.SILENT = 1.0
        jobs.MOST_CALLS = jobs.MOST_SUBMISSIONS = 10_000
        return Slurm(tasks_per_job=2, max_jobs=4, time="1h", idle=20)
    from memento.executors.dask import Dask

    return Dask(engine)


def main() -> int:
    """Run the grid, or write its frame."""
    parser = argparse.ArgumentParser(description="The grid that soak kills.")
    parser.add_argument("store")
    parser.add_argument("journal")
    parser.add_argument("tasks", type=int)
    parser.add_argument("--frame", type=Path)
    parser.add_argument("--engine", default="processes")
    parser.add_argument("--payloads")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    memento.display.base.make_display = lambda *_, **__: Told(options.journal)  # type: ignore[assignment]
    runs = Memento(
        experiment,
        num_workers=options.workers,
        executor=executor_of(options.engine),
        store=options.store,
        payloads=options.payloads,
        retries=3,
        on_error="return",
        on_code_change="ignore",
    )
    if options.frame is None:
        note(options.journal, f"run {os.getpid()}")
    results = runs.run(matrix(options.tasks, options.journal), force_cache=options.frame is not None)
    assert results is not None
    if options.frame is not None:
        write_frame(results, options.frame)
        return 0
    if len(results.failures):
        print(results.failures)
        return 3
    return 0


def write_frame(results: Results, path: Path) -> None:
    """Write what must be the same however often the run was killed."""
    frame = results.to_frame()[["block", "place", "value", "loss", "status"]]
    frame["value"] = [
        hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()
        if isinstance(value, np.ndarray)
        else repr(value)
        for value in frame["value"]
    ]
    frame.to_csv(path, index=False)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parents[1]))  # of the tests' engines
    raise SystemExit(main())
