"""`memento why KEY` tells why a task will or will not run, from what the store knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.records import CodeVersion
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir, Origin
from tests.cli.calling import Ran, memento
from tests.cli.conftest import Project

A, B = (
    CodeVersion(letter.encode() * 16, {"exp.py:f": (letter, f"# exp.py:1\ndef f():\n    return {letter!r}")})
    for letter in "ab"
)


class Told:
    """A store that a test writes, and what is said of its tasks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with Store.open(folder) as store:
            self.a = store.begin(info_of()).code(A)

    def row(self, number: int = 1, **fields: Any) -> str:
        with Store.open(self.folder) as store:
            store.begin(info_of()).commit([row_of(number, **{"code": self.a, **fields})])
        return key_of(number).hex()

    def see(self, version: CodeVersion) -> int:
        with Store.open(self.folder) as store:
            versions = store.versions(info_of().experiment)
            (number,) = versions.note([version.digest], [(self.a, 0)], lambda _: version)
            return number

    def __call__(self, key: str, *options: str) -> Ran:
        return memento("why", key, *options, "--store", self.folder)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path / "memento-store")


def test_a_done_task_will_not_run(told: Told) -> None:
    ran = told(told.row())
    assert ran.code == 0
    assert "will not run: it is done" in ran.out
    assert "checkpoint  none\n" in ran.out


def test_a_task_of_an_older_version_says_what_has_changed_and_how_to_go_on(told: Told) -> None:
    key = told.row()
    b = told.see(B)
    ran = told(key)
    assert "its code has changed since" in ran.out
    assert "memento adopt" in ran.out
    assert f"version {told.a} " in ran.out
    assert f"version {b}" in ran.out
    assert "-    return 'a'" in ran.out
    assert "+    return 'b'" in ran.out
    code = told(key, "--json").json["code"]
    assert (code["version"], code["newest"]) == (told.a, b)


def test_an_adopted_version_is_current_and_says_who_adopted_it(told: Told) -> None:
    key = told.row()
    b = told.see(B)
    with Store.open(told.folder) as store:
        store.versions(info_of().experiment).adopt([(told.a, b)], "me@here", 3, 5)
    ran = told(key)
    assert "no run has seen that its code has changed" in ran.out
    assert "adopted by me@here" in ran.out
    assert "3 of 5 results verified" in ran.out


def test_what_cannot_be_followed_is_named(told: Told) -> None:
    with Store.open(told.folder) as store:
        version = CodeVersion(b"u" * 16, {}, unfollowed=("exp.py:f: getattr(module, name)",))
        number = store.begin(info_of()).code(version)
    ran = told(told.row(code=number))
    assert "cannot follow" in ran.out
    assert "getattr(module, name)" in ran.out


def test_a_failed_task_will_run_and_its_failures_are_listed(told: Told) -> None:
    key = told.row(failed="no such file")
    ran = told(key)
    assert "will run: it failed" in ran.out
    assert "failures    1 of 1 attempt" in ran.out
    assert "ValueError: no such file" in ran.out
    assert told(key, "--json").json["will_run"] is True


@pytest.mark.parametrize(
    ("saved", "says"), [(A, "goes on from it"), (B, "of an older version")], ids=["own", "other"]
)
def test_a_checkpoint_is_told_with_whether_it_is_of_the_newest_code(
    told: Told, saved: CodeVersion, says: str
) -> None:
    key = told.row(failed="half way")
    CheckpointDir(told.folder / "checkpoints", key, Origin([saved.digest])).save((1,))
    assert says in told(key).out


def test_a_task_that_left_a_checkpoint_only_is_known_too(told: Told) -> None:
    key = key_of(77).hex()
    CheckpointDir(told.folder / "checkpoints", key).save((1,))
    ran = told(key[:8])
    assert ran.code == 0
    assert "has not finished yet" in ran.out
    assert "checkpoint  there" in ran.out


def test_nothing_is_unpickled(project: Project, tmp_path: Path) -> None:
    ran = project("why", project.key(x=1, model="dict"), "--json")
    assert ran.json["status"] == "done"
    for task in project.tasks():
        assert project("why", task["key"]).code == 0
    assert not (project.folder / "exploded").exists()


def test_an_unknown_key_is_a_wrong_use(told: Told) -> None:
    ran = told("abcdef")
    assert ran.code == 2
    assert "no task's key begins with" in ran.err


def test_a_task_is_run_again_when_what_it_depends_on_was(tmp_path: Path) -> None:
    def first(context: Any, config: Any) -> int:
        return 1

    def run(force: bool, *ids: str) -> None:
        runs = Memento(first, name="chain", executor="serial", store=tmp_path / "store", progress=False)
        matrices: dict[str, Callable[[], dict[str, Any]]] = {
            "up": lambda: {"id": "up", "parameters": {"x": [1]}},
            "down": lambda: {"id": "down", "dependencies": ["up"], "parameters": {"y": [1]}},
        }
        for name in ids:
            runs.add_matrix(matrices[name]())
        runs.run_all(force_run=force)

    run(False, "up", "down")
    with Store.open(tmp_path / "store") as store:
        down = next(r for r in store.index.recent() if "up" in r.params)
    place = tmp_path / "store"
    assert "depends on  task" in memento("why", down.key.hex(), "--store", place).out
    run(True, "up")
    ran = memento("why", down.key.hex(), "--store", place)
    assert "will run: what it depends on was computed again" in ran.out


def test_a_task_runs_again_after_all_that_it_depends_on_at_any_depth(tmp_path: Path) -> None:
    place = tmp_path / "store"
    runs = Memento(lambda context, config: 1, name="chain", executor="serial", store=place, progress=False)
    runs.add_matrix({"id": "first", "parameters": {"x": [1, 2]}})
    runs.add_matrix({"id": "second", "dependencies": ["first"], "parameters": {"y": [1]}})
    runs.add_matrix({"id": "third", "dependencies": ["second"], "parameters": {"z": [1]}})
    results: Any = runs.run_all()
    gone, stays = results["third"]
    assert "will not run: it is done" in memento("why", gone.key, "--store", place).out
    memento("forget", results["first"][0].key, "--store", place)
    ran = memento("why", gone.key, "--store", place)
    assert "will run: what it depends on (second) is computed again first" in ran.out
    assert "(second): done, will run" in ran.out
    assert "(first): gone, will run" in memento("why", results["second"][0].key, "--store", place).out
    assert "will not run: it is done" in memento("why", stays.key, "--store", place).out
