"""Show results and failures: as a short table of plain text, and in a notebook as escaped, bounded HTML.

Knows: results, a width, HTML. May not know: terminals, notebooks, stores.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from memento.results.parameters import ABSENT
from memento.results.result import Result, value_text
from memento.wording import duration, number_of, one_line, safe_text

if TYPE_CHECKING:
    from memento.events import FailureGroup
    from memento.results.selection import Selection

_ROWS = 12  # results that a table shows; more are cut in the middle
_CELL = 28  # characters of a cell
_WIDTH = 110
_COUNTED = 50_000  # beyond, counting how tasks went would make a repr slow
_HTML_ROWS = 60
_HTML_GROUPS = 20
_TRACE = 8_000  # characters of a traceback in HTML


def as_text(results: Sequence[Result], selection: Selection, rows: int = _ROWS, width: int = _WIDTH) -> str:
    """Return a headline and a table of the first and last results."""
    if not len(results):
        return "Results: none"
    cells, hidden = _table(results, selection, rows)
    return "\n".join([f"Results: {_headline(selection)}", *_aligned(cells, hidden, width)])


def results_html(results: Sequence[Result], selection: Selection) -> str:
    """Return a headline and a table of at most 60 results."""
    if not len(results):
        return "<p><b>Results</b>: none</p>"
    (header, *rows), hidden = _table(results, selection, _HTML_ROWS)
    body = [f"<tr{_failed(row)}>{_html_cells('td', row)}</tr>" for row in rows]
    if hidden:
        left_out = len(results) - len(rows)
        body.insert(hidden, f'<tr><td colspan="{len(header)}">… {left_out:,} more …</td></tr>')
    return (
        f"<div><p><b>Results</b>: {escape(_headline(selection))}</p>"
        f'<table><thead><tr style="text-align: left">{_html_cells("th", header)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def failures_html(headline: str, groups: Sequence[tuple[FailureGroup, str]]) -> str:
    """Return each group of failures, with its line, and its first traceback folded."""
    parts = [f"<p><b>{escape(headline)}</b></p>"]
    for group, line in groups[:_HTML_GROUPS]:
        trace = group.traceback or group.output
        shown = trace if len(trace) <= _TRACE else "…" + trace[-_TRACE:]
        first = f"{'' if group.count == 1 else 'first: '}{group.config} (key {group.key[:12]})"
        parts.append(
            f"<details><summary>{escape(line)}</summary>"
            f"<p>{escape(first)}</p><pre>{escape(shown)}</pre></details>"
        )
    if len(groups) > _HTML_GROUPS:
        parts.append(f"<p>… and {len(groups) - _HTML_GROUPS:,} more causes</p>")
    return f"<div>{''.join(parts)}</div>"


def _headline(selection: Selection) -> str:
    """Say how many tasks there are, and how they went, where they were read already or are not too many to count."""
    tasks = number_of(len(selection), "task")
    if len(selection) > _COUNTED and not selection.is_read:
        return tasks
    counts = selection.counts()
    parts = [f"{counts['done']:,} done" + (f" ({counts['cached']:,} cached)" if counts["cached"] else "")]
    parts += [f"{counts[name]:,} {name}" for name in ("failed", "missing") if counts[name]]
    return f"{tasks}: {', '.join(parts)}"


def _table(results: Sequence[Result], selection: Selection, rows: int) -> tuple[list[list[str]], int]:
    """Return header and cells of at most `rows` results, and after which row the others are left out (or 0)."""
    count, hidden, tasks = len(results), 0, selection.tasks
    places = list(range(count))
    if count > rows:
        hidden = (rows + 1) // 2
        places = [*range(hidden), *range(count - (rows - hidden), count)]
    picked = [*results[: hidden or count], *(results[places[hidden] :] if hidden else ())]
    names = list(tasks.shown)
    repeated = ["repeat"] if tasks.repeats > 1 else []
    cells = [["", *map(one_line, names), *repeated, "value", "status", "runtime"]]
    for place, result in zip(places, picked, strict=True):
        texts = tasks.labels(selection.places[place], _CELL)
        parameters = [one_line(texts.get(name, ABSENT), _CELL) for name in names]
        runtime = "" if result.runtime is None else _seconds(result.runtime.total_seconds())
        repeat = [texts[""]] if repeated else []
        cells.append([str(place), *parameters, *repeat, _value_cell(result), result.status, runtime])
    return cells, hidden


def _value_cell(result: Result) -> str:
    """Name a result's value in a few words, or why there is none."""
    if result.failure is not None:
        return one_line(f"{result.failure.type}: {result.failure.message}", _CELL)
    if result.status != "done":
        return ""
    return one_line(value_text(result, 4 * _CELL, rounded=True), _CELL)


def _seconds(seconds: float) -> str:
    """Say a duration in few characters.

    Examples
    --------
    >>> _seconds(0.0123), _seconds(4.2), _seconds(75), _seconds(7500)
    ('12 ms', '4.2 s', '1 min 15 s', '2 h 5 min')
    """
    if seconds < 0.0005:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else duration(seconds)


def _aligned(cells: list[list[str]], hidden: int, width: int) -> list[str]:
    keep = _fitting(cells, width)
    widths = [max(len(row[i]) if i >= 0 else 1 for row in cells) for i in keep]

    def line(row: Sequence[Any]) -> str:
        shown = [row[i] if i >= 0 else "…" for i in keep]
        return "  ".join(text.ljust(size) for text, size in zip(shown, widths, strict=True)).rstrip()

    lines = [line(row) for row in cells]
    if hidden:
        lines.insert(hidden + 1, "…")
    return lines


def _fitting(cells: list[list[str]], width: int) -> list[int]:
    """Choose columns that fit: the place and the last three always, parameters that vary first; -1 marks a gap."""
    header, *rows = cells
    widths = [max(map(len, column)) + 2 for column in zip(*cells, strict=True)]
    last = range(len(header) - 3, len(header))
    left = width + 2 - widths[0] - sum(widths[i] for i in last)
    shown = [tuple(row[i] for row in rows) for i in range(last.start)]
    # False comes first: what has several values in these rows, and not those of another.
    order = sorted(range(1, last.start), key=lambda i: len(set(shown[i])) < 2 or shown[i] in shown[1:i])
    keep: list[int] = []
    for i in order:
        if widths[i] > left - (3 if i != order[-1] else 0):
            break
        keep.append(i)
        left -= widths[i]
    return [0, *sorted(keep), *([-1] if len(keep) < len(order) else []), *last]


def _html_cells(tag: str, texts: list[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _failed(row: list[str]) -> str:
    return ' style="color: #b00020"' if row[-2] == "failed" else ""


def escape(text: str) -> str:
    """Return text of anybody's as HTML that shows it, and does nothing else."""
    return html.escape(safe_text(text))
