"""Conformance suites: what every store and every executor must do, as tests to subclass.

Knows: the contracts. May not know: any implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.testing.driving import Drive
    from memento.testing.executors import ExecutorContract

__all__ = ["Drive", "ExecutorContract"]

# Each needs pytest.
_HOMES = {"Drive": "memento.testing.driving", "ExecutorContract": "memento.testing.executors"}

__getattr__ = on_first_use(__name__, _HOMES)
