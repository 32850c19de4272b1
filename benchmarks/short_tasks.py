"""A thousand tasks of 10 ms on two workers: how much of two cores the tasks get."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

TITLE = "1,000 tasks of 10 ms on 2 workers: wall time over 5 s"
UNIT = "wall / ideal"
BASE = "multiprocessing.Pool, chunks of 1"
MUST = "<= 1.053 (95 %)"
CONTENDERS = {
    "memento": "ours",
    "multiprocessing.Pool, chunks of 1": "ours",
    "ProcessPoolExecutor": "ours",
    "joblib Parallel + Memory": "ours",
}
COUNT, SECONDS = 1_000, 0.01


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return nap(config.n)


def nap(number: int) -> int:
    time.sleep(SECONDS)
    return number


def run(contender: str) -> None:
    if contender == "memento":
        from memento import Memento

        results = Memento(experiment, num_workers=2, progress=False).run(
            {"parameters": {"n": list(range(COUNT))}}
        )
        assert results is not None
        assert len(results) == COUNT
    elif contender == BASE:
        from multiprocessing import Pool

        with Pool(2) as pool:
            pool.map(nap, range(COUNT), 1)
    elif contender == "ProcessPoolExecutor":
        from concurrent.futures import ProcessPoolExecutor

        with ProcessPoolExecutor(2) as executor:
            list(executor.map(nap, range(COUNT)))
    else:
        from joblib import Memory, Parallel, delayed

        cached = Memory("cache", verbose=0).cache(nap)
        Parallel(n_jobs=2)(delayed(cached)(number) for number in range(COUNT))


if __name__ == "__main__":
    before = time.perf_counter()
    run(sys.argv[1])
    print(json.dumps((time.perf_counter() - before) / (COUNT * SECONDS / 2)))
