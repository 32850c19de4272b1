"""`memento import`: what is said of each row, and of a command line that is not clear."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import memento as library
from tests.cli.calling import Ran, check, command, memento

EXPERIMENT = """
class SVC: ...
class Tree: ...

def train(context, config):
    context.record({"loss": config.lr * 2})
    return {"acc": config.lr + 1, "n": 3}
"""
MATRIX = "parameters:\n  lr: [0.1, 1.0, 10]\n  model: [!py elsewhere:SVC, !py elsewhere:Tree]\nsettings: {folds: 5}\n"
ROWS = """lr,model,acc,n,loss,folds
0.1,SVC,0.9,3,0.2,5
1.0,SVC,0.8,3,0.2,5
10,Tree,0.8,3,0.2,4
0.1,Tre,0.8,3,0.2,5
1.0,Tree,,,,5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in {
        "elsewhere.py": EXPERIMENT,
        "matrix.yaml": MATRIX,
        "results.csv": ROWS,
        "pyproject.toml": "",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("elsewhere", None)


LINE = ("import", "results.csv", "elsewhere.py:train", "matrix.yaml", "--metrics", "loss")


def imported(project: Path, *more: str) -> Ran:
    return memento(*LINE, *more)


@pytest.mark.slow
def test_a_run_computes_only_what_was_not_imported(project: Path) -> None:
    told = command(*LINE, cwd=project)
    assert (told.code, told.err) == (0, "")
    assert "elsewhere.py:train: 2 results imported" in told.out
    assert "1 row left out: it has no result (line 6)" in told.out
    assert "1 row of no task: model=Tre is no value of 'model'. Nearest: Tree. (line 5)" in told.out
    assert "another setting: folds=4 is no value of 'folds'. Values: 5. (line 4)" in told.out
    ran = command("run", "elsewhere.py:train", "matrix.yaml", "-j", "1", cwd=project)
    assert "6 tasks: 2 cached, 4 to run" in ran.err + ran.out
    told = command(*LINE, cwd=project)
    assert "0 results imported" in told.out
    assert "2 results there already" in told.out


def test_scripts_are_told_the_same(project: Path) -> None:
    told = imported(project, "--dry-run", "--json").json
    check(told)
    assert not (project / "memento-store").exists()
    assert (told["schema"], told["imported"], told["rows"], told["dry_run"]) == (
        "memento.import/1",
        2,
        5,
        True,
    )
    assert told["left_out"] == [{"why": "it has no result", "rows": ["line 6"]}]
    assert [one["rows"] for one in told["unmatched"]] == [["line 4"], ["line 5"]]


def test_a_result_shows_what_it_was_imported_from(project: Path) -> None:
    imported(project)
    (first, *_) = memento("ls", "--json").json["tasks"]
    shown = memento("show", first["key"])
    assert "imported    line 3 of results.csv, by " in shown.out
    for name in ("show", "why"):
        told = memento(name, first["key"], "--json").json
        check(told)
        assert (told["imported"]["kind"], told["imported"]["place"]) == ("csv", "line 3 of results.csv")
    why = memento("why", first["key"])
    assert "will not run: it is done: it was imported (line 3 of results.csv, by " in why.out
    assert "code        not known" in why.out
    assert "train, imported from results.csv: 2 done" in memento("status").out
    assert memento("status", "--json").json["runs"][0]["imported_from"] == "results.csv"


def test_another_value_is_told_and_replaced_where_that_is_asked_for(project: Path) -> None:
    imported(project)
    (project / "results.csv").write_text(ROWS.replace("0.9", "0.7"), encoding="utf-8")
    told = imported(project)
    assert "0.9, 'n': 3} was imported, {'acc': 0.7, 'n': 3} in the source (line 2); it stays" in told.out
    assert "--replace takes" in told.out
    told = imported(project, "--replace", "--json")
    check(told.json)
    (conflict,) = told.json["conflicts"]
    assert (conflict["here"], conflict["there"]) == ({"acc": 0.9, "n": 3}, {"acc": 0.7, "n": 3})
    assert "2 results there already" in imported(project).out


def test_without_a_matrix_the_experiment_is_named_as_the_store_has_it(project: Path) -> None:
    line = ("import", "results.csv", "--params", "lr,model", "--value", "acc", "--settings", "folds=5")
    told = memento(*line, "-e", "sweep", "--json").json
    assert (told["experiment"], told["imported"]) == ("sweep", 3)
    tasks = memento("ls", "--json").json["tasks"]
    assert sorted((task["parameters"]["model"], task["value"]) for task in tasks) == [
        ("SVC", 0.8), ("SVC", 0.9), ("Tre", 0.8),
    ]  # fmt: skip
    assert all(task["settings"] == {"folds": 5} for task in tasks)
    told = memento(*line, "-e", "swep")
    assert (told.code, "Did you mean 'sweep'?" in told.err) == (2, True)


def test_a_text_that_names_a_value_of_the_experiment_needs_the_matrix(project: Path) -> None:
    imported(project)
    told = memento("import", "results.csv", "-e", "train", "--params", "lr,model", "--value", "acc")
    assert (told.code, "Give the matrix" in told.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("results.csv",), "say of which experiment"),
        (("results.csv", "-e", "new"), "which columns are parameters? The source has lr, model, acc"),
        (
            ("results.csv", "-e", "new", "--value", "ac"),
            "--value: the source has no 'ac'. Did you mean 'acc'?",
        ),
        (
            ("results.csv", "-e", "new", "--value", "acc", "--metrics", "acc"),
            "named by --value and by --metrics",
        ),
        (("results.csv", "-e", "new", "--rename", "lt=x"), "no 'lt'. It has: 'lr', 'model'"),
        (("results.csv", "-e", "new", "--rename", "lr=model"), "two columns would be called 'model'"),
        (("results.csv", "-e", "new", "--rename", "lr"), "--rename NAME=VALUE"),
        (("results.csv", "-e", "new", "--study", "x", "--value", "acc"), "--study is of Optuna and MLflow"),
        (("results.csv", "elsewhere.py:train", "-e", "new"), "not both"),
        (("results.csv", "-e", "new", "--from", "cvs"), "results come from csv, hydra, mlflow, optuna"),
        (("nothing.csv", "-e", "new"), "there is no nothing.csv"),
        ((".", "-e", "new"), "has no .hydra folder in it"),
        (
            ("postgresql://ada:secret@host/db", "-e", "new"),
            "postgresql://***@host/db may be Optuna's or MLflow's",
        ),
    ],
)
def test_a_line_that_is_not_clear_says_what_would_be_right(
    project: Path, arguments: tuple[str, ...], said: str
) -> None:
    told = memento("import", *arguments)
    assert told.code == 2
    assert said in told.err
    error = json.loads(memento("import", *arguments, "--json").err)
    check(error)
    assert error["exit_code"] == 2
    assert not (project / "memento-store").exists()


def test_a_source_of_which_no_row_is_a_task_exits_with_1(project: Path) -> None:
    (project / "results.csv").write_text("lr,model,acc\n7,SVC,1\n", encoding="utf-8")
    told = memento("import", "results.csv", "elsewhere.py:train", "matrix.yaml")
    assert told.code == 1
    assert "1 row of no task: lr=7 is no value of 'lr'" in told.out


def test_foreign_text_steers_no_terminal(project: Path) -> None:
    rows = [["lr", "model", "acc"], ["\x1b[31m7\x07", "SVC", "1"], ["0.1", "SVC", "\x1b]0;title\x07"]]
    text = "\n".join(",".join(row) for row in rows)
    (project / "results.csv").write_text(text, encoding="utf-8")
    for _ in range(2):
        told = memento("import", "results.csv", "elsewhere.py:train", "matrix.yaml")
        assert "\x1b" not in told.out + told.err
        assert "\x07" not in told.out + told.err
        text = text.replace("title", "other")
        (project / "results.csv").write_text(text, encoding="utf-8")


def test_hydras_jobs_are_found_in_a_folder(project: Path) -> None:
    for number, lr in enumerate((0.1, 10)):
        job = project / "multirun" / "2026-01-02" / "03-04-05" / str(number)
        (job / ".hydra").mkdir(parents=True)
        (job / ".hydra" / "config.yaml").write_text(
            json.dumps({"opt": {"lr": lr}, "model": "SVC", "folds": 5})
        )
        (job / ".hydra" / "overrides.yaml").write_text(json.dumps([f"opt.lr={lr}"]))
        (job / "score.json").write_text(json.dumps({"acc": lr, "n": 3}))
    line = ("import", "multirun", "elsewhere.py:train", "matrix.yaml", "--result", "score.json")
    told = memento(*line)
    assert (told.code, "--rename opt.lr=lr" in told.err) == (2, True)
    told = memento(*line, "--rename", "opt.lr=lr")
    assert (told.code, told.err) == (0, "")
    assert "2 results imported" in told.out


def test_a_frame_says_what_is_guessed_and_shows_what_differs(project: Path) -> None:
    imported(project)
    line = ("import", "table.csv", "elsewhere.py:train", "matrix.yaml")
    memento("export", "-o", "table.csv")
    told = memento(*line)
    assert (told.code, "taken as one dict" in told.out) == (0, False)
    assert "2 results there already" in told.out
    library.load(project / "memento-store").to_frame().to_csv("table.csv", index=False)
    told = memento(*line)
    assert (
        "columns acc, n, loss are taken as one dict; name those that are recorded metrics: --metrics loss"
        in told.out
    )
    assert "{'loss': 0.2, 'acc': 0.9, 'n': 3} in the source" in told.out
    assert told.code == 1
    told = memento(*line, "--metrics", "loss")
    assert (told.code, "taken as one dict" in told.out) == (0, False)
    assert "2 results there already" in told.out
