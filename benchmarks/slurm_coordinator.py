"""What a coordinator costs a login node while 300 jobs run: pilots that beat, each with four long tasks.

The pilots are played by one process, which writes what they would; Slurm's commands answer at once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

TITLE = "A coordinator on a login node while 300 Slurm jobs run tasks of hours"
MUST = "<= 1 % of a core"
UNIT = "% of a core"
BASE = "300 jobs"
FULL = True
CONTENDERS = {"300 jobs": "ours"}
JOBS, WIDTH, SECONDS = 300, 4, 20.0


def beat(streams: Sequence[str], ready: Any) -> None:
    """Be all pilots."""
    from memento.executors.base import Running
    from memento.executors.pilots.pilot_messages import Beat, Here, pack_all
    from memento.executors.pilots.streams import Writer
    from memento.executors.slurm.engine import Slurm

    writers = [Writer(path) for path in streams]
    for number, writer in enumerate(writers):
        writer.append(pack_all([Here("host", number, WIDTH, 86_400.0, f"{number}@n{number}")]))
    ready.set()
    while True:
        began = time.monotonic()
        for number, writer in enumerate(writers):
            running = tuple(Running(f"n{number}/1", WIDTH * number + place, 100.0) for place in range(WIDTH))
            writer.append(pack_all([Beat(running, 80_000.0)]))
        time.sleep(max(Slurm.beat - (time.monotonic() - began), 0.1))


def main() -> float:
    """Return the share of a core, in percent, that a coordinator uses."""
    from memento.executors.pilots.charter import heard_from
    from memento.executors.slurm.engine import Slurm
    from memento.keys.project_files import Script
    from memento.values import pickling
    from memento.worker.portable import Portable
    from memento.worker.work import Task, Work

    class Played(Slurm):
        def ask(self, count: int) -> Collection[str]:
            return [self.new_pilot() for _ in range(count)]

        def gone(self) -> Mapping[str, str]:
            return {}

    bin_folder = Path("bin")
    bin_folder.mkdir()
    for command in ("sbatch", "squeue", "scancel", "sacct", "scontrol", "sinfo"):
        (bin_folder / command).write_text("#!/bin/sh\nexit 0\n")
        (bin_folder / command).chmod(0o755)
    os.environ["PATH"] = f"{bin_folder.resolve()}{os.pathsep}{os.environ['PATH']}"
    store = Path.cwd() / "store"
    store.mkdir()
    function = Portable(lambda context, config: config.x, "the function")
    script = Script("script.py", "script", (str(store),), "")
    work = Work(
        run="run-1",
        experiment="bench:experiment",
        function=function,
        settings=Portable({}, "settings"),
        layouts=[("x",)],
        values=[pickling.dumps(1)],
        store=str(store),
        script=script,
        sys_path=list(sys.path),
        cwd=str(store),
        num_workers=JOBS * WIDTH,
    )
    executor = Played(max_jobs=JOBS, tasks_per_job=WIDTH, time="24h")
    executor.start(work)
    executor.ask(JOBS - len(executor.pilots))
    streams = [str(heard_from(pilot.folder, 1)) for pilot in executor.pilots.values()]
    ready = multiprocessing.Event()
    pilots = multiprocessing.Process(target=beat, args=(streams, ready), daemon=True)
    pilots.start()
    ready.wait()
    executor.submit([Task(n, n.to_bytes(16, "big"), 0, (0,), 0, 1, 3600.0) for n in range(JOBS * WIDTH)])
    for _ in range(20):
        executor.poll(0.2)
    given = sum(len(pilot.tasks) for pilot in executor.pilots.values())
    assert given == JOBS * WIDTH, given
    before, end = resource.getrusage(resource.RUSAGE_SELF), time.monotonic() + SECONDS
    began = time.monotonic()
    while time.monotonic() < end:
        executor.poll(0.2)
    used = resource.getrusage(resource.RUSAGE_SELF)
    pilots.kill()
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return 100.0 * cpu / (time.monotonic() - began)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(json.dumps(main()))
