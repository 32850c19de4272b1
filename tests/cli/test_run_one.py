"""`memento run-one`: one task in this terminal; what is there stays, what is missing is kept; a debugger works."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import GENEROUS, Ran, command, line

SCRIPT = """
import os
from memento import Memento

def inner(x):
    limit = x * 10
    raise ValueError(f"{limit} is too much")

def train(context, config):
    with open("calls.txt", "a") as file:
        file.write(f"{config.x} {context.seed} {os.getpid() == PID}\\n")
    print("training", config.x)
    if os.path.exists("stop"):
        breakpoint()
    if context.checkpoint_exist():
        print("restored", context.restore())
    context.checkpoint("half way")
    if config.x == 2 and not os.path.exists("fixed"):
        inner(config.x)
    (context.artifact("weights.txt")).write_text("w")
    return config.x * (3 if os.path.exists("edited") else 1)

if __name__ == "__main__":
    PID = os.getpid()
    results = Memento(train, num_workers=2, timeout=60).run({"parameters": {"x": [1, 2, 3]}})
    print("after")
"""


class Project:
    """Three tasks, one of which failed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").touch()
        (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
        subprocess.run([sys.executable, "train.py"], cwd=folder, capture_output=True, check=False)
        told = command("ls", "--json", cwd=folder).json["tasks"]
        self.keys: dict[int, str] = {task["parameters"]["x"]: task["key"] for task in told}
        self.seeds = self._calls()

    def _calls(self) -> dict[int, str]:
        path = self.folder / "calls.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return {int(x): f"{seed} {same}" for x, seed, same in map(str.split, lines)}

    def one(self, x: int, *options: str) -> Ran:
        """Run one task; whatever else was computed is a failure."""
        ran = command("run-one", self.keys[x], *options, cwd=self.folder)
        calls = self._calls()
        assert calls == {x: self.seeds[x].replace("False", "True")}, ran
        return ran

    def task(self, x: int) -> dict[str, Any]:
        shown: dict[str, Any] = command("show", self.keys[x], "--json", cwd=self.folder).json
        return shown


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.mark.slow
def test_a_result_that_is_there_stays_and_is_compared(project: Project) -> None:
    before = project.task(3)
    told = project.one(3)
    assert (told.code, "after" in told.out) == (0, False)
    assert "training 3" in told.out
    assert "done: equal to the result that is kept" in told.out
    (project.folder / "edited").touch()
    other = project.one(3)
    assert other.code == 1
    assert "it differs from the result that is kept, which stays:\n  kept: 3\n  now:  9\n" in other.out
    as_json = project.one(3, "--json")
    assert (as_json.code, as_json.json["equal"]) == (1, False)
    assert as_json.json["difference"] == {"before": "3", "now": "9"}
    assert project.task(3) == before


@pytest.mark.slow
def test_a_task_that_failed_goes_on_from_its_checkpoint_and_is_kept(project: Project) -> None:
    failed = project.one(2)
    assert failed.code == 1
    assert "failed: ValueError: 20 is too much" in failed.out
    assert "restored half way" in failed.out
    assert 'raise ValueError(f"{limit} is too much")' in failed.out.partition("failed: ")[2]
    trace = project.one(2, "--json").json["traceback"]
    assert 'raise ValueError(f"{limit} is too much")' in trace
    assert "memento/worker" not in trace
    (project.folder / "fixed").touch()
    done = project.one(2, "--json")
    assert (done.code, done.json["status"], done.json["kept"]) == (0, "done", True)
    assert project.task(2)["status"] == "done"


@pytest.mark.slow
def test_a_task_that_is_not_there_any_more_is_told(project: Project) -> None:
    (project.folder / "train.py").write_text(SCRIPT.replace("[1, 2, 3]", "[1, 3]"), encoding="utf-8")
    told = command("run-one", project.keys[2], cwd=project.folder)
    assert told.code == 1
    assert "has no such tasks any more" in told.out


@pytest.mark.slow
def test_a_whole_key_names_a_task_that_has_no_result(project: Project) -> None:
    command("forget", project.keys[3], "--yes", cwd=project.folder)
    assert "done: its result is kept, as by any run" in project.one(3).out
    assert command("run-one", "abcdef", cwd=project.folder).code == 2


def terminal(project: Project, *arguments: str) -> Any:
    pexpect = pytest.importorskip("pexpect")
    first, *rest = line(*arguments)
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1", "PYTHON_COLORS": "0"}
    return pexpect.spawn(
        first, rest, cwd=str(project.folder), env=environment, encoding="utf-8", timeout=GENEROUS
    )


@pytest.mark.slow
@pytest.mark.real
def test_the_debugger_opens_at_the_users_own_frame(project: Project) -> None:
    screen = terminal(project, "run-one", project.keys[2], "--pdb")
    screen.expect("ValueError: 20 is too much")
    screen.expect(r"train.py\(7\)inner\(\)")
    screen.expect(r"\(Pdb\) ")
    screen.sendline("p limit + 1")
    screen.expect("21")
    screen.expect(r"\(Pdb\) ")
    screen.sendline("up")
    screen.expect(r"train.py\(\d+\)train\(\)")
    screen.expect(r"\(Pdb\) ")
    screen.sendline("p config.x")
    screen.expect("2")
    screen.expect(r"\(Pdb\) ")
    screen.sendline("q")
    screen.expect("failed: ValueError: 20 is too much")
    screen.expect("$")
    screen.wait()
    assert screen.exitstatus == 1


@pytest.mark.slow
@pytest.mark.real
def test_a_breakpoint_works_and_leaving_it_is_no_failure(project: Project) -> None:
    (project.folder / "stop").touch()
    before = project.task(2)
    screen = terminal(project, "run-one", project.keys[2])
    screen.expect("training 2")
    screen.expect(r"\(Pdb\) ")
    screen.sendline("p config.x * 100")
    screen.expect("200")
    screen.expect(r"\(Pdb\) ")
    screen.sendline("q")
    screen.expect("it did not come to its end; nothing is kept of it")
    screen.wait()
    assert screen.exitstatus == 1
    assert project.task(2) == before
    screen = terminal(project, "run-one", project.keys[3])
    screen.expect(r"\(Pdb\) ")
    screen.sendline("c")
    screen.expect("done: equal to the result that is kept")
    screen.wait()
    assert screen.exitstatus == 0
