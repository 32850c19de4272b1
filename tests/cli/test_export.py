"""`export`: which tasks are written, in which format, and what is left as it was."""

from __future__ import annotations

import io
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import memento as library
from tests.cli.calling import Ran, command, memento
from tests.cli.conftest import Project


def rows(told: Ran) -> list[dict[str, Any]]:
    assert told.code == 0, told.err
    found: list[Any] = pd.read_csv(io.StringIO(told.out), keep_default_na=False, na_values=[""]).to_dict(
        "records"
    )
    return found


def test_a_csv_has_a_row_for_each_task_in_the_order_of_the_matrix(project: Project) -> None:
    found = rows(project("export", "--to", "csv"))
    assert [(row["model"], row["x"]) for row in found] == [(m, x) for m in ("dict", "nan") for x in (1, 2, 3)]
    assert [row["status"] for row in found] == ["done", "done", "failed"] * 2
    assert found[1]["square"] == 4
    assert [row["loss"] for row in found] == [0.5, 1.0, 1.5] * 2
    assert found[2]["error"] == "ValueError: three is too much (experiment.py:7)"
    assert {row["settings.folds"] for row in found} == {5}
    assert [row["key"] for row in found] == [
        task["key"] for row in found for task in project.tasks(row["key"])
    ]


def test_what_a_frame_has_stands_there_by_the_same_names(project: Project) -> None:
    text = project("export", "--to", "jsonl").out
    objects = [json.loads(line) for line in text.splitlines()]
    told = pd.DataFrame(
        [{name: float("nan") if cell == "NaN" else cell for name, cell in row.items()} for row in objects]
    )
    frame = library.load(project.store).to_frame()
    same = [name for name in frame if name not in ("was_cached", "start_time")]
    for name in same:
        mine = told[name].tolist()
        assert all(a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(mine, frame[name], strict=True)), (
            name
        )


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_the_name_of_the_file_says_the_format(project: Project, tmp_path: Path, kind: str) -> None:
    told = project("export", "-o", str(tmp_path / f"out.{kind}"))
    assert (told.code, told.out) == (0, f"6 rows -> {tmp_path / f'out.{kind}'}\n")
    readers: dict[str, Any] = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}
    reader = readers.get(kind, partial(pd.read_json, lines=True))
    read = reader(tmp_path / f"out.{kind}")
    assert read["x"].tolist() == [1, 2, 3, 1, 2, 3]
    assert read["square"].dropna().tolist() == [1, 4]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ((), 6),
        (("--failed",), 2),
        (("--status", "done"), 4),
        (("model=dict",), 3),
        (("x=3", "--failed"), 2),
        (("x=1", "x=2", "model=nan"), 2),
        (("--newer-than", "1h"), 6),
        (("-e", "grid", "x=1"), 2),
    ],
)
def test_tasks_are_chosen_as_by_ls(project: Project, arguments: tuple[str, ...], count: int) -> None:
    found = rows(project("export", "--to", "csv", *arguments))
    assert len(found) == count
    assert {row["key"] for row in found} == {task["key"] for task in project.tasks(*arguments)}


def test_a_key_chooses_one_task(project: Project) -> None:
    (row,) = rows(project("export", "--to", "csv", project.key(model="nan", x=2)[:12]))
    assert (row["model"], row["x"]) == ("nan", 2)


def test_curves_have_a_row_for_each_point(project: Project) -> None:
    found = rows(project("export", "--curves", "--to", "csv", "model=dict"))
    assert [(row["x"], row["metric"], row["y"]) for row in found] == [
        (1, "loss", 0.5), (2, "loss", 1.0), (3, "loss", 1.5),
    ]  # fmt: skip
    assert all(abs(row["result.x"] - time.time()) < 3600 for row in found)  # no step was given: the time


def test_a_file_that_is_there_is_replaced_by_force_alone(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    refused = project("export", "-o", str(out))
    assert (refused.code, out.read_text()) == (1, "mine")
    assert "--force" in refused.err
    assert project("export", "-o", str(out), "--force").code == 0
    assert len(pd.read_csv(out)) == 6


def test_nothing_is_written_where_no_task_is_meant(project: Project, tmp_path: Path) -> None:
    told = project("export", "-o", str(tmp_path / "out.csv"), "--older-than", "300d")
    assert (told.code, list(tmp_path.iterdir())) == (1, [])
    assert "there are no such tasks, so nothing was written" in told.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say what to write"),
        (("--to", "cvs"), "Did you mean 'csv'?"),
        (("-o", "out.xls"), "Give --to: csv, json, jsonl, parquet, mlflow, tensorboard"),
        (("--to", "parquet"), "name where to with -o"),
        (("--to", "parquet", "-o", "-"), "cannot go to standard output"),
    ],
)
def test_what_cannot_be_written_says_why(project: Project, arguments: tuple[str, ...], said: str) -> None:
    told = project("export", *arguments)
    assert told.code == 2
    assert said in told.err


def test_a_script_is_told_how_much_was_written(project: Project, tmp_path: Path) -> None:
    out = str(tmp_path / "out.csv")
    assert project("export", "-o", out, "--json").json == {
        "schema": "memento.export/1", "out": out, "format": "csv", "tasks": 6,
    }  # fmt: skip


def test_a_package_that_is_missing_is_named(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = project("export", "-o", str(tmp_path / "out.parquet"))
    assert (told.code, list(tmp_path.iterdir())) == (1, [])
    assert "pip install 'memento-ml[arrow]'" in told.err


def test_reading_changes_no_file_of_the_store(project: Project, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in project.store.rglob("*") if path.is_file()}
    assert project("export", "--to", "csv").code == 0
    after = {path: path.read_bytes() for path in project.store.rglob("*") if path.is_file()}
    assert {p: b for p, b in after.items() if not p.name.endswith(("-shm", "-wal"))} == {
        p: b for p, b in before.items() if not p.name.endswith(("-shm", "-wal"))
    }


@pytest.mark.slow
def test_nothing_is_unpickled_to_export(project: Project, tmp_path: Path) -> None:
    shutil.copy(project.folder / "experiment.py", tmp_path)
    (tmp_path / "matrix.json").write_text('{"parameters": {"x": [1]}}')
    store, exploded = tmp_path / "store", tmp_path / "exploded"
    command(
        "run", "experiment.py:returns_a_bomb", "matrix.json", "--store", str(store), "-j", "1", cwd=tmp_path
    )
    exploded.unlink(missing_ok=True)
    (row,) = rows(memento("export", "--to", "csv", "--store", store))
    assert row["value"].startswith("Bomb, ")
    assert not exploded.exists()


@pytest.mark.slow
def test_experiments_of_a_store_stand_in_one_table_or_are_chosen(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text("def one(a): return a\ndef two(b): return {'a': b}\n", encoding="utf-8")
    store = str(tmp_path / "store")
    for name, parameter in (("one", "a"), ("two", "b")):
        (tmp_path / f"{name}.yaml").write_text(f"parameters: {{{parameter}: [1, 2]}}\n")
        command("run", f"two.py:{name}", f"{name}.yaml", "--store", store, "-j", "1", cwd=tmp_path)
    both = rows(memento("export", "--to", "csv", "--store", store))
    assert [row["experiment"] for row in both] == ["two.py:one"] * 2 + ["two.py:two"] * 2
    assert [row["a"] for row in both[:2]] == [1, 2]
    assert [row["value.a"] for row in both[2:]] == [1, 2]
    alone = rows(memento("export", "--to", "csv", "--store", store, "-e", "two"))
    assert [row["value.a" if "value.a" in row else "a"] for row in alone] == [1, 2]


def test_foreign_text_on_a_terminal_does_not_steer_it(
    hostile: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from memento.cli.choosing import wanted
    from memento.cli.export import export, target_of

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    target = target_of("csv", None, curves=False, artifacts=False, force=False)
    export(hostile.store, wanted(None), target, as_json=False)
    told = capsys.readouterr().out
    assert "right to left" in told
    assert not set(told) & set("\x1b\x07\x9b\u202e\r")


def test_foreign_text_in_a_file_is_as_it_was(hostile: Project) -> None:
    text = (hostile.folder / "hostile.txt").read_text(encoding="utf-8")
    found = [json.loads(line) for line in hostile("export", "--to", "jsonl").out.splitlines()]
    assert [row["value"] for row in found if row["status"] == "done"] == [text]
