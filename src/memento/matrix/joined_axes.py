"""Choose the combinations of a matrix' axes that agree as `on` asks, and say which values fit nothing.

Knows: axes, joins, values of upstream tasks. May not know: rules, how combinations are chosen.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence

from memento.config import short_text
from memento.matrix.axes import Axis
from memento.matrix.join import joined, slots_on
from memento.matrix.labels import named
from memento.matrix.lineage import LACKING, Join, marks, upstream_labels, upstream_values
from memento.matrix.several_grids import NothingAgrees
from memento.matrix.spec import Spec

_SHOWN = 3  # values that a warning names
_LONGEST = 40  # characters of each


def joined_axes(spec: Spec, axes: Sequence[Axis], limit: int, warnings: list[str]) -> array[int] | None:
    """Return the numbers of the combinations that agree; None where results to be joined are not there yet.

    Raises
    ------
    TooMany
        They are more than `limit`.
    """
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
        unused = sorted(set(range(sizes[place])).difference(slots_on(kept, place, sizes)))
        if unused:
            warnings.append(_without_partner(spec, joins, axes[place], unused))
    return kept


def _shown(spec: Spec, own: str, deeper: str, slot: int) -> str:
    """Name a value of a parameter, or what a task has whose result it is."""
    values = spec.parameters[own]
    if not deeper:
        return named(values[slot], values)[:_LONGEST]
    label = upstream_labels(own, values[slot : slot + 1], f"{own}.{deeper}")[0]
    return short_text(label or _values(spec, own, deeper)[slot], _LONGEST)


def _values(spec: Spec, own: str, deeper: str) -> Sequence[object]:
    """Return the values of a parameter, or what the tasks have whose results they are."""
    values = spec.parameters[own]
    if not deeper:
        return values
    return upstream_values(own, values, f"{own}.{deeper}") or [LACKING] * len(values)


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
