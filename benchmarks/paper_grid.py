"""The paper's grid on two workers: how much of two cores the tasks themselves get."""

from __future__ import annotations

import json
import sys
import time

TITLE = "the paper's grid on 2 workers: wall time over (sum of task times / 2)"
MUST = "<= 1.053 of ideal (95 %)"
UNIT = "wall / ideal"
BASE = "ideal"
CONTENDERS = {"memento": "ours", "ideal": "ours"}

if __name__ == "__main__":
    if sys.argv[1] == "ideal":
        print(json.dumps(1.0))
    else:
        from memento import Memento
        from memento.cli.demo import demo_matrix, experiment

        before = time.perf_counter()
        results = Memento(experiment, num_workers=2, progress=False).run(demo_matrix(broken=False))
        wall = time.perf_counter() - before
        work = sum(result.runtime.total_seconds() for result in results)
        print(json.dumps(wall / (work / 2)))
