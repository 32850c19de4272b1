"""Find the results that were computed with another value where a parameter or setting is at its default now.

Knows: which values of a matrix leave no trace in keys, and what stored rows say of them. May not know: SQL, executors.

A parameter at its default is no part of the key, so that a grid grows a dimension and keeps its results. The price:
when the default is changed, tasks with the new one have the keys of those with the old. But a row knows the parameters
and settings that it was computed with; where it names another value, it is another task's. One that does not name the
parameter was computed before that existed, and is what the default stands for.

An argument of the experiment that has a default is no part of the key either, where tasks have no value for it: a run's
settings name what it was.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any

from memento.keys.readable import json_fragment

if TYPE_CHECKING:
    from memento.plan.keyed_tasks import KeyedTasks

    # Ids of rows -> id, parameters and settings of each, as JSON.
    Written = Callable[[Sequence[int]], Iterator[tuple[int, str, str]]]


def computed_otherwise(
    tasks: KeyedTasks, rows: array[int], cached: bytearray, changed: bytearray, written: Written
) -> dict[int, tuple[str, str]]:
    """Return the tasks whose stored results are of another value, and for each the name and what it was then.

    `cached` marks the tasks that have results, `changed` those of them that other code has computed: only there can an
    argument of the experiment have had another default.
    """
    columns = {name: column for column, name in enumerate(tasks.names)}
    # A name, for each task what it is now, where to look.
    now: list[tuple[str, Iterable[str], bytearray]] = []
    for name, fragment in _settings_at_default(tasks).items():
        now.append((name, repeat(fragment, len(tasks)), cached))
    for name in [name for name in tasks.defaults if name in columns]:
        texts = _fragments_at_default(tasks, columns[name])
        if any(texts):
            now.append((name, tasks.along(columns[name], [*texts, ""]), cached))
    for name, value in tasks.held.items() if any(changed) else ():
        lacked: Iterable[str] = repeat(json_fragment(value), len(tasks))
        if name in columns:
            size = len(tasks.table.values[columns[name]])
            lacked = tasks.along(columns[name], [*[""] * size, json_fragment(value)])
        now.append((name, lacked, changed))
    if not now:
        return {}
    numbers = compress(range(len(tasks)), cached if any(where is cached for _, _, where in now) else changed)
    told = {row: told for row, *told in written(sorted({rows[number] for number in numbers}))}
    others: dict[tuple[str, str, str], str] = {}  # what settings say of a name that is this now
    found: dict[int, tuple[str, str]] = {}
    for name, fragments, where in now:
        for number, fragment in compress(enumerate(fragments), where):
            if not fragment or rows[number] not in told:
                continue
            parameters, settings = told[rows[number]]
            then = _other(parameters, name, fragment)
            if then is None:
                asked = settings, name, fragment
                if asked not in others:
                    others[asked] = _differs(json.loads(settings or "null"), name, json.loads(fragment))
                then = others[asked]
            if then:
                found[number] = name, then
    return found


def _fragments_at_default(tasks: KeyedTasks, column: int) -> list[str]:
    """Return the readable JSON of a parameter's values where they are at the default, "" elsewhere."""
    name, values = tasks.names[column], tasks.table.values[column]
    fragments = tasks.fragments(column)  # of a store that knows the values, no two alike
    pairs = zip(values, fragments, strict=True)
    return [text if tasks.digest(name, value) == tasks.defaults[name] else "" for value, text in pairs]


def _settings_at_default(tasks: KeyedTasks) -> dict[str, str]:
    """Return the readable JSON of the settings at their default, as the store would write it."""
    settings = tasks.matrix.settings
    at = [n for n in tasks.defaults if n in settings and tasks.digest(n, settings[n]) == tasks.defaults[n]]
    written = json.loads(json_fragment(dict(settings))) if at else {}
    return {n: json.dumps(written[n]) for n in at if isinstance(written, dict) and n in written}


def _other(parameters: str, name: str, fragment: str) -> str | None:
    """Return what a row's parameters say of a name where that is another value; "" where they agree.

    None where they do not say it.
    """
    label = json.dumps(name) + ": "
    mentions = parameters.count(label)
    same = label + fragment
    if not mentions:
        return None  # without reading the JSON, of which there may be a million
    if mentions == 1 and (f"{same}, " in parameters or parameters.endswith(f"{same}}}")):
        return ""
    told = json.loads(parameters)
    return _differs(told, name, json.loads(fragment)) if isinstance(told, dict) and name in told else None


def _differs(told: Any, name: str, value: Any) -> str:
    """Return what is told of a name, as JSON, where it is another value; 1, 1.0 and true are three, as for keys."""
    if not isinstance(told, dict) or name not in told:
        return ""
    then, now = (json.dumps(one, sort_keys=True) for one in (told[name], value))
    return json.dumps(told[name], ensure_ascii=False) if then != now else ""


def of_another_default(where: str, name: str, then: str, count: int) -> str:
    """Say that results of another value are there, and are not used."""
    results = "1 result was" if count == 1 else f"{count} results were"
    return f"{where} has changed: {results} computed with {name}={then:.80} and will be computed again."
