"""Find the highest and the lowest of what a grid's tasks returned or recorded, to tell it in a line.

Knows: selections, frames of results. May not know: messages, displays.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from memento import system
from memento.events import Extreme
from memento.results.metric import numbers_among, numbers_of, numeric
from memento.results.scan import IS_DONE
from memento.results.summary import configurations
from memento.results.to_frame import make_table
from memento.values.describe import items_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.scan import Scan
    from memento.results.selection import Selection

_NUMBERS = 3  # that are told, where none is named


def extremes(selection: Selection, metric: str | None = None, minimize: bool = False) -> tuple[Extreme, ...]:
    """Return the best configuration by a number, or the highest and the lowest of each where none is named.

    Of configurations that repeat, by the mean over the repeats that are done.

    Raises
    ------
    ValueError
        There is no such column, or it holds no numbers.
    """
    with system.quiet():  # the run's report says what is odd
        if metric is not None:
            name, _, numbers = numbers_of(selection, metric, 'metric="{}"')
            group, _ = configurations(selection)
            return tuple(_extreme(selection, name, numbers, group, not minimize))
        table = make_table(selection)
        columns = {name: numeric(table.frame, name) for name in numbers_among(selection, table)[:_NUMBERS]}
    return _highest_and_lowest(selection, columns)


def plain_extremes(selection: Selection) -> tuple[Extreme, ...]:
    """Return the same of the first numbers that tasks returned, or else recorded, as plain values.

    No frame is made, whose library takes longer to import than a look at a store may.
    """
    scan = selection.read(values=True, metrics=True)
    columns = _returned(scan) or {name: last.copy() for name, last in scan.metrics.items()}
    return _highest_and_lowest(selection, dict(islice(columns.items(), _NUMBERS)))


def _returned(scan: Scan) -> dict[str, NDArray[np.float64]]:
    """Return a column for each number that tasks returned, as such or in a dict; nan where one did not."""
    import numpy as np

    columns: dict[str, NDArray[np.float64]] = {}
    for place, value in enumerate(scan.values if scan.values is not None else ()):
        for name, item in (items_of(value) or {"value": value}).items():
            if _is_number(item):
                if str(name) not in columns:
                    columns[str(name)] = np.full(len(scan.status), np.nan)
                columns[str(name)][place] = float(item)
    return columns


def _is_number(item: Any) -> bool:
    import numpy as np

    return isinstance(item, int | float | np.number) and not isinstance(
        item, bool | complex | np.complexfloating
    )


def _highest_and_lowest(
    selection: Selection, columns: Mapping[str, NDArray[np.float64]]
) -> tuple[Extreme, ...]:
    done, (group, _) = selection.status == IS_DONE, configurations(selection)
    found: list[Extreme] = []
    for name, numbers in columns.items():
        numbers[~done] = float("nan")
        highest = _extreme(selection, name, numbers, group, True)
        lowest = _extreme(selection, name, numbers, group, False)
        same = bool(highest) and highest[0].value == lowest[0].value
        found += highest if same else highest + lowest
    return tuple(found)


def _extreme(
    selection: Selection,
    name: str,
    numbers: NDArray[np.float64],
    group: NDArray[np.int64],
    highest: bool,
) -> list[Extreme]:
    """Return the first configuration with the highest or the lowest mean, if there are numbers."""
    import numpy as np

    known = np.flatnonzero(np.isfinite(numbers))
    if not len(known):
        return []
    sizes = np.bincount(group[known])
    with np.errstate(invalid="ignore"):
        means = np.bincount(group[known], weights=numbers[known]) / sizes
    best = int(np.nanargmax(means) if highest else np.nanargmin(means))
    place = int(known[group[known] == best][0])
    key = selection.source.key(selection.places[place]).hex()
    config = selection.named(place)
    if selection.tasks.repeats > 1:
        config = config.rpartition(", repeat=")[0] or config  # the mean is of all of them
    return [Extreme(name, highest, float(means[best]), config, key, int(sizes[best]))]
