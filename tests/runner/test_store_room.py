"""A run respects the store's limit: it says so, keeps what finished, and goes on when there is room."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento import Memento, system
from memento.clock import SYSTEM_CLOCK
from memento.errors import StoreLimitReached
from memento.events import Event, RunFinished, RunStarted, Said
from memento.records import Encoded, LogSlice, Outcome
from memento.runner.store_room import StoreRoom
from memento.store.sizes import measure
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of
from memento.values.checkpoints import CheckpointDir
from memento.worker.work import Task
from tests.runner.fakes import FakeClock, FakeSession, outcome

MB = 1_000_000
ran: list[int] = []


def large(context: Any, config: Any) -> Any:
    """Return a value of a million bytes that no other task has."""
    ran.append(config.i)
    return np.full(MB // 8, float(config.i))


def runs(folder: Path, limit: object, heard: list[Event] | None = None, executor: str = "serial") -> Memento:
    ran.clear()
    listeners = [] if heard is None else [heard.append]
    return Memento(
        large,
        executor=executor,
        num_workers=1,
        store=folder,
        store_limit=limit,  # type: ignore[arg-type]
        progress=False,
        listeners=listeners,
    )


TASKS = 100  # several times as many as are told at once
MATRIX = {"parameters": {"i": list(range(TASKS))}}


@pytest.mark.parametrize("executor", ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_no_more_is_started_what_finished_is_kept_and_the_rest_comes_later(
    executor: str, tmp_path: Path
) -> None:
    heard: list[Event] = []
    with pytest.raises(StoreLimitReached) as told:
        runs(tmp_path / "s", "8MB", heard, executor).run(MATRIX)
    with Store.open(tmp_path / "s") as store:
        done = len(store.index.ids(status="done"))
        (run,) = store.index.runs()
    assert 6 <= done < TASKS
    assert run.status == "interrupted"
    assert f"{TASKS - done} tasks are not computed; everything that finished is kept" in str(told.value)
    assert "store_limit is 8 MB: values " in str(told.value)
    (ended,) = [event for event in heard if isinstance(event, RunFinished)]
    assert (ended.interrupted, ended.left, ended.how_to_go_on) == (True, TASKS - done, str(told.value))
    results = runs(tmp_path / "s", "1GB", executor=executor).run(MATRIX)
    assert results is not None
    assert [float(result.inner[0]) for result in results] == list(range(TASKS))
    if executor == "serial":
        assert len(ran) == TASKS - done, "a task was computed twice"


def test_a_store_that_has_it_already_starts_nothing_and_says_what_gc_frees(tmp_path: Path) -> None:
    with Store.open(tmp_path / "s") as store:
        store.payloads.write([b"0" * 2 * MB], ".bin")
    heard: list[Event] = []
    with pytest.raises(StoreLimitReached, match=rf"{TASKS} tasks are not computed.*`memento gc` frees 2 MB"):
        runs(tmp_path / "s", MB, heard).run(MATRIX)
    assert ran == []
    assert not [event for event in heard if isinstance(event, RunStarted)]
    with Store.open(tmp_path / "s") as store:
        assert store.index.runs() == []


@pytest.mark.slow
def test_a_run_that_has_all_its_results_needs_no_room(tmp_path: Path) -> None:
    runs(tmp_path / "s", None).run(MATRIX)
    results = runs(tmp_path / "s", 1).run(MATRIX)
    assert results is not None
    assert len(results) == TASKS


def test_a_limit_that_the_last_task_reaches_is_no_error(tmp_path: Path) -> None:
    results = runs(tmp_path / "s", 4 * MB).run({"parameters": {"i": [1, 2, 3, 4]}})
    assert results is not None
    assert len(results) == 4


def test_of_several_matrices_none_is_begun_after_that(tmp_path: Path) -> None:
    memento = runs(tmp_path / "s", 3 * MB)
    memento.add_matrix({"id": "first", "parameters": {"i": [1, 2, 3, 4, 5, 6, 7]}})
    memento.add_matrix({"id": "second", "parameters": {"i": [11, 12]}})
    with pytest.raises(StoreLimitReached):
        memento.run_all()
    assert 11 not in ran


def same(context: Any, config: Any) -> Any:
    return np.zeros(MB // 8)


@pytest.mark.slow
def test_a_value_that_all_tasks_return_counts_once(tmp_path: Path) -> None:
    memento = Memento(same, executor="serial", store=tmp_path / "s", store_limit="4MB", progress=False)
    results = memento.run({"parameters": {"i": list(range(50))}})
    assert results is not None
    assert len(results) == 50


@pytest.mark.parametrize("limit", [0, -1, "much", "5 apples", True, "", "GB"])
def test_what_is_no_size_is_refused_at_once(limit: object, tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError), match="store_limit must be"):
        runs(tmp_path / "s", limit)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 400_000), min_size=1, max_size=20),
    limit=st.integers(1_000, 3_000_000),
    shared=st.booleans(),
)
def test_whatever_tasks_return_the_limit_holds_but_for_what_was_running(
    sizes: list[int], limit: int, shared: bool
) -> None:
    """One task runs at a time, and one is told while it does."""
    with tempfile.TemporaryDirectory() as folder:

        def returns(task: Task) -> Outcome:
            size = sizes[0] if shared else sizes[task.number]
            name = "shared" if shared else str(task.number)
            (Path(folder) / "payloads").mkdir(exist_ok=True)
            (Path(folder) / "payloads" / name).write_bytes(b"0" * size)
            return outcome(task)._replace(value=Encoded("npy", None, f"ab/{name}.npy", size, "x:y"))

        session = FakeSession(len(sizes), returns)
        room = session.runner.room = StoreRoom(folder, limit, session.listen, session.clock)
        session.loop()
        done = [outcome.value.size for *_, outcome in session.run.rows if outcome.value is not None]
        if shared:
            assert len(done) == (len(sizes) if sizes[0] < limit else min(len(sizes), 2))
        else:
            assert sum(done[:-2]) < limit
            assert len(done) == len(sizes) or sum(done) >= limit
        assert room.is_full == (measure(folder).total >= limit)
        assert len(done) == session.plan.total - session.plan.unfinished, "what finished is not kept"


# --- what is added up, one thing at a time


def task(number: int) -> Task:
    return Task(number, key_of(number), 0, (), 0, 1, 0.0, 0)


class Room:
    """A store with a limit that is far off, and what is said of it."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self.store = Store.open(folder)
        self.said: list[str] = []
        self.clock = FakeClock()
        self.room = StoreRoom(self.store.root, limit, self.hear, self.clock)

    def hear(self, event: Event) -> None:
        assert isinstance(event, Said)
        self.said.append(event.text)


@pytest.mark.parametrize("kind", ["value", "log", "artifact", "folder", "checkpoint"])
def test_what_comes_with_a_task_counts_without_a_walk_through_the_store(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path / "s", 10 * MB)
    one, ended = task(1), outcome(task(1))
    if kind == "value":
        ended = ended._replace(value=Encoded("npy", None, "ab/cd.npy", 11 * MB, "numpy:ndarray"))
    elif kind == "log":
        ended = ended._replace(log=LogSlice("run/1.log", 5, 11 * MB))
    elif kind == "checkpoint":
        CheckpointDir(room.store.path / "checkpoints", key_of(1).hex()).save((b"0" * 11 * MB,))
    else:
        path = room.store.path / ("artifacts" if kind == "artifact" else "work") / key_of(1).hex() / "file"
        path.parent.mkdir()
        path.write_bytes(b"0" * 11 * MB)
        ended = ended._replace(artifacts=("file",) if kind == "artifact" else ())
    sizes: list[int] = []
    monkeypatch.setattr(StoreRoom, "_measure", lambda room, keys: sizes.append(room._size(keys)))
    room.clock.time += 1.0
    if kind == "checkpoint":
        room.room.look([one])
    else:
        room.room.note([(one, ended)], [])
    assert len(sizes) == 1, "it was not noticed, or the store was walked through before"
    assert 11 * MB <= sizes[0] < 11.5 * MB  # with the index


def test_it_is_said_once_before_the_limit_is_reached(tmp_path: Path) -> None:
    room = Room(tmp_path / "s", 4 * MB)
    for ref in ("ab/1.npy", "ab/2.npy", "ab/3.npy"):
        ended = outcome(task(1))._replace(value=Encoded("npy", None, ref, MB, "numpy:ndarray"))
        assert not room.room.note([(task(1), ended)], [])
    assert room.said == []
    for _ in range(2):
        ended = outcome(task(1))._replace(value=Encoded("npy", None, "ab/4.npy", MB // 4, "numpy:ndarray"))
        assert not room.room.note([(task(1), ended)], [])
    (said,) = room.said
    assert "of store_limit=4 MB" in said


def test_what_other_runs_write_is_noticed_too(tmp_path: Path) -> None:
    room = Room(tmp_path / "s", 3 * MB)
    room.store.payloads.write([b"0" * 4 * MB], ".bin")
    assert not room.room.look([])
    room.clock.time += 61.0
    assert room.room.look([])


def test_the_disk_is_said_to_get_full_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(tmp_path / "s", None)
    monkeypatch.setattr(system, "disk_space", lambda path: (2 * 2**30, 100 * 2**30))
    assert not room.room.look([])
    assert room.said == []
    monkeypatch.setattr(system, "disk_space", lambda path: (2**29, 100 * 2**30))
    for _ in range(3):
        assert not room.room.look([])
    (said,) = room.said
    assert "has 537 MB left" in said
    assert "`memento gc`" in said


def test_a_disk_that_says_nothing_is_not_said_to_be_full(tmp_path: Path) -> None:
    assert system.disk_space(tmp_path / "gone") == (0, 0)
    free, whole = system.disk_space(tmp_path)
    assert 0 < free <= whole


def test_without_a_limit_nothing_is_walked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StoreRoom, "_measure", lambda *_: pytest.fail("measured"))
    with Store.open(tmp_path / "s") as store:
        store.begin(info_of())
        room = StoreRoom(store.root, None, lambda event: None, SYSTEM_CLOCK)
        assert not room.note([(task(1), outcome(task(1)))], [])
        assert not room.look([])
