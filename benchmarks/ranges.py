"""What workloads share that run a function of a number for many numbers: the contenders, each in its plainest form.

A script gives two functions of its own, for tools find them by name: `work(number)` and the experiment that calls it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

OURS, POOL = "memento", "multiprocessing.Pool, chunks of 1"
ALONE = "half of the tasks in a row, nothing else"  # the ideal of two workers, with what a timer really takes
CONTENDERS = {OURS: "ours", POOL: "ours", "ProcessPoolExecutor": "ours", "joblib Parallel + Memory": "ours"}


def run(
    contender: str, work: Callable[[int], Any], experiment: Callable[[Any, Any], Any], count: int
) -> None:
    """Call the function for all numbers below `count` on two workers, in the way of a contender."""
    if contender == OURS:
        from memento import Memento

        results = Memento(experiment, num_workers=2, progress=False).run(
            {"parameters": {"n": list(range(count))}}
        )
        assert results is not None
        assert len(results) == count
    elif contender == POOL:
        from multiprocessing import Pool

        with Pool(2) as pool:
            pool.map(work, range(count), 1)
    elif contender == "ProcessPoolExecutor":
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(2) as executor:
            list(executor.map(work, range(count)))
    elif contender == ALONE:
        for number in range(count // 2):
            work(number)
    else:
        from joblib import Memory, Parallel, delayed

        cached = Memory("cache", verbose=0).cache(work)
        Parallel(n_jobs=2)(delayed(cached)(number) for number in range(count))


def time_over_ideal(
    work: Callable[[int], Any], experiment: Callable[[Any, Any], Any], count: int, seconds: float
) -> None:
    """Run the contender that was named; print its time over that of two workers which never wait."""
    before = time.perf_counter()
    run(sys.argv[1], work, experiment, count)
    print(json.dumps((time.perf_counter() - before) / (count * seconds / 2)))
