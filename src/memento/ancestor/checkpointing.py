"""Checkpoints in an SQLite file, as in 1.2.0; experiments have the store's own.

Knows: pickles, SQLite files. May not know: experiments, stores.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

from memento.ancestor.caching import default_key_provider
from memento.ancestor.pickle_table import PickleTable


class FileSystemCheckpointing:
    """Keeps checkpoints by key; a provider for a `Context` of your own.

    Parameters
    ----------
    filepath : path, optional
        The file; a new temporary one by default.
    key : callable, optional
        Makes keys; `default_key_provider` by default.
    connection : sqlite3.Connection, optional
        Used instead of a file of its own.

    Examples
    --------
    >>> checkpoints = FileSystemCheckpointing("checkpoints.sqlite")
    >>> checkpoints.set("task", (1, 2))
    >>> checkpoints.get("task")
    (1, 2)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str] | None = None,
        key: Callable[..., Any] | None = None,
        connection: sqlite3.Connection | None = None,
    ) -> None:
        self._values = PickleTable(connection, filepath, "checkpoint_table", "_memento.checkpoint")
        self.key = key or default_key_provider

    def __enter__(self) -> sqlite3.Connection:
        """Give the database itself, for SQL of one's own: ``with provider as database``."""
        return self._values.enter()

    def __exit__(self, *error: object) -> None:
        self._values.leave()

    def __str__(self) -> str:
        return f"Filesystem checkpoint, using {self._values}"

    def get(self, key: Any) -> Any:
        """Return a checkpoint, one value as itself; KeyError where there is none."""
        item = self._values.get(key)
        return item[0] if isinstance(item, tuple) and len(item) == 1 else item

    def set(self, key: Any, item: Any) -> None:
        """Keep a checkpoint: a tuple of values."""
        self._values.set(key, item)

    def remove(self, key: Any) -> None:
        """Forget a checkpoint."""
        self._values.remove(key)

    def contains(self, key: Any) -> bool:
        """Say whether there is a checkpoint."""
        return self._values.contains(key)

    def make_key(self, *args: Any, **kwargs: Any) -> Any:
        """Make the key of a call."""
        return self.key(*args, **kwargs)
