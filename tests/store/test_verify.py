"""`verify` finds what is wrong, says whose it is, mends what can be mended, and leaves the rest alone."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memento
from memento import Config, Context, Memento, Results
from memento.errors import NotAStore, StoreTooNew
from memento.store.store import Store
from memento.store.verify_files import Problem
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values import places
from memento.values.checkpoints import CheckpointDir

ROOT = Path("store")
TASKS = 8
calls: list[int] = []


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


def value_of(n: int) -> Any:
    """Values of every kind of home: in the row, beside it, in a file, pickled."""
    kinds: list[Callable[[], Any]] = [
        lambda: n * 1.25,
        lambda: {"n": n, "text": "word " * 100},
        lambda: np.arange(4_000) + n,
        lambda: (n, np.full(3_000, n)),
    ]
    return kinds[n % len(kinds)]()


def shared() -> Any:
    return np.arange(5_000)


def experiment(context: Context, config: Config) -> Any:
    calls.append(config.n)
    context.record({"n": float(config.n)})
    assert context.cached(shared)[config.n] == config.n
    if config.n == 0:
        context.artifact("made.txt").write_text("made")
    return value_of(config.n)


def run(store: Path = ROOT) -> Results:
    runs = Memento(experiment, executor="serial", store=store, progress=False, name="verified")
    results = runs.run({"parameters": {"n": list(range(TASKS))}})
    assert results is not None
    return results


def same(left: Any, right: Any) -> bool:
    try:
        np.testing.assert_equal(left, right)
    except AssertionError:
        return False
    return type(left) is type(right)


def payload_of(number: int) -> Path:
    with Store.open(ROOT) as store:
        (record,) = [record for record in store.index.recent() if record.params == f'{{"n": {number}}}']
        assert record.value is not None
        assert record.value.ref is not None
        return ROOT / "payloads" / record.value.ref


def change(statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(ROOT / "index.sqlite")) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def only() -> Problem:
    """Return the one problem of the store, and see that looking changes nothing."""
    (problem,) = memento.verify(ROOT).problems
    (again,) = memento.verify(ROOT).problems
    assert again == problem
    return problem


def repair() -> None:
    """Repair, after which nothing is wrong."""
    assert memento.verify(ROOT, repair=True).whole
    assert memento.verify(ROOT).problems == []


def check_that_the_next_run_computes(*numbers: int) -> None:
    calls.clear()
    results = run()
    assert sorted(calls) == sorted(numbers)
    assert all(same(result.inner, value_of(n)) for n, result in enumerate(results))
    assert memento.verify(ROOT).problems == []


def test_nothing_is_wrong_with_a_store_that_was_just_written() -> None:
    run()
    report = memento.verify(ROOT)
    assert (report.problems, report.notes, report.whole, report.tasks) == ([], [], True, TASKS)
    assert report.files == 5  # four values, one of a step
    assert report.size > 100_000


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("number", [2, 3])
def test_a_damaged_value_is_named_with_its_task_and_computed_again(
    damage: Callable[[Path], Any], number: int
) -> None:
    run()
    path = payload_of(number)
    damage(path)
    problem = only()
    assert (problem.kind, problem.params) == ("value", f'{{"n": {number}}}')
    assert problem.experiment == "verified"
    assert problem.where == path.relative_to(ROOT).as_posix()
    repair()
    assert damage is Path.unlink or list((ROOT / "payloads" / "damaged").glob(f"{path.name}*"))
    check_that_the_next_run_computes(number)


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE tasks SET params = '{"n": 7}' WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET value = CAST('9.5' AS BLOB) WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET runtime = runtime + 1 WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET runtime = 'soon' WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET status = 'dome' WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET code = 'x' WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET experiment = 77 WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET key = zeroblob(16) WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET key = x'00' WHERE params = '{"n": 0}'""",
        """UPDATE tasks SET artifacts = '[' WHERE params = '{"n": 0}'""",
        """UPDATE metrics SET last = 5 WHERE task = (SELECT id FROM tasks WHERE params = '{"n": 0}')""",
        """UPDATE metrics SET data = zeroblob(16) WHERE task = (SELECT id FROM tasks WHERE params = '{"n": 0}')""",
        """DELETE FROM metrics WHERE task = (SELECT id FROM tasks WHERE params = '{"n": 0}')""",
    ],
)
def test_a_damaged_row_is_found_and_its_task_computed_again(statement: str) -> None:
    run()
    change(statement)
    assert only().kind in ("row", "metric")
    repair()
    check_that_the_next_run_computes(0)


def test_a_lost_value_beside_its_row_is_found() -> None:
    run()
    change("DELETE FROM blobs WHERE task = (SELECT id FROM tasks WHERE params = ?)", '{"n": 1}')
    assert only().params == '{"n": 1}'
    repair()
    check_that_the_next_run_computes(1)


def test_of_two_rows_of_one_task_the_newer_stays() -> None:
    with Store.open(ROOT) as store:
        writer = store.begin(info_of())
        for value in (b"1.5", b"2.5"):
            writer.claim(
                [key_of(1)]
            )  # no run asks again for what it has done; if one did, this would come of it
            writer.commit([row_of(1, value=value)])
        writer.finish("done", {})
    assert only().what == "it has two rows in the index"
    repair()
    with Store.open(ROOT) as store:
        assert [store.value(record) for record in store.index.recent()] == [2.5]


def test_values_of_no_task_are_removed() -> None:
    run()
    change("INSERT INTO blobs VALUES (999, x'00')")
    assert "of no task" in only().what
    repair()
    check_that_the_next_run_computes()


def test_an_artifact_that_is_gone_is_found_and_made_again() -> None:
    results = run()
    path = results[0].artifacts["made.txt"]
    path.unlink()
    assert (only().kind, only().params) == ("artifact", '{"n": 0}')
    repair()
    check_that_the_next_run_computes(0)
    assert path.read_text() == "made"


def test_a_log_that_is_shorter_than_attempts_say_is_forgotten_and_its_tasks_stay() -> None:
    run()
    change("UPDATE tasks SET log_file = 'run/w.log', log_start = 0, log_end = 9 WHERE params = ?", '{"n": 0}')
    assert only().kind == "log"
    repair()
    check_that_the_next_run_computes()


def test_a_log_outside_of_the_store_is_not_looked_at(tmp_path: Path) -> None:
    run()
    (tmp_path / "secret").write_text("long enough")
    change("UPDATE tasks SET log_file = ?, log_start = 0, log_end = 5", str(tmp_path / "secret"))
    assert only().kind == "log"


@pytest.mark.parametrize("damage", [truncate, flip])
@pytest.mark.parametrize("name", ["a.checkpoint", "b.checkpoint"])
def test_each_generation_of_a_checkpoint_is_looked_at(damage: Callable[[Path], Any], name: str) -> None:
    run()
    checkpoint = CheckpointDir(ROOT / "checkpoints", key_of(7).hex())
    checkpoint.save((1, "x" * 500))
    checkpoint.save((2, "x" * 500))
    damage(checkpoint.folder / name)
    problem = only()
    assert (problem.kind, problem.key) == ("checkpoint", key_of(7).hex())
    repair()
    left = 2 if name == "a.checkpoint" else 1
    assert CheckpointDir(ROOT / "checkpoints", key_of(7).hex()).load() == ((left, "x" * 500), {})


def test_a_checkpoint_that_a_run_is_just_saving_is_left_alone() -> None:
    with Store.open(ROOT) as store:
        writer = store.begin(info_of())
        writer.claim([key_of(7)])
        checkpoint = CheckpointDir(ROOT / "checkpoints", key_of(7).hex())
        checkpoint.save((1, "x" * 500))
        truncate(checkpoint.folder / "a.checkpoint")
        assert memento.verify(ROOT, repair=True).problems == []
        writer.finish("interrupted", {})
    assert only().kind == "checkpoint"


def test_checkpoints_that_a_run_removes_meanwhile_are_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    gone = key_of(7).hex()
    listed = places.entries

    def with_one_that_is_gone(folder: Path) -> list[Path]:
        return [*listed(folder), folder / gone] if folder.name == "checkpoints" else listed(folder)

    monkeypatch.setattr("memento.store.verify_files.entries", with_one_that_is_gone)
    assert memento.verify(ROOT).problems == []


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_a_damaged_step_is_computed_again_when_it_is_needed(damage: Callable[[Path], Any]) -> None:
    run()
    (value,) = (ROOT / "steps").glob("??/*.npy")
    damage(value)
    assert only().kind == "step"
    repair()
    assert not list((ROOT / "steps" / "keys").glob("*.json"))
    payload_of(2).unlink()
    repair()
    check_that_the_next_run_computes(2)
    assert list((ROOT / "steps" / "keys").glob("*.json"))


def test_half_written_files_are_removed_when_no_run_lives() -> None:
    run()
    half = ROOT / "payloads" / ".writing" / "somebody-ab"
    half.parent.mkdir(exist_ok=True)
    half.write_text("half")
    with Store.open(ROOT) as store:
        living = store.begin(info_of())
        assert memento.verify(ROOT, repair=True).problems == []
        assert half.exists()
        living.finish("done", {})
    assert only().kind == "half-written"
    repair()
    assert not half.exists()


@pytest.mark.parametrize(
    "place",
    ["payloads/x", "payloads/3f/readme", "payloads/3f/sub/x", "checkpoints/x", "steps/x", "payloads/zz/x"],
)
def test_what_is_not_ours_is_set_aside(place: str) -> None:
    run()
    path = ROOT / place
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("mine")
    assert only().kind == "foreign"
    repair()
    assert not path.exists()
    aside = [p for p in (ROOT / "payloads" / "damaged").rglob("*") if p.is_file()]
    assert [p.read_text() for p in aside] == ["mine"]
    check_that_the_next_run_computes()


def test_what_cannot_be_read_now_is_told_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    path = payload_of(2)
    real = open

    def refused(file: Any, *args: Any, **options: Any) -> Any:
        if str(file).endswith(path.name):
            raise PermissionError(13, "Permission denied")
        return real(file, *args, **options)

    monkeypatch.setattr("builtins.open", refused)
    report = memento.verify(ROOT, repair=True)
    assert [problem.kind for problem in report.problems] == ["unreadable"]
    assert not report.whole
    monkeypatch.undo()
    check_that_the_next_run_computes()


def test_a_torn_page_of_the_index_is_found_and_the_index_rebuilt() -> None:
    run()
    with closing(sqlite3.connect(ROOT / "index.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'tasks'").fetchone()
    with open(ROOT / "index.sqlite", "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    assert memento.verify(ROOT).problems[0].kind == "index"
    repair()
    assert list(ROOT.glob("index.damaged-1.sqlite"))
    check_that_the_next_run_computes(*range(TASKS))


def test_an_index_that_is_gone_is_made_anew() -> None:
    run()
    for path in ROOT.glob("index.*"):
        path.unlink()
    assert memento.verify(ROOT).problems[0].what == "it is gone"
    repair()
    check_that_the_next_run_computes(*range(TASKS))


def test_a_table_that_is_missing_is_found() -> None:
    run()
    with closing(sqlite3.connect(ROOT / "index.sqlite")) as connection, connection:
        connection.execute("DROP INDEX metrics_by_task")
    assert "the index metrics_by_task is missing" in only().what
    repair()
    check_that_the_next_run_computes()


def test_an_index_on_which_a_run_is_at_work_is_not_replaced() -> None:
    run()
    with Store.open(ROOT) as store:
        living = store.begin(info_of())
        with closing(sqlite3.connect(ROOT / "index.sqlite")) as connection, connection:
            connection.execute("DROP INDEX metrics_by_task")
        report = memento.verify(ROOT, repair=True)
        assert not report.whole
        assert "A run is at work" in report.notes[0]
        living.finish("done", {})
    repair()


def test_what_is_no_store_or_of_a_later_release_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(NotAStore):
        memento.verify(tmp_path / "nothing")
    run()
    with closing(sqlite3.connect(ROOT / "index.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew):
        memento.verify(ROOT)


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("exploded"),)


def bombs(context: Context, config: Config) -> Any:
    context.checkpoint(Bomb())
    return Bomb()


def test_nothing_is_unpickled() -> None:
    Memento(bombs, executor="serial", store=ROOT, progress=False).run({"parameters": {"n": [1]}})
    memento.verify(ROOT)
    memento.verify(ROOT, repair=True)
    memento.gc(ROOT, unfinished=True)
    assert not Path("exploded").exists()


def test_results_whose_upstream_result_is_gone_are_noted() -> None:
    runs = Memento(feeds, executor="serial", store=ROOT, progress=False)
    runs.add_matrix({"id": "base", "parameters": {"n": [1]}})
    runs.add_matrix({"id": "top", "parameters": {"k": [5]}, "dependencies": ["base"]})
    results = runs.run_all()
    assert results is not None
    assert results["base"] is not None
    assert memento.verify(ROOT).notes == []
    memento.forget([results["base"][0].key], ROOT)
    report = memento.verify(ROOT)
    assert report.whole
    assert "Results of 1 tasks" in report.notes[0]


def feeds(context: Context, config: Config) -> float:
    return config.base + config.k if "base" in config.asdict() else 1.5


def hurt(draw: random.Random, root: Path) -> str:
    """Do one thing to a store that a disk or a person might do."""
    kind = draw.choice(["truncate", "flip", "noise", "delete", "add"])
    if kind == "add":
        folder = draw.choice(["payloads", "payloads/3f", "checkpoints", "steps"])
        path = root / folder / draw.choice(["notes.txt", "x.npy", "Copy of a.bin"])
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(draw.randbytes(50))
        return f"add {path}"
    files = [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name not in (".gitignore", "index.sqlite-shm") and path.suffix != ".lock"
    ]
    path = draw.choice(files)
    data = bytearray(path.read_bytes())
    if kind == "delete":
        path.unlink()
    elif data:
        at = draw.randrange(len(data))
        if kind == "truncate":
            del data[at:]
        elif kind == "flip":
            data[at] ^= 1 << draw.randrange(8)
        else:
            data[at : at + 4096] = draw.randbytes(len(data[at : at + 4096]))
        path.write_bytes(data)
    return f"{kind} {path}"


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_after_a_repair_everything_is_whole_and_only_what_was_hurt_is_computed(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    root = tmp_path_factory.mktemp("damage") / "store"
    run(root)
    checkpoint = CheckpointDir(root / "checkpoints", key_of(7).hex())
    for state in (1, 2):
        checkpoint.save((state, "x" * 500))
    what = [hurt(draw, root) for _ in range(draw.randint(1, 3))]
    found = memento.verify(root)
    mended = memento.verify(root, repair=True)
    assert mended.whole, (what, mended)
    assert not (mended.problems and found.whole), (what, found, mended)
    again = memento.verify(root)
    assert again.problems == [], (what, again)
    with Store.open(root) as store:  # what counts as done is right, whether it was hurt or not
        whole = {record.params for record in store.index.recent() if record.status == "done"}
        assert all(same(store.value(r), value_of(int(r.params[6:-1]))) for r in store.index.recent()), what
    calls.clear()
    results = run(root)
    assert all(same(result.inner, value_of(n)) for n, result in enumerate(results)), what
    lost = {n for n in range(TASKS) if f'{{"n": {n}}}' not in whole}
    assert set(calls) >= lost, what
    if not any("index" in one for one in what):
        hurt_tasks = {problem.params for problem in mended.problems if problem.key}
        assert {f'{{"n": {n}}}' for n in calls} <= hurt_tasks, what
    shutil.rmtree(root)
