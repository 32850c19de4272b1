"""The module of this name in 1.2.0, for scripts that import from it; everything stands in `memento`."""

from __future__ import annotations

from memento.caching import FileSystemCheckpointing
from memento.context.context import Context
from memento.results.result import MemoryUsage, Result

__all__ = [
    "Context",
    "FileSystemCheckpointing",
    "MemoryUsage",
    "Result",
]
