"""`memento demo`: the paper's grid, cached, broken, interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calling import GENEROUS, Ran, command, memento, start, wait_until

pytest.importorskip("sklearn")

# Computes the paper's grid, or a part of it.
grid = pytest.mark.slow
pytestmark = pytest.mark.timeout(900)


WITHOUT_SKLEARN = """
import sys

class Absent:
    def find_spec(self, name, *rest):
        if name == "sklearn":
            raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

sys.meta_path.insert(0, Absent())
from memento.cli.app import app
app(["demo"])
"""


def test_without_scikit_learn_the_demo_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "without.py").write_text(WITHOUT_SKLEARN, encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "without.py"],
        capture_output=True,
        text=True,
        timeout=GENEROUS,
        cwd=tmp_path,
        check=False,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert "pip install 'memento-ml[demo]'" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """A folder in which the demo has run, and what it said."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, command("demo", "--store", "store", cwd=folder)


@grid
def test_the_demo_runs_the_papers_27_tasks_and_prints_its_table(finished: tuple[Path, Ran]) -> None:
    _, told = finished
    assert told.code == 0, told.err
    assert "27 done" in told.err
    for name in ("load_digits", "load_wine", "load_breast_cancer", "SVC", "AdaBoostClassifier", "best: 0."):
        assert name in told.out


@grid
def test_a_second_demo_computes_nothing(finished: tuple[Path, Ran]) -> None:
    folder, first = finished
    again = command("demo", "--store", "store", cwd=folder)
    assert again.code == 0
    assert "27 tasks, all cached" in again.err
    assert again.out == first.out


@grid
def test_a_broken_data_set_fails_alone_and_is_named_as_the_cause(finished: tuple[Path, Ran]) -> None:
    folder, _ = finished
    told = command("demo", "--broken", "--store", "store", cwd=folder)
    assert told.code == 1
    assert "9 of 36 tasks failed, from one cause; 27 succeeded and are kept" in told.err
    assert "all 9 have dataset=load_wine_broken, no success has it" in told.err
    assert "Found input variables with inconsistent numbers of samples" in told.err
    failed = memento("ls", "--failed", "--json", "--store", folder / "store").json["tasks"]
    assert {task["parameters"]["dataset"] for task in failed} == {"memento.cli.demo:load_wine_broken"}
    assert len(failed) == 9


@grid
def test_after_ctrl_c_what_finished_is_kept(tmp_path: Path) -> None:
    def done() -> int:
        told = memento("status", "--json", "--store", tmp_path / "store")
        return sum(e["done"] for e in told.json["experiments"]) if told.code == 0 else 0

    process = start("demo", "--store", "store", "-j", "1", cwd=tmp_path)
    try:
        wait_until(lambda: done() >= 3, process)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=GENEROUS)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert 3 <= done() < 27
