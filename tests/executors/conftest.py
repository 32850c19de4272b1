"""What the tests of worker processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memento.executors.processes import Processes
from memento.testing.driving import Drive


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    store = tmp_path / "store"
    (store / "payloads").mkdir(parents=True)
    drive = Drive(Processes(), store)
    yield drive
    drive.executor.close()
