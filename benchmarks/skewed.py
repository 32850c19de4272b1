"""A grid of a few long and many short tasks, run again with changed settings: what the order of starting is worth.

The runtimes are the products of two parameters' factors, quantiles of Pareto distributions; the first run teaches
them, the second is measured from its first start to its last end. The lower bound of any schedule on m workers is
max(sum / m, longest); longest-first is never over 4/3 - 1/(3 m) of the best schedule (Graham, 1969), first-come never
over 2 - 1/m (Graham, 1966).
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

TITLE = "makespan of 48 tasks of heavy-tailed runtimes on 2 workers, over the lower bound"
UNIT = "makespan / lower bound"
BASE = "first-come (order='matrix')"
MUST = "<= 1.05 of the lower bound"
CONTENDERS = {"longest-first": "ours", "first-come (order='matrix')": "ours"}
WORKERS = 2
SIZES = [(1 - (i + 0.5) / 8) ** -1.0 for i in range(8)]  # quantiles, ascending as people write them
DEPTHS = [(1 - (i + 0.5) / 6) ** -0.7 for i in range(6)]
SECONDS = 0.03  # of the shortest, about


def experiment(context: Any, config: Any) -> None:  # noqa: ARG001 - what an experiment gets
    time.sleep(SECONDS * SIZES[config.size] * DEPTHS[config.depth])


def main(order: str) -> float:
    from memento import Memento

    runs = Memento(experiment, num_workers=WORKERS, progress=False, order=order)
    parameters = {"size": list(range(len(SIZES))), "depth": list(range(len(DEPTHS)))}
    runs.run({"parameters": parameters, "settings": {"version": 1}})
    results = runs.run({"parameters": parameters, "settings": {"version": 2}})
    assert results is not None
    frame = results.to_frame()
    start = (frame["start_time"] - frame["start_time"].min()).dt.total_seconds()
    makespan = (start + frame["runtime"]).max()
    return float(makespan / max(frame["runtime"].sum() / WORKERS, frame["runtime"].max()))


if __name__ == "__main__":
    print(json.dumps(main("longest-first" if sys.argv[1] == "longest-first" else "matrix")))
