"""Decide what each column of a source is: a parameter, a setting, the result, a metric, a fact of its task.

Knows: names of columns, what was asked for, the names of a matrix. May not know: values, stores.

    named by an option                          that
    a parameter or setting of the matrix        that
    what the source itself calls so             parameters, results
    repeat; of a file: status, runtime, start_time
                                                facts of the task
    settings.NAME; key, was_cached, cpu_time, memory, error
                                                ... in a table that Memento wrote
    all others, of a file                       results where the parameters are known, else parameters

`value` is the result itself, as `Results.to_frame` writes it; every other column of results is an item of it by name.
In a table of `memento export` what was declared stands before `status`, and what came out after it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from memento.exchange.own_values import is_export, own_column
from memento.exchange.source_rows import CannotImport, Source, no_column

_FACTS = {
    "status": "status",
    "runtime": "runtime",
    "started": "start_time",
    "cpu_time": "cpu_time",
    "memory": "memory",
}
# What else a table of ours tells of a task.
_OF_ITSELF = ("key", "experiment", "was_cached", "attempts", "error")
_SETTING = re.compile(r"(?:setting\.)*settings\.(.+)", re.DOTALL)  # in a table of ours
REPEAT = "repeat"


class Asked(NamedTuple):
    """What a person said of the columns; None where nothing was said."""

    parameters: Sequence[str] | None = None
    value: Sequence[str] = ()
    metrics: Sequence[str] = ()
    runtime: str | None = None
    status: str | None = None


class Export(NamedTuple):
    """What else is in a table of `memento export`, which tells items and metrics apart: see `own_values`."""

    experiment: str
    recorded: str | None  # all metrics in one cell
    undeclared: tuple[str, ...]  # parameters there, of which nothing is known here


class Roles(NamedTuple):
    """What columns are."""

    parameters: tuple[str, ...]
    settings: Mapping[str, str] = {}  # name -> column
    value: str | None = None  # the result itself
    items: tuple[str, ...] = ()  # of the result, by their names
    metrics: tuple[str, ...] = ()
    export: Export | None = None
    status: str | None = None
    runtime: str | None = None
    started: str | None = None
    cpu_time: str | None = None
    memory: str | None = None
    repeat: str | None = None


def roles_of(
    source: Source, asked: Asked, parameters: Collection[str] | None, settings: Collection[str] = ()
) -> Roles:
    """Return what each column is; `parameters` are those of the matrix, None where there is none.

    Raises
    ------
    CannotImport
        A column that was named is not there, or it is not clear which are the parameters or the results.
    """
    columns = source.columns
    _check_named(asked, columns)
    own = _chosen_parameters(source, asked, parameters)
    if is_export(columns) and own is not None and not (asked.value or asked.metrics):
        return _of_export(source, asked, own)
    said = (asked.runtime or "", asked.status or "")
    known = {*asked.value, *asked.metrics, *said, *(own or ())}
    held = _settings(columns, settings, known)
    facts = _facts(source, asked, known.union(held.values()))
    known.update(held.values(), facts.values())
    if is_own(columns):
        known.update(own_column(name, columns) or "" for name in (*_OF_ITSELF, *_FACTS.values()))
    rest = tuple(name for name in columns if name not in known)
    if own is None:  # a file, of which nothing but its results was named
        if not (asked.value or asked.metrics):
            raise CannotImport(
                f"which columns are parameters? The source has {_listed(columns)}.",
                "Name them, --params a,b, or give the matrix: memento import SOURCE FILE:FUNC MATRIX",
            )
        own, rest = rest, ()
    results = asked.value or tuple(n for n in rest if not source.results or n in source.results)
    if not results and not asked.metrics:
        raise CannotImport(
            f"no column is left for the result: {_listed(columns)}.", "Name one: --value accuracy"
        )
    value = results[0] if tuple(results) == ("value",) or (asked.value and len(asked.value) == 1) else None
    if value is None and not asked.value and "value" in results and source.kind == "csv":
        value = "value"  # of a frame whose other values are dicts, with columns of their own
    items = tuple(name for name in results if name != value)
    return Roles(own, held, value, items, tuple(asked.metrics), None, **facts)


def _check_named(asked: Asked, columns: Collection[str]) -> None:
    """Refuse columns that are not there, or are named twice."""
    named = [
        ("--params", asked.parameters or ()),
        ("--value", asked.value),
        ("--metrics", asked.metrics),
        ("--runtime", [asked.runtime] if asked.runtime else ()),
        ("--status", [asked.status] if asked.status else ()),
    ]
    taken: dict[str, str] = {}
    for option, names in named:
        for name in names:
            if name not in columns:
                raise no_column(option, name, columns)
            if name in taken:
                raise CannotImport(f"{name!r} is named by {taken[name]} and by {option}.", "Name it once.")
            taken[name] = option


def _of_export(source: Source, asked: Asked, parameters: tuple[str, ...]) -> Roles:
    """Return what the columns of an exported table are: each by its place and its name."""
    at = source.columns.index(own_column("status", source.columns) or "")
    before, after = source.columns[:at], source.columns[at:]

    def own(name: str) -> str | None:
        column = own_column(name, source.columns)
        return column if column in after else None

    key, experiment = (own_column(name, before) or "" for name in ("key", "experiment"))
    held = {
        found[1]: column
        for column in sorted(before, key=len)
        if column not in parameters and (found := _SETTING.fullmatch(column))
    }
    facts = {fact: own(name) for fact, name in _FACTS.items()}
    facts |= {fact: name for fact, name in (("status", asked.status), ("runtime", asked.runtime)) if name}
    facts["repeat"] = REPEAT if REPEAT in before else None
    value, recorded = own("value"), own("metrics")
    known = {*parameters, *held.values(), *facts.values(), key, experiment, value, recorded}
    known |= {own("attempts"), own("error")}
    items = tuple(name for name in after if name not in known)
    export = Export(experiment, recorded, tuple(name for name in before if name not in known))
    return Roles(parameters, held, value, items, (), export, **facts)


def _chosen_parameters(
    source: Source, asked: Asked, parameters: Collection[str] | None
) -> tuple[str, ...] | None:
    """Return the columns that are parameters, in the source's order; None where nothing tells them."""
    if asked.parameters is not None:
        unknown = [name for name in asked.parameters if parameters is not None and name not in parameters]
        if unknown:
            from memento.suggest import did_you_mean

            raise CannotImport(
                f"--params: the matrix has no parameter {unknown[0]!r}.",
                did_you_mean(unknown[0], parameters or (), "It has"),
            )
        return tuple(asked.parameters)
    results = {*asked.value, *asked.metrics, asked.runtime, asked.status}
    if parameters is not None:
        columns = source.columns
        if is_export(columns):  # what came out may be called like a parameter that came later
            columns = columns[: columns.index(own_column("status", columns) or "")]
        return tuple(name for name in columns if name in parameters and name not in results)
    if source.parameters:
        return tuple(name for name in source.parameters if name not in results)
    return None


def is_own(columns: Collection[str]) -> bool:
    """Tell whether a table is one that Memento wrote: `Results.to_frame`, or `memento export`."""
    return {"key", "status", "was_cached"} <= set(columns) or is_export(columns)


def guessed_items(source: Source, asked: Asked, roles: Roles) -> tuple[str, ...]:
    """Return the columns of a frame of ours that are taken as one dict; recorded metrics look like parts of it."""
    names = (*([roles.value] if roles.value else []), *roles.items)
    said = asked.value or asked.metrics or roles.export
    return names if is_own(source.columns) and not said and len(names) > 1 else ()


def _settings(columns: Collection[str], known: Collection[str], taken: Collection[str]) -> dict[str, str]:
    """Return the columns that are settings: those that are known, or in a table of ours."""
    free = [column for column in columns if column not in taken]
    found = {column: column for column in free if column in known}
    if is_own(columns):
        found |= {match[1]: match[0] for match in map(_SETTING.fullmatch, free) if match}
    return found


def _facts(source: Source, asked: Asked, taken: Collection[str]) -> dict[str, str]:
    """Return which columns tell facts of a task; what is no file tells its own otherwise."""
    columns, names = source.columns, {"repeat": REPEAT}
    if source.kind == "csv":
        names |= {"status": "status", "runtime": "runtime", "started": "start_time"}
    if is_own(columns):
        names |= {fact: own_column(name, columns) or name for fact, name in _FACTS.items()}
    names |= {"status": asked.status} if asked.status else {}
    names |= {"runtime": asked.runtime} if asked.runtime else {}
    said = {asked.status, asked.runtime}
    return {
        fact: name for fact, name in names.items() if name in columns and (name in said or name not in taken)
    }


def _listed(columns: Iterable[str]) -> str:
    names = list(columns)
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
