"""A thousand tasks of 10 ms on two workers: how much of two cores the tasks get."""

from __future__ import annotations

import time
from typing import Any

import ranges

TITLE = "1,000 tasks of 10 ms on 2 workers: wall time over 5 s"
UNIT = "wall / ideal"
BASE = ranges.ALONE
MUST = "<= 1.053 of the tasks alone (95 %)"
CONTENDERS = {**ranges.CONTENDERS, ranges.ALONE: "ours"}
COUNT, SECONDS = 1_000, 0.01


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return nap(config.n)


def nap(number: int) -> int:
    time.sleep(SECONDS)
    return number


if __name__ == "__main__":
    ranges.time_over_ideal(nap, experiment, COUNT, SECONDS)
