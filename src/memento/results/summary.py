"""Put many results into few numbers: tables over parameters, means with their spread.

Knows: frames of results. May not know: stores, how tables are shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from memento.results.advice import unknown, warn
from memento.results.metric import frame_of, numbers_of, numeric
from memento.results.parameters import ABSENT
from memento.results.scan import IS_DONE
from memento.results.to_frame import make_table
from memento.store.unreadable import Unreadable
from memento.values.describe import LargeValue
from memento.wording import number_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.results.parameters import Axis
    from memento.results.selection import Selection

_CONFIDENCE = 0.95
_FEW = 200  # degrees of freedom up to which Student's distribution is summed up exactly


def pivot(
    selection: Selection,
    index: str | Sequence[str],
    columns: str | Sequence[str] | None,
    metric: str | None,
    aggfunc: Any,
) -> pd.DataFrame:
    """Return a table of one value over parameters; see `Results.pivot`."""
    import numpy as np
    import pandas as pd

    if isinstance(aggfunc, list | tuple):  # side by side, as pandas has it
        tables = [pivot(selection, index, columns, metric, one) for one in aggfunc]
        side_by_side: pd.DataFrame = pd.concat(
            tables, axis=1, keys=[getattr(f, "__name__", f) for f in aggfunc]
        )
        return side_by_side
    down, along = _names(index), _names(columns)
    given = ", ".join(map(json.dumps, [index, *([] if columns is None else [columns])]))
    values, frame = frame_of(selection, metric, f'results.pivot({given}, metric="{{}}")', [*down, *along])
    done = selection.status == IS_DONE
    if not done.any():
        raise ValueError(f"none of {len(selection)} tasks has succeeded, so there is nothing to show")
    axes = {axis.name: axis for axis in selection.axes()}
    places = np.flatnonzero(done)
    codes = {name: _codes(frame, axes, name)[places] for name in [*down, *along]}
    rows, first_rows = _nested([codes[name] for name in down], len(places))
    cells, first_columns = _nested([codes[name] for name in along], len(places))
    if aggfunc is None:
        _warn_of_merged(selection, places, [*down, *along], rows * (len(first_columns) or 1) + cells)
    column = frame[values].iloc[places]
    unloaded = any(isinstance(value, Unreadable | LargeValue) for value in column)
    if unloaded or (aggfunc is None and column.dtype == object):  # pandas does not say what has no mean
        column = pd.Series(numeric(frame, values)[places])
    narrow = pd.DataFrame({"row": rows, "column": cells, "value": column.array})
    table: pd.DataFrame = pd.pivot_table(
        narrow,
        values="value",
        index="row",
        columns="column" if along else None,
        aggfunc="mean" if aggfunc is None else aggfunc,
        dropna=False,  # a row of nan alone is a row
    )
    table.index = _labels(frame, axes, down, places[first_rows[table.index]])
    if along:
        table.columns = _labels(frame, axes, along, places[first_columns[table.columns]])
    else:
        table.columns = pd.Index([values if name == "value" else name for name in table.columns])
    return table


def _codes(frame: pd.DataFrame, axes: Mapping[str, Axis], name: str) -> NDArray[Any]:
    """Number what stands in a column: a parameter's values as keys tell them apart, -1 where there is none."""
    import pandas as pd

    if name in axes:
        return axes[name].codes
    column = frame[name]
    if column.dtype == object:  # lists and the like cannot be grouped by
        column = column.map(_hashable)
    codes, _ = pd.factorize(column, use_na_sentinel=True)
    return codes


def _labels(
    frame: pd.DataFrame, axes: Mapping[str, Axis], names: list[str], places: NDArray[np.int64]
) -> pd.Index[Any]:
    """Return what stands in some columns at these places as an index."""
    import pandas as pd

    sides = [
        pd.Index(_with_absent(frame[name], _absent(frame, axes, name), places).array, name=name)
        for name in names
    ]
    labels: pd.Index[Any] = sides[0] if len(sides) == 1 else pd.MultiIndex.from_arrays(sides, names=names)
    return labels


def _absent(frame: pd.DataFrame, axes: Mapping[str, Axis], name: str) -> NDArray[np.bool_]:
    """Return which tasks have nothing in a column."""
    return axes[name].codes < 0 if name in axes else frame[name].isna().to_numpy(dtype=bool)


def _with_absent(
    column: pd.Series[Any], absent: NDArray[np.bool_], places: NDArray[np.int64]
) -> pd.Series[Any]:
    """Return what stands in a column at these places, "-" where there is nothing."""
    import pandas as pd

    chosen: pd.Series[Any] = column.iloc[places].reset_index(drop=True)
    gone = absent[places]
    if not gone.any():
        return chosen
    shown = [ABSENT if nothing else cell for nothing, cell in zip(gone, chosen.tolist(), strict=True)]
    filled: pd.Series[Any] = pd.Series(shown, dtype=object)
    return filled


def _warn_of_merged(
    selection: Selection, places: NDArray[np.int64], sides: list[str], cells: NDArray[np.int64]
) -> None:
    """Warn where a cell is of several configurations: repeats are one, other parameters are not."""
    import numpy as np

    group, _ = configurations(selection)
    pairs = np.unique(np.stack([cells, group[places]]), axis=1)
    _, counts = np.unique(pairs[0], return_counts=True)
    if counts.max(initial=1) < 2:
        return
    others = [
        axis.name
        for axis in selection.axes()
        if axis.name not in sides and len(np.unique(axis.codes[places])) > 1
    ]
    warn(
        f"pivot: a cell is the mean of up to {counts.max()} configurations, which differ in "
        f"{', '.join(map(repr, others))}. Name these as index or columns, filter by them, or say what you want with "
        "aggfunc (aggfunc='mean' says it is meant)",
    )


def configurations(selection: Selection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the configurations: return each task's, and the first task of each; repeats share one."""
    return _groups([axis.codes for axis in selection.axes()], len(selection))


def summary(selection: Selection, by: str | Sequence[str] | None, metric: str | None) -> pd.DataFrame:
    """Return mean and spread by group; see `Results.summary`."""
    import pandas as pd

    axes = {axis.name: axis for axis in selection.axes(with_repeat=True)}
    names = list(selection.tasks.names) if by is None else _names(by)
    for name in names:
        if name not in axes:
            raise ValueError(_no_parameter(selection, name, list(axes)))
    given = "" if by is None else f"{json.dumps(names if not isinstance(by, str) else by)}, "
    _, frame, numbers = numbers_of(selection, metric, f'results.summary({given}metric="{{}}")')
    group, first = _groups([axes[name].codes for name in names], len(frame))
    table: pd.DataFrame = pd.DataFrame(index=pd.RangeIndex(len(first)))
    for name in names:
        table[name] = _with_absent(frame[name], _absent(frame, axes, name), first)
    for name, moments in _moments(numbers, group, len(first)).items():
        table[_apart(name, table)] = moments
    repeats = selection.repeats() if set(names) >= set(selection.tasks.names) else None
    if repeats is not None and not repeats.any():
        repeats = None  # there is one of each: "0" would read as none
    table[_apart("missing", table)] = pd.Series(_missing(numbers, group, len(first), repeats), dtype=object)
    return table


def _no_parameter(selection: Selection, name: str, known: Sequence[str]) -> str:
    if name in make_table(selection, wanted=[name]).frame:
        return f"{name!r} is a column, and no parameter to group by. Write results.summary(metric={json.dumps(name)})."
    return unknown("parameter", name, known)


def _names(names: str | Sequence[str] | None) -> list[str]:
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value


def _apart(name: str, table: pd.DataFrame) -> str:
    """Keep a parameter that is called like one of our columns."""
    while name in table:
        name = f"summary.{name}"
    return name


def _groups(codes: list[NDArray[Any]], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the groups in the order in which they first come; return each task's group, and each group's first."""
    import numpy as np

    group = np.zeros(count, dtype=np.int64)
    for column in codes:
        size = int(column.max(initial=-1)) + 2
        _, group = np.unique(group * size + column + 1, return_inverse=True)
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[group], first[order]


def _nested(codes: list[NDArray[Any]], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the groups by their first column, then by the next, each in the order in which its values first come."""
    import numpy as np

    group = np.zeros(count, dtype=np.int64)
    for column in codes:
        rank, first = _groups([column], count)
        _, group = np.unique(group * len(first) + rank, return_inverse=True)
    return group, np.unique(group, return_index=True)[1]


def _moments(numbers: NDArray[np.float64], group: NDArray[np.int64], groups: int) -> dict[str, Any]:
    import numpy as np

    known = ~np.isnan(numbers)
    values, at = numbers[known], group[known]
    n = np.bincount(at, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(at, weights=values, minlength=groups) / n
        # In two passes: the difference of two large sums would lose the digits that matter.
        squares = np.bincount(at, weights=(values - mean[at]) ** 2, minlength=groups)
        std = np.sqrt(squares / (n - 1))
    std[n < 2] = np.nan
    quantile = {int(k): student_quantile(0.5 + _CONFIDENCE / 2, int(k) - 1) for k in np.unique(n) if k > 1}
    half = np.array([quantile.get(k, np.nan) for k in n.tolist()]) * std / np.sqrt(np.maximum(n, 1))
    return {"n": n, "mean": mean, "std": std, "low": mean - half, "high": mean + half}


def _missing(
    numbers: NDArray[np.float64], group: NDArray[np.int64], groups: int, repeats: NDArray[np.int64] | None
) -> list[str]:
    import numpy as np

    texts = [""] * groups
    absent = np.flatnonzero(np.isnan(numbers))
    if repeats is None:
        lost, size = np.bincount(group[absent], minlength=groups), np.bincount(group, minlength=groups)
        for i in np.flatnonzero(lost).tolist():
            texts[i] = f"{lost[i]} of {number_of(int(size[i]), 'task')}"
        return texts
    for place in absent.tolist():
        i = int(group[place])
        texts[i] += f", {repeats[place]}" if texts[i] else str(repeats[place])
    return texts


def student_quantile(p: float, freedom: int) -> float:
    """Return the value below which a variable of Student's t distribution lies with probability `p` (above 0.5).

    Examples
    --------
    >>> round(student_quantile(0.975, 4), 4), round(student_quantile(0.975, 1_000_000), 4)
    (2.7764, 1.96)
    """
    if freedom > _FEW:
        # And what it lacks, as a series in 1 / freedom: Abramowitz and Stegun 26.7.5.
        z = NormalDist().inv_cdf(p)
        terms = (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
        )
        return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < 2 * p - 1 else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Return the probability that |t| is at most tan(angle) * sqrt(freedom): Abramowitz and Stegun 26.7.3 and 4."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total
