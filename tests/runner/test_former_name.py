"""An experiment that was renamed, moved, or put into a package is told how to take its results over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from memento import Memento
SCALE = 3
def helper(x): return x * SCALE
def train(context, config): return helper(config.lr)
if __name__ == "__main__":
    results = Memento(train, progress=False).run({"parameters": {"lr": [1, 2]}})
    print(sum(r.was_cached for r in results))
"""


class Project:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").touch()

    def run(self, file: str, text: str) -> tuple[str, str]:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return self.python(file)

    def python(self, *args: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, *args], cwd=self.folder, capture_output=True, text=True, timeout=300, check=True
        )
        return done.stdout.strip(), done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    assert project.run("train.py", SCRIPT)[0] == "0"
    return project


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("train.py", SCRIPT.replace("train", "fit"), "train.py:fit"),
        ("fit.py", SCRIPT, "fit.py:train"),
        ("pkg/deep/fit.py", SCRIPT.replace("train", "fit"), "pkg/deep/fit.py:fit"),
    ],
)
def test_what_was_renamed_or_moved_is_taken_over_by_the_command_that_is_told(
    project: Project, file: str, text: str, name: str
) -> None:
    path = project.folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        text.replace(".run(", ".run(dry_run=True, matrix=").replace("print(sum", "0 and print(sum")
    )
    _, told = project.python(file)
    command = next(line for line in told.splitlines() if "memento rename" in line)
    words = command.partition("memento rename ")[2].split()
    assert words[:2] == ["train.py:train", name]
    assert "2 tasks" in project.python("-m", "memento", "rename", *words)[0]
    assert project.run(file, text)[0] == "2"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        SCRIPT.replace("train", "fit").replace("* SCALE", "+ SCALE"),
        SCRIPT.replace("train", "fit").replace("SCALE = 3", "SCALE = 4"),
        SCRIPT.replace("train", "fit").replace("[1, 2]", "[5, 6]"),
    ],
    ids=["other code", "another constant", "other parameters"],
)
def test_another_experiment_is_told_nothing(project: Project, text: str) -> None:
    assert "memento rename" not in project.run("fit.py", text)[1]


@pytest.mark.slow
def test_an_experiment_without_a_file_is_told_once_that_a_name_keeps_its_results(project: Project) -> None:
    for count in "02":
        cached, told = project.python("-c", SCRIPT.replace(", progress=False", ""))
        assert cached == count
        assert ('name="..."' in told) == (count == "0")


@pytest.mark.slow
def test_experiments_that_are_meant_to_be_two_are_told_nothing(project: Project) -> None:
    text = """
from memento import Memento
def make(model):
    def train(context, config): return model.__name__
    return train
class A: ...
class B: ...
for model in A, B:
    print([r.inner for r in Memento(make(model), progress=False).run({"parameters": {"lr": [1]}})])
for name in "one", "two":
    Memento(make(A), progress=False, name=name).run({"parameters": {"lr": [1]}})
"""
    out, told = project.run("closures.py", text)
    assert out.split() == ["['A']", "['B']"]
    assert "memento rename" not in told
