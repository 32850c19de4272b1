"""`ls`: which columns a terminal shows, and in which order."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memento as library
from memento.cli.choosing import Wanted
from memento.cli.ls import print_tasks
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from tests.cli.calling import memento


def store_of(tmp_path: Path, result: Any, parameters: dict[str, list[Any]]) -> Path:
    """Return a store with the results of a function of the parameters."""
    runs = library.Memento(
        lambda context, config: result(config),
        name="e",
        executor="serial",
        store=tmp_path / "s",
        progress=False,
    )
    runs.run({"parameters": parameters})
    return tmp_path / "s"


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A store whose tasks have long parameters."""
    parameters: dict[str, list[Any]] = {
        "classifier": ["GradientBoosting", "RandomForest"],
        "preprocessing": ["standardized", "unchanged"],
        "learning_rate": [0.001, 0.01],
    }
    return store_of(
        tmp_path, lambda config: {"acc": config.learning_rate * 10, "std": 0.123456, "n": 5}, parameters
    )


@pytest.mark.parametrize(
    ("asked", "head"),
    [
        ({}, "key status parameters acc"),
        ({"sort": "std"}, "key status std parameters"),
        ({"sort": "-runtime"}, "key status time parameters"),
        ({"sort": "learning_rate"}, "key status learning_rate parameters"),
        ({"columns": ["acc", "std"]}, "key status acc std"),
        ({"columns": ["acc", "std"], "sort": "n"}, "key status n acc std"),
        ({"columns": ["acc", "key"], "sort": "acc"}, "status acc key"),
    ],
)
def test_a_terminal_shows_the_column_that_is_sorted_by_or_one_result(
    wide: Path, asked: Any, head: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_tasks(wide, Wanted(), limit=None, as_json=False, **asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[: len(head.split())] == head.split()
    assert all(len(line) <= 80 for line in lines if not line.startswith("not shown"))
    if "columns" not in asked:
        assert sum("learning_rate=" in line or "sort" in asked for line in lines) >= 8


def test_lowest_without_sort_says_what_to_write(wide: Path) -> None:
    told = memento("ls", "--lowest", "--store", wide)
    assert (told.code, told.out) == (2, "")
    assert "--sort COLUMN --lowest" in told.err


def test_parts_of_dicts_in_dicts_are_columns(tmp_path: Path) -> None:
    store = store_of(
        tmp_path, lambda config: {"m": {"acc": config.x * 2, "f1": 0.5}, "n": 1}, {"x": [1, 3, 2]}
    )
    head, *rows = (
        line.split() for line in memento("ls", "--sort", "m.acc", "--store", store).out.splitlines()
    )
    assert head == ["key", "status", "m.acc", "parameters", "m.f1", "n", "time"]
    assert [row[2] for row in rows] == ["6", "4", "2"]
    told = memento("ls", "--columns", "m,value.m.acc", "--sort", "-m.f1", "--store", store)
    assert told.out.split()[:5] == ["key", "status", "m.f1", "m", "m.acc"]
    assert "Did you mean 'm.acc'?" in memento("ls", "--sort", "m.ac", "--store", store).err


@dataclass
class Fitted:
    """What an experiment may return."""

    acc: float
    model: Any


@pytest.mark.parametrize("kind", [dict, Fitted])
@pytest.mark.parametrize("size", [3, 20_000])
def test_numbers_beside_an_array_are_columns_and_the_best_is_told(
    kind: Any, size: int, tmp_path: Path
) -> None:
    store = store_of(tmp_path, lambda config: kind(acc=config.x / 4, model=np.zeros(size)), {"x": [1, 3, 2]})
    head, *rows = (line.split() for line in memento("ls", "--sort", "acc", "--store", store).out.splitlines())
    assert head == ["key", "status", "acc", "parameters", "model", "time"]
    assert [row[2] for row in rows] == ["0.75", "0.5", "0.25"]
    assert f"array {size} float64" in " ".join(rows[0])
    assert memento("ls", "--columns", "acc", "--store", store).out.split()[:3] == ["key", "status", "acc"]
    assert "highest acc 0.75: x=3" in memento("status", "--store", store).out
    keys = [row[0] for row in rows]
    assert "acc: 0.75 -> 0.5" in memento("diff", *keys[:2], "--store", store).out
    shown = memento("show", keys[0], "--store", store).out
    assert f"  acc: 0.75\n  model: array {size} float64\n" in shown
    (task, *_) = memento("ls", "--json", "--store", store).json["tasks"]
    assert (task["value"], task["value_description"]["items"]["acc"]) == (None, 0.5)


def test_values_that_differ_in_an_array_alone_differ(tmp_path: Path) -> None:
    store = store_of(tmp_path, lambda config: {"acc": 1, "model": np.full(3, config.x)}, {"x": [1, 2]})
    keys = [task["key"] for task in memento("ls", "--json", "--store", store).json["tasks"]]
    told = memento("diff", *keys, "--store", store)
    assert "result\n  value: " in told.out


def test_a_dict_of_many_parts_stays_one_column(tmp_path: Path) -> None:
    report = {f"class{number}": number for number in range(9)}
    store = store_of(tmp_path, lambda config: {"acc": 1, "report": report}, {"x": [1]})
    head = memento("ls", "--store", store).out.splitlines()[0]
    assert head.split() == ["key", "status", "parameters", "acc", "report", "time"]


def test_true_and_none_are_shown_as_python_writes_them_and_understood_both_ways(tmp_path: Path) -> None:
    store = store_of(tmp_path, lambda config: 1, {"scale": [True, None, "True"]})
    rows = [line.split()[2] for line in memento("ls", "--store", store).out.splitlines()[1:]]
    assert rows == ["scale='True'", "scale=None", "scale=True"]
    for text, found in (("True", True), ("true", True), ("None", None), ("null", None), ("'True'", "True")):
        (task,) = memento("ls", f"scale={text}", "--json", "--store", store).json["tasks"]
        assert task["parameters"] == {"scale": found}
    (task,) = memento("ls", "scale=None", "--json", "--store", store).json["tasks"]
    assert "scale = None" in memento("show", task["key"], "--store", store).out


def test_where_no_task_failed_it_is_said_in_a_few_words(tmp_path: Path) -> None:
    store = store_of(tmp_path, lambda config: 1, {"x": [1]})
    assert (
        memento("ls", "--failed", "--store", store).out == "no task failed: all that have finished are done\n"
    )


def test_a_pipe_has_the_whole_of_an_error(tmp_path: Path) -> None:
    text = "no such data set: " + "x" * 120

    def fail(config: Any) -> Any:
        raise ValueError(text)

    runs = library.Memento(
        lambda context, config: fail(config),
        name="e",
        executor="serial",
        store=tmp_path / "s",
        on_error="return",
    )
    runs.run({"parameters": {"x": [1]}})
    assert f"ValueError: {text}\n" in memento("ls", "--store", tmp_path / "s").out


def test_tasks_that_were_set_back_are_told_where_none_counts_as_failed(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        run = store.begin(info_of(tasks=2))
        run.commit([row_of(1), row_of(2, failed="broken")])
        run.finish("failed", {"done": 1, "cached": 0, "failed": 1})
        store.retry([key_of(2)])
    assert memento("ls", "--failed", "--store", tmp_path).out.splitlines() == [
        "no task failed: all that have finished are done",
        "1 more task failed and counts as not computed: the next run computes them",
    ]
