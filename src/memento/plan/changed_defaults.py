"""Find the results that were computed with another value where a parameter or setting is at its default now.

Knows: which values of a matrix leave no trace in keys, and what stored rows say of them. May not know: SQL, executors.

A parameter at its default is no part of the key, so that a grid grows a dimension and keeps its results. The price:
when the default is changed, tasks with the new one have the keys of those with the old. But a row knows the parameters
and settings that it was computed with; where it names another value, it is another task's. One that does not name the
parameter was computed before that existed, and is what the default stands for.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

from memento.keys.readable import json_fragment

if TYPE_CHECKING:
    from memento.plan.keyed_tasks import KeyedTasks

    # Ids of rows -> id, parameters and settings of each, as JSON.
    Written = Callable[[Sequence[int]], Iterator[tuple[int, str, str]]]


def computed_otherwise(
    tasks: KeyedTasks, rows: array[int], cached: bytearray, written: Written
) -> dict[int, tuple[str, str]]:
    """Return the tasks whose stored results are of another value, and for each the name and what it was then."""
    names = [name for name in tasks.matrix.defaults if name not in tasks.matrix.volatile]
    settings = _settings_at_default(tasks, names)
    columns = [column for column, name in enumerate(tasks.names) if name in names]
    expected = {column: _fragments_at_default(tasks, column) for column in columns}
    if not settings and not any(map(any, expected.values())):
        return {}
    numbers = list(compress(range(len(tasks)), cached))
    told = {
        row: (parameters, given) for row, parameters, given in written(sorted({rows[n] for n in numbers}))
    }
    found: dict[int, tuple[str, str]] = {}
    for column, fragments in expected.items():
        name = tasks.names[column]
        for number, fragment in compress(enumerate(tasks.along(column, [*fragments, ""])), cached):
            then = _other(told.get(rows[number], ("{}", ""))[0], name, fragment) if fragment else ""
            if then:
                found[number] = name, then
    others = {text: _other_setting(text, settings) for text in {given for _, given in told.values()}}
    for number in numbers:
        other = others.get(told.get(rows[number], ("", ""))[1])
        if other is not None:
            found[number] = other
    return found


def _fragments_at_default(tasks: KeyedTasks, column: int) -> list[str]:
    """Return the readable JSON of a parameter's values where they are at the default, "" elsewhere."""
    name, values = tasks.names[column], tasks.table.values[column]
    fragments = tasks.fragments(column)  # of a store that knows the values, no two alike
    pairs = zip(values, fragments, strict=True)
    return [text if tasks.digest(name, value) == tasks.defaults[name] else "" for value, text in pairs]


def _settings_at_default(tasks: KeyedTasks, names: Iterable[str]) -> dict[str, Any]:
    """Return the settings at their default, as the store would write them."""
    settings = tasks.matrix.settings
    at = [n for n in names if n in settings and tasks.digest(n, settings[n]) == tasks.defaults[n]]
    written = json.loads(json_fragment(dict(settings))) if at else {}
    return {name: written[name] for name in at if isinstance(written, dict) and name in written}


def _other(parameters: str, name: str, fragment: str) -> str:
    """Return what a row's parameters say of a name where that is another value; "" where they agree or say nothing."""
    label = json.dumps(name) + ": "
    mentions = parameters.count(label)
    same = label + fragment
    if not mentions or (mentions == 1 and (f"{same}, " in parameters or parameters.endswith(f"{same}}}"))):
        return ""  # without reading the JSON, of which there may be a million
    return _differs(json.loads(parameters), name, json.loads(fragment))


def _other_setting(text: str, settings: dict[str, Any]) -> tuple[str, str] | None:
    told = json.loads(text) if settings and text else None
    for name, value in settings.items():
        if then := _differs(told, name, value):
            return name, then
    return None


def _differs(told: Any, name: str, value: Any) -> str:
    """Return what is told of a name, as JSON, where it is another value; 1, 1.0 and true are three, as for keys."""
    if not isinstance(told, dict) or name not in told:
        return ""
    then, now = (json.dumps(one, sort_keys=True) for one in (told[name], value))
    return json.dumps(told[name], ensure_ascii=False) if then != now else ""
