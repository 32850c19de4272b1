"""What was cut short is gone when the next run begins; what somebody is at stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import memento
from memento import faultpoints, system
from memento.errors import StoreUnwritable
from memento.store import leftovers
from memento.store.store import Store
from memento.testing.index_rows import info_of
from memento.values.places import LocalFolder

DEAD: dict[str, Any] = {"pid": 2**22 + 1}  # no system of ours hands out such a pid
GONE = "4194305~1~" + system.own_mark().rpartition("~")[2]
ELSEWHERE = "1~1~00000000"  # of another machine


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store


def half(store: Store, who: str, place: str = "payloads") -> Path:
    path = store.path / place / ".writing" / f"{who}-00ff"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"half")
    return path


def run_folder(store: Store, name: str, *files: str) -> Path:
    folder = store.path / "work" / name
    for file in ("work.pickle", *files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"x")
    return folder


@pytest.mark.parametrize("place", ["payloads", "steps"])
def test_a_half_written_file_goes_with_its_writer(store: Store, place: str) -> None:
    store.begin(info_of())  # somebody lives, who has nothing to do with it
    gone, mine, elsewhere = (half(store, who, place) for who in (GONE, system.own_mark(), ELSEWHERE))
    assert leftovers.sweep(store.root, store.index) == 1
    assert (gone.exists(), mine.exists(), elsewhere.exists()) == (False, True, True)


def test_of_another_machine_it_goes_when_no_run_lives(store: Store) -> None:
    run = store.begin(info_of())
    elsewhere = half(store, ELSEWHERE)
    assert leftovers.sweep(store.root, store.index) == 0
    run.finish("done", {})
    assert leftovers.sweep(store.root, store.index) == 1
    assert not elsewhere.exists()


def test_what_a_writer_that_is_cut_off_leaves_is_taken_for_its_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(point: str) -> None:
        assert leftovers.sweep(store.root, store.index) == 0  # it lives
        raise KeyboardInterrupt

    monkeypatch.setattr(faultpoints, "at", cut_off)
    with pytest.raises(KeyboardInterrupt):
        store.payloads.write([b"value"], ".bin")
    assert not any((store.path / "payloads" / ".writing").iterdir())
    assert list(store.payloads.refs()) == []


def test_a_link_leads_nowhere(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / f"{GONE}-00ff").touch()
    (store.path / "payloads" / ".writing").symlink_to(tmp_path / "elsewhere")
    assert leftovers.sweep(store.root, store.index) == 0
    assert any((tmp_path / "elsewhere").iterdir())


def test_what_a_dead_run_had_handed_over_goes_and_a_living_ones_stays(store: Store) -> None:
    dead, living = store.begin(info_of(**DEAD)), store.begin(info_of())
    gone, mine = (run_folder(store, run.name, "v1.value") for run in (dead, living))
    task = store.path / "work" / ("0" * 32)
    task.mkdir()
    assert leftovers.sweep(store.root, store.index) == 1
    assert (gone.exists(), mine.exists(), task.exists()) == (False, True, True)


@pytest.mark.parametrize("left", ["outcomes/00ff-1", "outcomes/damaged/00ff-1", "outlives"])
def test_what_others_may_still_take_in_or_read_stays(store: Store, left: str) -> None:
    folder = run_folder(store, store.begin(info_of(**DEAD)).name, left)
    assert leftovers.sweep(store.root, store.index) == 0
    assert folder.exists()


def test_a_rebuild_that_died_leaves_nothing(store: Store) -> None:
    salvaged = [store.path / f"index.salvaged-{GONE}.sqlite{end}" for end in ("", "-wal")]
    mine = store.path / f"index.salvaged-{system.own_mark()}.sqlite"
    for path in (*salvaged, mine):
        path.touch()
    store.begin(info_of())
    assert leftovers.sweep(store.root, store.index) == 2
    assert [path.exists() for path in (*salvaged, mine)] == [False, False, True]


def test_a_run_that_has_nothing_to_compute_looks_too(tmp_path: Path) -> None:
    runs = memento.Memento(square, executor="serial", store=tmp_path / "store", progress=False)
    runs.run({"parameters": {"x": [1]}})
    with Store.open(tmp_path / "store") as store:
        path = half(store, GONE)
    runs.run({"parameters": {"x": [1]}})
    assert not path.exists()


def square(context: Any, config: Any) -> int:
    return int(config.x**2)


def test_a_disk_that_is_full_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(point: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(faultpoints, "at", full)
    with pytest.raises(StoreUnwritable):
        LocalFolder(tmp_path).write("ab/c", [b"12"])
    assert not any((tmp_path / ".writing").iterdir())
