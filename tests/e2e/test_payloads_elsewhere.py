"""A grid keeps its bytes in an object store: the same results, whatever the server does meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import memento
from memento.store.location import Location
from memento.store.store import Store
from tests.engines.object_store import ObjectServer, bucket, object_server  # noqa: F401  # fixtures
from tests.engines.postgres import address, postgres  # noqa: F401  # fixtures

pytestmark = pytest.mark.engine

SCRIPT = """
import json, os, sys, time
import numpy as np
from memento import Memento

def note(what):
    with open(os.environ["NOTES"], "a") as file:
        file.write(what + "\\n")

def table(rows):
    note("step")
    time.sleep(float(os.environ.get("STEP", 0)))
    return np.arange(rows, dtype=float)

def experiment(context, config):
    note(f"task {config.x}")
    data = context.cached(table, 200_000)
    done = context.restore() if context.checkpoint_exist() else 0
    if done:
        note(f"resumed {config.x} at {done}")
    for step in range(done, 3):
        context.checkpoint(step + 1)
        if config.x == 1 and step == 1 and os.environ.get("DIE"):
            os.kill(int(os.environ["DIE"]) if os.environ["DIE"] != "1" else os.getppid(), 9)
            time.sleep(60)
        time.sleep(float(os.environ.get("SLEEP", 0)))
    context.artifact("plots/a file.txt").write_text(f"of {config.x}")
    print(f"printed by {config.x}")
    return data * config.x

def main():
    place, limit = os.environ["PLACE"], os.environ.get("TIMEOUT")
    experiments = Memento(experiment, num_workers=2, store=os.environ["STORE"], payloads=place, timeout=limit)
    told = []
    for count in map(int, sys.argv[1:]):
        results = experiments.run({"parameters": {"x": list(range(count))}})
        told.append([float(result.inner[2]) for result in results])
    kept = results[1].artifacts["plots/a file.txt"].read_text()
    print(json.dumps({"values": told, "artifact": kept, "log": results[1].log}))

if __name__ == "__main__":
    main()
"""


class Grid:
    """A script, its folder of results, and where their bytes go."""

    def __init__(self, folder: Path, place: str) -> None:
        self.folder, self.place = folder, place
        self.store, self.notes = folder / "store", folder / "notes.txt"
        (folder / "grid.py").write_text(SCRIPT)

    def start(self, *counts: int, **environment: str) -> subprocess.Popen[str]:
        """Start the script."""
        told = {
            "STORE": str(self.store),
            "PLACE": self.place,
            "NOTES": str(self.notes),
            **environment,
        }
        return subprocess.Popen(
            [sys.executable, "grid.py", *map(str, counts)],
            cwd=self.folder,
            env={**os.environ, **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *counts: int, **environment: str) -> dict[str, Any]:
        """Run the script to its end, and return what it says."""
        return told(self.start(*counts, **environment))

    def noted(self, what: str) -> int:
        """Return how often tasks have noted something."""
        return self.notes.read_text().splitlines().count(what) if self.notes.exists() else 0


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


@pytest.fixture
def grid(tmp_path: Path, bucket: str) -> Grid:  # noqa: F811
    return Grid(tmp_path, bucket)


def until(condition: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_grid_is_as_with_a_folder_also_twice_in_one_process(
    grid: Grid,
    object_server: ObjectServer,  # noqa: F811
) -> None:
    before = len(object_server.requests())
    found = grid.run(4, 6)
    asked = object_server.requests()[before:]
    assert found["values"] == [[2.0 * x for x in range(4)], [2.0 * x for x in range(6)]]
    assert found["artifact"] == "of 1"
    assert "printed by 1" in found["log"]
    assert grid.noted("step") == 1
    assert not list((grid.store / "payloads").rglob("*.npy"))
    # Each of six tasks: 3 checkpoints, a list before and one after, their removal, the value, the artifact.
    # To read: 4 + 6 values. The rest is of two runs, four workers and one step.
    assert len(asked) <= 6 * 8 + 10 + 50
    # On another machine there is the index alone.
    shutil.rmtree(grid.store / "logs")
    shutil.rmtree(grid.store / "artifacts")
    shutil.rmtree(grid.store / "steps")
    shutil.rmtree(grid.store / "payloads")
    results = memento.load(grid.store)
    assert [float(result.inner[2]) for result in results] == [2.0 * x for x in range(6)]
    assert all("printed by" in result.log for result in results)
    assert results[5].artifacts["plots/a file.txt"].read_text() == "of 5"


def test_a_killed_task_goes_on_on_another_machine(grid: Grid) -> None:
    process = grid.start(2, DIE="1")
    until(lambda: grid.noted("task 1") > 0)
    process.communicate(timeout=300)
    assert process.returncode != 0 or grid.noted("task 1") > 1
    elsewhere = grid.folder / "elsewhere"
    elsewhere.mkdir()
    for name in ("index.sqlite", "payloads.address"):
        shutil.copy(grid.store / name, elsewhere / name)
    shutil.rmtree(grid.store)
    elsewhere.rename(grid.store)
    assert grid.run(2)["values"] == [[0.0, 2.0]]
    assert grid.noted("resumed 1 at 2") >= 1


def test_a_server_that_goes_away_for_a_while_fails_and_repeats_nothing(
    grid: Grid,
    object_server: ObjectServer,  # noqa: F811
) -> None:
    process = grid.start(16, SLEEP="0.1", TIMEOUT="15s")
    until(lambda: grid.noted("task 3") > 0)
    object_server.door.shut()
    time.sleep(18)  # seconds of outage, which no task's timeout counts
    object_server.door.open()
    found = told(process)
    assert found["values"] == [[2.0 * x for x in range(16)]]
    assert [grid.noted(f"task {x}") for x in range(16)] == [1] * 16


def test_a_server_that_is_gone_at_the_start_is_said_soon(
    grid: Grid,
    object_server: ObjectServer,  # noqa: F811
) -> None:
    object_server.door.shut()
    begun = time.monotonic()
    process = grid.start(2)
    _, err = process.communicate(timeout=300)
    assert time.monotonic() - begun < 100  # on any machine; it would be waited for five minutes
    assert process.returncode != 0
    assert "cannot be reached" in err
    assert grid.noted("task 0") == 0


def test_a_prefix_belongs_to_one_store_and_a_store_to_one_prefix(grid: Grid, tmp_path: Path) -> None:
    grid.run(2)
    (tmp_path / "b").mkdir()
    other = Grid(tmp_path / "b", grid.place)
    _, err = other.start(2).communicate(timeout=300)
    assert f'payloads="{grid.place}/NAME"' in err
    assert other.noted("task 0") == 0
    other.place = f"{grid.place}/mine"
    assert other.run(2)["values"] == [[0.0, 2.0]]
    other.place = f"{grid.place}/another"
    _, err = other.start(2).communicate(timeout=300)
    assert "Leave payloads= and MEMENTO_PAYLOADS out" in err


def test_two_hosts_compute_a_step_once(grid: Grid, tmp_path: Path) -> None:
    grid.run(2)
    (tmp_path / "host2").mkdir()
    other = Grid(tmp_path / "host2", grid.place)
    grid.notes.unlink()
    shutil.rmtree(grid.store / "steps")
    shutil.copytree(grid.store, other.store)  # two folders, one number: as two hosts over one database
    with Store.open(grid.store, create=False) as store:
        from memento.layout import STEPS
        from memento.values.choose_place import far_place

        assert store.far is not None
        far_place(store.far.address, STEPS).clear("keys")
    other.notes = grid.notes
    both = [one.start(6, STEP="2") for one in (grid, other)]
    assert all(told(process)["values"] == [[2.0 * x for x in range(6)]] for process in both)
    assert grid.noted("step") == 1


def test_what_is_damaged_is_found_and_what_nobody_names_goes(grid: Grid) -> None:
    from memento.testing.place_contract import read
    from memento.values.choose_place import far_place

    grid.run(4)
    assert memento.verify(grid.store).whole
    assert set(memento.gc(grid.store).removed) <= {"output that belongs to no task"}
    place = far_place(grid.place, "payloads")
    names = list(place.names())
    assert len(names) == 4
    damaged = bytearray(read(place, names[0]))
    damaged[200] ^= 1
    place.write(names[0], [damaged])
    report = memento.verify(grid.store)
    assert [problem.where for problem in report.problems] == [f"payloads/{names[0]}"]
    memento.verify(grid.store, repair=True)
    assert grid.run(4)["values"] == [[0.0, 2.0, 4.0, 6.0]]
    assert memento.verify(grid.store).whole
    results = memento.load(grid.store)
    memento.forget([results[0].key, results[1].key], grid.store)
    removed = memento.gc(grid.store, damaged=True).removed
    assert {kind: count for kind, (count, _) in removed.items() if "output" not in kind} == {
        "values that no task has": 2,
        "artifacts of tasks that are gone": 2,
        "damaged files that were set aside": 2,
    }
    assert len(list(place.names())) == 2
    with Store.open(grid.store, create=False) as store:
        store.rename(store.index.experiments()[0][0], "science")
    shutil.rmtree(grid.store / "artifacts")
    assert memento.load(grid.store)[-1].artifacts["plots/a file.txt"].read_text() == "of 3"
    assert [float(result.inner[2]) for result in memento.load(grid.store)] == [4.0, 6.0]
    assert memento.verify(grid.store).whole


def test_a_folder_that_names_another_stores_prefix_frees_nothing_there(grid: Grid) -> None:
    grid.run(2)
    from memento.values.choose_place import far_place

    before = list(far_place(grid.place).names())
    told = json.loads((grid.store / "payloads.address").read_text())
    (grid.store / "payloads.address").write_text(json.dumps({**told, "number": "0" * 32}))
    for use in (memento.gc, lambda store: memento.verify(store, repair=True)):
        with pytest.raises(memento.errors.StoreError, match="another store keeps its values"):
            use(grid.store)
    assert list(far_place(grid.place).names()) == before


def test_a_task_that_forks_waits_for_nothing(tmp_path: Path, bucket: str) -> None:  # noqa: F811
    (tmp_path / "forks.py").write_text(
        "import multiprocessing, os\n"
        "from memento import Memento\n"
        "def square(x):\n"
        "    return x * x\n"
        "def experiment(context, config):\n"
        "    context.checkpoint(config.x)\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        return bytes(30_000) + bytes(pool.map(square, range(config.x)))\n"
        "if __name__ == '__main__':\n"
        f"    results = Memento(experiment, num_workers=2, store='store', payloads={bucket!r}).run("
        "{'parameters': {'x': [2, 3, 4]}})\n"
        "    print([result.inner[-1] for result in results])\n"
    )
    done = subprocess.run(
        [sys.executable, "forks.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines()[-1] == "[1, 4, 9]", done.stderr


def test_a_store_is_joined_from_and_to_an_object_store(grid: Grid, tmp_path: Path) -> None:
    grid.run(3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "far").mkdir()
    (tmp_path / "folder" / "grid.py").write_text((grid.folder / "grid.py").read_text())
    for name in ("steps", "artifacts", "logs"):
        shutil.rmtree(grid.store / name)  # as on another machine
    folder, far = tmp_path / "folder" / "store", tmp_path / "far" / "store"
    with Store.open(folder):
        pass
    merged = memento.merge(grid.store, folder)
    assert (sum(merged.results.values()), merged.steps, merged.damaged) == (3, 1, [])
    with Store.open(Location(str(far), payloads=f"{grid.place}/joined")):
        pass
    merged = memento.merge(folder, far)
    assert (sum(merged.results.values()), merged.steps, merged.damaged) == (3, 1, [])
    for name in ("steps", "artifacts", "logs"):
        shutil.rmtree(far / name)
    for store in (folder, far):
        results = memento.load(store)
        assert [float(result.inner[2]) for result in results] == [0.0, 2.0, 4.0]
        assert results[1].artifacts["plots/a file.txt"].read_text() == "of 1"
        assert "printed by 1" in results[1].log
        assert memento.verify(store).whole


def test_two_hosts_share_a_grid_over_a_database_and_no_folder(
    tmp_path: Path,
    bucket: str,  # noqa: F811
    address: str,  # noqa: F811
) -> None:
    hosts = []
    for name in ("host1", "host2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").touch()
        host = Grid(tmp_path / name, bucket)
        host.store, host.notes = address, tmp_path / "notes.txt"  # type: ignore[assignment]
        hosts.append(host)
    both = [host.start(12, SLEEP="0.1", STEP="1") for host in hosts]
    found = [told(process) for process in both]
    assert [one["values"] for one in found] == [[[2.0 * x for x in range(12)]]] * 2
    assert [one["artifact"] for one in found] == ["of 1"] * 2
    assert [hosts[0].noted(f"task {x}") for x in range(12)] == [1] * 12
    assert hosts[0].noted("step") == 1
    with Store.open(address, create=False, readonly=True) as store:  # from a third one, as `memento ls` does
        Store.open(store.location, create=False, readonly=True).close()
        assert store.far is not None
        assert store.far.address == bucket
    assert all(f"printed by {result.config.x}" in result.log for result in memento.load(address))


def test_what_tasks_depend_on_is_read_from_there(tmp_path: Path, bucket: str) -> None:  # noqa: F811
    (tmp_path / "stages.py").write_text(
        "import numpy as np\n"
        "from memento import Memento\n"
        "def experiment(context, config):\n"
        "    if 'first' in config.asdict():\n"
        "        return float(config.first.sum()) * config.y\n"
        "    return np.full(100_000, config.x)\n"
        "if __name__ == '__main__':\n"
        f"    grids = Memento(experiment, num_workers=2, store='store', payloads={bucket!r})\n"
        "    grids.add_matrix({'id': 'first', 'parameters': {'x': [1, 2]}})\n"
        "    grids.add_matrix({'id': 'second', 'parameters': {'y': [1, 3]}, 'dependencies': ['first']})\n"
        "    print(sorted(result.inner for result in grids.run_all()['second']))\n"
    )
    done = subprocess.run(
        [sys.executable, "stages.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines()[-1:] == ["[100000.0, 200000.0, 300000.0, 600000.0]"], done.stderr
