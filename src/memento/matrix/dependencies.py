"""Order matrices so that each comes after those whose results it takes.

Knows: ids. May not know: tasks, results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from memento.errors import CyclicDependency, MatrixError
from memento.matrix.matrix import Matrix
from memento.matrix.suggest import nearest


def execution_order(matrices: Iterable[Matrix]) -> list[Matrix]:
    """Return the matrices, each after its dependencies, otherwise in the order given.

    >>> second = Matrix({"x": [1]}, id="second", dependencies=["first"])
    >>> first = Matrix({"x": [1]}, id="first")
    >>> [m.id for m in execution_order([second, first])]
    ['first', 'second']
    """
    given = list(matrices)
    by_id = _by_id(given)
    left = list(given)
    ordered: list[Matrix] = []
    done: set[Any] = set()
    while left:
        ready = next((m for m in left if all(d in done for d in m.dependencies)), None)
        if ready is None:
            raise CyclicDependency(_circle(left[0], by_id, done))
        ordered.append(ready)
        done.add(ready.id)
        left.remove(ready)
    return ordered


def _by_id(matrices: Sequence[Matrix]) -> dict[Any, Matrix]:
    by_id: dict[Any, Matrix] = {}
    for i, matrix in enumerate(matrices):
        where = f"matrix {i + 1} of {len(matrices)}"
        if matrix.id is None and len(matrices) > 1:
            raise MatrixError(where, "it has no 'id'.", "Give each of several matrices an 'id'.")
        if matrix.id in by_id:
            raise MatrixError(
                where, f"the id {matrix.id!r} is taken by one before it.", "Give it an id of its own."
            )
        by_id[matrix.id] = matrix
    for matrix in matrices:
        for wanted in matrix.dependencies:
            if wanted not in by_id:
                texts = {str(i): i for i in by_id}
                close = nearest(str(wanted), texts)
                known = (
                    f"Did you mean {texts[close[0]]!r}?" if close else f"Ids: {', '.join(map(repr, by_id))}."
                )
                raise MatrixError(
                    f"dependencies of {matrix.id!r}", f"no matrix has the id {wanted!r}.", known
                )
    return by_id


def _circle(start: Matrix, by_id: dict[Any, Matrix], done: set[Any]) -> list[Any]:
    """Walk along unmet dependencies until an id comes again."""
    path = [start.id]
    while True:
        after = next(d for d in by_id[path[-1]].dependencies if d not in done)
        if after in path:
            return path[path.index(after) :]
        path.append(after)
