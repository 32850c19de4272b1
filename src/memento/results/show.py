"""Show results and failures: as a short table of plain text, and in a notebook as escaped, bounded HTML.

Knows: results, a width, HTML. May not know: terminals, notebooks, stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memento.results.html_parts import FAILED, escape, marked, traceback_block
from memento.results.parameters import ABSENT
from memento.results.result import Result
from memento.results.value_cells import LIMIT as _CELL
from memento.results.value_cells import value_cells
from memento.wording import duration, number_of, one_line

if TYPE_CHECKING:
    from memento.events import FailureGroup
    from memento.results.selection import Selection

_ROWS = 12  # results that a table shows; more are cut in the middle
_WIDTH = 110
_COUNTED = 50_000  # beyond, counting how tasks went would make a repr slow
_HTML_ROWS = 60
_HTML_ITEMS = 20  # items of what was returned that are columns
_HTML_GROUPS = 20


def as_text(results: Sequence[Result], selection: Selection, rows: int = _ROWS, width: int = _WIDTH) -> str:
    """Return a headline and a table of the first and last results."""
    if not len(results):
        return "Results: none"
    table = _table(results, selection, rows)
    return "\n".join([f"Results: {_headline(selection)}", *_aligned(table, width)])


def results_html(results: Sequence[Result], selection: Selection) -> str:
    """Return a headline and a table of at most 60 results."""
    if not len(results):
        return "<p><b>Results</b>: none</p>"
    table = _table(results, selection, _HTML_ROWS)
    items = range(table.first_item, table.first_fact)
    out = items[_HTML_ITEMS:]
    (header, *rows) = [[text for i, text in enumerate(row) if i not in out] for row in table.cells]
    body = [f"<tr{_failed(row)}>{_html_cells('td', row)}</tr>" for row in rows]
    if table.hidden:
        left_out = len(results) - len(rows)
        body.insert(table.hidden, f'<tr><td colspan="{len(header)}">… {left_out:,} more …</td></tr>')
    more = f"<p>{escape(_more_columns(len(out)))}</p>" if out else ""
    return (
        f"<div><p><b>Results</b>: {escape(_headline(selection))}</p>"
        f'<table style="text-align:left"><thead><tr>{_html_cells("th", header)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{more}</div>"
    )


def failures_html(headline: str, groups: Sequence[tuple[FailureGroup, str]]) -> str:
    """Return each group of failures, with its line, and its first traceback folded."""
    parts = [f"<p><b>{escape(headline)}</b></p>"]
    parts += [cause_html(group, line) for group, line in groups[:_HTML_GROUPS]]
    if len(groups) > _HTML_GROUPS:
        parts.append(f"<p>… and {len(groups) - _HTML_GROUPS:,} more causes</p>")
    return f"<div>{''.join(parts)}</div>"


def cause_html(group: FailureGroup, line: str) -> str:
    """Return a cause of failures in one line, which unfolds to the first that failed so and its traceback."""
    first = f"{'' if group.count == 1 else 'first: '}{group.config}"
    more = f"memento show {group.key[:12]}"
    return (
        f'<details style="{marked(FAILED)};padding:.1em .6em;margin:.2em 0;text-align:left">'
        f'<summary style="cursor:pointer">{escape(line)}</summary>'
        f"<div>{escape(first)}</div>{traceback_block(group.traceback or group.output)}"
        f'<div>more: <code style="background-color:transparent;color:inherit">{escape(more)}</code></div></details>'
    )


def _headline(selection: Selection) -> str:
    """Say how many tasks there are, and how they went, where they were read already or are not too many to count."""
    tasks = number_of(len(selection), "task")
    if len(selection) > _COUNTED and not selection.is_read:
        return tasks
    counts = selection.counts()
    parts = [f"{counts['done']:,} done" + (f" ({counts['cached']:,} cached)" if counts["cached"] else "")]
    parts += [f"{counts[name]:,} {name}" for name in ("failed", "missing") if counts[name]]
    return f"{tasks}: {', '.join(parts)}"


class _Table(NamedTuple):
    """Cells, the header first: place, parameters, items of what was returned, then the facts that always stand."""

    cells: list[list[str]]
    hidden: int  # after which row others are left out, or 0
    first_item: int
    first_fact: int


def _table(results: Sequence[Result], selection: Selection, rows: int) -> _Table:
    """Return header and cells of at most `rows` results."""
    count, hidden, tasks = len(results), 0, selection.tasks
    places = list(range(count))
    if count > rows:
        hidden = (rows + 1) // 2
        places = [*range(hidden), *range(count - (rows - hidden), count)]
    picked = [*results[: hidden or count], *(results[places[hidden] :] if hidden else ())]
    names = list(tasks.shown)
    repeated = ["repeat"] if tasks.repeats > 1 else []
    identity = ["", *map(one_line, names), *repeated]
    values = value_cells(picked)
    items = [f"value.{name}" if name in identity else name for name in map(one_line, values.items)]
    facts = [*([] if values.rest is None else [values.rest_name]), "status", "runtime"]
    cells = [[*identity, *items, *facts]]
    for number, (place, result) in enumerate(zip(places, picked, strict=True)):
        texts = tasks.labels(selection.places[place], _CELL)
        parameters = [one_line(texts.get(name, ABSENT), _CELL) for name in names]
        runtime = "" if result.runtime is None else _seconds(result.runtime.total_seconds())
        repeat = [texts[""]] if repeated else []
        returned = [
            column[number] for column in (*values.items.values(), *([values.rest] if values.rest else []))
        ]
        told = [one_line(text, _CELL) for text in returned]
        cells.append([str(place), *parameters, *repeat, *told, result.status, runtime])
    return _Table(cells, hidden, len(identity), len(identity) + len(items))


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


def _aligned(table: _Table, width: int) -> list[str]:
    keep, left_out = _fitting(table, width)
    widths = [max(len(row[i]) if i >= 0 else 1 for row in table.cells) for i in keep]

    def line(row: Sequence[Any]) -> str:
        shown = [row[i] if i >= 0 else "…" for i in keep]
        return "  ".join(text.ljust(size) for text, size in zip(shown, widths, strict=True)).rstrip()

    lines = [line(row) for row in table.cells]
    if table.hidden:
        lines.insert(table.hidden + 1, "…")
    return [*lines, _more_columns(left_out)] if left_out else lines


def _more_columns(count: int) -> str:
    return f"{number_of(count, 'more column')}: results.to_frame() has them all"


def _fitting(table: _Table, width: int) -> tuple[list[int], int]:
    """Choose columns that fit, -1 for a gap, and say how many find no room.

    The place, the first item and the facts always stand; then parameters that vary, then items, then other parameters.
    """
    header, *rows = table.cells
    widths = [max(map(len, column)) + 2 for column in zip(*table.cells, strict=True)]
    items, facts = range(table.first_item, table.first_fact), range(table.first_fact, len(header))
    always = [0, *items[:1], *facts]
    shown = [tuple(row[i] for row in rows) for i in range(items.start)]
    names = range(1, items.start)
    varying = [i for i in names if len(set(shown[i])) > 1 and shown[i] not in shown[1:i]]
    order = [*varying, *items[1:], *(i for i in names if i not in varying)]
    left = width + 2 - sum(widths[i] for i in always)
    keep: list[int] = []
    gaps_left = 6 if items else 3  # columns that the marks of gaps take
    for i in order:
        if widths[i] > left - (gaps_left if i != order[-1] else 0):
            break
        keep.append(i)
        left -= widths[i]
    out = set(order) - set(keep)
    gaps = {part.stop for part in (names, items) if not out.isdisjoint(part)}
    chosen = [
        i for column in sorted({*always, *keep}) for i in ((-1, column) if column in gaps else (column,))
    ]
    return chosen, len(out)


def _html_cells(tag: str, texts: list[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _failed(row: list[str]) -> str:
    return f' style="{marked(FAILED)}"' if row[-2] == "failed" else ""
