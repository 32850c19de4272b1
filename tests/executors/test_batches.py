"""What becomes of a batch whose engine breaks, loses it, or cannot start it."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.errors import WorkerStartError
from memento.executors.batches import BatchExecutor, Death
from memento.executors.futures import Futures
from memento.records import DIED, DONE, STORE_UNWRITABLE, Outcome
from memento.testing.driving import Drive
from memento.worker.batch_runner import Batch, begun_file, run_batch


class Broken(Exception):
    """What an engine raises where a worker has died."""


class Scripted(BatchExecutor):
    """Runs a batch where it is asked for its end, and does with it what `script` says."""

    name = "scripted"
    isolates = True

    def __init__(self, *script: Any) -> None:
        super().__init__(1)
        self.script, self.sent = list(script), list[Batch]()
        self.calls: dict[int, Batch] = {}

    def send(self, batch: Batch) -> Hashable:
        self.sent.append(batch)
        self.calls[batch.number] = batch
        return batch.number

    def receive(self, timeout: float) -> Iterator[tuple[Hashable, list[Outcome] | BaseException]]:
        for number, batch in list(self.calls.items()):
            del self.calls[number]
            act = self.script.pop(0) if self.script else run_batch
            yield number, act(batch)

    def withdraw(self, call: Hashable) -> bool:
        return False

    def why_ended(self, error: BaseException) -> Death | str | None:
        if isinstance(error, Broken):
            return Death("SIGKILL", "its worker was killed", "last words")
        return str(error) if isinstance(error, ConnectionError) else None

    def wake(self) -> None: ...


def dies_after(count: int, error: BaseException) -> Any:
    def act(batch: Batch) -> BaseException:
        run_batch(batch._replace(tasks=batch.tasks[:count]))
        return error

    return act


def never_begins(batch: Batch) -> BaseException:
    return Broken()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Any]:
    made: list[Drive] = []

    def make(*script: Any) -> Drive:
        (tmp_path / "store" / "payloads").mkdir(parents=True)
        drive = Drive(Scripted(*script), tmp_path / "store")
        made.append(drive)
        drive.start(lambda context, config: 1)
        executor = drive.executor
        assert isinstance(executor, Scripted)
        executor._pace.seconds = 0.001  # batches of many tasks from the first one on
        return drive

    yield make
    for drive in made:
        drive.executor.close()


def batches(drive: Drive) -> list[list[int]]:
    assert isinstance(drive.executor, Scripted)
    return [[task.number for task in batch.tasks] for batch in drive.executor.sent]


def test_of_a_batch_that_dies_what_was_done_counts_one_is_blamed_and_the_rest_is_sent_again(
    make: Any,
) -> None:
    drive = make(dies_after(2, Broken()))
    drive.executor.submit([drive.task(i) for i in range(8)])
    drive.until(lambda: drive.ended == 8)
    first, second, *_ = batches(drive)
    assert (first, second[0]) == ([0, 1, 2, 3], 3)
    failure = drive.outcomes[2].failure
    assert failure is not None
    assert (failure.kind, failure.type, failure.output) == (DIED, "SIGKILL", "last words")
    assert failure.message == "its worker was killed"
    assert [drive.outcomes[i].status for i in range(8) if i != 2] == [DONE] * 7


def test_of_a_batch_whose_place_is_taken_away_one_is_lost_with_the_reason(make: Any) -> None:
    drive = make(dies_after(1, ConnectionError("node n17 was preempted")))
    drive.executor.submit([drive.task(i, attempt=2) for i in range(8)])
    drive.until(lambda: drive.ended == 8)
    (loss,) = drive.losses
    assert (loss.number, loss.attempt, loss.reason, loss.cancelled) == (1, 2, "node n17 was preempted", False)


def test_what_did_not_come_back_is_lost(make: Any) -> None:
    drive = make(lambda batch: run_batch(batch)[:-1])
    drive.executor.submit([drive.task(i) for i in range(8)])
    drive.until(lambda: drive.ended == 8)
    assert [(loss.number, loss.reason) for loss in drive.losses] == [(3, "no outcome came back of it")]


def test_batches_that_never_begin_end_the_run_and_not_their_tasks(make: Any) -> None:
    drive = make(never_begins, never_begins, never_begins)
    drive.executor.submit([drive.task(0)])
    with pytest.raises(WorkerStartError, match=r"3 batches in a row .* its worker was killed\nlast words"):
        drive.until(lambda: drive.ended == 1)
    assert not drive.outcomes


def test_a_fault_of_the_engine_ends_the_run_with_what_it_was(make: Any) -> None:
    drive = make(lambda batch: RuntimeError("no such queue"))
    drive.executor.submit([drive.task(0)])
    with pytest.raises(WorkerStartError, match="scripted could not run a batch: RuntimeError: no such queue"):
        drive.until(lambda: drive.ended == 1)


def test_what_has_died_after_it_was_cancelled_is_sent_to_nobody_again(make: Any) -> None:
    drive = make(dies_after(1, Broken()))
    drive.executor.submit([drive.task(i) for i in range(8)])
    drive.executor.cancel([2, 3, 7], running=True)
    drive.until(lambda: drive.ended == 8)
    assert sorted(loss.number for loss in drive.losses if loss.cancelled) == [2, 3, 7]
    assert begun_file(drive.executor._folder, 1).exists()


def test_a_pool_that_was_shut_down_is_named_with_the_way_out(tmp_path: Path) -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    drive = Drive(Futures(pool), tmp_path)
    drive.start(lambda context, config: 1)
    pool.shutdown()
    with pytest.raises(WorkerStartError, match=r"takes no more tasks: RuntimeError.*executor='processes'"):
        drive.executor.submit([drive.task(0)])


def test_a_worker_that_cannot_leave_an_outcome_says_so_of_the_store(make: Any, tmp_path: Path) -> None:
    def act(batch: Batch) -> list[Outcome]:
        Path(batch.folder, "outcomes").write_text("in the way")
        return run_batch(batch)

    drive = make(act)
    drive.executor.submit([drive.task(0)])
    drive.until(lambda: drive.ended == 1)
    failure = drive.outcomes[0].failure
    assert failure is not None
    assert failure.code == STORE_UNWRITABLE
    assert str(tmp_path) in failure.path


def test_nothing_is_left_of_a_run_whose_engine_ends_with_it(make: Any, tmp_path: Path) -> None:
    drive = make()
    drive.run([drive.task(i) for i in range(8)])
    drive.executor.close()
    assert not list(tmp_path.glob("store/work/*"))
