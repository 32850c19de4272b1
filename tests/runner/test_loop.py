"""The loop makes every outcome durable before it tells it, and ends when nothing is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.errors import PayloadDamaged, StoreUnwritable
from memento.events import TaskFailed, TaskRetried, TasksFinished, Tick
from memento.executors.base import Lost, Running
from memento.records import DONE, LOST, RAISED, Known, Outcome
from memento.runner import Retry
from memento.worker.failures import raised
from memento.worker.work import Task
from tests.runner.fakes import Stage, fails, outcome


def test_every_task_runs_once_and_its_row_is_noted() -> None:
    stage = Stage(10)
    stage.loop()
    assert sorted(task.number for task in stage.executor.seen) == list(range(10))
    assert min(stage.plan.rows) > 0
    assert stage.runner.progress.done == 10


def test_what_is_told_as_done_has_been_committed() -> None:
    stage = Stage(10)
    told = 0
    committed_when_told: list[bool] = []

    def listen(event: object) -> None:
        nonlocal told
        if isinstance(event, TasksFinished):
            told += event.done
            committed_when_told.append(told <= len(stage.run.rows))

    stage.runner._emit = listen
    stage.loop()
    assert told == 10
    assert all(committed_when_told)


def test_outcomes_share_commits() -> None:
    stage = Stage(1000)
    stage.executor.capacity = 1000
    stage.loop()
    assert sum(stage.run.commits) == 1000
    assert len(stage.run.commits) < 100


def test_a_failed_task_is_told_with_its_group_and_the_others_go_on() -> None:
    stage = Stage(5, fails(1, 3))
    stage.loop()
    failed = stage.of(TaskFailed)
    assert [event.first_of_group for event in failed] == [True, False]
    assert stage.runner.progress.done == 3
    assert stage.runner.progress.failed == 2


def test_a_failed_attempt_is_repeated_after_its_delay_and_kept_as_an_attempt() -> None:
    stage = Stage(3, fails(1, until=2), retries=2)
    stage.loop()
    assert [task.attempt for task in stage.executor.seen if task.number == 1] == [1, 2, 3]
    assert len(stage.run.attempts) == 2
    assert stage.runner.progress.done == 3
    assert [event.delay for event in stage.of(TaskRetried)] == [0.5, 1.0]


def test_tasks_of_one_key_share_the_row() -> None:
    stage = Stage(2, parameters={"a": [1], "device": ["cpu", "gpu"]}, volatile=["device"])
    stage.loop()
    assert len(stage.executor.seen) == 1
    assert stage.plan.rows.tolist() == [1, 1]
    assert stage.runner.progress.done == 2


def test_what_another_run_has_finished_is_taken_and_not_computed() -> None:
    stage = Stage(3)
    key = stage.plan.tasks.key(1)
    stage.run.others[key] = Known(key, 77, "done", 1, 1.0)
    stage.loop()
    assert sorted(task.number for task in stage.executor.seen) == [0, 2]
    assert stage.plan.rows[1] == 77
    assert stage.runner.progress.shared == 1
    assert not stage.runner.other_codes


def test_results_of_another_run_with_other_code_are_counted() -> None:
    stage = Stage(4)
    for number, code in ((1, 1), (2, 5)):
        key = stage.plan.tasks.key(number)
        stage.run.others[key] = Known(key, 70 + number, "done", code, 1.0)
    late = stage.plan.tasks.key(3)
    stage.run.superseded[late] = Known(late, 79, "done", 6, 1.0)
    stage.loop()
    assert stage.runner.other_codes == {(5, 0): 1, (6, 0): 1}


def test_what_another_run_computes_is_waited_for() -> None:
    stage = Stage(3)
    key = stage.plan.tasks.key(1)
    stage.run.others[key] = None
    looks = 0

    def finish_at_the_third_look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            stage.run.others[key] = Known(key, 77, "done", 1, 1.0)

    stage.run.on_look = finish_at_the_third_look
    stage.loop()
    assert looks == 3
    assert stage.plan.rows[1] == 77
    assert len(stage.executor.seen) == 2


def test_what_another_run_lost_is_computed_here() -> None:
    stage = Stage(3)
    key = stage.plan.tasks.key(1)
    stage.run.others[key] = None
    stage.run.on_look = lambda: stage.run.others.pop(key, None)  # type: ignore[assignment]  # a fake
    stage.loop()
    assert sorted(task.number for task in stage.executor.seen) == [0, 1, 2]


def test_a_result_that_came_second_gives_way_to_the_first() -> None:
    stage = Stage(2)
    key = stage.plan.tasks.key(0)
    stage.run.superseded[key] = Known(key, 77, "done", 1, 1.0)
    stage.loop()
    assert stage.plan.rows[0] == 77


def test_the_first_signal_lets_running_tasks_end_and_starts_no_other() -> None:
    stage = Stage(100)
    polls = 0

    def interrupt_at_the_tenth() -> None:
        nonlocal polls
        polls += 1
        if polls == 10:
            stage.interrupt.count = 1

    stage.executor.before_poll = interrupt_at_the_tenth
    stage.loop()
    assert stage.executor.cancelled
    assert stage.runner.progress.done + len(stage.runner.left) < 20
    assert stage.runner.progress.done == len(stage.run.rows)
    assert stage.run.released


def test_the_second_signal_ends_the_loop_at_once_and_keeps_what_was_finished() -> None:
    stage = Stage(100)
    polls = 0

    def interrupt_twice() -> None:
        nonlocal polls
        polls += 1
        if polls == 5:
            stage.interrupt.count = 2

    stage.executor.before_poll = interrupt_twice
    stage.loop()
    assert polls == 5
    assert len(stage.run.rows) == stage.runner.progress.done == 5


def test_a_task_that_was_stopped_is_not_a_failure() -> None:
    stage = Stage(4, fails(2, kind="stopped"))
    stage.loop()
    assert stage.runner.progress.failed == 0
    assert stage.runner.left == {2}
    assert stage.plan.rows[2] == -1


def test_a_tick_names_the_longest_of_very_many_running_tasks_and_counts_the_others() -> None:
    stage = Stage(300)
    stage.executor.capacity = 300

    def all_running() -> list[Running]:
        return [Running(f"host/{task.number}", task.number, task.number % 7) for task in stage.executor.queue]

    stage.executor.running = all_running  # type: ignore[method-assign]
    stage.loop()
    first = stage.of(Tick)[0]
    assert len(first.running) + first.unlisted == 299
    assert len(first.running) == 100
    assert min(state.seconds for state in first.running) >= 4
    workers = [int(state.worker.split("/")[1]) for state in first.running]
    assert workers == sorted(workers)


def test_ticks_say_what_runs() -> None:
    stage = Stage(3, fails(1, until=3), retries=5)
    stage.loop()
    assert stage.of(Tick)


def test_an_attempt_that_lost_its_place_is_recorded_with_its_number_and_reason() -> None:
    def preempted(task: Task) -> Lost | Outcome:
        return (
            Lost(task.number, task.attempt, "node n17 was preempted") if task.attempt <= 2 else outcome(task)
        )

    stage = Stage(1, preempted)
    stage.loop()
    assert [task.attempt for task in stage.executor.seen] == [1, 2, 3]
    told = [(row.outcome.attempt, row.outcome.failure) for _, row in stage.run.attempts]
    assert [(number, why.kind, why.message) for number, why in told if why] == [
        (1, LOST, "node n17 was preempted"),
        (2, LOST, "node n17 was preempted"),
    ]
    assert [row.outcome.status for row in stage.run.rows] == [DONE]
    assert stage.run.released == []


@pytest.mark.parametrize("reason", ["", "node n17 was preempted"])
def test_a_task_whose_place_is_taken_away_again_and_again_fails_at_a_bound_of_its_own(reason: str) -> None:
    def second_is_lost(task: Task) -> Lost | Outcome:
        return Lost(task.number, task.attempt, reason) if task.attempt >= 2 else outcome(task, RAISED)

    stage = Stage(1, second_is_lost, retries=Retry(1, delay=0.0, losses=3))
    stage.loop()
    assert [task.attempt for task in stage.executor.seen] == [1, 2, 3, 4, 5]
    (row,) = stage.run.rows
    assert row.outcome.failure is not None
    assert row.outcome.failure.kind == LOST
    assert "taken away 4 times" in row.outcome.failure.message
    assert "Retry(losses=3)" in row.outcome.failure.message
    assert stage.runner.progress.failed == 1


def test_lost_places_do_not_count_against_retries() -> None:
    def unlucky(task: Task) -> Lost | Outcome:
        if task.attempt in (1, 3):
            return Lost(task.number, task.attempt)
        return outcome(task, RAISED) if task.attempt <= 4 else outcome(task)

    stage = Stage(1, unlucky, retries=Retry(2, delay=0.0))
    stage.loop()
    assert [task.attempt for task in stage.executor.seen] == [1, 2, 3, 4, 5]
    assert stage.runner.progress.done == 1


def test_what_a_stop_gives_back_is_not_lost() -> None:
    stage = Stage(8)
    stage.executor.before_poll = lambda: stage.interrupt.__setattr__("count", 1)
    stage.loop()
    assert stage.run.attempts == []
    assert stage.runner.left


# -- whose disk it is

ELSEWHERE = ["/results-old/index.sqlite", "/results.bak/payloads/1", "results/payloads/1", "/", "", "/other"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_task_that_cannot_write_to_another_store_fails_alone(path: str) -> None:
    def writes(task: Task) -> Outcome:
        error = StoreUnwritable(path, "it may not be written here.")
        failed = outcome(task, RAISED)
        return failed._replace(failure=raised(error)) if task.number == 1 else outcome(task)

    stage = Stage(20, writes)
    stage.runner._store = "/results"
    stage.loop()
    assert (stage.runner.progress.done, stage.runner.progress.failed) == (19, 1)


def test_an_error_that_only_looks_like_ours_fails_its_task_alone() -> None:
    class StoreUnwritable(Exception):
        pass

    def imitates(task: Task) -> Outcome:
        error = StoreUnwritable("/results/payloads/1: cannot write the file")
        return outcome(task, RAISED)._replace(failure=raised(error)) if task.number == 1 else outcome(task)

    stage = Stage(20, imitates)
    stage.runner._store = "/results"
    stage.loop()
    assert (stage.runner.progress.done, stage.runner.progress.failed) == (19, 1)


def test_a_task_that_cannot_write_to_the_runs_own_store_ends_the_run(tmp_path: Path) -> None:
    store = tmp_path / "re: sults"  # a name that a text could not be split at
    link = tmp_path / "link"
    link.symlink_to(store, target_is_directory=True)

    def writes(task: Task) -> Outcome:
        error = StoreUnwritable(str(link / "payloads" / "1"), "the disk is full.")
        return outcome(task, RAISED)._replace(failure=raised(error)) if task.number == 1 else outcome(task)

    stage = Stage(20, writes)
    stage.runner._store = str(store)
    with pytest.raises(StoreUnwritable, match=r"the disk is full\.") as caught:
        stage.loop()
    assert caught.value.path == str(link / "payloads" / "1")
    assert stage.runner.progress.failed == 0


def test_only_payloads_of_the_runs_own_store_are_noted_as_damaged() -> None:
    def reads(task: Task) -> Outcome:
        folder = "/results/payloads" if task.number else "/results/payloads-old"
        error = PayloadDamaged(f"{folder}/ab/{task.number}", "its checksum is wrong.")
        return outcome(task, RAISED)._replace(failure=raised(error))

    stage = Stage(2, reads)
    stage.runner._store = "/results"
    stage.loop()
    assert stage.runner.damaged == {"ab/1": "its checksum is wrong."}
