"""What every executor must do, as tests: a new executor passes them before it is used.

Knows: the executor protocol. May not know: any one executor.

    class TestMine(ExecutorContract):
        @pytest.fixture
        def executor(self): return Mine()

What an executor declares of itself (`isolates`, `preempts`, `resizable`, ...) decides which promises are asked of it.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.errors import Unsendable
from memento.executors.base import Executor
from memento.layout import PAYLOADS, WORK
from memento.records import DIED, DONE, MEMORY, RAISED, STOPPED, TIMEOUT, UNSAVABLE
from memento.testing.driving import Client, Drive, OwnValues
from memento.values import pickling
from memento.worker.portable import Portable
from memento.worker.work import Task


class Words(Exception):
    """An exception that cannot be unpickled from its own arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class ExecutorContract:
    """The promises; override `executor`."""

    @pytest.fixture
    def executor(self) -> Executor:
        """Return the executor under test, not started."""
        raise NotImplementedError("override `executor`")

    @pytest.fixture
    def drive(self, executor: Executor, tmp_path: Path) -> Iterator[Drive]:
        """Return a driver in a store whose name is awkward."""
        store = tmp_path / 'a store\'s "name"'
        (store / PAYLOADS).mkdir(parents=True)
        drive = Drive(executor, store)
        yield drive
        executor.close()
        executor.close()  # closing twice is as good as once

    @pytest.fixture
    def isolating(self, executor: Executor) -> None:
        """Skip where a task that ends its process ends more."""
        if not executor.isolates:
            pytest.skip(f"{executor.name} runs tasks in a shared process")

    @pytest.fixture
    def beside(self, executor: Executor) -> None:
        """Skip where nobody can say anything while a task runs."""
        if executor.in_process:
            pytest.skip("nobody can call it while a task runs")

    @pytest.fixture
    def preempting(self, executor: Executor) -> None:
        """Skip where a running task cannot be ended."""
        if not executor.preempts:
            pytest.skip(f"{executor.name} cannot end a running task")

    # -- results

    def test_every_task_yields_exactly_one_outcome_with_its_value(self, drive: Drive) -> None:
        drive.start(lambda context, config: config.x * 2)
        drive.run([drive.task(i, i % 7) for i in range(300)])
        assert [drive.value(i) for i in range(300)] == [i % 7 * 2 for i in range(300)]

    def test_an_outcome_tells_time_memory_attempt_and_worker(self, drive: Drive) -> None:
        drive.start(lambda context, config: sum(range(200_000)))
        outcome = drive.run([drive.task(5, attempt=3)])[5]
        assert (outcome.status, outcome.attempt, outcome.failure) == (DONE, 3, None)
        assert outcome.runtime > 0
        assert outcome.cpu_time is not None
        assert outcome.cpu_time >= 0
        assert outcome.memory is not None
        assert outcome.memory > 1 << 20
        assert "/" in outcome.worker

    def test_an_outcome_tells_what_its_task_warned_of(
        self, drive: Drive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(warnings, "showwarning", lambda *shown: None)  # pytest would list them

        def experiment(context: Any, config: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                if config.x:
                    warnings.warn(f"odd {config.x}", UserWarning, stacklevel=1)

        drive.start(experiment)
        outcomes = drive.run([drive.task(i, i) for i in range(6)])
        found = [json.loads(outcomes[i].warnings or "[]") for i in range(6)]
        assert [[warning[1] for warning in one] for one in found] == [
            [],
            *([f"odd {i}"] for i in range(1, 6)),
        ]

    def test_settings_repeat_attempt_and_key_reach_the_task(self, drive: Drive) -> None:
        drive.start(
            lambda context, config: [config.settings["s"], config.repeat, context.attempt, context.key],
            settings={"s": [1]},
        )
        drive.run([drive.task(9, repeat=4, attempt=2)])
        assert drive.value(9)[:3] == [[1], 4, 2]

    def test_a_task_without_parameters_runs(self, drive: Drive) -> None:
        drive.start(lambda context, config: [*config, config.settings["s"]], settings={"s": 1})
        drive.run([drive.task(0)._replace(layout=1, values=())])
        assert drive.value(0) == [1]

    def test_a_task_that_changes_a_value_in_place_changes_nothing_for_the_next(self, drive: Drive) -> None:
        def change(context: Any, config: Any) -> int:
            config.x.append(1)
            config.settings["list"].append(1)
            config.settings["new"] = 1
            return len(config.x) + len(config.settings["list"]) + len(config.settings)

        drive.start(change, settings={"list": []})
        drive.run([drive.task(i, [0]) for i in range(20)])
        assert {drive.value(i) for i in range(20)} == {5}

    def test_what_cannot_be_pickled_reaches_tasks_of_this_process_and_others_name_it(
        self, drive: Drive
    ) -> None:
        lock, client = threading.Lock(), Client()

        def use(context: Any, config: Any) -> int:
            with lock, config.x.lock, config.settings["client"].lock:
                config.settings["list"].append(1)
                return len(config.settings["list"])

        drive.values = OwnValues(client)
        tasks = [Task(n, n.to_bytes(16, "big"), 0, (0,), 0, 1, 0.0) for n in range(10)]
        if drive.executor.shares_memory:
            drive.start(use, settings={"client": Client(), "list": []})
            drive.run(tasks)
            assert {drive.value(n) for n in range(10)} == {1}
        else:
            with pytest.raises(Unsendable, match=r"settings\['client'\].*executor='threads'"):
                drive.start(lambda context, config: 1, settings={"client": Client()})

    def test_a_value_that_cannot_be_sent_is_named(self, drive: Drive) -> None:
        drive.values = OwnValues(Client())
        task = Task(1, bytes(16), 0, (0,), 0, 1, 0.0)
        if drive.executor.shares_memory:
            drive.start(lambda context, config: type(config.x) is Client)
            drive.run([task])
            assert drive.value(1) is True
        else:
            with pytest.raises(Unsendable, match=r"a value of parameter 'x'.*pickle.*executor='threads'"):
                _start_and_run(drive, task)

    def test_tasks_of_this_process_call_the_programs_own_function(self, drive: Drive) -> None:
        if not drive.executor.shares_memory:
            pytest.skip(f"{drive.executor.name} runs tasks in other processes")
        seen: list[int] = []
        drive.start(lambda context, config: seen.append(config.x))
        drive.run([drive.task(i, i) for i in range(5)])
        assert sorted(seen) == list(range(5))

    def test_an_initializer_is_called_once_in_each_process_before_its_first_task(
        self, drive: Drive, tmp_path: Path
    ) -> None:
        begun = tmp_path / "begun"
        begun.mkdir()

        def begin() -> None:
            (begun / str(os.getpid())).touch(exist_ok=False)

        drive.start(
            lambda context, config: (begun / str(os.getpid())).exists(),
            initializer=Portable(begin, "the initializer"),
        )
        drive.run([drive.task(i, i) for i in range(20)])
        assert all(drive.value(i) for i in range(20))

    def test_values_of_the_scripts_own_classes_stay_of_that_very_class(self, drive: Drive) -> None:
        class Model:
            size = 3

        drive.start(lambda context, config: isinstance(config.x(), Model) and config.x is Model)
        drive.run([drive.task(i, Model) for i in range(4)])
        assert all(drive.value(i) for i in range(4))

    def test_a_large_value_reaches_many_tasks(self, drive: Drive) -> None:
        large = bytes(range(256)) * 20_000
        drive.start(lambda context, config: len(config.x))
        drive.run([drive.task(i, large) for i in range(10)])
        assert {drive.value(i) for i in range(10)} == {5_120_000}

    def test_a_coroutine_function_is_awaited(self, drive: Drive) -> None:
        async def later(context: Any, config: Any) -> int:
            await asyncio.sleep(0)
            return int(config.x) + 1

        drive.start(later)
        drive.run([drive.task(0, 1)])
        assert drive.value(0) == 2

    def test_a_partial_of_a_coroutine_function_is_awaited_too(self, drive: Drive) -> None:
        async def later(add: int, context: Any, config: Any) -> int:
            return int(config.x) + add

        drive.start(functools.partial(later, 10))
        drive.run([drive.task(0, 1)])
        assert drive.value(0) == 11

    # -- failures

    def test_a_task_that_raises_fails_alone_and_says_where(self, drive: Drive) -> None:
        def sometimes(context: Any, config: Any) -> int:
            if config.x == 3:
                raise ValueError("three is right out")
            return 0

        drive.start(sometimes)
        outcomes = drive.run([drive.task(i, i) for i in range(10)])
        failure = outcomes[3].failure
        assert failure is not None
        assert (failure.kind, failure.type, failure.message) == (RAISED, "ValueError", "three is right out")
        assert 'raise ValueError("three is right out")' in failure.traceback
        assert "task.py" not in failure.traceback
        assert failure.location.startswith("executors.py:")
        assert failure.exception is not None
        assert isinstance(pickling.loads_value(failure.exception), ValueError)
        assert sum(outcome.status == DONE for outcome in outcomes.values()) == 9

    def test_the_chain_of_causes_is_kept(self, drive: Drive) -> None:
        def chained(context: Any, config: Any) -> None:
            try:
                os.environ["MISSING"]
            except KeyError as exc:
                raise RuntimeError("no such thing") from exc

        drive.start(chained)
        failure = drive.run([drive.task(0)])[0].failure
        assert failure is not None
        assert "KeyError: 'MISSING'" in failure.traceback
        assert "direct cause" in failure.traceback

    @pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "MemoryError"])
    def test_what_would_end_a_program_fails_its_task_only(self, drive: Drive, name: str) -> None:
        def end(context: Any, config: Any) -> int:
            import builtins

            if config.x:
                raise getattr(builtins, config.x)
            return 1

        drive.start(end)
        outcomes = drive.run([drive.task(0, name), drive.task(1, ""), drive.task(2, "")])
        failure = outcomes[0].failure
        assert failure is not None
        assert (failure.kind, failure.type) == (RAISED, name)
        assert (outcomes[1].status, outcomes[2].status) == (DONE, DONE)

    def test_endless_recursion_fails_its_task_only(self, drive: Drive) -> None:
        def deep(context: Any, config: Any) -> Any:
            def down(n: int) -> Any:
                return down(n + 1)

            return down(0) if config.x else 1

        drive.start(deep)
        outcomes = drive.run([drive.task(0, True), drive.task(1, False)])
        failure = outcomes[0].failure
        assert failure is not None
        assert failure.type == "RecursionError"
        assert outcomes[1].status == DONE

    def test_an_exception_that_cannot_be_unpickled_is_kept_as_text(self, drive: Drive) -> None:
        def raises(context: Any, config: Any) -> None:
            raise Words("two", "words")

        drive.start(raises)
        failure = drive.run([drive.task(0)])[0].failure
        assert failure is not None
        assert failure.exception is None
        assert (failure.type, failure.message) == ("Words", "two words")

    def test_an_exception_that_cannot_be_shown_fails_its_task_only(self, drive: Drive) -> None:
        def raises(context: Any, config: Any) -> None:
            class Mute(Exception):
                def __str__(self) -> str:
                    raise ValueError("no")

            raise Mute

        drive.start(raises)
        failure = drive.run([drive.task(0)])[0].failure
        assert failure is not None
        assert failure.type == "Mute"

    def test_what_cannot_be_saved_fails_its_task_and_says_what_it_was(self, drive: Drive) -> None:
        def returns_a_lock(context: Any, config: Any) -> Any:
            return threading.Lock()

        drive.start(returns_a_lock)
        failure = drive.run([drive.task(0)])[0].failure
        assert failure is not None
        assert failure.kind == UNSAVABLE
        assert "lock" in failure.message

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

        if type(self).take_place_away is ExecutorContract.take_place_away:
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
        _wait_until(lambda: len(list(left.glob("*/outcomes/*"))) == 2)
        again = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, timeout=120, check=False, **options
        )
        assert again.returncode == 0, again.stderr
        assert again.stdout.split() == ["[1,", "2]"]
        assert sorted(begun.read_text().split()) == ["1", "2"], "a task was run twice"
        assert not list(left.glob("*/outcomes/*"))

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


def _start_and_run(drive: Drive, task: Task) -> None:
    """Run one task; some executors look at values as soon as they start."""
    drive.start(lambda context, config: 1)
    drive.run([task])
