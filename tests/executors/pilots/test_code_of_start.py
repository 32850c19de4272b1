"""Pilots that start when the user has edited, moved or broken his code run that of the run's start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys
from pathlib import Path
import helper
from memento import Memento
from tests.executors.pilots.local_engine import Local

class Late(Local):
    def ask(self, count):
        Path("helper.py").write_text("def version(:")  # somebody edits before a pilot has started
        Path("late.py").rename("later.py")
        Path("script.py").write_text(Path("script.py").read_text().replace("return 1", "return 2"))
        return super().ask(count)

def experiment(context, config):
    import late
    return [own(), helper.version(), late.VERSION, context.cached(helper.version)]

def own():
    return 1

if __name__ == "__main__":
    results = Memento(experiment, executor=Late(1), store="store").run({"parameters": {"n": [1, 2]}})
    print(json.dumps([result.inner for result in results]))
"""


@pytest.mark.slow
def test_a_pilot_that_starts_after_an_edit_runs_the_code_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("def version():\n    return 1\n")
    (tmp_path / "late.py").write_text("VERSION = 1\n")
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[1, 1, 1, 1]] * 2
