"""What importing costs, in a fresh process, above a bare Python."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

TITLE = "import, above bare Python"
MUST = "<= 0.35 of joblib"
UNIT = "ms"
BASE = "joblib"
CONTENDERS = {"memento": "ours", "joblib": "ours", "memento-ml 1.2.0": "ancestor"}
MODULES = {"memento": "memento", "joblib": "joblib", "memento-ml 1.2.0": "memento"}


def seconds(code: str) -> float:
    before = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - before


if __name__ == "__main__":
    module = MODULES[sys.argv[1]]
    seconds(f"import {module}")  # the files are in the page cache from here on
    # A difference of two noisy figures: each is a median of its own.
    loaded, bare = [], []
    for _ in range(7):
        loaded.append(seconds(f"import {module}"))
        bare.append(seconds("pass"))
    print(json.dumps(max(0.0, statistics.median(loaded) - statistics.median(bare)) * 1e3))
