"""Make one table of several grids and the single tasks of `include`: one after the other, each task once.

Knows: declarations, tables, slots. May not know: how a grid's tasks are found, rules.

A parameter that a grid does not have is absent from its tasks, as one is where its condition does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from memento.errors import MatrixError
from memento.matrix.labels import named
from memento.matrix.spec import Spec
from memento.matrix.table import RowTable, TaskTable, row_numbers
from memento.matrix.values import Values, token

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEVER = "its values never come together in a task."


class NothingAgrees(MatrixError):
    """No results agree as `on` asks; in another grid they may."""


def each_grid(spec: Spec) -> list[Spec]:
    """Return the declaration of each grid, with what is said of its parameters; none where only `include` is meant."""
    if not spec.grids:
        return [] if spec.include and not spec.parameters else [spec]
    return [
        spec._replace(
            parameters=grid,
            when={name: condition for name, condition in spec.when.items() if name in grid},
            zip=tuple(there for group in spec.zip if (there := tuple(n for n in group if n in grid))),
            grids=(),
        )
        for grid in spec.grids
    ]


def unite(spec: Spec, known: Mapping[str, Values], grids: Sequence[tuple[Spec, TaskTable]]) -> TaskTable:
    """Return the tasks of several grids as one table; a task of two grids stands where it comes first."""
    import numpy as np

    names = tuple(spec.parameters)
    rows = np.full((sum(table.rows for _, table in grids), len(names)), -1, np.int32)
    start = 0
    for grid, table in grids:
        piece, columns = rows[start : start + table.rows], table.columns
        for column, name in enumerate(table.names):
            slots, values = columns[:, column], grid.parameters[name]
            if values is not spec.parameters[name]:
                united = [known[name].slots(value)[0] for value in values]
                slots = np.array([*united, -1], np.int32)[slots]  # the last place serves slot -1
            piece[:, names.index(name)] = slots
        start += table.rows
    first = np.unique(row_numbers(rows), return_index=True)[1]
    if len(first) < len(rows):
        rows = rows[np.sort(first)]
    return RowTable(names, list(map(list, spec.parameters.values())), spec.repeats, rows)


def in_vain(verdicts: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield what there is to say of rules that match nothing in any grid.

    A grid's verdicts give for each rule what is wrong with it there, or "" where it matches something.
    """
    for rule in dict.fromkeys(rule for one in verdicts for rule in one):
        texts = [one[rule] for one in verdicts if rule in one]
        if all(texts):
            yield next((text for text in texts if not text.endswith(NEVER)), texts[0])


# -- single tasks ------------------------------------------------------------------------------------------


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
