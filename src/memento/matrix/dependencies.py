"""Order matrices so that each comes after those whose results it takes, and check what they say of each other.

Knows: ids, declarations. May not know: tasks, results.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from memento.errors import CyclicDependency, MatrixError
from memento.matrix.axes import make_axes
from memento.matrix.declared_grids import check_name
from memento.matrix.labels import labels_of
from memento.matrix.lineage import Join, marks
from memento.matrix.matrix import Matrix
from memento.matrix.spec import Spec
from memento.matrix.values import quoted
from memento.suggest import did_you_mean, nearest

_SHOWN = 4  # values that an error lists


def execution_order(matrices: Iterable[Matrix]) -> list[Matrix]:
    """Return the matrices, each after its dependencies, otherwise in the order given; joined as they ask for."""
    given = list(matrices)
    by_id = _by_id(given)
    left = list(given)
    ordered: list[Matrix] = []
    done: set[Any] = set()
    while left:
        ready = next((m for m in left if all(d in done for d in m.dependencies)), None)
        if ready is None:
            raise CyclicDependency(_circle(left[0], by_id, done))
        ordered.append(ready)
        done.add(ready.id)
        left.remove(ready)
    return _with_lineage(ordered)


def _with_lineage(ordered: Sequence[Matrix]) -> list[Matrix]:
    """Check what matrices say of each other's parameters, and return them with what is to be joined."""
    names: dict[Any, list[str]] = {}
    specs = {str(matrix.id): matrix.spec for matrix in ordered}
    joined = []
    for matrix in ordered:
        for one in matrix.dependencies:
            check_name(str(one), f"dependencies of {matrix.id!r}")
        theirs = {str(one): names[one] for one in matrix.dependencies}
        if len(theirs) < len(matrix.dependencies):
            raise MatrixError(
                f"dependencies of {matrix.id!r}",
                "two of them have one name.",
                "Name each once, by another id.",
            )
        names[matrix.id] = _names_of(matrix.spec, theirs)
        _check_rules(matrix.spec, names[matrix.id])
        joins = _make_joins(matrix.spec, theirs)
        for join in joins:
            _check_common_value(matrix.spec, join, specs)
        joined.append(matrix.with_joins(joins))
    return joined


def _by_id(matrices: Sequence[Matrix]) -> dict[Any, Matrix]:
    by_id: dict[Any, Matrix] = {}
    for i, matrix in enumerate(matrices):
        where = f"matrix {i + 1} of {len(matrices)}"
        if matrix.id is None and len(matrices) > 1:
            raise MatrixError(where, "it has no 'id'.", "Give each of several matrices an 'id'.")
        if matrix.id in by_id:
            raise MatrixError(
                where, f"the id {matrix.id!r} is taken by one before it.", "Give it an id of its own."
            )
        by_id[matrix.id] = matrix
    for matrix in matrices:
        for wanted in matrix.dependencies:
            if wanted not in by_id:
                texts = {str(i): i for i in by_id}
                close = nearest(str(wanted), texts)
                known = (
                    f"Did you mean {texts[close[0]]!r}?" if close else f"Ids: {', '.join(map(repr, by_id))}."
                )
                raise MatrixError(
                    f"dependencies of {matrix.id!r}", f"no matrix has the id {wanted!r}.", known
                )
    return by_id


def _circle(start: Matrix, by_id: dict[Any, Matrix], done: set[Any]) -> list[Any]:
    """Walk along unmet dependencies until an id comes again."""
    path = [start.id]
    while True:
        after = next(d for d in by_id[path[-1]].dependencies if d not in done)
        if after in path:
            return path[path.index(after) :]
        path.append(after)


def _own_names(spec: Spec) -> list[str]:
    """Return the names of a matrix' own parameters, those of `include` too."""
    brought = set(map(str, spec.dependencies))
    added = (name for row in spec.include for name in row if name not in brought)
    return list(dict.fromkeys([*spec.parameters, *added]))


def _names_of(spec: Spec, inherited: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what a matrix' parameters are called, its own and those of others by id; refuse two of one name."""
    names = _own_names(spec)
    for one, theirs in inherited.items():
        names += [one, *(f"{one}.{name}" for name in theirs)]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            which = [one for one in inherited if name == one or name.startswith(f"{one}.")]
            what = f"matrix {which[-1]!r} brings {'its results' if name in which else 'a parameter'} under this name"
            raise MatrixError(
                f"dependencies of {spec.id!r}",
                f"{name!r} is a parameter already, and {what}.",
                "Rename the parameter or the id.",
            )
        seen.add(name)
    return [*names, "repeat"] if spec.repeats > 1 else names


def _check_rules(spec: Spec, names: Sequence[str]) -> None:
    """Raise MatrixError where a rule names a parameter of another matrix that this does not have."""
    for where, name in _named_by_rules(spec):
        if name not in names:
            raise MatrixError(
                f"{where} of {spec.id!r}", f"unknown parameter {name!r}.", did_you_mean(name, names)
            )


def _named_by_rules(spec: Spec) -> Iterator[tuple[str, str]]:
    for i, rule in enumerate(spec.exclude):
        yield from ((f"exclude[{i}]", name) for name in (() if callable(rule) else rule))
    for name, alternatives in spec.when.items():
        for one in alternatives:
            yield from ((f"when[{name!r}]", inner) for inner in (() if callable(one) else one))


def _make_joins(spec: Spec, inherited: Mapping[str, Sequence[str]]) -> tuple[Join, ...]:
    """Return what is to be equal in a matrix' tasks, by what its dependencies say under 'on'.

    What two of them call alike is joined, and a parameter of the matrix itself that is called so. Of what nobody else
    calls so, the last part of the name counts: "load.dataset" of one is "dataset" of another.
    """
    found = [
        (str(one), written, _meant(spec, str(one), written, inherited[str(one)]))
        for one, names in spec.on.items()
        for written in names
    ]
    own = [*_own_names(spec), *inherited]
    groups: dict[str, list[tuple[str, str]]] = {}
    for one, written, meant in found:
        groups.setdefault(written, []).append((one, meant))
    for written in list(groups):
        if len(groups[written]) == 1 and written not in own:  # nobody else calls it so
            last = groups[written][0][1].rpartition(".")[2]
            if last != written:
                groups.setdefault(last, []).extend(groups.pop(written))
    for name in groups:
        if name in own and name not in (one for one, _ in groups[name]):
            _check_varies(spec, name)
            groups[name].append((name, ""))
        if len(groups[name]) == 1:
            raise _no_partner(spec, name, groups[name][0])
        if len({one for one, _ in groups[name]}) < len(groups[name]):
            raise _twice(spec, name, groups[name])
    return tuple(Join(name, tuple(members)) for name, members in groups.items())


def _meant(spec: Spec, one: str, written: str, names: Sequence[str]) -> str:
    """Return a parameter of an upstream matrix in full, given in full or by its last part where that is unique."""
    if written in names:
        return written
    found = [name for name in names if name.endswith(f".{written}")]
    if len(found) == 1:
        return found[0]
    where = f"dependencies[{one!r}]['on'] of {spec.id!r}"
    if found:
        raise MatrixError(
            where, f"{written!r} may be {' or '.join(map(repr, found))}.", f"Write {found[0]!r} in full."
        )
    raise MatrixError(
        where, f"matrix {one!r} has no parameter {written!r}.", did_you_mean(written, names, "It has")
    )


def _check_varies(spec: Spec, name: str) -> None:
    by_when = any(axis.when for axis in make_axes(spec) if name in axis.names)
    if by_when or not all(name in grid for grid in spec.grids):
        without = "'when' takes out of some tasks" if by_when else "some grids do not have"
        raise MatrixError(
            f"dependencies of {spec.id!r}",
            f"results are joined on {name!r}, which {without}.",
            "Rename it here, or vary it in every task.",
        )


def _no_partner(spec: Spec, name: str, member: tuple[str, str]) -> MatrixError:
    others = [str(one) for one in spec.dependencies if str(one) != member[0]]
    todo = (
        f"Write {{{others[0]!r}: {{'on': [{name!r}]}}}} too, or take it out."
        if others
        else f"Give this matrix a parameter {name!r}, or take it out."
    )
    return MatrixError(
        f"dependencies[{member[0]!r}]['on'] of {spec.id!r}",
        f"there is nothing to join {name!r} with: no other dependency names it, and the matrix has no such parameter.",
        todo,
    )


def _twice(spec: Spec, name: str, members: Sequence[tuple[str, str]]) -> MatrixError:
    one = next(one for one, _ in members if sum(one == other for other, _ in members) > 1)
    names = " and ".join(repr(inner) for other, inner in members if other == one)
    return MatrixError(
        f"dependencies[{one!r}]['on'] of {spec.id!r}",
        f"{names} would both be {name!r} of the others.",
        "Name one of them, or write the names of the others in full.",
    )


def _check_common_value(spec: Spec, join: Join, specs: Mapping[str, Spec]) -> None:
    """Raise MatrixError where no value is common to all that is joined, before anything runs."""
    told: list[str] = []
    common: set[Hashable] | None = None
    for own, deeper in join.members:
        values = _values(spec, f"{own}.{deeper}" if deeper else own, specs)
        if values is None:
            continue
        shown = labels_of(values) or values
        more = ", ..." if len(values) > _SHOWN else ""
        told.append(f"{own!r} has {', '.join(map(quoted, shown[:_SHOWN]))}{more}")
        found = set(marks(values))
        common = found if common is None else common & found
    if common is not None and not common:
        raise MatrixError(
            f"dependencies of {spec.id!r}",
            f"nothing is left, since no value of {join.name!r} is common to all: {'; '.join(told)}.",
            "Compare the values, or take 'on' out.",
        )


def _values(spec: Spec, name: str, specs: Mapping[str, Spec]) -> Sequence[object] | None:
    """Return the values that a parameter may have, at any depth; None where a declaration does not say."""
    if spec.when or spec.include or spec.grids:
        return None  # some tasks may be without it
    if name in spec.parameters:
        return spec.parameters[name]
    for one in map(str, spec.dependencies):
        if name.startswith(f"{one}."):
            return _values(specs[one], name[len(one) + 1 :], specs)
    return None
