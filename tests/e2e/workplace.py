"""A folder in which scripts run as programs of their own, and where nothing of them may be left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

PATIENCE = 300.0  # seconds; what a test waits for has long happened by then, or never will
MARK = "MEMENTO_TEST_MARK"


class Program:
    """One run of a script: its process, and what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process = process
        self._out, self._err = folder / "stdout", folder / "stderr"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, code: int | None = 0) -> Program:
        """Wait for the end; `code` is the exit status that it has to have."""
        try:
            found = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not end:\n{self.out}\n{self.err}") from None
        assert code is None or found == code, f"exit status {found}:\n{self.out}\n{self.err}"
        return self


class Workplace:
    """A temporary folder, scripts in it, and the processes that they started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"memento-test-{os.getpid()}-{folder.name}-{id(self)}"
        self._programs: list[Program] = []
        self.environment = {**os.environ, MARK: self.mark, "PYTHONWARNINGS": "default"}
        for name in ("MEMENTO_STORE", "MEMENTO_CACHE_PATH", "PYTHONPATH"):
            self.environment.pop(name, None)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the scripts' folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_mtime if path.exists() else 0.0
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        if (
            before > path.stat().st_mtime - 1
        ):  # Python takes a text of the same second and size for the one it compiled
            os.utime(path, (before + 1, before + 1))
        return path

    def start(
        self, *arguments: str, stdin: str | None = None, cwd: Path | None = None, **env: str
    ) -> Program:
        """Start Python with these arguments; its output goes to files, so that it never waits for us."""
        place = self.folder / f".program-{len(self._programs)}"
        place.mkdir()
        (place / "stdin").write_text(stdin or "", encoding="utf-8")
        with (
            (place / "stdin").open() as given,
            (place / "stdout").open("w") as out,
            (place / "stderr").open("w") as err,
        ):
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=cwd or self.folder,
                env={**self.environment, **env},
                stdin=given,
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
            )
        program = Program(process, place)
        self._programs.append(program)
        return program

    def run(self, *arguments: str, code: int | None = 0, **options: Any) -> Program:
        """Run Python with these arguments to its end."""
        return self.start(*arguments, **options).wait(code)

    def lines(self, name: str) -> list[str]:
        """Return the lines that tasks have appended to a file; none where it is not there yet."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def counts(self, name: str) -> dict[str, int]:
        """Return how often each line stands in a file."""
        return dict(Counter(self.lines(name)))

    def until(self, happened: Callable[[], Any], within: float = PATIENCE, what: str = "") -> Any:
        """Wait until something is true, and return it."""
        end = time.monotonic() + within
        while not (found := happened()):
            told = "\n".join(f"{p.out}\n{p.err}" for p in self._programs)
            assert time.monotonic() < end, f"{what or 'it'} did not happen within {within} s:\n{told}"
            time.sleep(0.01)
        return found

    def alive(self) -> list[psutil.Process]:
        """Return every process that was started, directly or not, by a script of this folder."""
        found = []
        for process in psutil.process_iter():
            try:
                ended = process.status() == psutil.STATUS_ZOMBIE
                if not ended and process.environ().get(MARK) == self.mark:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                continue
        return found

    def nobody_left(self, within: float = PATIENCE) -> None:
        """Assert that nothing that the scripts started lives any more, soon."""
        try:
            self.until(lambda: not self.alive(), within, "the end of all processes")
        except AssertionError:
            told = [(p.pid, p.cmdline()) for p in self.alive()]
            raise AssertionError(f"orphans: {told}") from None

    def clean(self) -> None:
        """End what a failed test left."""
        for process in self.alive():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for program in self._programs:
            program.process.wait()


# What most scripts begin with: tasks that leave a line behind whenever they are computed.
COUNTING = """\
import os, sys, time
from pathlib import Path
from memento import Memento, Config, Context, AggregateException

HERE = Path(os.environ.get("HERE", os.getcwd()))

def note(text, name="computed"):
    with open(HERE / name, "a") as file:  # one write with O_APPEND: whole lines, whoever else writes
        file.write(f"{text}\\n")

def wait_for(name):
    while not (HERE / name).exists():
        time.sleep(0.01)

"""
