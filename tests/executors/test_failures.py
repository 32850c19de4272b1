"""Failures tell what a person needs, and telling never fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.errors import WorkerStartError
from memento.executors import failures, make_executor
from memento.executors.gpus import assign, visible_gpus
from memento.executors.task import KeptSettings, KeptValues, is_unchangeable
from memento.store import pickling


def test_a_message_that_is_a_whole_array_is_shortened() -> None:
    failure = failures.raised(ValueError("x" * 100_000))
    assert len(failure.message) < 5_000


def test_exceptions_that_cause_each_other_are_told() -> None:
    first, second = ValueError("one"), KeyError("two")
    first.__cause__, second.__cause__ = second, first
    assert "one" in failures.raised(first).traceback


@pytest.mark.parametrize(("status", "name"), [(0, "exit code 0"), (137, "exit code 137"), (-9, "SIGKILL")])
def test_ends_of_processes_have_names(status: int, name: str) -> None:
    assert failures.exit_name(status) == name


def test_the_tail_of_a_log_that_is_gone_is_empty(tmp_path: Path) -> None:
    assert failures.tail(tmp_path / "none.log") == ""


def test_the_tail_of_a_slice_stays_within_it_and_shows_garbage_safely(tmp_path: Path) -> None:
    log = tmp_path / "w.log"
    log.write_bytes(b"before\n" + b"\xff\xfe line\n" * 30 + b"after\n")
    tail = failures.tail(log, 7, 7 + 8 * 30)
    assert "before" not in tail
    assert "after" not in tail
    assert len(tail.splitlines()) == 20


def test_only_what_tasks_cannot_change_is_shared() -> None:
    values = KeptValues([pickling.dumps([1]), pickling.dumps((1, "a")), pickling.dumps(dict)])
    first, second = values.get([0, 1, 2]), values.get([0, 1, 2])
    assert first == second
    assert first[0] is not second[0]
    assert first[1] is second[1]
    assert not is_unchangeable(([],))


def test_settings_with_something_to_change_are_unpickled_for_each_task() -> None:
    settings = KeptSettings(pickling.dumps({"a": 1, "b": [1]}))
    settings.get()["b"].append(2)
    assert settings.get() == {"a": 1, "b": [1]}


def test_no_gpu_for_a_task_that_needs_one_says_so() -> None:
    with pytest.raises(WorkerStartError, match="gpus_per_task=1"):
        assign(visible_gpus({"CUDA_VISIBLE_DEVICES": ""}), 1, 2)


def test_a_wrong_name_of_an_executor_names_the_right_one() -> None:
    with pytest.raises(ValueError, match="Did you mean 'processes'"):
        make_executor("proceses")


def test_something_that_is_no_executor_is_refused() -> None:
    with pytest.raises(TypeError, match="is no executor"):
        make_executor(3)
