"""`noop_warm` at 100,000 tasks, where imports no longer decide."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import noop_cold

TITLE = "warm: 100,000 tasks that do nothing, again in a fresh process (imports counted)"
MUST = "<= 0.06 of joblib + Memory"
UNIT = "µs a task"
BASE = "joblib Parallel + Memory"
CONTENDERS = {"memento": "ours", "joblib Parallel + Memory": "ours"}
FULL = True
noop_cold.SIDE = 316

if __name__ == "__main__":
    contender = sys.argv[1]
    if sys.argv[2:] != ["--again"]:
        command = [sys.executable, __file__, contender, "--again"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # fills the cache
        subprocess.run(command, check=True)
    else:
        before = time.perf_counter()
        count = noop_cold.RUN[contender]()
        print(json.dumps((time.perf_counter() - before) / count * 1e6))
