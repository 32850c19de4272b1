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

from memento.keys import digest, json_fragment

if TYPE_CHECKING:
    from memento.matrix import Matrix
    from memento.plan.keyed_tasks import KeyedTasks

    # Ids of rows -> id, parameters and settings of each, as JSON.
    Written = Callable[[Sequence[int]], Iterator[tuple[int, str, str]]]


def computed_otherwise(
    tasks: KeyedTasks, rows: array[int], cached: bytearray, written: Written
) -> dict[int, tuple[str, str]]:
    """Return the tasks whose stored results are of another value, and for each the name and what it was then."""
    names = [name for name in tasks.matrix.defaults if name not in tasks.matrix.volatile]
    settings = _settings_at_default(tasks.matrix, names)
    columns = [column for column, name in enumerate(tasks.names) if name in names]
    expected = {tasks.names[column]: _fragments_at_default(tasks, column) for column in columns}
    if not settings and not any(any(fragments) for fragments in expected.values()):
        return {}
    each = {tasks.names[c]: tasks.along(c, [*expected[tasks.names[c]], ""]) for c in columns}
    numbers = list(compress(range(len(tasks)), cached))
    told = {
        number: (parameters, given)
        for number, parameters, given in written(sorted({rows[n] for n in numbers}))
    }
    found: dict[int, tuple[str, str]] = {}
    for name, fragments in each.items():
        for number, fragment in compress(enumerate(fragments), cached):
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
    name = tasks.names[column]
    default = digest(tasks.matrix.defaults[name], f"defaults[{name!r}]")
    fragments = tasks.fragments(column)  # of a store that knows the values, no two alike
    values = tasks.table.values[column]
    return [text if _is(value, default) else "" for value, text in zip(values, fragments, strict=True)]


def _is(value: Any, known: bytes) -> bool:
    from memento.store.upstream import UpstreamValue

    return not isinstance(value, UpstreamValue) and digest(value) == known


def _settings_at_default(matrix: Matrix, names: Iterable[str]) -> dict[str, Any]:
    """Return the settings at their default, as the store would write them."""
    at = [
        n for n in names if n in matrix.settings and digest(matrix.settings[n]) == digest(matrix.defaults[n])
    ]
    if not at:
        return {}
    written = json.loads(json_fragment(dict(matrix.settings)))
    return {name: written[name] for name in at if isinstance(written, dict) and name in written}


def _other(parameters: str, name: str, fragment: str) -> str:
    """Return what a row's parameters say of a name where that is another value; "" where they agree or say nothing."""
    label = json.dumps(name) + ": "
    mentions = parameters.count(label)
    if not mentions:
        return ""
    if mentions == 1 and (
        label + fragment + ", " in parameters or parameters.endswith(label + fragment + "}")
    ):
        return ""  # without reading the JSON, of which there may be a million
    told = json.loads(parameters)
    if name not in told or _same(told[name], json.loads(fragment)):
        return ""
    return json.dumps(told[name], ensure_ascii=False)


def _other_setting(text: str, settings: dict[str, Any]) -> tuple[str, str] | None:
    told = json.loads(text) if settings and text else None
    for name, value in settings.items():
        if isinstance(told, dict) and name in told and not _same(told[name], value):
            return name, json.dumps(told[name], ensure_ascii=False)
    return None


def _same(a: Any, b: Any) -> bool:
    """Compare JSON as keys do: 1, 1.0 and true are three, and the order of names does not count."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return repr(a) == repr(b)  # -0.0 is another float than 0.0
