"""Report what failed and what warned: by cause, each group with what its tasks have in common.

Knows: selections, groups. May not know: how failures and warnings were kept, who reads the report.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

from memento.events import FailureGroup, WarningGroup
from memento.records import MEMORY, RAISED, TIMEOUT, Failure
from memento.results.grouping import Cause, FailureGrouper, cause
from memento.results.rules import RuleFinder
from memento.results.scan import CHUNK, IS_DONE, IS_FAILED, IS_MISSING
from memento.wording import cause_line, number_of, safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.result import Result
    from memento.results.selection import Selection
    from memento.store.store import Store

_TRACE_LINES = 40  # lines of a traceback that a report shows
_OUTPUT_LINES = 10  # lines of a task's output that a report shows
_FULL_GROUPS = 10  # groups of failures that are shown with a traceback; the others have one line
_FAILURES = 100  # groups that a report names
_WARNINGS = 50
_FAILURE_RULES = 50  # groups for which a rule is looked for
_WARNING_RULES = 10

G = TypeVar("G", FailureGroup, WarningGroup)


class _Report(Sequence[G]):
    """Groups, the largest first; prints as a report."""

    def __init__(self, groups: Sequence[G]) -> None:
        self.groups: tuple[G, ...] = tuple(groups)

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[G]:
        return iter(self.groups)

    @overload
    def __getitem__(self, index: int) -> G: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[G, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.groups[index]

    def __repr__(self) -> str:
        return str(self)


class FailureReport(_Report[FailureGroup]):
    """Failures grouped by cause, largest group first; `results` are the failed tasks. Prints as a report."""

    def __init__(
        self,
        groups: Sequence[FailureGroup],
        attempts: Sequence[int],
        results: Sequence[Result],
        tasks: int,
        succeeded: int,
        store: Store | None = None,
    ) -> None:
        super().__init__(groups)
        self.results: Any = results  # what `Results.filter` and the like return
        self._attempts, self._store = attempts, store  # of each group's first failure
        self._tasks, self._succeeded = tasks, succeeded

    @property
    def headline(self) -> str:
        """How many failed, of how many, from how many causes."""
        if not self.groups:
            return "No task failed."
        failed = sum(group.count for group in self.groups)
        causes = "one cause" if len(self.groups) == 1 else f"{len(self.groups)} causes"
        are = "is" if self._succeeded == 1 else "are"
        kept = f"; {self._succeeded:,} succeeded and {are} kept" if self._succeeded else ""
        return f"{failed:,} of {number_of(self._tasks, 'task')} failed, from {causes}{kept}."

    def __str__(self) -> str:
        option = store_option(str(self._store.location)) if self._store is not None else ""
        first = zip(self.groups[:_FULL_GROUPS], self._attempts, strict=False)
        parts = [self.headline, *(_section(group, attempt, option) for group, attempt in first)]
        rest = [_line(group) for group in self.groups[_FULL_GROUPS:_FAILURES]]
        more = self.groups[_FAILURES:]
        if more:
            tasks = number_of(sum(group.count for group in more), "task")
            rest.append(f"{tasks}: {len(more):,} other causes")
        if rest:
            parts.append("\n".join(rest))
        return safe_text("\n\n".join(parts))

    def _repr_html_(self) -> str:
        from memento.results.show import failures_html

        return failures_html(self.headline, [(group, _line(group)) for group in self.groups])


class WarningReport(_Report[WarningGroup]):
    """Warnings grouped by what they say and where, the most frequent first; prints as a report."""

    def __str__(self) -> str:
        lines = []
        for group in self.groups[:_WARNINGS]:
            lines.append(cause_line(group.count, group.title, group.rule, " warned"))
            times = f", {group.times:,} times" if group.times > group.count else ""
            lines.append(f"    first: {group.config} (key {group.key[:12]}){times}")
        if len(self.groups) > _WARNINGS:
            lines.append(f"and {number_of(len(self.groups) - _WARNINGS, 'other warning')}")
        return safe_text("\n".join(lines) or "No task warned.")


def store_option(store: str) -> str:
    """Return what `memento show` must be told to find a store from here; "" where it finds it alone."""
    from memento.store.location import find_store

    try:
        own = str(find_store())
        if own == store or ("://" not in own + store and os.path.realpath(own) == os.path.realpath(store)):
            return ""
    # The folder that this process is in was removed; the environment names none.
    except (OSError, ValueError):
        pass
    import shlex

    return f" --store {shlex.quote(store)}"


def _line(group: FailureGroup) -> str:
    return cause_line(group.count, group.title, group.rule)


def _section(group: FailureGroup, attempt: int, option: str) -> str:
    which = "" if group.count == 1 else "first: "
    lines = [f"{which}{group.config}", f"key {group.key[:12]}, attempt {attempt}"]
    if group.different > 1:
        lines.insert(0, f"{group.different:,} different messages, such as {'; '.join(group.messages)}")
    lines += _middle_cut(group.traceback.rstrip().splitlines(), _TRACE_LINES)
    output = group.output.rstrip().splitlines()
    if output and not group.traceback:
        lines += ["its last lines of output:", *(f"| {line}" for line in output[-_OUTPUT_LINES:])]
    lines.append(f"more: memento show {group.key[:12]}{option}")
    if group.kind == MEMORY:
        lines.append(f"again, with more memory: memento retry --failed --memory-limit SIZE{option}")
    if group.kind == TIMEOUT:
        lines.append(f"again, with more time: memento retry --failed --timeout TIME{option}")
    return "\n".join([_line(group), *(f"    {line}" for line in lines)])


def _middle_cut(lines: list[str], limit: int) -> list[str]:
    """Keep the start and, mostly, the end: a deep recursion says the same thing a thousand times."""
    if len(lines) <= limit:
        return lines
    head = limit // 4
    tail = limit - head - 1
    return [*lines[:head], f"  ... {len(lines) - head - tail} lines left out ...", *lines[-tail:]]


def failure_report(selection: Selection, results: Sequence[Result], failed: Sequence[int]) -> FailureReport:
    """Group the failures of the tasks at these places of a selection; `results` are the same tasks."""
    grouper = FailureGrouper()
    places_of: dict[str, list[int]] = {}  # two tasks may have one key
    for start in range(0, len(failed), CHUNK):
        part = failed[start : start + CHUNK]
        records = selection.source.records([selection.places[place] for place in part])
        for place, record in zip(part, records, strict=True):
            if record is None or record.failure is None:  # another run has computed it since
                continue
            key = record.key.hex()
            places_of.setdefault(key, []).append(place)
            grouper.collect(key, record.failure, record.attempt)
    done = selection.status == IS_DONE
    # Without any success, failures are told from the other failures.
    contrast = ("success", "successes") if done.any() else ("other failure", "other failures")
    others = done if done.any() else selection.status == IS_FAILED
    rules = _Rules(selection, places_of, others, contrast, _FAILURE_RULES)
    found = grouper.by_cause()
    # Only a group's first is named: to name the configurations of 100,000 failures would take seconds.
    groups = [
        group._replace(config=selection.named(places_of[group.key][0]), rule=rules.of(group.keys))
        for _, _, group in found
    ]
    attempts, store = [attempt for _, attempt, _ in found], selection.source.store
    return FailureReport(groups, attempts, results, len(selection), int(done.sum()), store)


def warning_report(selection: Selection) -> WarningReport:
    """Group the warnings of tasks."""
    rows = selection.rows
    there = rows[rows >= 0]
    warned = selection.source.store.index.warnings(int(there.min()), int(there.max())) if len(there) else {}
    grouper = FailureGrouper()
    times: Counter[Cause] = Counter()
    places_of: dict[str, list[int]] = {}
    for place, row in enumerate(rows.tolist() if warned else []):
        if row not in warned:
            continue
        key = selection.source.key(selection.places[place]).hex()
        places_of.setdefault(key, []).append(place)
        seen = set()
        for warning in warned[row]:
            # A failure that is told and grouped as the warning is to be.
            told = Failure(RAISED, warning.category, warning.message, "", warning.place, None, "")
            which = cause(told)
            times[which] += warning.count
            if which not in seen:
                seen.add(which)
                grouper.collect(key, told, 1)
    if not places_of:
        return WarningReport(())
    ran = selection.status != IS_MISSING
    rules = _Rules(selection, places_of, ran, ("other task", "other tasks"), _WARNING_RULES)
    groups = []
    for which, _, group in grouper.by_cause():
        first, rule = selection.named(places_of[group.key][0]), rules.of(group.keys)
        groups.append(
            WarningGroup(group.title, group.count, times[which], first, group.key, rule, group.keys)
        )
    return WarningReport(groups)


class _Rules:
    """Says what the tasks of some keys have in common against all `others`; of the first `left` groups."""

    def __init__(
        self,
        selection: Selection,
        places_of: Mapping[str, Sequence[int]],
        others: NDArray[np.bool_],
        contrast: tuple[str, str],
        left: int,
    ) -> None:
        self._selection, self._places_of = selection, places_of
        self._others, self._contrast, self._left = others, contrast, left

    def of(self, keys: Sequence[str]) -> str:
        """Return the rule for the tasks with these keys; "" where nothing tells."""
        import numpy as np

        self._left -= 1
        if self._left < 0:
            return ""
        group = np.array([place for key in dict.fromkeys(keys) for place in self._places_of[key]])
        finder = self._finder
        if self._others[group].any():
            others = self._others.copy()
            others[group] = False
            finder = RuleFinder(self._finder.axes, others, self._contrast)
        return str(finder.rule(group) or "")

    @cached_property
    def _finder(self) -> RuleFinder:
        # A parameter of an upstream task says more than the task's key.
        shown = {*self._selection.tasks.shown, "repeat"}
        axes = sorted(self._selection.axes(with_repeat=True), key=lambda axis: axis.name not in shown)
        return RuleFinder(axes, self._others, self._contrast)
