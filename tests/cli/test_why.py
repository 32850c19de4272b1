"""`memento why KEY` tells why a task will or will not run, from what the store knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memento import Memento
from memento.events import CommandTaken
from memento.index.run_contract import Run
from memento.index.types import Activity
from memento.records import CodeVersion
from memento.store.store import Store
from memento.testing.index_rows import info_of, key_of, row_of
from memento.values.checkpoints import CheckpointDir, Origin
from tests.cli.calling import Ran, memento
from tests.cli.conftest import Project
from tests.cli.test_status import STANDING
from tests.cli.test_steer import alive

A, B = (
    CodeVersion(letter.encode() * 16, {"exp.py:f": (letter, f"# exp.py:1\ndef f():\n    return {letter!r}")})
    for letter in "ab"
)


class Told:
    """A store that a test writes, and what is said of its tasks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with Store.open(folder) as store:
            run = store.begin(info_of())
            self.a = run.code(A)
            run.finish("done", {})

    def row(self, number: int = 1, **fields: Any) -> str:
        with Store.open(self.folder) as store:
            run = store.begin(info_of())
            run.commit([row_of(number, **{"code": self.a, **fields})])
            run.finish("done", {})
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


def live(store: Store, **more: Any) -> Run:
    return alive(store, experiment=info_of().experiment, **more)


def test_a_task_that_a_live_run_has_claimed_waits_in_it(told: Told) -> None:
    key = key_of(7).hex()
    with Store.open(told.folder) as store:
        run = live(store)
        run.claim([key_of(7)])
        assert re.search(
            r"will run: it has not finished yet; run 2 \(.+, pid \d+\) has it, and starts it soon",
            told(key[:10]).out,
        )
        run.show([], STANDING._replace(paused="ada@node7"))
        run.heartbeat()
        text = told(key).out
        assert "that run is paused by ada@node7: `memento resume --run 2` has it go on" in text
        other = live(store)
        assert "; run 2 (" in told(key).out, "the other run has not claimed it"
        run.finish("done", {})
        other.finish("done", {})


def test_show_knows_a_task_that_a_live_run_has_claimed_as_why_does(told: Told) -> None:
    with Store.open(told.folder) as store:
        run = live(store)
        run.claim([key_of(7)])
        shown = memento("show", key_of(7).hex()[:10], "--store", told.folder).out
        run.finish("done", {})
    assert "not finished: a run has taken it and computes it soon or now" in shown


def test_why_an_executor_has_not_begun_a_task_that_it_has_is_told(told: Told) -> None:
    with Store.open(told.folder) as store:
        run = live(store)
        run.claim([key_of(7), key_of(8)])
        waits = "Slurm job 17 waits (Priority)"
        unbegun = {f"no job has the time left; {waits}": [key_of(7).hex()]}
        run.show([], STANDING._replace(waits=waits, unbegun=unbegun))
        run.heartbeat()
        text = told(key_of(7).hex()).out
        assert (
            "has it, and has not begun it; no job has the time left; Slurm job 17 waits (Priority)\n" in text
        )
        assert told(key_of(7).hex(), "--json").json["live_runs"][0]["unbegun"] == next(iter(unbegun))
        assert "has it, and starts it soon; Slurm job 17 waits (Priority)\n" in told(key_of(8).hex()).out
        run.finish("done", {})


def test_a_task_that_runs_is_told_as_running_by_whatever_engine(told: Told) -> None:
    with Store.open(told.folder) as store:
        run = live(store)
        run.claim([key_of(7)])
        run.show([Activity("host/1", key_of(7), 0.0, config="model=SVC")], STANDING)
        run.heartbeat()
        ran = told(key_of(7).hex())
        assert "runs now: it is running now, in run 2, at host/1\n" in ran.out
        as_json = told(key_of(7).hex(), "--json").json
        assert (as_json["status"], as_json["live_runs"][0]["state"]) == ("running", "running")
        run.finish("done", {})


def test_a_task_that_runs_is_found_by_its_parameters_and_one_that_waits_by_the_key_that_plan_has(
    told: Told,
) -> None:
    with Store.open(told.folder) as store:
        run = live(store)
        run.claim([key_of(7), key_of(8)])
        both = [
            Activity("host/1", key_of(7), 0.0, config="model=SVC, C=1"),
            Activity("host/2", key_of(8), 0.0, config="model=SVC, C=10"),
        ]
        run.show(both, STANDING)
        run.heartbeat()
        ran = memento("why", "C=1", "model=SVC", "--store", told.folder, "--json")
        assert ran.code == 0, ran.err
        assert (ran.json["key"], ran.json["status"]) == (key_of(7).hex(), "running")
        assert told("model=SVC").code == 2, "two are meant"
        ran = told("settings.n_fold=99")
        assert ran.code == 2
        run.finish("done", {})


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("cancel", "it was cancelled in run 2, by ada@node7; the next run computes it"),
        ("first", "it waits in run 2, where ada@node7 has put it first"),
    ],
)
def test_what_somebody_has_asked_of_the_run_is_told(told: Told, command: str, why: str) -> None:
    key = key_of(7).hex()
    with Store.open(told.folder) as store:
        run = live(store)
        taken = CommandTaken(command, "ada@node7", "1 task", "", True, (key,))
        run.tell("CommandTaken", taken._asdict())
        run.heartbeat()
        assert why in told(key[:8]).out
        run.finish("interrupted", {})
    assert told(key[:8]).code == 2  # nobody knows of it any more


def test_a_task_that_failed_waits_for_another_run_not_for_the_one_that_it_failed_in(told: Told) -> None:
    key = told.row(failed="broken")
    with Store.open(told.folder) as store:
        run = live(store)
        assert "it failed; run 3 goes on, and may come to it" in told(key).out
        run.commit([row_of(8, failed="broken", code=told.a)])
        assert "it failed; a run tries again what failed" in told(key_of(8).hex()).out
        run.commit([row_of(9, code=told.a)])
        assert "will not run: it is done" in told(key_of(9).hex()).out
        run.finish("failed", {})
