"""Whatever dies, nothing that was told as durable is lost, and no task is computed twice: on a real server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from memento.clock import SYSTEM_CLOCK
from memento.index.postgres.postgres_index import PostgresIndex
from memento.records import DONE
from memento.testing.index_rows import EXPERIMENT, info_of, key_of, row_of
from tests.engines.postgres import Postgres
from tests.engines.postgres import address as address
from tests.engines.postgres import postgres as postgres

pytestmark = pytest.mark.engine
ROOT = Path(__file__).parents[3]


class Grid:
    """One grid in a store, on which coordinators work."""

    def __init__(self, address: str, journal: Path, tasks: int, batch: int) -> None:
        self.address, self.journal, self.tasks, self.batch = address, journal, tasks, batch

    def start(self, faults: str = "") -> subprocess.Popen[bytes]:
        """Start a coordinator."""
        arguments = [self.address, str(self.journal), str(self.tasks), str(self.batch)]
        environment = {**os.environ, "MEMENTO_FAULTS": faults}
        command = [sys.executable, "-m", "tests.index.postgres.coordinator", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment)

    def lines(self, what: str) -> Counter[int]:
        """Return how often tasks were computed, or told."""
        text = self.journal.read_text() if self.journal.exists() else ""
        return Counter(int(line.split()[1]) for line in text.splitlines() if line.startswith(what))

    def check(self) -> None:
        """All tasks are done, each by one row, and those that were told still are what was told."""
        with PostgresIndex.open(self.address, create=False, readonly=True, clock=SYSTEM_CLOCK) as index:
            known = list(index.known(EXPERIMENT))
            assert sorted(k.key for k in known) == [key_of(n) for n in range(self.tasks)]
            assert {k.status for k in known} == {DONE}
            assert index.faults() == []
            assert {row.fault for row in index.check()} == {""}
            assert [k.id for k in known] == sorted(k.id for k in known)
        assert max(self.lines("told").values()) == 1


def end(*coordinators: subprocess.Popen[bytes], code: int = 0) -> None:
    """Wait for their end."""
    try:
        assert [each.wait(300) for each in coordinators] == [code] * len(coordinators)
    finally:
        for each in coordinators:
            each.kill()
            each.wait()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something."""
    for _ in range(30_000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come to that")


@pytest.mark.parametrize(
    "point", ["claim.inside:2", "claim.made:2", "commit.before:2", "commit.inside:2", "commit.done:2"]
)
def test_what_a_killed_coordinator_told_is_kept_and_the_rest_is_computed(
    address: str, tmp_path: Path, point: str
) -> None:
    grid = Grid(address, tmp_path / "journal", 60, 20)
    end(grid.start(point), code=-signal.SIGKILL)
    told = grid.lines("told")
    assert len(told) == 20
    end(grid.start())
    grid.check()
    assert all(grid.lines("computed")[number] == 1 for number in told)


@pytest.mark.parametrize("many", [2, 4])
def test_coordinators_share_a_grid_and_compute_each_task_once(
    address: str, tmp_path: Path, many: int
) -> None:
    grid = Grid(address, tmp_path / "journal", 2_000, 50)
    end(*[grid.start() for _ in range(many)])
    grid.check()
    assert grid.lines("computed") == Counter(range(2_000))


def test_a_crash_of_the_server_loses_nothing_that_was_told(
    postgres: Postgres, address: str, tmp_path: Path
) -> None:
    grid = Grid(address, tmp_path / "journal", 2_000, 10)
    coordinators = [grid.start() for _ in range(2)]
    until(lambda: len(grid.lines("opened")) == 2)  # a server that is down when a store is opened is an error
    for share in (200, 800, 1_400):
        until(lambda share=share: len(grid.lines("told")) >= share)  # type: ignore[misc]  # its default is an int
        postgres.crash()
    end(*coordinators)
    grid.check()
    assert grid.lines("computed") == Counter(range(2_000))


@contextlib.contextmanager
def terminating(postgres: Postgres, seed: int) -> Iterator[list[int]]:
    """End connections of coordinators at random moments; gives how many were ended."""
    over, count = threading.Event(), [0]
    random = Random(seed)

    def work() -> None:
        with postgres.connect() as connection:
            while not over.wait(random.uniform(0.0, 0.2)):
                found = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memento'"
                ).fetchall()
                count[0] += len(found)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


def test_lost_connections_cost_nothing_but_time(postgres: Postgres, address: str, tmp_path: Path) -> None:
    grid = Grid(address, tmp_path / "journal", 1_000, 5)
    PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK).close()
    with terminating(postgres, 1) as count:
        end(*[grid.start() for _ in range(2)])
    grid.check()
    assert grid.lines("computed") == Counter(range(1_000))
    assert count[0] > 5


def test_a_transaction_that_others_hold_open_stops_nobody(
    postgres: Postgres, address: str, tmp_path: Path
) -> None:
    grid = Grid(address, tmp_path / "journal", 500, 5)
    PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK).close()
    with postgres.connect() as idle:
        idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        idle.execute("CREATE TEMP TABLE written (n int)")
        end(grid.start(), grid.start())
        idle.execute("ROLLBACK")
    grid.check()
    assert grid.lines("computed") == Counter(range(500))


def test_an_answer_that_is_lost_does_not_commit_twice(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    from memento.index.postgres import connections

    with PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        run = index.begin(info_of())
        run.claim([key_of(n) for n in range(4)])
        lost: list[bool] = []
        commit = connections.Connection.commit

        class Wire:
            """psycopg's connection, of which one COMMIT is not answered, or is not sent."""

            def __init__(self, raw: object, arrives: bool) -> None:
                self._raw, self._arrives = raw, arrives

            def __getattr__(self, name: str) -> object:
                return getattr(self._raw, name)

            def execute(self, statement: str, *more: object, **named: object) -> object:
                if statement != "COMMIT":
                    return self._raw.execute(statement, *more, **named)  # type: ignore[attr-defined]
                if self._arrives:
                    self._raw.execute(statement)  # type: ignore[attr-defined]
                lost.append(self._arrives)
                self._raw.close()  # type: ignore[attr-defined]
                raise psycopg.OperationalError("server closed the connection unexpectedly")

        def once(self: connections.Connection, mark: int) -> None:
            if len(lost) < 2:
                self.raw = Wire(self.raw, not lost)
            commit(self, mark)

        monkeypatch.setattr(connections.Connection, "commit", once)
        first = run.commit([row_of(0), row_of(1)])
        second = run.commit([row_of(2), row_of(3)])
        assert lost == [True, False]
        assert sorted(index.ids()) == sorted([*first.ids.values(), *second.ids.values()])
        assert len(index.ids()) == 4
        assert index.living().claimed == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies are made by fork")
def test_a_copy_of_a_process_has_a_connection_of_its_own(postgres: Postgres, address: str) -> None:
    with PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        run = index.begin(info_of())
        run.commit([row_of(1)])
        child = os.fork()
        if not child:
            code = 1
            with contextlib.suppress(BaseException):
                run.commit([row_of(2)])
                code = 0
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        run.commit([row_of(3)])
        assert {known.key for known in index.known(EXPERIMENT)} == {key_of(n) for n in (1, 2, 3)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies are made by fork")
def test_a_copy_that_outlives_a_killed_coordinator_holds_no_lock(address: str, tmp_path: Path) -> None:
    with PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        index.begin(info_of()).finish("done", {})
    killed = os.fork()
    if not killed:
        index = PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK)
        with index.exclusive():
            if not (copy := os.fork()):
                time.sleep(60)
                os._exit(0)
            (tmp_path / "copy").write_text(str(copy))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(killed, 0)
    try:
        began = time.monotonic()
        with PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
            index.begin(info_of()).finish("done", {})
        assert time.monotonic() - began < 50  # the server itself would end it after a minute
    finally:
        os.kill(int((tmp_path / "copy").read_text()), signal.SIGKILL)
