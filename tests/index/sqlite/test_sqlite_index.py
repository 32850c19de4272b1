"""The index in an SQLite file keeps what every index promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import NotAStore
from memento.index.sqlite.database import Connection, Database
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.layout import INDEX
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


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("before", ["PRAGMA application_id", "PRAGMA user_version", "SELECT count(*)"])
def test_tables_that_another_process_makes_while_it_opens_do_not_make_it_foreign(
    create: bool, nth: int, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement of the first look may find the file as it was before the other's commit, or after it."""
    (tmp_path / INDEX).touch()
    connect = Database.connection
    seen: list[str] = []

    def watched(database: Database) -> Connection:
        connection = connect(database)
        connection.set_trace_callback(make)
        return connection

    def make(statement: str) -> None:
        if not statement.startswith(before):
            return
        seen.append(statement)
        if len(seen) == nth:
            with monkeypatch.context() as own:
                own.setattr(Database, "connection", connect)
                SqliteIndex.open(str(tmp_path), create=True, readonly=False, clock=SYSTEM_CLOCK).close()

    monkeypatch.setattr(Database, "connection", watched)
    try:
        SqliteIndex.open(str(tmp_path), create=create, readonly=False, clock=SYSTEM_CLOCK).close()
    except NotAStore as error:
        assert "the index is empty" in str(error)  # noqa: PT017 - whether it is raised depends on the moment
        assert not create
    assert len(seen) >= nth or before == "SELECT count(*)"  # which the first look does without
