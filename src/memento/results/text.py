"""Show results as a short table of plain text.

Knows: results, a width. May not know: terminals, HTML.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.results.axes import ABSENT
from memento.results.result import Result, value_text
from memento.wording import one_line

if TYPE_CHECKING:
    from memento.results.results import Results

_ROWS = 12  # results that a table shows; more are cut in the middle
_CELL = 28  # characters of a cell
_WIDTH = 110
_COUNTED = 50_000  # beyond, counting how tasks went would make a repr slow


def as_text(results: Results, rows: int = _ROWS, width: int = _WIDTH) -> str:
    """Return a headline and a table of the first and last results."""
    if not len(results):
        return "Results: none"
    cells, hidden = table(results, rows)
    return "\n".join([f"Results: {headline(results)}", *_aligned(cells, hidden, width)])


def headline(results: Results) -> str:
    """Say how many tasks there are, and how they went.

    Counts only where that is quick: beyond 50,000 tasks that were not read yet, it says how many there are.
    """
    count = len(results)
    tasks = "1 task" if count == 1 else f"{count:,} tasks"
    if count > _COUNTED and "_scan" not in vars(results):
        return tasks
    counts = results._counts()
    parts = [f"{counts['done']:,} done" + (f" ({counts['cached']:,} cached)" if counts["cached"] else "")]
    parts += [f"{counts[name]:,} {name}" for name in ("failed", "missing") if counts[name]]
    return f"{tasks}: {', '.join(parts)}"


def table(results: Results, rows: int) -> tuple[list[list[str]], int]:
    """Return header and cells of at most `rows` results, and after which row the others are left out (or 0)."""
    count, hidden = len(results), 0
    if count > rows:
        hidden = (rows + 1) // 2
        picked = [*results[:hidden], *results[count - (rows - hidden) :]]
    else:
        picked = list(results)
    names = list(results._tasks.shown)
    repeated = ["repeat"] if results._tasks.repeats > 1 else []
    header = ["", *map(one_line, names), *repeated, "value", "status", "runtime"]
    places = [*range(hidden or count), *range(count - len(picked) + hidden, count)][: len(picked)]
    cells = []
    for place, result in zip(places, picked, strict=True):
        texts = results._tasks.labels(results._places[place], _CELL)
        parameters = [cut(texts.get(name, ABSENT)) for name in names]
        runtime = "" if result.runtime is None else seconds_text(result.runtime.total_seconds())
        repeat = [texts[""]] if repeated else []
        cells.append([str(place), *parameters, *repeat, value_cell(result), result.status, runtime])
    return [header, *cells], hidden


def value_cell(result: Result) -> str:
    """Name a result's value in a few words, or why there is none."""
    if result.failure is not None:
        return cut(f"{result.failure.type}: {result.failure.message}")
    if result.status != "done":
        return ""
    return cut(value_text(result, 4 * _CELL, rounded=True))


def cut(text: str, limit: int = _CELL) -> str:
    """Make one line of at most `limit` characters."""
    return one_line(text, limit)


def seconds_text(seconds: float) -> str:
    """Say a duration in few characters.

    Examples
    --------
    >>> seconds_text(0.0123), seconds_text(4.2), seconds_text(75), seconds_text(7500)
    ('12 ms', '4.2 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 0.0005:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def _aligned(cells: list[list[str]], hidden: int, width: int) -> list[str]:
    keep = _fitting([max(len(row[i]) for row in cells) for i in range(len(cells[0]))], width)
    widths = [max(len(row[i]) if i >= 0 else 1 for row in cells) for i in keep]

    def line(row: Sequence[Any]) -> str:
        shown = [row[i] if i >= 0 else "…" for i in keep]
        return "  ".join(text.ljust(size) for text, size in zip(shown, widths, strict=True)).rstrip()

    lines = [line(row) for row in cells]
    if hidden:
        lines.insert(hidden + 1, "…")
    return lines


def _fitting(widths: list[int], width: int) -> list[int]:
    """Choose columns that fit: the place and the last three always, then parameters from the left; -1 marks a gap."""
    last = list(range(len(widths) - 3, len(widths)))
    left = width - widths[0] - sum(widths[i] + 2 for i in last)
    keep = [0]
    for i in range(1, len(widths) - 3):
        if widths[i] + 2 > left - (3 if i < len(widths) - 4 else 0):
            keep.append(-1)
            break
        keep.append(i)
        left -= widths[i] + 2
    return keep + last
