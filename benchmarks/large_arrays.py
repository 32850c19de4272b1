"""Fifty results of 10 MB each, written by two workers; beside np.save + fsync of the same bytes."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TITLE = "50 results of 10 MB on 2 workers, every one durable"
UNIT = "s"
BASE = "np.save + fsync from a Pool of 2"
MUST = "<= 1.25 of np.save + fsync (0.8 of its rate)"
CONTENDERS = {
    "memento": "ours",
    "np.save + fsync from a Pool of 2": "ours",
    "joblib Parallel + Memory": "ours",
}
COUNT = 50


def make(number: int) -> Any:
    import numpy as np

    return np.full(1_250_000, number, dtype=np.float64)


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return make(config.n)


def save(number: int) -> None:
    import numpy as np

    with open(f"{number}.npy", "wb") as file:
        np.save(file, make(number))
        file.flush()
        os.fsync(file.fileno())


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
            pool.map(save, range(COUNT), 1)
    else:
        from joblib import Memory, Parallel, delayed

        cached = Memory("cache", verbose=0).cache(make)
        Parallel(n_jobs=2)(delayed(cached)(number) for number in range(COUNT))


if __name__ == "__main__":
    import numpy  # noqa: F401 - everybody's, and not the writing

    before = time.perf_counter()
    run(sys.argv[1])
    print(json.dumps(time.perf_counter() - before))
