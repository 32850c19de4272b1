"""How a run was started, and whether that can be done again."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memento import system
from memento.cli.exit_codes import UsageError
from memento.cli.start_again import Start, ask, start, start_of
from memento.records import RunInfo, RunRecord
from memento.runner.asked_for import Request
from memento.store.imported import note_of


def run_of(
    command: list[str] | None, cwd: Path, argv: tuple[str, ...] = (), host: str | None = None
) -> RunRecord:
    """Return a run that was started so."""
    known: dict[str, Any] = {"cwd": str(cwd)} | ({"command": command} if command is not None else {})
    info = RunInfo("a.py:f", 1, "{}", "", host or system.hostname(), 1, "", "", argv, known)
    return RunRecord(3, info, 0.0, 0.0, 1.0, "done", {})


AGAIN = {  # what was typed -> what is started again, and how it is told
    "python train.py": ("train.py", "python train.py"),
    "python3.11 -u -X dev train.py -c 3": ("-u -X dev train.py -c 3", "python -u -X dev train.py -c 3"),
    "/venv/bin/python -W ignore -m pkg.train": ("-W ignore -m pkg.train", "python -W ignore -m pkg.train"),
    "python /bin/memento run a.py:f m.yaml": ("/bin/memento run a.py:f m.yaml", "memento run a.py:f m.yaml"),
    "python -m memento run 'a b.py:f'": ("-m memento run 'a b.py:f'", "memento run 'a b.py:f'"),
    "python /venv/bin/train-models x": ("/venv/bin/train-models x", "python /venv/bin/train-models x"),
    "python code.py": ("code.py", "python code.py"),
}


@pytest.mark.parametrize(("command", "again"), AGAIN.items())
def test_a_script_is_started_as_it_was(command: str, again: tuple[str, str], tmp_path: Path) -> None:
    how = start_of(run_of(shlex.split(command), tmp_path))
    assert (list(how.words), how.cwd, how.here) == (shlex.split(again[0]), str(tmp_path), True)
    assert str(how) == again[1]


@pytest.mark.parametrize(
    "command",
    [
        ["python"],
        ["python", "-i"],
        ["python", "-"],
        ["python", "-c", "print(1)"],
        ["python", "-cprint(1)"],
        ["python", "-X", "dev", "-c", "from multiprocessing.spawn import spawn_main"],
        ["python", "-m", "ipykernel_launcher", "-f", "kernel.json"],
        ["python", "-Xfrozen_modules=off", "-m", "ipykernel", "-f", "kernel.json"],
        ["/venv/bin/python", "/venv/lib/ipykernel_launcher.py", "-f", "kernel.json"],
        ["python", "/venv/bin/ipython"],
        ["python", "/venv/bin/jupyter-lab"],
        ["emacs"],
    ],
)
def test_what_nobody_can_start_again_says_what_would_do(command: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        start_of(run_of(command, tmp_path))
    assert "from a notebook, a prompt or with -c" in str(told.value)
    assert "--by 'python SCRIPT ...'" in str(told.value)
    assert start_of(run_of(command, tmp_path), "python a.py -x 1").words == ("a.py", "-x", "1")


def test_a_command_line_that_had_a_secret_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\*\*\* was a secret"):
        start_of(run_of(["python", "train.py", "--token=***"], tmp_path))


def test_what_was_imported_is_not_imported_again(tmp_path: Path) -> None:
    run = run_of(["python", "-m", "memento", "import", "runs.csv"], tmp_path)
    provenance = run.info.provenance | note_of({"from": "runs.csv"})
    with pytest.raises(UsageError, match=r"imported results from runs\.csv"):
        start_of(run._replace(info=run.info._replace(provenance=provenance)))


def test_a_folder_that_is_not_here_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not here"):
        start_of(run_of(["python", "train.py"], tmp_path / "gone"))


@pytest.mark.parametrize("by", ["", "bash train.sh", "train.sh"])
def test_only_python_is_started(by: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="starts no script"):
        start_of(run_of(["python", "train.py"], tmp_path), by)


def test_what_another_machine_has_recorded_is_not_started_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = start_of(run_of(["python", "train.py"], tmp_path, host="elsewhere"))
    ask([how], yes=True, as_json=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(UsageError, match="Add --yes"):
        ask([how], yes=False, as_json=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    answers = iter(["", "y"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    with pytest.raises(UsageError, match="nothing was started"):
        ask([how], yes=False, as_json=False)
    ask([how], yes=False, as_json=False)
    ask([start_of(run_of(["python", "train.py"], tmp_path))], yes=False, as_json=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_of_the_moment_in_which_a_script_begins_ends_that_script(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> Any:
        process = begin(*arguments, **options)
        os.kill(os.getpid(), number)
        return process

    monkeypatch.setattr(subprocess, "Popen", popen)
    (tmp_path / "sleep.py").write_text("import time; time.sleep(600)")
    asked: list[int] = []
    before = signal.signal(number, lambda *_: asked.append(number))  # without it, it would end the tests
    try:
        assert start(Start(("sleep.py",), str(tmp_path)), Request("", ())).code == 128 + number
    finally:
        signal.signal(number, before)
    assert asked == []
