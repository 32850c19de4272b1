"""What came out: results by task, as frames, by group, and why some failed.

Names are imported on first use: a run without failures looks for no rules about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.results.grouping import FailureGrouper
    from memento.results.loading import load
    from memento.results.result import MemoryUsage, Result
    from memento.results.results import Results

__all__ = ["FailureGrouper", "MemoryUsage", "Result", "Results", "load"]

_HOMES = {
    "FailureGrouper": "memento.results.grouping",
    "MemoryUsage": "memento.results.result",
    "Result": "memento.results.result",
    "Results": "memento.results.results",
    "load": "memento.results.loading",
}

__getattr__ = on_first_use(__name__, _HOMES)
