"""`memento logs`: what a task printed, and what one prints that runs now."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memento.cli import logs
from memento.cli.logs import Lines
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.store.activity import Working
from memento.store.store import Store
from tests.cli.calling import GENEROUS, Ran, memento, start, wait_until
from tests.cli.conftest import Project

# Each task prints, waits to be let on, and prints again; attempt 1 of task 1 fails.
EXPERIMENT = """
import time
from pathlib import Path

HERE = Path(__file__).parent

def wait_for(name):
    while not (HERE / name).exists():
        time.sleep(0.02)

def experiment(context, config):
    print("begins", config.x, "attempt", context.attempt)
    wait_for(f"go{config.x}")
    print("ends", config.x, end="")
    if config.x == 1 and context.attempt == 1:
        raise ValueError("again")
    return config.x
"""


def test_a_log_is_what_its_task_printed_and_no_other(project: Project) -> None:
    for x in (1, 2, 3):
        assert project("logs", project.key(model="dict", x=x)).out == f"training with {x}\n"


def test_a_task_that_printed_nothing_says_so(tmp_path: Path) -> None:
    import memento as library

    def silent(context: object, config: object) -> int:
        return 1

    library.Memento(silent, executor="serial", store=tmp_path / "store", progress=False).run(
        {"parameters": {"x": [1]}}
    )
    (task,) = memento("ls", "--json", "--store", tmp_path / "store").json["tasks"]
    told = memento("logs", task["key"], "--store", tmp_path / "store")
    assert (told.code, told.out) == (0, "")
    assert "nothing" in told.err


def test_following_a_task_that_is_over_ends(project: Project) -> None:
    told = project("logs", "-f", project.key(model="dict", x=2))
    assert (told.code, told.out) == (0, "training with 2\n")


def test_following_a_task_that_failed_ends_when_no_run_is_left(project: Project) -> None:
    told = project("logs", "-f", project.key(model="dict", x=3))
    assert (told.code, told.out) == (0, "training with 3\n")


@pytest.mark.parametrize(
    ("parts", "printed"),
    [
        ([b"one\ntw", b"o\n"], "one\ntwo\n"),
        (["± é".encode()[:1], "± é".encode()[1:]], "± é\n"),
        ([b"\x1b[3", b"1mred\x1b", b"[0m\n"], "red\n"),
        ([b"10%\r20%\r", b"\n"], "10%\n20%\n"),
        ([b"windows\r", b"\n"], "windows\n"),
        ([b"\x1b]0;open\nnext\n"], "\nnext\n"),
        ([b"\xff\xfe"], "\ufffd\ufffd\n"),
        ([b""], ""),
    ],
)
def test_a_stream_is_printed_as_safe_lines_however_it_is_cut(
    parts: list[bytes], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines()
    for part in parts:
        lines.feed(part)
    lines.end()
    assert capsys.readouterr().out == printed
    assert lines.printed == bool(printed)


class Background:
    """A project whose run is still going on."""

    def __init__(self, folder: Path, process: subprocess.Popen[str]) -> None:
        self.folder, self.process, self.store = folder, process, folder / "memento-store"

    def __call__(self, *arguments: str) -> Ran:
        return memento(*arguments, "--store", self.store)

    def now(self) -> list[str]:
        """The keys of the tasks that run now; none where the run has not even begun."""
        told = self("status", "--json")
        return [key for run in told.json["runs"] for key in run["now"]] if told.code == 0 else []


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Background]:
    """A run in the background, on one worker, that waits in the first of two tasks."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "experiment.py").write_text(EXPERIMENT, encoding="utf-8")
    (tmp_path / "matrix.json").write_text('{"parameters": {"x": [1, 2]}}', encoding="utf-8")
    process = start(
        "run", "experiment.py:experiment", "matrix.json", "-j", "1", "--retries", "1", cwd=tmp_path
    )
    project = Background(tmp_path, process)
    try:
        wait_until(project.now, process)
        yield project
    finally:
        for x in (1, 2):
            (tmp_path / f"go{x}").touch()
        try:
            process.communicate(timeout=GENEROUS)
        finally:
            process.kill()


@pytest.mark.slow
def test_a_store_that_a_run_writes_is_read(running: Background) -> None:
    (run,) = running("status", "--json").json["runs"]
    assert (run["status"], run["tasks"], len(run["now"])) == ("running", 2, 1)
    shown = running("status").out
    assert "running" in shown
    assert run["now"][0][:12] in shown
    assert running("ls").out.startswith("no tasks: none has finished yet")


@pytest.mark.slow
def test_a_task_that_runs_shows_what_it_printed_so_far(running: Background) -> None:
    (key,) = running.now()
    wait_until(lambda: running("logs", key).out, running.process)
    assert running("logs", key).out in ("begins 1 attempt 1\n", "begins 2 attempt 1\n")


@pytest.mark.slow
def test_a_task_that_runs_is_shown_as_such(running: Background) -> None:
    (key,) = running.now()
    told = running("show", key)
    assert (told.code, told.err) == (0, "")
    assert key in told.out
    assert "running" in told.out


@pytest.mark.slow
def test_following_ends_with_the_task_and_shows_each_attempt(running: Background) -> None:
    (key,) = running.now()
    follower = start("logs", "-f", key, "--store", running.store, cwd=running.folder)
    try:
        assert follower.stdout is not None
        first = follower.stdout.readline()
        for x in (1, 2):
            (running.folder / f"go{x}").touch()
        rest, err = follower.communicate(timeout=GENEROUS)
    finally:
        follower.kill()
    assert follower.returncode == 0, err
    if first == "begins 1 attempt 1\n":
        assert rest == "ends 1\nbegins 1 attempt 2\nends 1\n"
    else:
        assert (first, rest) == ("begins 2 attempt 1\n", "ends 2\n")


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [True, False], ids=["before the first look", "after it"])
def test_a_board_that_still_shows_an_attempt_which_is_over_repeats_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], recorded: bool
) -> None:
    key = project.key(model="dict", x=2)
    with Store.open(project.store) as store:
        (task,) = store.index.find(key)
        found = list(store.index.attempts(task.key))
    assert found[0].log is not None
    stale = Working(task.key, task.run, *found[0].log)
    looks = iter([stale, stale, stale])
    attempts = iter([found if recorded else []])
    monkeypatch.setattr(logs, "_at", lambda *_: next(looks, None))
    monkeypatch.setattr(SqliteIndex, "attempts", lambda *_: next(attempts, found))
    logs.print_log(project.store, [key], follow=True)
    assert capsys.readouterr().out == "training with 2\n"


def test_an_attempt_that_ends_between_two_looks_is_printed_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[bool] = []
    attempts, find = SqliteIndex.attempts, SqliteIndex.find

    def some(index: SqliteIndex, key: bytes) -> Any:
        found = attempts(index, key) if ended else []
        ended.append(True)
        return found

    monkeypatch.setattr(SqliteIndex, "attempts", some)
    monkeypatch.setattr(SqliteIndex, "find", lambda index, key: find(index, key) if ended else [])
    monkeypatch.setattr(logs, "find_key", lambda store, key: bytes.fromhex(key))
    logs.print_log(project.store, [project.key(model="dict", x=2)], follow=True)
    assert capsys.readouterr().out == "training with 2\n"


@pytest.mark.slow
def test_following_ends_when_the_run_is_killed(running: Background) -> None:
    (key,) = running.now()
    follower = start("logs", "-f", key, "--store", running.store, cwd=running.folder)
    try:
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith("begins")
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(GENEROUS)
        follower.communicate(timeout=GENEROUS)
    finally:
        follower.kill()
    assert follower.returncode == 0


@pytest.mark.slow
def test_ctrl_c_ends_following_quietly(running: Background) -> None:
    (key,) = running.now()
    follower = start("logs", "-f", key, "--store", running.store, cwd=running.folder)
    try:
        assert follower.stdout is not None
        follower.stdout.readline()
        os.kill(follower.pid, signal.SIGINT)
        _, err = follower.communicate(timeout=GENEROUS)
    finally:
        follower.kill()
    assert (follower.returncode, err) == (130, "")
