"""A pilot that can run nothing: what says so of its place alone, and what ends the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FRAGILE = """
import os
import signal
from pathlib import Path

if os.getsid(0) != int(os.environ["SESSION"]):  # in a pilot
    deaths = len(list(Path().glob("died-*")))
    if deaths < int(os.environ["DEATHS"]):
        Path(f"died-{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)

def value(n):
    return n
"""
SCRIPT = """
import fragile
from memento import Memento
from tests.executors.pilots.local_engine import Local

def experiment(context, config):
    return fragile.value(config.n)

if __name__ == "__main__":
    results = Memento(experiment, executor=Local(1), store="store").run({"parameters": {"n": [1, 2]}})
    print(sum(result.inner for result in results))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("deaths", "ends"), [(2, True), (100, False)])
def test_what_starts_workers_may_be_killed_in_some_places_while_it_imports(
    tmp_path: Path, deaths: int, ends: bool
) -> None:
    (tmp_path / "fragile.py").write_text(FRAGILE)
    (tmp_path / "script.py").write_text(SCRIPT)
    told = {"DEATHS": str(deaths), "SESSION": str(os.getsid(0)), "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(
        [sys.executable, "script.py"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300, env={**os.environ, **told},
    )  # fmt: skip
    assert (done.stdout == "3\n") == ends, done.stderr
    assert len(list(tmp_path.glob("died-*"))) == (deaths if ends else 3)
    assert ends or "ended with SIGKILL while it imported" in done.stderr
