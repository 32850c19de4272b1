"""A disk whose operations fail, one kind after the other (FUSE): said, nothing lost, the next run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import memento
from memento import AggregateException, Config, Context, Memento
from memento.errors import StoreError
from tests.faults.victims import until

pytestmark = [pytest.mark.slow, pytest.mark.real]

TASKS = 12
calls: list[int] = []


class Disk:
    """A mounted disk that fails as ordered."""

    def __init__(self, mount: Path, orders: Path) -> None:
        self.mount, self._orders = mount, orders

    def fail(self, operation: str, error: str, after: int) -> None:
        """Let an operation fail, from the `after`-th time on."""
        fresh = self._orders.with_suffix(".new")
        fresh.write_text(f"{operation} {error} {after}", encoding="ascii")
        fresh.replace(self._orders)

    def recover(self) -> None:
        """Let everything succeed again."""
        self._orders.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def disk() -> Iterator[Disk]:
    if shutil.which("fusermount3") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this user may mount no disk of its own (FUSE)")
    with tempfile.TemporaryDirectory(prefix="memento-fuse-") as name:
        folder, mount, orders = Path(name, "folder"), Path(name, "mount"), Path(name, "orders")
        folder.mkdir()
        mount.mkdir()
        program = Path(__file__).with_name("fuse_disk.py")
        process = subprocess.Popen(
            [sys.executable, program, folder, mount, orders],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not until(lambda: os.path.ismount(mount) or process.poll() is not None, 30) or process.poll():
                pytest.skip("this machine mounts no disk of ours (FUSE)")
            yield Disk(mount, orders)
        finally:
            orders.unlink(missing_ok=True)
            subprocess.run(["fusermount3", "-u", "-z", mount], capture_output=True, check=False)
            process.terminate()
            process.wait(300)


def value_of(n: int) -> Any:
    return np.full(3_000, float(n)) if n % 2 else n


def experiment(context: Context, config: Config) -> Any:
    calls.append(config.n)
    if config.n % 3 == 0:
        context.checkpoint(config.n)
    context.record({"n": float(config.n)})
    return value_of(config.n)


def run(store: Path) -> None:
    runs = Memento(experiment, executor="serial", store=store, progress=False, name="failing")
    results = runs.run({"parameters": {"n": list(range(TASKS))}})
    assert results is not None
    for result in results:
        np.testing.assert_equal(result.inner, value_of(result.config.n))


def attempt(store: Path) -> Exception | None:
    try:
        run(store)
    except Exception as problem:
        return problem
    return None


def done(store: Path) -> set[int]:
    try:
        return {result.config.n for result in memento.load(store) if result.status == "done"}
    except (StoreError, ValueError):  # it was not even begun
        return set()


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        ("write", "EIO"), ("write", "ENOSPC"), ("write", "EDQUOT"), ("create", "ENOSPC"), ("create", "EDQUOT"),
        ("create", "EMFILE"), ("open", "EIO"), ("open", "EMFILE"), ("read", "EIO"), ("fsync", "EIO"),
        ("fsync", "EDQUOT"), ("fsyncdir", "EIO"), ("rename", "EIO"), ("rename", "EDQUOT"), ("unlink", "EIO"),
        ("mkdir", "ENOSPC"), ("truncate", "EIO"), ("readdir", "EIO"),
    ],
)  # fmt: skip
def test_whatever_a_disk_refuses_it_is_said_and_the_same_program_goes_on_later(
    disk: Disk, operation: str, error: str
) -> None:
    for after in (0, 4, 17):
        store = disk.mount / f"{operation}-{error}-{after}"
        calls.clear()
        disk.fail(operation, error, after)
        problem = attempt(store)
        disk.recover()
        if isinstance(problem, AggregateException):
            assert all(isinstance(one, StoreError) for one in problem.exceptions), problem
        elif problem is not None:
            assert isinstance(problem, StoreError), problem
            assert str(disk.mount) in str(problem)
        kept = done(store)
        calls.clear()
        run(store)
        assert not kept & set(calls), f"computed again though done: {kept & set(calls)}"
