"""Dask and Ray: a grid through our pilots beside the engine used raw, one future a task, on one warm cluster.

    python -m benchmarks.engines              both engines; a minute each
    python -m benchmarks.engines ray --rounds 3

It runs as a user's script does: in a folder of its own, beside an installed Memento. In this project, where Memento is
the code that is worked on, each run would also read all of that into the snapshot that workers import.

Rounds are interleaved, figures are medians. "at work" leaves out what comes before the first task begins: the plan,
and the start of the pilots, which is the same for two thousand tasks and for two hundred thousand.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import memento

WORKERS = 2
NOTHING, SHORT = 2_000, 200  # tasks
SECONDS = 0.05  # of a short one

Raw = Callable[[Callable[[int], Any], int], None]  # calls a function so many times, a future each


def nothing(number: int) -> int:
    return number


def nap(number: int) -> int:
    time.sleep(SECONDS)
    return number


def of_nothing(context: Any, config: Any) -> int:  # noqa: ARG001 - what an experiment gets
    return int(config.x)


def of_nap(context: Any, config: Any) -> int:  # noqa: ARG001 - what an experiment gets
    time.sleep(SECONDS)
    return int(config.x)


@contextlib.contextmanager
def dask() -> Iterator[tuple[Any, Raw]]:
    """Yield what `executor` is, and the engine raw."""
    import distributed

    with (
        tempfile.TemporaryDirectory(prefix="dask-", ignore_cleanup_errors=True) as folder,
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # None would be port 8787
            scheduler_kwargs={"dashboard": False},
            local_directory=folder,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):

        def raw(func: Callable[[int], Any], count: int) -> None:
            client.gather([client.submit(func, number, pure=False) for number in range(count)])

        yield client, raw


@contextlib.contextmanager
def ray() -> Iterator[tuple[Any, Raw]]:
    """Yield what `executor` is, and the engine raw."""
    told = {
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    os.environ.update(told)
    engine: Any = __import__("ray")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            engine.init(
                num_cpus=WORKERS,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                object_store_memory=100 << 20,
                _temp_dir=folder,
            )

        def raw(func: Callable[[int], Any], count: int) -> None:
            remote = engine.remote(func)
            engine.get([remote.remote(number) for number in range(count)])

        try:
            yield "ray", raw
        finally:
            engine.shutdown()


ENGINES = {"dask": dask, "ray": ray}


def ours(executor: Any, experiment: Callable[[Any, Any], Any], count: int) -> tuple[float, float]:
    """Return the seconds of a grid in a new store: all of it, and from its first task's beginning."""
    with tempfile.TemporaryDirectory(prefix="memento-") as store:
        began = time.perf_counter()
        runs = memento.Memento(
            experiment, executor=executor, num_workers=WORKERS, store=store, name="e", progress=False
        )
        results = runs.run({"parameters": {"x": list(range(count))}})
        ended, seconds = time.time(), time.perf_counter() - began
        assert results is not None
        first = results.to_frame()["start_time"].min().timestamp()
    return seconds, ended - first


def seconds_of(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def measure(name: str, rounds: int) -> None:
    """Print one engine's figures."""
    found: dict[str, list[float]] = {}
    with ENGINES[name]() as (executor, raw):
        raw(nothing, 50)  # it imports what it needs
        for _ in range(rounds):
            for title, func, experiment, count in (
                (f"{NOTHING:,} tasks of nothing", nothing, of_nothing, NOTHING),
                (f"{SHORT} tasks of {SECONDS * 1e3:.0f} ms", nap, of_nap, SHORT),
            ):
                found.setdefault(f"{title}: raw", []).append(seconds_of(lambda: raw(func, count)))  # noqa: B023
                whole, at_work = ours(executor, experiment, count)
                found.setdefault(f"{title}: ours", []).append(whole)
                found.setdefault(f"{title}: ours, at work", []).append(at_work)
    print(f"\n{name}, {WORKERS} workers, medians of {rounds}\n")
    print("| | seconds | raw / this |")
    print("| --- | --- | --- |")
    for row, figures in found.items():
        base = statistics.median(found[row.partition(":")[0] + ": raw"])
        middle = statistics.median(figures)
        print(f"| {row} | {middle:.2f} ({min(figures):.2f} to {max(figures):.2f}) | {base / middle:.2f} |")


def as_installed() -> int:
    """Run this file again as a user's script, with what was asked for; return its exit status."""
    with tempfile.TemporaryDirectory(prefix="memento-engines-") as folder:
        packages, script = Path(folder, "site-packages"), Path(folder, "script", Path(__file__).name)
        shutil.copytree(Path(memento.__file__).parent, packages / "memento")
        compileall.compile_dir(packages, quiet=1)
        script.parent.mkdir()
        shutil.copy(__file__, script)
        environment = {**os.environ, "PYTHONPATH": str(packages)}
        return subprocess.run([sys.executable, str(script), *sys.argv[1:]], env=environment).returncode


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure our pilots on Dask and Ray beside the engines used raw."
    )
    parser.add_argument("engines", nargs="*", choices=[*ENGINES, []], default=[])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name in options.engines or ENGINES:
        measure(name, options.rounds)


if __name__ == "__main__":
    if "site-packages" not in memento.__file__:
        raise SystemExit(as_installed())
    main()
