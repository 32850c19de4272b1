"""One array of 600 MB that 60 tasks of 10 ms read, however it gets to them; beside joblib with its own memmapping.

Each contender takes it by 1, 2 and 4 workers in turn. Memory is the sum of PSS of all its processes, looked at by
another process; "and shared memory" counts what lies there though no process has touched it (of the whole machine:
nothing else may run). "again" is the same grid in a new process, all results there, over what making the array took.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

TITLE = "600 MB that 60 tasks of 10 ms share, by 1, 2 and 4 workers"
UNIT = "s; memory in MB"
BASE = "joblib Parallel"
MUST = "wall and memory <= 1.2 of joblib; again <= 0.4 s"
CONTENDERS = dict.fromkeys(
    (BASE, "parameter", "setting", "global", "cached step", "upstream result", "parameter, threads"), "ours"
)
FULL = True
SIZE = int(os.environ.get("SHARED_MB", "600")) * 1_000_000
TASKS, SECONDS = 60, 0.010
WORKERS = (1, 2, 4)
LOOK = 0.05  # seconds between looks at memory

DATA: Any = None  # the global


def against(row: str) -> str:
    """Name the row that a row's ratio is against: joblib's, with as many workers."""
    return row.replace(row.partition(":")[0], BASE)


def make() -> Any:
    import numpy as np

    return np.arange(SIZE // 4, dtype=np.float32)


def work(array: Any, number: int) -> float:
    """Read a sixtieth of the array; last about 10 ms."""
    begun = time.perf_counter()
    part = array[number * len(array) // TASKS : (number + 1) * len(array) // TASKS]
    total = float(part.sum())
    time.sleep(max(SECONDS - (time.perf_counter() - begun), 0))
    return total


def experiment(context: Any, config: Any) -> Any:
    if "i" not in config:
        return make()  # whose results are a parameter of others
    if "array" in config:
        return work(config.array, config.i)
    if "array" in config.settings:
        return work(config.settings["array"], config.i)
    if "step" in config.settings:
        return work(context.cached(make), config.i)
    return work(DATA, config.i)


def run(kind: str, workers: int, array: Any) -> None:
    global DATA
    if kind == BASE:
        from joblib import Parallel, delayed

        Parallel(n_jobs=workers)(delayed(work)(array, i) for i in range(TASKS))
        return
    from memento import Memento

    executor = "threads" if kind.endswith("threads") else None
    memento = Memento(experiment, num_workers=workers, progress=False, executor=executor, store="store")
    numbers: dict[str, Any] = {"i": list(range(TASKS))}
    if kind == "upstream result":
        memento.add_matrix({"id": "array", "parameters": {}})
        memento.add_matrix({"id": "read", "dependencies": ["array"], "parameters": numbers})
        every = memento.run_all()
        assert every is not None
        results = every["read"]
    else:
        if kind == "global":
            DATA = array
        settings = {"setting": {"array": array}, "cached step": {"step": True}}.get(kind, {})
        given = {"array": [array]} if kind.startswith("parameter") else {}
        results = memento.run({"parameters": {**given, **numbers}, "settings": settings})
    assert results is not None
    assert len(results) == TASKS


def once(kind: str, workers: int) -> tuple[float, float]:
    """Return what making the array took, and what the tasks took."""
    begun = time.perf_counter()
    array = None if kind in ("cached step", "upstream result") else make()
    between = time.perf_counter()
    run(kind, workers, array)
    return between - begun, time.perf_counter() - between


def watch(pid: int, told: int) -> None:
    """Look at the memory of a process and all below it until somebody writes to our stdin; tell the peaks, in MB."""
    import select

    before, most, most_shared = shared_memory(), 0, 0
    while not select.select([0], [], [], LOOK)[0]:
        whole = in_shared = 0
        for one in (pid, *below(pid, os.getpid())):
            with contextlib.suppress(OSError), open(f"/proc/{one}/smaps_rollup", encoding="ascii") as file:
                fields = {line.split()[0]: int(line.split()[1]) for line in file.readlines()[1:]}
                whole += fields["Pss:"]
                in_shared += fields["Pss_Shmem:"]
        most = max(most, whole)
        most_shared = max(most_shared, whole - in_shared + shared_memory() - before)
    os.write(told, json.dumps([most / 1024, most_shared / 1024]).encode())


def shared_memory() -> int:
    """Return the machine's, in kilobytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Shmem:"))


def below(pid: int, but: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                for child in map(int, file.read().split()):
                    if child != but:
                        yield child
                        yield from below(child, but)


def in_a_new_process(kind: str, workers: int) -> tuple[float, list[float]]:
    """Return the seconds over what making the array took, and peaks of memory."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, kind, str(workers)], stdout=subprocess.PIPE, text=True
    )
    looker = subprocess.Popen(
        [sys.executable, __file__, "--watch", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    told = process.communicate()[0]
    took = time.perf_counter() - begun
    assert process.returncode == 0
    peaks = json.loads(looker.communicate("\n")[0])
    return took - json.loads(told)[0], peaks


def measure(kind: str) -> dict[str, float]:
    figures = {}
    for workers in WORKERS:
        name = f"{kind}: {workers} worker{'s' * (workers > 1)}"
        shutil.rmtree("store", ignore_errors=True)
        figures[name], (figures[f"{name}, MB"], figures[f"{name}, MB and shared memory"]) = in_a_new_process(
            kind, workers
        )
        if kind != BASE and workers == WORKERS[0]:
            figures[f"{kind}: again"] = in_a_new_process(kind, workers)[0]
    return figures


if __name__ == "__main__":
    if sys.argv[1] == "--watch":
        watch(int(sys.argv[2]), 1)
    elif len(sys.argv) > 2:
        print(json.dumps(once(sys.argv[1], int(sys.argv[2]))))
    else:
        print(json.dumps(measure(sys.argv[1])))
