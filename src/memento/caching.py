"""Cache the calls of any function, and keep checkpoints in a file, as in 1.2.0.

Knows: pickles, SQLite files. May not know: experiments, stores.

An experiment's results and checkpoints are kept by its store, not here; its keys are better too (see `memento.keys`).
"""

from __future__ import annotations

import functools
import os
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0  # seconds to wait for another process that writes


def default_key_provider(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Make a key from a function and its arguments: their cloudpickle bytes.

    Parameters
    ----------
    func : callable
        The function.
    *args, **kwargs
        What it is called with.

    Returns
    -------
    bytes
        Equal for equal calls in one process.

    Examples
    --------
    >>> default_key_provider(max, 1, 2) == default_key_provider(max, 1, 2)
    True
    """
    import cloudpickle

    return cloudpickle.dumps({"function": func, "args": args, "kwargs": kwargs})


class CacheProvider(ABC):
    """Where a `Cache` keeps values; subclass it for a place of your own."""

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)

    def __setitem__(self, key: Any, item: Any) -> None:
        self.set(key, item)

    def __contains__(self, key: Any) -> bool:
        return self.contains(key)

    @abstractmethod
    def __str__(self) -> str:
        """Name the cache for people."""

    @abstractmethod
    def get(self, key: Any) -> Any:
        """Return the value of `key`; KeyError where there is none."""

    @abstractmethod
    def set(self, key: Any, item: Any) -> None:
        """Keep `item` under `key`."""

    @abstractmethod
    def contains(self, key: Any) -> bool:
        """Say whether there is a value of `key`."""

    @abstractmethod
    def make_key(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the key of a call."""


class MemoryCacheProvider(CacheProvider):
    """Keeps values in memory.

    Parameters
    ----------
    initial_cache : dict, optional
        What it holds at first.
    key_provider : callable, optional
        Makes keys; `default_key_provider` by default.

    Examples
    --------
    >>> cache = MemoryCacheProvider()
    >>> cache["a"] = False
    >>> "a" in cache, cache["a"]
    (True, False)
    """

    def __init__(
        self, initial_cache: dict[Any, Any] | None = None, key_provider: Callable[..., Any] | None = None
    ) -> None:
        self._cache = initial_cache or {}
        self._key_provider = key_provider or default_key_provider

    def __str__(self) -> str:
        return str(self._cache)

    def get(self, key: Any) -> Any:
        return self._cache[key]

    def set(self, key: Any, item: Any) -> None:
        self._cache[key] = item

    def contains(self, key: Any) -> bool:
        return key in self._cache

    def make_key(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._key_provider(func, *args, **kwargs)


class _PickleTable:
    """Pickled values by key in an SQLite file; safe to use from several processes, and to send to them."""

    def __init__(
        self,
        connection: sqlite3.Connection | None,
        filepath: str | os.PathLike[str] | None,
        table: str,
        suffix: str,
    ) -> None:
        self._connection = connection  # used as it is and never closed; without it, each call opens the file
        if filepath is None and connection is None:
            handle, filepath = tempfile.mkstemp(suffix=suffix)
            os.close(handle)
        self._filepath = os.path.abspath(filepath or "")
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
        if self._connection is not None:
            yield self._connection
            return
        database = sqlite3.connect(self._filepath, timeout=_TIMEOUT)
        try:
            yield database
        finally:
            database.close()

    def __enter__(self) -> sqlite3.Connection:
        """Give the database itself, for SQL of one's own: ``with provider as database``."""
        opened = self._open()
        connection = opened.__enter__()
        self._entered.append(opened)
        return connection

    def __exit__(self, *error: object) -> None:
        self._entered.pop().__exit__(None, None, None)

    def _rows(self, key: Any) -> list[Any]:
        with self._open() as database:
            return database.execute(f"SELECT value FROM {self._table} WHERE key = ?", (key,)).fetchall()

    def get(self, key: Any) -> Any:
        """Return the value of `key`; KeyError where there is none."""
        import cloudpickle

        rows = self._rows(key)
        if not rows:
            raise KeyError(f"Key {key!r} is not in {self._place()}")
        value = rows[0][0]
        if isinstance(value, str):
            # 1.2.0 kept the name of a pickle file here, relative to the folder that it was run in.
            beside = Path(self._filepath).parent / value
            value = (beside if beside.exists() else Path(value)).read_bytes()
        return cloudpickle.loads(value)

    def set(self, key: Any, item: Any) -> None:
        """Keep `item` under `key`."""
        import cloudpickle

        with self._open() as database:
            database.execute(
                f"INSERT OR REPLACE INTO {self._table}(key,value) VALUES(?,?)", (key, cloudpickle.dumps(item))
            )
            database.commit()

    def contains(self, key: Any) -> bool:
        """Say whether there is a value of `key`."""
        return bool(self._rows(key))

    def _place(self) -> str:
        return str(self._connection or self._filepath)


class FileSystemCacheProvider(_PickleTable, CacheProvider):
    """Keeps values in an SQLite file, which several processes may share.

    Parameters
    ----------
    connection : sqlite3.Connection, optional
        Used instead of a file of its own; then it cannot be sent to other processes.
    filepath : path, optional
        The file; a new temporary one by default.
    key_provider : callable, optional
        Makes keys; `default_key_provider` by default.
    table_name : str, optional
        Name of the table; ``"cache"`` by default.

    Examples
    --------
    >>> cache = FileSystemCacheProvider(filepath="calls.sqlite")
    >>> cache.set("a", [1, 2])
    >>> cache.get("a")
    [1, 2]
    """

    def __init__(
        self,
        connection: sqlite3.Connection | None = None,
        filepath: str | os.PathLike[str] | None = None,
        key_provider: Callable[..., Any] | None = None,
        table_name: str | None = None,
    ) -> None:
        super().__init__(connection, filepath, table_name or "cache", "_memento.cache")
        self._key_provider = key_provider or default_key_provider

    def __str__(self) -> str:
        return f"Filesystem cache, using {self._place()}"

    def make_key(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._key_provider(func, *args, **kwargs)


class Cache:
    """Remembers what a function returned; also a decorator.

    Parameters
    ----------
    func : callable
        The function.
    cache_provider : CacheProvider, optional
        Where values are kept; a `FileSystemCacheProvider` by default.

    Examples
    --------
    >>> @Cache
    ... def square(x):
    ...     print("computing")
    ...     return x * x
    >>> square(3), square(3)
    computing
    (9, 9)
    """

    def __init__(self, func: Callable[..., Any], cache_provider: CacheProvider | None = None) -> None:
        self._func = func
        self._cache_provider = FileSystemCacheProvider() if cache_provider is None else cache_provider
        functools.update_wrapper(self, func, updated=())

    def __call__(self, *args: Any, force_cache: bool = False, force_run: bool = False, **kwargs: Any) -> Any:
        """Call the function, or return what it returned before.

        Parameters
        ----------
        *args, **kwargs
            For the function.
        force_cache : bool
            Compute nothing; KeyError where there is no value.
        force_run : bool
            Compute it again.
        """
        key = self._cache_provider.make_key(self._func, *args, **kwargs)
        if not force_run:
            try:
                return self._cache_provider.get(key)
            except KeyError:
                if force_cache:
                    raise
        elif force_cache:
            raise KeyError("cache ignored due to force_run")
        value = self._func(*args, **kwargs)
        self._cache_provider.set(key, value)
        return value

    def __str__(self) -> str:
        return f"Cached function object: func: {self._func}, cache: {self._cache_provider}"


class FileSystemCheckpointing(_PickleTable):
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
        super().__init__(connection, filepath, "checkpoint_table", "_memento.checkpoint")
        self.key = key or default_key_provider

    def __str__(self) -> str:
        return f"Filesystem checkpoint, using {self._place()}"

    def get(self, key: Any) -> Any:
        """Return a checkpoint, one value as itself; KeyError where there is none."""
        item = super().get(key)
        return item[0] if isinstance(item, tuple) and len(item) == 1 else item

    def remove(self, key: Any) -> None:
        """Forget a checkpoint, if there is one."""
        with self._open() as database:
            database.execute(f"DELETE FROM {self._table} WHERE key = ?", (key,))
            database.commit()

    def make_key(self, *args: Any, **kwargs: Any) -> Any:
        """Make the key of a call."""
        return self.key(*args, **kwargs)
