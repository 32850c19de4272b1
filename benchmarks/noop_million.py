"""A million tasks that do nothing: cold, warm, grown by one value, and read as a frame; time and memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import Any

TITLE = "1,000,000 tasks that do nothing: cold, again in a fresh process, grown by 1,000, as a frame"
UNIT = "s, or MB"
BASE = "cold, s"
MUST = "warm <= 5 s, grown <= 6 s, frame <= 4 s, memory <= 400 MB"
CONTENDERS = {"memento": "ours"}
FULL = True
SIDE = 1_000


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return config.a + config.b


def measure(step: str) -> None:
    from memento import Memento

    rows = SIDE + (step == "grown")
    before = time.perf_counter()
    matrix = {"parameters": {"a": list(range(rows)), "b": list(range(SIDE))}}
    results = Memento(experiment, num_workers=2, progress=False, store="store").run(matrix)
    assert results is not None
    assert len(results) == rows * SIDE
    figures = {f"{step}, s": time.perf_counter() - before, f"{step}, MB at most": peak()}
    if step == "warm":
        import pandas  # noqa: F401 - its import is not the frame's

        before = time.perf_counter()
        assert len(results.to_frame()) == rows * SIDE
        figures["frame, s"] = time.perf_counter() - before
    print(json.dumps(figures))


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if len(sys.argv) > 2:
        measure(sys.argv[2])
    else:
        figures: dict[str, float] = {}
        for step in ("cold", "warm", "grown"):
            command = [sys.executable, __file__, sys.argv[1], step]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures |= json.loads(done.stdout)
        print(json.dumps(figures))
