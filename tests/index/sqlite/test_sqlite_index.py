"""The index in an SQLite file keeps what every index promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.clock import SYSTEM_CLOCK, Clock
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.testing.index_contract import IndexContract, Opener

HOSTILE = 'a store\'s "folder"\n?#%20 é'


class TestContract(IndexContract):
    @pytest.fixture
    def open_index(self, tmp_path: Path) -> Opener:
        folder = tmp_path / HOSTILE
        folder.mkdir()

        def opened(*, readonly: bool = False, clock: Clock = SYSTEM_CLOCK) -> SqliteIndex:
            return SqliteIndex.open(str(folder), create=not readonly, readonly=readonly, clock=clock)

        return opened
