"""What varies in a matrix: parameters, and groups of them that advance together, each with its condition.

Knows: a declaration in its normal form. May not know: tasks, slots, how conditions are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from memento.errors import MatrixError
from memento.matrix.spec import Spec
from memento.matrix.values import equal


class Axis(NamedTuple):
    """What varies as one: a parameter, or the members of a zip group."""

    names: tuple[str, ...]
    size: int
    when: tuple[Any, ...] = ()  # alternatives; empty: it always varies


def make_axes(spec: Spec) -> list[Axis]:
    """Return the axes in the order of their first members."""
    group_of = {name: group for group in spec.zip for name in group}
    axes: list[Axis] = []
    done: set[str] = set()
    for name, values in spec.parameters.items():
        if name in done:
            continue
        names = tuple(sorted(group_of.get(name, (name,)), key=list(spec.parameters).index))
        done.update(names)
        axes.append(Axis(names, len(values), _shared_condition(names, spec)))
    return axes


def _shared_condition(names: Sequence[str], spec: Spec) -> tuple[Any, ...]:
    """Return the condition of a group; its members advance together, so there can be one only."""
    given = {name: spec.when[name] for name in names if name in spec.when}
    first, *others = given.items() if given else [("", ())]
    for name, condition in others:
        if not _same_condition(condition, first[1]):
            raise MatrixError(
                f"when[{name!r}]",
                f"{name!r} and {first[0]!r} advance together by 'zip', and their conditions differ.",
                "Give the condition once, on either of them.",
            )
    return first[1]


def _same_condition(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    def accepted(value: Any) -> tuple[Any, ...]:
        return tuple(value) if isinstance(value, (list, tuple, set, frozenset, range)) else (value,)

    def same(one: Any, other: Any) -> bool:
        if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
            return all(equal(accepted(one[name]), accepted(other[name])) for name in one)
        return equal(one, other)

    return len(a) == len(b) and all(map(same, a, b))
