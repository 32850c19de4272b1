"""The code of one session's tasks beside what the store knows of older versions: what counts, what is noted and said.

Knows: versions of tasks, the store's history of them, plans. May not know: workers, outcomes, what a user typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from memento.layout import Layout
from memento.plan import KeyedTasks, Plan, task_versions

if TYPE_CHECKING:
    from memento.records import CodeVersion
    from memento.runner.changes import Changes
    from memento.store import Store

_PAIRS = 100  # older versions that are compared with the present one, to see whether it was only moved


class SessionCode:
    """The versions of the code that a session's tasks are of.

    Parameters
    ----------
    function : callable
        The experiment; its code is read now, before any task changes what it reads.
    tasks : KeyedTasks
        The session's tasks.
    store : Store
        Knows the older versions.

    Attributes
    ----------
    tasks : TaskVersions
        The present versions, by number.
    history : Versions
        What the store knows.
    """

    def __init__(self, function: Callable[..., Any], tasks: KeyedTasks, store: Store) -> None:
        self.tasks = task_versions(tasks, function)
        self.history = store.versions(tasks.experiment)
        self._tasks, self._store = tasks, store

    def current(self) -> list[frozenset[int]]:
        """Return for each version the store's ids of those that count as it."""
        return [self.history.counting_as(version.digest) for version in self.tasks.versions]

    def names(self) -> set[str]:
        """Return all that counts in any of the versions, by name."""
        return {name for version in self.tasks.versions for name in version.names}

    def note(self, plan: Plan, run: int | None = None) -> list[int]:
        """Let the store know the versions that a run has seen; return their ids."""
        digests = [version.digest for version in self.tasks.versions]
        return self.history.note(digests, plan.stale_codes, self._described, run)

    def _described(self, number: int) -> CodeVersion:
        from memento.records import CodeVersion

        parts = [
            CodeVersion(part.digest, part.functions, tuple(f"{what}: {why}" for what, why in part.unfollowed))
            for part in self.tasks.parts[number]
        ]
        digest = self.tasks.versions[number].digest
        return parts[0] if parts[0].digest == digest else CodeVersion(digest, {}, parts=tuple(parts))

    def accept_moves(self, plan: Plan) -> bool:
        """Let results of the same code at another place count as of the present one; tell if there are any."""
        from memento.keys.moved import is_same_elsewhere

        if len(plan.stale_codes) > _PAIRS:
            return False
        older = self._store.index.codes({code for code, _ in plan.stale_codes})
        moved = [
            (code, number)
            for code, number in plan.stale_codes
            if code in older
            and not older[code].mixed
            and is_same_elsewhere(older[code].functions, self.tasks.versions[number].functions)
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
            for version, current in zip(self.tasks.versions, plan.current, strict=True)
        ]

    # -- what is said

    def explain(self, plan: Plan, fate: str) -> str:
        """Say which results are of older versions, in what these differ, and what becomes of them.

        Parameters
        ----------
        plan : Plan
            Knows the results.
        fate : {"used", "computed again", ""}
            What becomes of them; nothing is said of it where it is empty.
        """
        import shlex
        from functools import partial

        from memento.runner.changes import results_text

        told = self._changes().tell(plan.stale_codes, partial(results_text, fate=fate))
        if fate == "used":
            them = "it" if sum(plan.stale_codes.values()) == 1 else "them"
            told += (
                f"\n  `memento adopt {shlex.quote(self._tasks.experiment)}` accepts the change;"
                f' on_code_change="rerun" computes {them} again, "ignore" says nothing.'
            )
        return told

    def explain_others(self, counts: Mapping[tuple[int, int], int]) -> str:
        """Say which results another run has computed meanwhile with other code."""
        from memento.runner.changes import results_text

        def say(count: int, _: str, __: str) -> str:
            return results_text(count, "meanwhile by another run, with another version", "", "used")

        return self._changes().tell(counts, say)

    def explain_states(self, plan: Plan, fate: str) -> str:
        """Say which checkpoints are of older versions, and what becomes of them; nothing where there are none."""
        counts = self._stale_states(plan)
        if not counts:
            return ""
        from functools import partial

        from memento.runner.changes import states_text

        told = self._changes().tell(counts, partial(states_text, fate=fate))
        if fate == "used":
            told += '\n  on_code_change="rerun" would begin such tasks anew, and computes such results again.'
        return told

    def _changes(self) -> Changes:
        from memento.runner.changes import Changes

        return Changes(self._store, self.history, lambda number: self.tasks.versions[number].functions)

    def _stale_states(self, plan: Plan) -> dict[tuple[int, int], int]:
        """Count the checkpoints of other versions, by that one's id and the number of the task's own."""
        from memento.store.task_folders import keys_with_states

        keys = keys_with_states(self._store.root)
        if not keys:
            return {}
        from memento.values.checkpoints import saved_by

        layout = Layout(self._store.root)
        ids = {digest: code for code, digest in self.history.digests.items()}
        accepted = self.accepted(plan)
        counts: dict[tuple[int, int], int] = {}
        for task in numbers_of(self._tasks, keys):
            if plan.cached[task]:
                continue
            number = self.tasks.place(task)
            folder = layout.checkpoint(self._tasks.key(task).hex())
            older = [code for code in saved_by(folder) or () if code not in accepted[number]]
            if older:
                pair = (ids.get(older[-1], -1), number)
                counts[pair] = counts.get(pair, 0) + 1
        return counts


def numbers_of(tasks: KeyedTasks, keys: Iterable[bytes]) -> Iterator[int]:
    """Yield the first task of each of these keys that a matrix has."""
    for key in keys:
        place = tasks.keys.find(key)
        if place >= 0 and place % len(key) == 0:
            yield place // len(key)
