"""What a million recorded values of one task take in the store, and how long their frame takes, in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TITLE = "context.record: 1,000,000 values of one task, stored and read as a frame in a fresh process"
UNIT = "bytes a value, or s"
BASE = "np.save: frame, s"
MUST = "<= 20 bytes a value, frame <= 0.5 s"
CONTENDERS = {"memento": "ours", "np.save": "ours"}
VALUES = 1_000_000


def experiment(context: Any, config: Any) -> None:
    for step in range(config.n):
        context.record({"loss": (step, 1 / (1 + step))})


def write(contender: str) -> None:
    if contender == "memento":
        from memento import Memento

        Memento(experiment, num_workers=1, progress=False, store="store").run({"parameters": {"n": [VALUES]}})
        return
    import numpy as np

    Path("store").mkdir()
    x = np.arange(VALUES, dtype=np.float64)
    np.save("store/x.npy", x)
    np.save("store/y.npy", 1 / (1 + x))


def read(contender: str) -> float:
    import pandas as pd  # its import is not the frame's

    if contender == "memento":
        import memento

        before = time.perf_counter()
        frame = memento.load("store")[0].metrics["loss"]
    else:
        import numpy as np

        before = time.perf_counter()
        frame = pd.DataFrame({"x": np.load("store/x.npy"), "y": np.load("store/y.npy")})
    spent = time.perf_counter() - before
    assert frame["x"].iloc[-1] == VALUES - 1
    assert frame["y"].iloc[-1] == 1 / VALUES
    return spent


if __name__ == "__main__":
    contender = sys.argv[1]
    if len(sys.argv) > 2:
        print(json.dumps(read(contender)))
    else:
        write(contender)
        size = sum(file.stat().st_size for file in Path("store").rglob("*") if file.is_file())
        command = [sys.executable, __file__, contender, "read"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(
            json.dumps(
                {
                    f"{contender}: bytes a value": size / VALUES,
                    f"{contender}: frame, s": json.loads(done.stdout),
                }
            )
        )
