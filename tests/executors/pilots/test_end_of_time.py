"""The end of a pilot's time: what has saved its state goes on elsewhere, what has not is not tried for ever."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from memento import AggregateException, Memento, Retry
from memento.context.task_space import StopTask
from memento.errors import WorkerStartError
from memento.records import STOPPED
from memento.worker import failures
from tests.executors.pilots.local_engine import Local


class Short(Local):
    """Whose pilots do not last."""

    grace = 3.0

    def seconds(self) -> float:
        return 6.0


def test_only_a_task_that_has_stopped_itself_has_saved_its_state() -> None:
    assert failures.has_saved(failures.raised(StopTask(), kind=STOPPED, pickled=False))
    assert not failures.has_saved(failures.stopped())


@pytest.mark.slow
def test_a_task_that_saves_nothing_is_tried_as_often_as_losses_say(tmp_path: Path) -> None:
    def experiment(context: Any, config: Any) -> None:
        time.sleep(60)

    memento = Memento(experiment, executor=Short(1), store=tmp_path, retries=Retry(0, losses=1))
    with pytest.raises(AggregateException, match="its place was taken away 2 times"):
        memento.run({"parameters": {"n": [1]}})


@pytest.mark.slow
def test_a_task_that_saves_its_state_goes_on_however_often_its_place_ends(tmp_path: Path) -> None:
    gate = tmp_path / "begun"

    def experiment(context: Any, config: Any) -> int:
        with gate.open("a") as file:
            file.write("x")
        for _ in context.loop(range(1_000_000), {}):
            time.sleep(0.01)
            if len(gate.read_text()) > 2:  # its place has ended twice
                break
        return 1

    memento = Memento(experiment, executor=Short(1), store=tmp_path / "s", retries=Retry(0, losses=0))
    results = memento.run({"parameters": {"n": [1]}})
    assert results is not None
    assert [result.inner for result in results] == [1]


@pytest.mark.slow
def test_places_that_last_no_longer_than_saving_takes_end_the_run(tmp_path: Path) -> None:
    executor = Short(1)
    executor.grace = 6.5
    memento = Memento(lambda context, config: 1, executor=executor, store=tmp_path)
    with pytest.raises(WorkerStartError, match=r"3 places in a row ended .*: the time of its job was over"):
        memento.run({"parameters": {"n": [1]}})
