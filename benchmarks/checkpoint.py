"""A checkpoint of 500 MB in arrays, saved over an older one, and loaded; beside pickle to a raw file."""

from __future__ import annotations

import json
import os
import pickle
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TITLE = "checkpoint of 500 MB in arrays, nested in dicts (1.2.0: 100 MB, scaled), durable"
UNIT = "s; memory above the state itself in MB"
BASE = "pickle 5 to a raw file: save"
MUST = "save and load >= 0.9 of pickle's rate (ratio <= 1.11), memory flat"
CONTENDERS = {"memento": "ours", "pickle 5 to a raw file": "ours", "memento-ml 1.2.0": "ancestor"}
FULL = True


def state(megabytes: int) -> dict[str, Any]:
    import numpy as np

    count = megabytes * 1_000_000 // 8 // 10
    rng = np.random.default_rng(0)
    return {"epoch": 3, "layers": [{"weights": rng.random(count)} for _ in range(10)]}


class Raw:
    def save(self, whole: Any) -> None:
        with open("state.pickle", "wb") as file:
            pickle.dump(whole, file, protocol=5)
            file.flush()
            os.fsync(file.fileno())

    def load(self) -> Any:
        with open("state.pickle", "rb") as file:
            return pickle.load(file)


class Ours:
    def __init__(self) -> None:
        from memento.store.checkpoints import CheckpointDir

        self._open = lambda: CheckpointDir(Path("checkpoints").absolute(), "00")
        self._task = self._open()  # one for a task's life

    def save(self, whole: Any) -> None:
        self._task.save((whole,), {})

    def load(self) -> Any:
        return self._open().load()[0][0]


class Ancestor:
    def __init__(self) -> None:
        from memento.task_interface import FileSystemCheckpointing

        self._file = FileSystemCheckpointing(filepath="old.memento")

    def save(self, whole: Any) -> None:
        self._file.set("key", (whole,))

    def load(self) -> Any:
        return self._file.get("key")


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed_load(tool: Any) -> float:
    before = time.perf_counter()
    loaded = tool.load()
    spent = time.perf_counter() - before
    assert loaded is not None
    return spent


def measure(contender: str, tool: Any, scale: int) -> dict[str, float]:
    whole = state(500 // scale)
    figures: dict[str, float] = {}
    before_all = peak()
    for _ in range(1 if scale > 1 else 2):  # imports, folders, both generations: what every later save finds
        tool.save(whole)
    held = peak()
    before = time.perf_counter()
    tool.save(whole)
    figures["save"] = (time.perf_counter() - before) * scale
    figures["MB above what it held"] = (held - before_all) * scale
    del whole
    # A task that goes on after a death loads once, in a process that has read nothing yet.
    command = [sys.executable, __file__, contender, "load"]
    fresh = subprocess.run(command, check=True, capture_output=True, text=True)
    figures["first load of a fresh process"] = json.loads(fresh.stdout) * scale
    figures["load"] = timed_load(tool) * scale
    return figures


if __name__ == "__main__":
    import numpy  # noqa: F401 - everybody's

    contender = sys.argv[1]
    scale = 5 if "1.2.0" in contender else 1
    tool: Any = Ours() if contender == "memento" else Ancestor() if scale > 1 else Raw()
    if len(sys.argv) > 2:
        print(json.dumps(timed_load(tool)))
    else:
        figures = measure(contender, tool, scale)
        print(json.dumps({f"{contender}: {name}": figure for name, figure in figures.items()}))
