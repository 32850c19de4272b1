"""A run whose tasks fail starts no more of them, keeps what finished, and says how to go on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from memento import AggregateException, Memento
from memento.events import Event, RunFinished, TaskRetried
from memento.records import DONE, Known
from tests.runner.fakes import FakeSession, fails

MATRIX = {"parameters": {"i": list(range(300))}}


def at_once(context: Any, config: Any) -> int:
    """Fail with each task from the fourth on."""
    if config.i >= 3:
        raise ValueError(f"no {config.i} here")
    return int(config.i)


def always(context: Any, config: Any) -> int:
    raise ValueError("never")


def well(context: Any, config: Any) -> int:
    return int(config.i)


def runs(function: Any, store: Path, executor: Any = "serial", **options: Any) -> Memento:
    return Memento(function, store=store, executor=executor, num_workers=2, progress=False, **options)


def test_nothing_more_is_started_and_what_runs_finishes() -> None:
    session = FakeSession(50, fails(*range(3, 50)), max_failures=2)
    session.loop()
    runner = session.runner
    assert runner.is_hopeless
    assert runner.progress.failed == runner.commits.failed
    assert 2 <= runner.commits.failed <= 3, "the one that was at work when the second failed has finished"
    assert sorted(row.key for row in session.run.rows) == sorted(
        session.plan.tasks.key(task.number) for task in session.executor.seen[: len(session.run.rows)]
    )


def test_a_failed_attempt_that_is_repeated_does_not_count() -> None:
    session = FakeSession(20, fails(*range(20), until=1), retries=1, max_failures=1)
    session.loop()
    assert (session.runner.commits.failed, session.runner.progress.done) == (0, 20)
    assert len(session.of(TaskRetried)) == 20


def test_a_task_counts_once_its_retries_are_over() -> None:
    session = FakeSession(20, fails(*range(20)), retries=2, max_failures=1)
    session.loop()
    last = [row.outcome for row in session.run.rows]
    assert session.runner.is_hopeless
    assert last[0].attempt == 3
    assert 1 <= len(last) <= 4, "what was at work in its last attempt"


def test_a_failure_that_another_run_has_made_good_does_not_count() -> None:
    session = FakeSession(20, fails(3), max_failures=1)
    key = session.plan.tasks.key(3)
    session.run.superseded[key] = Known(key, 77, DONE, 1, 1.0)
    session.loop()
    assert (session.runner.is_hopeless, session.runner.progress.done) == (False, 20)


def test_in_this_process_not_one_task_is_begun_after_the_failure(tmp_path: Path) -> None:
    with pytest.raises(AggregateException) as told:
        runs(at_once, tmp_path / "s", fail_fast=True).run(MATRIX)
    assert [result.status for result in told.value.results[:6]] == ["done"] * 3 + ["failed"] + ["missing"] * 2
    assert len(told.value.exceptions) == 1
    go_on = "Stopped after 1 failure; 296 tasks not started. What finished is kept: run it again to go on."
    assert go_on in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "threads", "processes", "pool"])
def test_a_hopeless_grid_ends_early_on_every_executor(executor: str, tmp_path: Path) -> None:
    heard: list[Event] = []
    with ThreadPoolExecutor(2) as pool:
        results = runs(
            always, tmp_path / "s", pool if executor == "pool" else executor,
            max_failures=3, retries={ValueError: 0}, on_error="return", listeners=[heard.append],
        ).run(MATRIX)  # fmt: skip
    assert results is not None
    failed = [result.status for result in results].count("failed")
    assert 3 <= failed < 300
    (end,) = [event for event in heard if isinstance(event, RunFinished)]
    assert (end.failed, end.left, end.interrupted) == (failed, 300 - failed, False)
    assert "run it again to go on" in end.how_to_go_on
    again = runs(well, tmp_path / "s", executor="serial", name="other").run(MATRIX)
    assert again is not None
    assert [result.inner for result in again] == list(range(300))


@pytest.mark.slow
def test_only_failures_of_this_run_count(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()

    def repaired(context: Any, config: Any) -> int:
        if broken.exists() and config.i in (0, 1, 2):
            raise ValueError("broken")
        return int(config.i)

    first = runs(repaired, tmp_path / "s", on_error="return").run(MATRIX)
    assert first is not None
    assert [result.status for result in first].count("failed") == 3
    broken.unlink()
    second = runs(repaired, tmp_path / "s", max_failures=1).run(MATRIX)
    assert second is not None
    assert [result.inner for result in second] == list(range(300))


def test_the_failure_of_the_last_task_leaves_nothing_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(AggregateException) as told:
        runs(at_once, tmp_path / "s", fail_fast=True, order="matrix").run({"parameters": {"i": [0, 3]}})
    assert "Stopped" not in str(told.value)


@pytest.mark.slow
def test_matrices_that_follow_are_not_run_and_failures_of_all_count(tmp_path: Path) -> None:
    def stages(most: int) -> Any:
        every = runs(at_once, tmp_path / f"s{most}", max_failures=most, on_error="return")
        every.add_matrix({"id": "a", "parameters": {"i": [0, 3]}})
        every.add_matrix({"id": "b", "parameters": {"i": [1, 4, 5, 6]}})
        every.add_matrix({"id": "c", "parameters": {"i": [2]}})
        return every.run_all()

    first = stages(1)
    assert [r.status for r in first["a"]] == ["done", "failed"]
    assert (first["b"], first["c"]) == (None, None)
    second = stages(2)
    assert [r.status for r in second["b"]] == ["done", "failed", "missing", "missing"]
    assert second["c"] is None
    assert all(results is not None for results in stages(9).values())


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"fail_fast": True, "max_failures": 5}, ValueError, "leave one out"),
        ({"fail_fast": 5}, TypeError, "max_failures=5"),
        ({"max_failures": 0}, ValueError, "max_failures must be more than 0"),
        ({"max_failures": 1.5}, ValueError, "max_failures must be a whole number"),
        ({"max_failures": "3"}, TypeError, "max_failures must be a number"),
        ({"maxfail": 3}, TypeError, "Write max_failures=3."),
    ],
)
def test_what_cannot_be_meant_is_refused(options: Any, error: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=told):
        runs(well, tmp_path / "s", **options)


def test_saying_it_twice_alike_is_no_error(tmp_path: Path) -> None:
    results = runs(well, tmp_path / "s", fail_fast=True, max_failures=1).run({"parameters": {"i": [1]}})
    assert results is not None
