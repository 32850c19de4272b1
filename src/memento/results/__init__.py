"""What came out: results by task, as frames, by group, and why some failed.

Names are imported on first use: a run without failures looks for no rules about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memento.results.failures import FailureGrouper, FailureReport, normalize, one_line
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
    "normalize": "memento.results.failures",
    "one_line": "memento.results.failures",
    "shortest_rule": "memento.results.rules",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(home), name)
    return found
