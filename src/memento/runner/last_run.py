"""Keep what the last run of a `Memento` came to, for a caller who got an exception instead of results.

Knows: sessions and their plans. May not know: how a run ended, what the user typed.

What is kept is some bytes a task. No store stays open for it: once nobody holds the results any more, they are made
again, from a store that is opened again, when somebody asks.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.results.results import Results
from memento.store.store import Store

if TYPE_CHECKING:
    from array import array

    from memento.matrix.matrix import Matrix
    from memento.plan.keyed_tasks import KeyedTasks
    from memento.runner.session import Session


class _Carried(NamedTuple):
    """What of a plan results are made from, once it has been carried out."""

    matrix: Matrix
    tasks: KeyedTasks
    rows: array[int]
    cached: bytearray


class Kept:
    """The results of one run, whole or not; `ids` are those of the matrices of `run_all`."""

    def __init__(self, sessions: Sequence[Session], ids: Sequence[Any] | None) -> None:
        plans = [(session.matrix, session.plan) for session in sessions]
        self._parts = [_Carried(matrix, plan.tasks, plan.rows, plan.cached) for matrix, plan in plans]
        self._root, self._ids = sessions[0].store.root, ids
        self._made: weakref.WeakValueDictionary[str, Results] = weakref.WeakValueDictionary()

    def results(self, store: Store | None = None) -> Any:
        """Return them: of `run` as `Results`, of `run_all` by id, None for a matrix that did not come to its turn."""
        found = dict(self._made)
        if len(found) < len(self._parts):
            store = store or Store.open(self._root, create=False, readonly=True)
            for part in self._parts:
                names = map(str, part.matrix.dependencies)
                taken = {name: found[name] for name in names if name in found}
                found[str(part.matrix.id)] = Results.of_plan(store, part.matrix, part, taken)
            self._made.update(found)
        if self._ids is None:
            return found[str(self._parts[0].matrix.id)]
        return {one: found.get(str(one)) for one in self._ids}


class LastRun:
    """What the last run of a `Memento`, its owner, has come to."""

    def __init__(self, owner: object = None) -> None:
        self._owner = None if owner is None else weakref.ref(owner)
        self._kept: Kept | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return LastRun, ()  # a Memento that an experiment refers to may travel to workers

    def keep(self, sessions: Sequence[Session], ids: Sequence[Any] | None) -> Kept:
        """Keep what these sessions have come to, in place of what was kept before."""
        kept = self._kept = Kept(sessions, ids)
        return kept

    def results(self) -> Any:
        """Return the results of the last run."""
        if self._kept is None:
            raise RuntimeError(
                "this Memento has not run anything yet. Write results = runs.run(matrix); or memento.load(path) for"
                " what a store has."
            )
        return self._kept.results()

    def where(self, of_error: bool = True) -> str:
        """Say how to get at them where `run` has raised: the line to type, where somebody can type one.

        `of_error` tells whether what was raised has `results` itself.
        """
        owner = self._owner() if self._owner is not None else None
        variables = list(vars(sys.modules["__main__"]).items())
        name = next((name for name, value in variables if value is owner and name[:1] != "_"), None)
        if name is not None:
            return f"What there is: {name}.results"
        if of_error and (
            hasattr(sys, "ps1") or sys.flags.interactive
        ):  # IPython and its kernels set the former
            return "What there is: import sys; sys.last_value.results"
        return f"What there is: `.results` of this {'exception' if of_error else 'Memento'}"
