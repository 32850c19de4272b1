"""What came out: results by task, as frames, by group, and why some failed."""

from __future__ import annotations

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
