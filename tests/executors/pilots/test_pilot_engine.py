"""What people are told of tasks that an engine of pilots has in hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from memento import Memento
from memento.errors import WorkerStartError
from memento.executors.pilots.charter import heard_from
from memento.executors.pilots.handle import PilotHandle
from memento.executors.pilots.streams import Writer
from memento.testing.driving import Drive
from memento.worker.work import Task
from tests.executors.pilots.local_engine import Local
from tests.executors.pilots.test_succession import Unstarted, here, speak, tell


class Telling(Unstarted):
    """It waits for a queue, and some tasks go nowhere."""

    queued = ""
    misfits: frozenset[int] = frozenset()

    def waits(self) -> str:
        return self.queued

    def fits(self, task: Task, pilot: PilotHandle) -> bool:
        return task.number not in self.misfits

    def why_none_fits(self, task: Task, pilots: Sequence[PilotHandle]) -> str:
        return "no pilot has the time left" if task.number in self.misfits else ""


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Drive]:
    driver = Drive(Telling(1), tmp_path)
    yield driver
    driver.executor.close()


def test_a_task_that_has_not_begun_is_told_with_why(driver: Drive) -> None:
    engine = driver.executor
    assert isinstance(engine, Telling)
    engine.misfits = frozenset({1})
    driver.start(lambda context, config: 1)
    engine.submit([driver.task(number) for number in range(4)])
    assert dict(engine.unbegun()) == dict.fromkeys(range(4), "no pilot has begun yet")
    engine.queued = "Slurm job 17 waits (Priority)"
    assert set(dict(engine.unbegun()).values()) == {"Slurm job 17 waits (Priority)"}
    (pilot,) = engine.pilots.values()
    speak(Writer(heard_from(pilot.folder, 1)), here(Path(pilot.charter.run).name))
    tell(driver)
    told = dict(engine.unbegun())
    given = next(iter(pilot.tasks))
    assert "pilot p0001 on host has it, and starts it" in told[given]
    assert told[1] == "no pilot has the time left; Slurm job 17 waits (Priority)"
    (waiting,) = set(range(4)) - {1} - pilot.tasks.keys()
    assert told[waiting].startswith("its turn has not come: all is taken, 1 place of 1 pilot; Slurm job 17")


class Refusing(Local):
    """Starts none."""

    def ask(self, count: int) -> list[str]:
        raise WorkerStartError("there is no such partition")


@pytest.mark.slow
def test_a_run_whose_engine_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    memento = Memento(lambda context, config: 1, executor=Refusing(1), store=tmp_path / "st", progress=False)
    with pytest.raises(WorkerStartError, match="no such partition"):
        memento.run({"parameters": {"x": [1]}})
    assert not list((tmp_path / "st" / "work").iterdir())
