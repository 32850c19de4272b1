"""The grid of `noop_cold` once more, in a fresh process: everything is there already."""

from __future__ import annotations

import noop_cold

TITLE = "warm: the same 10,000 tasks again, in a fresh process (imports counted)"
MUST = "<= 0.04 of joblib + Memory"
UNIT = "µs a task"
BASE = "joblib Parallel + Memory"
CONTENDERS = {name: home for name, home in noop_cold.CONTENDERS.items() if "keeps nothing" not in name}
AGAIN = True

if __name__ == "__main__":
    noop_cold.main()
