"""Kill a grid's processes at random until it is complete, and count what was lost, repeated, hung or orphaned.

Knows: processes, the index's tables, the journal of `soak_grid`. May not know: the code under test.

    python -m benchmarks.soak --seconds 600 --seed 1            prints a table; exit code 1 where a promise broke
    python -m benchmarks.soak --seconds 20 --tasks 2000         the short form

Every 0.5 to 3 seconds SIGKILL strikes one process of the run's tree, be it coordinator, fork server or worker. When
the coordinator is gone, what it left must be gone in two seconds; then the books are compared, and the same
command starts again. After `--seconds` nobody is killed any more, so that the grid ends.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from memento.system import is_network_path

GRID = Path(__file__).with_name("soak_grid.py")
TOKEN = "SOAK_TOKEN"  # in the environment of everything that belongs to a soak
BETWEEN = (0.5, 3.0)  # seconds between two kills
GONE = 2.0  # seconds in which what a dead coordinator left must have ended
STILL = 60.0  # seconds without any sign of work that count as a hang
LIMIT = 3_600.0  # seconds after which we give up


@dataclass
class Books:
    """What is known of a grid, from its journal and its index; compared each time nothing runs."""

    store: Path
    journal: Path
    done: dict[int, tuple[int, ...]] = field(default_factory=dict)  # row -> task
    numbers: set[tuple[int, ...]] = field(default_factory=set)
    lost: int = 0
    repeated: int = 0
    starts: int = 0
    steps: int = 0
    read: int = 0  # bytes of the journal

    def compare(self) -> None:
        """Read what the last run did, and hold it against what was there before it."""
        started, told = self._journal()
        self.repeated += sum(number in self.numbers for number in started)
        self.starts += len(started)
        before = set(self.done)
        for row, number in self._rows():
            if row in before:
                before.discard(row)
                self.lost += self.done[row] != number
            else:
                self.repeated += number in self.numbers  # a second row for a task that had one
                self.done[row] = number
                self.numbers.add(number)
        self.lost += len(before)
        self.lost += max(0, told - len(self.done))  # told as done and not there

    told_before: int = 0

    def _journal(self) -> tuple[list[tuple[int, ...]], int]:
        """Return the tasks that were started since, and how many were told as done in all."""
        if not self.journal.exists():
            return [], 0
        with open(self.journal, "rb") as file:
            file.seek(self.read)
            text = file.read()
        self.read += len(text)
        started: list[tuple[int, ...]] = []
        for line in text.decode().splitlines():
            kind, *numbers = line.split()
            if kind == "start":
                started.append((int(numbers[0]),))
            elif kind == "step":
                self.steps += 1
            elif kind == "told":
                self.told_before += int(numbers[0])
        return started, self.told_before

    def _rows(self) -> list[tuple[int, tuple[int, ...]]]:
        index = self.store / "index.sqlite"
        if not index.exists():
            return []
        query = (
            "SELECT id, json_extract(params, '$.block') * 50 + json_extract(params, '$.place')"
            " FROM tasks WHERE status = 'done'"
        )
        with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchone():
                return []
            return [(row, (number,)) for row, number in connection.execute(query)]


class Soak:
    """One grid, run and killed until it is complete."""

    def __init__(self, folder: Path, tasks: int, seed: int, seconds: float, gone: float = GONE) -> None:
        self.folder, self.tasks, self.seconds, self.gone = folder, tasks, seconds, gone
        self.random = random.Random(seed)
        self.books = Books(folder / "store", folder / "journal")
        self.kills: Counter[str] = Counter()
        self.runs = self.hangs = self.orphans = 0
        self.errors: list[str] = []
        self.slowest_end = 0.0
        self.began = time.monotonic()

    def to_the_end(self) -> None:
        """Start the grid again and again until it says that it is complete."""
        while time.monotonic() - self.began < LIMIT:
            code = self._one_run()
            self.books.compare()
            if code == 0:
                return
            if code not in (3, -signal.SIGKILL) and not self._killed_server:
                self.errors.append(f"run {self.runs} ended with code {code}: {self._last_words()}")
        self.errors.append(f"not complete after {LIMIT:.0f} s")

    def _one_run(self) -> int:
        self.runs += 1
        self._killed_server = False
        token = f"{os.getpid()}-{self.runs}"
        with open(self.folder / "output", "wb") as output:
            command = [
                sys.executable,
                str(GRID),
                str(self.books.store),
                str(self.books.journal),
                str(self.tasks),
            ]
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={**os.environ, TOKEN: token},
                start_new_session=True,
            )
        try:
            self._strike_until_it_ends(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
        self._wait_for_orphans(token)
        return process.returncode

    def _strike_until_it_ends(self, process: subprocess.Popen[bytes]) -> None:
        seen, since = -1, time.monotonic()
        while True:
            pause = self.random.uniform(*BETWEEN)
            with suppress(subprocess.TimeoutExpired):
                process.wait(pause)
                return
            now = time.monotonic()
            size = self.books.journal.stat().st_size if self.books.journal.exists() else 0
            if size != seen:
                seen, since = size, now
            elif now - since > STILL:
                self.hangs += 1
                self.errors.append(f"run {self.runs} stood still: {self._last_words()}")
                return
            if now - self.began < self.seconds:
                self._strike(process.pid)

    def _strike(self, coordinator: int) -> None:
        """Kill one process of the tree."""
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(coordinator)
            servers = root.children()
            workers = [child for server in servers for child in server.children(recursive=True)]
            tree = [("coordinator", root)]
            tree += [("fork server", server) for server in servers]
            tree += [("worker", worker) for worker in workers]
            role, victim = self.random.choice(tree)
            victim.kill()
            self.kills[role] += 1
            self._killed_server |= role == "fork server"

    def _wait_for_orphans(self, token: str) -> None:
        mark, began = f"{TOKEN}={token}".encode(), time.monotonic()
        while left := [pid for pid in psutil.pids() if has_mark(pid, mark)]:
            if time.monotonic() - began > self.gone:
                self.orphans += len(left)
                for pid in left:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.05)
        self.slowest_end = max(self.slowest_end, time.monotonic() - began)

    def _last_words(self) -> str:
        lines = (self.folder / "output").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:])


def has_mark(pid: int, mark: bytes) -> bool:
    """Tell whether a process lives and belongs to a soak."""
    with suppress(OSError):
        if mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            return state not in "ZX"
    return False


def frame(folder: Path, name: str, tasks: int) -> bytes:
    """Return the frame of a complete grid."""
    path = folder / f"{name}.csv"
    command = [sys.executable, str(GRID), str(folder / name), str(folder / f"{name}.journal"), str(tasks)]
    subprocess.run([*command, "--frame", str(path)], check=True)
    return path.read_bytes()


def table(soak: Soak, same: bool, seed: int) -> str:
    """Return the figures as Markdown."""
    books, kills = soak.books, soak.kills
    rows = [
        ("tasks", f"{soak.tasks:,}"),
        ("seconds from first start to complete", f"{time.monotonic() - soak.began:.0f}"),
        (
            "kills",
            f"{sum(kills.values())}: " + ", ".join(f"{n} of a {role}" for role, n in sorted(kills.items())),
        ),
        ("runs until complete", f"{soak.runs}"),
        ("**finished results lost**", f"{books.lost}"),
        ("**finished tasks repeated**", f"{books.repeated}"),
        ("**hangs**", f"{soak.hangs}"),
        (f"**orphans after {soak.gone:g} s**", f"{soak.orphans}"),
        ("**frame equals the undisturbed run's**", "yes" if same else "NO"),
        ("other errors", f"{len(soak.errors)}"),
        ("unfinished tasks started again", f"{books.starts - soak.tasks:,}"),
        (
            "checkpointed steps, and those computed again",
            f"{books.steps:,}, {books.steps - steps_of(soak.tasks):,}",
        ),
        ("longest time until all of a killed run had ended", f"{soak.slowest_end:.2f} s"),
    ]
    where = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}, seed {seed}"
    body = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"| {where} | |\n| --- | --- |\n{body}\n"


def steps_of(tasks: int) -> int:
    """Return how many checkpointed steps a grid has."""
    return -(-tasks // 125) * 20


def keep(page: Path, name: str, figures: str) -> None:
    """Put a table into a page, in place of the last one of that name."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before.rstrip()}\n\n{begin}{figures}{end}{after}", encoding="utf-8")


def main() -> int:
    """Soak, and say what came of it."""
    parser = argparse.ArgumentParser(description="Kill a grid's processes until it is complete.")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to kill")
    parser.add_argument("--tasks", type=int, default=50_000, help="a multiple of 50")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument(
        "--gone", type=float, default=GONE, help="seconds after which who is left is an orphan"
    )
    parser.add_argument("--out", type=Path, help="keep the table in this page")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="memento-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        assert not is_network_path(folder), "a soak needs a local disk"
        soak = Soak(folder, options.tasks, options.seed, options.seconds, options.gone)
        soak.to_the_end()
        figures = table_of(soak, folder, options.seed)
    print(figures)
    for error in soak.errors:
        print(error)
    if options.out:
        keep(options.out, "this machine's processes", figures)
    books = soak.books
    broken = books.lost or books.repeated or soak.hangs or soak.orphans or soak.errors or "| NO |" in figures
    return 1 if broken else 0


def table_of(soak: Soak, folder: Path, seed: int) -> str:
    """Return the figures, after running the same grid undisturbed."""
    if soak.errors and not soak.books.done:
        return table(soak, False, seed)
    calm = [sys.executable, str(GRID), str(folder / "calm"), str(folder / "calm.journal"), str(soak.tasks)]
    elapsed = table(soak, True, seed)  # its clock stops here
    same = subprocess.run(calm, check=False).returncode == 0
    same = same and frame(folder, "store", soak.tasks) == frame(folder, "calm", soak.tasks)
    return elapsed if same else elapsed.replace("| yes |", "| NO |")


if __name__ == "__main__":
    raise SystemExit(main())
