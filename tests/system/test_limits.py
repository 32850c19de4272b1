"""Limits are read as the system writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento import system
from memento.system.limits import cpu_limit, most_open_files, most_processes, swap, usable_cores

pytestmark = pytest.mark.skipif(not system.LINUX, reason="cgroups are Linux's")


def _groups(tmp_path: Path, cgroup: str, files: dict[str, str]) -> tuple[str, str]:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(cgroup)
    for name, text in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return str(tmp_path / "proc"), str(tmp_path / "groups")


@pytest.mark.parametrize(
    ("cgroup", "files", "limit"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, 0.5),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "150000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            1.5,
        ),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            None,
        ),
        ("0::/\n", {"cpu.max": "nonsense\n"}, None),
        ("", {}, None),
    ],
)
def test_a_containers_cores_are_read(
    tmp_path: Path, cgroup: str, files: dict[str, str], limit: float | None
) -> None:
    assert cpu_limit(*_groups(tmp_path, cgroup, files)) == limit


@pytest.mark.parametrize(
    ("cpus", "cgroup", "files", "job", "cores"),
    [
        (8, "0::/\n", {}, {}, 8),
        (8, "0::/job\n", {"job/cpu.max": "250000 100000\n"}, {}, 2),
        (8, "0::/job\n", {"job/cpu.max": "50000 100000\n"}, {}, 1),
        (2, "0::/job\n", {"job/cpu.max": "800000 100000\n"}, {}, 2),
        (
            8,
            "3:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "300000\n", "cpu/x/cpu.cfs_period_us": "100000\n"},
            {},
            3,
        ),
        (8, "", {}, {"SLURM_CPUS_ON_NODE": "4"}, 4),
        (8, "", {}, {"SLURM_CPUS_PER_TASK": "3"}, 3),
        # A batch script has all of its job on its node; one task of several has its own.
        (8, "", {}, {"SLURM_CPUS_ON_NODE": "6", "SLURM_CPUS_PER_TASK": "2"}, 6),
        (8, "", {}, {"SLURM_CPUS_ON_NODE": "6", "SLURM_CPUS_PER_TASK": "2", "SLURM_STEP_ID": "0"}, 2),
        (8, "", {}, {"SLURM_CPUS_ON_NODE": "64"}, 8),
        (8, "", {}, {"SLURM_CPUS_ON_NODE": "nonsense"}, 8),
    ],
)
def test_cores_are_those_of_the_affinity_the_cgroup_and_the_job(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cpus: int,
    cgroup: str,
    files: dict[str, str],
    job: dict[str, str],
    cores: int,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cpus)))
    assert usable_cores(job, *_groups(tmp_path, cgroup, files)) == cores


def test_this_machines_limits_are_numbers_or_none() -> None:
    assert all(limit is None or limit > 0 for limit in (cpu_limit(), most_open_files(), most_processes()))
    used, size = swap()
    assert 0 <= used <= size


def test_the_file_system_of_a_path_that_is_not_there_is_that_of_its_folder(tmp_path: Path) -> None:
    assert system.file_system(tmp_path / "not" / "there") == system.file_system(tmp_path)
    assert system.file_system("/proc") == "proc"
