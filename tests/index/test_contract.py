"""An index in memory keeps what every index promises, in at most 700 lines."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from memento.clock import SYSTEM_CLOCK, Clock
from memento.testing.index_contract import IndexContract, Opener
from tests.index import memory_index
from tests.index.memory_index import MemoryIndex


class TestInMemory(IndexContract):
    @pytest.fixture
    def open_index(self, tmp_path: Path) -> Opener:
        def opened(*, readonly: bool = False, clock: Clock = SYSTEM_CLOCK) -> MemoryIndex:
            return MemoryIndex.open(str(tmp_path), create=not readonly, readonly=readonly, clock=clock)

        return opened


def test_another_index_is_no_more_than_this() -> None:
    assert len(inspect.getsource(memory_index).splitlines()) <= 700
