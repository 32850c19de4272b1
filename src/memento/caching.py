"""The module of this name in 1.2.0, for scripts that import from it; everything stands in `memento`."""

from __future__ import annotations

from memento.ancestor.caching import (
    Cache,
    CacheProvider,
    FileSystemCacheProvider,
    MemoryCacheProvider,
    default_key_provider,
)

__all__ = [
    "Cache",
    "CacheProvider",
    "FileSystemCacheProvider",
    "MemoryCacheProvider",
    "default_key_provider",
]
