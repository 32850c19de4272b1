"""A grid of tasks that do nothing: what a tool itself costs a task, every result kept."""

from __future__ import annotations

import itertools
import json
import sys
import time

TITLE = "cold: 10,000 tasks that do nothing, every result kept (1,000 for memento-ml 1.2.0)"
MUST = "<= 0.15 of joblib + Memory"
UNIT = "µs a task"
BASE = "joblib Parallel + Memory"
CONTENDERS = {
    "memento": "ours",
    "joblib Parallel + Memory": "ours",
    "multiprocessing.Pool (keeps nothing)": "ours",
    "memento-ml 1.2.0": "ancestor",
}
SIDE = 100  # the grid is SIDE x SIDE


def matrix() -> dict[str, object]:
    return {"parameters": {"a": list(range(SIDE)), "b": list(range(SIDE))}}


def experiment(context: object, config: object) -> int:  # noqa: ARG001 - what an experiment gets
    return config.a + config.b  # type: ignore[attr-defined]


def add(pair: tuple[int, int]) -> int:
    return pair[0] + pair[1]


def run_memento() -> int:
    from memento import Memento

    results = Memento(experiment, num_workers=2, progress=False).run(matrix())
    assert len(results) == SIDE**2
    return SIDE**2


def run_joblib() -> int:
    from joblib import Memory, Parallel, delayed

    memory = Memory("cache", verbose=0)
    cached = memory.cache(add)
    pairs = itertools.product(range(SIDE), range(SIDE))
    assert len(Parallel(n_jobs=2)(delayed(cached)(pair) for pair in pairs)) == SIDE**2
    return SIDE**2


def run_pool() -> int:
    from multiprocessing import Pool

    with Pool(2) as pool:
        assert len(pool.map(add, list(itertools.product(range(SIDE), range(SIDE))), 64)) == SIDE**2
    return SIDE**2


def run_ancestor() -> int:
    from memento import Memento

    small = {"parameters": {"a": list(range(10)), "b": list(range(SIDE))}}
    assert len(Memento(experiment, num_workers=2).run(small)) == 10 * SIDE
    return 10 * SIDE


RUN = dict(zip(CONTENDERS, (run_memento, run_joblib, run_pool, run_ancestor), strict=True))

if __name__ == "__main__":
    run = RUN[sys.argv[1]]
    before = time.perf_counter()
    count = run()
    print(json.dumps((time.perf_counter() - before) / count * 1e6))
