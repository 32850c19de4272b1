"""`memento doctor`: what it finds on this machine and in a store, with what mends it; secrets stay where they are."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from memento.cli import doctor as doctors
from memento.cli import machine_checks, store_checks
from memento.cli.machine_checks import OK, PROBLEM, WARNING, Check
from memento.layout import INDEX, PAYLOADS, QUARANTINE
from tests.cli.calling import command, copied, memento
from tests.cli.conftest import Project
from tests.cli.test_inspect import STEERING
from tests.executors.drivers import GB, nvml_tells


def found(checks: Iterable[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def told(*arguments: str | Path) -> dict[str, Any]:
    return {check["name"]: check for check in memento("doctor", "--json", *arguments).json["checks"]}


def test_a_store_that_is_whole_is_no_problem(project: Project) -> None:
    said = project("doctor")
    assert said.code == 0, said.out
    assert "index: " in said.out
    assert "is whole" in said.out
    as_json = project("doctor", "--json").json
    assert (as_json["ok"], as_json["problems"]) == (True, 0)
    assert {check["level"] for check in as_json["checks"]} <= {OK, WARNING}
    assert {"versions", "packages", "cores", "memory", "open files", "GPUs", "git", "writing", "index"} <= {
        check["name"] for check in as_json["checks"]
    }


def test_it_leaves_nothing_behind(project: Project) -> None:
    def names() -> list[str]:
        return sorted(name for name in os.listdir(project.store) if not name.endswith(("-shm", "-wal")))

    before = names()
    project("doctor")
    assert names() == before


@pytest.mark.slow
def test_it_works_where_there_is_no_store_yet(tmp_path: Path) -> None:
    said = command("doctor", cwd=tmp_path)
    assert said.code == 0, said.out
    assert "there is none yet" in said.out
    assert os.listdir(tmp_path) == []


def test_every_warning_and_problem_says_why(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMENTO_STROE", "x")
    for check in told("--store", project.store).values():
        assert check["level"] == OK or (check["why"] and check["fix"]), check


# --- stores --------------------------------------------------------------------------------------------


def test_a_store_of_a_later_release_is_a_problem(project: Project, tmp_path: Path) -> None:
    store = copied(project.store, tmp_path / "store")
    connection = sqlite3.connect(store / INDEX)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    said = memento("doctor", "--store", store)
    assert said.code == 1
    assert "PROBLEM  index: a later release of Memento wrote it" in said.out
    assert "do:  pip install -U memento-ml" in said.out


def test_a_damaged_index_is_a_problem(project: Project, tmp_path: Path) -> None:
    store = copied(project.store, tmp_path / "store")
    size = (store / INDEX).stat().st_size
    with open(store / INDEX, "r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 4_096)
    said = memento("doctor", "--store", store)
    assert said.code == 1
    assert "memento verify --repair" in said.out


def test_files_that_were_set_aside_are_a_warning(values: Project) -> None:
    aside = values.store / PAYLOADS / QUARANTINE
    aside.mkdir(exist_ok=True)
    (aside / "x.npy").write_bytes(b"0")
    check = told("--store", values.store)["damaged"]
    assert (check["level"], check["found"]) == (WARNING, "1 file set aside")


def test_a_place_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert memento("doctor", "--store", tmp_path / "file" / "store").code == 1


class Slow:
    """A clock that goes on by some seconds with each look."""

    def __init__(self, step: float, now: float = 2e9) -> None:
        self.time, self._step, self._now = 0.0, step, now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        self.time += self._step
        return self.time


def test_a_slow_disk_is_a_warning(tmp_path: Path) -> None:
    check = found(store_checks.trial(tmp_path, Slow(0.2)))["writing"]
    assert check.level == WARNING
    assert "200.0 ms" in check.found


@pytest.mark.parametrize(("now", "said"), [(0.0, "has not been set"), (3e9, "differs by -")])
def test_a_clock_that_is_wrong_is_a_warning(tmp_path: Path, now: float, said: str) -> None:
    check = found(store_checks.trial(tmp_path, Slow(0.0, now)))["clock"]
    assert check.level == WARNING
    assert said in check.found


@pytest.mark.parametrize(("free", "level"), [(10, PROBLEM), (1_000_000_000, WARNING), (10**12, OK)])
def test_a_disk_with_little_space_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    monkeypatch.setattr("memento.system.disk_space", lambda folder: (free, 2 * 10**12))
    assert found(store_checks.place(tmp_path / "store"))["space"].level == level


@pytest.mark.parametrize(("kind", "level"), [("nfs4", WARNING), ("tmpfs", WARNING), ("ext4", OK), ("", OK)])
def test_the_file_system_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: str
) -> None:
    monkeypatch.setattr("memento.system.file_system", lambda path: kind)
    monkeypatch.setattr("memento.system.is_network_path", lambda path: kind == "nfs4")
    assert found(store_checks.place(tmp_path / "store"))["file system"].level == level


# --- the machine ---------------------------------------------------------------------------------------


def test_no_secret_of_the_environment_is_shown(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "MEMENTO_NOTIFY",
        "MEMENTO_TOKEN",
        "MEMENTO_FAULTS",
        "OMP_NUM_THREADS",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("MEMENTO_PAYLOADS", "s3://me:hunter2@host/bucket")
    for form in ((), ("--json",)):
        assert "hunter2" not in project("doctor", *form).out


def test_a_misspelled_variable_is_told_with_the_right_one() -> None:
    check = found(machine_checks.variables({"MEMENTO_STROE": "/x", "HOME": "/"}))["MEMENTO_STROE"]
    assert (check.level, check.fix) == (WARNING, "export MEMENTO_STORE=..., and unset MEMENTO_STROE")


def test_two_variables_that_name_the_store_are_told() -> None:
    checks = found(machine_checks.variables({"MEMENTO_STORE": "/a", "MEMENTO_CACHE_PATH": "/b"}))
    assert checks["variables"].level == WARNING
    assert checks["MEMENTO_STORE"].found == "/a"


@pytest.mark.parametrize(("limit", "level"), [(2.5, OK), (0.5, WARNING)])
def test_a_container_with_fewer_cores_is_told(
    monkeypatch: pytest.MonkeyPatch, limit: float, level: str
) -> None:
    monkeypatch.setattr("memento.cli.machine_checks.cpu_limit", lambda: limit)
    (check,) = machine_checks.cores()
    assert check.level == level
    assert f"the container may use {limit:g} of them" in check.found


def test_gpus_are_told_with_what_is_free_and_who_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken = {"uuid": "GPU-b", "name": "A100", "total": 40 * GB, "free": 30 * GB, "pids": [1]}
    lost = {"uuid": "GPU-c", "memory": "GpuIsLost"}
    nvml_tells(monkeypatch, tmp_path, [{"uuid": "GPU-a", "name": "A100", "total": 40 * GB}, taken, lost])
    told = [(check.level, f"{check.name}: {check.found}") for check in machine_checks.gpus({})]
    assert told == [
        (OK, "GPUs: 2; gpus_per_task=1 gives a task one"),
        (OK, "GPU 0 (A100): GPU-a: 40 GB of 40 GB are free"),
        (OK, "GPU 1 (A100): GPU-b: 30 GB of 40 GB are free; others use it, so its turn comes last"),
        (WARNING, "GPUs: GPU 2 (Fake) is left out: GPU is lost"),
    ]
    (hidden,) = machine_checks.gpus({"CUDA_VISIBLE_DEVICES": ""})
    assert (hidden.level, hidden.fix) == (WARNING, "unset CUDA_VISIBLE_DEVICES")


def test_a_driver_that_does_not_work_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nvml_tells(monkeypatch, tmp_path, init="LibRmVersionMismatch")
    (check,) = machine_checks.gpus({})
    assert (check.level, "version mismatch" in check.found) == (WARNING, True)


@pytest.mark.parametrize("told", [{}, {"CUDA_VISIBLE_DEVICES": ""}])
def test_a_machine_without_gpus_is_no_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: dict[str, str]
) -> None:
    nvml_tells(monkeypatch, tmp_path, init="LibraryNotFound")
    monkeypatch.setattr("memento.executors.nvml._smi", _absent)
    (check,) = machine_checks.gpus(told)
    assert (check.level, check.found) == (OK, "none")


def _absent(*arguments: str) -> Any:
    raise FileNotFoundError("nvidia-smi")


@pytest.mark.parametrize(("limit", "level"), [(256, WARNING), (4_096, OK), (None, OK)])
def test_few_descriptors_are_told(monkeypatch: pytest.MonkeyPatch, limit: int | None, level: str) -> None:
    monkeypatch.setattr("memento.cli.machine_checks.most_open_files", lambda: limit)
    check = found(machine_checks.limits())["open files"]
    assert check.level == level
    assert level == OK or check.fix == "ulimit -n 4096"


@pytest.mark.parametrize(
    ("environment", "level"),
    [({}, OK), ({"OMP_NUM_THREADS": "4"}, OK), ({"MKL_NUM_THREADS": "four"}, WARNING)],
)
def test_threads_that_were_set_are_told(environment: dict[str, str], level: str) -> None:
    (check,) = machine_checks.threads(environment)
    assert check.level == level


def test_little_memory_and_much_swap_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memento.system.memory_left", lambda pid: (10**8, 10**10))
    monkeypatch.setattr("memento.cli.machine_checks.swap", lambda: (9 * 10**9, 10**10))
    checks = found(machine_checks.memory())
    assert (checks["memory"].level, checks["swap"].level) == (WARNING, WARNING)


def test_a_missing_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "importlib.metadata.requires", lambda name: ["numpy>=1", "nowhere-at-all", "ray; extra == 'x'"]
    )
    (check,) = machine_checks.packages()
    assert (check.level, check.fix) == (PROBLEM, "pip install nowhere-at-all")


def test_a_check_that_fails_itself_is_a_warning_and_the_others_go_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterable[Check]:
        raise RuntimeError("\x1b[31mno such machine")

    monkeypatch.setattr(machine_checks, "gpus", broken)
    said = project("doctor")
    assert said.code == 0
    assert "could not be checked (RuntimeError: no such machine)" in said.out
    assert "is whole" in said.out
    assert not STEERING.search(said.out)
    assert doctors.doctor(project.store, as_json=True)
