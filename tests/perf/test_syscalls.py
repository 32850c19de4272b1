"""What a task may ask of the kernel: calls of a whole run counted with strace, where it is there and may trace."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import syscalls

TASKS = 2_000
# How often these are called depends on who waits for whom, on what the allocator has left, and on the size of batches:
# traced tasks on a busy machine are long enough for small ones. A worker writes once a task.
FREE = set(
    "read write pwrite64 epoll_wait poll ppoll futex wait4 pselect6 clock_nanosleep sched_yield brk mmap munmap"
    " mremap".split()
)


def may_trace() -> bool:
    program = shutil.which("strace")
    return (
        program is not None and not subprocess.run([program, "-qq", "true"], capture_output=True).returncode
    )


pytestmark = [
    pytest.mark.slow,
    pytest.mark.real,
    pytest.mark.skipif(not may_trace(), reason="needs strace, and the right to trace"),
]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(syscalls.SCRIPT)
    return path


def grown(few: Counter[str], many: Counter[str]) -> dict[str, float]:
    """Calls a task, of the kinds that are the same on every machine."""
    more = {kind: (many[kind] - few[kind]) / TASKS for kind in many if kind not in FREE}
    return {kind: figure for kind, figure in more.items() if figure > 0.005}


def test_a_task_costs_its_worker_six_calls_beside_the_one_that_tells_of_it(
    tmp_path: Path, script: Path
) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    _, few = syscalls.count(10, tmp_path / "few", script)
    _, many = syscalls.count(TASKS + 10, tmp_path / "many", script)
    more = grown(few, many)
    assert sum(more.values()) <= 6.3, more
    assert not {"openat", "fsync", "fdatasync", "rename"} & set(more)


def test_a_cached_task_costs_no_call_but_the_reading_of_the_index(tmp_path: Path, script: Path) -> None:
    counted = []
    for tasks in (10, TASKS + 10):
        (tmp_path / str(tasks)).mkdir()
        syscalls.count(tasks, tmp_path / str(tasks), script)
        counted.append(syscalls.count(tasks, tmp_path / str(tasks), script)[0])
    more = grown(*counted)
    assert set(more) <= {"pread64"}
    assert sum(more.values()) <= 0.06, more
    assert counted[1]["openat"] <= counted[0]["openat"] + 2
