"""Kill a grid that runs on an engine at random until it is complete: what was lost, repeated, hung or orphaned.

Knows: engines of the tests, processes, the index's tables, the journal of `soak_grid`. May not know: what it kills.

    python -m benchmarks.soak_engines slurm --tasks 20000 --seconds 200      two nodes of a real Slurm
    python -m benchmarks.soak_engines dask                                   two Dask workers
    python -m benchmarks.soak_engines postgres                               four coordinators, an object store
    python -m benchmarks.soak_engines local --tasks 60 --seconds 5           pilots of this machine: needs no engine

Every 2 to 6 seconds one thing is struck: a coordinator (`kill -9`; started again), a fork server, a worker, a pilot, a
worker of Dask, a node (its `slurmd` is killed and its steps live on; or Slurm is told that it failed), the database
(`immediate`), the object store (away for seconds). After `--seconds` nothing is struck any more, so that the grid ends.

What counts. The index is read every second; each task that is done there is noted as "kept" in the journal, in which
tasks note their starts: all in one order. *Lost*: kept once, and later not there or with another value. *Repeated*: a
start that stands after "kept", or a second row. A task may end twice where its place was lost before its result was
kept; these are counted, and are no fault. *Hung*: no sign of work for two minutes. *Orphans*: processes of ours that
are there 30 seconds after the grid was complete, jobs in Slurm's queue, claims in the index.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.soak import GRID, TOKEN, has_mark, keep, steps_of
from benchmarks.soak_grid import WIDTH, note

BETWEEN = (2.0, 6.0)  # seconds between two strikes
LOOK = 1.0  # seconds between two looks at the index
GONE = 30.0  # seconds in which everything must have ended after the grid was complete
STILL = 120.0  # seconds without any sign of work that count as a hang
LIMIT = 1_800.0  # seconds after which we give up
QUERY = "SELECT id, params FROM tasks WHERE status = 'done'"

Strike = tuple[str, Callable[[], object]]


@dataclass
class Books:
    """What is known of a grid, from its journal and its index."""

    journal: Path
    rows: Callable[[], list[tuple[int, str]]]
    kept: dict[int, int] = field(default_factory=dict)  # task -> row
    lost: int = 0
    second_rows: int = 0

    def look(self) -> None:
        """Read which tasks are done, and note the new ones in the journal."""
        found: dict[int, int] = {}
        for row, params in self.rows():
            values = json.loads(params)
            number = values["block"] * WIDTH + values["place"]
            self.second_rows += number in found
            found[number] = row
        gone = [number for number in self.kept if number not in found]
        self.lost += len(gone)
        for number in gone:
            del self.kept[number]
        new = [number for number in found if number not in self.kept]
        self.kept.update(found)
        if new:
            note(str(self.journal), "\n".join(f"kept {number}" for number in new))

    def counted(self) -> Counted:
        """Read the journal from its beginning to its end."""
        counted, kept = Counted(), set[str]()
        with open(self.journal) as lines:
            for line in lines:
                kind, number, *_ = line.split()
                if kind == "start":
                    counted.starts[number] += 1
                    counted.repeated += number in kept
                elif kind == "end":
                    counted.ends[number] += 1
                elif kind == "kept":
                    kept.add(number)
                elif kind == "step":
                    counted.steps += 1
        counted.repeated += self.second_rows
        return counted


@dataclass
class Counted:
    """What the journal says."""

    starts: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    steps: int = 0


class Engine:
    """What runs the grid: the pilots of this machine, by default."""

    name = "local pilots"
    coordinators = 1
    engine = "local"
    away_at_start: tuple[
        str, ...
    ] = ()  # what a coordinator says that is started while the engine is away, and ends at once

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = str(folder / "store")
        self.options: list[str] = []  # of the grid's command
        self.environment: dict[str, str] = {}

    def up(self, stack: ExitStack) -> None:
        """Start it."""

    def strikes(self) -> list[Strike]:
        """Return what can be struck besides processes of ours, each with its name."""
        return []

    def mend(self) -> None:
        """Bring back what was struck and has been away long enough."""

    def whole(self) -> None:
        """Bring back all."""

    def left(self) -> list[str]:
        """Return what is left of the run in the engine."""
        return []

    def rows(self) -> list[tuple[int, str]]:
        """Return the tasks that are done: row and parameters."""
        index = Path(self.store, "index.sqlite")
        if not index.exists():
            return []
        with closing(sqlite3.connect(f"{index.as_uri()}?mode=ro", uri=True)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tasks'").fetchone():
                return []
            return connection.execute(QUERY).fetchall()


class Away:
    """Things that are away for some seconds."""

    def __init__(self) -> None:
        self._back: dict[str, tuple[float, Callable[[], object]]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._back

    def until(self, name: str, seconds: float, back: Callable[[], object]) -> None:
        """Note that something is away."""
        self._back[name] = (time.monotonic() + seconds, back)

    def mend(self, *, now: bool = False) -> None:
        """Bring back what is due, or everything."""
        for name, (when, back) in list(self._back.items()):
            if now or time.monotonic() >= when:
                back()
                del self._back[name]


class SlurmEngine(Engine):
    """Two nodes of a real Slurm."""

    name = "Slurm, two nodes"
    engine = "slurm"

    def up(self, stack: ExitStack) -> None:
        from tests.engines.slurm import started

        self.cluster = stack.enter_context(_Once(started()))
        self.environment = self.cluster.environment
        self._away = Away()

    def strikes(self) -> list[Strike]:
        node = random.choice(self.cluster.nodes)
        if any(one in self._away for one in self.cluster.nodes):
            return []
        return [("node (slurmd)", lambda: self._kill(node)), ("node (failed)", lambda: self._fail(node))]

    def _kill(self, node: str) -> None:
        self.cluster.kill_node(node)
        self._away.until(node, random.uniform(2.0, 20.0), lambda: self._start(node))

    def _fail(self, node: str) -> None:
        self.cluster.fail_node(node)
        self._away.until(node, random.uniform(1.0, 5.0), lambda: self.cluster.resume(node))

    def _start(self, node: str) -> None:
        self.cluster.start_node(node)
        self.cluster.resume(node)

    def mend(self) -> None:
        self._away.mend()

    def whole(self) -> None:
        self._away.mend(now=True)

    def left(self) -> list[str]:
        return [f"job {job}" for job in self.cluster.jobs()]


class DaskEngine(Engine):
    """Two workers of Dask, each with a nanny that starts it again."""

    name = "Dask, two workers"

    def up(self, stack: ExitStack) -> None:
        from tests.engines.dask_cluster import dask_client

        os.environ[TOKEN] = self.environment[TOKEN] = str(os.getpid())
        self._client = stack.enter_context(dask_client(workers=2, threads=2))
        self.engine = self._client.cluster.scheduler_address

    def strikes(self) -> list[Strike]:
        pids = [nanny.pid for nanny in self._client.cluster.workers.values() if nanny.pid]
        return [("Dask worker", lambda: _kill(random.choice(pids)))] if pids else []

    def left(self) -> list[str]:
        tasks = self._client.run_on_scheduler(lambda dask_scheduler: list(map(str, dask_scheduler.tasks)))
        return [f"task {name}" for name in tasks]


class PostgresEngine(Engine):
    """Four coordinators over one database, with values in an object store."""

    name = "PostgreSQL, four coordinators, values in an object store"
    coordinators = 4
    engine = "processes"
    away_at_start = ("errors.NotAStore", "it cannot be used now")

    def up(self, stack: ExitStack) -> None:
        from tests.engines.object_store import ObjectServer
        from tests.engines.postgres import HOW, Postgres, binaries

        programs = binaries()
        if programs is None:
            raise SystemExit(f"there is no PostgreSQL: {HOW}")
        os.environ.setdefault("PGFSYNC", "on")
        folder = tempfile.mkdtemp(prefix="mpg", dir="/tmp")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self._database = Postgres(folder, programs)
        self._database.make()
        self._database.start()
        stack.callback(self._database.stop, "immediate")
        self._objects = ObjectServer(self.folder / "requests.log")
        stack.callback(self._objects.close)
        self._objects.wait()
        self._objects.make_bucket("grid")
        self.store = self._database.address("soak")
        self.options = ["--payloads", "s3://grid/soak", "--workers", "1"]
        self.environment = self._objects.environment()
        self._away = Away()

    def strikes(self) -> list[Strike]:
        both: list[Strike] = [("database", self._crash), ("object store", self._shut)]
        return [one for one in both if one[0] not in self._away]

    def _crash(self) -> None:
        self._database.stop("immediate")
        self._away.until("database", random.uniform(0.0, 5.0), self._database.start)

    def _shut(self) -> None:
        self._objects.door.shut()
        self._away.until("object store", random.uniform(1.0, 5.0), self._objects.door.open)

    def mend(self) -> None:
        self._away.mend()

    def whole(self) -> None:
        self._away.mend(now=True)

    def left(self) -> list[str]:
        return [f"claim {row}" for row in self._database.all("SELECT id, run FROM soak.claims")]

    def rows(self) -> list[tuple[int, str]]:
        import psycopg

        with suppress(psycopg.OperationalError):
            if self._database.all("SELECT to_regclass('soak.tasks')")[0][0] is not None:
                return self._database.all(QUERY.replace("tasks", "soak.tasks"))
        raise Unreadable


class Unreadable(Exception):
    """The index cannot be read just now."""


ENGINES = {"local": Engine, "slurm": SlurmEngine, "dask": DaskEngine, "postgres": PostgresEngine}


class Soak:
    """One grid, run and killed until it is complete."""

    def __init__(self, engine: Engine, tasks: int, seed: int, seconds: float) -> None:
        self.engine, self.tasks, self.seconds, self.seed = engine, tasks, seconds, seed
        self.journal = engine.folder / "journal"
        self.books = Books(self.journal, engine.rows)
        self.pauses, self.gone = BETWEEN, GONE
        self.strikes: Counter[str] = Counter()
        self.starts = self.hangs = self.in_vain = 0
        self.orphans: list[str] = []
        self.errors: list[str] = []
        self.began = time.monotonic()
        self.elapsed = self.last_end = 0.0
        self._token = str(os.getpid())
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._due: dict[int, float] = dict.fromkeys(range(engine.coordinators), 0.0)  # when each is started

    def to_the_end(self) -> None:
        """Start coordinators again and again until each says that the grid is complete."""
        self.began = time.monotonic()
        try:
            while (self._running or self._due) and not self.hangs:
                self._turn()
                if time.monotonic() - self.began > LIMIT:
                    self.errors.append(f"not complete after {LIMIT:.0f} s")
                    break
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
        self.elapsed = time.monotonic() - self.began
        self.engine.whole()
        self._look()
        self._wait_for_orphans()

    _next_strike = _next_look = 0.0
    _size, _grew = -1, 0.0

    def _turn(self) -> None:
        now = time.monotonic()
        self.engine.mend()
        for place, when in list(self._due.items()):
            if now >= when:
                del self._due[place]
                self._running[place] = self._start(place)
        for place, process in list(self._running.items()):
            if (code := process.poll()) is not None:
                del self._running[place]
                self._ended(place, code)
        if now >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + LOOK
            self._watch(time.monotonic())
        if now - self.began < self.seconds and now >= self._next_strike:
            if self._next_strike:
                self._strike()
            self._next_strike = time.monotonic() + random.uniform(*self.pauses)
        time.sleep(0.05)

    def _start(self, place: int) -> subprocess.Popen[bytes]:
        self.starts += 1
        options = ["--engine", self.engine.engine, *self.engine.options]
        command = [sys.executable, str(GRID), self.engine.store, str(self.journal), str(self.tasks), *options]
        with open(self.engine.folder / f"output-{place}", "ab") as output:
            return subprocess.Popen(
                command,
                stdout=output,
                stderr=output,
                env={**os.environ, **self.engine.environment, TOKEN: self._token},
                start_new_session=True,
            )

    def _ended(self, place: int, code: int) -> None:
        if code == 0:
            return
        said = self._last_words(place)
        if code == 1 and any(words in said for words in self.engine.away_at_start):
            self.in_vain += 1
        elif code not in (3, -signal.SIGKILL):
            self.errors.append(f"coordinator {place} ended with code {code}: {said}")
        self._due[place] = time.monotonic() + random.uniform(0.0, 3.0)

    def _look(self) -> None:
        with suppress(Unreadable):
            self.books.look()

    def _watch(self, now: float) -> None:
        size = self.journal.stat().st_size if self.journal.exists() else 0
        if size != self._size:
            self._size, self._grew = size, now
        elif now - self._grew > STILL:
            self.hangs += 1
            self.errors += [f"it stood still: {self._last_words(place)}" for place in self._running]

    def _strike(self) -> None:
        """Strike one of what is there: first its kind is drawn, then which."""
        kinds: dict[str, list[Callable[[], object]]] = {}
        for role, do in [*self._processes(), *self.engine.strikes()]:
            kinds.setdefault(role, []).append(do)
        if kinds:
            role = random.choice(sorted(kinds))
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                random.choice(kinds[role])()
                self.strikes[role] += 1

    def _processes(self) -> list[Strike]:
        found: list[tuple[str, int]] = [("coordinator", one.pid) for one in self._running.values()]
        pilots = [pid for pid in self._ours() if _is_pilot(pid)]
        found += [("pilot", pid) for pid in pilots]
        roots = [pid for _, pid in found]
        for root in roots:
            with suppress(psutil.NoSuchProcess):
                for server in psutil.Process(root).children():
                    if server.pid not in roots and "memento" in _command(server.pid):
                        found.append(("fork server", server.pid))
                        found += [("worker", one.pid) for one in server.children(recursive=True)]
        return [(role, lambda pid=pid: _kill(pid)) for role, pid in found]  # type: ignore[misc]

    def _ours(self) -> list[int]:
        """Return processes of the grid: not those of the engine, and of its workers."""
        mark = f"{TOKEN}={self._token}".encode()
        known = ("memento.executors", GRID.name)
        return [
            pid
            for pid in psutil.pids()
            if has_mark(pid, mark) and any(word in _command(pid) for word in known) and not _is_forker(pid)
        ]

    def _wait_for_orphans(self) -> None:
        began = time.monotonic()
        while left := [
            *(f"process {pid}: {_command(pid)[-120:]}" for pid in self._ours()),
            *self.engine.left(),
        ]:
            if time.monotonic() - began > self.gone:
                self.orphans = left
                for pid in self._ours():
                    _kill(pid)
                return
            time.sleep(0.2)
        self.last_end = time.monotonic() - began

    def _last_words(self, place: int) -> str:
        lines = (self.engine.folder / f"output-{place}").read_text(errors="replace").strip().splitlines()
        return " | ".join(lines[-5:])


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


PILOT, FORKER = "pilots.pilot import main", "pilots.forker import main"


def _is_forker(pid: int) -> bool:
    """Tell whether it makes pilots for a worker of Dask or Ray, which keeps it: what it makes has its command."""
    return FORKER in _command(pid) and FORKER not in _command(_parent(pid))


def _is_pilot(pid: int) -> bool:
    return _is_forker(_parent(pid)) or (PILOT in _command(pid) and PILOT not in _command(_parent(pid)))


def _parent(pid: int) -> int:
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class _Once(ExitStack):
    """A context of a generator that yields once."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self._generator = generator

    def __enter__(self) -> Any:
        self.callback(next, self._generator, None)
        return next(self._generator)


def is_as_undisturbed(soak: Soak) -> bool:
    """Tell whether the values are those of a run on this machine that nobody disturbed."""
    folder, engine = soak.engine.folder, soak.engine
    plain = [sys.executable, str(GRID), str(folder / "calm"), str(folder / "calm.journal"), str(soak.tasks)]
    theirs = [sys.executable, str(GRID), engine.store, str(folder / "frames.journal"), str(soak.tasks)]
    environment = {**os.environ, **engine.environment}
    commands = [
        [*plain, "--workers", "16"],
        [*plain, "--frame", str(folder / "calm.csv")],
        [*theirs, *engine.options, "--frame", str(folder / "soak.csv")],
    ]
    if any(subprocess.run(command, env=environment, check=False).returncode for command in commands):
        return False
    return (folder / "calm.csv").read_bytes() == (folder / "soak.csv").read_bytes()


def table(soak: Soak, same: bool) -> str:
    """Return the figures as Markdown."""
    books, counted, strikes = soak.books, soak.books.counted(), soak.strikes
    lost = books.lost + soak.tasks - len(books.kept)
    rows = [
        ("tasks", f"{soak.tasks:,}"),
        ("seconds from first start to complete", f"{soak.elapsed:.0f}"),
        (
            "strikes",
            f"{sum(strikes.values())}: "
            + ", ".join(f"{n} of a {role}" for role, n in sorted(strikes.items())),
        ),
        (
            "starts of coordinators",
            f"{soak.starts}, {soak.in_vain} of them in vain, while the store was away",
        ),
        ("**finished results lost**", f"{lost}"),
        ("**finished tasks repeated**", f"{counted.repeated}"),
        ("**hangs**", f"{soak.hangs}"),
        ("**orphans after 30 s**", f"{len(soak.orphans)}"),
        ("**frame equals the undisturbed run's**", "yes" if same else "NO"),
        ("other errors", f"{len(soak.errors)}"),
        ("unfinished tasks started again", f"{counted.starts.total() - len(counted.starts):,}"),
        (
            "tasks that ended again, since their place was lost before the result was kept",
            f"{counted.ends.total() - len(counted.ends):,}",
        ),
        (
            "checkpointed steps, and those computed again",
            f"{counted.steps:,}, {counted.steps - steps_of(soak.tasks):,}",
        ),
        ("seconds until all of it had ended, after the grid was complete", f"{soak.last_end:.1f}"),
    ]
    where = (
        f"{soak.engine.name}: {os.cpu_count()} cores, Python {platform.python_version()}, seed {soak.seed}"
    )
    body = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return f"| {where} | |\n| --- | --- |\n{body}\n"


def is_broken(figures: str) -> bool:
    """Tell whether a promise broke, by the table."""
    promises = ("lost**", "repeated**", "hangs**", "orphans after 30 s**", "other errors")
    lines = [line for line in figures.splitlines() if any(word in line for word in promises)]
    return "| NO |" in figures or not all(line.endswith("| 0 |") for line in lines)


def main() -> int:
    """Soak, and say what came of it."""
    parser = argparse.ArgumentParser(description="Kill a grid that runs on an engine until it is complete.")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--seconds", type=float, default=200.0, help="how long to strike")
    parser.add_argument("--tasks", type=int, default=20_000, help="a multiple of 50")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--out", type=Path, help="keep the table in this page")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    random.seed(options.seed)
    with (
        tempfile.TemporaryDirectory(prefix="memento-soak-", ignore_cleanup_errors=True) as name,
        ExitStack() as stack,
    ):
        engine = ENGINES[options.engine](Path(name))
        engine.up(stack)
        soak = Soak(engine, options.tasks, options.seed, options.seconds)
        soak.to_the_end()
        figures = table(soak, is_as_undisturbed(soak))
        print(figures)
        for trouble in (*soak.errors, *soak.orphans):
            print(trouble)
        if options.out:
            keep(options.out, engine.name, figures)
        broken = is_broken(figures)
        if broken and os.environ.get("SOAK_KEEP"):
            shutil.copytree(name, os.environ["SOAK_KEEP"], symlinks=True, dirs_exist_ok=True)
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
