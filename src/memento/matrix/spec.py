"""Validate what the user declared, and hold it in one normal form.

Knows: the keys of a matrix and what each may be. May not know: how tasks are counted or made.

Everything is checked here that needs no look at combinations of values; `space` checks the rest.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.config import Config, short_text
from memento.errors import MatrixError, MatrixTypeError
from memento.keys.encode import is_plain_scalar
from memento.matrix.labels import Labelled, labelled, listed_twice, meant
from memento.matrix.suggest import did_you_mean, misspelled, nearest
from memento.matrix.values import equal, listed, quoted, token

KEYS = (
    "parameters", "settings", "exclude", "include", "when", "zip", "defaults", "volatile", "repeats", "id",
    "dependencies",
)  # fmt: skip
_RULE = "Write {'parameter': value} or a function of the config."
_RESERVED = frozenset(dir(Config)) | {"settings", "repeat", "_dict"}

if TYPE_CHECKING:
    from memento.matrix.lineage import Join

    Test = Callable[[Config], object]
    Rule = dict[str, Any] | Test
    Alternative = dict[str, tuple[Any, ...]] | Test  # name -> the accepted values


class Spec(NamedTuple):
    """A matrix in its normal form: every name in it exists, every list is a tuple."""

    parameters: dict[str, tuple[Any, ...]]
    settings: dict[str, Any]
    exclude: tuple[Rule, ...]
    include: tuple[dict[str, Any], ...]
    when: dict[str, tuple[Alternative, ...]]  # the parameter varies where any of these holds
    zip: tuple[tuple[str, ...], ...]
    defaults: dict[str, Any]
    volatile: frozenset[str]
    repeats: int
    id: Any
    dependencies: tuple[Any, ...]
    on: dict[Any, tuple[str, ...]]  # of dependencies: the parameters on which they are joined
    notes: tuple[str, ...]  # what is allowed and may yet not be meant
    joins: tuple[Join, ...] = ()  # what `on` comes to, once the other matrices are known

    @property
    def upstream(self) -> frozenset[str]:
        """Names of parameters that dependencies will bring and that are not there yet."""
        return frozenset(str(d) for d in self.dependencies) - frozenset(self.parameters)


def make_spec(given: Mapping[str, Any]) -> Spec:
    """Check a matrix's dict and return its normal form; the dict stays as it is."""
    unknown = [key for key in given if key not in KEYS]
    misspelt = [k for k in unknown if nearest(k, ("parameters",)) and isinstance(given[k], Mapping)]
    if given.get("parameters") is None and not misspelt:
        raise MatrixError("matrix", "it must contain a 'parameters' key.", _nested(given, unknown))
    for key in misspelt + unknown:
        near = did_you_mean(key, KEYS, "Keys")
        if near.startswith("Keys") and _is_list(given[key]):
            near = f"Values to try stand under 'parameters': {_line({'parameters': {key: given[key]}})}."
        raise MatrixError("matrix", f"unknown key {key!r}.", near)
    notes: list[str] = []
    parameters = _parameters(given["parameters"], notes)
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
    groups = _zip(given.get("zip"), parameters)
    _note_repeated_values(parameters, groups, notes)
    defaults = meant(_optional_dict(given.get("defaults"), "defaults"), parameters, "defaults")
    volatile = _optional_list(given.get("volatile"), "volatile", "names")
    for where, named in (("defaults", defaults), ("volatile", volatile)):
        for name in named:
            _check_known(name, known, where, "parameter or setting")
    return Spec(
        parameters=parameters,
        settings=settings,
        exclude=_exclude(given.get("exclude"), in_rules),
        include=include,
        when=_when(given.get("when"), parameters, in_rules),
        zip=groups,
        defaults=defaults,
        volatile=frozenset(volatile),
        repeats=_repeats(given.get("repeats")),
        id=given.get("id"),
        dependencies=dependencies,
        on=on,
        notes=tuple(notes),
    )


_LIKE_PARAMETERS = "params param param_grid grid hyperparameters hparams space config configs".split()


def _nested(given: Mapping[str, Any], unknown: list[Any]) -> str:
    """Return the right line for a matrix without the key 'parameters'."""
    like = [key for key in unknown if str(key).casefold() in _LIKE_PARAMETERS]
    if len(like) == 1 and isinstance(given[like[0]], Mapping):
        return f"Write 'parameters' instead of {like[0]!r}."
    lists = {key: given[key] for key in unknown if isinstance(key, str) and _is_list(given[key])}
    plain = {key: given[key] for key in unknown if isinstance(key, str) and key not in lists}
    known = {key: value for key, value in given.items() if key in KEYS and key != "parameters"}
    if not lists:
        lists, plain = {key: [value] for key, value in plain.items()}, {}
    if not lists:
        return "Write {'parameters': {'name': [value, ...]}}."
    settings = {"settings": {**(known.pop("settings", None) or {}), **plain}} if plain else {}
    return f"Write {_line({'parameters': lists, **settings, **known})}."


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping))


def _line(matrix: Mapping[str, Any]) -> str:
    """Write a matrix as one would type it, as far as it is short."""
    parts = []
    for key, value in matrix.items():
        if isinstance(value, Mapping):
            inside = [f"{name!r}: {_typed(each)}" for name, each in list(value.items())[:4]]
            more = ", ..." if len(value) > 4 else ""
            parts.append(f"{key!r}: {{{', '.join(inside)}{more}}}")
        else:
            parts.append(f"{key!r}: {_typed(value)}")
    return f"{{{', '.join(parts)}}}"


def _typed(value: object) -> str:
    if isinstance(value, (list, tuple)) and len(value) <= 6:
        text = f"[{', '.join(quoted(each) for each in value)}]"
    else:
        text = quoted(value) if not _is_list(value) or isinstance(value, range) else "[...]"
    return text if len(text) <= 60 else "[...]" if _is_list(value) else "..."


def _parameters(given: object, notes: list[str]) -> dict[str, tuple[Any, ...]]:
    parameters = {}
    for name, values in _mapping(given, "parameters", "{'name': [value, ...]}").items():
        check_name(name, "parameters")
        where = f"parameters[{name!r}]"
        if name == "parameters" and isinstance(values, Mapping):
            raise MatrixError(
                where, "a matrix stands where its parameters are needed.", "Write Matrix.of(matrix)."
            )
        parameters[name] = _values(values, where)
        if not parameters[name]:
            raise MatrixError(
                where,
                "the list is empty, so there would be no task at all.",
                "Give it a value or leave the parameter out. (An iterator gives its values only once.)",
            )
        if isinstance(values, (set, frozenset)) and len(values) > 1:
            notes.append(
                f"{where} is a set: its values are taken in sorted order. A list keeps your own order."
            )
    return parameters


def _values(given: object, where: str) -> tuple[Any, ...]:
    if isinstance(given, Labelled):  # of another matrix
        return given
    return labelled(given, where) if isinstance(given, Mapping) else listed(given, where)


def check_name(name: object, where: str) -> None:
    """Raise MatrixError where a parameter cannot have this name."""
    if not isinstance(name, str):
        raise _wrong_type(where, "a name must be a string", name, f"Write {str(name)!r}.")
    _check_text(name, where)
    if not name:
        raise MatrixError(where, "a name must not be empty.", "Give the parameter a name.")
    if name in _RESERVED:
        todo = (
            "For several runs of each task use 'repeats'."
            if name == "repeat"
            else f"Rename it, e.g. '{name}_'."
        )
        raise MatrixError(
            where, f"{name!r} is a reserved parameter name: config.{name} is something else.", todo
        )


def _check_text(name: str, where: str) -> None:
    """Raise MatrixError for half a character, of which no key can be made and which no file takes."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise MatrixError(
            where, f"the name {name!a} is no Unicode text ({exc.reason}).", "Give it another name."
        ) from None


def _note_repeated_values(
    parameters: dict[str, tuple[Any, ...]], groups: tuple[tuple[str, ...], ...], notes: list[str]
) -> None:
    zipped = {name for group in groups for name in group}
    for name, values in parameters.items():
        if name in zipped or not all(map(_is_cheap, set(map(type, values)))):
            continue
        if len(set(values)) == len(values):
            continue
        seen: dict[object, int] = {}
        for place, value in enumerate(values):
            first = seen.setdefault(token(value), place)
            if first < place:
                notes.append(listed_twice(name, values, first, place))
                break


def _is_cheap(kind: type) -> bool:
    """Say whether values of a type are compared at no cost."""
    return kind in (str, int, float, bool, type(None)) or is_plain_scalar(kind)


def _settings(given: object) -> dict[str, Any]:
    settings = _optional_dict(given, "settings")
    for name in settings:
        if not isinstance(name, str):
            raise _wrong_type("settings", "a name must be a string", name, f"Write {str(name)!r}.")
        _check_text(name, "settings")
    return settings


def _exclude(given: object, names: list[str]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for i, rule in enumerate(_optional_list(given, "exclude", "rules")):
        where = f"exclude[{i}]"
        if isinstance(rule, Mapping):
            if not rule:
                raise MatrixError(
                    where, "an empty rule would exclude every task.", "Name a parameter, or remove it."
                )
            for name in rule:
                _check_known(name, names, where)
            rules.append(dict(rule))
        elif callable(rule):
            rules.append(rule)
        else:
            raise _wrong_type(where, "a rule is a dict or a callable", rule, _RULE)
    return tuple(rules)


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


def _when(
    given: object, parameters: dict[str, tuple[Any, ...]], names: list[str]
) -> dict[str, tuple[Alternative, ...]]:
    conditions: dict[str, tuple[Alternative, ...]] = {}
    if given is None:
        return conditions
    for name, condition in _mapping(given, "when", "{'C': {'model': SVC}}").items():
        _check_known(name, parameters, "when")
        where = f"when[{name!r}]"
        single = isinstance(condition, Mapping) or callable(condition)
        alternatives = (condition,) if single else listed(condition, where, of="conditions")
        if not alternatives:
            raise MatrixError(where, "there is no condition.", f"Write {{{name!r}: {{'parameter': value}}}}.")
        conditions[name] = tuple(
            _alternative(a, parameters, names, where if single else f"{where}[{i}]")
            for i, a in enumerate(alternatives)
        )
    return conditions


def _alternative(
    condition: object, parameters: dict[str, tuple[Any, ...]], names: list[str], where: str
) -> Alternative:
    if not isinstance(condition, Mapping):
        if not callable(condition):
            raise _wrong_type(where, "a condition is a dict or a callable", condition, _RULE)
        return condition
    if not condition:
        raise MatrixError(where, "an empty condition holds everywhere.", "Name a parameter, or remove it.")
    accepted = {}
    for name, value in condition.items():
        _check_known(name, names, where)
        choices = isinstance(value, (list, tuple, set, frozenset))
        if choices and any(type(v) is type(value) and equal(value, v) for v in parameters.get(name, ())):
            choices = False  # the list itself is one of the parameter's values
        accepted[name] = tuple(value) if choices else (value,)
        if not accepted[name]:
            raise MatrixError(f"{where}[{name!r}]", "the list is empty, so it never holds.", "List a value.")
    return accepted


def _dependencies(given: object) -> tuple[tuple[Any, ...], dict[Any, tuple[str, ...]]]:
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return (), {}  # as most matrices: what follows is not imported for these
    from memento.matrix.lineage import parse_dependencies

    return parse_dependencies(given)


def _zip(given: object, parameters: dict[str, tuple[Any, ...]]) -> tuple[tuple[str, ...], ...]:
    groups: list[tuple[str, ...]] = []
    seen: dict[str, int] = {}
    for i, members in enumerate(_optional_list(given, "zip", "groups")):
        where = f"zip[{i}]"
        if isinstance(members, str):
            raise MatrixTypeError(
                "zip", f"a list of groups is needed, got the name {members!r}.", "Write [['a', 'b']]."
            )
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
        sizes = {name: len(parameters[name]) for name in group}
        if len(set(sizes.values())) > 1:
            lengths = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
            raise MatrixError(
                where,
                f"parameters that advance together need equally many values: {lengths}.",
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
        raise _wrong_type(where, "a dict is needed", given, f"Write {example}.")
    return given


def _wrong_type(where: str, needed: str, given: object, todo: str) -> MatrixTypeError:
    return MatrixTypeError(where, f"{needed}, got {short_text(given)} ({type(given).__qualname__}).", todo)


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
