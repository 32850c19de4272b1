"""What an executor must do while tasks run, and when somebody wants it otherwise.

Knows: the executor's contract. May not know: any one executor.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento.layout import LOGS
from memento.records import DONE, STOPPED
from memento.testing.driving import Drive, ExecutorFixtures, waiting_for


class SteeringTests(ExecutorFixtures):
    """What is told of running tasks; cancelling, resizing, closing."""

    # -- while a task runs

    @pytest.mark.usefixtures("telling")
    def test_the_bar_and_the_metrics_of_a_running_task_are_told(self, drive: Drive, tmp_path: Path) -> None:
        gate = tmp_path / "gate"

        def experiment(context: Any, config: Any) -> None:
            context.progress(3, total=10)
            while not gate.exists():
                context.record({"loss": 0.25})
                time.sleep(0.01)

        drive.start(experiment, live_every=0.05)
        drive.executor.submit([drive.task(7)])
        drive.until(lambda: any(update.metrics for update in drive.updates))
        gate.touch()
        drive.until(lambda: 7 in drive.outcomes)
        last = drive.updates[-1]
        assert (last.number, last.done, last.total, last.metrics) == (7, 3.0, 10.0, {"loss": 0.25})

    @pytest.mark.usefixtures("beside")
    def test_what_a_running_task_prints_can_be_read_and_is_its_own(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        if not drive.executor.keeps_output:
            pytest.skip(f"what tasks of {drive.executor.name} print is not kept")
        gate = tmp_path / "gate"

        def experiment(context: Any, config: Any) -> None:
            print(f"words of {config.x}")
            while not gate.exists():
                time.sleep(0.01)

        drive.start(experiment)
        drive.executor.submit([drive.task(0, "one")])
        logs = drive.store / LOGS
        drive.until(lambda: any(b"words of one" in path.read_bytes() for path in _files(logs)))
        gate.touch()
        drive.run([drive.task(1, "two")])
        drive.until(lambda: len(drive.outcomes) == 2)
        for number, name in ((0, b"one"), (1, b"two")):
            log = drive.outcomes[number].log
            assert log is not None
            assert (logs / log.file).read_bytes()[log.start : log.end] == b"words of %s\n" % name

    # -- ending the run

    def test_what_has_not_started_is_given_back(self, drive: Drive, tmp_path: Path) -> None:
        gate = tmp_path / "gate"

        if drive.executor.in_process:
            gate.touch()
        drive.start(waiting_for(gate))
        drive.executor.submit([drive.task(i) for i in range(50)])
        if not drive.executor.in_process:
            drive.until(lambda: bool(drive.executor.running()))
        drive.executor.cancel(running=False)
        drive.executor.cancel(running=False)
        drive.take(drive.executor.poll(0.1))
        gate.touch()
        drive.until(lambda: drive.ended == 50)
        assert len(drive.lost) >= 40
        assert {outcome.status for outcome in drive.outcomes.values()} <= {DONE}
        assert not set(drive.lost) & set(drive.outcomes)

    def test_a_running_task_is_told_to_stop_and_may_finish(self, drive: Drive) -> None:
        if drive.executor.in_process:
            pytest.skip("nobody can call it while a task runs")

        def wait(context: Any, config: Any) -> str:
            while not context.stopping:
                time.sleep(0.01)
            return "in time"

        drive.start(wait, grace=30.0)
        drive.executor.submit([drive.task(i) for i in range(9)])
        drive.until(lambda: bool(drive.executor.running()))
        drive.executor.cancel(running=True)
        drive.executor.cancel(running=True)
        drive.until(lambda: drive.ended == 9)
        assert {drive.value(number) for number in drive.outcomes} <= {"in time"}
        assert drive.executor.want() == 0

    @pytest.mark.usefixtures("preempting")
    def test_a_running_task_that_does_not_listen_is_ended_after_the_grace(self, drive: Drive) -> None:
        def deaf(context: Any, config: Any) -> None:
            time.sleep(600)

        drive.start(deaf, grace=0.2)
        drive.executor.submit([drive.task(i) for i in range(6)])
        drive.until(lambda: len(drive.executor.running()) == 2)
        drive.executor.cancel(running=True)
        drive.until(lambda: drive.ended == 6)
        kinds = {outcome.failure.kind for outcome in drive.outcomes.values() if outcome.failure is not None}
        assert kinds == {STOPPED}
        assert len(drive.outcomes) == 2

    def test_of_some_tasks_that_are_cancelled_those_that_have_not_started_are_given_back(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        if drive.executor.in_process:
            gate.touch()
        drive.start(waiting_for(gate))
        drive.executor.submit([drive.task(i, attempt=3) for i in range(50)])
        if not drive.executor.in_process:
            drive.until(lambda: bool(drive.executor.running()))
        drive.executor.cancel([*range(30, 50), 999], running=False)
        drive.executor.cancel([49], running=False)
        gate.touch()
        drive.until(lambda: drive.ended == 50)
        assert set(drive.lost) <= set(range(30, 50))
        assert len(drive.lost) >= 10
        assert all(loss.cancelled and loss.attempt == 3 for loss in drive.losses)
        assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}
        drive.run([drive.task(i, attempt=4) for i in range(100, 110)])
        assert {drive.outcomes[i].attempt for i in range(100, 110)} == {4}, "the run goes on"

    @pytest.mark.usefixtures("beside")
    def test_a_running_task_that_is_cancelled_is_told_alone_and_may_finish(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        drive.start(waiting_for(gate), grace=60.0)
        drive.executor.submit([drive.task(0), drive.task(1)])
        drive.until(lambda: {state.number for state in drive.executor.running()} == {0, 1})
        drive.executor.cancel([1], running=True)
        drive.executor.cancel([1], running=True)
        drive.until(lambda: 1 in drive.outcomes or 1 in drive.lost)  # the latter where it was about to begin
        assert 0 not in drive.outcomes
        gate.touch()
        drive.run([drive.task(2)])
        drive.until(lambda: {0, 2} <= set(drive.outcomes))
        told = {number: drive.value(number) for number in drive.outcomes}
        assert told in ({0: "waited", 1: "told", 2: "waited"}, {0: "waited", 2: "waited"})

    @pytest.mark.usefixtures("beside")
    def test_a_cancelled_task_that_does_not_listen_is_told_as_stopped_after_the_grace(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"
        drive.start(waiting_for(gate, deaf=True), grace=0.2)
        drive.executor.submit([drive.task(0), drive.task(1)])
        drive.until(lambda: {state.number for state in drive.executor.running()} == {0, 1})
        drive.executor.cancel([1], running=True)
        drive.until(lambda: 1 in drive.outcomes or 1 in drive.lost)
        failure = drive.outcomes[1].failure if 1 in drive.outcomes else None
        assert 1 in drive.lost or (failure is not None and failure.kind == STOPPED)
        gate.touch()
        drive.until(lambda: 0 in drive.outcomes)
        assert drive.value(0) == "waited"

    # -- the number of workers

    def test_the_number_of_workers_can_be_changed_while_they_work_where_that_is_said(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        if not drive.executor.resizable:
            with pytest.raises(NotImplementedError, match=drive.executor.name):
                drive.executor.resize(2)
            return
        gates, begun = tmp_path / "gates", tmp_path / "begun"
        gates.mkdir()
        begun.mkdir()
        drive.start(_waiting_for_each(begun, gates))
        drive.executor.resize(1)
        drive.executor.submit([drive.task(i, i) for i in range(6)])
        drive.until(lambda: any(begun.iterdir()))
        for _ in range(5):
            drive.take(drive.executor.poll(0.1))
        assert [path.name for path in begun.iterdir()] == ["0"]
        drive.executor.resize(2)
        if drive.executor.alone or drive.executor.isolates:  # a thread's task may have to end first
            drive.until(lambda: len(list(begun.iterdir())) == 2)
        for number in range(6):
            (gates / str(number)).touch()
        drive.until(lambda: len(drive.outcomes) == 6)
        assert {outcome.status for outcome in drive.outcomes.values()} == {DONE}

    # -- ends

    def test_a_wake_ends_a_wait(self, drive: Drive) -> None:
        drive.start(lambda context, config: 1)
        drive.executor.wake()
        begun = time.monotonic()
        drive.executor.poll(30.0)
        assert time.monotonic() - begun < 20.0

    def test_closing_in_the_middle_of_the_work_returns(self, drive: Drive) -> None:
        if drive.executor.shares_memory:
            pytest.skip("nothing of it outlives a call")
        drive.start(lambda context, config: time.sleep(0.5))
        drive.executor.submit([drive.task(i) for i in range(8)])
        drive.until(lambda: bool(drive.executor.running()) or drive.ended > 0)  # what runs may be told late
        drive.executor.close()


def _waiting_for_each(begun: Path, gates: Path) -> Callable[[Any, Any], None]:
    def wait(context: Any, config: Any) -> None:
        (begun / str(config.x)).touch()
        while not (gates / str(config.x)).exists() and gates.exists():
            time.sleep(0.01)

    return wait


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
