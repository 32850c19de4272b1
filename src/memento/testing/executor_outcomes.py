"""What an executor must tell of each task: its value, or why it failed.

Knows: the executor's contract. May not know: any one executor.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

from memento.errors import Unsendable
from memento.records import DONE, RAISED, UNSAVABLE
from memento.testing.driving import Client, Drive, ExecutorFixtures, Memory, OwnValues
from memento.values import pickling
from memento.values.shared_files import SharedFiles
from memento.worker.portable import Portable
from memento.worker.work import Task


class Words(Exception):
    """An exception that cannot be unpickled from its own arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


class OutcomeTests(ExecutorFixtures):
    """One outcome for each task, and what stands in it."""

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

    def test_of_a_value_in_a_file_each_task_gets_memory_of_its_own(self, drive: Drive) -> None:
        executor = drive.executor
        files = SharedFiles(
            str(drive.store), "shared", same_host=executor.same_host, outlives=executor.outlives
        )
        value = {"memory": Memory(bytearray(9_000_000)), "text": "x" * 2_000_000}
        drive.values = [pickling.dumps(value, files)]

        def experiment(context: Any, config: Any) -> list[int]:
            memory = config.x["memory"].memory
            found = [memory[-1], len(memory), len(config.x["text"])]
            memory[-1] = 7
            return found

        drive.start(experiment)
        drive.run([Task(number, bytes([number] * 16), 0, (0,), 0, 1, 0.0) for number in range(6)])
        assert [drive.value(number) for number in range(6)] == [[0, 9_000_000, 2_000_000]] * 6
        assert len(drive.values[0]) < 1_000
        files.close()

    def test_tasks_share_a_step_and_say_which_ones_they_used(self, drive: Drive, tmp_path: Path) -> None:
        calls = tmp_path / "calls"

        def load(context: Any, path: str) -> Any:
            with calls.open("a") as file:
                file.write("x")
            return [context.seed] * 3

        def fail(path: str) -> None:
            with calls.open("a") as file:
                file.write("f")
            raise OSError(f"{path} is away")

        def experiment(context: Any, config: Any) -> Any:
            if config.x % 2:
                context.cached(fail, "b")
            found = context.cached(load, path="a")
            found.append(config.x)  # no other task sees it
            return context.cached(load, "a")

        drive.start(experiment)
        outcomes = drive.run([drive.task(i, i) for i in range(8)])
        assert sorted(calls.read_text()) == ["f", "x"]
        assert [drive.value(i) for i in range(0, 8, 2)] == [drive.value(0)] * 4
        assert [len(outcomes[i].steps or ()) for i in range(8)] == [1, 0] * 4
        told = {(f.type, f.message, f.location) for f in (outcomes[i].failure for i in range(1, 8, 2)) if f}
        assert len(told) == 1, told
        ((kind, message, location),) = told
        assert (kind, location != "") == ("OSError", True)
        assert message.startswith("b is away (in step ")

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
        failure = drive.failure(3)
        assert (failure.kind, failure.type, failure.message) == (RAISED, "ValueError", "three is right out")
        assert 'raise ValueError("three is right out")' in failure.traceback
        assert "task.py" not in failure.traceback
        assert failure.location.startswith("executor_outcomes.py:")
        assert failure.exception is not None
        assert isinstance(pickling.loads_value(failure.exception), ValueError)
        assert sum(outcome.status == DONE for outcome in outcomes.values()) == 9

    def test_the_chain_of_causes_is_kept(self, drive: Drive) -> None:
        def chained(context: Any, config: Any) -> None:
            try:
                os.environ["MISSING"]
            except KeyError as exc:
                raise RuntimeError("no such thing") from exc

        failure = drive.failure_of(chained)
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
        failure = drive.failure(0)
        assert (failure.kind, failure.type) == (RAISED, name)
        assert (outcomes[1].status, outcomes[2].status) == (DONE, DONE)

    def test_endless_recursion_fails_its_task_only(self, drive: Drive) -> None:
        def deep(context: Any, config: Any) -> Any:
            def down(n: int) -> Any:
                return down(n + 1)

            return down(0) if config.x else 1

        drive.start(deep)
        outcomes = drive.run([drive.task(0, True), drive.task(1, False)])
        failure = drive.failure(0)
        assert failure.type == "RecursionError"
        assert outcomes[1].status == DONE

    def test_an_exception_that_cannot_be_unpickled_is_kept_as_text(self, drive: Drive) -> None:
        def raises(context: Any, config: Any) -> None:
            raise Words("two", "words")

        failure = drive.failure_of(raises)
        assert failure.exception is None
        assert (failure.type, failure.message) == ("Words", "two words")

    def test_an_exception_that_cannot_be_shown_fails_its_task_only(self, drive: Drive) -> None:
        def raises(context: Any, config: Any) -> None:
            class Mute(Exception):
                def __str__(self) -> str:
                    raise ValueError("no")

            raise Mute

        failure = drive.failure_of(raises)
        assert failure.type == "Mute"

    def test_what_cannot_be_saved_fails_its_task_and_says_what_it_was(self, drive: Drive) -> None:
        def returns_a_lock(context: Any, config: Any) -> Any:
            return threading.Lock()

        failure = drive.failure_of(returns_a_lock)
        assert failure.kind == UNSAVABLE
        assert "lock" in failure.message


def _start_and_run(drive: Drive, task: Task) -> None:
    """Run one task; some executors look at values as soon as they start."""
    drive.start(lambda context, config: 1)
    drive.run([task])
