"""How much memory is left, and how often the kernel killed for want of it, as it stands in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from memento import system


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (8_000_000_000, 16_000_000_000)),
        ({"memory.max": "max", "memory.current": "5000"}, (8_000_000_000, 16_000_000_000)),
        (
            {
                "memory.max": "900",
                "memory.current": "800",
                "memory.stat": "inactive_file 30\nactive_file 20\nanon 7",
            },
            (150, 900),
        ),
    ],
)
def test_what_memory_is_left_is_the_groups_or_the_machines(
    tmp_path: Path, files: dict[str, str], expected: tuple[int, int]
) -> None:
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(
        "MemTotal:       15625000 kB\nMemFree: 1 kB\nMemAvailable:    7812500 kB\nSwapFree:  0 kB\n"
    )
    (tmp_path / "proc" / "7" / "cgroup").write_text("0::/a/b\n")
    (tmp_path / "groups" / "a" / "b").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "groups" / "a" / "b" / name).write_text(text + "\n")
    assert system.memory_left(7, str(tmp_path / "proc"), str(tmp_path / "groups")) == expected


@pytest.mark.skipif(not system.LINUX, reason="cgroups are of Linux")
@pytest.mark.parametrize(
    ("line", "file", "text", "count"),
    [
        (
            "4:memory:/job",
            "memory/job/memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            3,
        ),
        ("4:cpu,memory:/elsewhere", "memory/memory.oom_control", "oom_kill 4\n", 4),  # a container's own root
        ("0::/job", "job/memory.events", "low 0\noom 2\noom_kill 5\noom_group_kill 0\n", 5),
        ("0::/", "memory.events", "oom_kill 6\n", 6),
        ("1:cpu:/", "memory.events", "oom_kill 6\n", 9),  # no memory cgroup: the machine's count
    ],
)
def test_the_kernels_count_is_found_wherever_it_is_kept(
    tmp_path: Path, line: str, file: str, text: str, count: int
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "77").mkdir(parents=True)
    (proc / "77" / "cgroup").write_text(line + "\n")
    (proc / "vmstat").write_text("pgfault 12\noom_kill 9\n")
    (groups / file).parent.mkdir(parents=True)
    (groups / file).write_text(text)
    assert system.oom_kills(77, str(proc), str(groups)) == count
