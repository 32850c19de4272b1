"""What somebody who types `Memento(f, executor=...)` may rely on, whatever the engine: whole runs over a store.

Knows: the public class, the executor's contract. May not know: any one executor.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from memento.errors import RunInterrupted
from memento.executors.base import Executor
from memento.executors.serial import Serial
from memento.memento import Memento
from memento.results.results import Results
from memento.runner.retry import Retry
from memento.testing.driving import ExecutorFixtures, wait_until


class Runs:
    """Runs experiments on one executor, one run after another, over one store.

    Parameters
    ----------
    executor : Executor
        Not started.
    store : path
        The store's folder.
    """

    def __init__(self, executor: Executor, store: Path) -> None:
        self.executor, self.store = executor, store

    def run(
        self, func: Callable[..., Any], values: Sequence[Any], *, repeats: int = 1, **options: Any
    ) -> Results:
        """Run an experiment for some values of `x`; failures come back as results."""
        memento = Memento(
            func,
            name="experiment",
            executor=self.executor,
            num_workers=None if self.executor.workers else 2,
            store=self.store,
            progress=False,
            on_error="return",
            on_code_change="ignore",
            **options,
        )
        results = memento.run({"parameters": {"x": values}, "repeats": repeats})
        assert results is not None
        return results


class RunTests(ExecutorFixtures):
    """Results, runs after one another, Ctrl-C, places that end: through the very class that users type."""

    @pytest.fixture
    def runs(self, executor: Executor, tmp_path: Path) -> Iterator[Runs]:
        """Return what runs experiments on the executor under test."""
        yield Runs(executor, tmp_path / "store")
        executor.close()

    def test_results_and_seeds_are_those_of_serial_in_the_matrixs_order(
        self, runs: Runs, tmp_path: Path
    ) -> None:
        # Threads draw from one global generator, in any order.
        alone = runs.executor.in_process or not runs.executor.shares_memory

        def experiment(context: Any, config: Any) -> list[Any]:
            time.sleep(0.02 if config.x == 5 else 0)  # it ends after those that come next
            drawn = [random.random() if alone else 0.0, float(context.rng.random())]
            return [config.x, config.repeat, context.seed, context.shared_seed, *drawn]

        values = [5, 4, 3, 9, 1]
        found = [result.inner for result in runs.run(experiment, values, repeats=2)]
        serial = Runs(Serial(), tmp_path / "other").run(experiment, values, repeats=2)
        assert found == [result.inner for result in serial]
        assert [row[:2] for row in found] == [[x, repeat] for x in values for repeat in range(2)]

    def test_a_second_run_computes_nothing(self, runs: Runs, tmp_path: Path) -> None:
        calls = tmp_path / "calls"

        def experiment(context: Any, config: Any) -> int:
            with calls.open("a") as file:
                file.write("x")
            return int(config.x) + 1

        first = runs.run(experiment, [1, 2, 3])
        again = runs.run(experiment, [1, 2, 3])
        assert [result.inner for result in again] == [result.inner for result in first] == [2, 3, 4]
        assert all(result.was_cached for result in again)
        assert calls.read_text() == "xxx"

    def test_one_executor_serves_one_run_after_another(self, runs: Runs) -> None:
        large = ["a" * 100_000, "b" * 100_000]
        assert [result.inner for result in runs.run(lambda context, config: config.x[:1], large)] == [
            "a",
            "b",
        ]
        more = ["c" * 100_000, "d" * 100_000]
        found = runs.run(lambda context, config: config.x[:2], [*large, *more])
        assert [result.inner for result in found] == ["a", "b", "cc", "dd"]

    def test_a_result_of_a_hundred_megabytes_comes_back_whole(self, runs: Runs) -> None:
        def experiment(context: Any, config: Any) -> bytes:
            return bytes(range(256)) * int(config.x << 12)

        (result,) = runs.run(experiment, [100])
        assert len(result.inner) == 100 << 20
        is_whole = result.inner == bytes(range(256)) * (100 << 12)
        assert is_whole  # and not what is compared, which would be shown

    def test_what_an_executor_has_started_is_gone_when_it_is_closed(self, runs: Runs) -> None:
        if not runs.executor.isolates:
            pytest.skip(f"{runs.executor.name} runs tasks in processes of others")
        results = runs.run(lambda context, config: os.getpid(), [1, 2])
        # On a cluster it takes a moment.
        wait_until(lambda: not any(_lives(result.inner) for result in results))

    def test_after_ctrl_c_the_next_run_goes_on_from_the_checkpoints(self, runs: Runs, tmp_path: Path) -> None:
        begun, gate, calls = tmp_path / "begun", tmp_path / "gate", tmp_path / "calls"

        def experiment(context: Any, config: Any) -> list[bool]:
            if config.x == 0:
                with calls.open("a") as file:
                    file.write("x")
                return []
            steps: list[bool] = []
            for _ in context.loop(range(1_000_000), steps, every="1h"):
                steps.append(gate.exists())
                if steps[-1]:
                    break
                begun.touch()
                time.sleep(0.01)
            return steps

        with _once(begun.exists, lambda: os.kill(os.getpid(), signal.SIGINT)), pytest.raises(RunInterrupted):
            runs.run(experiment, [0, 1])
        gate.touch()
        results = runs.run(experiment, [0, 1])
        assert [result.status for result in results] == ["done", "done"]
        steps = results[1].inner
        assert (steps[0], steps[-1]) == (False, True), "it began anew"
        assert calls.read_text() == "x"

    @pytest.mark.usefixtures("movable")
    def test_a_task_whose_place_is_taken_away_goes_on_elsewhere_from_its_checkpoint_and_has_not_failed(
        self, runs: Runs, tmp_path: Path
    ) -> None:
        begun = tmp_path / "begun"

        def experiment(context: Any, config: Any) -> int:
            if context.checkpoint_exist():
                return int(context.restore()) + 1
            context.checkpoint(41)
            begun.touch()
            while True:
                time.sleep(0.01)

        with _once(begun.exists, lambda: self.take_place_away(runs.executor)):
            (result,) = runs.run(experiment, [1])
        assert (result.status, result.inner) == ("done", 42)

    @pytest.mark.usefixtures("movable")
    def test_a_task_whose_place_is_taken_away_each_time_fails_by_a_bound_of_its_own(
        self, runs: Runs, tmp_path: Path
    ) -> None:
        begun = tmp_path / "begun"

        def experiment(context: Any, config: Any) -> None:
            with begun.open("a") as file:
                file.write("x")
            while True:
                time.sleep(0.01)

        def tries() -> int:
            return begun.stat().st_size if begun.exists() else 0

        take = lambda: self.take_place_away(runs.executor)  # noqa: E731
        with _once(lambda: tries() == 1, take), _once(lambda: tries() == 2, take):
            (result,) = runs.run(experiment, [1], retries=Retry(losses=1))
        assert result.status == "failed"
        assert tries() == 2


class _once(threading.Thread):  # noqa: N801  # reads as what it does
    """Do something once something is so, beside the run; what it raises is told at the end."""

    def __init__(self, so: Callable[[], bool], do: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._so, self._do = so, do
        self._over = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.wait(0.01):
                if self._so():
                    self._do()
                    return
        except BaseException as exc:
            self._error = exc

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        if self._error is not None:
            raise self._error


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
