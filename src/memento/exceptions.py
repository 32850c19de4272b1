"""The module of this name in 1.2.0, for scripts that import from it; everything stands in `memento`."""

from __future__ import annotations

from memento.errors import AggregateException, CacheMiss, CyclicDependency

__all__ = [
    "AggregateException",
    "CacheMiss",
    "CyclicDependency",
]
