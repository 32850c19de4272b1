"""What `context.record` costs a value."""

from __future__ import annotations

import json
import sys
from typing import Any

TITLE = "context.record: 100,000 values in one task (1.2.0: 20,000)"
UNIT = "µs a value"
BASE = "list.append of two floats"
MUST = "<= 3 µs a value"
CONTENDERS = {"memento": "ours", "list.append of two floats": "ours", "memento-ml 1.2.0": "ancestor"}
VALUES = {"memento-ml 1.2.0": 20_000}


def experiment(context: Any, config: Any) -> Any:
    import time

    record = context.record
    before = time.perf_counter()
    for step in range(config.n):
        record({"loss": 0.5 + step})
    return (time.perf_counter() - before) / config.n * 1e6


def append(count: int) -> float:
    import time

    kept: list[tuple[float, float]] = []
    before = time.perf_counter()
    for step in range(count):
        kept.append((float(step), 0.5 + step))
    return (time.perf_counter() - before) / count * 1e6


if __name__ == "__main__":
    contender = sys.argv[1]
    count = VALUES.get(contender, 100_000)
    if contender == BASE:
        print(json.dumps(append(count)))
    else:
        from memento import Memento

        results = Memento(experiment, num_workers=1).run({"parameters": {"n": [count]}})
        print(json.dumps(results[0].inner))
