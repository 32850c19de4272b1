"""Choose the best configuration, or the best single run.

Knows: frames of results. May not know: stores, how results are shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memento.results.notices import say
from memento.results.summary import column_of, configurations, numeric
from memento.wording import number_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memento.results.result import Result
    from memento.results.results import Results


def best(results: Results, by: str, minimize: bool, repeat: bool) -> Result:
    """Return the best result; see `Results.best`."""
    import numpy as np

    if not len(results):
        raise ValueError("there are no results to choose from")
    frame, done = column_of(results, by)
    numbers = numeric(frame, by)
    numbers[~done] = np.nan
    if np.isnan(numbers).all():
        counts = ", ".join(f"{n} {status}" for status, n in results._counts().items() if n)
        raise ValueError(f"no task has a number as {by!r}; of {len(results)} tasks: {counts}")
    group, first = configurations(results)
    if repeat or len(first) == len(results):
        place = int(np.nanargmin(numbers) if minimize else np.nanargmax(numbers))
        others = [i for i in np.flatnonzero(numbers == numbers[place]).tolist() if i != place]
        if others:
            what = "runs" if repeat else "configurations"
            _say_tie(results, by, what, [place, *others])
        return results[place]
    return _best_mean(results, by, minimize, numbers, group)


def _best_mean(
    results: Results, by: str, minimize: bool, numbers: NDArray[np.float64], group: NDArray[np.int64]
) -> Result:
    """Compare configurations by the mean over their repeats."""
    import numpy as np

    from memento.results.result import BestResult

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
    if firsts:
        _say_tie(results, by, "configurations", [nearest, *firsts])
    expected = int(sizes.max())
    lacking = int((counts < expected).sum())
    if lacking:
        say(
            f"best: {lacking} of {number_of(len(sizes), 'configuration')} have fewer than {expected} repeats with a "
            f"number as {by!r} (the best one has {counts[chosen]}); means are over those that there are",
        )
    return BestResult.of(
        results[nearest],
        mean=float(means[chosen]),
        std=float(np.nanstd(of_config, ddof=1)) if counts[chosen] > 1 else float("nan"),
        n=int(counts[chosen]),
        by=by,
        results=results._of(results._numbers[places]),
        ties=[results._config(place) for place in firsts],
    )


def _say_tie(results: Results, by: str, what: str, places: list[int]) -> None:
    from memento.results.result import config_text

    shown = "; ".join(config_text(results._config(place)) for place in places[:4])
    more = f"; and {len(places) - 4} more" if len(places) > 4 else ""
    say(
        f"best: {len(places)} {what} are equally good by {by!r}: {shown}{more}; this is the first of them",
    )
