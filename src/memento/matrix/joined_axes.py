"""Choose the combinations of a matrix' axes that agree as `on` asks, and say which values fit nothing.

Knows: axes, joins, values of upstream tasks; numbers of combinations, as in `grid`. May not know: rules.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from math import prod
from operator import floordiv, mod
from typing import TypeAlias

from memento.config import short_text
from memento.matrix.axes import Axis
from memento.matrix.labels import named
from memento.matrix.lineage import LACKING, Join, marks, upstream_values
from memento.matrix.several_grids import NothingAgrees
from memento.matrix.spec import Spec

_SHOWN = 3  # values that a warning names
_LONGEST = 40  # characters of each

_Marks: TypeAlias = "Mapping[int, Sequence[Hashable]]"  # axis -> what stands for each of its slots


def joined_axes(spec: Spec, axes: Sequence[Axis], limit: int, warnings: list[str]) -> array[int] | None:
    """Return the numbers of the combinations that agree, `limit` at most; None where results to join are missing."""
    joins = [join for join in spec.joins if all(own in spec.parameters for own, _ in join.members)]
    if not joins:
        return None
    axis_of = {name: place for place, axis in enumerate(axes) for name in axis.names}
    groups: list[dict[int, Sequence[Hashable]]] = [
        {axis_of[own]: marks(_values(spec, own, deeper)) for own, deeper in join.members} for join in joins
    ]
    sizes = [axis.size for axis in axes]
    kept = joined(sizes, groups, limit)
    if not kept:
        raise NothingAgrees(
            "dependencies",
            f"nothing is left: no results agree on {_listed(join.name for join in joins)}.",
            "Compare the values of these parameters in the matrices, or take 'on' out.",
        )
    for place in sorted({place for group in groups for place in group}):
        unused = sorted(set(range(sizes[place])).difference(_slots_on(kept, place, sizes)))
        if unused:
            warnings.append(_without_partner(spec, joins, axes[place], unused))
    return kept


def _shown(spec: Spec, own: str, deeper: str, slot: int) -> str:
    """Name a value of a parameter, or what a task has whose result it is."""
    values = spec.parameters[own]
    if not deeper:
        return named(values[slot], values)[:_LONGEST]
    found = upstream_values(own, values[slot : slot + 1], f"{own}.{deeper}")
    return short_text(found[1][0] or found[0][0] if found else LACKING, _LONGEST)


def _values(spec: Spec, own: str, deeper: str) -> Sequence[object]:
    """Return the values of a parameter, or what the tasks have whose results they are."""
    values = spec.parameters[own]
    if not deeper:
        return values
    found = upstream_values(own, values, f"{own}.{deeper}")
    return found[0] if found else [LACKING] * len(values)


def _without_partner(spec: Spec, joins: Sequence[Join], axis: Axis, unused: Sequence[int]) -> str:
    """Say which values of an axis fit nothing."""
    columns = [
        (join.name, own, deeper) for join in joins for own, deeper in join.members if own in axis.names
    ]
    told = dict.fromkeys(
        ", ".join(f"{name}={_shown(spec, own, deeper, slot)}" for name, own, deeper in columns)
        for slot in unused
    )
    some = "; ".join([*list(told)[:_SHOWN], *(["..."] if len(told) > _SHOWN else [])])
    return (
        f"dependencies: {len(unused):,} of {axis.size:,} values of {_listed(axis.names)} fit no others of the same"
        f" {_listed(name for name, *_ in columns)}, and are left out ({some})."
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


# -- numbers, as in `grid` --------------------------------------------------------------------------------


class TooMany(ValueError):
    """More combinations agree than there may be; `args[0]` is how many at least."""


def joined(sizes: Sequence[int], groups: Sequence[_Marks], limit: int) -> array[int]:
    """Return the numbers of the combinations that have one mark in each group, in ascending order; raises TooMany.

    Axes are taken one after another, each with the slots that fit what was chosen before: what does not fit is never
    visited. Two axes of a thousand slots each that agree in a thousand combinations cost some thousand steps.
    """
    numbers: Sequence[int] = [0]
    for axis, size in enumerate(sizes):
        bound = [
            (group[axis], group[min(group)], min(group))
            for group in groups
            if min(group) < axis and axis in group
        ]
        if not bound:
            if len(numbers) * size > limit:
                raise TooMany(len(numbers) * size)
            numbers = [number * size + slot for number in numbers for slot in range(size)]
            continue
        fitting: dict[tuple[Hashable, ...], list[int]] = {}
        for slot, own in enumerate(zip(*(ours for ours, _, _ in bound), strict=True)):
            fitting.setdefault(own, []).append(slot)
        # All axes of a group before this one agree: the first stands for them.
        columns = [
            map(theirs.__getitem__, _slots_on(numbers, first, sizes[:axis])) for _, theirs, first in bound
        ]
        told = list(zip(*columns, strict=True))
        total = sum(times * len(fitting.get(own, ())) for own, times in Counter(told).items())
        if total > limit:
            raise TooMany(total)
        numbers = [
            number * size + slot
            for number, own in zip(numbers, told, strict=True)
            for slot in fitting.get(own, ())
        ]
    return array("q", numbers)


def _slots_on(numbers: Sequence[int], axis: int, sizes: Sequence[int]) -> Iterator[int]:
    """Return the slot of each combination on one axis."""
    stride = prod(sizes[axis + 1 :])
    return map(mod, map(floordiv, numbers, repeat(stride)), repeat(sizes[axis]))
