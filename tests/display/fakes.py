"""A clock that is set, a terminal that remembers its screen, and the events of a run."""

from __future__ import annotations

import re

from rich.cells import cell_len

from memento.events import Event, FailureGroup, RunFinished, RunStarted, Said, TaskFailed, Tick, WorkerState


class SetClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")
_WIDE = ""  # in the second cell of a character that takes two


class FakeTerminal:
    """As much of a terminal as a live display uses; rows wrap, and flow anew when its width changes.

    `flows=False` is one that cuts rows instead, like xterm.
    """

    encoding = "utf-8"

    def __init__(self, width: int, *, flows: bool = True) -> None:
        self.width, self._flows = width, flows
        self._cells: list[list[str]] = [[]]
        self._continued = [False]  # whether a row goes on with the text of the row above
        self.row = self.column = 0
        self.writes = 0
        self.raw = ""
        self._wraps = True

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError("not a file")

    def flush(self) -> None:
        pass

    def write(self, text: str) -> int:
        self.writes += 1
        self.raw += text
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            assert token is not None, text[position : position + 20]
            position = token.end()
            number, command, move, char = token.groups()
            if command == "A":
                self.row = max(self.row - int(number or 1), 0)
            elif command == "K":
                assert number == "2"
                self._cells[self.row], self._continued[self.row] = [], False
            elif command in ("l", "h"):
                assert number == "?7", f"unexpected mode {number}"
                self._wraps = command == "h"
            elif command:
                assert command == "m", f"unexpected control {command!r}"
            elif move == "\r":
                self.column = 0
            elif move == "\n":
                self.column = 0
                self._down(False)
            else:
                self._put(char)
        return len(text)

    def _down(self, continued: bool) -> None:
        self.row += 1
        if self.row == len(self._cells):
            self._cells.append([])
            self._continued.append(continued)

    def _put(self, char: str) -> None:
        size = cell_len(char)
        if self.column + size > self.width:
            if not self._wraps:
                return
            self.column = 0
            self._down(True)
            self._continued[self.row] = True
        cells = self._cells[self.row]
        cells += [" "] * (self.column + size - len(cells))
        cells[self.column : self.column + size] = [char, _WIDE][:size]
        self.column += size

    def resize(self, width: int) -> None:
        if not self._flows:
            self.width, self._cells = width, [cells[:width] for cells in self._cells]
            return
        lines: list[list[str]] = []
        for cells, continued in zip(self._cells[: self.row + 1], self._continued, strict=False):
            if continued:
                lines[-1] += cells
            else:
                lines.append(list(cells))
        assert not any("".join(cells) for cells in self._cells[self.row + 1 :]), "text below the cursor"
        self.width, self._cells, self._continued, self.row = width, [[]], [False], 0
        for place, line in enumerate(lines):
            self.column = 0
            for char in "".join(line):
                self._put(char)
            if place + 1 < len(lines):
                self._down(False)

    @property
    def rows(self) -> list[str]:
        return ["".join(cells) for cells in self._cells]

    @property
    def lines(self) -> list[str]:
        """Return what stands on it, each line whole however it is wrapped."""
        lines: list[str] = []
        for row, continued in zip(self.rows, self._continued, strict=True):
            if continued:
                lines[-1] += row
            else:
                lines.append(row)
        return [line.rstrip() for line in lines]

    @property
    def screen(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).rstrip()


GROUP = FailureGroup(
    title="ValueError: inconsistent numbers of samples (experiment.py:24)",
    kind="raised",
    count=1,
    traceback="Traceback (most recent call last): ...",
    config="dataset=load_wine_broken, model=SVC",
    key="ab12cd34" * 4,
)
STARTED = RunStarted("experiment:experiment", "/data/memento-store", 27, 5, 22, 2, 100.0)
FINISHED = RunFinished("experiment:experiment", "/data/memento-store", 27, 22, 5, 0, 123.0)


def tick(done: int, failed: int = 0, total: int = 27, workers: int = 2, **more: object) -> Tick:
    running = tuple(
        WorkerState(
            worker=f"w{i}",
            key="0" * 32,
            config=f"dataset=load_digits, model=SVC, fold={i}",
            seconds=12.0 + i,
            done=5.0 if i == 0 else 0.0,
            total=10.0 if i == 0 else None,
            metrics={"loss": 0.3125} if i == 0 else {},
        )
        for i in range(workers)
    )
    facts: dict[str, object] = {"cached": 5, "elapsed": 10.0, "eta": 30.0, "throughput": 1.2} | more
    return Tick(total=total, done=done, failed=failed, running=running, **facts)  # type: ignore[arg-type]


RUN: list[Event] = [
    STARTED,
    tick(3),
    Said("worker host/12 was replaced", "warning"),
    TaskFailed("ab", GROUP.config, GROUP, True),
    TaskFailed("cd", GROUP.config, GROUP, False),
    tick(9, 1),
]
