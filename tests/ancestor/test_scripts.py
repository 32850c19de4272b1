"""Scripts written for 1.2.0 run unchanged and print what 1.2.0 printed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "data" / "ancestor"


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.stem)
def test_a_script_prints_what_it_printed_with_1_2_0(script: Path, tmp_path: Path) -> None:
    shutil.copy(script, tmp_path)
    ran = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == script.with_suffix(".out").read_text(encoding="utf-8")
    assert not (tmp_path / "memento_cache").exists()


@pytest.mark.slow
def test_a_script_from_a_pipe_runs_too(tmp_path: Path) -> None:
    script = SCRIPTS / "failing.py"
    ran = subprocess.run(
        [sys.executable, "-"],
        cwd=tmp_path,
        input=script.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == script.with_suffix(".out").read_text(encoding="utf-8")
