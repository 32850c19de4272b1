"""Turn the rows of a source into results of tasks, and say of every other row why it is none.

Knows: roles of columns, keyed tasks, cells. May not know: where rows come from, stores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from memento.exchange.cell_text import (
    moment_of_cell,
    number_of_cell,
    result_of,
    seconds_of_cell,
    value_of,
)
from memento.exchange.imported_results import Result
from memento.exchange.match_tasks import CellValues, MatrixTasks, matrix_of_rows
from memento.exchange.own_values import DESCRIBED, NOTHING, own_column, taken_back, value_in
from memento.exchange.roles import Roles, is_own
from memento.exchange.source_rows import CannotImport, Row, Source
from memento.matrix.matrix import Matrix
from memento.plan.keyed_tasks import KeyedTasks
from memento.records import DONE

_DONE = {
    DONE,
    "finished",
    "complete",
    "completed",
    "success",
    "succeeded",
    "successful",
    "ok",
    "trialstate.complete",
}
_MOST_REPEATS = 100_000
Held = Callable[[Matrix], Mapping[str, Any]]


def no_defaults(_: Matrix) -> Mapping[str, Any]:
    """Say that nothing is known of the experiment's own defaults."""
    return {}


class Prepared(NamedTuple):
    """What rows are: results of tasks, and why others are none; each reason with what the source calls its rows."""

    tasks: KeyedTasks
    results: list[Result]
    left_out: dict[str, list[str]]  # not done in the source, or without a result
    unmatched: dict[str, list[str]]  # of no task
    guessed: tuple[str, ...] = ()  # columns of an exported table that became one dict, though nobody said so


class _Left(NamedTuple):
    """Why a row is no result."""

    why: str


def with_matrix(
    source: Source, roles: Roles, matrix: Matrix, experiment: str, held: Held = no_defaults
) -> Prepared:
    """Match rows to the tasks of a matrix; `held` says what the experiment's own defaults give.

    Raises
    ------
    CannotImport
        The source lacks a parameter that tells tasks apart.
    """
    tasks = KeyedTasks(matrix, experiment, held(matrix))
    names = [name for name in roles.parameters if name not in matrix.volatile]
    found = MatrixTasks(tasks, names, source.columns)
    settings = _settings(matrix.settings, roles, matrix.volatile)
    prepared = Prepared(tasks, [], {}, {})
    read = _Reading(source, roles)
    for row in source.rows:
        result = read.result(row)
        if isinstance(result, _Left):
            prepared.left_out.setdefault(result.why, []).append(row.where)
            continue
        repeat = read.repeat(row)
        other = _other_setting(settings, row)
        task = None if other or repeat is None else found.find(row.cells, repeat, read.key(row))
        if task is not None and not task.why and tasks.key(task.number) != read.key(row):
            other = read.of_another(row, experiment)
        if task is not None and not task.why and not other:
            prepared.results.append(result._replace(number=task.number))
        else:
            why = other or (task.why if task is not None else "its repeat is no whole number from 0 on")
            prepared.unmatched.setdefault(why, []).append(row.where)
    return prepared


def without_matrix(
    source: Source,
    roles: Roles,
    experiment: str,
    settings: Mapping[str, Any],
    held: Held = no_defaults,
) -> Prepared:
    """Take the cells of parameters for their values, typed as a matrix file would.

    Raises
    ------
    CannotImport
        No column is a parameter.
    MatrixError
        A name cannot be a parameter's.
    """
    if not roles.parameters:
        raise CannotImport("no column is a parameter.", "Name them: --params a,b")
    settings = settings or _settings_of_rows(source, roles)
    checked = _settings(settings, roles)
    read, kept = _Reading(source, roles), []
    left_out: dict[str, list[str]] = {}
    unmatched: dict[str, list[str]] = {}
    for row in source.rows:
        result = read.result(row)
        if isinstance(result, _Left):
            left_out.setdefault(result.why, []).append(row.where)
            continue
        repeat = read.repeat(row)
        other = _other_setting(checked, row) or read.of_another(row, experiment)
        if repeat is None or other:
            unmatched.setdefault(other or "its repeat is no whole number from 0 on", []).append(row.where)
        else:
            kept.append((_parameters(row, roles), repeat, result))
    if not kept:
        return Prepared(KeyedTasks(Matrix(include=[{"none": 0}]), experiment), [], left_out, unmatched)
    repeats = 1 + max(repeat for _, repeat, _ in kept)
    matrix, places = matrix_of_rows([parameters for parameters, _, _ in kept], settings, repeats)
    results = [
        result._replace(number=place * repeats + repeat)
        for (_, repeat, result), place in zip(kept, places, strict=True)
    ]
    return Prepared(KeyedTasks(matrix, experiment, held(matrix)), results, left_out, unmatched)


def _parameters(row: Row, roles: Roles) -> dict[str, Any]:
    return {name: _typed(row.cells[name]) for name in roles.parameters if name in row.cells}


def _typed(cell: Any) -> Any:
    return value_of(cell) if isinstance(cell, str) else cell


def _settings_of_rows(source: Source, roles: Roles) -> dict[str, Any]:
    """Return the settings that a table of ours names, where they are the same in all of its rows."""
    found = {}
    for name, column in roles.settings.items():
        cells = {repr(row.cells[column]): row.cells[column] for row in source.rows if column in row.cells}
        if len(cells) > 1:
            raise CannotImport(
                f"its rows were computed with several values of the setting {name!r}.",
                f"Say which: --settings {name}={next(iter(cells.values()))}",
            )
        for cell in cells.values():
            found[name] = _typed(cell)
    return found


def _settings(
    settings: Mapping[str, Any], roles: Roles, volatile: Collection[str] = ()
) -> dict[str, CellValues]:
    """Return by column what settings must be."""
    return {
        column: CellValues(name, [settings[name]])
        for name, column in roles.settings.items()
        if name in settings and name not in volatile
    }


def _other_setting(settings: Mapping[str, CellValues], row: Row) -> str:
    """Say which setting a row was computed with another value of; "" where none is told."""
    for column, values in settings.items():
        if column in row.cells and not values.slots(row.cells[column]):
            return f"it was computed with another setting: {values.lacks(row.cells[column])}"
    return ""


class _Reading:
    """What cells say, but for parameters."""

    def __init__(self, source: Source, roles: Roles) -> None:
        self._source, self._roles = source, roles
        self._is_own = is_own(source.columns)
        self._key = own_column("key", source.columns) if self._is_own else None
        self._is_numeric: bool | None = None

    def repeat(self, row: Row) -> int | None:
        """Return a row's repeat; None where it is no number of one."""
        name = self._roles.repeat
        if name is None or name not in row.cells:
            return 0
        number = number_of_cell(row.cells[name])
        if number is None or number != number or not 0 <= number < _MOST_REPEATS or number % 1:
            return None
        return int(number)

    def key(self, row: Row) -> bytes:
        """Return the key that a table of ours has for a row; nothing where it has none."""
        try:
            return bytes.fromhex(row.cells.get(self._key, "")) if self._key is not None else b""
        except (TypeError, ValueError):
            return b""

    @cached_property
    def _has_several_experiments(self) -> bool:
        export = self._roles.export
        return export is not None and len({row.cells.get(export.experiment) for row in self._source.rows}) > 1

    def of_another(self, row: Row, experiment: str) -> str:
        """Say why a row of an exported table is of no task of this experiment; "" where nothing speaks against it."""
        export = self._roles.export
        if export is None:
            return ""
        theirs = row.cells.get(export.experiment)
        if theirs != experiment and self._has_several_experiments:
            return f"it is of the experiment {theirs}"
        more = next((name for name in export.undeclared if name in row.cells), None)
        return (
            f"it has {more}={row.cells[more]!s:.60}, which is no parameter here" if more is not None else ""
        )

    def result(self, row: Row) -> Result | _Left:
        """Return a row's result, of no task yet, or why it has none."""
        roles, cells = self._roles, row.cells
        status = row.status if roles.status is None else str(cells.get(roles.status, ""))
        if status.strip().lower() not in _DONE:
            return _Left(f"its status is {status!r:.60}" if status else "it has no status")
        value, metrics = self._told(cells)
        if value is DESCRIBED:
            return _Left("what it returned is no plain data, or large: `memento merge` takes it in")
        odd = next((name for name, number in metrics.items() if number is None), None)
        if odd is not None:
            return _Left(f"its metric {odd!r} is no number")
        if value is NOTHING and (roles.export is not None or not metrics):
            return _Left("it has no result")
        started, runtime = row.started, row.runtime
        if roles.started is not None and roles.started in cells:
            started = moment_of_cell(cells[roles.started])
        if roles.runtime is not None and roles.runtime in cells:
            runtime = seconds_of_cell(cells[roles.runtime])
            if runtime is None:
                return _Left(f"its {roles.runtime!r} is no time")
        memory = number_of_cell(cells.get(roles.memory or ""))
        return Result(
            -1,
            None if value is NOTHING else value,
            row.where,
            {name: number for name, number in metrics.items() if number is not None},
            started,
            runtime,
            number_of_cell(cells.get(roles.cpu_time or "")),
            None if memory is None or memory != memory else int(memory),
        )

    def _told(self, cells: Mapping[str, Any]) -> tuple[Any, dict[str, float | None]]:
        """Return what a task returned, and the last of its metrics; None for one that is no number."""
        roles = self._roles
        if roles.export is not None:
            return taken_back(cells, roles.value, roles.export.recorded, roles.items)
        metrics = {name: number_of_cell(cells[name]) for name in roles.metrics if name in cells}
        items = {name: _read(cells[name]) for name in roles.items if name in cells}
        if roles.value is None or roles.value not in cells:
            return items or (NOTHING if roles.status is None else self._of_nothing()), metrics
        if self._is_own and roles.value == "value":  # a frame, in which items beside a value are metrics
            more = {_name_of_metric(name, cells): number_of_cell(cells[name]) for name in items}
            return value_in(cells["value"]), metrics | more
        value = _read(cells[roles.value])
        return {roles.value: value, **items} if items else value, metrics

    def _of_nothing(self) -> Any:
        """Return what an empty cell of a task that is done says: no number among numbers, else None."""
        name = self._roles.value
        if name is None:
            return NOTHING
        if self._is_numeric is None:
            known = [row.cells[name] for row in self._source.rows if name in row.cells]
            self._is_numeric = bool(known) and all(number_of_cell(cell) is not None for cell in known)
        return float("nan") if self._is_numeric else None


def _name_of_metric(column: str, cells: Collection[str]) -> str:
    """Return what a metric in a frame is called, which has its kind in front where a parameter is called so."""
    name = column.removeprefix("metric.")
    return name if name in cells else column


def _read(cell: Any) -> Any:
    return result_of(cell) if isinstance(cell, str) else cell
