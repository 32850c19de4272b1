"""Draw the first useful figure of results.

Knows: selections, their numbers and metrics, matplotlib. May not know: stores, how a figure comes to a screen.

    metrics over time          curves, one a configuration, with a band over repeats
    two parameters that vary   a heatmap; of more, over the two that matter most
    one                        points, joined where it is a number
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.optional_packages import imported
from memento.results.metric import numbers_of
from memento.results.parameters import ABSENT
from memento.results.scan import IS_DONE
from memento.results.scan import curves as read_curves
from memento.wording import number_of

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from memento.results.selection import Selection

    _Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

_LEGEND = 10  # curves that a legend tells apart; of more, the highest and the lowest are named
_NUMBERED = 100  # cells of a heatmap up to which each shows its number
_REPEATING = ("seed", "random_state", "fold")  # parameters that people repeat by
_TICKS = 20  # values along an axis
_ROOM = 60  # letters along it, from which on they are turned
_DIGITS = 8  # in a number, from which on it is shortened
_DECADES = 100.0  # times the lowest value, from which on an axis is logarithmic
_MONTH = 30 * 86400.0
_SILENT = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")  # backends of matplotlib that show nothing


class _Side(NamedTuple):
    """A parameter that varies: a number for each task, and for each number its text and, where all are, its value."""

    name: str
    codes: NDArray[np.int64]
    texts: list[str]
    values: NDArray[np.float64] | None


def draw(selection: Selection, metric: str | None, ax: Axes | None) -> Axes:
    """Draw as `Results.plot` says."""
    import numpy as np

    imported("matplotlib", "results.plot()", "plot")  # what is missing is said before anything is read
    if not (selection.status == IS_DONE).any():
        raise ValueError(
            f"none of {number_of(len(selection), 'task')} has succeeded, so there is nothing to plot"
        )
    sides, repeating = _sides(selection)
    name, curves = _curves_of(selection, metric)
    if curves:
        return _draw_curves(ax or _new_axes(), name, curves, sides, _names(repeating))
    name, _, numbers = numbers_of(selection, metric, 'results.plot("{}")')
    if np.isnan(numbers).all():
        raise ValueError(f"no task has a number as {name!r}, so there is nothing to plot")
    if not sides:
        sides, repeating = repeating[:1], repeating[1:]
    if not sides:
        raise ValueError(
            f"there is nothing to plot {name!r} along: {number_of(len(numbers), 'result')} of one configuration, and no"
            " metric over time. Vary a parameter, or record metrics: context.record({'loss': loss}, step=epoch)."
        )
    if len(sides) == 1:
        return _draw_points(ax or _new_axes(), name, numbers, sides[0], _names(repeating))
    two = sorted(sorted(range(len(sides)), key=lambda i: -_effect(numbers, sides[i]))[:2])
    over = _names([*(side for i, side in enumerate(sides) if i not in two), *repeating])
    return _draw_heatmap(ax or _new_axes(), name, numbers, sides[two[0]], sides[two[1]], over)


def _names(sides: Iterable[_Side]) -> str:
    return ", ".join(side.name for side in sides)


def _sides(selection: Selection) -> tuple[list[_Side], list[_Side]]:
    """Return what varies and is drawn along, and what a mean is taken over."""
    import numpy as np

    found = []
    axes = selection.axes(with_repeat=True)
    for axis in axes:
        if any(other.name.startswith(f"{axis.name}.") for other in axes):
            continue  # another task's result: that task's parameters say more
        codes = axis.codes.astype(np.int64)
        present, codes = np.unique(np.where(codes < 0, len(axis.values), codes), return_inverse=True)
        if len(present) > 1:
            texts = [*axis.texts, ABSENT]
            values = np.append(axis.numbers, np.nan)[present]
            known = values if np.isfinite(values).all() else None
            spaced = known is not None and not axis.parameter.labels
            shown = [texts[code] for code in present.tolist()]
            if known is not None:  # 0.30000000000000004
                short = [t if len(t) <= _DIGITS else f"{v:.4g}" for t, v in zip(shown, known, strict=True)]
                shown = short if len(set(short)) == len(short) else shown
            found.append(_Side(axis.name, codes, shown, known if spaced else None))
    found = [
        side for i, side in enumerate(found) if not any(_follows(found, i, j) for j in range(len(found)))
    ]
    repeats = "repeat" if selection.tasks.repeats > 1 else ""
    repeating = [side for side in found if side.name in (*_REPEATING, repeats)]
    return [side for side in found if side not in repeating], repeating


def _follows(sides: Sequence[_Side], one: int, other: int) -> bool:
    """Tell whether a parameter's value is known from another's, as where both advance together; one of these stays."""
    import numpy as np

    if one == other:
        return False
    sizes = len(sides[one].texts), len(sides[other].texts)
    pairs = np.unique(sides[one].codes * sizes[1] + sides[other].codes)
    return len(pairs) == sizes[1] and (sizes[0] < sizes[1] or other < one)


def _effect(numbers: NDArray[np.float64], side: _Side) -> float:
    """Return how far apart the means of a parameter's values are."""
    import numpy as np

    means, _ = _moments(numbers, side.codes, len(side.texts))
    return float(np.nanmax(means) - np.nanmin(means))


def _moments(
    numbers: NDArray[np.float64], codes: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and sample standard deviation of each group, nan where it has no number, or one."""
    import pandas as pd

    groups = pd.Series(numbers).groupby(codes)
    moments = groups.agg(["mean", "std"]).reindex(range(size)).to_numpy(dtype=float)
    return moments[:, 0], moments[:, 1]


# -- curves


def _curves_of(selection: Selection, metric: str | None) -> tuple[str, dict[int, _Curve]]:
    """Return the metric that is drawn over time and each task's values; none where no task recorded several."""
    import numpy as np

    names = selection.read(metrics=True).metrics
    if not names or (metric is not None and metric not in names):
        return "", {}
    rows = selection.rows.tolist()
    done = np.flatnonzero(selection.status == IS_DONE).tolist()
    of_row = read_curves(selection.source.store, [rows[place] for place in done], selection.source.owner)
    started = selection.scan.started
    for name in names if metric is None else [metric]:
        found = {place: of_row[rows[place]][name] for place in done if name in of_row.get(rows[place], {})}
        if any(len(y) > 1 for _, y in found.values()):
            return name, {place: _curve(*points, started[place]) for place, points in found.items()}
    return "", {}


def _curve(x: NDArray[np.float64], y: NDArray[np.float64], started: float) -> _Curve:
    """Return x and y in the order of x, without what is no number."""
    import numpy as np

    if len(x) and abs(x[0] - started) < _MONTH:  # no step was given, so that x is the time: it is counted
        x = np.arange(len(x), dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    order = np.argsort(x[known], kind="stable")
    return x[known][order], y[known][order]


def _draw_curves(ax: Axes, name: str, curves: dict[int, _Curve], sides: list[_Side], over: str) -> Axes:
    """Draw a line for each configuration, the mean of its tasks, and a band of one standard deviation."""
    import numpy as np

    groups: dict[tuple[int, ...], list[_Curve]] = {}
    for place, curve in curves.items():
        if len(curve[0]):
            groups.setdefault(tuple(int(side.codes[place]) for side in sides), []).append(curve)
    if not groups:
        raise ValueError(f"no task has a number as {name!r}, so there is nothing to plot")
    labels, lines = [], []
    for own, members in groups.items():
        labels.append(", ".join(f"{side.name}={side.texts[i]}" for side, i in zip(sides, own, strict=True)))
        lines.append(_together(members))
    few = len(lines) <= _LEGEND
    ends = [mean[-1] for _, mean, _ in lines]
    named = range(len(lines)) if few else sorted({int(np.argmax(ends)), int(np.argmin(ends))})
    for i, (x, mean, std) in enumerate(lines):
        if i not in named:
            ax.plot(x, mean, color="lightgrey", linewidth=0.8, zorder=1)
            continue
        (line,) = ax.plot(x, mean, label=_plain(labels[i]) or None)
        if np.isfinite(std).any():
            ax.fill_between(x, mean - std, mean + std, color=line.get_color(), alpha=0.2, linewidth=0)
    if any(labels):
        rest = "" if few else f"highest and lowest of {len(lines)}"
        ax.legend(title=rest or None)
    most = max(map(len, groups.values()))
    spread = f"mean ± std of {most} tasks each" + (f" (over {over})" if over else "")
    return _finish(ax, "step", name, spread if most > 1 else "")


def _together(curves: list[_Curve]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return x, mean and standard deviation of several curves, each between its own ends."""
    import warnings

    import numpy as np

    x = np.unique(np.concatenate([own for own, _ in curves]))
    each = np.stack([np.interp(x, own, y, left=np.nan, right=np.nan) for own, y in curves])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of one curve there is no deviation
        return x, np.nanmean(each, axis=0), np.nanstd(each, axis=0, ddof=1)


# -- parameters


def _draw_points(ax: Axes, name: str, numbers: NDArray[np.float64], side: _Side, over: str) -> Axes:
    """Draw the mean at each value of a parameter, with a bar of one standard deviation."""
    import numpy as np

    mean, std = _moments(numbers, side.codes, len(side.texts))
    x = np.arange(len(mean), dtype=float) if side.values is None else side.values
    order = np.argsort(x)
    bars = std[order] if np.isfinite(std).any() else None
    ax.errorbar(x[order], mean[order], bars, fmt="o" if side.values is None else "o-", capsize=3)
    if side.values is None:
        _tick(ax, "x", side)
    elif x.min() > 0 and x.max() / x.min() >= _DECADES:
        ax.set_xscale("log")
    elif len(x) <= _LEGEND and np.diff(x[order]).min() > np.ptp(x) / (2 * _LEGEND):
        ax.set_xticks(x)
    spread = f"mean ± std (over {over})" if over else "mean ± std"
    return _finish(ax, side.name, name, "" if bars is None else spread)


def _draw_heatmap(
    ax: Axes, name: str, numbers: NDArray[np.float64], down: _Side, along: _Side, over: str
) -> Axes:
    """Draw the mean of each pair of values."""
    import numpy as np

    shape = len(down.texts), len(along.texts)
    cells, _ = _moments(numbers, down.codes * shape[1] + along.codes, shape[0] * shape[1])
    table = cells.reshape(shape)
    for side, axis in ((down, 0), (along, 1)):
        if side.values is not None:
            table = np.take(table, np.argsort(side.values), axis=axis)
    image: Any = ax.imshow(table, aspect="auto")
    figure: Any = ax.figure
    figure.colorbar(image, ax=ax, label=_plain(name))
    _tick(ax, "x", along)
    _tick(ax, "y", down)
    if table.size <= _NUMBERED:
        for (row, column), number in np.ndenumerate(table):
            if np.isfinite(number):
                dark = image.norm(number) < 0.6
                color = "white" if dark else "black"
                ax.text(column, row, f"{number:.3g}", ha="center", va="center", color=color)
    return _finish(ax, along.name, down.name, f"{name}, mean over {over}" if over else name)


def _tick(ax: Axes, which: str, side: _Side) -> None:
    """Write a parameter's values along an axis, as many as there is room for."""
    import numpy as np

    order = np.arange(len(side.texts)) if side.values is None else np.argsort(side.values)
    every = -(-len(order) // _TICKS)
    texts = [side.texts[i] for i in order.tolist()][::every]
    turned = (
        {"rotation": 30, "ha": "right"} if which == "x" and max(map(len, texts)) * len(texts) > _ROOM else {}
    )
    set_ticks: Any = ax.set_xticks if which == "x" else ax.set_yticks
    set_ticks(range(0, len(order), every), [*map(_plain, texts)], **turned)


def _finish(ax: Axes, x: str, y: str, title: str) -> Axes:
    ax.set_xlabel(_plain(x))
    ax.set_ylabel(_plain(y))
    ax.set_title(_plain(title))
    return ax


def _plain(text: str) -> str:
    """Keep matplotlib from reading formulas in names and values."""
    return text.replace("$", r"\$")


def _new_axes() -> Axes:
    """Return the axes of a new figure: of pyplot's, which shows it, only where there is a screen to show it on."""
    if "matplotlib.pyplot" in sys.modules or hasattr(sys, "ps1"):
        from matplotlib import pyplot

        if pyplot.get_backend().lower() not in _SILENT:
            return pyplot.subplots(layout="constrained")[1]
    from matplotlib.figure import Figure

    axes: Axes = Figure(layout="constrained").subplots()
    return axes
