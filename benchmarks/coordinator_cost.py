"""What a coordinator of pilots costs: processor time for each task, and for each second in which nothing happens.

Knows: pilots' messages and streams, the public face of Memento. May not know: engines.

    python -m benchmarks.coordinator_cost                 prints the table of docs/scaling.md (some minutes)
    python -m benchmarks.coordinator_cost once KIND       one figure

Pilots are played by another process: it reads what they are told, and says what they would say. So what is measured is
the coordinator alone: planning, claims, streams, commits, looks. Each figure comes from a process of its own, kinds in
turn, and each round has bare peers: a future for each task in `concurrent.futures`, and looks at as many files.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from memento import Memento
from memento.executors.base import Message, Running
from memento.executors.pilots import charter as charters
from memento.executors.pilots import pilot_messages
from memento.executors.pilots.executor import PilotExecutor
from memento.executors.pilots.pilot_messages import Beat, Do, Ended, Here
from memento.executors.pilots.streams import Reader, Writer
from memento.layout import HANDED, PILOTS
from memento.records import DONE, Encoded, Outcome
from memento.worker.handover import Left

TASKS = 20_000  # that end at once
QUIET = 15.0  # seconds in which nothing ends
UNITS = {
    "task": "µs of the coordinator's processor time a task",
    "quiet": "% of a core, while nothing ends",
}
KINDS = {
    "task: 30 pilots": (30, 32, 0.0),
    "task: 300 pilots": (300, 32, 0.0),
    "task: this machine's processes": (0, 2, 0.0),
    "task: concurrent.futures, one future a task": (0, 0, 0.0),
    "quiet: 300 pilots, a task each": (300, 1, 1e9),
    "quiet: 300 pilots, 32 tasks each": (300, 32, 1e9),
    "quiet: bare looks at 300 files": (300, 0, 1e9),
}


class Played(PilotExecutor):
    """An engine whose pilots another process plays; notes what the coordinator spends while they are quiet."""

    name = "played"
    outlives = False

    def __init__(self, pilots: int, width: int, seconds: float) -> None:
        super().__init__(pilots * width)
        self.width, self._count, self._seconds = width, pilots, seconds
        self.beat = 2.0  # as on Slurm
        self._player: subprocess.Popen[bytes] | None = None
        self._since: tuple[float, float] | None = None  # when all ran, and what was spent until then
        self.share = 0.0  # of a core

    def ask(self, count: int) -> Collection[str]:
        if self._player is None:
            told = ["play", str(self._handing.folder), str(self._count), str(self.width), str(self._seconds)]
            self._player = subprocess.Popen([sys.executable, "-m", "benchmarks.coordinator_cost", *told])
        return [self.new_pilot() for _ in range(count)]

    def gone(self) -> Mapping[str, str]:
        return {}

    def end(self, names: Collection[str]) -> None:
        """Nothing: the player ends with the run."""

    def close(self) -> None:
        super().close()
        if self._player is not None:
            self._player.kill()
            self._player.wait()

    def poll(self, timeout: float) -> list[Message]:
        messages = super().poll(timeout)
        if self._seconds and sum(len(pilot.tasks) for pilot in self.pilots.values()) == self.count:
            now, spent = time.monotonic(), time.process_time()
            if self._since is None:
                self._since = (now + 12.0, spent)  # until all have been told something
            elif now < self._since[0]:
                self._since = (self._since[0], spent)
            elif now - self._since[0] > QUIET:
                self.share = (spent - self._since[1]) / (now - self._since[0])
                raise KeyboardInterrupt
        return messages


def play(run: str, count: int, width: int, seconds: float) -> None:
    """Be so many pilots: run what each is told to for so many seconds."""
    folder = Path(run, PILOTS)
    pilots: dict[str, tuple[Reader, Writer]] = {}
    at: dict[str, dict[int, float]] = {}
    beaten, beat, work = 0.0, 2.0, None
    parent = os.getppid()
    while os.getppid() == parent:
        now, busy = time.monotonic(), False
        for name in sorted(os.listdir(folder)) if len(pilots) < count else ():
            if name not in pilots and (folder / name / "charter.json").exists():
                writer = Writer(charters.heard_from(folder / name, 1))
                writer.append(pilot_messages.pack_all([Here(name, 1, width, None, run=Path(run).name)]))
                beat = charters.read_charter(folder / name).beat
                pilots[name], at[name] = (Reader(charters.told_to(folder / name, 1)), writer), {}
        for name, (reader, writer) in pilots.items():
            out = []
            for data in reader.read():
                told = pilot_messages.told(data)
                if isinstance(told, Do):
                    work = work or pickle.loads(Path(run, HANDED).read_bytes())
                    for task in told.batch.tasks:
                        if seconds:
                            at[name][task.number] = now
                        else:
                            value = Encoded("json", b"0.5", None, 3, "builtins:float")
                            facts = (task.number, DONE, task.attempt, time.time(), 0.01, 0.01, 10_000_000)
                            outcome = Outcome(*facts, None, "host/1", value, (), (), None, None)
                            codes = work.codes[task.version]
                            left = Left(
                                work.run, work.experiment, task.key, codes[0] if codes else b"", outcome
                            )
                            out.append(Ended(left))
            if now - beaten >= beat:
                running = tuple(Running("host/1", number, now - since) for number, since in at[name].items())
                out.append(Beat(running, None))
            if out:
                busy = True
                writer.append(pilot_messages.pack_all(out))
        if now - beaten >= beat:
            beaten = now
        if not busy:
            time.sleep(0.05)


def nothing(x: int, y: int) -> float:
    """Do nothing."""
    return x + y + 0.5


def once(kind: str) -> float:
    """Return one figure."""
    pilots, width, seconds = KINDS[kind]
    if "bare looks" in kind:
        return bare_looks(pilots)
    if "futures" in kind:
        return bare_futures()
    side = pilots * width if seconds else TASKS // 100
    matrix = {"parameters": {"x": list(range(side)), "y": list(range(1 if seconds else 100))}}
    executor: Any = Played(pilots, width, seconds) if pilots else "processes"
    with tempfile.TemporaryDirectory(prefix="memento-cost-") as folder:
        runs = Memento(nothing, executor=executor, num_workers=None if pilots else 2, store=folder)
        began = time.process_time()
        if seconds:
            with contextlib.suppress(KeyboardInterrupt):  # `Played` ends it when it has its figure
                runs.run(matrix)
            return float(executor.share * 100)
        runs.run(matrix)
        return (time.process_time() - began) / TASKS * 1e6


def bare_futures() -> float:
    """Return what a future for each task costs its parent."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(2) as pool:
        pool.submit(nothing, 0, 0).result()
        began = time.process_time()
        for future in [pool.submit(nothing, n, 0) for n in range(TASKS)]:
            future.result()
        return (time.process_time() - began) / TASKS * 1e6


def bare_looks(count: int) -> float:
    """Return what it costs to ask each second for the size of so many files, and to read 200 new bytes every other."""
    with tempfile.TemporaryDirectory(prefix="memento-cost-") as folder:
        paths = [os.path.join(folder, str(number)) for number in range(count)]
        for path in paths:
            Path(path).write_bytes(bytes(200))
        began, spent = time.monotonic(), time.process_time()
        for turn in range(int(QUIET)):
            for path in paths:
                descriptor = os.open(path, os.O_RDONLY)
                os.fstat(descriptor)
                if turn % 2:
                    os.read(descriptor, 200)
                os.close(descriptor)
            time.sleep(max(began + turn + 1 - time.monotonic(), 0))
        return (time.process_time() - spent) / (time.monotonic() - began) * 100


def main(rounds: int = 3) -> None:
    """Print the table."""
    figures: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, found in figures.items():
            command = [sys.executable, "-m", "benchmarks.coordinator_cost", "once", kind]
            environment = {**os.environ, "MEMENTO_STORE": ""}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                raise SystemExit(f"{kind}: {done.stderr[-2000:]}")
            found.append(float(json.loads(done.stdout.splitlines()[-1])))
    for unit, words in UNITS.items():
        chosen = {kind: found for kind, found in figures.items() if kind.startswith(unit)}
        base = statistics.median(list(chosen.values())[-1])
        print(
            f"\n| {words} | median of {rounds} | lowest - highest | ratio to the last |\n| --- | --- | --- | --- |"
        )
        for kind, found in chosen.items():
            median = statistics.median(found)
            spread = f"{min(found):.3g} - {max(found):.3g}"
            print(
                f"| {kind.partition(': ')[2]} | {median:.3g} | {spread} | {median / base:.2f} |", flush=True
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["play"]:
        play(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
    elif sys.argv[1:2] == ["once"]:
        print(json.dumps(once(sys.argv[2])))
    else:
        main(*map(int, sys.argv[1:]))
