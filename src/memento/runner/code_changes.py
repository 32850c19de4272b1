"""The code of one session's tasks beside what the store knows of older versions: what counts, what has changed.

Knows: versions of tasks, the store's history of them, plans. May not know: workers, outcomes, what a user typed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.plan.code_of_tasks import task_versions
from memento.plan.keyed_tasks import KeyedTasks
from memento.plan.plan import Plan

if TYPE_CHECKING:
    from memento.index.versions import Versions
    from memento.keys.code_diff import Functions
    from memento.records import CodeVersion
    from memento.store.store import Store

_LINES = 40  # of all explanations of a message together
_LEAST = 6  # of one
_GROUPS = 4  # changes that are explained
_PAIRS = 100  # older versions that are compared with the present one, to see whether it was only moved


class SessionCode:
    """The versions of the code that a session's tasks are of, read now, before any task changes what it reads.

    `present` has these, by number; `history` is what the store knows.
    """

    def __init__(self, function: Callable[..., Any], tasks: KeyedTasks, store: Store) -> None:
        self.function = function
        self.present = task_versions(tasks, function)
        self.history = store.versions(tasks.experiment)
        self._tasks, self._store = tasks, store

    def current(self) -> list[frozenset[int]]:
        """Return for each version the store's ids of those that count as it."""
        return [self.history.counting_as(version.digest) for version in self.present.versions]

    def itself(self) -> list[frozenset[int]]:
        """Return for each version its own ids in the store, without those that were adopted."""
        return [self.history.ids(version.digest) for version in self.present.versions]

    def note(self, plan: Plan, run: int | None = None) -> list[int]:
        """Let the store know the versions that a run has seen; return their ids."""
        digests = [version.digest for version in self.present.versions]
        return self.history.note(digests, plan.stale_codes, self._described, run)

    def _described(self, number: int) -> CodeVersion:
        from memento.records import CodeVersion

        parts = [
            CodeVersion(part.digest, part.functions, tuple(f"{what}: {why}" for what, why in part.unfollowed))
            for part in self.present.parts[number]
        ]
        digest = self.present.versions[number].digest
        return parts[0] if parts[0].digest == digest else CodeVersion(digest, {}, parts=tuple(parts))

    def accept_moves(self, plan: Plan) -> bool:
        """Let results of the same code at another place count as of the present one; tell if there are any."""
        from memento.keys.code_diff import is_same_elsewhere

        if len(plan.stale_codes) > _PAIRS:
            return False
        older = self._store.index.codes({code for code, _ in plan.stale_codes})
        moved = [
            (code, number)
            for code, number in plan.stale_codes
            if code in older
            and not older[code].mixed
            and is_same_elsewhere(older[code].functions, self.present.versions[number].functions)
        ]
        if moved:
            ids = self.note(plan)
            self.history.adopt([(code, ids[number]) for code, number in moved], "moved, nothing else", 0, 0)
        return bool(moved)

    def accepted(self, plan: Plan) -> list[tuple[bytes, ...]]:
        """Return for each version its digest, and those that count as it."""
        known = self.history.digests
        return [
            tuple(dict.fromkeys([version.digest, *(known[code] for code in sorted(current))]))
            for version, current in zip(self.present.versions, plan.current, strict=True)
        ]

    def explain(self, plan: Plan, fate: str) -> str:
        """Say which results are of older versions, in what these differ, and what becomes of them.

        That is `fate`: "used", "computed again", or "", of which nothing is said.
        """
        told = self._tell(plan.stale_codes, partial(results_text, fate=fate))
        if fate == "used":
            import shlex

            them = "it" if sum(plan.stale_codes.values()) == 1 else "them"
            told += (
                f"\n  `memento adopt {shlex.quote(self._tasks.experiment)}` accepts the change;"
                f' on_code_change="rerun" computes {them} again, "ignore" says nothing.'
            )
        return told

    def explain_others(self, counts: Mapping[tuple[int, int], int]) -> str:
        """Say which results another run has computed meanwhile with other code."""

        def say(count: int, _: str, __: str) -> str:
            return results_text(count, "meanwhile by another run, with another version", "", "used")

        return self._tell(counts, say)

    def explain_states(self, plan: Plan, fate: str) -> str:
        """Say which checkpoints are of older versions, and what becomes of them; nothing where there are none."""
        counts = self._stale_states(plan)
        if not counts:
            return ""
        told = self._tell(counts, partial(states_text, fate=fate))
        if fate == "used":
            told += '\n  on_code_change="rerun" would begin such tasks anew, and computes such results again.'
        return told

    def _tell(self, counts: Mapping[tuple[int, int], int], say: Callable[[int, str, str], str]) -> str:
        present = {number: version.functions for number, version in enumerate(self.present.versions)}
        return _tell_changes(self._store, self.history, present, counts, say)

    def _stale_states(self, plan: Plan) -> Mapping[tuple[int, int], int]:
        """Count the checkpoints of other versions, by that one's id and the number of the task's own."""
        from memento.store.task_folders import keys_with_states

        keys = keys_with_states(self._store.root)
        if not keys:
            return {}
        from memento.store.fences import highest_fences, newest_state
        from memento.values.checkpoints import saved_by

        highest = highest_fences(self._store.root)
        ids = {digest: code for code, digest in self.history.digests.items()}
        accepted = self.accepted(plan)
        counts = Counter[tuple[int, int]]()
        for task in self._tasks.numbers_of(keys):
            if plan.cached[task]:
                continue
            number = plan.version(task)
            folder = newest_state(self._store.root, self._tasks.key(task), highest)
            older = [code for code in saved_by(folder) or () if code not in accepted[number]]
            if older:
                counts[ids.get(older[-1], -1), number] += 1
        return counts


class _Group(NamedTuple):
    """Tasks of one change: the same lines tell all of them."""

    by: str  # which version: an older one, or partly that, where the present one has a part in it
    lines: list[str]
    tasks: int
    seen: float  # when the newest of the older versions was seen first
    run: int | None


def _tell_changes(
    store: Store,
    versions: Versions,
    present: Mapping[int, Functions],
    counts: Mapping[tuple[int, int], int],
    say: Callable[[int, str, str], str],
) -> str:
    """Describe changes: a line of how many tasks, then what differs, for each change.

    `present` has the functions of each present version by its number; `counts` has how many tasks are of an older
    version, by its id and the number of theirs; `say` makes a line of a count, "by" whom, and when that was.
    """
    groups = _groups(store, versions, present, counts)
    lines = []
    for group in groups[:_GROUPS]:
        when = f" (of {date_text(group.seen, group.run)})" if group.seen else ""
        lines.append(f"{say(group.tasks, group.by, when)}:")
        lines += [f"  {line}" for line in group.lines]
    rest = groups[_GROUPS:]
    if rest:
        count = sum(group.tasks for group in rest)
        lines.append(f"{say(count, f'by {len(rest)} more older versions', '')}.")
    return "\n".join(lines)


def _groups(
    store: Store,
    versions: Versions,
    present: Mapping[int, Functions],
    counts: Mapping[tuple[int, int], int],
) -> list[_Group]:
    from memento.keys.code_diff import explain_code

    adopted = {code: versions.last_adopted(code) for code, _ in counts}
    known = store.index.codes({*adopted.values(), *adopted})
    seen = versions.seen(adopted)
    most = max(_LEAST, _LINES // max(1, min(_GROUPS, len({adopted[c] for c, _ in counts}))))
    grouped: dict[tuple[str, ...], _Group] = {}
    for (code, number), count in counts.items():
        old = known.get(adopted[code])
        lines = explain_code(old.functions, present.get(number, {}), most) if old is not None else []
        lines = lines or ["what changed is not known"]
        partly = code in known and known[code].mixed
        by = "partly by an older version" if partly else "by an older version"
        group = _Group(by, lines, count, *seen.get(code, (0.0, None)))
        told = (by, *lines)
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
    present = {number: version.functions for number, version in known.items()}
    return _tell_changes(store, versions, present, counts, partial(results_text, fate=""))


def results_text(count: int, by: str, when: str, fate: str) -> str:
    """Say what becomes of results that other code computed.

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
    """Say when a version was seen first, and by which run; "" where that is not known."""
    if not seen:
        return ""
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(seen))
    return f"{day}, run {run}" if run is not None else day
