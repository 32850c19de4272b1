"""A checkpoint of 500 MB, by kind of state: saved over an older one, loaded first in a fresh process, and once more.

Beside pickle protocol 5 to a raw file with fsync, in turns within one process: a slow second of the machine, or what
the one leaves to the other of memory and disk, is both's. The tensors run where `.venv-torch` is (`make .venv-torch`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pickle
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

TITLE = "checkpoint of 500 MB: arrays, nested, tensors, a forest (1.2.0: 100 MB, scaled), durable"
UNIT = "s; memory above the state itself in MB"
KINDS = {"arrays": "ours", "nested": "ours", "torch": "torch", "sklearn": "ours"}
BASE = "pickle 5, the same kind"
MUST = "save and load >= 0.9 of pickle's rate (ratio <= 1.11), memory flat, 10 times 1.2.0"
CONTENDERS = {**KINDS, "arrays of 1.2.0": "ancestor"}
FULL = True


def against(row: str) -> str:
    """Name the row that a row's ratio is against: what pickle takes for the same."""
    kind, _, figure = row.split(": ")
    return f"{kind.removesuffix(' of 1.2.0')}: pickle 5: {figure}"


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
        from memento.values.checkpoints import CheckpointDir

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


def forget_peak() -> None:
    """Let the most memory held count from now on, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc_pid_clear_refs(5)


def memory(name: str) -> float:
    """Return memory of this process in MB: held now (VmRSS), or the most of it (VmHWM); not a number elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def timed(call: Any) -> tuple[Any, float, float]:
    """Return what a call gave, and its seconds by the clock and of the processor."""
    gc.collect()
    clock, processor = time.perf_counter(), time.process_time()
    given = call()
    return given, time.perf_counter() - clock, time.process_time() - processor


def measure(kind: str, tools: dict[str, Any], scale: int) -> dict[str, float]:
    """Save and load in turns; a task that goes on after a death loads in a process that has read nothing yet."""
    from checkpoint_state import KINDS as STATES

    whole = STATES[kind](500 // scale)
    rounds: list[dict[str, float]] = []
    for _ in range(5 if scale == 1 else 2):
        rounds.append({})
        for name, tool in tools.items():
            forget_peak()
            before = memory("VmRSS")
            _, clock, processor = timed(partial(tool.save, whole))
            above = memory("VmHWM") - before
            figures = {"save": clock, "save, processor": processor, "save, MB above": above}
            rounds[-1] |= {f"{name}: {figure}": value * scale for figure, value in figures.items()}
    del whole, rounds[: 2 if scale == 1 else 1]  # imports, folders, the first files: what no later save finds
    for told in rounds:
        for name in tools:
            command = [sys.executable, __file__, kind, name]
            fresh = subprocess.run(command, check=True, capture_output=True, text=True)
            told |= {f"{name}: {figure}": value * scale for figure, value in json.loads(fresh.stdout).items()}
    return {row: statistics.median(told[row] for told in rounds) for row in rounds[0]}


def measure_loads(kind: str, tool: Any) -> dict[str, float]:
    """Load twice, in a process that has not loaded anything yet."""
    from checkpoint_state import bytes_of, import_all

    import_all(kind)
    forget_peak()
    before = memory("VmRSS")
    loaded, first, first_processor = timed(tool.load)
    above = memory("VmHWM") - before - bytes_of(loaded) / 1e6
    del loaded
    _, later, later_processor = timed(tool.load)
    return {
        "first load": first,
        "first load, processor": first_processor,
        "later load": later,
        "later load, processor": later_processor,
        "load, MB above": above,
    }


if __name__ == "__main__":
    import numpy  # noqa: F401 - everybody's

    contender = sys.argv[1]
    kind = contender.removesuffix(" of 1.2.0")
    makers: dict[str, Any] = (
        {"memento-ml 1.2.0": Ancestor} if kind != contender else {"memento": Ours, "pickle 5": Raw}
    )
    if len(sys.argv) > 2:
        made = {"memento": Ours, "pickle 5": Raw, "memento-ml 1.2.0": Ancestor}[sys.argv[2]]()
        print(json.dumps(measure_loads(kind, made)))
    else:
        scale = 5 if kind != contender else 1
        figures = measure(kind, {name: make() for name, make in makers.items()}, scale)
        print(json.dumps({f"{contender}: {row}": value for row, value in figures.items()}))
