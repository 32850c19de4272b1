"""Sixty results of 5 MB as a frame, and one by one, in a fresh process; beside joblib's Memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

TITLE = "60 results of 5 MB (arrays, dicts of arrays, frames, pickles): a frame of them, and each in turn"
UNIT = "s; memory in MB"
BASE = "joblib Memory: each in turn, s"
MUST = "a frame <= 0.1 s, one value in memory"
CONTENDERS = {"memento": "ours", "joblib Memory": "ours"}
COUNT = 60


def make(number: int) -> Any:
    import numpy as np
    import pandas as pd

    array = np.full(625_000, number, dtype=np.float64)
    if number % 4 == 0:
        return array
    if number % 4 == 1:
        return {"score": number / COUNT, "predicted": array}
    if number % 4 == 2:
        return pd.DataFrame({"a": array[::2], "b": array[1::2]})
    return {"score": number / COUNT, "names": [str(place) for place in range(430_000)]}


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return make(config.n)


def write(contender: str) -> None:
    if contender == "memento":
        from memento import Memento

        matrix = {"parameters": {"n": list(range(COUNT))}}
        Memento(experiment, num_workers=2, progress=False, store="store").run(matrix)
        return
    for number in range(COUNT):
        remembered()(number)


def remembered() -> Any:
    from joblib import Memory

    return Memory("store", verbose=0).cache(make)


def read(contender: str) -> dict[str, float]:
    import pandas as pd  # its import is not the frame's
    from checkpoint import forget_peak, memory

    figures = {}
    pd.DataFrame({"a": ["b"]}).infer_objects()
    if contender == "memento":
        import memento

        results = memento.load("store")
        before = time.perf_counter()
        frame = results.to_frame()
        figures["a frame, s"] = time.perf_counter() - before
        assert len(frame) == COUNT
        values = (result.inner for result in results)
    else:
        cached = remembered()
        values = (cached(number) for number in range(COUNT))
    forget_peak()
    held, before = memory("VmRSS"), time.perf_counter()
    for value in values:
        assert len(value)
        del value
    figures["each in turn, s"] = time.perf_counter() - before
    figures["each in turn, MB that it grew"] = memory("VmHWM") - held
    return {f"{contender}: {name}": figure for name, figure in figures.items()}


if __name__ == "__main__":
    contender = sys.argv[1]
    if len(sys.argv) > 2:
        print(json.dumps(read(contender)))
    else:
        write(contender)
        command = [sys.executable, __file__, contender, "read"]
        print(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
