"""A project with a finished grid, made once; tests only read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import Ran, command, copied, memento

EXPERIMENT = """
def grid(context, config):
    print("training with", config.x)
    context.record({"loss": config.x / 2})
    context.artifact("weights.bin").write_bytes(b"0" * 10)
    if config.x == 3:
        raise ValueError("three is too much")
    return {"square": config.x**2} if config.model == "dict" else float("nan")


def returns_a_bomb(context, config):
    return Bomb()


class Bomb:
    def __reduce__(self):
        from pathlib import Path
        return Path.touch, (Path(__file__).with_name("exploded"),)
"""
MATRIX = "parameters:\n  model: [dict, nan]\n  x: [1, 2, 3]\nsettings: {folds: 5}\n"

BASE = "bell\x07 \x1b[31mred\x1b[0m \x1b]0;title\x07 [bold]markup[/bold] \u202eright to left"
HOSTILE = BASE + " \x1b[2J line one\nline two \x9b31m \r over"
HOSTILE_EXPERIMENT = """
from pathlib import Path

def grid(context, config):
    text = Path(__file__).with_name("hostile.txt").read_text(encoding="utf-8")
    print(text)
    print("before\\x1b]0;never closed")
    print("after")
    context.record({text: 1.0})
    if config["n" + text]:
        raise ValueError(text)
    return text
"""


@dataclass(frozen=True)
class Project:
    """A folder with an experiment, a matrix and a store."""

    folder: Path
    first: Ran  # what its run said

    @property
    def store(self) -> Path:
        return self.folder / "memento-store"

    def __call__(self, *arguments: str) -> Ran:
        """Call a command on its store."""
        return memento(*arguments, "--store", self.store)

    def tasks(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self("ls", "--json", *arguments).json["tasks"]
        return found

    def key(self, **parameters: Any) -> str:
        """Return the key of the one task with these parameters."""
        (task,) = [t for t in self.tasks() if parameters.items() <= t["parameters"].items()]
        key: str = task["key"]
        return key


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Six tasks: two of them failed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").touch()
    (folder / "experiment.py").write_text(EXPERIMENT, encoding="utf-8")
    (folder / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
    return Project(
        folder, command("run", "experiment.py:grid", "matrix.yaml", "-j", "2", "--json", cwd=folder)
    )


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Everything that a task can name or print tries to steer the terminal."""
    import json

    folder = tmp_path_factory.mktemp("hostile")
    (folder / "pyproject.toml").touch()
    (folder / "experiment.py").write_text(HOSTILE_EXPERIMENT, encoding="utf-8")
    (folder / "hostile.txt").write_text(HOSTILE, encoding="utf-8", newline="")
    text = (folder / "hostile.txt").read_text(encoding="utf-8")
    matrix = {"parameters": {f"n{text}": [0, 1], "value": [text]}, "settings": {f"s{text}": text}}
    (folder / "matrix.json").write_text(json.dumps(matrix), encoding="utf-8")
    return Project(
        folder,
        command("run", "experiment.py:grid", "matrix.json", "-j", "1", "--name", f"e{BASE}", cwd=folder),
    )


ARRAYS = """
import numpy as np

def arrays(context, config):
    (context.directory / "scratch").write_text("123")
    if config.n == 2:
        context.checkpoint(1)
        raise ValueError("two is too much")
    return np.arange(5_000) + config.n
"""


@pytest.fixture(scope="session")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three tasks with large values, one of them failed; made once, copied by tests that change it."""
    folder = tmp_path_factory.mktemp("arrays")
    (folder / "arrays.py").write_text(ARRAYS, encoding="utf-8")
    (folder / "matrix.yaml").write_text("parameters:\n  n: [1, 2, 3]\n", encoding="utf-8")
    store = folder / "memento-store"
    target = f"{folder / 'arrays.py'}:arrays"
    ran = memento("run", target, folder / "matrix.yaml", "--executor", "serial", "--store", store)
    assert "two is too much" in ran.err
    return Project(folder, ran)


@pytest.fixture
def values(arrays: Project, tmp_path: Path) -> Project:
    copied(arrays.folder, tmp_path / "arrays")
    return Project(tmp_path / "arrays", arrays.first)
