"""What a source of results tells, whatever it is: a row a task, its cells by the names of columns.

Knows: plain values. May not know: files, servers, stores, matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from memento.errors import MementoError
from memento.records import DONE


class CannotImport(MementoError, ValueError):
    """A source cannot be imported as asked; says why.

    Parameters
    ----------
    problem : str
        What is in the way.
    todo : str
        What to do.
    """

    def __init__(self, problem: str, todo: str = "") -> None:
        super().__init__(problem, todo)
        self.problem, self.todo = problem, todo

    def __str__(self) -> str:
        return f"{self.problem} {self.todo}".rstrip()


class Row(NamedTuple):
    """What a source tells of one task."""

    where: str  # what the source calls it: "line 3", "trial 7"
    cells: Mapping[str, Any]  # by column; a text may stand for any value; what is not known is not there
    status: str = DONE  # or the source's own word for it
    started: float | None = None  # UTC seconds
    runtime: float | None = None  # seconds


class Source(NamedTuple):
    """All rows, the oldest first, and which columns the source itself calls parameters and results."""

    kind: str  # "csv", "hydra", "mlflow", "optuna"
    name: str  # for people, without secrets
    rows: list[Row]
    columns: tuple[str, ...]
    parameters: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    def renamed(self, names: Mapping[str, str]) -> Source:
        """Return the source with other names for some columns.

        Raises
        ------
        CannotImport
            There is no such column, or two would have one name.
        """
        for old, new in names.items():
            if old not in self.columns:
                raise no_column(f"--rename {old}={new}", old, self.columns)
        renamed = tuple(names.get(column, column) for column in self.columns)
        twice = next((name for name in renamed if renamed.count(name) > 1), None)
        if twice is not None:
            raise CannotImport(
                f"--rename: two columns would be called {twice!r}.", "Rename the other one too."
            )

        def each(columns: Iterable[str]) -> tuple[str, ...]:
            return tuple(names.get(column, column) for column in columns)

        rows = [
            row._replace(cells={names.get(column, column): cell for column, cell in row.cells.items()})
            for row in self.rows
        ]
        return self._replace(
            rows=rows, columns=renamed, parameters=each(self.parameters), results=each(self.results)
        )


def no_column(where: str, name: str, columns: Iterable[str]) -> CannotImport:
    """Say that a column that was named is not there."""
    from memento.suggest import did_you_mean

    return CannotImport(f"{where}: the source has no {name!r}.", did_you_mean(name, columns, "It has"))
