"""Say which results, and which checkpoints, are of another version of the code, and in what that differs.

Knows: versions in a store, explanations of code. May not know: how plans are made, what is done about a change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from memento.index.versions import Versions
    from memento.keys.changes import Functions
    from memento.store import Store

_LINES = 40  # of all explanations of a message together
_LEAST = 6  # of one
_GROUPS = 4  # changes that are explained


class _Group(NamedTuple):
    """Tasks of one change: the same lines tell all of them."""

    lines: list[str]
    tasks: int
    seen: float  # when the newest of the older versions was seen first
    run: int | None
    partly: bool  # the present version has a part in it


class Changes:
    """What differs between versions that the store has and those that tasks are of now.

    Parameters
    ----------
    store : Store
        Has the older versions.
    versions : Versions
        Of the experiment.
    present : callable
        Returns the functions of a version that tasks are of now, by its number.
    """

    def __init__(self, store: Store, versions: Versions, present: Callable[[int], Functions]) -> None:
        self._store, self._versions, self._present = store, versions, present

    def tell(self, counts: Mapping[tuple[int, int], int], say: Callable[[int, str, str], str]) -> str:
        """Describe changes: a line of how many tasks, then what differs, for each change.

        Parameters
        ----------
        counts : dict
            Id of an older version, number of a present one -> how many tasks.
        say : callable
            Makes a line of a number of tasks, "by" whom, and when that was.
        """
        groups = self._groups(counts)
        lines = []
        for group in groups[:_GROUPS]:
            by = "partly by an older version" if group.partly else "by an older version"
            lines.append(f"{say(group.tasks, by, date_text(group.seen, group.run))}:")
            lines += [f"  {line}" for line in group.lines]
        rest = groups[_GROUPS:]
        if rest:
            count = sum(group.tasks for group in rest)
            lines.append(f"{say(count, f'by {len(rest)} more older versions', '')}.")
        return "\n".join(lines)

    def _groups(self, counts: Mapping[tuple[int, int], int]) -> list[_Group]:
        from memento.keys import explain_code

        adopted = {code: self._versions.last_adopted(code) for code, _ in counts}
        known = self._store.index.codes({*adopted.values(), *adopted})
        seen = self._versions.seen(adopted)
        most = max(_LEAST, _LINES // max(1, min(_GROUPS, len({adopted[c] for c, _ in counts}))))
        grouped: dict[tuple[str, ...], _Group] = {}
        for (code, number), count in counts.items():
            old = known.get(adopted[code])
            lines = explain_code(old.functions, self._present(number), most) if old is not None else []
            lines = lines or ["what changed is not known"]
            partly = code in known and known[code].mixed
            when, run = seen.get(code, (0.0, None))
            group = _Group(lines, count, when, run, partly)
            told = (*lines, "partly" if partly else "")
            before = grouped.get(told)
            if before is not None:
                newest = max(group, before, key=lambda one: one.seen)
                group = newest._replace(tasks=group.tasks + before.tasks)
            grouped[told] = group
        return sorted(grouped.values(), key=lambda group: -group.tasks)


def explain_seen(store: Store, versions: Versions) -> str:
    """Say which results are of older versions than the newest that runs have seen, and in what they differ."""
    results = versions.results()
    counts = {change: results[change[0]] for change in versions.pending() if results.get(change[0])}
    known = store.index.codes({present for _, present in counts})
    changes = Changes(store, versions, lambda number: known[number].functions if number in known else {})
    return changes.tell(counts, partial(results_text, fate=""))


def results_text(count: int, by: str, when: str, fate: str) -> str:
    """Say what becomes of results that other code computed.

    Examples
    --------
    >>> results_text(2, "by an older version", "", "used")
    '2 results were computed by an older version of the code and are used as they are'
    """
    were, are = ("result was", "is") if count == 1 else ("results were", "are")
    becomes = {
        "used": f" and {are} used as {'it is' if count == 1 else 'they are'}",
        "computed again": f" and {are} computed again",
    }
    return f"{count:,} {were} computed {by} of the code{when}{becomes.get(fate, '')}"


def states_text(count: int, by: str, when: str, fate: str) -> str:
    """Say what becomes of checkpoints that other code saved.

    Examples
    --------
    >>> states_text(1, "by an older version", "", "not used")
    '1 checkpoint was saved by an older version of the code and is not used: its task begins anew'
    """
    one = count == 1
    head = f"{count:,} {'checkpoint was' if one else 'checkpoints were'} saved {by} of the code{when}"
    if fate != "used":
        return f"{head} and {'is' if one else 'are'} not used: {'its task begins' if one else 'their tasks begin'} anew"
    if one:
        return f"{head}: its task goes on from it, and its result is of both versions"
    return f"{head}: their tasks go on from them, and their results are of both versions"


def date_text(seen: float, run: int | None) -> str:
    """Say when a version was seen first, and by which run."""
    if not seen:
        return ""
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(seen))
    return f" (of {day}, run {run})" if run is not None else f" (of {day})"
