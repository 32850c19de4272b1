"""`ls` and `show`: what they print, for people and for scripts."""

from __future__ import annotations

import itertools
import re
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memento as library
from memento.errors import NotAStore
from memento.store.store import Store
from tests.cli.calling import command, memento
from tests.cli.conftest import Project

# What a terminal obeys: all controls but the end of a line, and what reorders text.
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def test_ls_has_a_line_for_each_task(project: Project) -> None:
    told = project("ls")
    head, *lines = told.out.splitlines()
    assert head.split() == ["key", "status", "parameters", "value", "time", "error"]
    assert len(lines) == 6
    assert sum("failed" in line and "ValueError: three is too much" in line for line in lines) == 2
    (square,) = [line for line in lines if "model=dict, x=2" in line]
    assert square.startswith(project.key(model="dict", x=2)[:12])
    assert "{'square': 4}" in square


def test_ls_as_json_gives_values_and_parameters(project: Project) -> None:
    tasks = {(t["parameters"]["model"], t["parameters"]["x"]): t for t in project.tasks()}
    assert len(tasks) == 6
    done = tasks["dict", 2]
    assert done["value"] == {"square": 4}
    assert done["value_type"] == "builtins:dict"
    assert (done["status"], done["settings"], done["error"]) == ("done", {"folds": 5}, None)
    failed = tasks["dict", 3]
    assert (failed["status"], failed["value"], failed["error"]) == (
        "failed",
        None,
        "ValueError: three is too much",
    )


def test_a_number_that_json_cannot_say_is_null(project: Project) -> None:
    (task,) = [t for t in project.tasks() if t["parameters"] == {"model": "nan", "x": 1}]
    assert task["value"] is None
    assert task["value_type"] == "builtins:float"


def test_ls_failed_lists_only_failures(project: Project) -> None:
    assert [t["status"] for t in project.tasks("--failed")] == ["failed", "failed"]


def test_ls_limit_says_that_there_is_more(project: Project) -> None:
    told = project("ls", "--limit", "2")
    assert len(re.findall(r"^[0-9a-f]{12} ", told.out, re.MULTILINE)) == 2  # whichever ended last
    assert "--limit 0 shows all" in told.out
    assert len(project.tasks("--limit", "0")) == 6


@pytest.mark.parametrize("name", ["experiment.py:grid", "grid"])
def test_ls_finds_an_experiment_by_the_end_of_its_name(project: Project, name: str) -> None:
    assert len(project.tasks("--experiment", name)) == 6


def test_an_experiment_that_is_not_there_is_wrong_usage(project: Project) -> None:
    told = project("ls", "-e", "other")
    assert (told.code, told.out) == (2, "")
    assert "experiment.py:grid" in told.err


def test_show_tells_all_of_a_done_task(project: Project) -> None:
    told = project("show", project.key(model="dict", x=2)[:8])
    assert told.code == 0
    for part in ("x = 2", 'settings    {"folds": 5}', "done", "square: 4", "loss: 1 value, last 1"):
        assert part in told.out
    (path,) = re.findall("artifact    weights.bin: (.*)", told.out)
    assert Path(path).read_bytes() == b"0" * 10


def test_show_tells_why_a_task_failed(project: Project) -> None:
    told = project("show", project.key(model="dict", x=3))
    assert "ValueError: three is too much" in told.out
    assert 'raise ValueError("three is too much")' in told.out
    assert "training with 3" in told.out


def test_show_as_json_has_the_attempts(project: Project) -> None:
    told = project("show", "--json", project.key(model="dict", x=3)).json
    (attempt,) = told["attempts"]
    assert (attempt["number"], attempt["status"], attempt["kind"]) == (1, "failed", "raised")
    assert "three is too much" in attempt["traceback"]
    assert attempt["output"].strip() == "training with 3"


def test_upper_case_digits_name_the_same_key(project: Project) -> None:
    assert project("show", project.key(model="dict", x=2).upper()).code == 0


@pytest.mark.parametrize("name", ["show", "logs", "why"])
def test_a_task_may_be_named_by_its_parameters(project: Project, name: str) -> None:
    told = project(name, "model=dict", "x=2")
    assert (told.code, told.out) == (0, project(name, project.key(model="dict", x=2)).out)


@pytest.mark.parametrize("name", ["show", "logs", "why", "run-one"])
def test_parameters_that_no_task_or_several_have_are_wrong_usage(project: Project, name: str) -> None:
    told = project(name, "x=2")
    assert (told.code, told.out) == (2, "")
    assert "2 tasks have x=2; give a key: " in told.err
    for model in ("dict", "nan"):
        assert f"{project.key(model=model, x=2)[:12]} (model={model}, x=2)" in told.err
    assert "6 tasks" in (many := project(name, "model=dict", "model=nan").err)
    assert (many.count("(model="), many.count(", ...")) == (5, 1)
    assert "x=77" in project(name, "x=77").err
    assert project(name, project.key(model="dict", x=2), "x=3").err.startswith("memento: no finished task")


@pytest.mark.parametrize("name", ["show", "logs"])
@pytest.mark.parametrize("key", ["zz", "ab", "", "g" * 32, "a" * 33, "abc\x1b[31m", "12 34"])
def test_what_is_no_key_is_wrong_usage(project: Project, name: str, key: str) -> None:
    told = project(name, key)
    assert (told.code, told.out) == (2, "")
    assert "is no key" in told.err
    assert not STEERING.search(told.err)


@pytest.mark.parametrize("name", ["show", "logs"])
def test_a_key_that_nobody_has_is_wrong_usage(project: Project, name: str) -> None:
    unused = next(
        f"{n:03x}" for n in range(4096) if not any(t["key"].startswith(f"{n:03x}") for t in project.tasks())
    )
    told = project(name, unused)
    assert (told.code, told.out) == (2, "")
    assert "memento ls" in told.err


@pytest.fixture
def crowded(tmp_path: Path) -> Project:
    """A store in which some keys begin alike: with 300 of them, three digits in common are nearly certain."""

    def experiment(context: Any, config: Any) -> int:
        return int(config.x)

    store = tmp_path / "memento-store"
    library.Memento(experiment, executor="serial", store=store, progress=False).run(
        {"parameters": {"x": list(range(300))}}
    )
    return Project(tmp_path, memento("status", "--store", store))


@pytest.mark.slow
def test_a_long_list_is_cut_for_people_and_whole_for_scripts(crowded: Project) -> None:
    lines = crowded("ls").out.splitlines()
    assert len(lines) == 1 + 50 + 1
    assert "only the newest 50" in lines[-1]
    assert len(crowded("ls", "--limit", "0").out.splitlines()) == 1 + 300
    assert len(crowded("ls", "--json").json["tasks"]) == 300
    assert len(crowded("ls", "--json", "--limit", "7").json["tasks"]) == 7


def test_the_newest_task_comes_first(crowded: Project) -> None:
    assert [task["parameters"]["x"] for task in crowded.tasks("--limit", "3")] == [299, 298, 297]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["show", "logs"])
def test_a_beginning_that_several_keys_share_is_wrong_usage(crowded: Project, name: str) -> None:
    keys = sorted(task["key"] for task in crowded.tasks("--limit", "0"))
    first, second = next((a, b) for a, b in itertools.pairwise(keys) if a[:3] == b[:3])
    told = crowded(name, first[:3])
    assert (told.code, told.out) == (2, "")
    assert first in told.err
    assert second in told.err


@pytest.mark.parametrize("arguments", [("status",), ("ls",), ("show", "abcdef"), ("logs", "abcdef")])
def test_no_store_yet_says_where_it_looked_and_makes_none(arguments: tuple[str, ...], tmp_path: Path) -> None:
    told = memento(*arguments, "--store", tmp_path / "nothing")
    assert (told.code, told.out) == (2, "")
    assert str(tmp_path / "nothing") in told.err
    assert not (tmp_path / "nothing").exists()


def test_without_a_store_option_the_projects_store_is_meant(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project.folder / "deep" / "er"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert memento("status", "--json").json["store"] == str(project.store)


def test_the_environment_names_a_store(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMENTO_STORE", str(project.store))
    assert memento("status", "--json").json["store"] == str(project.store)


def test_a_strangers_folder_is_no_store_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("text", encoding="utf-8")
    told = memento("ls", "--store", tmp_path)
    assert (told.code, told.out) == (1, "")
    assert "thesis.tex" in told.err
    assert "Traceback" not in told.err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_strangers_database_is_no_store(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "index.sqlite") as database:
        database.execute("CREATE TABLE songs (name)")
    database.close()
    told = memento("status", "--store", tmp_path)
    assert told.code == 1
    assert "another program" in told.err


def test_an_empty_store_lists_nothing(tmp_path: Path) -> None:
    Store.open(tmp_path / "store").close()
    assert memento("ls", "--store", tmp_path / "store").out.startswith("no tasks: none has finished yet")
    assert memento("ls", "--json", "--store", tmp_path / "store").json["tasks"] == []
    assert memento("status", "--json", "--store", tmp_path / "store").json["runs"] == []


def test_reading_changes_no_file_of_the_store(project: Project) -> None:
    def files() -> dict[Path, int]:
        return {
            p: p.stat().st_mtime_ns
            for p in project.store.rglob("*")
            if p.is_file() and not p.name.endswith(("-shm", "-wal"))
        }

    key, before = project.key(model="dict", x=2), files()
    for arguments in (("status",), ("ls",), ("show", key), ("logs", key)):
        project(*arguments)
    assert files() == before


@pytest.mark.slow
def test_nothing_is_unpickled_to_list_or_show(project: Project, tmp_path: Path) -> None:
    (tmp_path / "experiment.py").write_text(
        (project.folder / "experiment.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "matrix.json").write_text('{"parameters": {"x": [1]}}', encoding="utf-8")
    store, exploded = tmp_path / "store", tmp_path / "exploded"
    command("run", "experiment.py:returns_a_bomb", "matrix.json", "--store", store, "-j", "1", cwd=tmp_path)
    exploded.unlink(missing_ok=True)
    (task,) = memento("ls", "--json", "--store", store).json["tasks"]
    assert (task["status"], task["value"]) == ("done", None)
    for arguments in (("status",), ("ls",), ("show", task["key"]), ("logs", task["key"])):
        for more in ((), ("--json",)) if arguments[0] != "logs" else ((),):
            assert memento(*arguments, *more, "--store", store).code == 0
    assert not exploded.exists()
    with Store.open(store) as opened:  # it is armed: reading the value does it
        opened.value(opened.index.recent()[0])
    assert exploded.exists()


@pytest.mark.parametrize("what", ["status", "ls", "show", "show failed", "logs", "run"])
def test_what_a_store_holds_does_not_steer_the_terminal(hostile: Project, what: str) -> None:
    keys = {task["status"]: task["key"] for task in hostile.tasks()}
    commands = {
        "status": ("status",),
        "ls": ("ls",),
        "show": ("show", keys["done"]),
        "show failed": ("show", keys["failed"]),
        "logs": ("logs", keys["done"]),
    }
    told = hostile.first if what == "run" else hostile(*commands[what])
    assert "bell" in told.out + told.err
    assert "[bold]markup[/bold]" in told.out + told.err
    assert not STEERING.search(told.out.replace("\t", " "))
    assert not STEERING.search(told.err.replace("\t", " "))


def test_foreign_line_breaks_break_no_row(hostile: Project) -> None:
    assert len(hostile("ls").out.splitlines()) == 1 + 1 + 2  # what both have stands above
    assert len(hostile("status").out.splitlines()) == 1 + 4 + 4 + 2


def test_json_gives_foreign_text_as_it_is(hostile: Project) -> None:
    text = (hostile.folder / "hostile.txt").read_text(encoding="utf-8")
    tasks = {task["status"]: task for task in hostile.tasks()}
    assert tasks["done"]["parameters"]["value"] == text
    assert tasks["done"]["value"] == text
    assert tasks["failed"]["error"] == f"ValueError: {text}"
    assert all(ord(letter) >= 32 or letter == "\n" for letter in hostile("ls", "--json").out)
    assert (
        hostile("show", "--json", tasks["failed"]["key"]).json["attempts"][0]["error"]
        == f"ValueError: {text}"
    )


def test_an_escape_that_is_never_closed_hides_no_later_line(hostile: Project) -> None:
    key = next(task["key"] for task in hostile.tasks() if task["status"] == "done")
    assert hostile("logs", key).out.splitlines()[-2:] == ["before", "after"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("sklearn.svm._classes:SVC", "SVC"),
        ("bench/solvers/cd.py:Solver", "Solver"),
        ("data/table.csv:price", "data/table.csv:price"),
        ("cuda:0", "cuda:0"),
        ("http://example.org:80", "http://example.org:80"),
        ("red:green", "red:green"),
        ("12:30", "12:30"),
        ("a.b:not a name", "a.b:not a name"),
    ],
)
def test_only_names_of_python_objects_are_shortened(tmp_path: Path, value: str, shown: str) -> None:
    def experiment(context: Any, config: Any) -> int:
        return 1

    store = tmp_path / "store"
    library.Memento(experiment, executor="serial", store=store, progress=False).run(
        {"parameters": {"x": [value]}}
    )
    assert f"x={shown} " in memento("ls", "--store", store).out


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    def experiment(context: Any, config: Any) -> Any:
        return {"acc": np.mean([0.8, 0.9]), "shape": (np.int64(2), 3)} if config.x == 1 else np.float32(0.5)

    store = tmp_path / "store"
    library.Memento(experiment, executor="serial", store=store, progress=False).run(
        {"parameters": {"x": np.arange(1, 3)}}
    )
    out = memento("ls", "--store", store).out
    assert "x=1 " in out
    assert "{'acc': 0.8500000000000001, 'shape': [2, 3]}" in out
    tasks = {
        task["parameters"]["x"]: task for task in memento("ls", "--store", store, "--json").json["tasks"]
    }
    assert tasks[1]["value"] == {"acc": 0.8500000000000001, "shape": [2, 3]}
    assert tasks[2]["value"] == 0.5
    assert "0.85" in memento("show", tasks[1]["key"], "--store", store).out


def test_a_task_shows_the_parameters_of_those_it_takes_from(tmp_path: Path) -> None:
    def experiment(context: Any, config: Any) -> int:
        return 1

    store = tmp_path / "store"
    made = library.Memento(experiment, executor="serial", store=store, progress=False)
    made.add_matrix({"id": "load", "parameters": {"dataset": ["wine"]}})
    made.add_matrix({"id": "clean", "dependencies": ["load"], "parameters": {"how": ["mean"]}})
    made.add_matrix({"id": "fit", "dependencies": ["clean"], "parameters": {"C": [10]}})
    made.run_all()
    assert "C=10, clean.how=mean, clean.load.dataset=wine " in memento("ls", "--store", store).out
    (task,) = [t for t in memento("ls", "--store", store, "--json").json["tasks"] if "C" in t["parameters"]]
    assert task["parameters"]["clean.load.dataset"] == "wine"
    assert "clean.load.dataset = wine" in memento("show", task["key"], "--store", store).out


STEPS = """
def load(path, token=""):
    return [path] * 1000

def uses_steps(context, config):
    return len(context.cached(load, "x", token="hidden")) + config.x
"""


@pytest.mark.slow
def test_show_names_the_steps_that_a_task_used(tmp_path: Path) -> None:
    (tmp_path / "experiment.py").write_text(STEPS, encoding="utf-8")
    (tmp_path / "matrix.json").write_text('{"parameters": {"x": [1]}}', encoding="utf-8")
    store = tmp_path / "store"
    command("run", "experiment.py:uses_steps", "matrix.json", "--store", store, "-j", "1", cwd=tmp_path)
    (task,) = memento("ls", "--json", "--store", store).json["tasks"]
    told = memento("show", task["key"], "--store", store).out
    assert "step        load(path='x', token=***): 5 kB, computed in" in told
    assert f"by task {task['key'][:12]}" in told
    (record,) = (store / "steps" / "keys").glob("*.json")
    assert memento("show", "--json", task["key"], "--store", store).json["steps"] == [record.stem]
    record.unlink()
    assert f"{record.stem}, which is not kept any more" in memento("show", task["key"], "--store", store).out


def test_no_parameter_is_lost_however_long_it_is(tmp_path: Path) -> None:
    runs = library.Memento(
        lambda context, config: 1, name="e", executor="serial", store=tmp_path / "s", progress=False
    )
    runs.run({"parameters": {"same": ["x" * 95], "fold": [3, 7]}})
    said = memento("ls", "--store", tmp_path / "s").out.splitlines()
    assert said[0] == f"all have same={'x' * 95}"
    assert [row.split()[2] for row in said[2:]] == ["fold=7", "fold=3"]
    runs.run({"parameters": {"path": ["y" * 120]}})
    rows = memento("ls", "--store", tmp_path / "s").out.splitlines()[1:]
    assert f"path={'y' * 120} " in rows[0]
    assert f"same={'x' * 95}, fold=7 " in rows[1]


def test_dict_results_are_columns_with_four_digits(tmp_path: Path) -> None:
    runs = library.Memento(
        lambda context, config: {"acc": 0.9123456 + config.x, "n": 12345678, "note": "fine"},
        name="e", executor="serial", store=tmp_path / "s", progress=False,
    )  # fmt: skip
    runs.run({"parameters": {"x": [0, 1, 2]}})
    head, *rows = (line.split() for line in memento("ls", "--store", tmp_path / "s").out.splitlines())
    assert head == ["key", "status", "parameters", "acc", "n", "note", "time"]
    assert [row[2:6] for row in rows] == [
        [f"x={x}", text, "12345678", "fine"] for x, text in ((2, "2.912"), (1, "1.912"), (0, "0.9123"))
    ]

    def order(*arguments: str) -> list[str]:
        told = memento("ls", "--columns", "x,acc", *arguments, "--store", tmp_path / "s")
        return [row.split()[2] for row in told.out.splitlines()[1:] if not row.startswith("...")]

    assert order("--sort", "acc") == order("--sort", "x") == order("--sort", "value.acc") == ["2", "1", "0"]
    assert order("--sort", "-acc") == order("--sort", "acc", "--lowest") == ["0", "1", "2"]
    assert order("--sort", "acc", "--limit", "1") == ["2"]
    assert "Did you mean 'acc'?" in memento("ls", "--sort", "accc", "--store", tmp_path / "s").err
    assert "Did you mean 'acc'?" in memento("ls", "--columns", "accc", "--store", tmp_path / "s").err
    assert "a number of none" in memento("ls", "--sort", "note", "--store", tmp_path / "s").err


def test_metrics_are_columns_and_an_order(project: Project) -> None:
    told = project("ls", "--columns", "x,loss,error,settings.folds", "--sort", "loss", "--limit", "2").out
    assert told.splitlines()[0].split() == ["key", "status", "x", "loss", "error", "settings.folds"]
    assert [line.split()[2] for line in told.splitlines()[1:3]] == ["3", "3"]


def test_nothing_found_says_what_is_near(project: Project) -> None:
    told = project("ls", "x=3", "--status", "done")
    assert (told.code, told.out.splitlines()) == (
        0,
        [
            "no tasks: none of those that have finished is all of this: x=3, --status done",
            "without x=3 or without --status done there are some",
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 160])
def test_a_terminal_keeps_identity_before_numbers(project: Project, columns: int) -> None:
    import os
    import pty
    import subprocess
    import sys

    main, other = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    line = [sys.executable, "-m", "memento", "ls", "--store", str(project.store)]
    with subprocess.Popen(line, stdout=other, stderr=other, env=environment) as process:
        os.close(other)
        said = b""
        try:
            while part := os.read(main, 65_536):
                said += part
        except OSError:  # Linux says so that the other end is closed
            pass
        assert process.wait() == 0
    os.close(main)
    lines = said.decode().splitlines()
    assert "\x1b" not in said.decode()
    listed = [one for one in lines if not one.startswith("not shown")]
    assert all(len(one) <= columns for one in listed)
    for x in (1, 2, 3):
        assert sum(f"x={x}" in one for one in listed) == 2
    assert sum("model=dict" in one for one in listed) == 3
    assert (columns == 40) == any("--columns" in one and "time" in one for one in lines)


def test_show_draws_metrics_and_tells_of_tasks_that_have_not_finished(tmp_path: Path) -> None:
    def experiment(context: Any, config: Any) -> int:
        for step in range(9):
            context.record({"loss": 9.0 - step}, step=step)
        if config.x == 2:
            context.checkpoint(1)
            raise ValueError
        return 1

    store = tmp_path / "s"
    runs = library.Memento(experiment, executor="serial", store=store, progress=False)
    runs.run({"parameters": {"x": [1]}})
    (task,) = memento("ls", "--json", "--store", store).json["tasks"]
    told = memento("show", task["key"][:6], "--store", store).out
    assert "loss: 9 values, last 1, first 9, min 1, max 9  █" in told
    assert memento("show", "--json", task["key"], "--store", store).json["metrics"]["loss"]["min"] == 1.0
    with pytest.raises(library.AggregateException):
        runs.run({"parameters": {"x": [1, 2]}})
    assert memento("retry", "--failed", "--store", store).code == 0
    (key,) = (folder.name for folder in (store / "checkpoints").iterdir())
    told = memento("show", key[:8], "--store", store).out
    assert "not finished: it has a checkpoint to go on from" in told
    assert memento("show", key, "--json", "--store", store).json["status"] == "unfinished"


def test_a_store_that_is_not_there_is_answered_by_one_that_is(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    above, name = project.store.parent, project.store.name
    told = memento("ls", "--store", above / f"{name}x")
    assert (told.code, f"Did you mean {project.store}?" in told.err) == (2, True)
    assert f"Did you mean {project.store}?" in memento("diff", above / f"{name}x", project.store).err
    with pytest.raises(NotAStore, match=re.escape(f"Did you mean {project.store}?")):
        library.load(above / f"{name}x")
    Store.open(tmp_path / "home" / "memento-store").close()
    monkeypatch.chdir(tmp_path / "home")
    assert "Did you mean ./memento-store?" in memento("diff", ".", "memento-store").err
    with pytest.raises(NotAStore, match=re.escape("home/memento-store?")):
        library.load(".")
