"""A grid in a process of its own, for tests that kill it, starve it or damage its store.

Knows: the public face of Memento, processes. May not know: how faults are injected.

The journal tells what was done when: "start N", "step N STEP" (of tasks with checkpoints), "told DONE FAILED".
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from memento.records import DONE
from memento.store.store import Store

PATIENCE = 300.0  # seconds that anything may take on a busy machine

SCRIPT = """
import os, sys, time
import numpy as np
import memento.display.base
from memento import Memento
from memento.events import TasksFinished

JOURNAL = os.environ["JOURNAL"]

def note(line):
    descriptor = os.open(JOURNAL, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, (line + "\\n").encode())
    os.close(descriptor)

def allowed():
    # How many tasks may end for now, as the test says in a file.
    if "ALLOWED" not in os.environ:
        return sys.maxsize
    with open(os.environ["ALLOWED"]) as file:
        return int(file.read())

class Told:
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def listen(self, event):
        if isinstance(event, TasksFinished):
            note(f"told {event.done} {event.failed}")

def experiment(context, config):
    n = config.n
    note(f"start {n}")
    while n >= allowed():
        time.sleep(0.01)
    time.sleep(float(os.environ.get("SLOW", "0")))
    if n % 5 == 0:
        step, total = context.restore() if context.checkpoint_exist() else (0, 0.0)
        while step < 4:
            note(f"step {n} {step}")
            total += n * step
            step += 1
            context.checkpoint(step, total)
        return total
    if n % 5 == 1:
        return np.full(3_000, float(n))
    return {"n": n, "text": "x" * n}

def expected(n):
    if n % 5 == 0:
        return n * 6.0
    return np.full(3_000, float(n)) if n % 5 == 1 else {"n": n, "text": "x" * n}

if __name__ == "__main__":
    memento.display.base.make_display = lambda *_, **__: Told()
    tasks = int(os.environ["TASKS"])
    runs = Memento(experiment, num_workers=2, executor=os.environ["EXECUTOR"], store=os.environ["STORE"],
                   on_code_change="ignore", timeout=float(os.environ.get("TIMEOUT", "0")) or None)
    results = runs.run({"parameters": {"n": list(range(tasks))}})
    for result in results:
        np.testing.assert_equal(result.inner, expected(result.config.n))
    print("complete", len(results), flush=True)
"""


def value_of(n: int) -> Any:
    """Return what the script's task computes."""
    import numpy as np

    if n % 5 == 0:
        return n * 6.0
    return np.full(3_000, float(n)) if n % 5 == 1 else {"n": n, "text": "x" * n}


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    code: int
    output: str

    @property
    def complete(self) -> bool:
        """Whether it computed everything, and everything was right."""
        return self.code == 0 and "complete" in self.output


class Victim:
    """A grid that is run as often as it takes.

    Parameters
    ----------
    folder : Path
        Where the script, its store and its journal are.
    tasks : int
        How many.
    executor : str
        Which.
    """

    def __init__(self, folder: Path, tasks: int = 12, executor: str = "serial", **environment: str) -> None:
        self.folder, self.tasks = folder, tasks
        self.store, self.journal = folder / "store", folder / "journal"
        self._allowed = folder / "allowed"
        script = folder / "victim.py"
        script.write_text(textwrap.dedent(SCRIPT), encoding="utf-8")
        self.token = f"{os.getpid()}-{folder.name}"
        self.command: list[str] = [sys.executable, str(script)]
        self.environment = {
            **os.environ,
            "STORE": str(self.store),
            "JOURNAL": str(self.journal),
            "TASKS": str(tasks),
            "EXECUTOR": executor,
            "VICTIM": self.token,
            **environment,
        }

    def start(self, *before: str, **environment: str) -> subprocess.Popen[str]:
        """Start a run; `before` is a command that runs it, like faketime."""
        return subprocess.Popen(
            [*before, *self.command],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def allow(self, tasks: int) -> None:
        """Have only so many tasks end until more are allowed; the others begin, and wait."""
        fresh = self._allowed.with_suffix(".new")
        fresh.write_text(str(tasks), encoding="ascii")
        fresh.replace(self._allowed)
        self.environment["ALLOWED"] = str(self._allowed)

    def run(self, *before: str, **environment: str) -> Ended:
        """Run to the end, whatever that is; nothing may be left of it."""
        return self.wait(self.start(*before, **environment))

    def wait(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for a run to end; nothing may be left of it."""
        try:
            output, _ = process.communicate(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return Ended(process.returncode, output)

    def left(self) -> list[int]:
        """Return the processes of this grid that are alive."""
        mark, found = f"VICTIM={self.token}".encode(), []
        for pid in psutil.pids():
            with suppress(OSError):
                if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found.append(pid)
        return found

    def all_gone(self, seconds: float = 60.0) -> bool:
        """Tell whether all processes end in that time; two seconds are enough where nothing keeps them from running."""
        return until(lambda: not self.left(), seconds)

    def lines(self, kind: str) -> list[list[int]]:
        """Return the numbers of the journal's lines of one kind."""
        if not self.journal.exists():
            return []
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        return [[int(number) for number in line[1:]] for line in lines if line[0] == kind]

    def starts(self) -> Counter[int]:
        """Return how often each task was started."""
        return Counter(number for (number,) in self.lines("start"))

    def told(self) -> int:
        """Return how many tasks were told as done."""
        return sum(done for done, _ in self.lines("told"))

    def done(self) -> dict[int, Any]:
        """Return what the store has: task -> value."""
        import json

        if not (self.store / "index.sqlite").exists():
            return {}
        with Store.open(self.store) as store:
            records = [record for record in store.index.recent() if record.status == DONE]
            numbers = [json.loads(record.params)["n"] for record in records]
            assert len(set(numbers)) == len(numbers), "a task has two results"
            return {n: store.value(record) for n, record in zip(numbers, records, strict=True)}

    def forget_journal(self) -> None:
        """Begin a new journal."""
        self.journal.unlink(missing_ok=True)


def until(happened: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait for something to be true; tell whether it came."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def check_books(victim: Victim, in_flight: int) -> None:
    """Run a killed grid to its end; nothing that was told as done is lost, nothing that is done runs again."""
    import numpy as np

    told, done = victim.told(), victim.done()
    assert told <= len(done), f"{told} tasks were told as done, {len(done)} are in the store"
    for number, value in done.items():
        np.testing.assert_equal(value, value_of(number))
    begun = set(victim.starts())
    victim.forget_journal()
    ended = victim.run()
    assert ended.complete, ended.output
    again = set(victim.starts())
    assert not again & done.keys(), f"computed again though done: {sorted(again & done.keys())}"
    assert again | done.keys() == set(range(victim.tasks))
    assert len(again & begun) <= in_flight, f"more than what was in flight ran again: {sorted(again & begun)}"
    assert victim.done().keys() == set(range(victim.tasks))
    with Store.open(victim.store) as store:
        statuses = [run.status for run in store.index.runs()]
        assert set(statuses) <= {"died", "failed", "done"}, statuses
        with cast(Any, store.index).database.writing() as connection:
            assert not connection.execute("SELECT count(*) FROM claims").fetchone()[0], "claims are left"
    assert not list((victim.store / "checkpoints").glob("*/*")), "checkpoints of done tasks are left"


def chosen(seed: int, low: float, high: float) -> float:
    """Draw a number, and print the seed that repeats it."""
    print(f"seed {seed}")
    return random.Random(seed).uniform(low, high)


__all__ = ["PATIENCE", "Ended", "Sequence", "Victim", "check_books", "chosen", "until", "value_of"]
