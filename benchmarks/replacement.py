"""From the death of a worker to the next task on the one that replaces it, where the program has heavy imports."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

TITLE = "a worker dies: ms until the next task begins on another (scikit-learn loaded)"
UNIT = "ms"
BASE = "a new Python that imports scikit-learn"
MUST = "<= 50 ms"
DEATHS = 10
CONTENDERS = {
    "memento, a copy of the program": "ours",
    "memento, from a fresh process": "ours",
    BASE: "ours",
}


def experiment(context: Any, config: Any) -> float:  # noqa: ARG001 - what an experiment gets
    if config.what == "dies":
        with open(f"died-{config.turn}", "w") as file:
            file.write(repr(time.time()))
        os._exit(3)
    return time.time()


def ours(*, copy: bool) -> float:
    """Tasks come in the matrix's order on one worker: each that dies is followed by one that lives."""
    import sklearn.linear_model  # noqa: F401 - what an experiment needs, and its workers have loaded

    from memento import Memento
    from memento.executors.processes import Processes

    runs = Memento(
        experiment,
        executor=Processes(1, copy=copy),
        num_workers=1,
        on_error="return",
        order="matrix",
        progress=False,
    )
    results = runs.run({"parameters": {"turn": list(range(DEATHS)), "what": ["dies", "lives"]}})
    assert results is not None
    assert [result.status for result in results] == ["failed", "done"] * DEATHS
    waits = []
    for turn in range(DEATHS):
        with open(f"died-{turn}") as file:
            waits.append(results[2 * turn + 1].inner - float(file.read()))
    return statistics.median(waits)


def fresh() -> float:
    before = time.time()
    code = "import sklearn.linear_model, time; print(time.time())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout) - before


if __name__ == "__main__":
    contender = sys.argv[1]
    seconds = fresh() if contender == BASE else ours(copy="copy" in contender)
    print(json.dumps(seconds * 1e3))
