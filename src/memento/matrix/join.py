"""Choose of all combinations of some axes those that agree: numbers, as in `grid`.

Knows: sizes, slots, strides, marks. May not know: names, values, rules.

Axes are taken one after another, each with the slots that fit what was chosen before: what does not fit is never
visited. Two axes of a thousand slots each that agree in a thousand combinations cost some thousand steps.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import repeat
from math import prod
from operator import floordiv, mod
from typing import TypeAlias

Marks: TypeAlias = "Mapping[int, Sequence[Hashable]]"  # axis -> what stands for each of its slots


class TooMany(ValueError):
    """More combinations agree than there may be; `args[0]` is how many at least."""


def joined(sizes: Sequence[int], groups: Sequence[Marks], limit: int) -> array[int]:
    """Return the numbers of the combinations that have one mark in each group, in ascending order; raises TooMany.

    >>> list(joined([2, 3], [{0: "ab", 1: "bcb"}], 100))
    [3, 5]
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
        for slot, marks in enumerate(zip(*(own for own, _, _ in bound), strict=True)):
            fitting.setdefault(marks, []).append(slot)
        # All axes of a group before this one agree: the first stands for them.
        columns = [
            map(theirs.__getitem__, slots_on(numbers, first, sizes[:axis])) for _, theirs, first in bound
        ]
        told = list(zip(*columns, strict=True))
        total = sum(times * len(fitting.get(marks, ())) for marks, times in Counter(told).items())
        if total > limit:
            raise TooMany(total)
        numbers = [
            number * size + slot
            for number, marks in zip(numbers, told, strict=True)
            for slot in fitting.get(marks, ())
        ]
    return array("q", numbers)


def slots_on(numbers: Sequence[int], axis: int, sizes: Sequence[int]) -> Iterator[int]:
    """Return the slot of each combination on one axis."""
    stride = prod(sizes[axis + 1 :])
    return map(mod, map(floordiv, numbers, repeat(stride)), repeat(sizes[axis]))
