"""Look at a store of a million tasks from a terminal: the first page, filters, an order; a whole process each."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

TITLE = "`memento ls` on 1,000,000 tasks: first page, by a parameter, what few or none have, sorted; whole processes"
UNIT = "s"
BASE = "first page"
MUST = "first page <= 0.5 s, a filter <= 1.5 s"
CONTENDERS = {"memento": "ours"}
FULL = True
SIDE = 1_000
LOOKS = {
    "first page": [],
    "a parameter": ["a=3"],
    "two parameters": ["a=3", "b=7"],
    "failed, few and old": ["--failed"],
    "a parameter that none lacks": ["a=-"],
    "nothing found": ["a=3", "--failed"],
    "a value that there is not": ["a=-1"],
    "sorted by result": ["--sort", "value"],
    "sorted by time": ["--sort", "time"],
}


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    if config.a == 1 and config.b < 20:
        raise ValueError("too small")
    return config.a + config.b


def fill() -> None:
    from memento import Memento

    made = Memento(
        experiment, executor="serial", progress=False, store="store", on_error="return", log_output=False
    )
    made.run({"parameters": {"a": list(range(SIDE)), "b": list(range(SIDE))}})


def looked(arguments: list[str]) -> float:
    command = [sys.executable, "-m", "memento", "ls", *arguments, "--store", "store"]
    times = []
    for _ in range(3):
        before = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True)
        times.append(time.perf_counter() - before)
    return min(times)


if __name__ == "__main__":
    fill()
    print(json.dumps({name: looked(arguments) for name, arguments in LOOKS.items()}))
