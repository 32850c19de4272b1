"""Cache the calls of any function, as in 1.2.0: `Cache` and where it keeps values.

Knows: pickles, SQLite files. May not know: experiments, stores.

An experiment's results are kept by the store, not here; its keys are better too (see `memento.keys`).
"""

from __future__ import annotations

import functools
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from memento.ancestor.pickle_table import PickleTable

_NOTHING = object()


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
        """Return the value of `key`; KeyError where there is none."""
        return self._cache[key]

    def set(self, key: Any, item: Any) -> None:
        """Keep `item` under `key`."""
        self._cache[key] = item

    def contains(self, key: Any) -> bool:
        """Say whether there is a value of `key`."""
        return self._cache.get(key, _NOTHING) is not _NOTHING

    def make_key(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the key of a call."""
        return self._key_provider(func, *args, **kwargs)


class FileSystemCacheProvider(CacheProvider):
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
        self._values = PickleTable(connection, filepath, table_name or "cache", "_memento.cache")
        self._key_provider = key_provider or default_key_provider

    def __enter__(self) -> sqlite3.Connection:
        """Give the database itself, for SQL of one's own: ``with provider as database``."""
        return self._values.enter()

    def __exit__(self, *error: object) -> None:
        self._values.leave()

    def __str__(self) -> str:
        return f"Filesystem cache, using {self._values}"

    def get(self, key: Any) -> Any:
        """Return the value of `key`; KeyError where there is none."""
        return self._values.get(key)

    def set(self, key: Any, item: Any) -> None:
        """Keep `item` under `key`."""
        self._values.set(key, item)

    def contains(self, key: Any) -> bool:
        """Say whether there is a value of `key`."""
        return self._values.contains(key)

    def make_key(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the key of a call."""
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
