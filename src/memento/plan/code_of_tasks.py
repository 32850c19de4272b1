"""Tell which version of the code each task is of: the experiment's, with what the task's own values bring.

Knows: keyed tasks, the code of values. May not know: stores, what was computed before.

Versions differ only along the parameters whose values bring code, so they are few: of values that bring the same code
one stands for all, and a task's version is told by one number for each such parameter. Plain grids have one version.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.keys import code_version, combined, value_code
from memento.plan.keyed_tasks import KeyedTasks
from memento.store.upstream import UpstreamValue

if TYPE_CHECKING:
    from memento.keys import CodeVersion

_PLAIN = frozenset({int, float, complex, str, bytes, bool, type(None), range, UpstreamValue})
_LIBRARIES = frozenset(
    {"pathlib", "datetime", "decimal", "fractions", "uuid", "zoneinfo"}
)  # whose values hold none


class TaskVersions(NamedTuple):
    """The versions of the code that the tasks of a matrix are of."""

    versions: list[CodeVersion]  # at least one
    parts: list[tuple[CodeVersion, ...]]  # of each, what it combines
    of: array[int] | None  # each task's version, by its place in `versions`; None where there is only one

    def place(self, number: int) -> int:
        """Return the place of a task's version."""
        return self.of[number] if self.of is not None else 0


def task_versions(tasks: KeyedTasks, function: Callable[..., Any]) -> TaskVersions:
    """Look at the code of an experiment and of its tasks' values, as it is now."""
    matrix = tasks.matrix
    settings = [value for name, value in matrix.settings.items() if name not in matrix.volatile]
    base = combined([code_version(function), *_codes(settings)])
    coded = [
        (column, *_classes(values, base))
        for column, (name, values) in enumerate(zip(tasks.names, tasks.table.values, strict=True))
        if name not in matrix.volatile and not all(map(_brings_none, set(map(type, values))))
    ]
    coded = [(column, codes, classes) for column, codes, classes in coded if len(codes) > 1]
    if not coded or not len(tasks):
        return TaskVersions([base], [(base,)], None)
    stride, columns, strides = 1, [], []
    for column, codes, classes in coded:
        # The last place serves tasks that lack the parameter.
        columns.append(tasks.along(column, [*(number * stride for number in classes), 0]))
        strides.append(stride)
        stride *= len(codes)
    combinations = array("q", reduce(lambda one, other: map(add, one, other), columns))
    versions: dict[bytes, int] = {}
    found: list[CodeVersion] = []
    parts: list[tuple[CodeVersion, ...]] = []
    place: dict[int, int] = {}
    for combination in sorted(set(combinations)):
        own = [
            codes[combination // step % len(codes)]
            for (_, codes, _), step in zip(coded, strides, strict=True)
        ]
        several = {part.digest: part for part in (base, *own) if part is not None}
        version = combined(several.values())
        place[combination] = versions.setdefault(version.digest, len(versions))
        if len(found) < len(versions):
            found.append(version)
            parts.append(tuple(several.values()))
    if len(found) == 1:
        return TaskVersions(found, parts, None)
    return TaskVersions(found, parts, array("q", map(place.__getitem__, combinations)))


def _brings_none(kind: type) -> bool:
    """Tell of values whose type alone says that they bring no code: a grid may have many thousands."""
    if kind in _PLAIN:
        return True
    library = kind.__module__.partition(".")[0]
    return library in _LIBRARIES or (library == "numpy" and issubclass(kind, sys.modules["numpy"].generic))


def _codes(values: Iterable[object]) -> Iterator[CodeVersion]:
    for value in values:
        code = None if _brings_none(type(value)) else value_code(value)
        if code is not None:
            yield code


def _classes(values: Sequence[object], base: CodeVersion) -> tuple[list[CodeVersion | None], list[int]]:
    """Sort values by the code that they bring; the first kind brings none that the experiment has not."""
    kinds: dict[bytes, int] = {}
    codes: list[CodeVersion | None] = [None]
    classes = []
    for value in values:
        code = None if _brings_none(type(value)) else value_code(value)
        if code is None:
            classes.append(0)
            continue
        kind = kinds.get(code.digest)
        if kind is None:
            kind = 0 if combined([base, code]) == base else len(codes)
            kinds[code.digest] = kind
            if kind:
                codes.append(code)
        classes.append(kind)
    return codes, classes
