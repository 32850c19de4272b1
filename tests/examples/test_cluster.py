"""The paper's grid on every engine, each started for real, by changing one argument."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memento.store.store import Store
from tests.engines.postgres import address as address
from tests.engines.postgres import postgres as postgres
from tests.engines.slurm import Cluster, wait_until
from tests.engines.slurm import quick as quick
from tests.engines.slurm import slurm as slurm
from tests.engines.slurm import slurm_cluster as slurm_cluster

GRID = Path(__file__).parents[2] / "examples" / "cluster" / "grid.py"


def start(*arguments: str, store: Path) -> subprocess.Popen[str]:
    """Start the grid."""
    return subprocess.Popen(
        [sys.executable, str(GRID), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MEMENTO_STORE": str(store), "MEMENTO_PAYLOADS": str(store)},
        cwd=store.parent,
    )


def table_of(grid: subprocess.Popen[str]) -> str:
    """Wait for a grid's end; return the table that it prints."""
    told, errors = grid.communicate(timeout=300)
    assert grid.returncode == 0, told + errors
    table, _, last = told.rstrip("\n").rpartition("\n")
    assert last.endswith("of 27 results were there already."), told
    return table


def run(*arguments: str, store: Path) -> str:
    """Run the grid; return the table that it prints."""
    return table_of(start(*arguments, store=store))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> str:
    return run(store=tmp_path_factory.mktemp("here") / "store")


@pytest.mark.engine
def test_dask_gives_the_same_table(expected: str, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="pip install 'memento-ml[dask]'")
    assert run("--executor", "dask", store=tmp_path / "store") == expected


@pytest.mark.engine
def test_ray_gives_the_same_table(expected: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="pip install 'memento-ml[ray]'")
    assert run("--executor", "ray", store=tmp_path / "store") == expected


@pytest.mark.engine
def test_slurm_gives_the_same_table_though_a_node_dies_in_the_middle(
    slurm: Cluster, expected: str, tmp_path: Path
) -> None:
    grid = start("--executor", "slurm", store=tmp_path / "store")
    with grid:
        try:
            wait_until(lambda: grid.poll() is not None or slurm.jobs("R"), "a job runs")
            slurm.fail_node("n1")
            assert table_of(grid) == expected
        finally:
            grid.kill()
            slurm.resume("n1")
    wait_until(lambda: not slurm.jobs(), "no job is left")


@pytest.mark.engine
def test_two_coordinators_over_one_database_give_the_same_table_and_share_the_work(
    address: str, expected: str, tmp_path: Path
) -> None:
    grids = [start("--store", address, store=tmp_path / "store") for _ in range(2)]
    assert [table_of(grid) for grid in grids] == [expected, expected]
    with Store.open(address, create=False, readonly=True) as store:
        runs = store.index.runs()
    assert sum(run.counts["done"] for run in runs) == 27
