"""Values with labels, from the matrix to whoever reads the store: labels are shown, and no result depends on them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import memento
from memento import Config, Context, Matrix, Memento, Results
from memento.events import Event, Said
from memento.store.store import Store
from tests.cli.calling import memento as cli

MOONS = (np.arange(6.0).reshape(3, 2), np.array([0, 1, 0]))


def iris() -> int:
    return 150


DATASETS: dict[str, Any] = {"moons": MOONS, "iris": iris, "small": 10}
EXECUTORS = ["serial", "threads", pytest.param("processes", marks=pytest.mark.slow)]


def experiment(context: Context, config: Config) -> str:
    if config.get("C") == 3:
        raise ValueError("three")
    return str(config)


def run(store: Path, matrix: Any, executor: str = "serial", **options: Any) -> Results:
    made = Memento(
        experiment, store=store, executor=executor, progress=False, name="e", on_error="return", **options
    )
    results = made.run(matrix)
    assert results is not None
    return results


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_task_has_the_value_and_prints_the_label(tmp_path: Path, executor: str) -> None:
    results = run(tmp_path / "s", {"parameters": {"dataset": DATASETS, "C": [1]}}, executor)
    assert [r.inner for r in results] == [f"{{'dataset': '{label}', 'C': '1'}}" for label in DATASETS]
    assert results[2].config.dataset == 10
    assert results.to_frame()["dataset"].tolist() == list(DATASETS)
    assert repr(results[0].config) == "Config(dataset=moons, C=1)"


LABELS = st.lists(
    st.one_of(
        st.sampled_from(["moons", "-", "10", "iris", "nan", "x" * 100]), st.text(min_size=1, max_size=6)
    ),
    min_size=3,
    max_size=3,
    unique=True,
).filter(lambda labels: all(label.strip() for label in labels))


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LABELS, st.permutations([MOONS, iris, 10]), st.booleans())
def test_another_label_computes_nothing_and_is_shown_from_then_on(
    tmp_path_factory: pytest.TempPathFactory, labels: list[str], values: Sequence[Any], first_without: bool
) -> None:
    store = tmp_path_factory.mktemp("any") / "s"
    before: Any = [MOONS, iris, 10] if first_without else DATASETS
    first = run(store, {"parameters": {"dataset": before, "C": [1, 2]}})
    renamed = dict(zip(labels, values, strict=True))
    again = run(store, {"parameters": {"C": [1, 2], "dataset": renamed}})
    assert {r.key for r in again} == {r.key for r in first}
    assert all(r.was_cached for r in again)
    loaded = memento.load(store)
    for label, value in renamed.items():
        keys = {r.key for r in first.filter(dataset=value)}
        for results in (again, loaded):
            assert {r.key for r in results.filter(dataset=value)} == keys
            assert {r.key for r in results.filter(dataset=label)} == keys
    assert sorted(map(str, loaded.to_frame()["dataset"])) == sorted(map(str, again.to_frame()["dataset"]))
    with Store.open(store, readonly=True) as opened:
        assert set(opened.index.labels("e")["dataset"].values()) == set(labels)


def test_labels_that_are_taken_away_are_shown_no_more(tmp_path: Path) -> None:
    run(tmp_path / "s", {"parameters": {"size": {"small": 10, "large": 1000}}})
    assert memento.load(tmp_path / "s").to_frame()["size"].tolist() == ["small", "large"]
    again = run(tmp_path / "s", {"parameters": {"size": [10]}})
    assert again[0].was_cached
    assert memento.load(tmp_path / "s").to_frame()["size"].tolist() == [10, "large"]


def test_a_label_is_that_of_its_latest_value(tmp_path: Path) -> None:
    run(tmp_path / "s", {"parameters": {"size": {"small": 10, "large": 1000}}})
    run(tmp_path / "s", {"parameters": {"size": {"small": 20}}})
    loaded = memento.load(tmp_path / "s")
    assert loaded.to_frame()["size"].tolist() == [10, "large", "small"]
    assert [r.config.size for r in loaded.filter(size="small")] == [20]


def test_a_value_of_that_very_text_comes_before_a_label(tmp_path: Path) -> None:
    results = run(tmp_path / "s", {"parameters": {"x": {"a": "b", "b": "c"}}})
    for found in (results, memento.load(tmp_path / "s")):
        assert [r.config.x for r in found.filter(x="b")] == ["b"]
        assert [r.config.x for r in found.filter(x="a")] == ["b"]
        assert [r.config.x for r in found.filter(x="c")] == ["c"]
        assert [r.config.x for r in found.filter(x=["b", "c"])] == ["b", "c"]
        with pytest.raises(ValueError, match="its values are: a, b"):
            found.filter(x="d")


def test_values_without_a_label_do_not_read_like_one(tmp_path: Path) -> None:
    matrix = {"parameters": {"x": {"a": 1, "b": 2}, "y": [0]}, "include": [{"x": 3, "y": 0}, {"x": 1}]}
    assert run(tmp_path / "s", matrix).to_frame()["x"].tolist() == ["a", "b", 3, "a"]
    assert memento.load(tmp_path / "s").to_frame()["x"].tolist() == ["a", "b", 3, "a"]
    odd = {"parameters": {"x": {"3": 1}, "y": [0]}, "include": [{"x": 3, "y": 0}]}
    assert run(tmp_path / "t", odd).to_frame()["x"].tolist() == ["3", "3#1"]


def test_failures_are_told_by_label(tmp_path: Path) -> None:
    matrix = {"parameters": {"size": {"s": 1, "m": 2, "l": 3}, "C": {"one": 1, "three": 3}}}
    assert "all 3 have C=three" in str(run(tmp_path / "s", matrix).failures)
    assert "all 3 have C=three" in str(memento.load(tmp_path / "s").failures)


def test_two_labels_of_one_large_value_are_one_task_and_it_is_said(tmp_path: Path) -> None:
    heard: list[Event] = []
    matrix = {"parameters": {"dataset": {"a": MOONS, "b": tuple(MOONS), "c": iris}}}
    results = run(tmp_path / "s", matrix, listeners=[heard.append])
    assert len({r.key for r in results}) == 2
    (told,) = [e.text for e in heard if isinstance(e, Said) and "labels of one value" in e.text]
    assert "'a' and 'b'" in told
    assert len(results.filter(dataset="b")) == len(results.filter(dataset="a"))


STAGES: list[dict[str, Any]] = [
    {"id": "clean", "parameters": {"dataset": {"moons": MOONS, "small": 10}}},
    {
        "id": "fit",
        "parameters": {"C": [1, 2]},
        "dependencies": ["clean"],
        "exclude": [{"clean.dataset": "moons", "C": 2}],
    },
]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_parameters_of_other_matrices_show_their_labels(tmp_path: Path, executor: str) -> None:
    runs = Memento(experiment, store=tmp_path / "s", executor=executor, progress=False, name="e")
    for matrix in STAGES:
        runs.add_matrix(matrix)
    fit = (runs.run_all() or {})["fit"]
    assert fit is not None
    assert [r.inner for r in fit] == [
        "{'C': '1', 'clean.dataset': 'moons'}",
        "{'C': '1', 'clean.dataset': 'small'}",
        "{'C': '2', 'clean.dataset': 'small'}",
    ]
    loaded = memento.load(tmp_path / "s").filter(C=[1, 2])
    for results in (fit, loaded):
        assert results.to_frame()["clean.dataset"].tolist() == ["moons", "small", "small"]
        assert (
            len(results.filter(clean={"dataset": "small"}))
            == len(results.filter(**{"clean.dataset": 10}))
            == 2
        )
        assert str(results[0].config) == "{'C': '1', 'clean.dataset': 'moons'}"
    listed = cli("ls", "--json", "--store", tmp_path / "s").json["tasks"]
    assert {t["parameters"].get("clean.dataset") for t in listed} == {None, "moons", "small"}


@pytest.mark.slow
def test_another_process_shows_labels_and_needs_no_class(tmp_path: Path) -> None:
    (tmp_path / "exp.py").write_text(
        textwrap.dedent("""
        from memento import Memento
        class Model:
            def __init__(self, n): self.n = n
        def train(context, config): return config.model.n
        if __name__ == "__main__":
            Memento(train, progress=False).run({"parameters": {"model": {"tiny": Model(1), "huge": Model(9)}}})
        """)
    )
    subprocess.run([sys.executable, "exp.py"], cwd=tmp_path, check=True)
    (tmp_path / "exp.py").unlink()
    loaded = memento.load(tmp_path / "memento-store", trusted=False)
    assert loaded.to_frame()[["model", "value"]].values.tolist() == [["tiny", 1], ["huge", 9]]
    listed = cli("ls", "--store", tmp_path / "memento-store").out
    assert "model=tiny" in listed
    (first,) = [
        t for t in cli("ls", "--json", "--store", tmp_path / "memento-store").json["tasks"] if t["value"] == 1
    ]
    assert first["parameters"] == {"model": "tiny"}
    assert "Model" in first["contents"]["model"]
    assert "model = tiny (" in cli("show", first["key"], "--store", tmp_path / "memento-store").out


def test_labels_stand_in_the_index_as_readable_json(tmp_path: Path) -> None:
    import sqlite3

    run(tmp_path / "s", Matrix({"dataset": DATASETS}))
    connection = sqlite3.connect(tmp_path / "s" / "index.sqlite")
    (items,) = connection.execute("SELECT items FROM axes WHERE name = 'dataset'").fetchone()
    connection.close()
    told = json.loads(items)
    assert told["labels"] == {"moons": 0, "iris": 1, "small": 2}
    assert told["values"][2] == 10


def test_plans_and_progress_name_values_by_label(tmp_path: Path) -> None:
    heard: list[Event] = []
    made = Memento(
        experiment, store=tmp_path / "s", executor="serial", progress=False, listeners=[heard.append]
    )
    made.run({"parameters": {"dataset": DATASETS}}, dry_run=True)
    (plan,) = [e.text for e in heard if isinstance(e, Said)]
    assert "dataset=moons" in plan


def test_joining_a_store_keeps_the_labels_here_and_takes_others(tmp_path: Path) -> None:
    run(tmp_path / "here", {"parameters": {"size": {"small": 10, "large": 1000}}})
    run(tmp_path / "there", {"parameters": {"size": {"ten": 10, "large": 99, "huge": 9999}}})
    assert cli("merge", tmp_path / "there", "--into", tmp_path / "here").code == 0
    told = {r.config.size: str(r.config) for r in memento.load(tmp_path / "here")}
    assert told == {
        10: "{'size': 'small'}",
        99: "{'size': '99'}",
        1000: "{'size': 'large'}",
        9999: "{'size': 'huge'}",
    }


def test_a_renamed_experiment_keeps_its_labels(tmp_path: Path) -> None:
    run(tmp_path / "s", {"parameters": {"size": {"small": 10}}})
    assert cli("rename", "e", "other", "--store", tmp_path / "s").code == 0
    assert str(memento.load(tmp_path / "s", experiment="other")[0].config) == "{'size': 'small'}"
