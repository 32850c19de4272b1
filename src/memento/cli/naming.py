"""What NAME=VALUE means in a store: which values of which parameters, in the readable JSON of rows.

Knows: what a store tells of parameters, how values are called. May not know: which tasks are chosen, or for what.

    model=SVC          a parameter; its value as `memento.results.meant` reads it
    first.lr=0.1       a parameter of the task whose result is the parameter `first`
    repeat=2           which repeat of its configuration it is
    settings.folds=5   a setting of its run; `folds=5` too, where no parameter is called so
    C=-                tasks that do not have it

A name or a value must be known to some experiment; of the others no task is meant.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from memento.cli.exit_codes import UsageError
from memento.cli.task_text import loaded, task_key
from memento.index.declared_values import Item
from memento.index.types import Narrow, Sought
from memento.results.advice import unknown
from memento.results.meant import LACKING, no_text, slots_of_text, texts_in
from memento.results.parameters import Parameter
from memento.results.stored_tasks import stored_parameter
from memento.store.store import Store

REPEAT, SETTING = "repeat", "settings."
_REPEATS = 10_000  # more than anybody has
_SOME = 20  # tasks whose parameters an error names, whatever the store knows of them
_TASK = '"task '  # how the JSON of an upstream task begins

Items = Sequence[tuple[Any, Item | None]]  # values as `Index.axes` gives them


class Condition(NamedTuple):
    """What must hold of a task of one experiment."""

    parameter: str | None = None  # its name; None where it is about the rest
    fragments: frozenset[str] = frozenset()  # readable JSON of the values, one of which it must have
    lacking: bool = False  # ... or none at all
    repeats: frozenset[int] | None = None  # None: any
    runs: frozenset[int] | None = None

    def holds(self, row: Narrow, parameters: Mapping[str, Any]) -> bool:
        """Whether it holds of a task with these parameters."""
        return (
            (self.repeats is None or row.repeat in self.repeats)
            and (self.runs is None or row.run in self.runs)
            and self.holds_of(parameters)
        )

    def holds_of(self, parameters: Mapping[str, Any]) -> bool:
        """Whether the parameters are as they must be."""
        if self.parameter is None:
            return True
        if self.parameter not in parameters:
            return self.lacking
        return _fragment(parameters[self.parameter]) in self.fragments

    def texts(self) -> Iterator[str]:
        """Yield what stands in the JSON of parameters: at least one of these in each of which it holds."""
        name = json.dumps(self.parameter)
        if len(self.fragments) > 1 and all(fragment.startswith(_TASK) for fragment in self.fragments):
            yield f"{name}: {_TASK}"
            return
        for fragment in self.fragments:
            yield f"{name}: {fragment},"
            yield f"{name}: {fragment}}}"


class Named(NamedTuple):
    """What a name stands for in one experiment: its values, and what it means that it has some of them."""

    items: Items
    # Of their readable JSON, and whether it may lack it.
    condition: Callable[[frozenset[str], bool], Condition]


def conditions(
    store: Store, experiments: Iterable[str], asked: Mapping[str, Sequence[str]]
) -> dict[str, list[Condition]]:
    """Return what must hold of tasks, for each experiment that may have some; a condition for each name.

    `asked` has texts of values by name, of which it must have one.
    """
    known = {name: Known(store, name) for name in experiments}
    found: dict[str, list[Condition]] = {name: [] for name in known}
    for name, texts in asked.items():
        named = {of: one for of in found if (one := known[of].named(name)) is not None}
        named = named or _of_rows(store, found, name)
        if not named:
            names = dict.fromkeys(one for of in found for one in known[of].names())
            names |= dict.fromkeys(
                one for row in store.index.recent(limit=_SOME) for one in loaded(row.params)
            )
            raise UsageError(unknown("parameter", name, list(names)))
        meant: dict[str, set[str]] = {of: set() for of in named}  # readable JSON of values, "" for none
        parameters = {of: stored_parameter(name, one.items, of) for of, one in named.items()}
        for text in texts:
            _add(meant, parameters, named, text)
        found = {
            of: [*found[of], named[of].condition(frozenset(own - {""}), "" in own)]
            for of, own in meant.items()
            if own
        }
    return found


def _add(
    meant: Mapping[str, set[str]],
    parameters: Mapping[str, Parameter],
    named: Mapping[str, Named],
    text: str,
) -> None:
    """Add what a text means in each experiment: a value of its own, or all that stand in a list."""
    slots = {of: slots_of_text(parameter, text, lacking=True) for of, parameter in parameters.items()}
    if not any(slots.values()):
        several = texts_in(text)
        for one in several:
            _add(meant, parameters, named, one)
        if not several:
            raise UsageError(_no_value(text, parameters, named))
    for of, places in slots.items():
        meant[of].update("" if slot == LACKING else _written(*named[of].items[slot]) for slot in places)


def _no_value(text: str, parameters: Mapping[str, Parameter], named: Mapping[str, Named]) -> str:
    every = {_written(*one): one for each in named.values() for one in each.items}
    name = next(iter(parameters.values())).name
    return no_text(stored_parameter(name, list(every.values()), ""), text)


def _of_rows(store: Store, experiments: Iterable[str], name: str) -> dict[str, Named]:
    """Return what rows tell of a parameter that the store tells nothing else of: a part of it was lost."""
    values: dict[str, dict[str, Any]] = {of: {} for of in experiments}
    for row in store.index.seek(Sought(texts=[[f"{json.dumps(name)}: "]])):
        parameters = loaded(row.params) if row.experiment in values else {}
        if name in parameters:
            values[row.experiment].setdefault(_fragment(parameters[name]), parameters[name])
    return {of: _parameter(name, _as_items(own)) for of, own in values.items() if own}


class Known:
    """What a store tells of one experiment's parameters and settings."""

    def __init__(self, store: Store, experiment: str) -> None:
        self._index, self._experiment = store.index, experiment
        self._tasks: dict[frozenset[bytes], dict[bytes, dict[str, Any]]] = {}

    @cached_property
    def _table(self) -> dict[str, Items]:
        return {name: items for name, items in self._index.axes(self._experiment) if items}

    @cached_property
    def _settings(self) -> dict[int, dict[str, Any]]:
        """The settings of each run."""
        return {
            run.id: loaded(run.info.settings)
            for run in self._index.runs()
            if run.info.experiment == self._experiment
        }

    def names(self) -> list[str]:
        """Return all names, those of upstream tasks too."""
        settings = dict.fromkeys(name for own in self._settings.values() for name in own)
        return [*self._below(self._table), REPEAT, *(SETTING + name for name in settings)]

    def _below(self, table: Mapping[str, Items]) -> Iterator[str]:
        for name in table:
            yield name
            for inner in self._below(self._inner(self._upstream(table[name]))):
                yield f"{name}.{inner}"

    def named(self, name: str) -> Named | None:
        """Return what a name stands for; None where it is unknown."""
        found = self._in_table(self._table, name)
        if found is None and name == REPEAT:
            return Named(
                [(number, None) for number in range(_REPEATS)],
                lambda fragments, _: Condition(repeats=frozenset(map(int, fragments))),
            )
        return found or self._setting(name.removeprefix(SETTING))

    def _in_table(self, table: Mapping[str, Items], name: str) -> Named | None:
        """Return what a name stands for among parameters, or among those of upstream tasks."""
        if name in table:
            return _parameter(name, table[name])
        for at in (at for at, letter in enumerate(name) if letter == "."):
            head, rest = name[:at], name[at + 1 :]
            tasks = self._upstream(table.get(head, ()))
            inner = self._in_table(self._inner(tasks), rest) if tasks else None
            if inner is not None:
                return _of_upstream(head, tasks, inner)
        return None

    def _upstream(self, items: Items) -> dict[bytes, dict[str, Any]]:
        """Return the parameters of the tasks that are among values."""
        keys = frozenset(filter(None, (task_key(value) for value, _ in items)))
        if keys and keys not in self._tasks:
            found = self._index.parameters(keys)
            self._tasks[keys] = {key: loaded(params) for key, params in found.items()}
        return self._tasks.get(keys, {})

    def _inner(self, tasks: Mapping[bytes, Mapping[str, Any]]) -> dict[str, Items]:
        """Return the parameters of upstream tasks, with what is told of their values."""
        values: dict[str, dict[str, Any]] = {}
        for parameters in tasks.values():
            for name, value in parameters.items():
                values.setdefault(name, {}).setdefault(_fragment(value), value)
        told = {name: {_written(*one): one for one in self._table.get(name, ()) if one[1]} for name in values}
        return {
            name: [told[name].get(fragment, one) for fragment, one in zip(own, _as_items(own), strict=True)]
            for name, own in values.items()
        }

    def _setting(self, name: str) -> Named | None:
        values: dict[str, Any] = {}
        for settings in self._settings.values():
            if name in settings:
                values.setdefault(_fragment(settings[name]), settings[name])

        def condition(fragments: frozenset[str], lacking: bool) -> Condition:
            setting = Condition(name, fragments, lacking)
            return Condition(
                runs=frozenset(run for run, own in self._settings.items() if setting.holds_of(own))
            )

        return Named(_as_items(values), condition) if values else None


def _parameter(name: str, items: Items) -> Named:
    return Named(items, lambda fragments, lacking: Condition(name, fragments, lacking))


def _of_upstream(head: str, tasks: Mapping[bytes, Mapping[str, Any]], inner: Named) -> Named:
    """Return what a name stands for that upstream tasks have: those of them for which it holds."""

    def condition(fragments: frozenset[str], lacking: bool) -> Condition:
        wanted = inner.condition(fragments, lacking)
        keys = [key for key, parameters in tasks.items() if wanted.holds_of(parameters)]
        return Condition(head, frozenset(f'{_TASK}{key.hex()}"' for key in keys))

    return Named(inner.items, condition)


def _as_items(values: Mapping[str, Any]) -> list[tuple[Any, Item | None]]:
    """Return values by their readable JSON, of which nothing else is told; a text may be that of a class."""
    return [
        (value, Item(fragment, value) if isinstance(value, str) and value else None)
        for fragment, value in values.items()
    ]


def _written(value: Any, item: Item | None) -> str:
    return _fragment(value) if item is None else item.fragment


def _fragment(value: Any) -> str:
    """Return a value as it stands in rows; see `memento.index.declared_values`."""
    return repr(value) if type(value) in (int, float) else json.dumps(value, ensure_ascii=False)
