"""The loop makes every outcome durable before it tells it, and ends when nothing is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.errors import PayloadDamaged, StoreUnwritable
from memento.events import TaskFailed, TaskRetried, TasksFinished, Tick
from memento.executors.base import Lost, Running
from memento.records import DONE, LOST, RAISED, Known, Outcome
from memento.runner.retry import Retry
from memento.worker.failures import raised
from memento.worker.work import Task
from tests.runner.fakes import FakeSession, fails, outcome


def test_every_task_runs_once_and_its_row_is_noted() -> None:
    session = FakeSession(10)
    session.loop()
    assert sorted(task.number for task in session.executor.seen) == list(range(10))
    assert min(session.plan.rows) > 0
    assert session.runner.progress.done == 10


def test_what_is_told_as_done_has_been_committed() -> None:
    session = FakeSession(10)
    told = 0
    committed_when_told: list[bool] = []

    def listen(event: object) -> None:
        nonlocal told
        if isinstance(event, TasksFinished):
            told += event.done
            committed_when_told.append(told <= len(session.run.rows))

    session.listen = listen
    session.loop()
    assert told == 10
    assert all(committed_when_told)


def test_outcomes_share_commits() -> None:
    session = FakeSession(1000)
    session.executor.capacity = 1000
    session.loop()
    assert sum(session.run.commits) == 1000
    assert len(session.run.commits) < 100


def test_a_failed_task_is_told_with_its_group_and_the_others_go_on() -> None:
    session = FakeSession(5, fails(1, 3))
    session.loop()
    failed = session.of(TaskFailed)
    assert [event.first_of_group for event in failed] == [True, False]
    assert session.runner.progress.done == 3
    assert session.runner.progress.failed == 2


def test_a_failed_attempt_is_repeated_after_its_delay_and_kept_as_an_attempt() -> None:
    session = FakeSession(3, fails(1, until=2), retries=2)
    session.loop()
    assert [task.attempt for task in session.executor.seen if task.number == 1] == [1, 2, 3]
    assert len(session.run.attempts) == 2
    assert session.runner.progress.done == 3
    assert [event.delay for event in session.of(TaskRetried)] == [0.5, 1.0]


def test_tasks_of_one_key_share_the_row() -> None:
    session = FakeSession(2, parameters={"a": [1], "device": ["cpu", "gpu"]}, volatile=["device"])
    session.loop()
    assert len(session.executor.seen) == 1
    assert session.plan.rows.tolist() == [1, 1]
    assert session.runner.progress.done == 2


def test_what_another_run_has_finished_is_taken_and_not_computed() -> None:
    session = FakeSession(3)
    key = session.plan.tasks.key(1)
    session.run.others[key] = Known(key, 77, "done", 1, 1.0)
    session.loop()
    assert sorted(task.number for task in session.executor.seen) == [0, 2]
    assert session.plan.rows[1] == 77
    assert session.runner.progress.shared == 1
    assert not session.runner.others.other_codes


def test_results_of_another_run_with_other_code_are_counted() -> None:
    session = FakeSession(4)
    for number, code in ((1, 1), (2, 5)):
        key = session.plan.tasks.key(number)
        session.run.others[key] = Known(key, 70 + number, "done", code, 1.0)
    late = session.plan.tasks.key(3)
    session.run.superseded[late] = Known(late, 79, "done", 6, 1.0)
    session.loop()
    assert session.runner.others.other_codes == {(5, 0): 1, (6, 0): 1}


def test_what_another_run_computes_is_waited_for() -> None:
    session = FakeSession(3)
    key = session.plan.tasks.key(1)
    session.run.others[key] = None
    looks = 0

    def finish_at_the_third_look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            session.run.others[key] = Known(key, 77, "done", 1, 1.0)

    session.run.on_look = finish_at_the_third_look
    session.loop()
    assert looks == 3
    assert session.plan.rows[1] == 77
    assert len(session.executor.seen) == 2


def test_what_another_run_lost_is_computed_here() -> None:
    session = FakeSession(3)
    key = session.plan.tasks.key(1)
    session.run.others[key] = None
    session.run.on_look = lambda: session.run.others.pop(key, None)  # type: ignore[assignment]  # a fake
    session.loop()
    assert sorted(task.number for task in session.executor.seen) == [0, 1, 2]


def test_a_result_that_came_second_gives_way_to_the_first() -> None:
    session = FakeSession(2)
    key = session.plan.tasks.key(0)
    session.run.superseded[key] = Known(key, 77, "done", 1, 1.0)
    session.loop()
    assert session.plan.rows[0] == 77


def test_the_first_signal_lets_running_tasks_end_and_starts_no_other() -> None:
    session = FakeSession(100)
    polls = 0

    def interrupt_at_the_tenth() -> None:
        nonlocal polls
        polls += 1
        if polls == 10:
            session.interrupt.count = 1

    session.executor.before_poll = interrupt_at_the_tenth
    session.loop()
    assert session.executor.cancelled
    assert session.runner.progress.done + len(session.runner.left) < 20
    assert session.runner.progress.done == len(session.run.rows)
    assert session.run.released


def test_the_second_signal_ends_the_loop_at_once_and_keeps_what_was_finished() -> None:
    session = FakeSession(100)
    polls = 0

    def interrupt_twice() -> None:
        nonlocal polls
        polls += 1
        if polls == 5:
            session.interrupt.count = 2

    session.executor.before_poll = interrupt_twice
    session.loop()
    assert polls == 5
    assert len(session.run.rows) == session.runner.progress.done == 5


def test_a_task_that_was_stopped_is_not_a_failure() -> None:
    session = FakeSession(4, fails(2, kind="stopped"))
    session.loop()
    assert session.runner.progress.failed == 0
    assert session.runner.left == {2}
    assert session.plan.rows[2] == -1


def test_a_tick_names_the_longest_of_very_many_running_tasks_and_counts_the_others() -> None:
    session = FakeSession(300)
    session.executor.capacity = 300

    def all_running() -> list[Running]:
        return [
            Running(f"host/{task.number}", task.number, task.number % 7) for task in session.executor.queue
        ]

    session.executor.running = all_running  # type: ignore[method-assign]
    session.loop()
    first = session.of(Tick)[0]
    assert len(first.running) + first.unlisted == 300
    assert len(first.running) == 100
    assert min(state.seconds for state in first.running) >= 4
    workers = [int(state.worker.split("/")[1]) for state in first.running]
    assert workers == sorted(workers)


def test_ticks_say_what_runs() -> None:
    session = FakeSession(3, fails(1, until=3), retries=5)
    session.loop()
    assert session.of(Tick)


def test_an_attempt_that_lost_its_place_is_recorded_with_its_number_and_reason() -> None:
    def preempted(task: Task) -> Lost | Outcome:
        return (
            Lost(task.number, task.attempt, "node n17 was preempted") if task.attempt <= 2 else outcome(task)
        )

    session = FakeSession(1, preempted)
    session.loop()
    assert [task.attempt for task in session.executor.seen] == [1, 2, 3]
    told = [(row.outcome.attempt, row.outcome.failure) for _, row in session.run.attempts]
    assert [(number, why.kind, why.message) for number, why in told if why] == [
        (1, LOST, "node n17 was preempted"),
        (2, LOST, "node n17 was preempted"),
    ]
    assert [row.outcome.status for row in session.run.rows] == [DONE]
    assert session.run.released == []


@pytest.mark.parametrize("reason", ["", "node n17 was preempted"])
def test_a_task_whose_place_is_taken_away_again_and_again_fails_at_a_bound_of_its_own(reason: str) -> None:
    def second_is_lost(task: Task) -> Lost | Outcome:
        return Lost(task.number, task.attempt, reason) if task.attempt >= 2 else outcome(task, RAISED)

    session = FakeSession(1, second_is_lost, retries=Retry(1, delay=0.0, losses=3))
    session.loop()
    assert [task.attempt for task in session.executor.seen] == [1, 2, 3, 4, 5]
    (row,) = session.run.rows
    assert row.outcome.failure is not None
    assert row.outcome.failure.kind == LOST
    assert "taken away 4 times" in row.outcome.failure.message
    assert "Retry(losses=3)" in row.outcome.failure.message
    assert session.runner.progress.failed == 1


def test_lost_places_do_not_count_against_retries() -> None:
    def unlucky(task: Task) -> Lost | Outcome:
        if task.attempt in (1, 3):
            return Lost(task.number, task.attempt)
        return outcome(task, RAISED) if task.attempt <= 4 else outcome(task)

    session = FakeSession(1, unlucky, retries=Retry(2, delay=0.0))
    session.loop()
    assert [task.attempt for task in session.executor.seen] == [1, 2, 3, 4, 5]
    assert [event.lost for event in session.of(TaskRetried)] == [True, False, True, False]
    assert session.runner.progress.done == 1


def test_what_a_stop_gives_back_is_not_lost() -> None:
    session = FakeSession(8)
    session.executor.before_poll = lambda: session.interrupt.__setattr__("count", 1)
    session.loop()
    assert session.run.attempts == []
    assert session.runner.left


# -- whose disk it is

ELSEWHERE = ["/results-old/index.sqlite", "/results.bak/payloads/1", "results/payloads/1", "/", "", "/other"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_task_that_cannot_write_to_another_store_fails_alone(path: str) -> None:
    def writes(task: Task) -> Outcome:
        error = StoreUnwritable(path, "it may not be written here.")
        failed = outcome(task, RAISED)
        return failed._replace(failure=raised(error)) if task.number == 1 else outcome(task)

    session = FakeSession(20, writes, store="/results")
    session.loop()
    assert (session.runner.progress.done, session.runner.progress.failed) == (19, 1)


def test_an_error_that_only_looks_like_ours_fails_its_task_alone() -> None:
    class StoreUnwritable(Exception):
        pass

    def imitates(task: Task) -> Outcome:
        error = StoreUnwritable("/results/payloads/1: cannot write the file")
        return outcome(task, RAISED)._replace(failure=raised(error)) if task.number == 1 else outcome(task)

    session = FakeSession(20, imitates, store="/results")
    session.loop()
    assert (session.runner.progress.done, session.runner.progress.failed) == (19, 1)


def test_a_task_that_cannot_write_to_the_runs_own_store_ends_the_run(tmp_path: Path) -> None:
    store = tmp_path / "re: sults"  # a name that a text could not be split at
    link = tmp_path / "link"
    link.symlink_to(store, target_is_directory=True)

    def writes(task: Task) -> Outcome:
        error = StoreUnwritable(str(link / "payloads" / "1"), "the disk is full.")
        return outcome(task, RAISED)._replace(failure=raised(error)) if task.number == 1 else outcome(task)

    session = FakeSession(20, writes, store=str(store))
    with pytest.raises(StoreUnwritable, match=r"the disk is full\.") as caught:
        session.loop()
    assert caught.value.path == str(link / "payloads" / "1")
    assert session.runner.progress.failed == 0


def test_only_payloads_of_the_runs_own_store_are_noted_as_damaged() -> None:
    def reads(task: Task) -> Outcome:
        folder = "/results/payloads" if task.number else "/results/payloads-old"
        error = PayloadDamaged(f"{folder}/ab/{task.number}", "its checksum is wrong.")
        return outcome(task, RAISED)._replace(failure=raised(error))

    session = FakeSession(2, reads, store="/results")
    session.loop()
    assert session.runner.faults.damaged == {"ab/1": "its checksum is wrong."}


def test_a_run_that_comes_later_soon_finds_what_no_other_has() -> None:
    session = FakeSession(500)
    keys = [session.plan.tasks.key(number) for number in range(500)]
    session.run.others.update(dict.fromkeys(keys[:400]))  # another run has them, and is slow
    session.executor.capacity = 1
    looks = 0

    def let_go_at_the_second_look() -> None:
        nonlocal looks
        looks += 1
        if looks == 2:
            session.run.others.clear()

    session.run.on_look = let_go_at_the_second_look
    session.loop()
    first = [task.number for task in session.executor.seen][:50]
    assert sorted(first) == first
    assert first[0] == 400
    assert session.runner.progress.done == 500
