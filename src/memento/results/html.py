"""Show results and failures in a notebook: escaped, bounded HTML.

Knows: HTML. May not know: notebooks, stores.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from memento.results.failures import FailureReport, one_line
from memento.results.text import headline, table
from memento.wording import safe_text

if TYPE_CHECKING:
    from memento.results.results import Results

_ROWS = 60
_GROUPS = 20
_TRACE = 8_000  # characters of a traceback


def results_html(results: Results) -> str:
    """Return a headline and a table of at most 60 results."""
    if not len(results):
        return "<p><b>Results</b>: none</p>"
    (header, *rows), hidden = table(results, _ROWS)
    body = [f"<tr{_failed(row)}>{_cells('td', row)}</tr>" for row in rows]
    if hidden:
        left_out = len(results) - len(rows)
        body.insert(hidden, f'<tr><td colspan="{len(header)}">… {left_out:,} more …</td></tr>')
    return (
        f"<div><p><b>Results</b>: {escape(headline(results))}</p>"
        f'<table><thead><tr style="text-align: left">{_cells("th", header)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def failures_html(report: FailureReport) -> str:
    """Return each group of failures with its first traceback folded."""
    parts = [f"<p><b>{escape(report.headline)}</b></p>"]
    for group in report.groups[:_GROUPS]:
        trace = group.traceback or group.output
        shown = trace if len(trace) <= _TRACE else "…" + trace[-_TRACE:]
        first = f"{'' if group.count == 1 else 'first: '}{group.config} (key {group.key[:12]})"
        parts.append(
            f"<details><summary>{escape(one_line(group))}</summary>"
            f"<p>{escape(first)}</p><pre>{escape(shown)}</pre></details>"
        )
    if len(report) > _GROUPS:
        parts.append(f"<p>… and {len(report) - _GROUPS:,} more causes</p>")
    return f"<div>{''.join(parts)}</div>"


def _cells(tag: str, texts: list[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _failed(row: list[str]) -> str:
    return ' style="color: #b00020"' if row[-2] == "failed" else ""


def escape(text: str) -> str:
    """Return text of anybody's as HTML that shows it, and does nothing else."""
    return html.escape(safe_text(text))
