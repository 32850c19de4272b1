"""A store in PostgreSQL by itself: claims of four coordinators, and what a task of a cold grid costs the index.

PostgreSQL is started here and waits for the disk (PGFSYNC=off: it does not). Beside it the same of SQLite.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memento.clock import SYSTEM_CLOCK
from memento.index.contract import Index
from memento.records import DONE, Encoded, Outcome, TaskRow
from memento.testing.index_rows import info_of

TITLE = "PostgreSQL: claims of four coordinators; 100,000 tasks that do nothing, by one"
MUST = "claims >= 20,000 tasks/s in all (50 µs each), a task of a cold grid <= 60 µs"
UNIT = "µs a task"
BASE = "SQLite, cold grid"
FULL = True
CONTENDERS = {
    "PostgreSQL, claims of four": "ours",
    "PostgreSQL, claims of four beside an open transaction": "ours",
    "PostgreSQL, cold grid": "ours",
    "SQLite, cold grid": "ours",
}
COORDINATORS, TASKS, COLD, AT_ONCE = 4, 100_000, 100_000, 500


def key_of(number: int) -> bytes:
    """Return a key as random as a hash."""
    import hashlib

    return hashlib.blake2b(number.to_bytes(8, "big"), digest_size=16).digest()


def rows_of(numbers: range, keys: list[bytes], code: int) -> list[TaskRow]:
    """Return what tasks that do nothing came to."""
    started = 1_700_000_000.0
    found = []
    for number in numbers:
        value = Encoded("json", b"%d" % number, None, 6, "builtins:int")
        facts = (number, DONE, 1, started + number, 1e-5, 1e-5, 10_000_000, None, "host/1", value)
        outcome = Outcome(*facts, (), (), None, None)
        found.append(
            TaskRow(keys[number], f'{{"a": {number // 316}, "b": {number % 316}}}', 0, code, outcome)
        )
    return found


@contextlib.contextmanager
def server() -> Iterator[Any]:
    """Start PostgreSQL."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.engines.postgres import HOW, Postgres, binaries

    programs = binaries()
    if programs is None:
        raise SystemExit(f"there is no PostgreSQL: {HOW}")
    os.environ.setdefault("PGFSYNC", "on")
    folder = tempfile.mkdtemp(prefix="mpg", dir="/tmp")
    made = Postgres(folder, programs)
    made.make()
    made.start()
    try:
        yield made
    finally:
        made.stop("immediate")
        shutil.rmtree(folder)


def open_postgres(address: str) -> Index:
    from memento.index.postgres.postgres_index import PostgresIndex

    return PostgresIndex.open(address, create=True, readonly=False, clock=SYSTEM_CLOCK)


def claiming(address: str, place: int, ready: Any, granted: Any) -> None:
    """Claim tasks of the one grid, from an own place on; give each batch back when two more are there."""
    keys = [key_of(number) for number in range(TASKS)]
    keys = keys[place * TASKS // COORDINATORS :] + keys[: place * TASKS // COORDINATORS]
    with open_postgres(address) as index:
        run = index.begin(info_of())
        ready.wait()
        count, held = 0, []
        for start in range(0, TASKS // COORDINATORS, AT_ONCE):
            held.append(run.claim(keys[start : start + AT_ONCE]).granted)
            count += len(held[-1])
            if len(held) > 2:
                run.release(held.pop(0))
        granted.put(count)
        ready.wait()
        run.finish("done", {})


def claims(beside: bool) -> float:
    """Return microseconds a claimed task, all coordinators together."""
    with server() as made, contextlib.ExitStack() as stack:
        address = made.address()
        open_postgres(address).close()
        if beside:
            idle = stack.enter_context(made.connect())
            idle.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            idle.execute("CREATE TEMP TABLE written (n int)")
        way = multiprocessing.get_context("spawn")
        ready, granted = way.Barrier(COORDINATORS + 1), way.Queue()
        workers = [
            way.Process(target=claiming, args=(address, place, ready, granted))
            for place in range(COORDINATORS)
        ]
        for worker in workers:
            worker.start()
        ready.wait()
        began = time.perf_counter()
        count = sum(granted.get() for _ in workers)
        seconds = time.perf_counter() - began
        ready.wait()
        for worker in workers:
            worker.join()
        if beside:
            idle.execute("ROLLBACK")
        assert count == TASKS, count
        return seconds / count * 1e6


def cold(index: Index) -> float:
    """Return microseconds that a task of a cold grid costs: planned, claimed, committed in groups."""
    keys = [key_of(number) for number in range(COLD)]
    rows = rows_of(range(COLD), keys, 1)
    began = time.perf_counter()
    assert not list(index.known_columns("science:experiment"))
    run = index.begin(info_of())
    for start in range(0, COLD, 2 * AT_ONCE):
        claim = run.claim(keys[start : start + 2 * AT_ONCE])
        assert len(run.commit(rows[start : start + 2 * AT_ONCE]).ids) == len(claim.granted)
    run.finish("done", {"done": COLD})
    return (time.perf_counter() - began) / COLD * 1e6


def main(contender: str) -> float:
    """Run one of them once."""
    if contender == "SQLite, cold grid":
        from memento.index.sqlite.sqlite_index import SqliteIndex

        with (
            tempfile.TemporaryDirectory() as folder,
            SqliteIndex.open(folder, create=True, readonly=False, clock=SYSTEM_CLOCK) as index,
        ):
            return cold(index)
    if contender == "PostgreSQL, cold grid":
        with server() as made, open_postgres(made.address()) as index:
            return cold(index)
    return claims("beside" in contender)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
