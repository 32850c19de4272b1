"""What an executor must do when places end, time is over, or somebody wants it otherwise.

Knows: the executor's contract. May not know: any one executor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento.executors.base import Executor
from memento.layout import WORK
from memento.records import DIED, DONE, MEMORY, STOPPED, TIMEOUT
from memento.testing.driving import Drive, ExecutorFixtures


class SteeringTests(ExecutorFixtures):
    """Ends of all kinds, cancelling, resizing, and what goes on after the coordinator's death."""

    # -- places that are taken away

    def take_place_away(self, drive: Drive) -> bool:
        """End the place of a running task from outside; override it where tasks run in places that can end."""
        return False

    def test_a_task_whose_place_is_taken_away_is_run_again_or_given_back_with_the_reason(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"

        def wait(context: Any, config: Any) -> int:
            while not gate.exists():
                time.sleep(0.01)
            return 1

        if type(self).take_place_away is SteeringTests.take_place_away:
            pytest.skip(f"the place of a task of {drive.executor.name} ends with the program only")
        drive.start(wait)
        drive.executor.submit([drive.task(i, attempt=2) for i in range(4)])
        drive.until(lambda: bool(drive.executor.running()))
        assert self.take_place_away(drive)
        gate.touch()
        drive.until(lambda: drive.ended == 4)
        assert {outcome.status for outcome in drive.outcomes.values()} <= {DONE}
        assert all(loss.reason and loss.attempt == 2 and not loss.cancelled for loss in drive.losses)

    # -- ends of processes

    @pytest.mark.usefixtures("isolating")
    @pytest.mark.parametrize(
        ("how", "name"),
        [("exit", "exit code 3"), ("kill", "SIGKILL"), ("segfault", "SIGSEGV"), ("abort", "SIGABRT")],
    )
    def test_a_task_that_ends_its_process_is_named_and_its_mates_run(
        self, drive: Drive, tmp_path: Path, how: str, name: str
    ) -> None:
        ran = tmp_path / "ran"
        ran.mkdir()

        def end(context: Any, config: Any) -> int:
            number = int.from_bytes(
                bytes.fromhex(context.key) if isinstance(context.key, str) else context.key, "big"
            )
            with open(ran / str(number), "a") as file:
                file.write("x")
            if config.x == "exit":
                print("last words")
                os._exit(3)
            elif config.x == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif config.x == "segfault":
                ctypes.string_at(0)
            elif config.x == "abort":
                os.abort()
            return number

        drive.start(end)
        outcomes = drive.run([drive.task(i, how if i in (20, 77) else "") for i in range(100)])
        for number in (20, 77):
            failure = outcomes[number].failure
            assert failure is not None
            assert (failure.kind, failure.type) == (DIED, name)
            assert how != "exit" or "last words" in failure.output
        assert sum(outcome.status == DONE for outcome in outcomes.values()) == 98
        assert {path.read_text() for path in ran.iterdir()} == {"x"}, "a task was run twice"

    @pytest.mark.usefixtures("preempting")
    def test_a_task_over_its_time_is_ended_and_its_mates_run(self, drive: Drive) -> None:
        def hang(context: Any, config: Any) -> int:
            while config.x == 1:
                pass
            return 0

        drive.start(hang, timeout=1.0)
        outcomes = drive.run([drive.task(i, int(i == 2)) for i in range(20)])
        failure = outcomes[2].failure
        assert failure is not None
        assert failure.kind == TIMEOUT
        assert outcomes[2].runtime >= 1.0
        assert sum(outcome.status == DONE for outcome in outcomes.values()) == 19

    @pytest.mark.usefixtures("preempting")
    def test_a_task_that_ignores_sigterm_is_ended_too(self, drive: Drive) -> None:
        def stubborn(context: Any, config: Any) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)

        drive.start(stubborn, timeout=0.3, grace=0.3)
        failure = drive.run([drive.task(0)])[0].failure
        assert failure is not None
        assert failure.kind == TIMEOUT

    @pytest.mark.usefixtures("preempting")
    def test_a_task_over_its_memory_is_ended_and_tells_its_peak(self, drive: Drive) -> None:
        def eat(context: Any, config: Any) -> int:
            if config.x:
                held = []
                while True:
                    held.append(bytearray(b"x" * 4_000_000))
                    time.sleep(0.002)
            return 0

        limit = 300 << 20
        drive.start(eat, memory_limit=limit)
        outcomes = drive.run([drive.task(0, 1), drive.task(1, 0), drive.task(2, 0)])
        failure = outcomes[0].failure
        assert failure is not None
        assert failure.kind == MEMORY
        assert outcomes[0].memory is not None
        assert outcomes[0].memory > limit
        assert (outcomes[1].status, outcomes[2].status) == (DONE, DONE)

    # -- ending the run

    def test_what_has_not_started_is_given_back(self, drive: Drive, tmp_path: Path) -> None:
        gate = tmp_path / "gate"

        def wait(context: Any, config: Any) -> int:
            while not gate.exists() and not context.stopping:
                time.sleep(0.01)
            return 1

        if drive.executor.in_process:
            gate.touch()
        drive.start(wait)
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
        drive.start(_waiting_for(gate))
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
        drive.start(_waiting_for(gate), grace=60.0)
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
        drive.start(_waiting_for(gate, deaf=True), grace=0.2)
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

    # -- after the coordinator's death

    program = ""  # Python source that makes `executor`, for a program of its own; needed where it `outlives`

    def test_what_goes_on_after_the_coordinators_death_is_taken_in_by_the_next_run(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        if not executor.outlives:
            pytest.skip(f"tasks of {executor.name} end with the coordinator")
        script = tmp_path / "exp.py"
        script.write_text(_OUTLIVED.format(program=self.program))
        begun, gate = tmp_path / "begun", tmp_path / "gate"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        options: dict[str, Any] = {"cwd": tmp_path, "env": environment}
        first = subprocess.Popen([sys.executable, script], **options)
        try:
            _wait_until(lambda: begun.exists() or first.poll() is not None)
        finally:
            first.kill()
            first.wait()
        assert begun.exists()
        gate.touch()
        left = tmp_path / "memento-store" / WORK
        _wait_until(lambda: sum(path.is_file() for path in left.glob("*/outcomes/*")) == 2)
        again = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, timeout=120, check=False, **options
        )
        assert again.returncode == 0, again.stderr
        assert again.stdout.split() == ["[1,", "2]"]
        assert sorted(begun.read_text().split()) == ["1", "2"], "a task was run twice"
        assert not any(path.is_file() for path in left.glob("*/outcomes/*"))

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
        drive.start(lambda context, config: time.sleep(0.05))
        drive.executor.submit([drive.task(i) for i in range(8)])
        drive.until(lambda: bool(drive.executor.running()))
        drive.executor.close()


def _waiting_for(gate: Path, *, deaf: bool = False) -> Callable[[Any, Any], str]:
    def wait(context: Any, config: Any) -> str:
        while not gate.exists():
            if context.stopping and not deaf:
                return "told"
            time.sleep(0.01)
        return "waited"

    return wait


def _waiting_for_each(begun: Path, gates: Path) -> Callable[[Any, Any], None]:
    def wait(context: Any, config: Any) -> None:
        (begun / str(config.x)).touch()
        while not (gates / str(config.x)).exists():
            time.sleep(0.01)

    return wait


_OUTLIVED = """
import time
from pathlib import Path
from memento import Memento

def experiment(context, config):
    with open("begun", "a") as file:
        file.write(f"{{config.x}} ")
    while not Path("gate").exists():
        time.sleep(0.01)
    return config.x

{program}
if __name__ == "__main__":
    results = Memento(experiment, executor=executor, num_workers=2).run({{"parameters": {{"x": [1, 2]}}}})
    print([result.inner for result in results])
"""


def _wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)
