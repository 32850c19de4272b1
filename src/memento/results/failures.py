"""Group failures by their cause, and report each group once.

Knows: failures as records, groups as events. May not know: stores, executors, who reads the report.

Two failures have one cause when kind, exception type, place in the user's code and message agree, the
message without what differs from task to task (see `likeness`). The same at two lines is two causes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from memento.events import FailureGroup
from memento.records import DIED, MEMORY, RAISED, TIMEOUT, UNSAVABLE, Failure
from memento.results.likeness import pieces, shown
from memento.store.location import find_store
from memento.wording import one_line as in_one_line
from memento.wording import safe_text

if TYPE_CHECKING:
    from typing import TypeAlias

    from memento.results.results import Results

_MESSAGE = 2_000  # characters of a message that are looked at
_TITLE = 200  # characters of a message that a title shows
_TRACE_LINES = 40  # lines of a traceback that a report shows
_OUTPUT_LINES = 10  # lines of a task's output that a report shows
_FULL_GROUPS = 10  # groups that a report shows with a traceback; the others have one line
_LISTED_GROUPS = 100  # groups that a report names

_NAMES = {DIED: "WorkerDied", TIMEOUT: "TaskTimeout", MEMORY: "MemoryLimitExceeded"}
_UNSAVABLE_NAME = "UnsavableResult"

_EXAMPLES = 3  # different messages of a group that are kept
_EXAMPLE = 160  # characters of each


Cause: TypeAlias = "tuple[str, str, str, str]"


def cause(failure: Failure) -> Cause:
    """Return what failures of one cause share: kind, type, message without what varies, place."""
    return _cause(failure, _pieces(failure))


def _cause(failure: Failure, parts: Sequence[str]) -> Cause:
    if failure.kind in (TIMEOUT, MEMORY):
        return failure.kind, "", "", ""
    if failure.kind == DIED:
        return failure.kind, failure.type, "", ""
    return failure.kind, failure.type, shown(parts), failure.location


def _pieces(failure: Failure) -> tuple[str, ...]:
    if failure.type == "KeyError":  # its message is the key, whatever that is
        return "", failure.message, ""
    return pieces(failure.message)


def title(failure: Failure, message: str | None = None) -> str:
    """Return one line for a failure: its type, its message, its place.

    Parameters
    ----------
    failure : Failure
        The failure.
    message : str, optional
        What to show in place of the failure's own message.

    Examples
    --------
    >>> title(Failure("raised", "ValueError", "bad shape", "", "experiment.py:24", None, ""))
    'ValueError: bad shape (experiment.py:24)'
    """
    name = _NAMES.get(failure.kind) or failure.type
    if failure.kind == UNSAVABLE and not name:
        name = _UNSAVABLE_NAME
    text = " ".join((failure.message if message is None else message)[:_MESSAGE].split())
    if failure.kind == DIED and failure.type not in (name, "") and failure.type not in text:
        text = f"{failure.type}: {text}" if text else failure.type
    if len(text) > _TITLE:
        text = text[: _TITLE - 1] + "…"
    place = f" ({failure.location})" if failure.location else ""
    return f"{name}: {text}{place}" if text else f"{name}{place}"


class _Group:
    """One cause while failures still come in."""

    def __init__(self, key: str, config: str, failure: Failure, attempt: int, parts: tuple[str, ...]) -> None:
        self.failure, self.attempt, self._parts = failure, attempt, parts
        self.keys = [key]
        # Made once: with 100,000 failures of a group, each asks for it.
        self.event = FailureGroup(
            title(failure), failure.kind, 1, failure.traceback, config, key, "", failure.output, (key,)
        )
        self._messages = {hash(failure.message)}  # the texts themselves may be large
        self._varies: set[int] = set()  # places of pieces that differ from the first failure's

    def add(self, key: str, failure: Failure, parts: tuple[str, ...]) -> None:
        self.keys.append(key)
        mark = hash(failure.message)
        if mark in self._messages or failure.kind not in (RAISED, UNSAVABLE):
            return
        self._messages.add(mark)
        if len(parts) == len(self._parts):
            self._varies.update(i for i in range(1, len(parts), 2) if parts[i] != self._parts[i])
        else:  # one of them has our own mark in its text
            self._varies.update(range(1, len(self._parts), 2))
        if len(self._messages) <= _EXAMPLES:
            known = self.event.messages or (in_one_line(self.failure.message, _EXAMPLE),)
            self.event = self.event._replace(messages=(*known, in_one_line(failure.message, _EXAMPLE)))

    def told(self) -> FailureGroup:
        """Return the group so far, without its keys."""
        different = len(self._messages)
        if different != self.event.different:
            common = shown(self._parts, self._varies)
            if not any(map(str.isalnum, common)):
                common = f"{common} ({different:,} different)"
            self.event = self.event._replace(title=title(self.failure, common), different=different)
        return self.event


class FailureGrouper:
    """Groups failures by cause as they come.

    Examples
    --------
    >>> grouper = FailureGrouper()
    >>> failure = Failure("raised", "ValueError", "bad shape (3, 4)", "", "exp.py:24", None, "")
    >>> group, first = grouper.add("0f", "{'model': 'svc'}", "{}", failure)
    >>> first, group.title
    (True, 'ValueError: bad shape (3, 4) (exp.py:24)')
    >>> grouper.add("1f", "{'model': 'tree'}", "{}", failure._replace(message="bad shape (7, 1)"))[1]
    False
    >>> [(group.count, group.title) for group in grouper.groups()]
    [(2, 'ValueError: bad shape (…) (exp.py:24)')]
    """

    def __init__(self) -> None:
        self._groups: dict[Cause, _Group] = {}

    def add(
        self, key: str, config: str, params: str, failure: Failure, attempt: int = 1
    ) -> tuple[FailureGroup, bool]:
        """Take a failure and return its group so far, and whether it is the group's first.

        Parameters
        ----------
        key : str
            The task's key in hex.
        config : str
            Its configuration in a few words.
        params : str
            Its parameters as readable JSON.
        failure : Failure
            Why it failed.
        attempt : int
            Which attempt this was.

        Returns
        -------
        (FailureGroup, bool)
            The group, whose `keys` names only the first failure; whether this one is the first.
        """
        group = self._take(key, config, failure, attempt)
        if len(group.keys) == 1:
            return group.event, True
        return group.told()._replace(count=len(group.keys)), False

    def collect(self, key: str, failure: Failure, attempt: int) -> None:
        """Take a failure, of which only the groups at the end will be asked; they name no configuration."""
        self._take(key, "", failure, attempt)

    def _take(self, key: str, config: str, failure: Failure, attempt: int) -> _Group:
        parts = _pieces(failure)
        which = _cause(failure, parts)
        group = self._groups.get(which)
        if group is None:
            group = self._groups[which] = _Group(key, config, failure, attempt, parts)
        else:
            group.add(key, failure, parts)
        return group

    def groups(self, rule: Callable[[Sequence[str]], str] | None = None) -> list[FailureGroup]:
        """Return the groups with all their keys, largest first.

        Parameters
        ----------
        rule : callable, optional
            Says what the tasks with these keys have in common.
        """
        groups = [group for _, group in self.by_cause()]
        return [group._replace(rule=rule(group.keys)) for group in groups] if rule else groups

    def by_cause(self) -> list[tuple[Cause, FailureGroup]]:
        """Return the groups with all their keys and what they share, in the order of `groups`."""
        return [
            (which, group.told()._replace(count=len(group.keys), keys=tuple(group.keys)))
            for which, group in self._ordered()
        ]

    def attempts(self) -> list[int]:
        """Return which attempt each group's first failure was, in the order of `groups`."""
        return [group.attempt for _, group in self._ordered()]

    def _ordered(self) -> list[tuple[Cause, _Group]]:
        # Equal counts stay in the order in which they first came.
        return sorted(self._groups.items(), key=lambda item: -len(item[1].keys))


class FailureReport(Sequence[FailureGroup]):
    """Failures grouped by cause, largest group first; prints as a report.

    Parameters
    ----------
    groups : sequence of FailureGroup
        The groups.
    attempts : sequence of int
        Which attempt each group's first failure was.
    results : Results
        The failed tasks.
    tasks, succeeded : int
        How many tasks there are in all, and how many succeeded.
    """

    def __init__(
        self,
        groups: Sequence[FailureGroup],
        attempts: Sequence[int],
        results: Results,
        tasks: int,
        succeeded: int,
    ) -> None:
        self.groups = tuple(groups)
        self.results = results
        self._attempts = tuple(attempts)
        self._tasks, self._succeeded = tasks, succeeded

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[FailureGroup]:
        return iter(self.groups)

    @overload
    def __getitem__(self, index: int) -> FailureGroup: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[FailureGroup, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return self.groups[index]

    @property
    def headline(self) -> str:
        """How many failed, of how many, from how many causes."""
        if not self.groups:
            return "No task failed."
        failed = sum(group.count for group in self.groups)
        causes = "one cause" if len(self.groups) == 1 else f"{len(self.groups)} causes"
        are = "is" if self._succeeded == 1 else "are"
        kept = f"; {self._succeeded:,} succeeded and {are} kept" if self._succeeded else ""
        return f"{failed:,} of {_tasks(self._tasks)} failed, from {causes}{kept}."

    def __str__(self) -> str:
        parts, option = [self.headline], self._store_option()
        for number, (group, attempt) in enumerate(zip(self.groups, self._attempts, strict=True)):
            if number < _FULL_GROUPS:
                parts.append(_section(group, attempt, option))
        rest = [one_line(group) for group in self.groups[_FULL_GROUPS:_LISTED_GROUPS]]
        if len(self.groups) > _LISTED_GROUPS:
            more = self.groups[_LISTED_GROUPS:]
            rest.append(f"{_tasks(sum(group.count for group in more))}: {len(more):,} other causes")
        if rest:
            parts.append("\n".join(rest))
        return safe_text("\n\n".join(parts))

    def _store_option(self) -> str:
        """Return what `memento show` must be told to find the store from here; "" where it finds it alone."""
        path = getattr(self.results._store, "path", None)
        try:
            found = path is None or os.path.realpath(path) == os.path.realpath(find_store())
        except OSError:  # the folder that this process is in was removed
            found = False
        if found:
            return ""
        import shlex

        return f" --store {shlex.quote(str(path))}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from memento.results.html import failures_html

        return failures_html(self)


def one_line(group: FailureGroup) -> str:
    """Return a group as one line.

    Examples
    --------
    >>> one_line(FailureGroup("ValueError: bad (exp.py:3)", "raised", 4, "", "", "", "all 4 have n=1"))
    '4 tasks: ValueError: bad (exp.py:3) - all 4 have n=1'
    """
    return f"{_tasks(group.count)}: {group.title}" + (f" - {group.rule}" if group.rule else "")


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
    return "\n".join([one_line(group), *(f"    {line}" for line in lines)])


def _middle_cut(lines: list[str], limit: int) -> list[str]:
    """Keep the start and, mostly, the end: a deep recursion says the same thing a thousand times."""
    if len(lines) <= limit:
        return lines
    head = limit // 4
    tail = limit - head - 1
    return [*lines[:head], f"  ... {len(lines) - head - tail} lines left out ...", *lines[-tail:]]


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count:,} tasks"
