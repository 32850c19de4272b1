"""What came out: results by task, as frames, by group, and why some failed.

Names are imported on first use: a run without failures looks for no rules about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.lazily import on_first_use

if TYPE_CHECKING:
    from memento.results.failures import FailureGrouper, FailureReport, one_line
    from memento.results.likeness import normalize
    from memento.results.loading import load
    from memento.results.result import MISSING, MemoryUsage, Result
    from memento.results.results import Results, failure_report
    from memento.results.rules import Rule, RuleFinder, shortest_rule

__all__ = [
    "MISSING",
    "FailureGrouper",
    "FailureReport",
    "MemoryUsage",
    "Result",
    "Results",
    "Rule",
    "RuleFinder",
    "failure_report",
    "load",
    "normalize",
    "one_line",
    "shortest_rule",
]

_HOMES = {
    "MISSING": "memento.results.result",
    "FailureGrouper": "memento.results.failures",
    "FailureReport": "memento.results.failures",
    "MemoryUsage": "memento.results.result",
    "Result": "memento.results.result",
    "Results": "memento.results.results",
    "Rule": "memento.results.rules",
    "RuleFinder": "memento.results.rules",
    "failure_report": "memento.results.results",
    "load": "memento.results.loading",
    "normalize": "memento.results.likeness",
    "one_line": "memento.results.failures",
    "shortest_rule": "memento.results.rules",
}

__getattr__ = on_first_use(__name__, _HOMES)
