"""What is damaged is found, said, kept aside and computed again; a value that is read is the one that was written."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
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
from memento.errors import MementoError, PayloadDamaged, StoreError
from memento.store.store import Store
from memento.testing.index_rows import EXPERIMENT, info_of, row_of
from tests.faults.victims import Victim
from tests.faults.victims import value_of as victim_value

calls: list[int] = []


@pytest.fixture(autouse=True)
def _no_calls_yet() -> None:
    calls.clear()


def experiment(context: Context, config: Config) -> Any:
    calls.append(config.n)
    context.record({"n": float(config.n)})
    return value_of(config.n)


def value_of(n: int) -> Any:
    """Values of every kind of home: in the row, beside it, in a file, pickled."""
    kinds: list[Callable[[], Any]] = [
        lambda: n * 1.25,
        lambda: {"n": n, "text": "word " * 100},
        lambda: np.arange(4_000) + n,
        lambda: (n, np.full(3_000, n)),
        lambda: f"short {n}",
    ]
    return kinds[n % len(kinds)]()


def run(count: int = 10, store: str | Path = "store", **options: Any) -> Results:
    runs = Memento(experiment, executor="serial", store=store, progress=False, name="damage", **options)
    results = runs.run({"parameters": {"n": list(range(count))}})
    assert results is not None
    return results


def same(left: Any, right: Any) -> bool:
    try:
        np.testing.assert_equal(left, right)
    except AssertionError:
        return False
    return type(left) is type(right)


def payload_of(results: Results, number: int) -> Path:
    record = results[number]._record
    assert record is not None
    assert record.value is not None
    assert record.value.ref is not None
    return Path("store", "payloads", record.value.ref)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


DAMAGES = pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])


@DAMAGES
@pytest.mark.parametrize("number", [2, 3])
def test_a_damaged_value_is_found_when_it_is_read_and_computed_again_by_the_next_run(
    damage: Callable[[Path], Any], number: int
) -> None:
    damage(payload_of(run(), number))
    with pytest.raises(PayloadDamaged, match=rf"n={number}.*Run the experiment again"):
        run()[number].inner  # noqa: B018 - touching it is the point
    calls.clear()
    again = run()
    assert calls == [number]
    assert same(again[number].inner, value_of(number))


def test_a_damaged_value_that_a_frame_only_names_is_computed_again_once_it_is_touched() -> None:
    flip(payload_of(run(), 2))
    results = memento.load("store")
    assert results.to_frame()["value"][2].startswith("array 4000")  # it is not read to be shown
    with pytest.raises(PayloadDamaged, match=r"n=2.*Run the experiment again"):
        results[2].inner  # noqa: B018 - touching it is the point
    calls.clear()
    run().to_frame()
    assert calls == [2]


@pytest.mark.parametrize(
    "change",
    [
        "tasks SET runtime = runtime + 1",
        "tasks SET started = started - 86400",
        "tasks SET cpu_time = NULL",
        "tasks SET memory = memory + 4096",
        "tasks SET runtime = 'long'",
        "tasks SET status = 'doner'",
        "tasks SET repeat = 7",
        "tasks SET metrics = 0",
    ],
)
def test_a_frame_never_shows_a_fact_that_is_not_what_was_written(change: str) -> None:
    whole = memento.load("store").to_frame() if run() else None
    assert whole is not None
    number = alter(run(), 4, change)
    with pytest.warns(UserWarning, match=rf'"?n"?[=:] ?{number}.*Run the experiment again'):
        frame = memento.load("store").to_frame()
    facts = ["start_time", "runtime", "cpu_time", "memory"]
    shown = frame["key"] == whole["key"][4]
    assert frame[shown][facts].isna().all(axis=None)
    assert frame[~shown][facts].equals(whole.drop(index=4)[facts])
    calls.clear()
    assert list(run().to_frame()["n"]) == list(range(10))
    assert calls == [4]


@pytest.mark.parametrize("change", ["SET last = last * 2", "SET name = 'o'", "SET last = NULL"])
def test_a_frame_never_shows_a_metric_that_is_not_what_was_written(change: str) -> None:
    number = alter(run(), 4, f"metrics {change}")
    with pytest.raises(PayloadDamaged, match=rf'"?n"?[=:] ?{number}.*Run the experiment again'):
        memento.load("store").to_frame()
    calls.clear()
    assert list(run().to_frame()["n"]) == list(range(10))
    assert calls == [4]


@pytest.mark.parametrize(
    "change", ["SET data = zeroblob(16)", "SET count = 3", "SET task = task + 1", "SET data_sum = 0"]
)
def test_metrics_that_are_not_what_was_written_are_refused(change: str) -> None:
    alter(run(), 4, f"metrics {change}")
    with pytest.raises(PayloadDamaged, match=r"n=4.*metrics"):
        run()[4].metrics  # noqa: B018 - touching them is the point
    calls.clear()
    again = run()
    assert calls == [4]
    assert list(again[4].metrics["n"]["y"]) == [4.0]


def test_a_metric_that_is_lost_is_missed() -> None:
    results = run()
    with closing(sqlite3.connect("store/index.sqlite")) as connection, connection:
        connection.execute("DELETE FROM metrics WHERE task = ?", (id_of(results, 4),))
    with pytest.raises(PayloadDamaged, match="metrics"):
        run().to_frame()


def id_of(results: Results, number: int) -> int:
    record = results[number]._record
    assert record is not None
    return record.id


def alter(results: Results, number: int, change: str) -> int:
    """Change one task's row of a table in the index, as a flipped bit would, unseen by SQLite."""
    column = "id" if change.startswith("tasks") else "task"
    with closing(sqlite3.connect("store/index.sqlite")) as connection, connection:
        done = connection.execute(f"UPDATE {change} WHERE {column} = ?", (id_of(results, number),))
        assert done.rowcount == 1
    return number


def test_a_damaged_file_is_kept_aside_with_the_reason() -> None:
    path = payload_of(run(), 2)
    flip(path)
    with pytest.raises(PayloadDamaged):
        run()[2].inner  # noqa: B018
    assert not path.exists()
    (why,) = Path("store/payloads/damaged").glob("*.why")
    assert '"n": 2' in why.read_text(encoding="utf-8")


def test_a_value_that_cannot_be_read_now_is_not_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    path = payload_of(run(), 2)
    from memento.values.places import LocalFolder

    def too_many(*_: Any, **__: Any) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(LocalFolder, "open", too_many)
    with pytest.raises(StoreError, match="Too many open files") as caught:
        run()[2].inner  # noqa: B018
    assert not isinstance(caught.value, PayloadDamaged)
    monkeypatch.undo()
    calls.clear()
    assert same(run()[2].inner, value_of(2))
    assert calls == []
    assert path.exists()


@DAMAGES
def test_a_checkpoint_of_which_one_generation_is_damaged_goes_on_from_the_other(
    damage: Callable[[Path], Any], tmp_path: Path
) -> None:
    from memento.values.checkpoints import CheckpointDir

    CheckpointDir(tmp_path / "checkpoints", "00").save((1,))
    CheckpointDir(tmp_path / "checkpoints", "00").save((2,))
    damage(tmp_path / "checkpoints/00/b.checkpoint")
    assert CheckpointDir(tmp_path / "checkpoints", "00").load() == ((1,), {})


def trains(context: Context, config: Config) -> float:
    step = context.restore() if context.checkpoint_exist() else 0
    calls.append(step)
    context.checkpoint(step + 1)
    if len(calls) == 1:
        raise RuntimeError("first attempt")
    return 1.5


@DAMAGES
def test_a_task_whose_checkpoints_are_all_damaged_begins_anew(damage: Callable[[Path], Any]) -> None:
    runs = Memento(trains, executor="serial", store="store", progress=False, on_error="return")
    runs.run({"parameters": {"n": [1]}})
    (checkpoint,) = Path("store/checkpoints").glob("*/*.checkpoint")
    damage(checkpoint)
    results = runs.run({"parameters": {"n": [1]}})
    assert results is not None
    assert results[0].inner == 1.5
    assert calls == [0, 0]


def feeds(context: Context, config: Config) -> Any:
    calls.append(config.n if "n" in config.asdict() else -1)
    return float(config.base.sum()) + config.k if "base" in config.asdict() else value_of(2) + config.n


def test_a_damaged_value_that_another_matrix_needs_is_computed_again_by_the_next_run() -> None:
    runs = Memento(feeds, executor="serial", store="store", progress=False, on_error="return")
    runs.add_matrix({"id": "base", "parameters": {"n": [1]}})
    runs.run_all()
    (path,) = Path("store/payloads").glob("*/*.npy")
    flip(path)
    runs.add_matrix({"id": "top", "parameters": {"k": [5]}, "dependencies": ["base"]})
    first = runs.run_all()
    assert first is not None
    assert first["top"] is not None
    assert "PayloadDamaged" in str(first["top"].failures)
    second = runs.run_all()
    assert second is not None
    assert second["top"] is not None
    assert calls == [1, 1, -1]
    assert second["top"][0].inner == float((value_of(2) + 1).sum()) + 5


def cuts(context: Context, config: Config) -> Any:
    """Cut the file short from which a value is mapped, between two looks at it."""
    if "base" not in config:
        return np.arange(300_000.0)
    first = float(config.base[0])
    if config.k == 1:
        (path,) = Path(config.store).glob("payloads/*/*.npy")
        os.truncate(path, 8_192)
    return first + float(config.base.sum())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other signals for it")
def test_a_file_that_is_cut_short_while_it_is_mapped_costs_its_tasks_alone() -> None:
    store = str(Path("store").absolute())
    runs = Memento(cuts, num_workers=1, store="store", progress=False, on_error="return")
    runs.add_matrix({"id": "base", "parameters": {"store": [store]}})
    runs.add_matrix({"id": "top", "parameters": {"k": [0, 1], "store": [store]}, "dependencies": ["base"]})
    first = runs.run_all()
    assert first is not None
    assert first["top"] is not None
    assert [result.status for result in first["top"]] == ["done", "failed"]
    assert "SIGBUS" in str(first["top"].failures)
    assert "memento verify" in str(first["top"].failures)


def damage_somewhere(draw: random.Random, root: Path) -> str:
    """Do one thing to one file of a store that a disk or a person might do."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and path.name != ".gitignore"]
    path = draw.choice(files)
    data = bytearray(path.read_bytes())
    kind = draw.choice(["truncate", "flip", "noise", "delete"])
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
    return f"{kind} {path.name}"


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32 - 1))
def test_whatever_is_damaged_every_value_is_right_or_refused(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    draw = random.Random(seed)
    root = tmp_path_factory.mktemp("damage") / "store"
    run(store=root)
    what = [damage_somewhere(draw, root) for _ in range(draw.randint(1, 3))]
    try:
        loaded: Any = memento.load(root, experiment="damage")
        for result in loaded:
            value = result.inner
            assert same(value, value_of(int(result.config.n))), what
            assert list(result.metrics["n"]["y"]) == [float(result.config.n)], what
            assert result.runtime is not None, what
    except MementoError as error:
        what.append(str(error))
    except ValueError as error:
        what.append(str(error))
        if "experiment" not in str(error):  # its name is lost, or nothing is left
            raise
    for _ in range(4):  # each run may find one more damaged thing, and says so
        try:
            again = run(store=root)
            assert all(same(result.inner, value_of(n)) for n, result in enumerate(again)), what
            break
        except StoreError as error:
            what.append(str(error))
    else:
        pytest.fail(f"not whole after four runs: {what}")
    shutil.rmtree(root)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["rebuild.ready", "rebuild.aside"])
def test_a_kill_while_a_damaged_index_is_rebuilt_loses_nothing_more(point: str, tmp_path: Path) -> None:
    root = tmp_path / "store"
    with Store.open(root) as store:
        store.begin(info_of()).commit([row_of(n) for n in range(2000)])
    with closing(sqlite3.connect(root / "index.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(root / "index.sqlite", "r+b") as file:
        file.seek(file.seek(0, 2) // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096)
    (root / "index.suspect").touch()
    opening = f"from memento.store.store import Store; Store.open({str(root)!r})"
    killed = subprocess.run(
        [sys.executable, "-c", opening], env={"MEMENTO_FAULTS": point}, timeout=300, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (root / "index.sqlite").exists()
    with Store.open(root) as store:
        left = len(list(store.index.known(EXPERIMENT)))
        assert 1900 < left < 2000
        assert "has been rebuilt" in store.notes[0]
    assert [path.name for path in root.glob("index.damaged-*.sqlite")] == ["index.damaged-1.sqlite"]
    with Store.open(root) as store:
        assert store.notes == []


@pytest.mark.slow
@pytest.mark.parametrize("lost", [("-wal",), ("-shm",), ("-wal", "-shm")])
def test_a_log_of_the_index_that_is_lost_costs_what_stood_in_it_only(
    lost: tuple[str, ...], tmp_path: Path
) -> None:
    victim = Victim(tmp_path, SLOW="0.06")  # longer than what commits wait for: there are several
    assert victim.run(MEMENTO_FAULTS="commit.done:2").code == -signal.SIGKILL
    for ending in lost:
        (victim.store / f"index.sqlite{ending}").unlink()
    done = victim.done()
    for number, value in done.items():
        assert same(value, victim_value(number))
    victim.forget_journal()
    assert victim.run().complete
    assert not set(victim.starts()) & done.keys()
    assert memento.verify(victim.store).whole
