"""The combinations of some axes, less those that rules exclude: numbers, not tuples, whatever their count.

Knows: sizes, slots, strides. May not know: names, values, rules, conditions.

A combination's number is its place in lexicographic order. A rule clears slices of a mask of one byte a combination;
nothing here visits combinations one by one in Python.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, product, repeat
from math import prod
from operator import floordiv, mod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeVar

    import numpy as np
    from numpy.typing import NDArray

    T = TypeVar("T")

# A mask is kept while at most so many combinations were for each one left; then numbers say it faster.
_SPARSE = 8
_CHUNK = 1 << 18  # rows turned into slots at once; bounds the memory of temporaries


class Grid:
    """The product of some axes, the first one slowest, without what was excluded.

    A rule of `excluded` gives the slots that it selects on each axis that it is about; what it selects on all of these
    at once is excluded. Or `kept` are the numbers that are there at all, in ascending order.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        excluded: Iterable[Mapping[int, Sequence[int]]] = (),
        kept: array[int] | None = None,
    ) -> None:
        self.sizes = tuple(sizes)
        self.strides = tuple(prod(self.sizes[axis + 1 :]) for axis in range(len(self.sizes)))
        self._axes = tuple(zip(self.strides, self.sizes, strict=True))
        self._all = prod(self.sizes)
        self._kept: Sequence[int] = range(self._all)  # the number of each row's combination
        self._mask: bytearray | None = None
        rules = list(excluded)
        if kept is not None:  # few of very many: no mask has room for all
            self._kept = kept
        elif rules:
            mask = bytearray(b"\1") * self._all
            for selected in rules:
                self._clear(mask, selected)
            self._kept = array("i", compress(range(self._all), mask))
            if self._all <= _SPARSE * len(self._kept):
                self._mask = mask

    def __len__(self) -> int:
        return len(self._kept)

    def slots(self, row: int) -> list[int]:
        """Return the slot of each axis in one row."""
        number = self._kept[row]
        return [number // stride % size for stride, size in self._axes]

    def slots_of(self, rows: Iterable[int]) -> list[Iterator[int]]:
        """Return the slots of many rows, an iterator for each axis."""
        numbers = list(map(self._kept.__getitem__, rows))
        return [map(mod, map(floordiv, numbers, repeat(stride)), repeat(size)) for stride, size in self._axes]

    def along(self, axis: int, things: Sequence[T]) -> Iterator[T]:
        """Yield for each row the thing that stands at its slot on an axis, at the speed of `itertools`."""
        stride, size = self.strides[axis], self.sizes[axis]
        if self._mask is None and len(self._kept) < self._all:
            return map(things.__getitem__, map(mod, map(floordiv, self._kept, repeat(stride)), repeat(size)))
        once = things if stride == 1 else list(chain.from_iterable(map(repeat, things, repeat(stride, size))))
        pattern = chain.from_iterable(repeat(once, self._all // (size * stride)))
        return pattern if self._mask is None else compress(pattern, self._mask)

    def matrix(self) -> NDArray[np.int32]:
        """Return all slots as an array, one row a combination, one column an axis."""
        import numpy as np

        rows = np.empty((len(self), len(self.sizes)), np.int32)
        for start in range(0, len(rows), _CHUNK):
            numbers = np.asarray(self._kept[start : start + _CHUNK], np.int64)
            for axis, (stride, size) in enumerate(self._axes):
                rows[start : start + _CHUNK, axis] = numbers // stride % size
        return rows

    def of_rows(self, rows: Sequence[int]) -> Grid:
        """Return a grid of some of the rows, in ascending order."""
        return Grid(self.sizes, (), array("q", map(self._kept.__getitem__, rows)))

    def _clear(self, mask: bytearray, selected: Mapping[int, Sequence[int]]) -> None:
        """Set to 0 what a rule selects, slice by slice.

        Neighbouring axes that the rule does not name are one run of combinations at equal distances. The longest
        such run is what each slice covers; the slices begin at every choice of slots on all other axes. A rule
        about one axis takes at most the square root of all combinations as slices, a rule about all axes one.
        """
        runs: list[tuple[int, int]] = []  # (stride, count) of what the rule leaves free
        chosen: list[Sequence[int]] = []  # distances of what it selects
        before = -2  # the last free axis
        for axis, (stride, size) in enumerate(self._axes):
            if axis in selected:
                chosen.append([slot * stride for slot in selected[axis]])
            elif before == axis - 1:
                runs[-1] = stride, runs[-1][1] * size
                before = axis
            else:
                runs.append((stride, size))
                before = axis
        runs.sort(key=lambda run: run[1])
        stride, count = runs.pop() if runs else (1, 1)
        others = [range(0, distance * times, distance) for distance, times in runs]
        zeros, reach = bytes(count), stride * count
        for start in map(sum, product(*chosen, *others)):
            mask[start : start + reach : stride] = zeros
