"""A run, alone and beside somebody who asks `memento status` of its store again and again: what looking costs it.

Tasks wait and compute nothing, so that the looks have a core: they do not take the workers' share of two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

TITLE = "400 tasks of 100 ms on 8 workers, alone and beside `memento status` in a loop"
UNIT = "s"
BASE = "alone"
MUST = "<= 1.01 of the run alone"
CONTENDERS = {"alone": "ours", "beside status": "ours"}
COUNT, SECONDS = 400, 0.1


def experiment(context: Any, config: Any) -> Any:
    context.record({"loss": 1.0 / (config.n + 1)})
    time.sleep(SECONDS)
    return config.n


class Looking:
    """Asks for the status, one process after the other, until its `with` block ends."""

    def __init__(self) -> None:
        self.looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.is_set():
            command = [sys.executable, "-m", "memento", "status", "--store", "memento-store"]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                self.looks += 1

    def __enter__(self) -> Looking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


RUN = f"""
import sys, time
sys.path.insert(0, {sys.path[0]!r})
from memento import Memento
from status_beside import COUNT, experiment

before = time.perf_counter()
matrix = {{"parameters": {{"n": list(range(COUNT))}}}}
results = Memento(experiment, num_workers=8, progress=False, store="memento-store").run(matrix)
assert len(results) == COUNT
print(time.perf_counter() - before)
"""


def run() -> tuple[float, float]:
    """Run in a process of its own, which shares only the store with what looks on; return wall and processor time."""
    process = subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    seconds = float(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return seconds, used.ru_utime + used.ru_stime


def against(row: str) -> str:
    """Name the row that a row's ratio is against."""
    return BASE if ", processor" not in row else f"{BASE}, processor s"


if __name__ == "__main__":
    contender = sys.argv[1]
    if contender == BASE:
        seconds, processor = run()
    else:
        with Looking() as looking:
            seconds, processor = run()
        assert looking.looks, "nobody has looked"
    print(json.dumps({contender: seconds, f"{contender}, processor s": processor}))
