"""`gc` removes what nobody names, and nothing that anybody may be about to name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

import memento
from memento.index.run_contract import Run
from memento.records import LogSlice
from memento.store import garbage, removable
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir
from memento.values.encoding import decode, encode
from memento.values.places import LocalFolder

DEAD: dict[str, Any] = {"pid": 2**22 + 1}  # no system of ours hands out such a pid


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def put(store: Store, number: int) -> Any:
    """Write a value that is a file, as a worker does; returns what the row will say."""
    return encode(str(number).encode() * 10_000, store.payloads, inline_limit=100)


def done(store: Store, run: Run, number: int, **fields: Any) -> str:
    """Commit a task with a value that is a file; returns its name."""
    value = put(store, number)
    row = row_of(number, **fields)
    run.commit([row._replace(outcome=row.outcome._replace(value=value))])
    assert value.ref is not None
    return str(value.ref)


def there(store: Store, ref: str) -> bool:
    return store.payloads.path(ref).exists()


def test_a_value_goes_when_its_task_is_forgotten_and_not_before(store: Store) -> None:
    run = store.begin(info_of())
    kept, forgotten = done(store, run, 1), done(store, run, 2)
    run.finish("done", {})
    assert store.gc().removed == {}
    store.forget([key_of(2)])
    found = store.gc()
    assert found.removed == {removable.PAYLOADS: (1, 10_000)}
    assert (there(store, kept), there(store, forgotten)) == (True, False)


def test_a_value_that_two_tasks_share_stays_with_the_second(store: Store) -> None:
    run = store.begin(info_of())
    value = put(store, 1)
    for number in (1, 2):
        row = row_of(number)
        run.commit([row._replace(outcome=row.outcome._replace(value=value))])
    run.finish("done", {})
    store.forget([key_of(1)])
    assert store.gc().removed == {}
    (record,) = store.index.recent()
    assert store.value(record) == b"1" * 10_000


def test_what_a_living_run_has_written_and_not_committed_stays(store: Store) -> None:
    run = store.begin(info_of())
    value = put(store, 1)
    found = store.gc()
    assert (found.removed, found.kept) == ({}, {removable.PAYLOADS: (1, 10_000)})
    assert [process.run for process in found.runs] == [run.id]
    assert there(store, value.ref)


def test_what_a_dead_run_has_written_and_not_committed_goes(store: Store) -> None:
    store.begin(info_of(**DEAD))
    value = put(store, 1)
    assert store.gc().removed == {removable.PAYLOADS: (1, 10_000)}
    assert not there(store, value.ref)


def test_what_jobs_of_a_killed_program_have_finished_and_are_at_stays(store: Store) -> None:
    """Nothing but the folders of its pilots tells of it: the next run takes it in, and serves the jobs that live."""
    name = store.begin(info_of(**DEAD)).name
    value = put(store, 1)  # a job has told of it; its program was dead
    assert value.ref is not None
    folder = store.path / "work" / name
    (folder / "pilots" / "p0001").mkdir(parents=True)
    for file in ("outlives", "work.pickle", "code.texts", "pilots/p0001/from-1"):
        (folder / file).write_bytes(b"x")
    assert store.gc(dry_run=True).removed == store.gc().removed == {}
    assert (folder / "pilots/p0001/from-1").exists()
    assert there(store, value.ref)
    assert store.gc(unfinished=True).removed.keys() == {removable.HANDED, removable.PAYLOADS}
    assert not folder.exists()


def test_old_garbage_that_a_worker_has_found_and_is_about_to_name_stays(store: Store) -> None:
    """The worker writes nothing, for the file is there: its age says that it is garbage, and it is not."""
    first = store.begin(info_of())
    ref = done(store, first, 1)
    first.finish("done", {})
    store.forget([key_of(1)])
    os.utime(store.payloads.path(ref), (1.0, 1.0))
    second = store.begin(info_of())
    value = put(store, 1)
    assert value.ref == ref
    store.gc()
    row = row_of(2)
    second.commit([row._replace(outcome=row.outcome._replace(value=value))])
    (record,) = store.index.recent()
    assert store.value(record) == b"1" * 10_000


def test_a_run_that_begins_in_the_middle_keeps_what_is_left(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [put(store, number) for number in range(6)]
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            store.begin(info_of())

    monkeypatch.setattr("time.sleep", pause)
    monkeypatch.setattr(garbage, "_TURN", 0.0)  # one removal a turn
    found = store.gc()
    assert found.removed == {removable.PAYLOADS: (2, 20_000)}
    assert found.kept == {removable.PAYLOADS: (4, 40_000)}
    assert sum(there(store, value.ref) for value in values) == 4


def test_a_run_that_came_and_went_in_the_middle_keeps_what_it_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {number: put(store, number) for number in range(4)}

    def pause(seconds: float) -> None:
        if not list(store.index.recent()):
            run = store.begin(info_of())
            for number in values:
                done(store, run, number)
            run.finish("done", {})

    monkeypatch.setattr("time.sleep", pause)
    monkeypatch.setattr(garbage, "_TURN", 0.0)
    assert store.gc().removed == {removable.PAYLOADS: (1, 10_000)}  # before the run, which wrote it again
    assert [len(store.value(record)) for record in store.index.recent()] == [10_000] * 4


def test_the_definitions_of_classes_stay_and_what_steps_name_as_long_as_a_task_used_them(
    store: Store,
) -> None:
    ref = store.payloads.write([b"definitions" * 10], ".pickle", folder="classes")
    store.begin(info_of(**DEAD))
    experiment = memento.Memento(shares, executor="serial", store=store.path, progress=False)
    experiment.run({"parameters": {"n": [1]}})
    (value,) = (store.path / "steps").glob("??/*.npy")
    store.gc(damaged=True, unfinished=True)
    assert value.exists()
    assert list((store.path / "steps" / "keys").glob("*.json"))
    store.forget([record.key for record in store.index.recent()])
    store.gc(damaged=True, unfinished=True)
    assert there(store, ref)
    assert not value.exists()
    assert not list((store.path / "steps" / "keys").glob("*.json"))


def shares(context: Any, config: Any) -> float:
    return float(context.cached(shared).sum())


def shared() -> Any:
    import numpy as np

    return np.arange(20_000)


def test_a_steps_value_that_nothing_names_goes(store: Store) -> None:
    from memento.values.payloads import PayloadDir

    ref = PayloadDir(store.path / "steps").write([b"of a worker that died"], ".bin")
    assert store.gc().removed == {removable.STEPS: (1, 21)}
    assert not (store.path / "steps" / ref).exists()


def test_the_checkpoint_of_a_task_that_is_not_done_stays(store: Store) -> None:
    run = store.begin(info_of())
    run.commit([row_of(1, failed="no")])
    run.finish("failed", {})
    checkpoints = {n: CheckpointDir(store.path / "checkpoints", key_of(n).hex()) for n in (1, 2)}
    for checkpoint in checkpoints.values():
        checkpoint.save((1,))
    assert store.gc().removed == {}
    assert all(checkpoint.load() == ((1,), {}) for checkpoint in checkpoints.values())
    removed = store.gc(unfinished=True).removed
    assert removed[removable.UNFINISHED][0] == 2
    assert not any((store.path / "checkpoints").iterdir())


def test_the_checkpoint_and_folder_of_a_done_task_go_unless_a_run_computes_it_again(store: Store) -> None:
    run = store.begin(info_of())
    for number in (1, 2):
        done(store, run, number)
        CheckpointDir(store.path / "checkpoints", key_of(number).hex()).save((1,))
        (store.path / "work" / key_of(number).hex()).mkdir()
        (store.path / "work" / key_of(number).hex() / "file").write_text("123")
    run.claim([key_of(2)])
    found = store.gc()
    assert found.removed[removable.FOLDERS] == (1, 3)
    assert found.removed[removable.CHECKPOINTS][0] == 1
    assert found.kept[removable.FOLDERS] == (1, 3)
    assert [path.name for path in (store.path / "work").iterdir()] == [key_of(2).hex()]
    assert [path.name for path in (store.path / "checkpoints").iterdir()] == [key_of(2).hex()]


def test_artifacts_stay_with_their_result_and_with_what_goes_on(store: Store) -> None:
    run = store.begin(info_of())
    done(store, run, 1)
    run.finish("done", {})
    for number in (1, 2, 3):
        (store.path / "artifacts" / key_of(number).hex()).mkdir()
    CheckpointDir(store.path / "checkpoints", key_of(2).hex()).save((1,))
    assert store.gc().removed == {removable.ARTIFACTS: (1, 0)}
    assert {path.name for path in (store.path / "artifacts").iterdir()} == {key_of(1).hex(), key_of(2).hex()}


def test_output_that_an_attempt_names_stays(store: Store) -> None:
    run = store.begin(info_of())
    folder = store.path / "logs" / run.name
    folder.mkdir()
    for name in ("named.log", "of_attempt.log", "unnamed.log"):
        (folder / name).write_text("words")
    run.commit(
        [row_of(1, log=LogSlice(f"{run.name}/named.log", 0, 5))],
        [(key_of(1), row_of(1, failed="no", log=LogSlice(f"{run.name}/of_attempt.log", 0, 5)))],
    )
    assert store.gc().removed == {}
    run.finish("done", {})
    assert store.gc().removed == {removable.LOGS: (1, 5)}
    assert {path.name for path in folder.iterdir()} == {"named.log", "of_attempt.log"}


def test_half_written_files_go_when_no_run_lives(store: Store) -> None:
    run = store.begin(info_of())
    half = store.path / "payloads" / ".writing" / "somebody-abc"
    half.parent.mkdir()
    half.write_bytes(b"half")
    assert store.gc().kept == {removable.TEMPORARIES: (1, 4)}
    run.finish("done", {})
    assert store.gc().removed == {removable.TEMPORARIES: (1, 4)}
    assert not half.exists()


def test_damaged_things_go_when_asked_only(store: Store) -> None:
    aside = store.path / "payloads" / "damaged" / "x.npy"
    LocalFolder(store.path / "payloads").write("damaged/x.npy", [b"12345"])
    assert store.gc().removed == {}
    assert store.gc(damaged=True).removed == {removable.DAMAGED: (1, 5)}
    assert not aside.exists()


def test_a_dry_run_says_the_same_and_removes_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        ref = put(store, 1).ref
        CheckpointDir(store.path / "checkpoints", key_of(9).hex()).save((1,))
    with Store.open(tmp_path / "store", create=False, readonly=True) as reader:
        would = reader.gc(dry_run=True, unfinished=True)
        assert there(reader, ref)
    with Store.open(tmp_path / "store") as store:
        assert store.gc(unfinished=True).removed == would.removed


def test_a_folder_that_is_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    ref = put(store, 1).ref
    shard = store.payloads.path(ref).parent
    shard.rename(tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    (store.path / "work" / key_of(1).hex()).symlink_to(tmp_path / "elsewhere")
    store.gc(unfinished=True)
    assert (tmp_path / "elsewhere" / Path(ref).name).exists()


class Collecting(RuleBasedStateMachine):
    """Workers write, runs commit, die and end, people forget, and `gc` comes at any moment.

    The model: what each task's row says that its value is. A named value can always be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[int, Run] = {}  # slot -> a run that lives
        self.written: dict[int, list[tuple[int, Any]]] = {}  # slot -> what its workers wrote: task, value
        self.rows: dict[int, int] = {}  # task -> content

    @initialize()
    def open(self) -> None:
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.store = Store.open(Path(self.folder.name) / "store")
        self.dead: set[int] = set()
        leases = self.store.index.leases
        is_dead = leases.is_dead
        leases.is_dead = lambda owner: owner.run in self.dead or is_dead(owner)  # type: ignore[method-assign]

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    slots = st.integers(0, 1)
    tasks = st.integers(0, 5)
    contents = st.integers(0, 3)

    @rule(slot=slots)
    def begin(self, slot: int) -> None:
        if slot not in self.runs:
            self.runs[slot] = self.store.begin(info_of())
            self.written[slot] = []

    @rule(slot=slots, task=tasks, content=contents)
    def write(self, slot: int, task: int, content: int) -> None:
        # A run asks for what it has not done itself, as the plan says.
        if slot not in self.runs or task in self.rows:
            return
        if key_of(task) in self.runs[slot].claim([key_of(task)]).granted:
            self.written[slot].append((task, put(self.store, content)))

    @rule(slot=slots)
    def commit(self, slot: int) -> None:
        if slot in self.runs:
            rows = {}
            for task, value in self.written[slot]:
                row = row_of(task)
                rows[task] = row._replace(outcome=row.outcome._replace(value=value))
            told = self.runs[slot].commit(list(rows.values()))
            for task, row in rows.items():
                if key_of(task) not in told.superseded:
                    value = decode(row.outcome.value, self.store.payloads)  # type: ignore[arg-type]
                    self.rows[task] = int(value[:1])
            self.written[slot] = []

    @rule(slot=slots, kills=st.booleans())
    def end(self, slot: int, kills: bool) -> None:
        run = self.runs.pop(slot, None)
        if run is not None:
            if kills:
                self.dead.add(run.id)
            else:
                run.finish("done", {})
            self.written[slot] = []

    @rule(task=tasks)
    def forget(self, task: int) -> None:
        self.store.forget([key_of(task)])
        self.rows.pop(task, None)

    @rule(everything=st.booleans())
    def collect(self, everything: bool) -> None:
        self.store.gc(damaged=everything, unfinished=everything)
        if not self.runs:
            left = set(self.store.payloads.refs())
            assert len(left) == len(set(self.rows.values())), "garbage is left"

    @invariant()
    def every_named_value_can_be_read(self) -> None:
        if hasattr(self, "store"):
            read = {record.key: int(self.store.value(record)[:1]) for record in self.store.index.recent()}
            assert read == {key_of(task): content for task, content in self.rows.items()}


@pytest.mark.slow
def test_no_order_of_writes_commits_deaths_and_gc_loses_a_named_value() -> None:
    run_state_machine_as_test(Collecting, settings=settings(max_examples=30, stateful_step_count=40))


def test_the_library_call_does_the_same(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        put(store, 1)
    assert memento.gc(tmp_path / "store", dry_run=True).size == 10_000
    assert memento.gc(tmp_path / "store").size == 10_000
    assert memento.gc(tmp_path / "store").size == 0
