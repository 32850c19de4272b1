"""Every executor keeps the promises of the contract."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from memento.executors import Executor, make_executor
from memento.executors.processes import Processes
from memento.testing.executor_contract import ExecutorContract
from tests.executors.toy_engine import Toy


class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("processes")

    def take_place_away(self, executor: Executor) -> None:
        assert isinstance(executor, Processes)
        server = executor.server_pid
        assert server  # 0 would be all of us
        os.kill(server, signal.SIGKILL)


@pytest.mark.slow  # a Python for every batch
class TestToy(ExecutorContract):
    program = "from tests.executors.toy_engine import Toy\nexecutor = Toy()"

    @pytest.fixture
    def executor(self) -> Executor:
        return Toy()

    def take_place_away(self, executor: Executor) -> None:
        assert isinstance(executor, Toy)
        number = next(iter(executor.processes))
        executor.processes[number].terminate()


class TestThreads(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("threads")


class TestSerial(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("serial")


class TestThreadPool(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        with ThreadPoolExecutor(2) as pool:
            yield make_executor(pool)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    import multiprocessing

    # Fresh processes: copies of the test session would be copies of its threads too. One pool serves all runs, as a
    # user's own pool does.
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


class TestProcessPool(ExecutorContract):
    @pytest.fixture
    def executor(self, pool: ProcessPoolExecutor) -> Executor:
        return make_executor(pool)
