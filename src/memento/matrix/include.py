"""Append the single tasks of `include` to the table of a matrix.

Knows: rows of slots. May not know: rules, conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.matrix.labels import named
from memento.matrix.spec import Spec
from memento.matrix.table import RowTable, TaskTable, row_numbers
from memento.matrix.values import token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def with_included(spec: Spec, table: TaskTable, warnings: list[str]) -> TaskTable:
    """Return the table with the tasks of `include` at the end, without those that it has."""
    import numpy as np

    new = dict.fromkeys(n for task in spec.include for n in task if n not in table.names)
    names = (*table.names, *new)
    values = [*map(list, table.values), *([] for _ in new)]
    used = {name for task in spec.include for name in task}
    slot_of: list[dict[object, int]] = [{} for _ in names]
    rows = np.full((table.rows + len(spec.include), len(names)), -1, np.int32)
    rows[: table.rows, : len(table.names)] = table.columns
    same = rows  # the first slot of a value in place of all: it may be listed twice
    for column, (name, known, slots) in enumerate(zip(names, values, slot_of, strict=True)):
        if name not in used:
            continue
        first = [slots.setdefault(token(value), slot) for slot, value in enumerate(known)]
        if first != list(range(len(known))):
            same = rows.copy() if same is rows else same
            same[: table.rows, column] = np.array([*first, -1], np.int32)[rows[: table.rows, column]]
        for number, task in enumerate(spec.include, table.rows):
            if name in task:
                slot = slots.setdefault(token(task[name]), len(known))
                rows[number, column] = same[number, column] = slot
                if slot == len(known):
                    known.append(task[name])
    twins = _twins(row_numbers(same), table.rows)
    for number, twin in twins.items():
        text = ", ".join(f"{n}={named(v, spec.parameters.get(n))}" for n, v in spec.include[number].items())
        warnings.append(f"include[{number}] ({text}) is the same as {twin}: it is left out.")
    kept = np.delete(rows, [table.rows + number for number in twins], axis=0) if twins else rows
    return RowTable(names, values, table.repeats, kept)


def _twins(numbers: NDArray[np.int64], start: int) -> dict[int, str]:
    """Return which included tasks are there already, and where."""
    import numpy as np

    own: list[int] = numbers[start:].tolist()
    grid = set(numbers[:start][np.isin(numbers[:start], own)].tolist())
    added: dict[int, int] = {}
    twins = {}
    for place, number in enumerate(own):
        first = added.setdefault(number, place)
        if number in grid or first < place:
            twins[place] = "a task of the grid" if number in grid else f"include[{first}]"
    return twins
