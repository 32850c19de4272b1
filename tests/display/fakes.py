"""A clock that is set, a terminal that remembers its screen, and the events of a run."""

from __future__ import annotations

import re

from memento.events import Event, FailureGroup, RunFinished, RunStarted, Said, TaskFailed, Tick, WorkerState


class SetClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")


class FakeTerminal:
    """As much of a terminal as a live display uses; rows wrap, and flow anew when its width changes."""

    encoding = "utf-8"

    def __init__(self, width: int) -> None:
        self.width = width
        self.rows = [""]
        self.continued = [False]  # whether a row goes on with the text of the row above
        self.row = self.column = 0
        self.writes = 0
        self.raw = ""

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
                self.rows[self.row], self.continued[self.row] = "", False
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
        if self.row == len(self.rows):
            self.rows.append("")
            self.continued.append(continued)

    def _put(self, char: str) -> None:
        if self.column == self.width:
            self.column = 0
            self._down(True)
        old = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = old[: self.column] + char + old[self.column + 1 :]
        self.column += 1

    def resize(self, width: int) -> None:
        lines: list[str] = []
        # Only blank rows lie below the cursor here.
        upto = slice(self.row + 1)
        for row, continued in zip(self.rows[upto], self.continued[upto], strict=True):
            if continued:
                lines[-1] += row
            else:
                lines.append(row)
        self.width, self.rows, self.continued = width, [], []
        for line in lines:
            pieces = [line[i : i + width] for i in range(0, len(line), width)] or [""]
            self.rows += pieces
            self.continued += [i > 0 for i in range(len(pieces))]
        self.row, self.column = len(self.rows) - 1, len(self.rows[-1])

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
