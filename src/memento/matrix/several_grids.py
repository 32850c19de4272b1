"""Make one table of several grids: the tasks of one after the other, each once.

Knows: declarations, tables, slots. May not know: how a grid's tasks are found.

A parameter that a grid does not have is absent from its tasks, as one is where its condition does not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from memento.errors import MatrixError
from memento.matrix.spec import Spec
from memento.matrix.table import RowTable, TaskTable, row_numbers
from memento.matrix.values import Values

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
