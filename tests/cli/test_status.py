"""`status`: what it says of experiments, sizes and runs, for people and for scripts."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

import memento as library
from memento.store.store import Store
from memento.testing.index_rows import info_of, row_of
from memento.wording import size_text
from tests.cli.calling import memento
from tests.cli.conftest import Project


def test_status_counts_the_tasks_of_each_experiment(project: Project) -> None:
    told = project("status")
    assert told.code == 0
    assert "experiment.py:grid: 4 done, 2 failed" in told.out
    assert "4 done, 2 failed in" in told.out.partition("latest runs")[2]


def test_status_as_json_has_experiments_and_runs(project: Project) -> None:
    told = project("status", "--json").json
    assert told["store"] == str(project.store)
    assert told["experiments"] == [{"name": "experiment.py:grid", "done": 4, "failed": 2}]
    (run,) = told["runs"]
    assert run["experiment"] == "experiment.py:grid"
    assert (run["status"], run["tasks"], run["now"]) == ("failed", 6, [])
    assert run["counts"]["done"] == 4
    assert run["ended"] >= run["started"]


def died_in(store: Path, **begun: Any) -> None:
    """Leave a store as kill -9 does: three tasks are committed, one of them failed, and nobody closed the book."""
    with Store.open(store) as opened:
        run = opened.begin(
            info_of(pid=2**22 + 1, tasks=10), cached=2
        )  # no system of ours hands out such a pid
        run.commit([row_of(n, **begun) for n in (1, 2)] + [row_of(3, failed="broken", **begun)])


def test_status_tells_what_the_rows_hold_of_a_run_that_was_killed(tmp_path: Path) -> None:
    died_in(tmp_path / "store", started=time.time() + 5.0, runtime=7.0)
    told = memento("status", "--store", tmp_path / "store").out
    assert re.search(
        r"died +science:experiment: 2 done, 2 cached, 1 failed of 10 tasks in 12 s; run it again", told
    )
    (run,) = memento("status", "--json", "--store", tmp_path / "store").json["runs"]
    assert (run["status"], run["counts"]) == ("died", {"done": 2, "cached": 2, "failed": 1})


def test_what_a_killed_run_did_is_told_after_the_next_run_as_before(tmp_path: Path) -> None:
    died_in(tmp_path / "store")
    with Store.open(tmp_path / "store") as store:
        run = store.begin(info_of(tasks=10), cached=2)
        run.commit([row_of(n) for n in range(4, 9)])
        run.finish("done", {"cached": 2, "done": 5, "failed": 0})
    last, first = memento("status", "--json", "--store", tmp_path / "store").json["runs"]
    assert (last["status"], last["counts"]) == ("done", {"done": 5, "cached": 2, "failed": 0})
    assert (first["status"], first["counts"]) == ("died", {"done": 2, "cached": 2, "failed": 1})


def test_status_tells_how_far_a_run_is_that_goes_on(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.begin(info_of(tasks=10)).commit([row_of(1)])
        told = memento("status", "--store", tmp_path / "store").out
    assert re.search(r"running +science:experiment: 1 done of 10 tasks, so far \d", told)


@pytest.mark.parametrize(("own", "told"), [(0, "10 by other runs in"), (4, "4 done, 6 by other runs in")])
def test_status_tells_what_other_runs_computed_for_one(own: int, told: str, tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.begin(info_of(tasks=10)).finish("done", {"done": own, "cached": 0, "failed": 0})
    assert f"science:experiment: {told}" in memento("status", "--store", tmp_path / "store").out


def test_status_says_how_large_what_is_and_what_gc_frees(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.store, tmp_path / "store")
    (tmp_path / "store" / "work" / project.tasks()[0]["key"]).mkdir()
    (tmp_path / "store" / "work" / project.tasks()[0]["key"] / "scratch").write_bytes(b"0" * 3 * 2**20)
    with Store.open(tmp_path / "store") as store:
        store.payloads.write([b"0" * 5 * 2**20], ".bin")
    told = memento("status", "--store", tmp_path / "store").out
    assert re.search(r"^store .*: 8\.\d+ MB$", told, re.MULTILINE)
    assert re.search(r"^size  values 5\.24 MB, folders 3\.15 MB, index \d", told, re.MULTILINE)
    sizes = memento("status", "--json", "--store", tmp_path / "store").json["sizes"]
    assert (sizes["values"], sizes["folders"]) == (5 * 2**20, 3 * 2**20)
    assert sizes["garbage"] == (8 if project.tasks()[0]["status"] == "done" else 5) * 2**20
    assert f"`memento gc` frees {size_text(sizes['garbage'])}" in told
    assert sizes["total"] > sizes["garbage"]
    assert library.sizes(tmp_path / "store")._asdict() | {"disk_free": 0} == {
        name: size for name, size in (sizes | {"disk_free": 0}).items() if name != "total"
    }
