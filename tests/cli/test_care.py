"""`memento verify`, `retry`, `forget`: what they say, and the status they end with."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento.cli.care import forget
from memento.cli.choosing import wanted
from tests.cli.calling import Ran, copied, memento
from tests.cli.conftest import Project


class Terminal:
    """Standard input where somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def grid(project: Project, tmp_path: Path) -> Project:
    """A store of this test's own: six tasks, two of them failed."""
    copied(project.folder, tmp_path / "project")
    return Project(tmp_path / "project", project.first)


def payload(project: Project) -> Path:
    return min((project.store / "payloads").glob("??/*.npy"))


def test_verify_of_a_whole_store_says_so_and_exits_with_0(values: Project) -> None:
    told = values("verify")
    assert (told.code, told.err) == (0, "")
    assert "3 tasks" in told.out
    assert told.out.endswith("nothing is wrong\n")


def test_verify_names_the_damaged_task_and_exits_with_1_until_it_is_repaired(values: Project) -> None:
    path = payload(values)
    path.write_bytes(path.read_bytes()[:-1])
    told = values("verify")
    assert told.code == 1
    assert path.name in told.out
    assert "arrays.py:arrays" in told.out
    assert '{"n": ' in told.out
    assert "`memento verify --repair`" in told.out
    mended = values("verify", "--repair")
    assert mended.code == 0
    assert "1 problem repaired; run the experiment again" in mended.out
    assert values("verify").code == 0
    assert len(values.tasks()) == 2


def test_verify_tells_scripts_the_same(values: Project) -> None:
    payload(values).unlink()
    told = values("verify", "--json")
    assert told.code == 1
    (problem,) = told.json["problems"]
    assert (problem["kind"], problem["experiment"], problem["repaired"]) == (
        "value",
        "arrays.py:arrays",
        False,
    )
    assert len(problem["key"]) == 32
    assert told.json["whole"] is False
    assert values("verify", "--json", "--repair").json["whole"] is True


@pytest.mark.slow
def test_retry_lets_failed_tasks_be_computed_by_the_next_run(grid: Project) -> None:
    told = grid("retry")
    assert told.code == 0
    first, second = told.out.splitlines()
    assert first == "2 failed tasks count as not computed now; the next run computes them:"
    assert second == "  experiment.py:grid: memento run experiment.py:grid matrix.yaml -j 2 --json"
    assert len(grid.tasks()) == 4
    assert grid("retry").out == "no task failed\n"


def test_retry_of_one_task_leaves_the_others(grid: Project) -> None:
    first, second = (task["key"] for task in grid.tasks("--failed"))
    told = grid("retry", first[:12], "--json").json
    assert [task["key"] for task in told["retried"]] == [first]
    assert [task["key"] for task in grid.tasks("--failed")] == [second]
    done = next(task["key"] for task in grid.tasks() if task["status"] == "done")
    assert grid("retry", done).out == "none of these tasks failed\n"


def test_retry_goes_on_from_checkpoints_unless_it_is_to_start_from_scratch(
    values: Project, arrays: Project
) -> None:
    values("retry")
    assert list((values.store / "checkpoints").iterdir())
    again(values, arrays)
    values("retry", "--from-scratch")
    assert not list((values.store / "checkpoints").iterdir())


def again(project: Project, script: Project) -> Ran:
    """Run on a store that was copied."""
    target, matrix = f"{script.folder / 'arrays.py'}:arrays", script.folder / "matrix.yaml"
    ran = memento("run", target, matrix, "--executor", "serial", "--store", project.store)
    assert "two is too much" in ran.err
    return ran


def test_a_retried_tasks_earlier_failures_stay_known(values: Project, arrays: Project) -> None:
    values("retry")
    again(values, arrays)
    (failed,) = values.tasks("--failed")
    assert len(values("show", failed["key"], "--json").json["attempts"]) == 2


def test_forget_needs_to_be_told_what(grid: Project) -> None:
    told = grid("forget")
    assert told.code == 2
    assert "say which tasks" in told.err
    assert grid("forget", "-e", "grid", "--yes", "--json").json["forgotten"] == 6
    assert grid.tasks() == []


def test_forget_says_what_would_go_and_leaves_it_where_nobody_can_be_asked(grid: Project) -> None:
    told = grid("forget", "model=dict")
    assert told.code == 1
    assert "experiment.py:grid: 3 tasks, 2 of them done" in told.out
    assert "model=dict, x=3" in told.out
    assert "3 tasks stay: add --yes to forget them" in told.out
    assert "1 task stays: add --yes" in grid("forget", "model=dict", "x=1").out
    assert (len(grid.tasks()), grid("forget", "--failed", "--json").json["refused"]) == (6, 2)
    assert grid("forget", "model=dict", "x=1", "x=2", "-y").out.startswith("2 tasks forgotten")
    assert grid("forget", "--failed", "--yes").out.startswith("2 tasks forgotten")
    left = sorted((task["parameters"] for task in grid.tasks()), key=lambda parameters: parameters["x"])
    assert left == [{"model": "nan", "x": x} for x in (1, 2)]
    assert grid("forget", "--newer-than", "1d", "--yes", "--json").json == {
        "schema": "memento.forget/1",
        "store": str(grid.store),
        "forgotten": 2,
        "refused": 0,
    }
    assert grid("forget", "--older-than", "1d").out.startswith("0 tasks forgotten")


@pytest.mark.parametrize(("answer", "left"), [("", 6), ("n", 6), ("y", 4)])
def test_forget_asks_on_a_terminal(
    grid: Project, answer: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    asked: list[str] = []

    def answered(text: str) -> str:
        asked.append(text)
        return answer

    monkeypatch.setattr("builtins.input", answered)
    forget(grid.store, wanted(["x=1", "x=3", "model=dict"]), yes=False, as_json=False)
    assert asked == ["Forget 2 tasks, to be computed again when needed? [y/N] "]
    assert len(grid.tasks()) == left


def test_rename_to_a_function_without_its_file_says_what_such_a_name_means(grid: Project) -> None:
    told = grid("rename", "grid", "fit")
    assert told.code == 0
    assert "6 tasks of experiment.py:grid now of fit" in told.out
    assert "Memento(..., name='fit')" in told.out
    assert "`memento rename fit experiment.py:fit`" in told.out
    told = grid("rename", "fit", "experiment.py:fit")
    assert told.out == "6 tasks of fit now of experiment.py:fit\n"


@pytest.mark.parametrize("name", ["verify", "gc", "retry", "forget"])
def test_where_there_is_no_store_it_is_said(name: str, tmp_path: Path) -> None:
    told = memento(name, "--store", tmp_path / "nothing", *(["-e", "x"] if name == "forget" else []))
    assert told.code == 2
    assert "there is no store" in told.err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
def test_what_a_store_holds_does_not_steer_the_terminal(hostile: Project, tmp_path: Path) -> None:
    copied(hostile.folder, tmp_path / "copy")
    project = Project(tmp_path / "copy", hostile.first)
    (project.store / "payloads" / "x\x1b[2Jy\nz").write_text("x")
    for told in (project("verify"), project("retry"), project("gc")):
        assert "\x1b" not in told.out + told.err
        assert "\u202e" not in told.out
