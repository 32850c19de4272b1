"""A rename moves results to the keys that they would have had, and nothing is lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

import memento
from memento import Config, Context, Memento
from memento.errors import MementoError
from memento.index.types import CannotRename
from memento.store.store import Store
from memento.testing.index_rows import info_of

CALLS: list[Any] = []


def experiment(context: Context, config: Config) -> Any:
    CALLS.append(config)
    context.record({"loss": float(config.x)})
    Path(context.artifact("note.txt")).write_text(f"of {config.x}", encoding="utf-8")
    if config.x == 3:
        context.checkpoint("half way")
        raise ValueError("three")
    return "y" * 300 * config.x


MATRIX = {"parameters": {"x": [1, 2, 3]}, "settings": {"s": 1}, "repeats": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CALLS.clear()
    return tmp_path / "store"


def run(folder: Path, name: str, matrix: Any = MATRIX) -> Any:
    runs = Memento(
        experiment, store=folder, name=name, executor="serial", on_error="return", on_code_change="ignore"
    )
    CALLS.clear()
    return runs.run(matrix)


def rename(folder: Path, old: str, new: str) -> tuple[int, int]:
    with Store.open(folder) as store:
        moved, kept = store.rename(old, new)
    return moved, kept


def test_renamed_results_are_found_under_the_new_name_with_all_that_belongs_to_them(folder: Path) -> None:
    before = run(folder, "old")
    assert rename(folder, "old", "new") == (6, 0)
    after = run(folder, "new")
    assert [config.x for config in CALLS] == [3, 3]  # what failed is tried again, and nothing else
    assert [r.key for r in after] != [r.key for r in before]
    for one, other in zip(before, after, strict=True):
        if one.status == "done":
            assert other.was_cached
            assert other.inner == "y" * 300 * one.config.x
            assert other.metrics["loss"]["y"].tolist() == [one.config.x]
            assert other.artifacts["note.txt"].read_text(encoding="utf-8") == f"of {one.config.x}"
    assert memento.verify(folder).whole


def test_a_failed_tasks_checkpoint_and_attempts_follow(folder: Path) -> None:
    run(folder, "old", {"parameters": {"x": [3]}})
    run(folder, "old", {"parameters": {"x": [3]}})
    rename(folder, "old", "new")
    again = run(folder, "new", {"parameters": {"x": [3]}})
    assert len(again[0].attempts) == 3
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [again[0].key]


def test_the_old_name_is_gone(folder: Path) -> None:
    run(folder, "old")
    rename(folder, "old", "new")
    with Store.open(folder) as store:
        assert [name for name, _, _ in store.index.experiments()] == ["new"]
        assert {info.info.experiment for info in store.index.runs()} == {"new"}


def test_results_that_the_new_name_has_of_its_own_stay_as_they_are(folder: Path) -> None:
    run(folder, "old")
    mine = run(folder, "new", {**MATRIX, "parameters": {"x": [1]}})
    assert rename(folder, "old", "new") == (4, 2)
    after = run(folder, "new")
    assert [config.x for config in CALLS] == [3, 3]
    assert [r.start_time for r in after][:2] == [r.start_time for r in mine]
    assert all(r.was_cached for r in run(folder, "old", {**MATRIX, "parameters": {"x": [1]}}))
    assert memento.verify(folder).whole


def test_dependent_matrices_are_all_found_again(folder: Path) -> None:
    def chain(name: str) -> list[bool]:
        runs = Memento(
            lambda context, config: config.a if "a" in config else config.first + config.y,
            store=folder, name=name, executor="serial",
        )  # fmt: skip
        runs.add_matrix({"id": "first", "parameters": {"a": [1, 2]}})
        runs.add_matrix({"id": "second", "parameters": {"y": [5]}, "dependencies": ["first"]})
        results = runs.run_all()
        assert results is not None
        return [r.was_cached for rs in results.values() for r in rs or ()]

    assert not any(chain("old"))
    rename(folder, "old", "new")
    assert all(chain("new"))


def test_there_and_back_again_is_no_change(folder: Path) -> None:
    run(folder, "old")
    rename(folder, "old", "new")
    rename(folder, "new", "old")
    run(folder, "old")
    assert [config.x for config in CALLS] == [3, 3]


def test_other_experiments_are_left_alone(folder: Path) -> None:
    run(folder, "old")
    run(folder, "other")
    rename(folder, "old", "new")
    run(folder, "other")
    assert [config.x for config in CALLS] == [3, 3]


def test_folders_that_did_not_follow_before_the_power_went_follow_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run(folder, "old")
    with monkeypatch.context() as patched, Store.open(folder) as store:
        patched.setattr(Store, "_move_folders", lambda store: None)  # the power goes
        store.rename("old", "new")
    assert before[0].key in {path.name for path in (folder / "artifacts").iterdir()}
    memento.gc(folder)
    after = run(folder, "new")
    assert after[0].artifacts["note.txt"].read_text(encoding="utf-8") == "of 1"


def test_a_damaged_row_stays_known_as_damaged(folder: Path) -> None:
    results = run(folder, "old")
    with Store.open(folder) as store, cast(Any, store.index).database.writing() as connection:
        connection.execute("UPDATE tasks SET params = '{}' WHERE key = ?", (bytes.fromhex(results[0].key),))
    rename(folder, "old", "new")
    assert not memento.verify(folder).whole


@pytest.mark.parametrize(("old", "new"), [("missing", "new"), ("old", "old")])
def test_a_rename_that_makes_no_sense_says_why(folder: Path, old: str, new: str) -> None:
    run(folder, "old")
    with pytest.raises(CannotRename) as caught:
        rename(folder, old, new)
    assert isinstance(caught.value, MementoError)
    assert old in str(caught.value)


@pytest.mark.parametrize("busy", ["old", "new"])
def test_an_experiment_that_is_at_work_is_not_renamed(folder: Path, busy: str) -> None:
    run(folder, "old")
    with Store.open(folder) as store:
        at_work = store.begin(info_of()._replace(experiment=busy))
        with pytest.raises(CannotRename, match="is at work"):
            store.rename("old", "new")
        at_work.finish("done", {})
        assert store.rename("old", "new").moved == 6


def test_loaded_results_keep_their_order_and_what_they_show(folder: Path) -> None:
    matrix = {"parameters": {"x": [2, 1, 2], "how": [int, str, dict]}, "zip": [["x", "how"]]}
    run(folder, "old", matrix)
    before = memento.load(folder)
    run(folder, "new", {"parameters": {"x": [1], "how": [str, int]}})
    rename(folder, "old", "new")
    after = memento.load(folder, "new").filter(how=[int, str, dict])
    shown = [(config.x, config.how) for config in (result.config for result in before)]
    found = [(config.x, config.how) for config in (result.config for result in after)]
    assert [one for one in found if one in shown] == shown
    assert len(after.filter(how=dict)) == 1
    assert set(after.to_frame()["how"]) == {"int", "str", "dict"}


def test_upstream_parameters_are_found_after_a_rename(folder: Path) -> None:
    def staged(context: Any, config: Any) -> int:
        return 1

    made = Memento(staged, store=folder, name="old", executor="serial", progress=False)
    made.add_matrix({"id": "load", "parameters": {"dataset": ["wine", "iris"]}})
    made.add_matrix({"id": "fit", "dependencies": ["load"], "parameters": {"C": [1]}})
    made.run_all()
    rename(folder, "old", "new")
    loaded = memento.load(folder, "new").filter(C=1)
    assert loaded.to_frame()["load.dataset"].tolist() == ["wine", "iris"]
