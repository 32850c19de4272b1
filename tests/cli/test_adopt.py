"""`memento adopt`: a change is accepted, as the last run saw it or as the file says now, verified if asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import Ran, command, memento

EXPERIMENT = (
    "def grid(context, config):\n    return config.x * 2\n\ndef second(context, config):\n    return 1\n"
)
MATRIX = "parameters: {x: [1, 2, 3, 4, 5], y: [a, b]}\n"


class Edited:
    """A project whose experiment is edited between commands."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "memento-store"
        (folder / "pyproject.toml").touch()
        (folder / "matrix.yaml").write_text(MATRIX, encoding="utf-8")
        self.text = EXPERIMENT
        self.edit("", "")

    def edit(self, old: str, new: str) -> None:
        self.text = self.text.replace(old, new) if old else self.text
        (self.folder / "experiment.py").write_text(self.text, encoding="utf-8")

    def run(self, function: str = "grid", *options: str) -> Ran:
        ran = self.in_its_own(
            "run", f"experiment.py:{function}", "matrix.yaml", "--executor", "serial", *options
        )
        assert ran.code == 0, ran.err
        return ran

    def in_its_own(self, *arguments: str) -> Ran:
        return command(*arguments, cwd=self.folder)

    def __call__(self, *arguments: str) -> Ran:
        return memento("adopt", *arguments, "--store", self.store)


@pytest.fixture
def project(tmp_path: Path) -> Edited:
    project = Edited(tmp_path)
    project.run()
    project.edit("config.x * 2", "config.x + config.x")
    return project


@pytest.mark.slow
def test_what_a_run_has_seen_is_accepted_with_what_has_changed(project: Edited) -> None:
    assert "older version" in project.run().err
    ran = project("experiment.py:grid")
    assert ran.code == 0
    assert "10 results of older versions of the code now count as of the present one" in ran.out
    assert "none was verified" in ran.out
    assert "+    return config.x + config.x" in ran.err
    assert "older version" not in project.run().err
    assert "nothing to adopt" in project("experiment.py:grid").out


@pytest.mark.slow
def test_of_one_experiment_that_has_changed_no_name_is_needed(project: Edited) -> None:
    project.run("second")
    project.run()
    assert project().code == 0
    ran = project()
    assert ran.code == 2
    assert "nothing to adopt" in ran.err


@pytest.mark.slow
def test_of_several_that_have_changed_one_is_to_be_named(project: Edited) -> None:
    project.run("second")
    project.edit("return 1", "return 2")
    project.run("second")
    project.run()
    ran = project()
    assert ran.code == 2
    assert ":grid" in ran.err
    assert ":second" in ran.err
    assert project("second").code == 0


@pytest.mark.slow
def test_what_no_run_has_seen_is_not_accepted(project: Edited) -> None:
    assert "nothing to adopt" in project("grid").out
    assert "older version" in project.run().err


@pytest.mark.slow
def test_verified_with_the_file_and_the_matrix(project: Edited) -> None:
    ran = project.in_its_own("adopt", "--verify", "6", "experiment.py:grid", "matrix.yaml", "--json")
    assert ran.code == 0, ran.err
    assert "memento-adopt-" not in ran.err  # a folder that is gone is no news
    assert "fresh processes" not in ran.err
    assert ran.json["verified"] == 6
    assert ran.json["results"] == 10
    assert ran.json["differences"] == []
    assert 0 < ran.json["at_most"] < 0.4
    assert "older version" not in project.run().err


@pytest.mark.slow
def test_a_result_that_differs_is_told_and_nothing_is_accepted(project: Edited) -> None:
    project.edit("config.x + config.x", "config.x * (3 if config.x == 4 else 2)")
    ran = project.in_its_own("adopt", "--verify", "10", "experiment.py:grid", "matrix.yaml")
    assert ran.code == 1
    assert "nothing is adopted: of 10 results computed again 2 differ" in ran.out
    assert "x=4, y=a" in ran.out
    assert "before: 8" in ran.out
    assert "now:    12" in ran.out
    assert "older version" in project.run().err


@pytest.mark.slow
def test_verifying_needs_the_function_and_the_matrix(project: Edited) -> None:
    ran = project("--verify", "3", "grid")
    assert ran.code == 2
    assert "memento adopt --verify 3 FILE:FUNC MATRIX" in ran.err
    assert "Memento(FUNC).adopt(matrix, verify=3)" in ran.err  # a matrix need not be a file


@pytest.mark.slow
def test_the_matrix_has_to_be_there(project: Edited) -> None:
    ran = project.in_its_own("adopt", "experiment.py:grid", "missing.yaml")
    assert ran.code == 2
    assert "missing.yaml" in ran.err


@pytest.mark.slow
def test_a_program_and_other_values_are_verified_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "train.py").write_text("import sys\nprint('{\"y\": %s}' % sys.argv[1])\n", encoding="utf-8")
    (tmp_path / "matrix.json").write_text('{"parameters": {"x": [1, 2, 3]}}', encoding="utf-8")
    line = ("--command", "python train.py {x}", "matrix.json", "x=[4, 5]", "-j", "1")
    assert command("run", *line, cwd=tmp_path).code == 0
    with (tmp_path / "train.py").open("a", encoding="utf-8") as file:
        file.write("z = 1\n")
    told = command("adopt", *line, "--verify", "2", cwd=tmp_path)
    assert told.code == 0, told.err
    assert "2 results of older versions" in told.out
    assert "all were computed again and are equal" in told.out
