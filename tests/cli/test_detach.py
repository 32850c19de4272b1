"""`memento run --detach`: the run goes on without its terminal, says where it is, and can be stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from memento import load
from memento.store.store import Store

SCRIPT = """
import time
from pathlib import Path

def experiment(context, config):
    Path("begun").touch()
    while not Path("gate").exists():
        time.sleep(0.01)
    return config.x
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "exp.py").write_text(SCRIPT)
    (tmp_path / "m.yaml").write_text("parameters: {x: [1, 2]}\n")
    return tmp_path


def _memento(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "memento", "run", "exp.py:experiment", "m.yaml", "--store", "st", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        start_new_session=True,
    )


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _until_gone(pid: int) -> None:
    _until(lambda: not Path(f"/proc/{pid}").exists() or _state(pid) == "Z")


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.slow
def test_a_detached_run_goes_on_in_a_session_of_its_own_and_what_it_prints_is_kept(project: Path) -> None:
    told = _memento(project, "--detach", "-j", "2")
    assert told.returncode == 0, told.stderr
    with Store.open(project / "st", create=False, readonly=True) as store:
        (owner,) = store.index.living().runs
    assert f"process {owner.pid};" in told.stdout
    assert "memento stop --run 1 --store st" in told.stdout
    assert os.getsid(owner.pid) == owner.pid
    (project / "gate").touch()
    _until_gone(owner.pid)
    assert [result.inner for result in load(project / "st")] == [1, 2]
    (log,) = (project / "st" / "logs").glob("detached-*.log")
    assert str(log) in told.stdout
    assert "2 tasks: 2 done" in log.read_text()


@pytest.mark.slow
def test_a_detached_run_that_is_told_to_end_keeps_what_has_finished(project: Path) -> None:
    told = _memento(project, "--detach", "-j", "1")
    pid = int(told.stdout.partition("process ")[2].partition(";")[0])
    _until(lambda: (project / "begun").exists())  # before, a signal ends it as any program that starts
    os.kill(pid, signal.SIGTERM)
    _until_gone(pid)
    (log,) = (project / "st" / "logs").glob("detached-*.log")
    assert "run it again" in log.read_text().lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [(("--executor", "slrm"), 2, "Did you mean 'slurm'"), (("--json",), 2, "--detach prints no results")],
)
def test_what_is_wrong_is_told_here_and_now(
    project: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    told = _memento(project, "--detach", *arguments)
    assert (told.returncode, text in told.stdout + told.stderr) == (code, True)
    assert not list((project / "st").glob("logs/detached-*"))
