"""A grid of tasks that do nothing: what a tool itself costs a task, every result kept."""

# No postponed annotations: exca reads those of the method that it wraps.
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence

TITLE = "cold: 10,000 tasks that do nothing, every result kept (1,000 for memento-ml 1.2.0)"
MUST = "<= 0.10 of joblib + Memory, <= 0.6 of exca, <= 1/250 of 1.2.0, <= 4 of a bare Pool, <= 30 µs"
UNIT = "µs a task"
BASE = "joblib Parallel + Memory"
CONTENDERS = {
    "memento": "ours",
    "joblib Parallel + Memory": "ours",
    "exca MapInfra": "exca",
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


def pairs() -> list[tuple[int, int]]:
    return list(itertools.product(range(SIDE), range(SIDE)))


def run_memento() -> int:
    from memento import Memento

    results = Memento(experiment, num_workers=2, progress=False).run(matrix())
    assert results is not None
    return len(results)


def run_joblib() -> int:
    from joblib import Memory, Parallel, delayed

    cached = Memory("cache", verbose=0).cache(add)
    return len(Parallel(n_jobs=2)(delayed(cached)(pair) for pair in pairs()))


def run_exca() -> int:
    """In this very process, where it is fastest with tasks this small: its pool takes longer."""
    import exca
    import pydantic

    class Grid(pydantic.BaseModel):
        infra: exca.MapInfra = exca.MapInfra(folder="cache")

        @infra.apply(item_uid=str)
        def process(self, items: Sequence[tuple[int, int]]) -> Iterator[int]:
            for pair in items:
                yield add(pair)

    return len(list(Grid().process(pairs())))


def run_pool() -> int:
    from multiprocessing import Pool

    with Pool(2) as pool:
        return len(pool.map(add, pairs(), 64))


def run_ancestor() -> int:
    from memento import Memento

    small = {"parameters": {"a": list(range(10)), "b": list(range(SIDE))}}
    return len(Memento(experiment, num_workers=2).run(small))


RUN = dict(zip(CONTENDERS, (run_memento, run_joblib, run_exca, run_pool, run_ancestor), strict=True))


def main() -> None:
    """Run the contender that was named, and print its figure."""
    contender = sys.argv[1]
    before = time.perf_counter()
    count = RUN[contender]()
    spent = time.perf_counter() - before
    assert count == (10 * SIDE if "1.2.0" in contender else SIDE**2), count
    print(json.dumps(spent / count * 1e6))


if __name__ == "__main__":
    main()
