"""The short form of `make soak`: processes of a run are killed at random until its grid is complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_grid_that_is_killed_at_random_ends_as_one_that_is_not(tmp_path: Path) -> None:
    page = tmp_path / "soak.md"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.soak",
            "--seconds",
            "20",
            "--tasks",
            "3000",
            "--seed",
            "7",
            "--gone",
            "60",  # two, where nothing else runs: see `make soak`
            "--out",
            str(page),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    table = page.read_text(encoding="utf-8")
    for promise in ("finished results lost", "finished tasks repeated", "hangs", "orphans after 60 s"):
        assert f"| **{promise}** | 0 |" in table
    assert "| **frame equals the undisturbed run's** | yes |" in table
