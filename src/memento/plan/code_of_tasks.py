"""Tell which version of the code each task is of: the experiment's, with what the task's own values bring.

Knows: keyed tasks, the code of values. May not know: stores, what was computed before.

Versions differ only along the parameters whose values bring code, so they are few: of values that bring the same code
one stands for all, and a task's version is told by one number for each such parameter. Plain grids have one version.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.keys.code_versions import code_version, combined, value_code
from memento.plan.keyed_tasks import KeyedTasks
from memento.store.upstream import PendingValue, UpstreamValue

if TYPE_CHECKING:
    from memento.keys.code_versions import CodeVersion

_PLAIN = frozenset({int, float, complex, str, bytes, bool, type(None), range, UpstreamValue, PendingValue})
_LIBRARIES = ("pathlib", "datetime", "decimal", "fractions", "uuid", "zoneinfo")  # whose values hold none


class TaskVersions(NamedTuple):
    """The versions of the code that the tasks of a matrix are of."""

    versions: list[CodeVersion]  # at least one
    parts: list[tuple[CodeVersion, ...]]  # of each, what it combines
    of: array[int] | None  # each task's version, by its place in `versions`; None where there is only one


def task_versions(tasks: KeyedTasks, function: Callable[..., Any]) -> TaskVersions:
    """Look at the code of an experiment and of its tasks' values, as it is now."""
    matrix = tasks.matrix
    settings = [value for name, value in matrix.settings.items() if name not in matrix.volatile]
    base = combined([code_version(function), *filter(None, map(_code, settings))])
    coded = [
        (column, *_kinds(values, base))
        for column, (name, values) in enumerate(zip(tasks.names, tasks.table.values, strict=True))
        if name not in matrix.volatile and not all(map(_brings_none, set(map(type, values))))
    ]
    coded = [(column, codes, kinds) for column, codes, kinds in coded if len(codes) > 1]
    if not coded or not len(tasks):
        return TaskVersions([base], [(base,)], None)

    def combinations() -> Iterator[tuple[int, ...]]:
        # The last place serves tasks that lack the parameter.
        return zip(*(tasks.along(column, [*kinds, 0]) for column, _, kinds in coded), strict=True)

    versions: dict[CodeVersion, int] = {}
    parts: list[tuple[CodeVersion, ...]] = []
    place: dict[tuple[int, ...], int] = {}
    for combination in sorted(set(combinations())):
        own = [codes[kind] for kind, (_, codes, _) in zip(combination, coded, strict=True)]
        several = {part.digest: part for part in (base, *own) if part is not None}
        version = combined(several.values())
        if version not in versions:
            parts.append(tuple(several.values()))
        place[combination] = versions.setdefault(version, len(versions))
    of = array("q", map(place.__getitem__, combinations())) if len(versions) > 1 else None
    return TaskVersions(list(versions), parts, of)


def _brings_none(kind: type) -> bool:
    """Tell of values whose type alone says that they bring no code: a grid may have many thousands."""
    if kind in _PLAIN:
        return True
    library = kind.__module__.partition(".")[0]
    return library in _LIBRARIES or (library == "numpy" and issubclass(kind, sys.modules["numpy"].generic))


def _code(value: object) -> CodeVersion | None:
    return None if _brings_none(type(value)) else value_code(value)


def _kinds(values: Sequence[object], base: CodeVersion) -> tuple[list[CodeVersion | None], list[int]]:
    """Sort values by the code that they bring; the first kind brings none that the experiment has not."""
    known: dict[CodeVersion | None, int] = {None: 0}
    codes: list[CodeVersion | None] = [None]
    kinds = []
    for code in map(_code, values):
        if code is not None and code not in known:
            known[code] = 0 if combined([base, code]) == base else len(codes)
            if known[code]:
                codes.append(code)
        kinds.append(known[code])
    return codes, kinds
