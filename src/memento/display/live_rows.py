"""Make the rows of a live display: the bar, the causes of failures, then what each worker does.

Knows: ticks, columns. May not know: streams, how rows get on a terminal.

Identity comes before numbers: where there is little room, bars and metrics go first, then letters in the middle of
values; no parameter in which tasks differ goes. What had its place keeps it, so that rows do not jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from memento.display.task_names import TaskNames, cut_end
from memento.display.text import Causes, metrics_text, progress_parts, settled, share
from memento.events import Tick, WorkerState
from memento.wording import duration, one_line

if TYPE_CHECKING:
    from rich.text import Text

_TIME = 10  # columns of how long a task has run: "12 h 34 min" is one more, and rare
_BAR = 10  # columns of a task's own bar
_BARS = _BAR + 7  # with what stands beside it
_LEAST = 16  # columns that a task's name has at least
_GAP = "  "


class LiveRows:
    """The rows of one run, from its first tick to its last."""

    def __init__(self, causes: Causes, encoding: str = "utf-8") -> None:
        self._causes = causes
        self._fine = encoding.lower().replace("-", "").startswith("utf")
        self._full, self._empty = ("━", "─") if self._fine else ("#", "-")
        self._names = TaskNames()
        self._width = 0  # of the terminal; what follows is for this width
        self._name_width = 0  # columns that names have taken so far
        self._bars = False  # whether a task has had a bar of its own
        self._most = 0  # tasks that were shown at once

    def rows(self, tick: Tick, width: int, height: int) -> list[Text]:
        """Return the rows for a terminal of some columns and rows."""
        if width != self._width:
            self._width, self._name_width, self._most = width, 0, 0
        causes = [_cause(line, width) for line in self._causes.lines()] if height > 4 else []
        return [self._bar(tick, width), *causes, *self._tasks(tick, width, height - 1 - len(causes))]

    def _bar(self, tick: Tick, width: int) -> Text:
        from rich.text import Text

        length = min(max(width // 4, 4), 40)
        bar = Text(no_wrap=True)
        used = 0
        for count, style in ((tick.cached, "cyan"), (tick.done, "green"), (tick.failed, "red")):
            cells = min(round(length * count / max(tick.total, 1)), length - used)
            if count and not cells and used < length and style == "red":
                cells = 1  # a single failure among thousands is still to be seen
            bar.append(self._full * cells, style=style)
            used += cells
        if settled(tick) < tick.total and used == length:
            bar.right_crop(1)
            used -= 1
        bar.append(self._empty * (length - used), style="dim")
        told, between = "", " · " if self._fine else ", "
        for part in progress_parts(tick):
            longer = f"{told}{between}{part}" if told else part
            if told and length + len(_GAP) + len(longer) > width:
                break
            told = longer
        return bar.append(f"{_GAP}{told}", style="bold")

    def _tasks(self, tick: Tick, width: int, room: int) -> list[Text]:
        from rich.text import Text

        shown = _longest(tick, room)
        count = len(tick.running) + tick.unlisted
        rows = self._task_rows(shown, width)
        if shown and len(shown) < count:
            rows.append(Text(f"{_GAP}and {count - len(shown):,} more running", style="dim", no_wrap=True))
        # Between two tasks a worker has none for a moment: its row stays, for the rows below not to jump.
        self._most = min(max(self._most, len(rows)), max(room, 0))
        return [*rows, *(Text("") for _ in range(self._most - len(rows)))]

    def _task_rows(self, shown: Sequence[WorkerState], width: int) -> list[Text]:
        from rich.cells import cell_len, set_cell_size
        from rich.text import Text

        self._bars = self._bars or any(share(state) is not None for state in shown)
        most = max(width - 2 * len(_GAP) - _TIME, _LEAST)
        names = self._names.fit([one_line(state.config, 400) for state in shown], most)
        self._name_width = max([self._name_width, *map(cell_len, names)])
        left = width - 2 * len(_GAP) - _TIME - self._name_width
        rows = []
        for state, name in zip(shown, names, strict=True):
            row = Text(f"{_GAP}{set_cell_size(name, self._name_width)}{_GAP}", no_wrap=True)
            row.append(f"{duration(state.seconds):>{_TIME}}", style="dim")
            if self._bars and left >= _BARS:
                self._add_share(row, share(state))
            metrics = metrics_text(state)
            spare = width - row.cell_len - len(_GAP)
            if metrics and spare >= _BAR:
                row.append(f"{_GAP}{cut_end(metrics, spare)}", style="magenta")
            rows.append(row)
        return rows

    def _add_share(self, row: Text, part: float | None) -> None:
        if part is None:
            row.append(" " * _BARS)
            return
        cells = int(part * _BAR)
        row.append(f"{_GAP}{self._full * cells}", style="green")
        row.append(self._empty * (_BAR - cells), style="dim").append(f" {part:>4.0%}")


def _cause(line: str, width: int) -> Text:
    from rich.text import Text

    return Text(f"{_GAP}{cut_end(line, width - len(_GAP))}", style="red", no_wrap=True)


def _longest(tick: Tick, room: int) -> Sequence[WorkerState]:
    """Choose the tasks that are shown: those that run longest are the ones that somebody wonders about."""
    running = tick.running
    if room <= 0:
        return ()
    if len(running) + tick.unlisted <= room:
        return running
    keep = sorted(range(len(running)), key=lambda i: -running[i].seconds)[: room - 1]
    return [running[i] for i in sorted(keep)]  # their order stays
