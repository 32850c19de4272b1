"""Sum up what tasks warned of, as failures are: by cause, with what the tasks have in common.

Knows: results, groups. May not know: how warnings were kept, who reads the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from memento.events import WarningGroup
from memento.records import RAISED, Failure, Warned
from memento.results.failures import Cause, FailureGrouper, cause
from memento.results.reading import IS_MISSING
from memento.wording import number_of, safe_text

if TYPE_CHECKING:
    from memento.results.results import Results

_GROUPS = 50  # that a report shows
_RULES = 10  # groups of which it is said what they have in common


class WarningReport(Sequence[WarningGroup]):
    """Warnings grouped by what they say and where, the most frequent first; prints as a report."""

    def __init__(self, groups: Sequence[WarningGroup]) -> None:
        self.groups = tuple(groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[WarningGroup]:
        return iter(self.groups)

    def __getitem__(self, index: Any) -> Any:
        return self.groups[index]

    def __str__(self) -> str:
        lines = []
        for group in self.groups[:_GROUPS]:
            lines.append(warning_line(group))
            times = f", {group.times:,} times" if group.times > group.count else ""
            lines.append(f"    first: {group.config} (key {group.key[:12]}){times}")
        if len(self.groups) > _GROUPS:
            lines.append(f"and {number_of(len(self.groups) - _GROUPS, 'other warning')}")
        return safe_text("\n".join(lines) or "No task warned.")

    def __repr__(self) -> str:
        return str(self)


def warning_line(group: WarningGroup) -> str:
    """Return a group as one line.

    Examples
    --------
    >>> warning_line(WarningGroup("UserWarning: odd (exp.py:3)", 4, 9, "n=1", "", "all 4 have n=1"))
    '4 tasks warned: UserWarning: odd (exp.py:3) - all 4 have n=1'
    """
    rule = f" - {group.rule}" if group.rule else ""
    return f"{number_of(group.count, 'task')} warned: {group.title}{rule}"


def warning_report(results: Results) -> WarningReport:
    """Group the warnings of tasks."""
    from memento.results.result import config_text

    rows = results._rows[results._numbers]
    there = rows[rows >= 0]
    warned = results._store.index.warnings(int(there.min()), int(there.max())) if len(there) else {}
    places = [place for place, row in enumerate(rows.tolist()) if row in warned] if warned else []
    if not places:
        return WarningReport(())
    grouper = FailureGrouper()
    times: Counter[Cause] = Counter()
    places_of: dict[str, list[int]] = {}
    for place in places:
        key = results._key(int(results._numbers[place])).hex()
        places_of.setdefault(key, []).append(place)
        seen = set()
        for warning in warned[int(rows[place])]:
            told = _as_failure(warning)
            which = cause(told)
            times[which] += warning.count
            if which not in seen:
                seen.add(which)
                grouper.collect(key, told, 1)
    rule = _ruler(results, places_of)
    groups = []
    for which, group in grouper.by_cause():
        first = config_text(results._config(places_of[group.key][0]))
        title, keys = group.title, group.keys
        groups.append(WarningGroup(title, group.count, times[which], first, group.key, rule(keys), keys))
    return WarningReport(groups)


def _as_failure(warning: Warned) -> Failure:
    """Return a failure that is told and grouped as the warning is to be."""
    return Failure(RAISED, warning.category, warning.message, "", warning.place, None, "")


def _ruler(results: Results, places_of: dict[str, list[int]]) -> Callable[[Sequence[str]], str]:
    """Say what tasks of some keys have in common that no other task has."""
    import numpy as np

    from memento.results.rules import RuleFinder

    axes = results._telling_axes()
    ran = results._status != IS_MISSING
    asked = 0

    def rule(keys: Sequence[str]) -> str:
        nonlocal asked
        asked += 1
        if asked > _RULES:
            return ""
        warned = np.array([place for key in dict.fromkeys(keys) for place in places_of[key]])
        others = ran.copy()
        others[warned] = False
        return str(RuleFinder(axes, others, ("other task", "other tasks")).rule(warned) or "")

    return rule
