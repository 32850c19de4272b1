"""Group failures by their cause.

Knows: failures as records, groups as events. May not know: stores, executors, reports.

Two failures have one cause when kind, exception type, place in the user's code and message agree, the
message without what differs from task to task (see `likeness`). The same at two lines is two causes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from memento.events import FailureGroup
from memento.records import DIED, MEMORY, RAISED, TIMEOUT, UNSAVABLE, Failure
from memento.results.likeness import pieces, shown
from memento.wording import one_line

_MESSAGE = 2_000  # characters of a message that are looked at
_TITLE = 200  # characters of a message that a title shows
_EXAMPLES = 3  # different messages of a group that are kept
_EXAMPLE = 160  # characters of each

_NAMES = {DIED: "WorkerDied", TIMEOUT: "TaskTimeout", MEMORY: "MemoryLimitExceeded"}

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
    """Return one line for a failure: its type, its message (or another in its place), its place.

    Examples
    --------
    >>> title(Failure("raised", "ValueError", "bad shape", "", "experiment.py:24", None, ""))
    'ValueError: bad shape (experiment.py:24)'
    """
    name = _NAMES.get(failure.kind) or failure.type
    if failure.kind == UNSAVABLE and not name:
        name = "UnsavableResult"
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
            known = self.event.messages or (one_line(self.failure.message, _EXAMPLE),)
            self.event = self.event._replace(messages=(*known, one_line(failure.message, _EXAMPLE)))

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
    >>> group, first = grouper.add("0f", "{'model': 'svc'}", failure)
    >>> first, group.title
    (True, 'ValueError: bad shape (3, 4) (exp.py:24)')
    >>> grouper.add("1f", "{'model': 'tree'}", failure._replace(message="bad shape (7, 1)"))[1]
    False
    >>> [(group.count, group.title) for group in grouper.groups()]
    [(2, 'ValueError: bad shape (…) (exp.py:24)')]
    """

    def __init__(self) -> None:
        self._groups: dict[Cause, _Group] = {}

    def add(self, key: str, config: str, failure: Failure, attempt: int = 1) -> tuple[FailureGroup, bool]:
        """Take a failure; return its group so far, whose `keys` names only the first, and whether it is the first."""
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

    def groups(self) -> list[FailureGroup]:
        """Return the groups with all their keys, largest first."""
        return [group for _, _, group in self.by_cause()]

    def by_cause(self) -> list[tuple[Cause, int, FailureGroup]]:
        """Return what each group shares, which attempt its first failure was, and the group, largest first."""
        # Equal counts stay in the order in which they first came.
        ordered = sorted(self._groups.items(), key=lambda item: -len(item[1].keys))
        return [
            (which, group.attempt, group.told()._replace(count=len(group.keys), keys=tuple(group.keys)))
            for which, group in ordered
        ]
