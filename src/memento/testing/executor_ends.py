"""What an executor must do when processes, places or the coordinator end, and when a task's time or memory is over.

Knows: the executor's contract. May not know: any one executor.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from memento.executors.base import Executor
from memento.layout import WORK
from memento.records import DIED, DONE, MEMORY, TIMEOUT
from memento.testing.driving import Drive, ExecutorFixtures, wait_until, waiting_for


class EndTests(ExecutorFixtures):
    """Ends of all kinds, and what goes on after the coordinator's."""

    # -- places that are taken away

    @pytest.mark.usefixtures("movable")
    def test_a_task_whose_place_is_taken_away_is_run_again_or_given_back_with_the_reason(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        gate = tmp_path / "gate"

        drive.start(waiting_for(gate, deaf=True))
        drive.executor.submit([drive.task(i, attempt=2) for i in range(4)])
        drive.until(lambda: bool(drive.executor.running()))
        self.take_place_away(drive.executor)
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
            failure = drive.failure(number)
            assert (failure.kind, failure.type) == (DIED, name)
            assert how != "exit" or "last words" in failure.output
        assert sum(outcome.status == DONE for outcome in outcomes.values()) == 98
        assert {path.read_text() for path in ran.iterdir()} == {"x"}, "a task was run twice"

    @pytest.mark.usefixtures("preempting")
    def test_a_task_over_its_time_is_ended_and_its_mates_run(self, drive: Drive) -> None:
        def hang(context: Any, config: Any) -> int:
            while config.x == 1:
                time.sleep(0.01)
            return 0

        drive.start(hang, timeout=4.0)  # a mate's process may stand still for a moment
        outcomes = drive.run([drive.task(i, int(i == 2)) for i in range(20)])
        failure = drive.failure(2)
        assert failure.kind == TIMEOUT
        assert outcomes[2].runtime >= 4.0
        assert sum(outcome.status == DONE for outcome in outcomes.values()) == 19

    @pytest.mark.usefixtures("preempting")
    def test_a_task_that_ignores_sigterm_is_ended_too(self, drive: Drive) -> None:
        def stubborn(context: Any, config: Any) -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(60)

        failure = drive.failure_of(stubborn, timeout=0.3, grace=0.3)
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
        failure = drive.failure(0)
        assert failure.kind == MEMORY
        assert outcomes[0].memory is not None
        assert outcomes[0].memory > limit
        assert (outcomes[1].status, outcomes[2].status) == (DONE, DONE)

    @pytest.mark.usefixtures("preempting")
    def test_a_task_with_a_memory_limit_of_its_own_may_use_that_much(self, drive: Drive) -> None:
        def hold(context: Any, config: Any) -> int | None:
            held = bytearray(b"x") * config.x
            limit: int | None = context.resources.memory_limit
            while limit is not None and limit < len(held):  # until somebody has looked
                time.sleep(0.01)
            return limit

        size, low, high = 300 << 20, 200 << 20, 900 << 20
        drive.start(hold, memory_limit=low)
        drive.run([drive.task(0, size), drive.task(1, size)._replace(memory_limit=high)])
        failure = drive.failure(0)
        assert failure.kind == MEMORY
        assert drive.value(1) == high

    # -- after the coordinator's death

    program = ""  # Python source that makes `executor`, for a program of its own; needed where it `outlives`

    def outcomes_left(self, store: Path) -> int:
        """Count what workers of dead runs have left in a store; override it where these are no files."""
        return sum(path.is_file() for path in (store / WORK).glob("*/outcomes/*"))

    def test_what_goes_on_after_the_coordinators_death_is_taken_in_by_the_next_run(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        if not executor.outlives:
            pytest.skip(f"tasks of {executor.name} end with the coordinator")
        script = tmp_path / "exp.py"
        script.write_text(OUTLIVED.format(program=self.program))
        begun, gate = tmp_path / "begun", tmp_path / "gate"
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
        options: dict[str, Any] = {"cwd": tmp_path, "env": environment}
        first = subprocess.Popen([sys.executable, script], **options)
        try:
            wait_until(lambda: len(_words(begun)) == 2 or first.poll() is not None)
        finally:
            first.kill()
            first.wait()
        assert sorted(_words(begun)) == ["1", "2"], "both are at a worker when their coordinator dies"
        gate.touch()
        left = tmp_path / "memento-store" / WORK
        wait_until(lambda: self.outcomes_left(tmp_path / "memento-store") == 2)
        again = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, timeout=300, check=False, **options
        )
        assert again.returncode == 0, again.stderr
        assert again.stdout.split() == ["[1,", "2]"]
        assert sorted(_words(begun)) == ["1", "2"], "a task was run twice"
        assert not any(path.is_file() for path in left.glob("*/outcomes/*"))


def _words(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


# A program whose tasks wait for a file; TASKS says which they are, [1, 2] by default.
OUTLIVED = """
import os
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
    tasks = eval(os.environ.get("TASKS", "[1, 2]"))
    results = Memento(experiment, executor=executor, num_workers=2).run({{"parameters": {{"x": tasks}}}})
    print([result.inner for result in results])
"""
