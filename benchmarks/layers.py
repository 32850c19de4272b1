"""Where the time of a task that does nothing goes, room by room: `python -m benchmarks.layers`.

A profiler slows calls more than what they do, so only shares come from it: each room's share of the profile, times
the processor time of the same run without a profiler. What C code costs counts for the room that called it.
"""

from __future__ import annotations

import cProfile
import pstats
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

TASKS = 100_000
_ROOM = re.compile(r"/memento/(\w+)(?:/(\w+))?")


def experiment(context: Any, config: Any) -> Any:  # noqa: ARG001 - what an experiment gets
    return config.a + config.b


def grid(executor: str, store: str) -> None:
    from memento import Memento

    matrix = {"parameters": {"a": list(range(TASKS // 100)), "b": list(range(100))}}
    results = Memento(experiment, num_workers=2, executor=executor, store=store, progress=False).run(matrix)
    assert results is not None
    assert len(results) == TASKS


def room(file: str) -> str:
    """Name the room that a file belongs to; the store and the executors by file."""
    found = _ROOM.search(file)
    if found is None:
        return "Python and packages"
    folder, name = found[1], found[2]
    return f"{folder}/{name}" if name and folder in ("store", "executors", "runner") else folder


def shares(profile: cProfile.Profile) -> dict[str, float]:
    """Return each room's share of the time."""
    seconds: dict[str, float] = defaultdict(float)
    for (file, _, name), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if "epoll" in name or "poll" in name:
            continue  # waiting
        if file != "~":
            seconds[room(file)] += own
        else:
            for (caller, _, _), (_, _, part, _) in callers.items():
                seconds[room(caller)] += part
    whole = sum(seconds.values())
    return {name: part / whole for name, part in seconds.items()}


def budget(title: str, run: Callable[[], None], profiled: Callable[[], None]) -> None:
    before = time.process_time()
    run()
    spent = (time.process_time() - before) / TASKS * 1e6
    profile = cProfile.Profile()
    profile.runcall(profiled)
    print(f"\n### {title}: {spent:.1f} µs a task\n\n| room | µs a task |\n| --- | --- |")
    rest = 0.0
    for name, share in sorted(shares(profile).items(), key=lambda pair: -pair[1]):
        if share < 0.01:
            rest += share
        else:
            print(f"| {name} | {share * spent:.2f} |")
    print(f"| the rest | {rest * spent:.2f} |", flush=True)


def main() -> None:
    """Print the tables."""
    sys.path[:] = [path for path in sys.path if path]
    with tempfile.TemporaryDirectory(prefix="memento-bench-") as folder:
        grid("serial", f"{folder}/first")  # imports
        for executor, title in (
            ("processes", "coordinator of two worker processes"),
            ("serial", "all in one process: coordinator and worker"),
        ):
            budget(
                title,
                lambda e=executor: grid(e, f"{folder}/{e}"),
                lambda e=executor: grid(e, f"{folder}/{e}-2"),
            )  # type: ignore[misc]
        budget(
            "again, all cached",
            lambda: grid("serial", f"{folder}/serial"),
            lambda: grid("serial", f"{folder}/serial"),
        )


if __name__ == "__main__":
    main()
