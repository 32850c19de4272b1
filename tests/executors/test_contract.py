"""Every executor keeps the promises of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from memento.executors import Executor, make_executor
from memento.testing.executors import ExecutorContract


class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return make_executor("processes")


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


class TestProcessPool(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        import multiprocessing

        # A fresh process each: a copy of the test session would be a copy of its threads too.
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield make_executor(pool)
