"""The module of this name in 1.2.0, for scripts that import from it; everything stands in `memento`."""

from __future__ import annotations

from memento.ancestor.parallel import (
    TASK_PRIORITY_HIGH,
    TASK_PRIORITY_LOW,
    TASK_PRIORITY_MEDIUM,
    TaskManager,
    delayed,
)

__all__ = [
    "TASK_PRIORITY_HIGH",
    "TASK_PRIORITY_LOW",
    "TASK_PRIORITY_MEDIUM",
    "TaskManager",
    "delayed",
]
