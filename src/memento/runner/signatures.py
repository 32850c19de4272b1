"""Find out what an experiment takes: the context and the config, or parameters and settings by name.

Knows: signatures, the names that a matrix has. May not know: how anything runs.

A function of two arguments without defaults takes the context and the config, in this order, however it calls them.
Where it names a parameter or setting of the matrix, where it asks for the two otherwise (``config, context``, or one of
them alone, or with ``**kwargs``), and where it has one argument, or more than two, it takes its arguments by name:
`context` or `ctx` and `config` or `cfg` (or what is annotated as these) are the two, `repeat` the number of the repeat,
all others parameters and settings; a default stands where a task has none, and ``**kwargs`` gets all that is left.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from memento.config import config_text
from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.matrix import Matrix
from memento.matrix.values import equal, quoted
from memento.runner.wrong_usage import CONFIGS, CONTEXTS, GIVE, name_of, short_name, where_else
from memento.suggest import misspelled, nearest
from memento.worker.by_name import Arguments, ByName

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_STARS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NEEDED = inspect.Parameter.empty
_BOUND = object()  # the default of an argument that a partial has given already
_NAMES = {"context": "context", "ctx": "context", "config": "config", "cfg": "config", "conf": "config"}
_ROLES = {"Context": "context", "Config": "config"}  # what is annotated as one of these
# All that code has as constants.
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type(...)})


def read(func: Any, matrix: Matrix) -> Arguments:
    """Find out what an experiment takes; raises where it lacks something, or where nobody takes a parameter."""
    given = _signature(func)
    # Some callables of C tell nothing of themselves.
    return Arguments() if given is None else _Reading(func, given, matrix).arguments()


class _Reading:
    """One function's arguments beside the names of one matrix."""

    def __init__(self, func: Any, given: list[inspect.Parameter], matrix: Matrix) -> None:
        self.func, self.matrix = func, matrix
        self.takes_rest = any(p.kind is p.VAR_KEYWORD for p in given)
        self.takes_places = any(p.kind is p.VAR_POSITIONAL for p in given)
        self.given = [p for p in given if p.kind not in _STARS]
        self.parameters = _names_of(matrix)
        self.known = {*self.parameters, *matrix.settings}
        space = getattr(inspect.unwrap(func), "__globals__", {})
        self.roles: dict[str, str] = {}
        for p in self.given:
            role = "" if p.name in self.known else _role(p, space)
            if role and role not in self.roles.values():
                self.roles[p.name] = role

    def arguments(self) -> Arguments:
        """Say what is taken, and refuse what cannot be."""
        if self._takes_the_two():
            two = [p for p in self.given if p.kind in _BY_PLACE][:2]
            return Arguments(
                defaults={p.name: p.default for p in self.given if p not in two and _is_plain(p.default)}
            )
        self._check_needed()
        self._check_defaults()
        everything = self._takes_everything
        if not everything:
            self._check_taken()
        lacking = self._lacking()
        to = {role: name for name, role in self.roles.items()}
        positional = tuple(p.name for p in self._leading())
        may_be_absent = [p.name for p in self.given if p.default is not _NEEDED and p.name not in self.roles]
        by_name = ByName(
            names=None if self.takes_rest else tuple(p.name for p in self.given if p.name in self.known),
            context=to.get("context", ""),
            config=to.get("config", ""),
            repeat=any(p.name == "repeat" and p.default is _NEEDED for p in self.given) and "repeat" not in self.known,
            positional=positional,
            absent=tuple(name for name in positional if name in may_be_absent),
        )  # fmt: skip
        of_keys = [p for p in self.given if p.name in may_be_absent and p.name not in self.matrix.volatile]
        defaults = {p.name: p.default for p in of_keys if p.name in lacking and _is_plain(p.default)}
        taken = {*self._names, *self.matrix.volatile}
        unused = [] if everything else [repr(name) for name in self.matrix.settings if name not in taken]
        what = f"setting{'' if len(unused) == 1 else 's'} {', '.join(unused)}"
        note = f"{short_name(self.func)} does not take the {what}, which is part of the keys all the same."
        return Arguments(by_name, defaults, (note,) if unused else ())

    @property
    def _takes_everything(self) -> bool:
        return self.takes_rest or "config" in self.roles.values()

    @property
    def _names(self) -> list[str]:
        return [p.name for p in self.given]

    def _takes_the_two(self) -> bool:
        """Tell whether a function takes the context and the config, by their places."""
        places = [p for p in self.given if p.kind in _BY_PLACE]
        two, usual = places[:2], (CONTEXTS, CONFIGS)
        usually = [p for p, words in zip(two, usual, strict=False) if p.name in words]
        if all(p.name in self.known for p in two) and not all(p.name.strip("_") in _NAMES for p in two):
            usually = []
        by_name = [p for p in self.given if p.name in self.known and p not in usually]
        if by_name or (len(two) < 2 and not self.takes_places):
            return False
        if self.takes_rest and not self.takes_places and all(p.name in self.roles for p in two):
            return False  # they come by name as well, and the rest gets what is left
        if any(p.default is _NEEDED for p in self.given if p not in two):
            return False
        for place, (p, words) in enumerate(zip(two, usual, strict=False)):
            if p.default is not _NEEDED and (p.default is _BOUND or p.name not in words):
                return False
            if self.roles.get(p.name) == ("config", "context")[place]:
                return False
        for p in two:
            meant = None if p.name in CONTEXTS | CONFIGS else misspelled(p.name, self.known)
            if meant is not None:
                raise MatrixTypeError(
                    self._told(),
                    f"no parameter or setting is called {p.name!r}.",
                    f"Did you mean {meant!r}? (A function of two other names gets the context and the config.)",
                )
        return True

    def _check_needed(self) -> None:
        """Refuse an argument that nothing provides."""
        for p in self.given:
            if p.default is not _NEEDED or p.name in self.known or p.name in self.roles or p.name == "repeat":
                continue
            given = dict.fromkeys((*self.parameters, *self.matrix.settings))  # in the matrix' order
            free = [name for name in given if name not in self._names]
            near = nearest(p.name, free)
            if near:
                todo = f"Did you mean {near[0]!r}?"
            else:
                todo = where_else(short_name(self.func), p.name, self._names)
            lacks = f"nothing provides {p.name!r}."
            if free and not near and not self._takes_everything and todo.startswith(GIVE):
                unused = ", ".join(map(repr, free))
                lacks = f"nothing provides {p.name!r}, and it does not take {unused}, which the matrix has."
                todo = todo.replace(GIVE, "Call the same thing the same, or give it values", 1)
            raise MatrixTypeError(self._told(), lacks, todo)

    def _check_defaults(self) -> None:
        """Refuse two defaults of one name: tasks that lack it would share keys with those that have the other one."""
        bound = self.func.keywords if isinstance(self.func, functools.partial) else {}
        for p in self.given:
            own, defaults = bound.get(p.name, p.default), self.matrix.defaults
            if own is _NEEDED or own is _BOUND or p.name not in defaults or p.name in self.matrix.volatile:
                continue
            if not equal(own, defaults[p.name]):
                here, there = quoted(defaults[p.name]), quoted(own)
                raise MatrixError(
                    f"defaults[{p.name!r}]",
                    f"it is {here}, and {self._told()} has {there} for a task without {p.name!r}: a result of one would"
                    " stand for the other.",
                    f"Give both the same default, here or in {self._with(f'{p.name}={here}', instead=p.name)}.",
                )

    def _check_taken(self) -> None:
        """Refuse a parameter that nobody takes: its values would compute the same."""
        free = [p.name for p in self.given if p.name not in self.known and p.name not in self.roles]
        for name in self.parameters:
            if name not in self._names:
                near = nearest(name, free)
                wanted = (
                    f"Did you mean {near[0]!r}?" if near else f"Write {self._with(name)}, or leave it out."
                )
                what = f"{self._told()} does not take it, so all of its values would compute the same."
                raise MatrixTypeError(f"parameters[{name!r}]", what, wanted)
        for name in self.matrix.settings:
            meant = None if name in self._names else misspelled(name, free)
            if meant is not None:
                what = f"{self._told()} does not take it."
                raise MatrixTypeError(f"settings[{name!r}]", what, f"Did you mean {meant!r}?")

    def _lacking(self) -> set[str]:
        """Return the arguments that some tasks have no value for; refuse those among them without a default."""
        settings, lacking = self.matrix.settings, {n for n in self._names if n not in self.known}
        if self.matrix.spec.upstream:  # not all of its values are known yet
            return lacking
        table = self.matrix.table()
        for column, name in enumerate(table.names if table.may_lack else ()):
            if name not in self._names or name in settings:
                continue
            rows = (table.columns[:, column] < 0).nonzero()[0]
            if not len(rows):
                continue
            lacking.add(name)
            if any(p.name == name and p.default is _NEEDED for p in self.given):
                example = config_text(self.matrix.config(int(rows[0]) * table.repeats))
                raise MatrixError(
                    f"parameters[{name!r}]",
                    f"{self._told()} needs it, and some tasks have none, like {example}.",
                    f"Give it a default: {self._with(f'{name}=...', instead=name)}.",
                )
        return lacking

    def _leading(self) -> Iterator[inspect.Parameter]:
        """Yield the arguments that are given by place: a decorator may hand these on without knowing their names."""
        for p in self.given:
            if p.kind is not p.POSITIONAL_ONLY and (p.kind is p.KEYWORD_ONLY or p.name not in self.roles):
                return
            yield p

    def _told(self) -> str:
        """Write the function as people know it."""
        return (
            f"{name_of(self.func)}({', '.join([*self._names, *(['**kwargs'] if self.takes_rest else [])])})"
        )

    def _with(self, name: str, instead: str = "") -> str:
        names = [name if n == instead else n for n in self._names]
        if not instead:  # before those that have defaults
            names.insert(sum(p.default is _NEEDED for p in self.given), name)
        return f"def {short_name(self.func)}({', '.join(names)})"


def _names_of(matrix: Matrix) -> list[str]:
    """Return the names of all parameters that a matrix has or will have."""
    spec = matrix.spec
    if not spec.upstream:
        return list(matrix.table().names)
    return list(
        dict.fromkeys([*spec.parameters, *sorted(spec.upstream), *(n for row in spec.include for n in row)])
    )


def _signature(func: Any) -> list[inspect.Parameter] | None:
    """Return what a callable takes; through decorators that take anything, and less what partials have given."""
    if isinstance(func, functools.partial):
        inner = _signature(func.func)
        return None if inner is None else list(_left(inner, func))
    is_function = isinstance(func, (types.FunctionType, types.MethodType, type))
    if not is_function and isinstance(
        inspect.getattr_static(type(func), "__call__", None), types.FunctionType
    ):
        func = func.__call__
    try:
        own = list(inspect.signature(func, follow_wrapped=False).parameters.values())
    except (TypeError, ValueError):
        own = None
    wrapped = getattr(func, "__wrapped__", None)
    if wrapped is None or (own is not None and all(p.kind is not p.VAR_KEYWORD for p in own)):
        return own
    if isinstance(func, types.MethodType) and isinstance(wrapped, types.FunctionType):
        wrapped = types.MethodType(wrapped, func.__self__)
    inner = _signature(wrapped)
    if inner is None:
        return own
    names = {p.name for p in inner}
    return [*(p for p in own or () if p.name not in names and p.kind not in _STARS), *inner]


def _left(given: Iterable[inspect.Parameter], made: functools.partial[Any]) -> Iterator[inspect.Parameter]:
    """Yield the arguments that a partial still takes."""
    by_place = iter(made.args)
    hole = getattr(functools, "Placeholder", by_place)  # from Python 3.14 on
    only_by_name = False
    for p in given:
        if p.kind in _BY_PLACE and next(by_place, hole) is not hole:
            continue
        if p.kind not in _STARS and p.name in made.keywords:
            only_by_name = only_by_name or p.kind in _BY_PLACE
            p = p.replace(default=_BOUND)
        if only_by_name and p.kind in _BY_PLACE:
            p = p.replace(kind=p.KEYWORD_ONLY)
        yield p


def _role(p: inspect.Parameter, space: Mapping[str, Any]) -> str:
    """Say whether an argument asks for the context or the config, by its name or its annotation."""
    if p.default is _BOUND:
        return ""
    name = p.name.strip("_")
    if name in _NAMES:
        return _NAMES[name]
    kind = p.annotation
    if isinstance(kind, str):
        text = kind.strip("\"' ")
        first, *rest = text.split(".")
        if first in space:
            kind = functools.reduce(lambda owner, one: getattr(owner, one, None), rest, space[first])
        else:  # imported for type checkers only
            return _ROLES.get(text.rpartition(".")[2], "")
    is_ours = isinstance(kind, type) and kind.__module__.partition(".")[0] == "memento"
    return _ROLES.get(kind.__name__, "") if is_ours else ""


def _is_plain(value: Any) -> bool:
    """Tell of a default whether the store can say what it is; the experiment's name tells the others."""
    if type(value) in (tuple, list):
        return all(map(_is_plain, value))
    return type(value) in _PLAIN
