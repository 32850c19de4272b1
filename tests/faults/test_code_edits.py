"""Code that is edited while a run goes on: every task of one run uses the code of its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memento.store.store import Store
from tests.faults.victims import PATIENCE, until

SCRIPT = """
import os, time
from pathlib import Path
IMPORT_EARLY
from memento import Memento

def experiment(context, config):
    Path("began", str(config.n)).touch()
    time.sleep(0.05)
    IMPORT_LATE
    return [helper.version(), local()]

def local():
    return 1

if __name__ == "__main__":
    # A new worker for each task: the last ones are started long after the edit.
    Memento(experiment, num_workers=2, max_tasks_per_worker=1, progress=False, store="store").run(
        {"parameters": {"n": list(range(20))}}
    )
"""


# What no copy of a process has: each worker is then a process of its own, which imports all of it anew.
THREAD = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"


@pytest.mark.slow
@pytest.mark.parametrize(("when", "more"), [("EARLY", ""), ("LATE", ""), ("EARLY", THREAD)])
def test_every_task_of_a_run_uses_the_code_of_its_start(when: str, more: str, tmp_path: Path) -> None:
    helper, script = tmp_path / "helper.py", tmp_path / "script.py"
    text = f"{more}import below\n\ndef version():\n    return below.VERSION\n"
    helper.write_text(text, encoding="utf-8")
    (tmp_path / "below.py").write_text("VERSION = 1\n", encoding="utf-8")
    text = SCRIPT.replace(f"IMPORT_{when}", "import helper")
    text = text.replace("IMPORT_EARLY", "").replace("IMPORT_LATE", "pass")
    script.write_text(text, encoding="utf-8")
    (tmp_path / "began").mkdir()
    run = subprocess.Popen(
        [sys.executable, script], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert until(lambda: len(list((tmp_path / "began").iterdir())) >= 3 or run.poll() is not None)
    helper.write_text("def version():\n    return 2\n\n# longer, so that it is not taken for the old one\n")
    (tmp_path / "below.py").write_text("VERSION = 20\n", encoding="utf-8")
    script.write_text(text.replace("return 1", "return 2"), encoding="utf-8")
    output, _ = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, output
    with Store.open(tmp_path / "store") as store:
        records = store.index.recent()
        assert len({record.code for record in records}) == 1
        assert [store.value(record) for record in records] == [[1, 1]] * 20
