"""What a run may do for each task: counts that are the same on every machine, against limits that we hold.

Times depend on the machine, and are measured in benchmarks/. What costs time does not: statements, commits, bytes,
pickles, calls of Python functions. A change that needs more than a limit allows must say why.
"""

from __future__ import annotations

import cProfile
import os
import pickle
import pstats
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memento import Config, Context, Memento, Results
from memento.executors.processes import channel
from memento.matrix.matrix import Matrix
from memento.records import DONE, Encoded, LogSlice, Outcome
from memento.runner import packing
from memento.runner.options import Options
from memento.runner.session import Session
from memento.store.store import Store
from memento.values import pickling
from memento.values.encoding import encode
from memento.values.payloads import PayloadDir
from memento.worker.work import Task

TASKS = 2_000
EXPERIMENT = "perf:add"


class StandingClock:
    """Time stands still, so that nothing happens by the clock: commits come when they are full."""

    def now(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0


def add(context: Context, config: Config) -> int:
    return int(config.a + config.b)


def grid(tasks: int = TASKS) -> Matrix:
    return Matrix.of({"parameters": {"a": list(range(tasks // 10)), "b": list(range(10))}})


def run(path: Path, tasks: int = TASKS) -> Results:
    store = Store.open(path)
    options = Options(num_workers=1, executor="serial", log_output=False)
    session = Session(add, EXPERIMENT, grid(tasks), store, options, lambda event: None, StandingClock())
    session.run(notify=False)
    return Results.of_plan(store, session.matrix, session.plan)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def calls(profile: cProfile.Profile) -> int:
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]  # not in typeshed


@pytest.mark.slow
def test_a_new_result_costs_one_insert_and_its_share_of_a_commit(path: Path, statements: list[str]) -> None:
    run(path)
    kinds = Counter(text.split()[0] for text in statements)
    inserts = sum(text.startswith("INSERT INTO tasks") for text in statements)
    assert inserts == TASKS
    assert len(statements) - inserts <= 0.4 * TASKS, kinds.most_common()


@pytest.mark.slow
def test_commits_that_wait_for_the_disk_are_shared_by_a_thousand_results(
    path: Path, statements: list[str]
) -> None:
    run(path)
    durable, full = 0, True
    for text in statements:
        if text.startswith("PRAGMA synchronous="):
            full = text.endswith("FULL")
        durable += full and text == "COMMIT"
    assert durable <= TASKS / 1_000 + 10


@pytest.mark.slow
def test_a_frame_asks_the_index_twice_for_a_thousand_results(path: Path, statements: list[str]) -> None:
    results = run(path)
    statements.clear()
    assert len(results.to_frame()) == TASKS
    assert len(statements) <= 2 * TASKS / 1_000 + 4


@pytest.mark.slow
def test_tiny_results_write_no_file_and_wait_for_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(path).close()
    before = {str(file) for file in path.rglob("*")}
    synced: list[int] = []
    for name in ("fsync", "fdatasync"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, synced.append)
    run(path)
    assert len(synced) <= 2
    assert len({str(file) for file in path.rglob("*")} - before) <= 3  # the log's folder, SQLite's own


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_tasks_of_this_process_need_no_text_of_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setattr(packing, "modules", lambda names: pytest.fail("a project's modules are read"))
    experiment = Memento(add, executor=executor, store=tmp_path / "store")
    assert experiment.run({"parameters": {"a": [1], "b": [2]}})


def test_a_large_result_waits_for_its_file_and_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads = PayloadDir(tmp_path)
    encode(np.zeros(1_000_000), payloads)
    synced: list[int] = []
    fsync = os.fsync

    def counting(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counting)
    encoded = encode(np.ones(1_000_000), payloads)
    path = payloads.path(encoded.ref or "")
    assert synced == [place.stat().st_ino for place in (path, path.parent, tmp_path)]


@pytest.mark.slow
def test_a_result_takes_few_bytes_of_the_index(tmp_path: Path) -> None:
    def size(tasks: int) -> int:
        run(tmp_path / str(tasks), tasks)._selection.source.store.close()
        return (tmp_path / str(tasks) / "index.sqlite").stat().st_size

    # The difference of two stores: what the tables and the run's own row take depends on the machine's names.
    assert size(TASKS) - size(10) <= 190 * TASKS


@pytest.mark.slow
def test_a_run_pickles_values_and_function_but_no_task(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled: list[Any] = []
    dumps = pickling.dumps

    def counting(value: Any) -> bytes:
        pickled.append(value)
        return dumps(value)

    monkeypatch.setattr(pickling, "dumps", counting)
    run(path)
    assert len(pickled) <= TASKS / 10 + 10 + 5  # each value once, the function, the settings


@pytest.mark.slow
def test_a_cached_grid_is_planned_by_a_handful_of_statements(path: Path, statements: list[str]) -> None:
    run(path)
    statements.clear()
    assert len(run(path)) == TASKS
    assert len(statements) <= 15, statements
    assert not any("params" in text for text in statements)  # wide columns stay unread
    assert not any(text.startswith(("INSERT", "UPDATE", "DELETE")) for text in statements)


@pytest.mark.slow
def test_a_cached_task_costs_the_hash_of_its_key_and_nothing_else(path: Path) -> None:
    run(path)
    profile = cProfile.Profile()
    profile.runcall(run, path)
    small = cProfile.Profile()
    run(path.with_name("small"), 10)
    small.runcall(run, path.with_name("small"), 10)
    assert (
        calls(profile) - calls(small)
    ) / TASKS <= 4  # a copy of the hasher, and what C calls for itself; a tenth of a value


def calls_of_a_new_task(path: Path) -> float:
    run(path.with_name("small"), 10)  # what is imported and compiled on first use
    profile, small = cProfile.Profile(), cProfile.Profile()
    profile.runcall(run, path)
    small.runcall(run, path.with_name("other"), 10)
    return (calls(profile) - calls(small)) / TASKS


@pytest.mark.slow
def test_a_new_task_costs_few_calls_of_python(path: Path) -> None:
    code = "import pathlib, sys; from tests.perf.test_operations import calls_of_a_new_task as count"
    # In a process of its own: of libraries that other tests have loaded each has options that are looked at.
    told = subprocess.run(
        [sys.executable, "-c", f"{code}; print(count(pathlib.Path(sys.argv[1])))", path],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True, timeout=300, check=True,
    )  # fmt: skip
    # A third of them looks for what the task has changed of its process and its libraries.
    assert float(told.stdout) <= 115


@pytest.mark.slow
def test_a_row_of_a_frame_costs_few_calls_of_python(path: Path) -> None:
    results = run(path)
    results.to_frame()
    profile = cProfile.Profile()
    profile.runcall(results.to_frame)
    assert calls(profile) / TASKS <= 3.2  # nearly all of them are pandas making columns, however many rows


@pytest.mark.slow
def test_the_memory_of_a_plan_is_columns_and_no_objects(path: Path) -> None:
    store = Store.open(path)
    options = Options(num_workers=1, executor="serial")
    many = 50_000
    matrix = grid(many)
    Session(add, EXPERIMENT, grid(10), store, options, lambda event: None, StandingClock())
    tracemalloc.start()
    try:
        session = Session(add, EXPERIMENT, matrix, store, options, lambda event: None, StandingClock())
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(session.plan.todo) == many
    assert held <= 64 * many
    assert peak <= 200 * many


def test_a_task_and_its_outcome_cross_the_pipe_in_few_bytes() -> None:
    task = Task(123_456, bytes(16), 0, (17, 1_023), 0, 1, 0.0)
    there = pickle.dumps(tuple(task), protocol=5)
    value = Encoded("json", b"0.9333333333", None, 12, "builtins:float")
    outcome = Outcome(
        123_456, DONE, 1, 1.7e9, 0.01, 0.01, 10**8, 10**9, "host.example.org/12345", value, (), (),
        LogSlice("20260101-000000-12345-0001/12345.log", 1_000, 1_000), None,
    )  # fmt: skip
    assert len(there) <= 100
    assert len(channel.pack_outcome(outcome)) <= 225


def test_importing_memento_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import memento; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=300
    )
    ours = {"memento", "memento._version", "memento.lazily"}
    assert set(done.stdout.split()) - {"__future__"} == ours


CACHED = """
import sys

before = set(sys.modules)
from memento import Memento

def experiment(context, config):
    return config.a

if __name__ == "__main__":
    runs = Memento(experiment, executor=sys.argv[1], num_workers=1, progress=eval(sys.argv[2]), store="store")
    assert len(runs.run({"parameters": {"a": list(range(10)), "b": ["x", "y"]}, "settings": {"c": 1.5}})) == 20
    print(*sorted(set(sys.modules) - before))
"""
# Each was loaded once, for a class or a helper; the second line alone was half of a run whose results are all there.
HEAVY = set(
    """
    pandas rich typer cloudpickle psutil yaml asyncio concurrent numpy email http ssl multiprocessing decimal uuid
    dataclasses inspect dis opcode tokenize linecache logging traceback textwrap string
    pathlib fnmatch urllib ipaddress signal difflib tempfile shutil subprocess bisect numbers
    importlib.machinery sysconfig resource
    """.split()
)
OURS_AT_MOST = 94  # modules: each takes 0.1 ms to find and to read, whatever is in it


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_a_run_whose_results_are_all_there_loads_no_heavy_package(tmp_path: Path, executor: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(CACHED)

    def loaded(progress: str) -> list[str]:
        command = [sys.executable, str(script), executor, progress]
        done = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, text=True, timeout=300)
        return done.stdout.split()

    loaded("False")
    again = loaded("False")
    assert sorted(HEAVY.intersection(again)) == []
    ours = [name for name in again if name.startswith("memento")]
    assert len(ours) <= OURS_AT_MOST, ours
    assert sorted(HEAVY.intersection(loaded("None"))) == []  # with what tells that all was there


COLD = """
import sys

before = set(sys.modules)

def experiment(context, config):
    return sorted(__import__("sys").modules)

if __name__ == "__main__":
    from memento import Memento

    matrix = {"parameters": {"a": list(range(10)), "b": ["x", "y"]}, "settings": {"c": 1.5, "d": ["e"]}}
    results = Memento(experiment, num_workers=2, progress=False, store="store").run(matrix)
    print(*sorted(set(sys.modules) - before))
    print(*sorted(set(results[0].inner) - before))
"""
# What no run needs whose tasks take and return plain values, be it in the program or in a worker.
HEAVY_WHEN_COLD = HEAVY - {
    "signal",  # `socket` has it
    "importlib.machinery", "resource",
}  # fmt: skip
OURS_AT_MOST_COLD = 172


def test_a_cold_run_loads_no_heavy_package(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(COLD)
    command = [sys.executable, str(script)]
    done = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, text=True, timeout=300)
    program, worker = (line.split() for line in done.stdout.splitlines())
    assert sorted(HEAVY_WHEN_COLD.intersection(program)) == []
    assert sorted(HEAVY_WHEN_COLD.intersection(worker)) == []
    ours = [name for name in program if name.startswith("memento")]
    assert len(ours) <= OURS_AT_MOST_COLD, ours


PLAIN = """
import sys
from memento import Memento

def experiment(context, config):
    return config.a

if __name__ == "__main__":
    matrix = {
        "parameters": {"a": list(range(int(sys.argv[1]))), "b": [1, 2], "lr": [0.1, 0.2]},
        "zip": [["b", "lr"]],
        "exclude": [{"a": 1, "b": 2}],
        "repeats": 2,
        "settings": {"folds": 5},
    }
    results = Memento(experiment, num_workers=1, progress=False, store="store").run(matrix)
    assert results[-1].inner == results[-1].config.a == int(sys.argv[1]) - 1
    print(len(results), sum(result.was_cached for result in results), "numpy" in sys.modules)
"""


@pytest.mark.slow
def test_a_plain_grid_is_run_again_and_grown_without_numpy(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PLAIN)

    def told(size: int) -> str:
        command = [sys.executable, str(script), str(size)]
        done = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, text=True, timeout=300)
        return done.stdout.strip()

    assert told(5) == "18 0 False"
    assert told(5) == "18 18 False"
    assert told(6) == "22 18 False"  # a forecast of the new ones needs none either
