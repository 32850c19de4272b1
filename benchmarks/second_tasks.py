"""A hundred tasks of a second on two workers: how much of two cores the tasks get."""

from __future__ import annotations

import time
from typing import Any

import ranges

TITLE = "100 tasks of 1 s on 2 workers: wall time over 50 s"
UNIT = "wall / ideal"
BASE = ranges.ALONE
MUST = "<= 1.010 of the tasks alone (99 %)"
CONTENDERS = {ranges.OURS: "ours", ranges.POOL: "ours", ranges.ALONE: "ours"}
FULL = True
COUNT, SECONDS = 100, 1.0


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return nap(config.n)


def nap(number: int) -> int:
    time.sleep(SECONDS)
    return number


if __name__ == "__main__":
    ranges.time_over_ideal(nap, experiment, COUNT, SECONDS)
