"""Tell what is wrong with each row of an index.

Knows: the columns. May not know: who is told, how anything is mended. Nothing here unpickles or writes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from memento.index.tables import rows
from memento.index.types import Checked
from memento.records import DONE, FAILED, Encoded

if TYPE_CHECKING:
    from memento.index.tables.base import Database

_BULK = 8_192  # rows read at once


def check_rows(database: Database) -> Iterator[Checked]:
    """Yield each row with what is wrong with it."""
    sql = database.sql
    experiments = dict(database.all(sql.EXPERIMENT_NAMES))
    older = {number for (number,) in database.all(sql.TWO_ROWS)}
    ((first, last),) = database.all(sql.ID_RANGE)
    for start in range(first, last + 1, _BULK):
        part = (start, start + _BULK - 1)
        # One task's at a time: they may be large.
        wrong = database.taken(_wrong_metrics, sql.METRICS.format(sql.IN_RANGE), part)
        for row in database.all(sql.TASKS.format(sql.IN_RANGE), part):
            fault, kind = _row_fault(row, experiments), "row"
            if not fault and row[0] in wrong:
                fault, kind = "its metrics in the index are not what was written", "metric"
            if not fault and row[0] in older:
                fault, kind = "it has two rows in the index", "twice"
            yield _checked(row, fault, kind, experiments)


def _checked(row: tuple[Any, ...], fault: str, kind: str, experiments: dict[int, str]) -> Checked:
    number, key, experiment, params = row[:4]
    return Checked(
        number,
        key.hex() if isinstance(key, bytes) else str(key),
        experiments.get(experiment, "") if isinstance(experiment, int) else "",
        str(params),
        fault,
        kind,
        None if fault or row[15] is None else _value(row),
        () if fault or row[23] is None else tuple(map(str, json.loads(row[23]))),
    )


def _value(row: tuple[Any, ...]) -> Encoded:
    return Encoded(row[15], row[19], row[18], row[17], row[16], row[32])


def _row_fault(row: tuple[Any, ...], experiments: dict[int, str]) -> str:
    """Return what is wrong with a row of `sql.TASKS`; "" for nothing."""
    key, experiment, params, run, repeat, status, code, attempt = row[1:9]
    if not isinstance(key, bytes) or len(key) != 16:
        return "its key in the index is no key"
    value = None if row[15] is None else _value(row)
    if not rows.is_as_written(key, params, value, row[26]):
        return "its row in the index is not what was written"
    facts = (row[0], status == DONE, *row[9:13], row[24], experiment, repeat, row[13], row[27], row[28])
    if not rows.facts_are_as_written((facts,)):
        return "what its row in the index says of its time, memory or failure is not what was written"
    if status not in (DONE, FAILED):
        return "its row says neither that it is done nor that it failed"
    if status == DONE and value is None:
        return "its row says that it is done, and has no value"
    if value is not None and (value.data is None) == (value.ref is None):
        return "its row does not say where its value is"
    if not all(isinstance(number, int) for number in (code, attempt, run)):
        return "a number in its row in the index is none any more"
    if experiment not in experiments:
        return "its row in the index belongs to no experiment"
    if row[24] is not None and not _is_json(row[24], dict):
        return "the index's record of its failure is damaged"
    if row[23] is not None and not _is_json(row[23], list):
        return "the index's list of its artifacts is damaged"
    return ""


def _wrong_metrics(found: Iterable[tuple[Any, ...]]) -> set[int]:
    """Return the tasks whose metrics, rows of `sql.METRICS`, are not what was written."""
    wrong = set()
    for task, its in groupby(found, key=itemgetter(0)):
        series = list(its)
        if not rows.metrics_are_as_written(series, series[0][1]):
            wrong.add(task)
    return wrong


def _is_json(text: Any, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except (ValueError, TypeError):
        return False
