"""Show a run live in a notebook: one output of HTML that is replaced, no widgets and no thread.

Knows: IPython's display and HTML. May not know: terminals, the runner.
"""

from __future__ import annotations

from typing import Any

from memento.clock import Clock
from memento.display.text import Causes, Line, Narrator, metrics_text, progress_parts, settled, share
from memento.events import Event, RunFinished, RunStarted, Tick, WorkerState
from memento.results.html_parts import CACHED, CODE, DONE, FAILED, WARNED, escape, marked, rgb
from memento.wording import duration, one_line

REDRAW = 0.25  # seconds: each redraw is a message to the browser
WORKERS = 16
_CELL = "padding:0 .6em;font-family:inherit;font-size:inherit"
_STYLES = {
    "head": "font-weight:bold",
    "warning": f"{marked(WARNED)};padding-left:.6em",
    "failure": f"{marked(FAILED)};padding-left:.6em",
    "detail": "opacity:.75",
    "done": f"{marked(DONE)};padding-left:.6em",
}


class View:
    """What a notebook is given to show; as plain text too, for those that do not show HTML."""

    def __init__(self, lines: list[Line], tick: Tick | None, causes: Causes) -> None:
        self._lines = lines
        self._tick = tick
        self._causes = causes.lines() if tick is not None else []
        self._parts = [] if tick is None else progress_parts(tick)

    def __repr__(self) -> str:
        told = [", ".join(self._parts)] if self._parts else []
        return "\n".join([*(line.text for line in self._lines), *told, *self._causes])

    def _repr_html_(self) -> str:
        rows = [_line(line) for line in self._lines]
        if self._tick is not None:
            rows.append(_bar(self._tick, " · ".join(self._parts)))
            rows += [_line(Line(cause, "failure")) for cause in self._causes]
            rows.append(_workers(self._tick.running, self._tick.unlisted))
        return f'<div style="font-family:{CODE};font-size:90%;line-height:1.5;text-align:left">{"".join(rows)}</div>'


class NotebookScreen:
    """The display in a notebook's cell."""

    def __init__(self, clock: Clock, *, reported: bool = False) -> None:
        self._clock = clock
        self._narrator = Narrator(failures=False, reported=reported)
        self._causes = Causes()
        self._begin()

    def _begin(self) -> None:
        self._lines: list[Line] = []
        self._handle: Any = None  # of the output that is replaced
        self._live = False
        self._last = float("-inf")

    def listen(self, event: Event) -> None:
        """Show what `event` changes, at most a few times a second."""
        self._causes.hear(event)
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

        view = View(list(self._lines), tick, self._causes)
        if self._handle is None:
            self._handle = display(view, display_id=True)  # type: ignore[no-untyped-call]  # IPython has no types
        else:
            self._handle.update(view)


def _line(line: Line) -> str:
    if line.group is not None:
        from memento.results.show import cause_html

        return cause_html(line.group, line.text.strip())
    if line.kind == "command":  # it stands with what is unfolded
        return ""
    return f'<div style="white-space:pre-wrap;{_STYLES.get(line.kind, "")}">{escape(line.text)}</div>'


def _bar(tick: Tick, told: str) -> str:
    total = max(tick.total, 1)
    parts = ((tick.cached, CACHED), (tick.done, DONE), (tick.failed, FAILED))
    cells = "".join(
        f'<span style="background-color:{rgb(colour)};width:{100 * count / total:.2f}%"></span>'
        for count, colour in parts
        if count
    )
    return (
        '<div style="display:flex;align-items:center;gap:1em">'
        f'<div role="progressbar" aria-label="tasks" aria-valuemin="0" aria-valuemax="{tick.total}"'
        f' aria-valuenow="{settled(tick)}"'
        ' style="display:flex;flex:none;width:16em;height:.7em;background-color:rgba(127,127,127,.3)">'
        f"{cells}</div><b>{escape(told)}</b></div>"
    )


def _workers(running: tuple[WorkerState, ...], unlisted: int) -> str:
    rows = []
    for state in running[:WORKERS]:
        part = share(state)
        cells = (duration(state.seconds), "" if part is None else f"{part:.0%}", metrics_text(state))
        name = f'<td style="text-align:left;{_CELL}">{escape(one_line(state.config, 200))}</td>'
        told = "".join(f'<td style="text-align:right;{_CELL}">{escape(cell)}</td>' for cell in cells)
        rows.append(f"<tr>{name}{told}</tr>")
    more = len(running[WORKERS:]) + unlisted
    if more:
        rows.append(
            f'<tr><td colspan="4" style="text-align:left;{_CELL}">and {more:,} more running</td></tr>'
        )
    return f'<table style="margin:0">{"".join(rows)}</table>' if rows else ""
