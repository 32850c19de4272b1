"""Show a run live in a notebook: one output of HTML that is replaced, no widgets and no thread.

Knows: IPython's display and HTML. May not know: terminals, the runner.
"""

from __future__ import annotations

from html import escape
from typing import Any

from memento.clock import Clock
from memento.display.text import Line, Narrator, metrics_text, progress_parts, settled, share
from memento.events import Event, RunFinished, RunStarted, Tick, WorkerState
from memento.wording import duration, one_line

REDRAW = 0.25  # seconds: each redraw is a message to the browser
WORKERS = 16
# Colours that keep their contrast on light and dark themes.
_STYLES = {
    "head": "font-weight:bold",
    "warning": "color:#b8860b",
    "failure": "color:#d1242f",
    "detail": "opacity:.7",
    "done": "color:#2e8b57",
}


class View:
    """What a notebook is given to show; as plain text too, for those that do not show HTML."""

    def __init__(self, lines: list[Line], tick: Tick | None) -> None:
        self._lines = lines
        self._tick = tick

    def __repr__(self) -> str:
        text = [line.text for line in self._lines]
        if self._tick is not None:
            text.append(", ".join(progress_parts(self._tick)))
        return "\n".join(text)

    def _repr_html_(self) -> str:
        rows = [
            f'<div style="white-space:pre-wrap;{_STYLES.get(line.kind, "")}">{escape(line.text)}</div>'
            for line in self._lines
        ]
        if self._tick is not None:
            rows.append(_bar(self._tick))
            rows.append(_workers(self._tick.running, self._tick.unlisted))
        return f'<div style="font-family:monospace;line-height:1.4">{"".join(rows)}</div>'


class NotebookScreen:
    """The display in a notebook's cell."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._narrator = Narrator()
        self._begin()

    def _begin(self) -> None:
        self._lines: list[Line] = []
        self._handle: Any = None  # of the output that is replaced
        self._live = False
        self._last = float("-inf")

    def listen(self, event: Event) -> None:
        """Show what `event` changes, at most a few times a second."""
        if isinstance(event, RunStarted):
            self.close()  # each run of several has an output of its own
            self._live = event.todo > 0
        new = list(self._narrator.lines(event))
        self._lines.extend(new)
        if isinstance(event, RunFinished):
            self.close()
        elif isinstance(event, Tick):
            now = self._clock.monotonic()
            if self._live and now - self._last >= REDRAW:
                self._last = now
                self._show(event)
        elif new and (isinstance(event, RunStarted) or not self._live):
            self._show(None)

    def close(self) -> None:
        """Leave the lines, take the bar away."""
        if self._lines:
            self._show(None)
        self._begin()

    def _show(self, tick: Tick | None) -> None:
        from IPython.display import display

        view = View(list(self._lines), tick)
        if self._handle is None:
            self._handle = display(view, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types
        else:
            self._handle.update(view)


def _bar(tick: Tick) -> str:
    total = max(tick.total, 1)
    parts = ((tick.cached, "#4aa3b5"), (tick.done, "#2e8b57"), (tick.failed, "#d1242f"))
    cells = "".join(
        f'<span style="background:{colour};width:{100 * count / total:.2f}%"></span>'
        for count, colour in parts
        if count
    )
    told = " · ".join(progress_parts(tick))
    return (
        '<div style="display:flex;align-items:center;gap:1em">'
        f'<div role="progressbar" aria-label="tasks" aria-valuemin="0" aria-valuemax="{tick.total}"'
        f' aria-valuenow="{settled(tick)}"'
        ' style="display:flex;width:20em;height:.8em;background:rgba(127,127,127,.3)">'
        f"{cells}</div><b>{escape(told)}</b></div>"
    )


def _workers(running: tuple[WorkerState, ...], unlisted: int) -> str:
    rows = []
    for state in running[:WORKERS]:
        part = share(state)
        cells = (duration(state.seconds), "" if part is None else f"{part:.0%}", metrics_text(state))
        left = "".join(f'<td style="text-align:right;padding:0 .6em">{escape(cell)}</td>' for cell in cells)
        rows.append(f'<tr>{left}<td style="text-align:left">{escape(one_line(state.config, 200))}</td></tr>')
    more = len(running[WORKERS:]) + unlisted
    if more:
        rows.append(f'<tr><td colspan="4">and {more:,} more running</td></tr>')
    return f"<table>{''.join(rows)}</table>" if rows else ""
