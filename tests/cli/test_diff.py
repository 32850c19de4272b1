"""`memento diff`: two tasks, two runs, two stores; what is the same, what differs, and what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memento.memento import Memento
from memento.store.store import Store
from tests.cli.calling import copied, memento
from tests.cli.conftest import Project
from tests.cli.test_inspect import STEERING


def _experiment(context: Any, config: Any) -> Any:
    context.record({"loss": config.x / config.settings["folds"]})
    if config.x == 3 and config.settings["folds"] == 6:
        raise ValueError("three")
    return {"score": config.x / config.settings["folds"], "same": 1}


def _other(context: Any, config: Any) -> Any:
    return config.x


def _run(place: Path, folds: int, xs: list[Any], func: Any = _experiment) -> None:
    matrix = {"parameters": {"x": xs}, "settings": {"folds": folds}}
    Memento(func, name="e", store=place, executor="serial", on_error="return").run(matrix)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: of other settings, and of other values."""
    place = tmp_path_factory.mktemp("diff") / "one"
    _run(place, 5, [1, 2, 3])
    _run(place, 6, [2, 3, 4])
    return place


def key(place: Path, folds: int, x: int) -> str:
    found = memento("ls", "--json", "--store", place).json["tasks"]
    (one,) = [t["key"] for t in found if (t["settings"]["folds"], t["parameters"]["x"]) == (folds, x)]
    return str(one)


def test_two_tasks_tell_parameters_settings_results_and_metrics(place: Path) -> None:
    one, other = key(place, 5, 1), key(place, 6, 2)
    told = memento("diff", one[:10], other, "--store", place)
    assert (told.code, told.err) == (1, "")
    for line in (
        "x: 1 -> 2 (+1, +100 %)",
        "folds: 5 -> 6",
        "score: 0.2 -> 0.333333",
        "loss: 0.2 -> 0.333333",
    ):
        assert f"  {line}" in told.out
    assert "same:" not in told.out
    as_json = memento("diff", one, other, "--store", place, "--json").json
    assert (as_json["kind"], as_json["same"], as_json["keys"]) == ("tasks", False, [one, other])
    (score,) = [d for d in as_json["differences"] if d["name"] == "score"]
    assert score["change"] == pytest.approx(2 / 6 - 1 / 5)


def test_a_task_is_the_same_as_itself(place: Path) -> None:
    told = memento("diff", key(place, 5, 1), key(place, 5, 1), "--store", place)
    assert (told.code, told.out.splitlines()[-1]) == (0, "no difference")


def test_a_failure_is_a_difference(place: Path) -> None:
    told = memento("diff", key(place, 5, 3), key(place, 6, 3), "--store", place)
    assert "status: done -> failed" in told.out
    assert "error: ValueError: three only in B" in told.out


def test_two_runs_are_compared_task_by_task(place: Path) -> None:
    told = memento("diff", "1", "2", "--store", place)
    assert told.code == 1
    assert "2 tasks in both, 2 with other results, 1 only in A, 1 only in B" in told.out
    assert "folds: 5 -> 6" in told.out
    assert "x: 1 only in A" in told.out
    as_json = memento("diff", "run:1", "2", "--store", place, "--json").json
    assert (as_json["kind"], as_json["runs"], as_json["in_both"], as_json["differ"]) == ("runs", [1, 2], 2, 2)
    largest = {one["name"]: one for one in as_json["largest"]}
    assert largest["score"]["change"] == pytest.approx(2 / 6 - 2 / 5)
    assert (largest["status"]["a"], largest["status"]["b"]) == ("done", "failed")


def test_runs_go_by_their_names_too(place: Path) -> None:
    with Store.open(place, readonly=True) as store:
        names = store.index.names_of_runs()
    assert memento("diff", names[1], names[2], "--store", place, "--json").json["runs"] == [1, 2]
    assert memento("diff", names[1], "1", "--store", place).code == 0


def test_two_stores_are_compared_by_keys(place: Path, tmp_path: Path) -> None:
    copied(place, tmp_path / "other")
    same = memento("diff", place, tmp_path / "other")
    assert same.code == 0
    assert "with the same results" in same.out
    with Store.open(tmp_path / "other") as store:
        store.forget([bytes.fromhex(key(place, 5, 1)), bytes.fromhex(key(place, 5, 2))])
    _run(tmp_path / "other", 5, [2], _other)
    told = memento("diff", place, tmp_path / "other", "--json")
    assert told.code == 1
    (experiment,) = told.json["experiments"]
    assert experiment["only_a"] == [key(place, 5, 1)]
    assert (experiment["only_b"], experiment["differ"], experiment["in_both"]) == ([], 1, 5)
    assert "1 with other results, 1 only in A" in memento("diff", place, tmp_path / "other").out


def test_what_runs_were_made_with_is_told_and_does_not_count(tmp_path: Path) -> None:
    from memento.clock import SYSTEM_CLOCK
    from memento.index.sqlite.sqlite_index import SqliteIndex
    from memento.testing.index_rows import info_of

    with SqliteIndex.open(str(tmp_path), create=True, readonly=False, clock=SYSTEM_CLOCK) as index:
        for version in ("1", "2"):
            index.begin(info_of(provenance={"packages": {"numpy": version}})).finish("done", {"done": 0})
    told = memento("diff", "1", "2", "--store", tmp_path)
    assert told.code == 0
    assert "package numpy: 1 -> 2" in told.out


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("1", "9", "nothing by the name '9'"),
        ("1", "zz", "nothing by the name 'zz'"),
        ("1", "run:9", "run:9"),
        ("task:zz", "1", "task:zz"),
        ("1", "fff", "fff"),
        ("no/where", "1", "no store at no/where"),
        ("1", "\x1b[31m", "nothing by the name"),
        ("1", "9" * 40, "nothing by the name"),
    ],
)
def test_what_names_nothing_is_trouble(place: Path, a: str, b: str, said: str) -> None:
    told = memento("diff", a, b, "--store", place)
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert not STEERING.search(told.err)


def test_two_of_different_kinds_are_trouble(place: Path) -> None:
    told = memento("diff", "1", key(place, 5, 1), "--store", place)
    assert told.code == 2
    assert "only two of a kind" in told.err
    assert memento("diff", place, "1", "--store", place).code == 2


def test_a_name_that_may_be_two_things_is_asked_about(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(place, tmp_path / "123")
    monkeypatch.chdir(tmp_path)
    told = memento("diff", "123", "123")
    assert told.code == 2
    assert "write ./123" in told.err
    assert memento("diff", "./123", "./123").code == 0


def test_a_store_that_cannot_be_read_is_trouble(place: Path, tmp_path: Path) -> None:
    copied(place, tmp_path / "other")
    (tmp_path / "other" / "index.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    assert memento("diff", place, tmp_path / "other").code == 2


def test_large_values_are_compared_by_what_was_stored(values: Project) -> None:
    one, other = values.key(n=1), values.key(n=3)
    told = values("diff", one, other)
    assert told.code == 1
    assert "value: <array 5000 int64" in told.out
    assert "another one" in told.out


def test_nothing_is_unpickled(tmp_path: Path, project: Project) -> None:
    store = tmp_path / "store"
    (tmp_path / "experiment.py").write_text((project.folder / "experiment.py").read_text(encoding="utf-8"))
    (tmp_path / "matrix.yaml").write_text("parameters:\n  x: [1, 2]\n")
    target = f"{tmp_path / 'experiment.py'}:returns_a_bomb"
    memento("run", target, tmp_path / "matrix.yaml", "--executor", "serial", "--store", store)
    (tmp_path / "exploded").unlink(missing_ok=True)
    keys = [t["key"] for t in memento("ls", "--json", "--store", store).json["tasks"]]
    assert len(keys) == 2
    assert memento("diff", *keys, "--store", store).code == 1
    assert not (tmp_path / "exploded").exists()


def test_nothing_that_a_store_says_steers_the_terminal(hostile: Project) -> None:
    keys = [task["key"] for task in hostile.tasks()]
    for arguments in (keys, ["1", "1"], [str(hostile.store), str(hostile.store)]):
        told = hostile("diff", *arguments)
        assert told.code in (0, 1), told.err
        assert not STEERING.search(told.out)
