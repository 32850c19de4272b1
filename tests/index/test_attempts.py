"""A task that several attempts did is told as one, and each attempt's share is listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento.index.attempts import each_once
from memento.index.run_contract import Run
from memento.index.tables.rows import attempt_records, attempt_values
from memento.records import DONE, FAILED, INTERRUPTED, LogSlice, Outcome, Piece, TaskRow
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def piece(run: Run, started: float, runtime: float, log: LogSlice | None = None, memory: int = 500) -> Piece:
    return Piece(run.name, 1, started, runtime, runtime / 2, memory, "host/9", log)


def resumed(*earlier: Piece, failed: str = "", **fields: Any) -> TaskRow:
    return row_of(
        1, failed=failed, started=100.0, runtime=4.0, cpu_time=2.0, memory=400, earlier=earlier, **fields
    )


def test_a_resumed_task_has_the_time_and_memory_of_all_its_pieces(store: Store) -> None:
    run = store.begin(info_of())
    number = run.commit([resumed(piece(run, 10.0, 8.0), piece(run, 50.0, 1.0))]).ids[key_of(1)]
    record = store.index.record(number)
    assert (record.started, record.runtime, record.cpu_time, record.memory) == (10.0, 13.0, 6.5, 500)
    assert [(a.status, a.started, a.runtime) for a in store.index.attempts(key_of(1))] == [
        (INTERRUPTED, 10.0, 8.0), (INTERRUPTED, 50.0, 1.0), (DONE, 100.0, 4.0)
    ]  # fmt: skip
    assert {a.run for a in store.index.attempts(key_of(1))} == {run.id}


def test_forecasts_use_the_whole_time(store: Store) -> None:
    run = store.begin(info_of())
    run.commit([resumed(piece(run, 10.0, 8.0))])
    assert [runtime for _, runtime in store.index.runtimes(info_of().experiment, 10)] == [12.0]


def test_what_was_not_measured_in_one_piece_is_not_known_of_the_whole(store: Store) -> None:
    run = store.begin(info_of())
    first = piece(run, 10.0, 8.0)._replace(cpu_time=None, memory=None)
    record = store.index.record(run.commit([resumed(first)]).ids[key_of(1)])
    assert (record.cpu_time, record.memory) == (None, 400)


def test_the_log_of_a_resumed_task_has_every_piece_in_order(store: Store) -> None:
    run = store.begin(info_of())
    folder = store.path / "logs" / run.name
    folder.mkdir()
    (folder / "1.log").write_bytes(b"other\nfirst\nhalf")
    (folder / "2.log").write_bytes(b"last\n")
    first = LogSlice(f"{run.name}/1.log", 6, 16)
    gone = LogSlice(f"{run.name}/3.log", 0, 9)
    row = resumed(
        piece(run, 10.0, 8.0, first), piece(run, 50.0, 1.0, gone), log=LogSlice(f"{run.name}/2.log", 0, 5)
    )
    record = store.index.record(run.commit([row]).ids[key_of(1)])
    assert store.log(record) == b"first\nhalf\nlast\n"


def test_an_attempt_that_failed_after_its_checkpoint_is_listed_once_with_what_was_kept_of_it(
    store: Store,
) -> None:
    run = store.begin(info_of())
    failed = row_of(1, failed="broken", started=10.0, runtime=9.0)
    run.commit([resumed(piece(run, 10.0, 8.0))], [(failed.key, failed)])
    told = [(a.status, a.runtime, a.kept) for a in store.index.attempts(key_of(1))]
    assert told == [(FAILED, 9.0, 8.0), (DONE, 4.0, None)]


def test_a_failed_task_keeps_its_pieces_when_a_later_run_replaces_it(store: Store) -> None:
    run = store.begin(info_of())
    run.commit([resumed(piece(run, 10.0, 8.0), failed="broken")])
    run.finish("failed", {})
    later = store.begin(info_of())
    later.commit([row_of(1, started=200.0, runtime=3.0)])  # from scratch
    told = [(a.status, a.started, a.runtime) for a in store.index.attempts(key_of(1))]
    assert told == [(INTERRUPTED, 10.0, 8.0), (FAILED, 100.0, 4.0), (DONE, 200.0, 3.0)]


def test_what_interrupted_attempts_printed_stays_with_the_task(store: Store) -> None:
    run = store.begin(info_of())
    folder = store.path / "logs" / run.name
    folder.mkdir()
    for name in ("named.log", "of a failure.log", "nobody's.log"):
        (folder / name).write_bytes(b"text\n")
    named, of_a_failure = (LogSlice(f"{run.name}/{name}", 0, 5) for name in ("named.log", "of a failure.log"))
    other = row_of(2, failed="broken", earlier=(piece(run, 1.0, 1.0, of_a_failure),))
    run.commit([resumed(piece(run, 10.0, 8.0, named)), row_of(2)], [(other.key, other)])
    run.finish("done", {})
    store.gc()
    assert {path.name for path in folder.iterdir()} == {"named.log", "of a failure.log"}


def test_what_an_interrupted_task_printed_stays_until_it_goes_on(store: Store) -> None:
    run = store.begin(info_of())
    log = store.path / "logs" / run.name / "1.log"
    log.parent.mkdir()
    log.write_bytes(b"text\n")
    run.finish("interrupted", {})
    CheckpointDir(store.path / "checkpoints", key_of(1).hex()).save((1,), {})
    store.gc()
    assert log.exists()
    store.gc(unfinished=True)
    assert not log.exists()


seconds = st.floats(0, 1e9)
pieces = st.builds(
    Piece, st.just("20260101-000000-1-0007"), st.integers(1, 9), seconds, seconds, st.none() | seconds,
    st.none() | st.integers(0, 1 << 60), st.text(max_size=5), st.none() | st.just(LogSlice("run/1.log", 3, 9)),
)  # fmt: skip


@pytest.mark.slow
@given(earlier=st.lists(pieces, min_size=1, max_size=4))
def test_pieces_are_read_as_they_were_written(earlier: list[Piece]) -> None:
    row = row_of(1, failed="broken", earlier=tuple(earlier))
    columns = attempt_values(row, 1, 7)
    *found, last = attempt_records((columns[3], columns[4], *columns[5:10], 7, *columns[10:]))
    outcome: Outcome = row.outcome
    assert [
        (a.run, a.number, a.started, a.runtime, a.cpu_time, a.memory, a.worker, a.log) for a in found
    ] == [(7, *piece[1:]) for piece in earlier]
    assert (last.status, last.started, last.runtime, last.failure) == (
        FAILED, outcome.started, outcome.runtime, outcome.failure
    )  # fmt: skip


def test_of_two_checkpoints_of_one_attempt_the_later_counts(store: Store) -> None:
    run = store.begin(info_of())
    short = resumed(piece(run, 10.0, 2.0), failed="broken")._replace()
    run.commit(
        [resumed(piece(run, 10.0, 8.0))],
        [(short.key, short._replace(outcome=short.outcome._replace(started=60.0)))],
    )
    assert [(a.started, a.runtime) for a in store.index.attempts(key_of(1))] == [
        (10.0, 8.0),
        (60.0, 4.0),
        (100.0, 4.0),
    ]
    assert each_once([]) == []


@pytest.mark.parametrize(("late", "told"), [(0.0, 1), (0.5, 1), (-0.5, 1), (30.0, 2)])
def test_an_attempt_is_one_whoever_tells_when_it_began(store: Store, late: float, told: int) -> None:
    run = store.begin(info_of())
    died = row_of(1, failed="its process ended", started=10.0 + late, runtime=9.0)
    run.commit([resumed(piece(run, 10.0, 8.0))], [(died.key, died)])
    assert len(store.index.attempts(key_of(1))) == told + 1
