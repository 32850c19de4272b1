"""Choose a sample of a matrix's rows: of a smaller one all are in a larger, and each value has its share in each.

Knows: slots, what each value counts as in a key. May not know: values, repeats, how many tasks there are of a row.

    place    a hash of the row's values: the same in every process, whatever the order in which the matrix is written,
             and kept when the matrix grows
    apart    of the m rows that have one value the k-th is moved to the k-th m-th of the way. That disturbs the other
             parameters a little, so it is done for each of them three times. However many of these rows are taken, each
             value has its share of them, but for some two rows
    chosen   the first thousands one by one: of the next rows the one whose values are furthest behind; then in order

Of many rows only those with low places are moved: where a row comes to stand depends on those before it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

_ONE = 1 << 32  # places are whole numbers below it: alike on every machine
_ROUNDS = 3
_MARGIN = 4  # places are looked at up to so many times the share of the rows that is wanted, at first
_ONE_BY_ONE, _WINDOW = 4096, 512  # rows that are chosen, of so many of which to choose
_MANY, _FEW = 1 << 16, 64  # of many rows, those of a value that has few stay where they are


def chosen_rows(columns: NDArray[np.int32], parts: Sequence[Sequence[bytes]], count: int) -> list[int]:
    """Return the numbers of `count` rows, in ascending order; all, where there are no more.

    `columns` has the slots, -1 where a value is absent; `parts` the digest of each slot, of absence last. A smaller
    count gives some of the same rows.
    """
    import numpy as np

    if count >= len(columns):
        return list(range(len(columns)))
    first = _first_places(columns, parts)
    # Those of few values last: their many rows are then moved the least.
    order = sorted(range(len(parts)), key=lambda column: (-len(parts[column]), max(parts[column])))
    groups = [columns[:, column].astype(np.int64) + 1 for column in order]
    pairs = [(group, sizes) for group in groups if np.count_nonzero(sizes := np.bincount(group)) > 1]
    if not pairs:
        return list(range(count))
    needed = min(len(columns), count + _WINDOW)
    bound = min(_ONE, _ONE * needed // len(columns) * _MARGIN + 1)
    rows, places = _lowest(first, pairs, bound)
    while len(rows) < needed:
        bound = min(_ONE, bound * 8)
        rows, places = _lowest(first, pairs, bound)
    rows = rows[np.argsort(places, kind="stable")]
    picked = _one_by_one(rows[: _ONE_BY_ONE + _WINDOW], pairs, min(count, _ONE_BY_ONE), len(columns))
    rest = np.setdiff1d(np.arange(count), picked, assume_unique=True)[: count - len(picked)]
    found: list[int] = np.sort(rows[np.concatenate([picked, rest])]).tolist()
    return found


def _first_places(columns: NDArray[np.int32], parts: Sequence[Sequence[bytes]]) -> Numbers:
    """Return the upper half of a hash of each row: of the sum of what stands for its values."""
    import numpy as np

    mixed = np.zeros(len(columns), np.uint64)
    for column, known in enumerate(parts):
        numbers = [int.from_bytes(one[:8], "little") for one in known]
        mixed += np.array(numbers, np.uint64)[columns[:, column]]
    # The end of SplitMix64.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    places: Numbers = (mixed >> np.uint64(32)).astype(np.int64)
    return places


def _lowest(first: Numbers, pairs: Sequence[tuple[Numbers, Numbers]], bound: int) -> tuple[Numbers, Numbers]:
    """Return the rows whose places are certain when only those that begin below a bound are moved; and these places.

    `pairs` has, for each parameter, the group of each row and how many rows each group has. What is left out stands
    behind all that was counted of its group, and so nowhere below the new bound.
    """
    import numpy as np

    rows = np.flatnonzero(first < bound)
    places = first[rows]
    for group, sizes in [*pairs] * _ROUNDS:
        own = group[rows]
        still = (sizes < _FEW) if len(first) > _MANY else np.zeros(len(sizes), np.bool_)
        moved = _moved_apart(places, own, sizes)
        places = np.where(still[own], places, moved)
        counted = np.bincount(own, minlength=len(sizes))
        partly = counted < sizes
        reach = np.where(still, bound, counted * _ONE // np.maximum(sizes, 1))
        bound = int(reach[partly].min()) if partly.any() else _ONE
        below = places < bound
        rows, places = rows[below], places[below]
    return rows, places


def _one_by_one(rows: Numbers, pairs: Sequence[tuple[Numbers, Numbers]], count: int, total: int) -> Numbers:
    """Return which of these rows to take, in turn: of a window on them the one whose values have had the least."""
    import numpy as np

    before = np.cumsum([0, *(len(sizes) for _, sizes in pairs)])
    values = np.stack([group[rows] + start for (group, _), start in zip(pairs, before, strict=False)], axis=1)
    sizes = np.concatenate([sizes for _, sizes in pairs])
    taken = np.zeros_like(sizes)
    window = np.arange(min(_WINDOW, len(rows)))
    seen, picked = values[window], []
    for turn in range(1, count + 1):
        ahead = (taken[seen] * total - turn * sizes[seen]).sum(axis=1)
        at = int(ahead.argmin())
        picked.append(window[at])
        taken[seen[at]] += 1
        following = len(window) + turn - 1
        if following < len(rows):
            window[at], seen[at] = following, values[following]
        else:
            window, seen = np.delete(window, at), np.delete(seen, at, axis=0)
    return np.array(picked, np.int64)


def _moved_apart(places: Numbers, group: Numbers, sizes: Numbers) -> Numbers:
    """Return the places with the rows of each group at equal distances, as far as they are that already."""
    import numpy as np

    order = np.argsort(group * _ONE + places, kind="stable")
    own = group[order]
    rank = np.arange(len(own)) - np.searchsorted(own, own)
    size = sizes[own]
    moved = np.empty_like(places)
    moved[order] = (rank * _ONE + size * places[order] % _ONE) // size
    return moved
