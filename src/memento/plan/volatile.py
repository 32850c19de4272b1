"""Refuse a matrix in which tasks of one key have different values of a volatile parameter: only one of them would run.

Knows: keyed tasks. May not know: stores, what is to be run.
"""

from __future__ import annotations

from memento.errors import MatrixError
from memento.matrix.values import equal, quoted
from memento.plan.keyed_tasks import KeyedTasks


def check_volatile(tasks: KeyedTasks) -> None:
    """Raise MatrixError where a volatile parameter's values make several tasks of one key.

    One value of it to a key is well: it may advance with another parameter, or rules may choose it.
    """
    columns = [
        column
        for column, name in enumerate(tasks.names)
        if name in tasks.matrix.volatile and (len(tasks.table.values[column]) > 1 or tasks.table.may_lack)
    ]
    if not columns or tasks.distinct:
        return
    first: dict[bytes, tuple[int, ...]] = {}
    slots = zip(
        *(tasks.along(column, [*range(len(tasks.table.values[column])), -1]) for column in columns),
        strict=True,
    )
    for key, own in zip(tasks.each_key(), slots, strict=True):
        other = first.setdefault(key, own)
        if other == own:
            continue
        for column, one, two in zip(columns, other, own, strict=True):
            values = tasks.table.values[column]
            if one != two and (min(one, two) < 0 or not equal(values[one], values[two])):
                raise _several(tasks, column, one, two)


def _several(tasks: KeyedTasks, column: int, one: int, two: int) -> MatrixError:
    name, values = tasks.names[column], tasks.table.values[column]
    first, second = ("absent" if slot < 0 else quoted(values[slot]) for slot in (one, two))
    return MatrixError(
        "volatile",
        f"{name!r} is {first} and {second} in tasks that have one key, so only one of them would run: what is volatile"
        " is no part of a task's key.",
        f"Give {name!r} one value (in 'settings', or a list of one), let it advance with another parameter ('zip'), or"
        f" take it out of 'volatile' to run each value.",
    )
