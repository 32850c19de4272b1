"""Fifty results of 10 MB each, written by two workers, and opened again; beside np.save + fsync of the same bytes."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TITLE = "50 results of 10 MB on 2 workers, every one durable"
UNIT = "s; memory in MB"
BASE = "np.save + fsync from a Pool of 2"
MUST = "<= 1.25 of np.save + fsync (0.8 of its rate)"
CONTENDERS = {
    "memento": "ours",
    "np.save + fsync from a Pool of 2": "ours",
    "joblib Parallel + Memory": "ours",
}
COUNT = 50


def against(row: str) -> str:
    """Name the row that a row's ratio is against: the same figure of np.save."""
    _, colon, figure = row.partition(": ")
    return BASE + colon + figure


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


def run(contender: str) -> Any:
    """Write the arrays; return what opens them again, if anything does."""
    if contender == "memento":
        from memento import Memento

        results = Memento(experiment, num_workers=2, progress=False).run(
            {"parameters": {"n": list(range(COUNT))}}
        )
        assert results is not None
        assert len(results) == COUNT
        return lambda: [result.inner for result in results]
    if contender == BASE:
        from multiprocessing import Pool

        import numpy as np

        with Pool(2) as pool:
            pool.map(save, range(COUNT), 1)
        return lambda: [np.load(f"{number}.npy") for number in range(COUNT)]
    from joblib import Memory, Parallel, delayed

    cached = Memory("cache", verbose=0).cache(make)
    Parallel(n_jobs=2)(delayed(cached)(number) for number in range(COUNT))
    return lambda: [cached(number) for number in range(COUNT)]


def measure(contender: str) -> dict[str, float]:
    forget_peak()
    held = memory("VmRSS")
    before = time.perf_counter()
    opens = run(contender)
    figures = {
        contender: time.perf_counter() - before,
        f"{contender}: MB that it grew": memory("VmHWM") - held,
    }
    before = time.perf_counter()
    assert [array[-1] for array in opens()] == list(range(COUNT))
    return figures | {
        f"{contender}: opened again, verified where it has checksums": time.perf_counter() - before
    }


if __name__ == "__main__":
    import numpy  # noqa: F401 - everybody's, and not the writing
    from checkpoint import forget_peak, memory

    print(json.dumps(measure(sys.argv[1])))
