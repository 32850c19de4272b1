"""A project's store is found from anywhere inside the project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from memento.store.location import find_store, located
from memento.store.store import Store


def folder_of(*asked: Any, **given: Any) -> Path:
    return Path(find_store(*asked, **given).root)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "code" / "deep").mkdir(parents=True)
    return tmp_path / "project"


def test_a_store_here_is_found(project: Path) -> None:
    (project / "memento-store").mkdir()
    assert folder_of(env={}, cwd=project) == project / "memento-store"


def test_the_nearest_store_above_is_found(project: Path) -> None:
    (project / "memento-store").mkdir()
    (project / "code" / "memento-store").mkdir()
    assert folder_of(env={}, cwd=project / "code" / "deep") == project / "code" / "memento-store"


def test_a_store_further_up_wins_over_a_nearer_project_mark(project: Path) -> None:
    (project / "memento-store").mkdir()
    (project / "code" / "pyproject.toml").touch()
    assert folder_of(env={}, cwd=project / "code") == project / "memento-store"


@pytest.mark.parametrize("mark", ["pyproject.toml", ".git"])
def test_a_new_store_stands_beside_the_nearest_project_mark(project: Path, mark: str) -> None:
    (project / mark).touch()
    assert folder_of(env={}, cwd=project / "code" / "deep") == project / "memento-store"


def test_finding_makes_nothing(project: Path) -> None:
    (project / ".git").mkdir()
    find_store(env={}, cwd=project / "code")
    assert [path.name for path in sorted(project.iterdir())] == [".git", "code"]


def test_the_environment_names_a_store(project: Path) -> None:
    (project / "memento-store").mkdir()
    assert folder_of(env={"MEMENTO_STORE": "../mine"}, cwd=project) == project.parent / "mine"


def test_memento_store_wins_over_the_ancestors_variable(project: Path) -> None:
    env = {"MEMENTO_STORE": str(project / "new"), "MEMENTO_CACHE_PATH": str(project / "old")}
    assert folder_of(env=env, cwd=project) == project / "new"
    del env["MEMENTO_STORE"]
    assert folder_of(env=env, cwd=project) == project / "old"


def test_what_is_asked_for_wins_over_everything(project: Path) -> None:
    assert folder_of(project / "asked", env={"MEMENTO_STORE": "/else"}, cwd=project) == project / "asked"


@pytest.mark.parametrize("name", ["memento.sqlite", "grid.db", "x_memento.cache", "Memento.SQLITE3"])
def test_a_file_path_of_the_ancestor_means_a_folder_beside_it(project: Path, name: str) -> None:
    assert folder_of(name, env={}, cwd=project) == project / f"{name}.memento-store"


def test_the_ancestors_empty_temporary_file_is_left_alone(project: Path) -> None:
    file = project / "tmpab12"
    file.touch()
    path = folder_of(file, env={}, cwd=project)
    Store.open(path).close()
    assert path == project / "tmpab12.memento-store"
    assert file.read_bytes() == b""


def test_a_folder_may_have_any_name(project: Path) -> None:
    (project / "results.db").mkdir()
    assert folder_of("results.db", env={}, cwd=project) == project / "results.db"


@pytest.mark.parametrize(
    "address", ["postgresql//ada:secret@db.lab/grids", "postgres//ada:secret@db.lab/grids"]
)
@pytest.mark.parametrize("find", [find_store, located])
def test_an_address_without_its_colon_is_no_folder(find: Any, address: str) -> None:
    with pytest.raises(ValueError, match=r"write 'postgresql://ada:\*\*\*@db\.lab/grids'"):
        find(address)


@pytest.mark.parametrize("folder", ["postgres", "postgres/grids", "postgresql-grids"])
def test_a_folder_may_be_called_like_a_database(project: Path, folder: str) -> None:
    assert folder_of(folder, env={}, cwd=project) == project / folder


def test_what_is_neither_a_folder_nor_an_address_is_told(project: Path) -> None:
    with pytest.raises(TypeError, match=r"store must be a folder, like 'results', .* got 3 \(int\)"):
        find_store(3, env={}, cwd=project)  # type: ignore[arg-type]  # what a user may write


def test_a_folder_that_another_program_makes_at_this_moment_is_the_store(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat, store = os.stat, project / "new"

    def made_after_the_first_look(path: Any, *given: Any, **more: Any) -> Any:
        try:
            return stat(path, *given, **more)
        except FileNotFoundError:
            store.mkdir(exist_ok=True)
            raise

    monkeypatch.setattr(os, "stat", made_after_the_first_look)
    assert folder_of("new", env={}, cwd=project) == store
