"""A checkpoint of 500 MB, by kind of state: saved over an older one, loaded first in a fresh process, and once more.

Beside pickle protocol 5 to a raw file with fsync. The tensors run where `.venv-torch` is, which `make .venv-torch`
makes; `python -m benchmarks.checkpoint_state` tells how large each kind is.
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
TOOLS = ("memento", "pickle 5")
BASE = "pickle 5, the same kind"
MUST = "save and load >= 0.9 of pickle's rate (ratio <= 1.11), memory flat"
CONTENDERS = {f"{kind}: {tool}": home for kind, home in KINDS.items() for tool in TOOLS}
CONTENDERS["arrays: memento-ml 1.2.0"] = "ancestor"
FULL = True


def against(row: str) -> str:
    """Name the row that a row's ratio is against: what pickle takes for the same."""
    kind, _, figure = row.split(": ")
    return f"{kind}: pickle 5: {figure}"


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


def measure(kind: str, tool: Any, scale: int) -> dict[str, float]:
    """Save, then load twice in a fresh process: a task that goes on after a death has read nothing yet."""
    from checkpoint_state import KINDS as STATES

    whole = STATES[kind](500 // scale)
    tool.save(whole)  # imports, folders
    forget_peak()
    before = memory("VmRSS")
    saves = [timed(partial(tool.save, whole))[1:] for _ in range(1 if scale > 1 else 4)][-3:]
    above = memory("VmHWM") - before
    del whole
    command = [sys.executable, __file__, f"{kind}: {sys.argv[1].split(': ')[1]}", "load"]
    fresh = subprocess.run(command, check=True, capture_output=True, text=True)
    figures = {
        "save": statistics.median(clock for clock, _ in saves),
        "save, processor": statistics.median(processor for _, processor in saves),
        **json.loads(fresh.stdout),
        "save, MB above": above,
    }
    return {name: figure * scale for name, figure in figures.items()}


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

    kind, name = sys.argv[1].split(": ")
    tool: Any = {"memento": Ours, "pickle 5": Raw}.get(name, Ancestor)()
    if len(sys.argv) > 2:
        print(json.dumps(measure_loads(kind, tool)))
    else:
        figures = measure(kind, tool, 5 if name == "memento-ml 1.2.0" else 1)
        print(json.dumps({f"{kind}: {name}: {figure}": value for figure, value in figures.items()}))
