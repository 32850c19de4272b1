"""Attempts that may live at the same time share no file, whatever each does and in whatever order."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memento.context.context import Context
from memento.context.task_space import TaskSpace
from memento.errors import StoreUnwritable
from memento.runner.given_fences import GivenFences
from memento.store import task_folders
from memento.store.fences import begin, give_out, highest_fences, newest_state
from memento.store.leftovers import scan
from memento.store.store import Store
from memento.store.task_folders import drop_states, has_fences, keys_with_states, move_folders
from memento.worker.work import Task

KEY = bytes(range(16))
OTHER = bytes(16)
NAMES = st.sampled_from(["a", "b", "sub/c", "begun"])


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "a store")


def context_of(store: str, fence: int) -> Context:
    return Context.for_task(TaskSpace(store, "run", KEY, fence + 1, fence=fence))


class Copy:
    """One attempt, and what it should see: of the attempt before as of its beginning, and of itself."""

    def __init__(self, store: str, fence: int, before: Copy | None) -> None:
        if fence:
            begin(store, KEY.hex(), fence)
        self.context, self.fence = context_of(store, fence), fence
        self.state: Any = before.state if before else None
        self.loop: int = before.loop if before else 0
        self.files: dict[str, str] = dict(before.files) if before else {}
        self.artifacts: dict[str, str] = dict(before.artifacts) if before else {}
        self.own: set[str] = set()

    def act(self, what: str, name: str, text: str) -> None:
        if what == "save":
            self.context.checkpoint(text)
            self.state = text
        elif what == "file":
            path = self.context.directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            self.files[name] = text
        elif what == "artifact":
            self.context.artifact(name).write_text(text)
            self.artifacts[name] = text
            self.own.add(name)
        elif what == "clean":
            shutil.rmtree(self.context.directory)
            self.files.clear()

    def check(self, store: str) -> None:
        fresh = context_of(store, self.fence)
        assert fresh.checkpoint_exist() == (self.state is not None)
        if self.state is not None:
            assert fresh.restore() == self.state
        folder = fresh.directory
        assert {
            p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()
        } == self.files
        for name, text in self.artifacts.items():
            assert fresh.artifact(name).read_text() == text
        layout = Store.open(store).path / "artifacts"
        told = self.context.left_behind()[1]
        assert len(told) == len(self.own)
        assert layout.exists() or not told


ACTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # which of the attempts that live
        st.sampled_from(["save", "file", "artifact", "clean", "lost", "save", "file"]),
        NAMES,
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=40)
@given(acts=ACTS)
def test_whatever_copies_of_a_task_do_none_sees_what_another_did_after_its_beginning(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[int, str, str]]
) -> None:
    store = str(tmp_path_factory.mktemp("copies"))
    given_fences = GivenFences(store)
    copies = [Copy(store, 0, None)]
    for number, (which, what, name) in enumerate(acts):
        if what == "lost":  # the newest; it lives on
            given_fences.lose([KEY])
            (task,) = given_fences.put_on([Task(0, KEY, 0, (), 0, 1, 0.0)])
            copies.append(Copy(store, task.fence, copies[-1]))
        else:
            copies[-1 - which % len(copies)].act(what, name, f"{number}")
    for copy in copies:
        copy.check(store)


def test_a_beginning_that_was_cut_off_begins_again(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Copy(store, 0, None)
    for what in ("save", "file", "artifact"):
        before.act(what, "a", "x")
    assert give_out(store, KEY.hex(), 1) == 1
    for call in ("replace", "fsync"):
        for after in range(3):
            true, left = getattr(os, call), after

            def fails(*args: Any, true: Any = true, **kwargs: Any) -> Any:
                nonlocal left
                left -= 1
                if left < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return true(*args, **kwargs)

            with monkeypatch.context() as patch:
                patch.setattr(os, call, fails)
                with pytest.raises(StoreUnwritable, match="No space left"):
                    begin(store, KEY.hex(), 1)
    Copy(store, 1, before).check(store)


def test_pipes_and_links_in_a_folder_keep_no_fence_from_beginning(store: str) -> None:
    folder = context_of(store, 0).directory
    (folder / "data").write_text("here")
    (folder / "link").symlink_to("data")
    (folder / "nowhere").symlink_to("gone")
    os.mkfifo(folder / "pipe")
    give_out(store, KEY.hex(), 1)
    begin(store, KEY.hex(), 1)
    new = context_of(store, 1).directory
    assert (new / "link").readlink() == Path("data")
    assert (new / "nowhere").is_symlink()
    assert sorted(p.name for p in new.iterdir()) == ["data", "link", "nowhere"]


def test_two_runs_never_give_out_the_same_fence(store: str) -> None:
    one, two = GivenFences(store), GivenFences(store)
    task = Task(0, KEY, 0, (), 0, 1, 0.0)
    fences = []
    for run in (one, two, one, GivenFences(store), two):
        run.lose([KEY])
        fences += [each.fence for each in run.put_on([task])]
    assert fences == [1, 2, 3, 4, 5]


def test_the_next_run_goes_above_all_fences_that_there_are_and_others_stay_as_they_are(store: str) -> None:
    GivenFences(store).lose([KEY])
    assert has_fences(store)
    tasks = [Task(0, KEY, 0, (), 0, 1, 0.0), Task(1, OTHER, 0, (), 0, 1, 0.0)]
    later = GivenFences(store)
    assert [task.fence for task in later.put_on(tasks)] == [2, 0]
    assert [task.fence for task in later.put_on(tasks)] == [2, 0]  # a retry after a failure of its own
    later.look(["20260101-000000-1-0001"])  # it has died, and nobody knows what its workers are at
    assert [task.fence for task in later.put_on(tasks)] == [2, 1]


def test_a_fence_stays_when_its_task_is_done_so_that_no_later_attempt_gets_it(store: str) -> None:
    copy = Copy(store, 0, None)
    copy.act("save", "", "zombie")
    GivenFences(store).lose([KEY])
    Copy(store, 1, copy).act("save", "", "successor")
    assert keys_with_states(store) == {KEY}
    assert newest_state(store, KEY).endswith(".1")
    drop_states(store, [KEY])
    assert keys_with_states(store) == set()
    copy.act("save", "", "late")
    later = GivenFences(store)
    later.lose([KEY])
    assert highest_fences(store) == {KEY: 2}
    begin(store, KEY.hex(), 2)
    assert not context_of(store, 2).checkpoint_exist()  # what came late is of no attempt that counts


def test_what_a_commit_removes_is_found_without_a_look_into_all_fences_that_there_are(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        give_out(store, number.to_bytes(16, "big").hex(), 1)
    looked: list[str] = []

    def look(folder: str) -> Any:
        looked.append(folder)
        return scan(folder)

    monkeypatch.setattr(task_folders, "scan", look)
    drop_states(store, [(7).to_bytes(16, "big"), b"\xff" * 16])
    assert len(looked) == 1


def test_folders_of_all_fences_follow_a_renamed_task(store: str) -> None:
    copy = Copy(store, 0, None)
    copy.act("file", "a", "x")
    GivenFences(store).lose([KEY])
    Copy(store, 1, copy)
    move_folders(store, [(KEY, OTHER)])
    for fence in ("", ".1"):
        assert (Path(store) / "work" / f"{OTHER.hex()}{fence}" / "a").read_text() == "x"
    assert highest_fences(store) == {OTHER: 1}


@pytest.mark.parametrize(
    "name", ["0" * 32 + ".", "0" * 32 + ".0", "0" * 32 + ".x", "0" * 31 + ".1", "0" * 32 + ".-1"]
)
def test_other_names_are_no_fences(store: str, name: str) -> None:
    (Path(store) / "checkpoints" / name).mkdir(parents=True)
    assert highest_fences(store) == {}
    assert not has_fences(store)
