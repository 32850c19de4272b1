"""The columns that `ls` can show of tasks: facts, parameters, parts of results, metrics; by name.

Knows: records, what is told of parameters. May not know: how wide a terminal is, which tasks were chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from memento.cli.exit_codes import UsageError
from memento.cli.list_layout import Column
from memento.cli.printing import time_text
from memento.cli.task_text import (
    error_text,
    loaded,
    plain_text,
    short_value,
    texts_of,
    told_of,
    value_of,
)
from memento.records import TaskRecord
from memento.results.advice import unknown
from memento.results.parameters import ABSENT
from memento.store.store import Store
from memento.values.describe import items_of
from memento.wording import duration, one_line, short_name, size_text

_PARTS = 8  # of a result that stand in columns of their own without being asked for
_DEPTH = 8  # of dicts in dicts whose parts have names
_WIDTH = 60  # characters of a text in a cell
_ERROR_WIDTH = 200  # of an error, which stands last

FACTS: Mapping[str, Callable[[TaskRecord], Any]] = {
    "key": lambda record: record.key.hex()[:12],
    "status": lambda record: record.status,
    "experiment": lambda record: short_name(record.experiment),
    "time": lambda record: duration(record.runtime),
    "cpu_time": lambda record: "" if record.cpu_time is None else duration(record.cpu_time),
    "memory": lambda record: "" if record.memory is None else size_text(record.memory),
    "started": lambda record: time_text(record.started),
    "attempts": lambda record: str(record.attempt),
    "repeat": lambda record: str(record.repeat),
    "run": lambda record: str(record.run),
    "worker": lambda record: record.worker,
    "error": error_text,
}


class Listed:
    """Some tasks, and their columns."""

    def __init__(self, store: Store, records: Sequence[TaskRecord]) -> None:
        self._store, self._records = store, records
        self._told = told_of(store, records)

    @cached_property
    def _values(self) -> list[tuple[bool, Any]]:
        return [value_of(self._store, record, parts=True) for record in self._records]

    @cached_property
    def _settings(self) -> list[dict[str, Any]]:
        return [loaded(record.settings) for record in self._records]

    @cached_property
    def _metrics(self) -> dict[str, dict[int, float]]:
        found: dict[str, dict[int, float]] = {}
        for piece in self._store.index.last_metrics(sorted(record.id for record in self._records)):
            for name, (ids, last) in piece.items():
                found.setdefault(name, {}).update(zip(ids.tolist(), last.tolist(), strict=True))
        return found

    @cached_property
    def parameters(self) -> list[dict[str, str]]:
        """A text for each parameter of each task; settings too where they are not the same for all."""
        texts = texts_of(self._records, self._told)
        names = dict.fromkeys(name for own in self._settings for name in own)
        every = [
            [plain_text(own[name]) if name in own else ABSENT for own in self._settings] for name in names
        ]
        for name, column in zip(names, every, strict=True):
            if len(set(column)) > 1:
                for own, text in zip(texts, column, strict=True):
                    own[f"settings.{name}"] = text
        return texts

    def shared(self) -> dict[str, str]:
        """Return the parameters that all of several tasks have in common, and of what they then are."""
        first = self.parameters[0] if len(self._records) > 1 else {}
        return {n: text for n, text in first.items() if all(own.get(n) == text for own in self.parameters)}

    def parts(self) -> list[str]:
        """Return the names of what results are made of; none where they are no dicts, or of too many parts."""
        dicts = [value for found, value in self._values if found and isinstance(value, dict)]
        whole = all(isinstance(value, dict) for found, value in self._values if found)
        deep = list(dict.fromkeys(name for value in dicts for name in names_in(value)))
        flat = list(dict.fromkeys(str(name) for value in dicts for name in value))
        return next((names for names in (deep, flat) if whole and len(names) <= _PARTS), [])

    def identity(self, *, without: Collection[str]) -> list[Column]:
        """Return the columns that tell tasks apart."""
        columns = [self._fact("key", stays=True), self._fact("status", stays=True)]
        if len({record.experiment for record in self._records}) > 1:
            columns.append(self._fact("experiment", stays=True)._replace(wraps=True))
        cells = [
            one_line(", ".join(f"{n}={text}" for n, text in own.items() if n not in without))
            for own in self.parameters
        ]
        if any(cells):
            columns.append(Column("parameters", cells, stays=True, wraps=True))
        return columns

    def usual(self) -> list[Column]:
        """Return the other columns that are shown where nobody says which."""
        columns = [self._part(name) for name in self.parts()]
        if not columns and any(found for found, _ in self._values):
            columns = [self._of("value", [value if found else None for found, value in self._values])]
        columns.append(self._fact("time"))
        if any(record.failure for record in self._records):
            columns.append(self._fact("error"))
        return columns

    def named(self, name: str) -> Column:
        """Return the column of this name."""
        kind, _, rest = name.partition(".")
        if name in FACTS:
            return self._fact(name)
        if any(name in own for own in self.parameters):
            return Column(
                name, [one_line(own.get(name, ABSENT), _WIDTH) for own in self.parameters], cut=True
            )
        if name == "value":
            return self._of(name, [value if found else None for found, value in self._values])
        for part in (name, rest if kind == "value" else name):
            if any(
                isinstance(value, dict) and (part in map(str, value) or part in names_in(value))
                for _, value in self._values
            ):
                return self._part(part)
        setting = rest if kind == "settings" else name
        if any(setting in own for own in self._settings):
            return self._of(name, [own.get(setting) for own in self._settings])
        metric = rest if kind == "metric" else name
        if metric in self._metrics:
            lasts = self._metrics[metric]
            return self._of(name, [lasts.get(record.id) for record in self._records])
        raise UsageError(unknown("column", name, self.names()))

    def names(self) -> list[str]:
        """Return the names of all columns."""
        parameters = dict.fromkeys(name for own in self.parameters for name in own)
        parts = dict.fromkeys(
            name for _, value in self._values if isinstance(value, dict) for name in names_in(value)
        )
        settings = dict.fromkeys(f"settings.{name}" for own in self._settings for name in own)
        return list(dict.fromkeys([*parameters, "value", *parts, *self._metrics, *settings, *FACTS]))

    def _part(self, name: str) -> Column:
        return self._of(name, [part_of(value, name) for _, value in self._values])

    def _of(self, name: str, values: Sequence[Any]) -> Column:
        numbers = all(value is None or isinstance(value, (int, float)) for value in values)
        cells = ["" if value is None else short_value(value, _WIDTH) for value in values]
        return Column(one_line(name, _WIDTH), cells, right=numbers, cut=not numbers)

    def _fact(self, name: str, *, stays: bool = False) -> Column:
        width = _ERROR_WIDTH if name == "error" else _WIDTH
        cells = [one_line(str(FACTS[name](record)), width) for record in self._records]
        return Column(
            name, cells, stays=stays, right=name in ("time", "cpu_time", "memory"), cut=name == "error"
        )


def names_in(value: Mapping[Any, Any], depth: int = _DEPTH) -> list[str]:
    """Return the names of what a dict holds, also in dicts in it.

    >>> names_in({"n": 3, "m": {"acc": 1, "f1": 2}})
    ['n', 'm.acc', 'm.f1']
    """
    found: dict[str, None] = {}
    for name, item in value.items():
        if isinstance(item, dict) and item and depth:
            found.update(dict.fromkeys(f"{name}.{inner}" for inner in names_in(item, depth - 1)))
        else:
            found[str(name)] = None
    return list(found)


def part_of(value: object, name: str) -> Any:
    """Return what a dict holds by this name, of `names_in` or its own; None where it holds nothing so.

    >>> part_of({"n": 3, "m": {"acc": 1}}, "m.acc")
    1
    """
    held = items_of(value) or {}
    for label, item in held.items():
        if str(label) == name:
            return item
    inner = ((item, f"{label}.") for label, item in held.items() if isinstance(item, dict))
    found = (part_of(item, name[len(start) :]) for item, start in inner if name.startswith(start))
    return next((item for item in found if item is not None), None)


def number_in(value: object, part: str | None) -> float:
    """Return the number that a result is, or that a part of it is; nan where there is none."""
    if part is not None:
        value = part_of(value, part)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
