"""A task gets more memory where it has proven to need it, up to what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memento import Memento
from memento.index.attempts import memory_limits
from memento.records import DIED, FAILED, MEMORY, RAISED, TIMEOUT, Attempt, Failure, Outcome
from memento.runner.memory_limits import MemoryLimits, memory_there
from memento.store.store import Store
from memento.worker.work import Task
from tests.runner.fakes import FakeClock, FakeExecutor, FakeSession, outcome

MB, GB = 1_000_000, 1_000_000_000


def failure(kind: str = MEMORY, name: str = "MemoryLimitExceeded", *lineage: str) -> Failure:
    return Failure(kind, name, "it failed", "", "", None, "", lineage=lineage)


PROVEN = [
    failure(),
    failure(MEMORY, "OutOfMemory"),
    failure(RAISED, "MemoryError"),
    failure(RAISED, "_ArrayMemoryError", "numpy:_ArrayMemoryError", "builtins:MemoryError"),
]
NOT_PROVEN = [failure(DIED, "SIGKILL"), failure(RAISED, "ValueError"), failure(TIMEOUT, "TaskTimeout")]


@pytest.mark.parametrize("proven", PROVEN, ids=lambda one: one.type)
def test_what_has_proven_to_need_more_gets_twice_as_much(proven: Failure) -> None:
    limits = MemoryLimits(8 * GB, "double")
    noted, delay = limits.judge(3, proven, 0.5)
    assert (noted.memory_limit, noted.next_limit, delay) == (8 * GB, 16 * GB, 0.5)
    assert limits.raised == {3: 16 * GB}
    assert limits.judge(3, proven, 0.5)[0].next_limit == 32 * GB


@pytest.mark.parametrize("other", NOT_PROVEN, ids=lambda one: one.type)
@pytest.mark.parametrize("on_oom", ["double", "fail", "retry"])
def test_what_proves_nothing_is_tried_again_with_what_it_had(other: Failure, on_oom: str) -> None:
    limits = MemoryLimits(8 * GB, on_oom)
    assert limits.judge(3, other, 0.5) == (other, 0.5)
    assert not limits.raised


def test_to_fail_or_to_retry_raises_no_limit() -> None:
    assert MemoryLimits(8 * GB, "fail").judge(0, failure(), 0.5)[1] is None
    limits = MemoryLimits(8 * GB, "retry")
    assert limits.judge(0, failure(), 0.5)[1] == 0.5
    assert not limits.raised


@given(st.integers(1, 64), st.integers(1, 256), st.integers(1, 10))
def test_no_task_ever_gets_more_than_there_is(start: int, most: int, attempts: int) -> None:
    limits, given_last = MemoryLimits(start, "double", lambda: most), start
    for _ in range(attempts):
        noted, delay = limits.judge(0, failure(), 0.0)
        if delay is None:
            assert given_last >= most
            assert "all that there is here" in noted.message
            return
        assert limits.raised[0] == min(2 * given_last, most)
        given_last = limits.raised[0]


def test_the_next_attempt_is_made_with_more_and_others_keep_theirs() -> None:
    def behave(task: Task) -> Outcome:
        short = task.number == 1 and (task.memory_limit or 8 * GB) < 20 * GB
        return outcome(task, MEMORY if short else "")

    session = FakeSession(3, behave, retries=3)
    session.runner.limits = MemoryLimits(8 * GB, "double", lambda: 64 * GB)
    session.loop()
    tried = [(task.number, task.memory_limit) for task in session.executor.seen]
    assert sorted(tried, key=str) == sorted(
        [(0, None), (1, None), (1, 16 * GB), (1, 32 * GB), (2, None)], key=str
    )
    assert [row.outcome.failure.next_limit for _, row in session.run.attempts if row.outcome.failure] == [
        16 * GB,
        32 * GB,
    ]
    assert session.runner.progress.done == 3


def test_attempts_tell_what_they_might_use() -> None:
    def attempt(number: int, run: int, had: int = 0, then: int = 0) -> Attempt:
        failed = failure()._replace(memory_limit=had, next_limit=then) if had else None
        return Attempt(number, FAILED, float(number), 1.0, None, None, "", run, failed)

    told = memory_limits([attempt(1, 1, 8, 16), attempt(2, 1), attempt(1, 2, 16, 32), attempt(2, 2, 32)])
    assert told == [8, 16, 16, 32]
    assert memory_limits([attempt(1, 1)]) == [None]


def test_of_an_executor_elsewhere_nothing_is_known() -> None:
    executor = FakeExecutor(FakeClock(), outcome)
    assert memory_there(executor) is None
    executor.most_memory = 5
    assert memory_there(executor) == 5
    executor.most_memory, executor.same_host = None, True
    assert (memory_there(executor) or 0) > 1 << 20


@pytest.mark.parametrize("wrong", ["twice", None, 2])
def test_a_wrong_choice_says_which_there_are(wrong: Any) -> None:
    with pytest.raises(ValueError, match="'retry', 'double', 'fail'"):
        Memento(len, on_oom=wrong)


def test_to_double_no_limit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"memory_limit='8GB', retries=2, on_oom='double'"):
        Memento(lambda context, config: None, on_oom="double")


def needy(context: Any, config: Any) -> int:
    """Need 300 MB where x is 1; return what it might use."""
    limit: int = context.resources.memory_limit
    if config.x == 1 and limit < 300 * MB:
        raise MemoryError
    return limit


@pytest.mark.slow
def test_the_next_run_begins_with_what_did_not_do_before(tmp_path: Path) -> None:
    runs = Memento(
        needy, executor="serial", store=tmp_path / "store", memory_limit=80 * MB, on_oom="double",
        on_error="return", progress=False,
    )  # fmt: skip
    matrix = {"parameters": {"x": [0, 1]}}
    assert [one.status for one in runs.run(matrix) or ()] == ["done", "failed"]
    results = runs.run(matrix)
    assert results is not None
    assert "begins it with 320 MB" in str(results[1])
    assert [one.inner for one in runs.run(matrix) or ()] == [80 * MB, 320 * MB]


def test_the_next_run_remembers_what_a_run_that_died_had_seen(tmp_path: Path) -> None:
    from memento.matrix.matrix import Matrix
    from memento.plan.keyed_tasks import KeyedTasks
    from memento.plan.plan import Past, make_plan
    from memento.records import RunInfo, TaskRow

    tasks = KeyedTasks(Matrix.of({"parameters": {"x": [0, 1]}}), "exp:train")
    over = failure()._replace(memory_limit=8 * GB, next_limit=16 * GB)
    with Store.open(tmp_path / "store") as store:
        run = store.begin(RunInfo("exp:train", 2, "{}", "", "host", 1, "", "", (), {}), 0)
        row = TaskRow(
            tasks.key(1),
            "{}",
            0,
            1,
            outcome(Task(1, tasks.key(1), 0, (), 0, 1, 0.0), MEMORY)._replace(failure=over),
        )
        run.commit([], [(tasks.key(1), row)])
        run.finish("died", {})
        plan = make_plan(tasks, Past(), current=[{1}])
        limits = MemoryLimits(8 * GB, "double", lambda: 64 * GB)
        assert limits.recall(plan, store.index) == 1
        assert limits.raised == {1: 16 * GB}
        assert MemoryLimits(32 * GB, "double").recall(plan, store.index) == 0  # it gets that much anyway
        assert MemoryLimits(8 * GB, "retry").recall(plan, store.index) == 0
