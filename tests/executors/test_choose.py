"""An executor is named by a word, or made with its own options; engines of other packages are found by entry point."""

from __future__ import annotations

import importlib.metadata
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import memento.executors
from memento import Memento
from memento.executors import Serial, make_executor
from memento.executors.choose import ENGINES, GROUP, own_workers, runs_here

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Elsewhere(Serial):
    """An engine of another package."""

    name = "elsewhere"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [SimpleNamespace(name="elsewhere", load=lambda: Elsewhere)]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found if group == GROUP else [])


@pytest.mark.parametrize("name", ["Processes", "Threads", "Serial", "Futures"])
def test_every_executor_can_be_imported_from_one_place(name: str) -> None:
    assert getattr(memento.executors, name).__name__ == name


def test_an_executor_with_its_own_options_is_taken_as_it_is() -> None:
    executor = memento.executors.Threads(3)
    assert make_executor(executor) is executor


@pytest.mark.usefixtures("installed")
def test_an_engine_of_another_package_runs_by_its_name(tmp_path: Path) -> None:
    runs = Memento(
        lambda context, config: config.x, executor="elsewhere", name="e", store=tmp_path, progress=False
    )
    assert [result.inner for result in runs.run({"parameters": {"x": [1, 2]}}) or ()] == [1, 2]


@pytest.mark.usefixtures("installed")
def test_an_unknown_name_is_told_with_all_that_there_are_and_the_nearest() -> None:
    with pytest.raises(
        ValueError,
        match=r"'processes', 'threads', 'serial', 'dask', 'ray', 'slurm', 'elsewhere'\. Did you mean 'threads'",
    ):
        make_executor("thread")
    with pytest.raises(ValueError, match=r"Did you mean 'elsewhere'"):
        Memento(lambda context, config: 1, executor="elswhere")


def test_an_address_names_the_engine_of_its_scheme() -> None:
    assert make_executor("tcp://head:8786", 3).name == "dask"
    assert Memento(lambda context, config: 1, executor="tls://head:8786").name
    with pytest.raises(ValueError, match="no executor 'ftp://head'"):
        make_executor("ftp://head")


def test_our_engines_are_declared_as_any_other_packages_are() -> None:
    declared = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    assert declared["project"]["entry-points"][GROUP] == {
        name: f"{engine.module}:{engine.attribute}" for name, engine in ENGINES.items()
    }


@pytest.mark.parametrize("name", list(ENGINES))
def test_what_is_known_of_an_engine_before_it_is_loaded_is_what_it_says(name: str) -> None:
    found = make_executor(name)
    assert (found.name, found.in_process) == (name, runs_here(name))


def test_how_many_tasks_run_at_once_is_the_executors_to_say_where_it_has_a_number_of_its_own() -> None:
    assert [own_workers("threads", asked) for asked in (None, 3)] == [None, None]
    assert [own_workers("serial", asked) for asked in (None, 3)] == [1, 1]
    assert [own_workers(memento.executors.Threads(2), asked) for asked in (None, 1, 3)] == [2, 2, 2]
    with ThreadPoolExecutor(2) as pool:
        assert [own_workers(pool, asked) for asked in (None, 1, 3)] == [2, None, 2]


def test_a_wrong_name_of_an_executor_names_the_right_one() -> None:
    with pytest.raises(ValueError, match="Did you mean 'processes'"):
        make_executor("proceses")


def test_something_that_is_no_executor_is_refused() -> None:
    with pytest.raises(TypeError, match="is no executor"):
        make_executor(3)


def test_what_the_place_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Celery"):
        memento.executors.Celery  # noqa: B018 - touching it is the point
