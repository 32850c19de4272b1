"""Find the results that others were computed from.

Knows: selections, what stands for a task in keys. May not know: how results are shown, matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from memento.keys.task_key import task_digest
from memento.results.advice import unknown
from memento.results.stored_tasks import TaskName
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from memento.results.selection import Selection, Source


def upstream(selection: Selection, name: str | None) -> Mapping[str, tuple[Source, list[int]]]:
    """Return for each parameter that is a result of another task the source and numbers of these; or for one."""
    taken = dict(_taken(selection))
    if name is not None and name not in taken:
        raise ValueError(unknown("upstream matrix", name, list(taken)))
    return {one: _found(selection.source, one, stand) for one, stand in taken.items() if name in (None, one)}


def _taken(selection: Selection) -> Iterator[tuple[str, frozenset[bytes]]]:
    """Yield each parameter that is a result, with what stands in keys for the tasks of those that were taken."""
    experiment = selection.source.experiment or ""
    seen: set[int] = set()
    for column, axis in zip(selection.tasks.columns, selection.axes(), strict=True):
        if column.source in seen:
            continue  # a parameter of an upstream task's
        seen.add(column.source)
        used = (axis.values[code] for code in set(axis.codes.tolist()) if code >= 0)
        stand = frozenset(filter(None, (_stands_for(value, experiment) for value in used)))
        if stand:
            yield axis.name, stand


def _stands_for(value: object, experiment: str) -> bytes:
    """Return what stands in keys for the task whose result a value is; nothing for other values."""
    if isinstance(value, UpstreamValue):
        return task_digest(value.key, experiment)
    return value.digest if isinstance(value, TaskName) else b""


def _found(source: Source, name: str, stand: frozenset[bytes]) -> tuple[Source, list[int]]:
    """Return where the results of some tasks are."""
    where = source if source.upstream is None else source.upstream[name]
    keys = map(where.key, range(len(where.rows)))
    experiment = source.experiment or ""
    return where, [number for number, key in enumerate(keys) if task_digest(key, experiment) in stand]
