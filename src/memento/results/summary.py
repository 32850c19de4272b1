"""Put many results into few numbers: tables over parameters, means with their spread.

Knows: frames of results. May not know: stores, how tables are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memento.results.axes import ABSENT
from memento.results.notices import say
from memento.results.select import unknown
from memento.results.student import t_quantile
from memento.store.unreadable import Unreadable
from memento.wording import number_of, one_line

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from memento.results.axes import Axis
    from memento.results.results import Results

_CONFIDENCE = 0.95


def pivot(
    results: Results,
    index: str | Sequence[str],
    columns: str | Sequence[str] | None,
    values: str,
    aggfunc: Any,
) -> pd.DataFrame:
    """Return a table of one value over parameters; see `Results.pivot`."""
    import numpy as np
    import pandas as pd

    down, along = _names(index), _names(columns)
    frame, done = column_of(results, values, [*down, *along])
    for name in [*down, *along, values]:
        if name not in frame:
            raise ValueError(unknown("column", name, column_names(frame)))
    if not done.any():
        raise ValueError(f"none of {len(results)} tasks has succeeded, so there is nothing to show")
    axes = {axis.name: axis for axis in results._axes()}
    places = np.flatnonzero(done)
    codes = {name: _codes(frame, axes, name)[places] for name in [*down, *along]}
    rows, first_rows = _groups([codes[name] for name in down], len(places))
    cells, first_columns = _groups([codes[name] for name in along], len(places))
    if aggfunc is None:
        _say_what_is_merged(results, places, [*down, *along], rows * (len(first_columns) or 1) + cells)
    column = frame[values].iloc[places]
    if any(isinstance(value, Unreadable) for value in column):
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


def _say_what_is_merged(
    results: Results, places: NDArray[np.int64], sides: list[str], cells: NDArray[np.int64]
) -> None:
    """Warn where a cell is of several configurations: repeats are one, other parameters are not."""
    import numpy as np

    group, _ = configurations(results)
    pairs = np.unique(np.stack([cells, group[places]]), axis=1)
    _, counts = np.unique(pairs[0], return_counts=True)
    if counts.max(initial=1) < 2:
        return
    others = [
        axis.name
        for axis in results._axes()
        if axis.name not in sides and len(np.unique(axis.codes[places])) > 1
    ]
    say(
        f"pivot: a cell is the mean of up to {counts.max()} configurations, which differ in "
        f"{', '.join(map(repr, others))}. Name these as index or columns, filter by them, or say what you want with "
        "aggfunc (aggfunc='mean' says it is meant)",
    )


def configurations(results: Results) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the configurations: return each task's, and the first task of each; repeats share one."""
    return _groups([axis.codes for axis in results._axes()], len(results))


def summary(results: Results, by: str | Sequence[str] | None, value: str) -> pd.DataFrame:
    """Return mean and spread by group; see `Results.summary`."""
    import numpy as np
    import pandas as pd

    axes = {axis.name: axis for axis in results._axes(with_repeat=True)}
    names = list(results._tasks.names) if by is None else _names(by)
    for name in names:
        if name not in axes:
            raise ValueError(unknown("parameter", name, list(axes)))
    frame, done = column_of(results, value)
    numbers = numeric(frame, value)
    numbers[~done] = np.nan
    group, first = _groups([axes[name].codes for name in names], len(frame))
    table: pd.DataFrame = pd.DataFrame(index=pd.RangeIndex(len(first)))
    for name in names:
        table[name] = _with_absent(frame[name], _absent(frame, axes, name), first)
    for name, moments in _moments(numbers, group, len(first)).items():
        table[_apart(name, table)] = moments
    configs = set(names) >= set(results._tasks.names)
    repeats = results._tasks.repeat_of(results._numbers) if configs else None
    if repeats is not None and not repeats.any():
        repeats = None  # there is one of each: "0" would read as none
    table[_apart("missing", table)] = pd.Series(_missing(numbers, group, len(first), repeats), dtype=object)
    return table


def column_of(
    results: Results, name: str, more: Sequence[str] = ()
) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
    """Return a frame that has these columns, if any has; and which tasks are done.

    What the tasks returned is read only where none of the other columns is called so.
    """
    from memento.results.frames import make_frame

    frame = make_frame(results, values="value" in (name, *more))
    if any(one not in frame for one in (name, *more)):
        frame = make_frame(results)
    return frame, (frame_status(frame) == "done").to_numpy(dtype=bool)


def numeric(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Return a column as numbers of its own array, nan where there is none.

    Raises
    ------
    ValueError
        There is no such column, or it holds something else than numbers.
    """
    import numpy as np
    import pandas as pd

    if name not in frame:
        why = (
            " Of a dict that the experiment returns, each key is a column: name one."
            if name == "value"
            else ""
        )
        raise ValueError(unknown("column", name, column_names(frame)) + why)
    column = frame[name]
    if pd.api.types.is_object_dtype(column):
        unreadable = column.map(lambda value: isinstance(value, Unreadable))
        if unreadable.any():
            first = next(value for value in column if isinstance(value, Unreadable))
            say(
                f"{number_of(int(unreadable.sum()), 'value')} cannot be loaded here and count for nothing: {first!r}"
            )
            column = column.where(~unreadable, None)
        present = [value for value in column if value is not None]
        odd = next((v for v in present if not isinstance(v, int | float | np.number | np.bool_)), None)
        if odd is not None:
            _refuse(name, type(odd).__qualname__, frame)
    elif not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        _refuse(name, str(column.dtype), frame)
    return np.array(column.to_numpy(dtype=np.float64, na_value=np.nan), copy=True)


def frame_status(frame: pd.DataFrame) -> pd.Series[Any]:
    """Return the column that says how tasks ended, also where a parameter has taken its name."""
    name = "status"
    while f"result.{name}" in frame:
        name = f"result.{name}"
    return frame[name]


def _refuse(name: str, kind: str, frame: pd.DataFrame) -> None:
    import pandas as pd

    numbers = [one_line(str(c)) for c in frame if pd.api.types.is_numeric_dtype(frame[c])]
    raise ValueError(
        f"column {name!r} holds {kind}, not numbers. Columns of numbers: {', '.join(numbers)}."
        " Return a number or a dict of numbers from the experiment, or record a metric."
    )


def column_names(frame: pd.DataFrame) -> list[str]:
    """Return the names of a frame's columns."""
    return [str(name) for name in frame.columns]


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
    quantile = {int(k): t_quantile(0.5 + _CONFIDENCE / 2, int(k) - 1) for k in np.unique(n) if k > 1}
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
