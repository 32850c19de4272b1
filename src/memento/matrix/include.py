"""Append the single tasks of `include` to the table of a grid.

Knows: rows of slots in sorted order. May not know: rules, conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.matrix.axes import Axis
from memento.matrix.labels import named
from memento.matrix.spec import Spec
from memento.matrix.values import token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.int32]


def append_tasks(
    spec: Spec, axes: Sequence[Axis], rows: Column, columns: Column, warnings: list[str]
) -> tuple[tuple[str, ...], list[list[object]], Column]:
    """Return names, values and columns with the tasks of `include` at the end.

    `rows` are the grid's slots by axis, in lexicographic order; `columns` the same by name.
    """
    import numpy as np

    new = list(dict.fromkeys(n for row in spec.include for n in row if n not in spec.parameters))
    names = (*spec.parameters, *new)
    values: list[list[object]] = [*(list(v) for v in spec.parameters.values()), *([] for _ in new)]
    slot_of: list[dict[object, int]] = [{} for _ in names]
    used = {name for task in spec.include for name in task}
    for name, known, slots in zip(names, values, slot_of, strict=True):
        for slot, value in enumerate(known if name in used else ()):
            slots.setdefault(token(value), slot)
    grid = _Grid(spec, axes, rows)
    added: dict[tuple[int, ...], int] = {}
    for number, task in enumerate(spec.include):
        tokens = {name: token(value) for name, value in task.items()}
        twin = "a task of the grid" if grid.holds(tokens) else ""
        target = []
        for name, known, slots in zip(names, values, slot_of, strict=True):
            if name not in task:
                target.append(-1)
                continue
            slot = slots.setdefault(tokens[name], len(known))
            if slot == len(known):
                known.append(task[name])
            target.append(slot)
        twin = twin or (f"include[{added[tuple(target)]}]" if tuple(target) in added else "")
        if twin:
            text = ", ".join(f"{n}={named(v, spec.parameters.get(n))}" for n, v in task.items())
            warnings.append(f"include[{number}] ({text}) is the same as {twin}: it is left out.")
        else:
            added[tuple(target)] = number
    wide = np.full((len(columns) + len(added), len(names)), -1, np.int32)
    wide[: len(columns), : columns.shape[1]] = columns
    if added:
        wide[len(columns) :] = list(added)
    return names, values, wide


class _Grid:
    """Tells whether the grid has a task, by bisection along its sorted rows."""

    def __init__(self, spec: Spec, axes: Sequence[Axis], rows: Column) -> None:
        self._rows = rows
        self._axes = axes
        self._names = set(spec.parameters)
        self._slots: list[dict[Any, list[int]]] = []
        used = {name for task in spec.include for name in task}
        for axis in axes:
            slots: dict[Any, list[int]] = {}
            if used.isdisjoint(axis.names):
                self._slots.append(slots)  # no value of it is asked for
                continue
            for slot, members in enumerate(zip(*(spec.parameters[n] for n in axis.names), strict=True)):
                slots.setdefault(tuple(map(token, members)), []).append(slot)
            self._slots.append(slots)

    def holds(self, tokens: dict[str, Any]) -> bool:
        """Tell whether a task with these values, and no other parameters, is in the grid."""
        if not tokens.keys() <= self._names:
            return False
        wanted: list[list[int]] = []
        for axis, slots in zip(self._axes, self._slots, strict=True):
            members = [tokens[n] for n in axis.names if n in tokens]
            if members and len(members) < len(axis.names):
                return False
            wanted.append(slots.get(tuple(members), []) if members else [-1])
        return self._found(wanted, 0, 0, len(self._rows))

    def _found(self, wanted: list[list[int]], axis: int, start: int, stop: int) -> bool:
        if start == stop or axis == len(wanted):
            return start < stop
        column = self._rows[start:stop, axis]
        for slot in wanted[axis]:
            left, right = column.searchsorted(slot, "left"), column.searchsorted(slot, "right")
            if self._found(wanted, axis + 1, start + int(left), start + int(right)):
                return True
        return False
