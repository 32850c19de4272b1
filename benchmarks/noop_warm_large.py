"""`noop_warm` at 100,000 tasks, where imports no longer decide."""

from __future__ import annotations

import noop_cold

TITLE = "warm: 100,000 tasks that do nothing, again in a fresh process (imports counted)"
MUST = "<= 0.04 of joblib + Memory"
UNIT = "µs a task"
BASE = "joblib Parallel + Memory"
CONTENDERS = {"memento": "ours", "joblib Parallel + Memory": "ours", "exca MapInfra": "exca"}
FULL = AGAIN = True

if __name__ == "__main__":
    noop_cold.SIDE = 316
    noop_cold.main()
