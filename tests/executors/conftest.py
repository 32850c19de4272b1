"""What the tests of worker processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memento.executors.processes import Processes
from memento.testing.driving import Drive

# By the executor's contract each does it; in the fast tests worker processes alone.
LARGE = "test_a_result_of_a_hundred_megabytes_comes_back_whole"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name == LARGE and "TestProcesses" not in item.nodeid:
            item.add_marker("slow")


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    store = tmp_path / "store"
    (store / "payloads").mkdir(parents=True)
    drive = Drive(Processes(), store)
    yield drive
    drive.executor.close()
