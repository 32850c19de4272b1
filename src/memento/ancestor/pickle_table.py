"""A table of pickled values by key in an SQLite file: what 1.2.0's caches and checkpoints are made of.

Knows: SQLite, pickles. May not know: stores, experiments.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0  # seconds to wait for another process that writes


class PickleTable:
    """Pickled values by key; safe to use from several processes, and to send to them.

    Parameters
    ----------
    connection : sqlite3.Connection or None
        Used as it is and never closed; otherwise each call opens the file.
    filepath : path or None
        The database; a new temporary file where it is None.
    table : str
        Name of the table.
    suffix : str
        How the temporary file's name ends.
    """

    def __init__(
        self,
        connection: sqlite3.Connection | None,
        filepath: str | os.PathLike[str] | None,
        table: str,
        suffix: str,
    ) -> None:
        self.connection = connection
        if filepath is None and connection is None:
            handle, filepath = tempfile.mkstemp(suffix=suffix)
            os.close(handle)
        self.filepath = os.path.abspath(filepath or "")
        self._entered: list[AbstractContextManager[sqlite3.Connection]] = []
        # A name cannot be bound: it is quoted, with its quotes doubled.
        self._table = '"' + table.replace('"', '""') + '"'
        with self._open() as database:
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (key BINARY PRIMARY KEY,"
                " ts REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5)*86400.0),"
                " value BLOB NOT NULL) WITHOUT ROWID"
            )
            database.commit()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if self.connection is not None:
            yield self.connection
            return
        database = sqlite3.connect(self.filepath, timeout=_TIMEOUT)
        try:
            yield database
        finally:
            database.close()

    def enter(self) -> sqlite3.Connection:
        """Give out the database itself; `leave` closes what was opened for it."""
        opened = self._open()
        connection = opened.__enter__()
        self._entered.append(opened)
        return connection

    def leave(self) -> None:
        """Close what the last `enter` opened."""
        self._entered.pop().__exit__(None, None, None)

    def get(self, key: Any) -> Any:
        """Return a value; KeyError where there is none."""
        import cloudpickle

        with self._open() as database:
            rows = database.execute(f"SELECT value FROM {self._table} WHERE key = ?", (key,)).fetchall()
        if not rows:
            raise KeyError(f"Key {key!r} is not in {self}")
        value = rows[0][0]
        # 1.2.0 kept the name of a pickle file here, relative to the folder that it was run in.
        return cloudpickle.loads(self._old_file(value).read_bytes() if isinstance(value, str) else value)

    def set(self, key: Any, item: Any) -> None:
        """Keep a value."""
        import cloudpickle

        with self._open() as database:
            database.execute(
                f"INSERT OR REPLACE INTO {self._table}(key,value) VALUES(?,?)", (key, cloudpickle.dumps(item))
            )
            database.commit()

    def remove(self, key: Any) -> None:
        """Forget a value, if there is one."""
        with self._open() as database:
            database.execute(f"DELETE FROM {self._table} WHERE key = ?", (key,))
            database.commit()

    def contains(self, key: Any) -> bool:
        """Say whether there is a value."""
        with self._open() as database:
            return bool(database.execute(f"SELECT value FROM {self._table} WHERE key = ?", (key,)).fetchall())

    def _old_file(self, name: str) -> Path:
        beside = Path(self.filepath).parent / name
        return beside if beside.exists() else Path(name)

    def __str__(self) -> str:
        return str(self.connection or self.filepath)
