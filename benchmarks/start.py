"""From nothing to something: the help text, and the first result of a grid of one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

TITLE = "whole process: memento --help; a grid of one task"
UNIT = "ms"
BASE = "joblib Parallel + Memory, 1 task"
MUST = "help <= 200 ms, one task <= 250 ms"
CONTENDERS = {
    "bare Python": "ours",
    "memento --help": "ours",
    "memento, 1 task": "ours",
    "joblib Parallel + Memory, 1 task": "ours",
    "memento-ml 1.2.0, 1 task": "ancestor",
}
OURS = """
from memento import Memento
def experiment(context, config):
    return config.a
if __name__ == "__main__":
    assert Memento(experiment, num_workers=2).run({"parameters": {"a": [1]}})[0].inner == 1
"""
JOBLIB = """
from joblib import Memory, Parallel, delayed
def experiment(a):
    return a
if __name__ == "__main__":
    cached = Memory("cache", verbose=0).cache(experiment)
    assert Parallel(n_jobs=2)(delayed(cached)(a) for a in [1]) == [1]
"""


def command(contender: str) -> list[str]:
    if contender == "bare Python":
        return [sys.executable, "-c", "pass"]
    if contender == "memento --help":
        return [str(Path(sys.executable).with_name("memento")), "--help"]
    Path("script.py").write_text(JOBLIB if "joblib" in contender else OURS)
    return [sys.executable, "script.py"]


if __name__ == "__main__":
    whole = command(sys.argv[1])
    before = time.perf_counter()
    subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(json.dumps((time.perf_counter() - before) * 1e3))
