"""Validate what the user declared, and hold it in one normal form.

Knows: the keys of a matrix and what each may be. May not know: how tasks are counted or made.

Everything is checked here that needs no look at combinations of values; `space` checks the rest.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.arguments import KEYS
from memento.matrix.declared_grids import check_name, check_text, make_grids, note_repeated_values, united
from memento.matrix.labels import meant
from memento.matrix.ranges import as_numbers
from memento.matrix.values import equal, listed, quoted, wrong_type
from memento.settings import Settings
from memento.suggest import did_you_mean, misspelled

_RULE = "Write {'parameter': value} or a function of the config."

if TYPE_CHECKING:
    from memento.config import Config
    from memento.matrix.lineage import Join

    Test = Callable[[Config], object]
    Rule = dict[str, Any] | Test  # name -> the accepted value, or a list of several


class Spec(NamedTuple):
    """A matrix in its normal form: every name in it exists, every list is a tuple."""

    parameters: dict[str, tuple[Any, ...]]  # of several grids: each parameter with the values of all
    settings: dict[str, Any]
    exclude: tuple[Rule, ...]
    include: tuple[dict[str, Any], ...]
    when: dict[str, tuple[Rule, ...]]  # the parameter varies where any of these holds
    zip: tuple[tuple[str, ...], ...]
    defaults: dict[str, Any]
    volatile: frozenset[str]
    repeats: int
    id: Any
    dependencies: tuple[Any, ...]
    on: dict[Any, tuple[str, ...]]  # of dependencies: the parameters on which they are joined
    notes: tuple[str, ...]  # what is allowed and may yet not be meant
    grids: tuple[dict[str, tuple[Any, ...]], ...] = ()  # where there are several: the parameters of each
    joins: tuple[Join, ...] = ()  # what `on` comes to, once the other matrices are known

    @property
    def upstream(self) -> frozenset[str]:
        """Names of parameters that dependencies will bring and that are not there yet."""
        return frozenset(str(d) for d in self.dependencies) - frozenset(self.parameters)


def make_spec(given: Mapping[str, Any]) -> Spec:
    """Check a matrix's dict and return its normal form; the dict stays as it is."""
    _check_keys(given)
    notes: list[str] = []
    grids = make_grids(given.get("parameters"), notes)
    parameters = united(grids)
    settings = _settings(given.get("settings"))
    dependencies, on = _dependencies(given.get("dependencies"))
    names = [*parameters, *(str(d) for d in dependencies if str(d) not in parameters)]
    in_rules = names
    if dependencies:
        from memento.matrix.lineage import RuleNames

        in_rules = RuleNames(names, dependencies)
    include = _include(given.get("include"), names, parameters, settings)
    extra = [n for row in include for n in row if n not in names]
    known = list(dict.fromkeys([*names, *extra, *settings]))
    notes += _lists_in(include, parameters)
    groups = _zip(given.get("zip"), parameters, grids)
    for grid in grids:
        note_repeated_values(grid, groups, notes)
    for name in filter(parameters.__contains__, settings):
        notes.append(
            f"{name!r} is a parameter and a setting: config.{name} is the parameter,"
            f" config.settings[{name!r}] the setting."
        )
    defaults = meant(_optional_dict(given.get("defaults"), "defaults"), parameters, "defaults")
    volatile = _optional_list(given.get("volatile"), "volatile", "names")
    for where, named in (("defaults", defaults), ("volatile", volatile)):
        for name in named:
            _check_known(name, known, where, "parameter or setting")
    for name in settings.keys() & defaults.keys() & {*names, *extra}.difference(volatile):
        if not equal(settings[name], defaults[name]):
            here, there = quoted(defaults[name]), quoted(settings[name])
            told = f"it is {here}, and tasks without the parameter have the setting {there}: they would share keys."
            raise MatrixError(
                f"defaults[{name!r}]", told, "Give the setting another name, or the same value."
            )
    return Spec(
        parameters=parameters,
        settings=settings,
        exclude=_exclude(given.get("exclude"), parameters, in_rules),
        include=include,
        when=_when(given.get("when"), parameters, in_rules),
        zip=groups,
        defaults=defaults,
        volatile=frozenset(volatile),
        repeats=_repeats(given.get("repeats")),
        id=given.get("id"),
        dependencies=dependencies,
        on=on,
        notes=tuple(dict.fromkeys(notes)),
        grids=grids if len(grids) > 1 else (),
    )


def _check_keys(given: Mapping[str, Any]) -> None:
    """Raise MatrixError where a key is none of a matrix', or nothing says what to run."""
    unknown = [key for key in given if key not in KEYS]
    enough = given.get("parameters") is not None or any(given.get(key) for key in ("include", "dependencies"))
    if enough and not unknown:
        return
    from memento.matrix.right_line import parameters_meant, right_key, right_line

    if given.get("parameters") is None:
        meant = parameters_meant(unknown, given)
        if meant is None:
            raise MatrixError("matrix", "it must contain a 'parameters' key.", right_line(given, KEYS))
        raise MatrixError("matrix", f"unknown key {meant!r}.", "Did you mean 'parameters'?")
    for key in unknown:
        raise MatrixError("matrix", f"unknown key {key!r}.", right_key(key, given, KEYS))


def _settings(given: object) -> dict[str, Any]:
    settings = _optional_dict(given, "settings")
    for name in settings:
        if not isinstance(name, str):
            raise wrong_type("settings", "a name must be a string", name, f"Write {str(name)!r}.")
        check_text(name, "settings")
    return Settings(settings)


def _exclude(given: object, parameters: dict[str, tuple[Any, ...]], names: list[str]) -> tuple[Rule, ...]:
    rules = enumerate(_optional_list(given, "exclude", "rules"))
    return tuple(_rule(rule, parameters, names, f"exclude[{i}]") for i, rule in rules)


def _include(
    given: object, names: list[str], parameters: dict[str, tuple[Any, ...]], settings: dict[str, Any]
) -> tuple[dict[str, Any], ...]:
    rows: list[dict[str, Any]] = []
    for i, row in enumerate(_optional_list(given, "include", "tasks")):
        where = f"include[{i}]"
        for name in _mapping(row, where, "{'parameter': value}"):
            check_name(name, where)
            near = None if name in names else misspelled(name, [*names, *settings])
            if near is not None:
                raise MatrixError(
                    where,
                    f"unknown parameter {name!r}.",
                    f"Did you mean {near!r}? If {name!r} is a parameter of its own, give it a name less alike.",
                )
        rows.append(meant(row, parameters, where))
    return tuple(rows)


def _lists_in(include: tuple[dict[str, Any], ...], parameters: dict[str, tuple[Any, ...]]) -> Iterator[str]:
    """Yield where a single task has a list, and no other value of the parameter is one."""
    for i, row in enumerate(include):
        for name in (name for name, value in row.items() if isinstance(value, list) and name in parameters):
            if not any(isinstance(value, (list, tuple)) for value in parameters[name]):
                yield (
                    f"include[{i}]: {name!r} is one value here, {quoted(row[name])}. For a task with each of"
                    f" them write 'parameters': [{{...}}, {{{name!r}: {quoted(row[name])}}}]."
                )


def _when(
    given: object, parameters: dict[str, tuple[Any, ...]], names: list[str]
) -> dict[str, tuple[Rule, ...]]:
    conditions: dict[str, tuple[Rule, ...]] = {}
    if given is None:
        return conditions
    for name, condition in _mapping(given, "when", "{'C': {'model': SVC}}").items():
        _check_known(name, parameters, "when")
        where = f"when[{name!r}]"
        single = isinstance(condition, Mapping) or callable(condition)
        if not single and (isinstance(condition, str) or not isinstance(condition, Iterable)):
            on = [
                n
                for n, values in parameters.items()
                if n != name and any(equal(condition, v) for v in values)
            ]
            todo = f"Write {{{name!r}: {{{on[0] if on else 'parameter'!r}: {quoted(condition)}}}}}."
            raise wrong_type(where, "a condition is a dict or a callable", condition, todo)
        alternatives = (condition,) if single else listed(condition, where, of="conditions")
        if not alternatives:
            raise MatrixError(where, "there is no condition.", f"Write {{{name!r}: {{'parameter': value}}}}.")
        conditions[name] = tuple(
            _rule(a, parameters, names, where if single else f"{where}[{i}]")
            for i, a in enumerate(alternatives)
        )
    return conditions


def _rule(given: object, parameters: dict[str, tuple[Any, ...]], names: list[str], where: str) -> Rule:
    """Return a rule of `exclude` or a condition of `when`, its ranges written out."""
    of_when = where.startswith("when")
    if not isinstance(given, Mapping):
        if not callable(given):
            what = "a condition" if of_when else "a rule"
            raise wrong_type(where, f"{what} is a dict or a callable", given, _RULE)
        return given
    if not given:
        problem = "condition holds everywhere" if of_when else "rule would exclude every task"
        raise MatrixError(where, f"an empty {problem}.", "Name a parameter, or remove it.")
    rule = {}
    for name, value in given.items():
        _check_known(name, names, where)
        rule[name] = value
        if not isinstance(value, (Mapping, list, tuple, set, frozenset, range)):
            continue
        if any(type(v) is type(value) and equal(value, v) for v in parameters.get(name, ())):
            continue  # it is one of the parameter's values
        if isinstance(value, Mapping):
            rule[name] = as_numbers(value, f"{where}[{name!r}]") or value
        elif not value:
            problem = f"the list is empty, so it never {'holds' if of_when else 'matches'}."
            raise MatrixError(f"{where}[{name!r}]", problem, "List a value.")
    return rule


def _dependencies(given: object) -> tuple[tuple[Any, ...], dict[Any, tuple[str, ...]]]:
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return (), {}  # as most matrices: what follows is not imported for these
    from memento.matrix.lineage import parse_dependencies

    return parse_dependencies(given)


def _zip(
    given: object, parameters: dict[str, tuple[Any, ...]], grids: tuple[dict[str, tuple[Any, ...]], ...]
) -> tuple[tuple[str, ...], ...]:
    groups: list[tuple[str, ...]] = []
    seen: dict[str, int] = {}
    for i, members in enumerate(_optional_list(given, "zip", "groups")):
        where = f"zip[{i}]"
        if isinstance(members, str):
            todo = f"Write [{list(given)!r}]." if isinstance(given, (list, tuple)) else "Write [['a', 'b']]."
            raise MatrixTypeError("zip", f"a list of groups is needed, got the name {members!r}.", todo)
        group = listed(members, where, of="names")
        for name in group:
            _check_known(name, parameters, where)
            if name in seen:
                raise MatrixError(
                    where, f"{name!r} is in zip[{seen[name]}] already.", "Name it in one group only."
                )
            seen[name] = i
        if not group:
            raise MatrixError(where, "the group is empty.", "Name two parameters, or remove it.")
        for number, grid in enumerate(grids):
            sizes = {name: len(grid[name]) for name in group if name in grid}
            if len(set(sizes.values())) > 1:
                lengths = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
                place = f" (in parameters[{number}])" if len(grids) > 1 else ""
                raise MatrixError(
                    where,
                    f"parameters that advance together need equally many values: {lengths}{place}.",
                    "Make them equal.",
                )
        groups.append(group)
    return tuple(groups)


def _repeats(given: object) -> int:
    if given is None:
        return 1
    try:
        repeats = operator.index(given)  # type: ignore[arg-type]  # what is no int is what we look for
    except TypeError:
        repeats = 0
    if isinstance(given, bool) or repeats < 1:
        raise MatrixTypeError(
            "repeats", f"a whole number from 1 on is needed, got {quoted(given)}.", "Write 5."
        )
    return repeats


def _mapping(given: object, where: str, example: str) -> Mapping[Any, Any]:
    if not isinstance(given, Mapping):
        raise wrong_type(where, "a dict is needed", given, f"Write {example}.")
    return given


def _optional_dict(given: object, where: str) -> dict[Any, Any]:
    return {} if given is None else dict(_mapping(given, where, "{'name': value}"))


def _optional_list(given: object, where: str, of: str) -> tuple[Any, ...]:
    return () if given is None else listed(given, where, of=of)


def _check_known(name: object, known: Iterable[str], where: str, what: str = "parameter") -> None:
    if not isinstance(name, str) or name not in known:
        todo = did_you_mean(name, known)
        if hasattr(known, "of_another"):
            todo = f"{todo} {known.of_another(name)}"
        raise MatrixError(where, f"unknown {what} {name!r}.", todo)
