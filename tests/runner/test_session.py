"""A session tells the index what no row tells, so that who comes late reads it there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.errors import WorkerStartError
from memento.executors import make_executor
from memento.store.store import Store


def flaky(context: Any, config: Any) -> int:
    if context.attempt == 1 and config.x == 1:
        raise OSError("the first time")
    return int(config.x)


def test_what_is_said_before_a_run_begins_and_what_is_retried_can_be_read_of_the_index(
    tmp_path: Path,
) -> None:
    runs = Memento(flaky, executor="serial", store=tmp_path / "s", progress=False, retries=1)
    runs.run({"parameters": {"x": [1, 2]}, "exclude": [{"x": 3}]})
    with Store.open(tmp_path / "s", create=False) as store:
        events = store.index.events(1)
    (said,) = [event.data["text"] for event in events if event.kind == "Said"]
    assert "exclude" in said
    (retried,) = [event.data for event in events if event.kind == "TaskRetried"]
    assert (retried["attempt"], retried["reason"]) == (1, "OSError: the first time")
    assert retried["config"] == "x=1"


@pytest.mark.parametrize("name", ["threads", "serial"])
def test_an_executor_that_serves_another_run_is_refused_and_the_other_has_its_own_results(
    name: str, tmp_path: Path
) -> None:
    executor = make_executor(name)
    told: list[str] = []

    def inner(context: Any, config: Any) -> int:
        return -int(config.x)

    def outer(context: Any, config: Any) -> int:
        with pytest.raises(WorkerStartError, match="at work for another run") as caught:
            Memento(inner, store=tmp_path / "amid", executor=executor, progress=False, name="named").run(
                matrix
            )
        told.append(str(caught.value))
        return int(config.x)

    matrix = {"parameters": {"x": [1, 2, 3]}}
    for function, results in ((outer, [1, 2, 3]), (inner, [-1, -2, -3])):
        runs = Memento(
            function, store=tmp_path / function.__name__, executor=executor, progress=False, name="named"
        )
        assert [result.inner for result in runs.run(matrix)] == results  # type: ignore[union-attr]  # no dry run
    assert len(told) == 3
