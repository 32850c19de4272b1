"""Choose the best configuration, or the best single run.

Knows: frames of results. May not know: stores, how results are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from memento.results.advice import warn
from memento.results.metric import numbers_of
from memento.results.summary import configurations
from memento.wording import number_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.selection import Selection


class Best(NamedTuple):
    """The best configuration: places in a selection, and what its repeats come to; no `n` for a single run."""

    by: str
    place: int  # of the repeat nearest to the mean
    n: int = 0
    mean: float = float("nan")
    std: float = float("nan")
    repeats: Sequence[int] = ()
    ties: Sequence[int] = ()  # the first of each other configuration with the same mean


def best(selection: Selection, metric: str | None, minimize: bool, repeat: bool) -> Best:
    """Choose as `Results.best` says."""
    import numpy as np

    if not len(selection):
        raise ValueError("there are no results to choose from")
    try:
        by, _, numbers = numbers_of(selection, metric, 'results.best("{}")')
    except ValueError as exc:
        if metric not in selection.tasks.names:
            raise
        chosen = f"{metric}=value" if metric.isidentifier() else f"**{{{metric!r}: value}}"
        raise ValueError(
            f"{metric!r} is a parameter, and holds no numbers to compare. The best of one of its values is"
            f" results.filter({chosen}).best()."
        ) from exc
    if np.isnan(numbers).all():
        counts = ", ".join(f"{n} {status}" for status, n in selection.counts().items() if n)
        raise ValueError(f"no task has a number as {by!r}; of {len(selection)} tasks: {counts}")
    group, first = configurations(selection)
    if repeat or len(first) == len(selection):
        place = int(np.nanargmin(numbers) if minimize else np.nanargmax(numbers))
        others = [i for i in np.flatnonzero(numbers == numbers[place]).tolist() if i != place]
        _warn_of_ties(selection, by, "runs" if repeat else "configurations", [place, *others])
        return Best(by, place)
    return _best_mean(selection, by, minimize, numbers, group)


def _best_mean(
    selection: Selection, by: str, minimize: bool, numbers: NDArray[np.float64], group: NDArray[np.int64]
) -> Best:
    """Compare configurations by the mean over their repeats."""
    import numpy as np

    known = ~np.isnan(numbers)
    counts, sizes = np.bincount(group[known], minlength=group.max() + 1), np.bincount(group)
    with np.errstate(invalid="ignore"):
        means = np.bincount(group[known], weights=numbers[known], minlength=len(sizes)) / counts
    chosen = int(np.nanargmin(means) if minimize else np.nanargmax(means))
    # Sums of the same numbers in another order differ in the last digits: that is a tie too.
    tied = np.flatnonzero(np.isclose(means, means[chosen], rtol=1e-12, atol=0.0)).tolist()
    places = np.flatnonzero(group == chosen)
    of_config = numbers[places]
    nearest = int(places[np.nanargmin(np.abs(of_config - means[chosen]))])
    firsts = [int(np.flatnonzero(group == one)[0]) for one in tied if one != chosen]
    _warn_of_ties(selection, by, "configurations", [nearest, *firsts])
    expected = int(sizes.max())
    lacking = int((counts < expected).sum())
    if lacking:
        of = f"{lacking} of {number_of(len(sizes), 'configuration')} {'has' if lacking == 1 else 'have'}"
        warn(
            f"best: {of} fewer than {expected} repeats with a number as {by!r} (the best one has {counts[chosen]});"
            " means are over those that there are"
        )
    n = int(counts[chosen])
    std = float(np.nanstd(of_config, ddof=1)) if n > 1 else float("nan")
    return Best(by, nearest, n, float(means[chosen]), std, places.tolist(), firsts)


def _warn_of_ties(selection: Selection, by: str, what: str, places: list[int]) -> None:
    if len(places) == 1:
        return
    shown = "; ".join(map(selection.named, places[:4]))
    more = f"; and {len(places) - 4} more" if len(places) > 4 else ""
    warn(f"best: {len(places)} {what} are equally good by {by!r}: {shown}{more}; this is the first of them")
