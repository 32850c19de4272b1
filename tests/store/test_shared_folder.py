"""An index in a database belongs to one folder, and no host works with another one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memento
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import NotAStore, PayloadDamaged, StoreUnwritable, ValueUnreadable
from memento.index.contract import Index
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.store import opening
from memento.store.location import Location
from memento.store.store import Store

DATABASE = "postgresql://ada:hunter2@db.lab/grid"


@pytest.fixture
def databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Databases that are files of SQLite: what is tied to an index does not depend on how it keeps records."""
    folder = tmp_path / "databases"

    def place(address: str) -> str:
        return os.fspath(folder / address.rpartition("@")[2].replace("/", "-"))

    class Database(SqliteIndex):
        @classmethod
        def exists(cls, address: str) -> bool:
            return super().exists(place(address))

        @classmethod
        def open(cls, address: str, *, create: bool, readonly: bool, clock: Clock) -> Any:
            os.makedirs(place(address), exist_ok=True)
            found = super().open(place(address), create=create, readonly=readonly, clock=clock)
            found.note = Path(place(address), "home")  # type: ignore[attr-defined]
            return found

        def home(self, offered: str = "") -> str:
            note: Path = self.note  # type: ignore[attr-defined]
            if offered and not note.exists():
                note.write_text(offered)
            return note.read_text() if note.exists() else ""

    def kind_of(location: Location) -> type[Index]:
        return Database if location.address else SqliteIndex

    monkeypatch.setattr(opening, "kind_of", kind_of)
    monkeypatch.delenv("MEMENTO_PAYLOADS", raising=False)
    return folder


Run = Callable[..., Any]


@pytest.fixture
def run(databases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an experiment with a value that is a file, over a database."""
    (tmp_path / "here" / ".git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")

    def run(**options: Any) -> Any:
        options = {"store": DATABASE, "executor": "serial", "name": "e", "progress": False, **options}
        return memento.Memento(lambda context, config: "x" * 500_000, **options).run(
            {"parameters": {"a": [1, 2]}}
        )

    return run


def test_values_go_to_the_folder_that_is_named(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    assert sorted(path.name for path in (tmp_path / "shared").iterdir() if path.is_dir()) == sorted(
        ("artifacts", "checkpoints", "logs", "payloads", "steps", "work")
    )
    assert not (tmp_path / "shared" / "index.sqlite").exists()


def test_the_environment_names_the_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMENTO_STORE", DATABASE)
    monkeypatch.setenv("MEMENTO_PAYLOADS", str(tmp_path / "shared"))
    run(store=None)
    assert (tmp_path / "shared" / "payloads").is_dir()


def test_values_go_to_the_projects_folder_where_nothing_is_named(run: Run, tmp_path: Path) -> None:
    run()
    assert (tmp_path / "here" / "memento-store" / "payloads").is_dir()


@pytest.mark.slow
def test_a_folder_that_is_a_store_of_its_own_is_left_alone(run: Run, tmp_path: Path) -> None:
    run(store=None)
    run()
    assert (tmp_path / "here" / "memento-store-grid" / "payloads").is_dir()
    assert memento.gc().removed == {}
    with pytest.raises(NotAStore, match=r"belongs to another store, whose index is index\.sqlite"):
        run(store="postgresql://db.lab/other", payloads="memento-store")


def test_two_stores_of_one_project_have_two_folders(run: Run, tmp_path: Path) -> None:
    run()
    run(store="postgresql://db.lab/second")
    assert (tmp_path / "here" / "memento-store-second" / "payloads").is_dir()


def test_who_comes_later_finds_the_folder_by_the_index(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(payloads=tmp_path / "shared")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert [result.was_cached for result in run()] == [True, True]
    assert [len(result.inner) for result in memento.load(DATABASE)] == [500_000, 500_000]
    assert os.listdir() == []


def test_a_host_that_sees_another_folder_computes_nothing(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    with pytest.raises(NotAStore, match=r"is another folder.*payloads= or MEMENTO_PAYLOADS"):
        run(payloads=tmp_path / "not-shared")
    (tmp_path / "shared").rename(tmp_path / "unmounted")
    with pytest.raises(NotAStore, match="does not see"):
        run()


def test_the_folder_may_be_at_another_path_on_each_host(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    (tmp_path / "shared").rename(tmp_path / "mounted-here")
    assert [result.was_cached for result in run(payloads=tmp_path / "mounted-here")] == [True, True]


def test_without_the_folder_records_are_read_and_no_value_counts_as_damaged(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    (tmp_path / "shared").rename(tmp_path / "unmounted")
    results = memento.load(DATABASE)
    assert len(results.to_frame()) == 2
    with pytest.raises(ValueUnreadable, match="does not see"):
        results[0].inner  # noqa: B018  # reading it is what fails
    with Store.open(DATABASE, create=False) as store:
        assert store.missing
        for refused in (store.gc, lambda: store.forget([b"x" * 16])):
            with pytest.raises(StoreUnwritable):
                refused()
    (tmp_path / "unmounted").rename(tmp_path / "shared")
    assert len(memento.load(DATABASE)[0].inner) == 500_000


def test_a_folder_of_a_database_says_whose_it_is(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    with pytest.raises(NotAStore, match=r"index is in postgresql://ada:\*\*\*@db.lab/grid"):
        memento.load(tmp_path / "shared")
    with pytest.raises(NotAStore, match="index is in"):
        run(store=tmp_path / "shared")


def test_no_password_reaches_the_store(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(payloads=tmp_path / "shared", progress=True)
    said = capfd.readouterr()
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert written == []
    assert "hunter2" not in said.out + said.err
    assert "postgresql://ada:***@db.lab/grid" in said.err


def test_payloads_without_a_database_are_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="goes with an index in a database"):
        run(store=tmp_path / "store", payloads=tmp_path / "shared")


def test_verify_looks_at_the_index_and_the_folder(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    report = memento.verify(DATABASE)
    assert (report.whole, report.tasks, report.path) == (True, 2, tmp_path / "shared")
    assert "hunter2" not in str(report)


def test_a_store_is_taken_over_by_a_database_and_back(run: Run, tmp_path: Path) -> None:
    run(store=tmp_path / "first")
    memento.merge(tmp_path / "first", into=DATABASE)
    assert [result.was_cached for result in run()] == [True, True]
    Store.open(tmp_path / "second", clock=SYSTEM_CLOCK).close()
    merged = memento.merge(DATABASE, into=tmp_path / "second")
    assert merged.results == {"e": 2}
    assert [len(result.inner) for result in memento.load(tmp_path / "second")] == [500_000, 500_000]


def test_a_run_over_sqlite_on_a_networks_disk_says_once_what_is_advisable(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = [("/", "ext4"), (os.path.realpath(tmp_path), "nfs4")]
    monkeypatch.setattr("memento.system.files._mounts", lambda: mounts)
    said: list[str] = []

    def listen(event: object) -> None:
        said.append(str(getattr(event, "text", "")))

    run(store=tmp_path / "store", listeners=[listen])
    assert len([text for text in said if "Several hosts want store='postgresql://" in text]) == 1
    assert not (tmp_path / "store" / "index.sqlite-wal").exists()
    said.clear()
    run(listeners=[listen])
    assert not [text for text in said if "Several hosts want" in text]


def test_a_file_that_this_host_does_not_see_yet_is_not_computed_again(run: Run, tmp_path: Path) -> None:
    run(payloads=tmp_path / "shared")
    (file,) = [path for path in (tmp_path / "shared" / "payloads").rglob("*.txt") if path.is_file()]
    hidden = file.rename(tmp_path / "hidden")
    with pytest.raises(PayloadDamaged, match="not seen from this host"):
        memento.load(DATABASE)[0].inner  # noqa: B018  # reading it is what fails
    hidden.rename(file)
    assert [result.was_cached for result in run()] == [True, True]
    file.unlink()
    assert memento.verify(DATABASE, repair=True).whole
    assert [result.was_cached for result in run()] == [False, False]
