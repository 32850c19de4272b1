"""`memento doctor` on disks that are full, fail or may only be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calling import GENEROUS, memento
from tests.faults.test_disks import own_mounts  # noqa: F401 - a fixture
from tests.faults.test_failing_disk import Disk, disk  # noqa: F401 - a fixture

pytestmark = pytest.mark.real


@pytest.mark.parametrize("error", ["EROFS", "ENOSPC", "EACCES", "EIO", "EDQUOT"])
@pytest.mark.parametrize("operation", ["create", "write", "fsync", "mkdir"])
def test_whatever_a_disk_refuses_is_a_problem(disk: Disk, operation: str, error: str) -> None:  # noqa: F811
    disk.fail(operation, error, 0)
    try:
        told = memento("doctor", "--store", disk.mount / "store")
    finally:
        disk.recover()
    assert told.code == 1
    assert "PROBLEM  writing" in told.out
    assert memento("doctor", "--store", disk.mount / "store").code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("own_mounts")
@pytest.mark.parametrize(("options", "said"), [("size=64k", "PROBLEM  space"), ("ro", "PROBLEM  writing")])
def test_a_full_disk_and_one_that_may_only_be_read_are_problems(
    tmp_path: Path, options: str, said: str
) -> None:
    doctor = f"'{sys.executable}' -m memento doctor --store '{tmp_path}/s'"
    script = f"mount -t tmpfs -o {options} x '{tmp_path}' && {doctor}"
    told = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=GENEROUS, check=False
    )
    assert told.returncode == 1, told.stderr
    assert said in told.stdout
    assert told.stderr == ""
