"""A value beyond what 32 bits, a pipe or SQLite can count is kept; neither the coordinator nor a neighbour feels it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

SIZE = 2**31 + 4096  # bytes
GIB = 2**30

SCRIPT = """
import json, os, resource, sys
import numpy as np
from memento import Memento

SIZE = int(sys.argv[1])

def experiment(context, config):
    os.write(os.open("starts", os.O_WRONLY | os.O_CREAT | os.O_APPEND), (config.kind + "\\n").encode())
    if config.kind == "array":
        made = np.zeros(SIZE // 8)
        made[-1] = 7.0
        return made
    if config.kind == "bytes":
        return bytes(SIZE - 1) + b"!"
    if config.kind == "pickle":
        return config.kind, bytearray(SIZE)
    if config.kind == "unsavable":
        return bytes(SIZE), lambda: open("starts").fileno, (number for number in range(3))
    return config.kind

kinds = [sys.argv[2], "a", "b", "c"]
results = Memento(experiment, num_workers=2, store="store", progress=False, on_error="return").run(
    {"parameters": {"kind": kinds}}
)
try:  # of this process, until here; what `resource` tells counts the process that started it too
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
told = {"peak": peak * 1024}
told["statuses"] = [result.status for result in results]
told["memory"] = [result.memory.hardware_peak for result in results]
told["failures"] = [result.failure and result.failure.message for result in results]
if sys.argv[3:] and results[0].status == "done":
    value = results[0].inner
    size = value.nbytes if hasattr(value, "nbytes") else len(value[1] if isinstance(value, tuple) else value)
    last = value[-1]  # a text of two gigabytes of bytes would take eight, and more to make
    told["value"] = [type(value).__name__, size, str(last[:4] if isinstance(last, bytearray) else last)[:10]]
print(json.dumps(told))
"""


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One of these tests at a time: each takes up to 7 GiB of memory."""
    fcntl = pytest.importorskip("fcntl")
    with open(tmp_path_factory.getbasetemp().parent / "large.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def folder(tmp_path: Path, alone: None) -> Iterator[Path]:
    """A folder on a disk with room, empty again at once: pytest would keep it."""
    if psutil.virtual_memory().available < 10 * GIB or shutil.disk_usage(tmp_path).free < 8 * GIB:
        pytest.skip("needs 10 GiB of memory and 8 GiB of disk")
    (tmp_path / "large.py").write_text(SCRIPT, encoding="utf-8")
    yield tmp_path
    shutil.rmtree(tmp_path / "store", ignore_errors=True)


def run(folder: Path, kind: str, *reading: str) -> dict[str, list[object]]:
    done = subprocess.run(
        [sys.executable, "large.py", str(SIZE), kind, *reading],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, list[object]] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("array", ["ndarray", SIZE, "7.0"]),
        ("bytes", ["bytes", SIZE, "33"]),
        ("pickle", ["tuple", SIZE, "bytearray("]),
    ],
)
def test_a_value_of_two_gigabytes_is_kept_and_the_coordinator_does_not_grow_with_it(
    kind: str, value: list[object], folder: Path
) -> None:
    told = run(folder, kind, "and read it")
    assert told["statuses"] == ["done"] * 4, told["failures"]
    assert told["peak"] < 0.3 * GIB  # type: ignore[operator]  # JSON
    assert told["value"][:1] == value[:1]
    if kind != "pickle":
        assert told["value"] == value
    again = run(folder, kind)
    assert again["statuses"] == ["done"] * 4
    assert sorted((folder / "starts").read_text().split()) == sorted([kind, "a", "b", "c"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_gigabytes_that_cannot_be_saved_fail_alone_and_leave_no_file(folder: Path) -> None:
    told = run(folder, "unsavable")
    assert told["statuses"] == ["failed", "done", "done", "done"]
    assert "cannot be saved: it is a generator" in str(told["failures"][0])
    assert not [path for path in (folder / "store" / "payloads").rglob("*") if path.is_file()]
