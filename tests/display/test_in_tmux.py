"""A run in a real terminal: tmux draws it, resizes it and tells what stands there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
PATIENCE = 300.0

# Goes through its states as the file says that it is told to, so that no test waits for a time.
SCRIPT = """
import pathlib, sys, time
from memento.display.base import make_display
from memento.events import FailureGroup, RunFinished, RunStarted, TaskFailed, Tick, WorkerState

def tick(done):
    names = ("日本語データセット", "emoji 🎉 set", "load_breast_cancer_of_a_very_long_name")
    states = tuple(WorkerState(n, n, f"dataset={n}, model=SVC, seed={s}", 1.0, 1, 2) for s, n in enumerate(names))
    return Tick(90, done, 0, 1, states, 1.0, 2.0, 3.0)

group = FailureGroup("ValueError: bad (exp.py:3)", "raised", 1, "", "a=1", "ab")
with make_display() as display:
    display.listen(RunStarted("exp:f", "/s", 90, 0, 90, 3))
    display.listen(TaskFailed("ab", "a=1", group, True))
    while not pathlib.Path("end").exists():
        display.listen(tick(40))
        time.sleep(0.05)
    display.listen(RunFinished("exp:f", "/s", 90, 89, 0, 1, 1.0, groups=(group,)))
print("the result")
"""


class Tmux:
    def __init__(self, folder: Path) -> None:
        self._folder, self._socket = folder, str(folder / "tmux")

    def __call__(self, *arguments: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "CI")}
        command = ["tmux", "-S", self._socket, "-f", os.devnull, *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment, cwd=self._folder
        ).stdout

    def shown(self) -> list[str]:
        """Return what stands in the terminal and in its history."""
        return [line for line in self("capture-pane", "-p", "-S", "-100", "-t", "a").splitlines() if line]

    def wait(self, until: Callable[[list[str]], bool]) -> list[str]:
        """Wait for a state of the screen."""
        end = time.monotonic() + PATIENCE
        while not until(shown := self.shown()):
            assert time.monotonic() < end, shown
            time.sleep(0.05)
        return shown


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    (tmp_path / "script.py").write_text(SCRIPT)
    tmux = Tmux(tmp_path)
    start = f"printf 'line %s\\n' $(seq 40); {sys.executable} script.py; echo over; cat"
    # A server of its own is started in UTF-8, whatever the tests run in.
    tmux(
        "-u",
        "new-session",
        "-d",
        "-s",
        "a",
        "-x",
        "100",
        "-y",
        "30",
        "env",
        "LC_ALL=C.UTF-8",
        "sh",
        "-c",
        start,
    )
    yield tmux
    tmux("kill-server")


def bars(shown: list[str]) -> list[str]:
    return [line for line in shown if "40/90" in line or "41/90" in line]


def test_one_bar_stands_at_every_width_and_nothing_of_it_at_the_end(tmux: Tmux, tmp_path: Path) -> None:
    shown = tmux.wait(lambda lines: bool(bars(lines)))
    for width in (80, 160, 60, 40, 100):
        tmux("resize-window", "-t", "a", "-x", str(width))
        length = min(max((width - 1) // 4, 4), 40)

        def is_drawn(lines: list[str], length: int = length) -> bool:
            """Tell whether all of it is there: tmux may have read the half of what was written at once."""
            drawn = any(bar.count("━") + bar.count("─") == length for bar in bars(lines))
            rows = sum("     1.0 s" in line for line in lines)  # one a worker, none cut in two
            return drawn and rows == 3 and "failed: ValueError: bad" in "".join(lines)

        shown = tmux.wait(is_drawn)
        assert len(bars(shown)) == 1, shown
    (tmp_path / "end").touch()
    shown = tmux.wait(lambda lines: lines[-1] == "over")
    assert shown[-5:] == [
        "90 tasks: 89 done, 1 failed in 1.0 s",
        "  1 task: ValueError: bad (exp.py:3)",
        "      memento show ab --store /s",
        "the result",
        "over",
    ]
    assert bars(shown) == []
    assert [line for line in shown if line.startswith("line ")][
        -1
    ] == "line 40"  # nothing above was taken away
