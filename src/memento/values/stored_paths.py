"""Paths into a store, in values: kept relative to it, so that they follow the store wherever it is moved or mounted.

Knows: paths, a store's folder. May not know: what stands there, how values are stored.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any


def reduce_path(obj: Any, store: str) -> Any:
    """Pickle a path into the store's folder, as `Pickler.reducer_override` has it; anything else as it is."""
    kind = type(obj)
    # `pathlib` is not imported to find out. The module of a function of Cython's is no text.
    if str(kind.__module__).partition(".")[0] != "pathlib" or not store or "Path" not in kind.__name__:
        return NotImplemented
    path = os.fspath(obj)
    for root in _spellings(store):
        if path == root or path.startswith(root + os.sep):
            parts = path[len(root) + 1 :].split(os.sep)
            if os.pardir not in parts:  # that may lead out of it
                return path_in_store, (kind.__name__.startswith("Pure"), *parts)
    return NotImplemented


@lru_cache(16)
def _spellings(store: str) -> tuple[str, ...]:
    """Return how a store's folder may be spelled: as it was given, and without links."""
    return tuple({os.path.abspath(store): None, os.path.realpath(store): None})


def path_in_store(pure: bool, *parts: str, store: str = "") -> Any:
    """Make a path again; who reads a store's values says where it is now, and elsewhere the path stays relative."""
    import pathlib

    return (pathlib.PurePath if pure else pathlib.Path)(store, *parts)
