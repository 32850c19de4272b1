"""What a matrix takes of others: the key `dependencies`, the names of their parameters, and what is joined on them.

Knows: declarations in their normal form. May not know: tasks, slots, results.

A parameter of the matrix `clean` is called `clean.dataset` in a matrix that depends on it, and `fit.clean.dataset` in
one that depends on that.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from memento.config import inherited, labels_in
from memento.errors import MatrixError, MatrixTypeError
from memento.matrix.values import listed, mark, quoted
from memento.suggest import did_you_mean

_WHERE = "dependencies"


class Join(NamedTuple):
    """What has to be equal in a task: parameters, and parameters of the tasks whose results they are.

    Each member is a parameter and what of its task is meant: ("features", "dataset"), or "" for the value itself.
    """

    name: str
    members: tuple[tuple[str, str], ...]


class _Lacking:
    """Stands for a parameter that an upstream task does not have."""

    def __repr__(self) -> str:
        return "-"


LACKING = _Lacking()


def upstream_values(own: str, values: Sequence[object], name: str) -> tuple[list[object], list[str]] | None:
    """Return what the tasks have as parameter `name` whose results are the values of `own`, and the labels of that.

    None where no task has it.
    """
    if not name.startswith(f"{own}."):
        return None
    found: list[object] = []
    labels: list[str] = []
    for value in values:
        try:
            origin, rest = inherited({own: value}, name)
        except KeyError:
            origin, rest = {name: LACKING}, name
        found.append(origin[rest])
        labels.append(labels_in(origin).get(rest, ""))
    return (found, labels) if any(value is not LACKING for value in found) else None


def marks(values: Sequence[object]) -> list[Hashable]:
    """Return what is equal for values that are one to keys; each object is looked at once."""
    known: dict[int, Hashable] = {}
    for value in values:
        if id(value) not in known:
            known[id(value)] = LACKING if value is LACKING else mark(value)
    return [known[id(value)] for value in values]


class RuleNames(list[str]):
    """What rules may name: parameters, and what begins like one of a matrix that is depended on."""

    def __init__(self, names: Sequence[str], dependencies: Sequence[Any]) -> None:
        super().__init__(names)
        self._begin = tuple(f"{one}." for one in dependencies)

    def of_another(self, name: object) -> str:
        """Say how a parameter of another matrix is named."""
        stage, _, inner = str(name).partition(".")
        if inner:
            known = ", ".join(repr(begin[:-1]) for begin in self._begin)
            return f"Matrix {stage!r} is none of its dependencies: {known}."
        return f"A parameter of matrix {self._begin[0][:-1]!r} is named {f'{self._begin[0]}{name}'!r}."

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and name.startswith(self._begin))


def parse_dependencies(given: Any) -> tuple[tuple[Any, ...], dict[Any, tuple[str, ...]]]:
    """Return the ids in `dependencies`, and for those that say it on which parameters they are joined."""
    if not isinstance(given, Mapping):
        return listed(given, _WHERE, of="ids"), {}
    on: dict[Any, tuple[str, ...]] = {}
    for name, how in given.items():
        where = f"{_WHERE}[{name!r}]"
        if how is not None and not isinstance(how, Mapping):
            names = [how] if isinstance(how, str) else how
            todo = f"Write {{{name!r}: {{'on': {names!r}}}}}." if isinstance(names, list) else "Write {}."
            raise MatrixTypeError(where, f"a dict is needed, got {quoted(how)}.", todo)
        for key in how or {}:
            if key != "on":
                raise MatrixError(where, f"unknown key {key!r}.", did_you_mean(key, ["on"], "Keys"))
        names = (how or {}).get("on")
        if names is None:
            continue
        on[name] = tuple(dict.fromkeys(listed(names, f"{where}['on']", of="parameters' names")))
        for one in on[name]:
            if not isinstance(one, str):
                raise MatrixTypeError(
                    f"{where}['on']", f"a name is a text, got {quoted(one)}.", "Write ['dataset']."
                )
    return tuple(given), on
