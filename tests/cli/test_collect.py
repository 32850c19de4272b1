"""`memento gc`: what it says, what it asks, and the status that it ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from memento.store.store import Store
from tests.cli.calling import Ran, command
from tests.cli.conftest import Project


def test_gc_says_what_would_go_and_then_removes_it(values: Project) -> None:
    key = values.tasks()[0]["key"]
    assert values("forget", key[:10]).out == "1 task forgotten; `memento gc` frees what it occupied\n"
    would = values("gc", "--dry-run")
    assert "values that no task has: 1, 40.1 kB" in would.out
    assert "would be free" in would.out
    assert len(list((values.store / "payloads").glob("??/*.npy"))) == 2
    did = values("gc", "--json").json
    assert {one["what"]: one["count"] for one in did["removed"]}["values that no task has"] == 1
    assert len(list((values.store / "payloads").glob("??/*.npy"))) == 1
    assert values("verify").code == 0


def test_gc_keeps_what_failed_tasks_go_on_from_unless_asked(values: Project) -> None:
    values("gc")
    (folder,) = (values.store / "work").iterdir()
    (checkpoint,) = (values.store / "checkpoints").iterdir()
    assert folder.name == checkpoint.name
    values("gc", "--unfinished")
    assert not folder.exists()
    assert not checkpoint.exists()


def test_gc_removes_damaged_things_when_asked(values: Project) -> None:
    min((values.store / "payloads").glob("??/*.npy")).write_bytes(b"x")
    values("verify", "--repair")
    assert "damaged files" not in values("gc").out
    assert "damaged files that were set aside: 2" in values("gc", "--damaged").out


def done(project: Project) -> int:
    return sum(task["status"] == "done" for task in project.tasks())


def test_results_go_only_when_that_is_said(values: Project) -> None:
    told = values("gc", "--older-than", "0s")
    assert told.code == 1
    assert "2 results stay: add --yes to let them go; their tasks will be computed again" in told.out
    assert done(values) == 2
    told = values("gc", "--older-than", "30d", "--yes")
    assert (told.code, done(values)) == (0, 2)
    told = values("gc", "--older-than", "0s", "--yes")
    assert told.code == 0
    assert "results, computed again when needed: 2\n" in told.out
    assert "values that no task has: 2, 80.3 kB" in told.out
    assert done(values) == 0


def test_a_dry_run_says_which_results_would_go(values: Project) -> None:
    told = values("gc", "--dry-run", "--older-than", "0s")
    assert told.code == 0
    assert "results, computed again when needed: 2\n" in told.out
    assert "values that no task has: 2, 80.3 kB" in told.out
    refused = values("gc", "--older-than", "0s")
    for task in values.tasks():
        named = f"    {task['key'][:12]} {task['experiment']} "
        assert (named in told.out, named in refused.out) == (task["status"] == "done",) * 2
    assert done(values) == 2
    assert values("gc", "--dry-run", "--json", "--older-than", "0s").json["results"] == 2


def test_keep_frees_what_nobody_needs_first_and_results_last(values: Project) -> None:
    scratch = values.store / "work"
    assert any(scratch.iterdir())
    told = values("gc", "--keep", "1GB")
    assert (told.code, done(values)) == (0, 2)
    told = values("gc", "--keep", "10kB", "--json")
    assert told.code == 1
    assert (told.json["refused"], done(values)) == (2, 2)
    told = values("gc", "--keep", "10kB", "--yes")
    assert told.code == 1  # the index alone is larger
    assert "more than it was to keep are left" in told.out
    assert done(values) == 0


@pytest.mark.parametrize(("option", "value"), [("--keep", "much"), ("--older-than", "yesterday")])
def test_what_is_no_size_or_age_is_wrong_usage(option: str, value: str, values: Project) -> None:
    told = values("gc", option, value)
    assert told.code == 2
    assert f"{option} must be" in told.err
    assert value in told.err


@pytest.mark.slow
def test_a_person_is_asked(values: Project) -> None:
    """On a terminal: it says first what would go."""
    asked = """
import io, sys
from pathlib import Path
from memento.cli import collect
class Terminal(io.StringIO):
    def isatty(self): return True
for answer in ("n", "", "y"):
    sys.stdin = Terminal(answer + "\\n")
    wanted = dict(damaged=False, unfinished=False, steps=False, superseded=False, older_than="0s", keep=None)
    print("went:", collect.collect(Path(sys.argv[1]), wanted, dry_run=False, yes=False, as_json=False))
"""
    told = subprocess.run(
        [sys.executable, "-c", asked, str(values.store)], capture_output=True, text=True, check=True
    ).stdout
    assert told.count("Remove 2 results, to be computed again when needed? [y/N]") == 3
    assert [line for line in told.splitlines() if line.endswith(("went: True", "went: False"))] == [
        "went: False",
        "went: False",
        "went: True",
    ]
    assert told.index("would be free") < told.index("Remove 2 results")
    assert done(values) == 0


STEPS = """
import numpy as np

def load(n):
    return np.ones(n)

def uses_a_step(context, config):
    return float(context.cached(load, 20_000)[0])
"""


@pytest.fixture
def with_step(tmp_path: Path) -> Project:
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    (tmp_path / "matrix.json").write_text(json.dumps({"parameters": {"i": [1, 2]}}), encoding="utf-8")
    return Project(tmp_path, again(tmp_path))


def again(folder: Path) -> Ran:
    """Run in a process of its own, which knows nothing of how the file was before."""
    line = ["run", f"{folder / 'steps.py'}:uses_a_step", "matrix.json", "--executor", "serial"]
    return command(*line, "--store", folder / "memento-store", cwd=folder)


@pytest.mark.slow
def test_a_step_goes_when_no_result_uses_it_any_more(with_step: Project) -> None:
    assert "steps that" not in with_step("gc").out
    with_step("forget", "-e", "uses_a_step", "--yes")
    told = with_step("gc")
    assert "steps that no result used: 1, " in told.out
    with Store.open(with_step.store) as store:
        assert store.sizes().steps == 0
    assert again(with_step.folder).code == 0


@pytest.mark.slow
def test_steps_go_when_asked_and_are_computed_again(with_step: Project) -> None:
    told = with_step("gc", "--steps", "--older-than", "1d")
    assert (told.code, "steps that" in told.out) == (0, False)
    told = with_step("gc", "--steps")
    assert told.code == 0
    assert "steps, computed again when needed: 1, " in told.out
    assert done(with_step) == 2
    (with_step.folder / "matrix.json").write_text(json.dumps({"parameters": {"i": [1, 2, 3]}}))
    assert again(with_step.folder).code == 0
    assert done(with_step) == 3


@pytest.mark.slow
def test_results_of_code_that_has_changed_go_when_asked(with_step: Project) -> None:
    assert with_step("gc", "--superseded", "--yes").code == 0
    assert done(with_step) == 2
    script = with_step.folder / "steps.py"
    script.write_text(script.read_text().replace("[0])", "[0]) + 1"), encoding="utf-8")
    again(with_step.folder)  # which sees the change, and takes what is there
    told = with_step("gc", "--superseded")
    assert (told.code, done(with_step)) == (1, 2)
    told = with_step("gc", "--superseded", "--yes")
    assert "results, computed again when needed: 2" in told.out
    again(with_step.folder)
    assert [task["value"] for task in with_step.tasks()] == [2.0, 2.0]
