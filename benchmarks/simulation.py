"""The coordinator past this machine: the real runner, plan and store with 10,000 simulated workers.

    python -m benchmarks.simulation                  the table of docs/benchmarks.md; some minutes
    python -m benchmarks.simulation --only hour      one scenario, --tasks and --workers as one likes
    python -m benchmarks.simulation --only hour --profile

Every scenario runs in a process of its own. See `simulated.py` for how time passes.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import json
import math
import pstats
import random
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.simulated import Fate, Simulated, SimulatedClock
from memento.records import DIED, DONE, FAILED, RAISED, Encoded, Failure, LogSlice, Outcome, Series
from memento.worker.work import Task

_POINTS = 50  # values of one metric, where a task reports


@dataclass(frozen=True)
class Scenario:
    """What is simulated."""

    title: str
    tasks: int
    shortest: float  # seconds; runtimes are log-uniform between the two
    longest: float
    workers: int = 10_000
    failing: float = 0.0  # share of attempts that raise
    dying: float = 0.0  # share of attempts whose worker ends
    reporting: float = 0.0  # share of tasks that tell of their progress, and record a metric
    retries: int = 0


SCENARIOS = {
    "hour": Scenario("1 s to 1 h", 100_000, 1.0, 3600.0),
    "troubled": Scenario(
        "1 s to 10 min; 2 % of attempts raise, 0.2 % kill their worker, 2 retries; a tenth of the tasks reports",
        100_000, 1.0, 600.0, failing=0.02, dying=0.002, reporting=0.1, retries=2,
    ),
    "million": Scenario("1 s to 1 min", 1_000_000, 1.0, 60.0),
    "second": Scenario("1 s each", 300_000, 1.0, 1.0),
    "tenth": Scenario("0.1 s each: more than it can", 300_000, 0.1, 0.1),
}  # fmt: skip


class Play:
    """Decides what becomes of every attempt, the same in every simulation of a scenario.

    Parameters
    ----------
    scenario : Scenario
        What is simulated.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.seconds = 0.0  # of all attempts
        self._data = bytes(16 * _POINTS)

    def _draws(self, task: Task) -> random.Random:
        return random.Random(f"{task.number}/{task.attempt}")

    def fate(self, task: Task) -> Fate:
        scenario, draws = self._scenario, self._draws(task)
        low, high = math.log(scenario.shortest), math.log(scenario.longest)
        seconds = math.exp(draws.uniform(low, high))
        self.seconds += seconds
        return Fate(seconds, reports=task.number % 1_000 < 1_000 * scenario.reporting)

    def outcome(self, task: Task, began: float, ended: float) -> Outcome:
        scenario, draws = self._scenario, self._draws(task)
        draws.random()  # the fate's
        luck = draws.random()
        failure = None
        if luck < scenario.dying:
            failure = Failure(DIED, "SIGKILL", "its worker was killed", "", "", None, "last words\n" * 20)
        elif luck < scenario.dying + scenario.failing:
            where = f"experiment.py:{20 + task.number % 5}"
            trace = f"Traceback (most recent call last):\n  File {where!r}\nValueError: no convergence\n" * 4
            failure = Failure(RAISED, "ValueError", "no convergence", trace, where, None, "")
        series: tuple[Series, ...] = ()
        if task.number % 1_000 < 1_000 * scenario.reporting:
            series = (Series("loss", _POINTS, 0.5, 0.0, 1.0, self._data),)
        value = None if failure else Encoded("json", repr(luck).encode(), None, 18, "builtins:float")
        node = task.number % scenario.workers
        return Outcome(
            task.number, FAILED if failure else DONE, task.attempt, 1.8e9 + began, ended - began,
            0.9 * (ended - began), 3 << 28, 1 << 32, f"node{node // 64:04}/{node}", value, series, (),
            LogSlice(f"20270115-080000/{node}.log", task.number, task.number + 900), failure,
        )  # fmt: skip


def simulate(scenario: Scenario, *, profiled: bool = False) -> dict[str, float]:
    """Run one scenario in this process; return its figures."""
    from memento.events import Tick
    from memento.matrix.matrix import Matrix
    from memento.runner.options import Options
    from memento.runner.session import Session
    from memento.store.store import Store

    events = listed = 0

    def listen(event: object) -> None:
        nonlocal events, listed
        events += 1
        if isinstance(event, Tick):
            listed += len(event.running)

    clock, play = SimulatedClock(), Play(scenario)
    executor = Simulated(scenario.workers, clock, play.fate, play.outcome)
    side = math.isqrt(scenario.tasks)
    matrix = Matrix.of(
        {
            "parameters": {"a": list(range(scenario.tasks // side)), "b": list(range(side))},
            "settings": {"epochs": 90},
        }
    )
    options = Options(num_workers=scenario.workers, executor=executor, retries=scenario.retries)
    with tempfile.TemporaryDirectory(prefix="memento-simulation-") as folder, contextlib.ExitStack() as stack:
        store = stack.enter_context(Store.open(Path(folder) / "store"))
        session = Session(_experiment, "simulation:experiment", matrix, store, options, listen, clock)
        began = clock.monotonic()  # which brings `busy` up to date
        planned = clock.busy
        profile = cProfile.Profile() if profiled else None
        if profile:
            profile.runcall(session.run, notify=False)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        else:
            session.run(notify=False)
        elapsed, busy = clock.monotonic() - began, clock.busy - planned
        finished = session.finished
        assert finished is not None
        assert finished.done + finished.failed == len(matrix), finished
        store.close()
        size = sum(file.stat().st_size for file in (Path(folder) / "store").rglob("index.sqlite*"))
    ideal = play.seconds / scenario.workers
    return {
        "tasks": len(matrix),
        "failed for good": finished.failed,
        "tasks/s": len(matrix) / elapsed,
        "makespan / (work / workers)": elapsed / ideal,
        "core, %": 100 * busy / elapsed,
        "processor, µs a task": busy / len(matrix) * 1e6,
        "updates": executor.updates,
        "events": events,
        "running tasks listed": listed,
        "planning, s": planned,
        "memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "store, bytes a task": size / len(matrix),
    }


def _experiment(context: Any, config: Any) -> None:  # noqa: ARG001 - what an experiment gets
    raise AssertionError("simulated workers run nothing")


def main() -> None:
    """Simulate the scenarios and print their figures."""
    parser = argparse.ArgumentParser(description="Run the coordinator with simulated workers.")
    parser.add_argument("--only", choices=list(SCENARIOS))
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.only:
        changes = {name: getattr(options, name) for name in ("tasks", "workers") if getattr(options, name)}
        figures = simulate(replace(SCENARIOS[options.only], **changes), profiled=options.profile)
        print(json.dumps(figures))
        return
    rows = {}
    for name in SCENARIOS:
        command = [sys.executable, "-m", "benchmarks.simulation", "--only", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows[name] = json.loads(done.stdout.splitlines()[-1])
    print(table(rows))


def table(rows: dict[str, dict[str, float]]) -> str:
    """Print the figures as Markdown, a column for each scenario."""
    lines = ["| | " + " | ".join(SCENARIOS[name].title for name in rows) + " |"]
    lines.append("| --- |" + " --- |" * len(rows))
    for figure in next(iter(rows.values())):
        cells = [
            f"{row[figure]:,.0f}" if row[figure] >= 1000 else f"{row[figure]:.3g}" for row in rows.values()
        ]
        lines.append(f"| {figure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
