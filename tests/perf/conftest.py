"""What the tests of this folder count."""

from __future__ import annotations

import sqlite3

import pytest

from memento.index.sqlite.database import Database


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that SQLite carries out, a row of `executemany` counting as one."""
    seen: list[str] = []
    opened = Database._open

    def traced(self: Database) -> sqlite3.Connection:
        connection = opened(self)
        connection.set_trace_callback(lambda text: seen.append(" ".join(text.split())))
        return connection

    monkeypatch.setattr(Database, "_open", traced)
    return seen
