"""What the operating system is asked, and how its answers are read."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memento import system
from memento.clock import SYSTEM_CLOCK

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_this_process_is_alive_under_its_own_start_only() -> None:
    started = system.process_start(os.getpid())
    assert started is not None
    assert system.is_alive(os.getpid(), started)
    assert not system.is_alive(os.getpid(), started + "1")


def test_the_start_of_this_program_is_what_others_see() -> None:
    import psutil

    assert abs(system.program_start(SYSTEM_CLOCK.now()) - psutil.Process().create_time()) < 2


def test_a_process_that_was_collected_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(60)
    assert system.process_start(child.pid) is None


@linux
def test_a_name_with_spaces_and_parentheses_does_not_shift_the_start(tmp_path: Path) -> None:
    program = tmp_path / "a) R (b c"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as child:
        started = system.process_start(child.pid)
        child.kill()
    own = system.process_start(os.getpid())
    assert started is not None
    assert own is not None
    assert int(started) >= int(own)


def test_a_boot_is_named_the_same_in_every_process_of_it() -> None:
    program = "from memento import system; print(system.boot_identity())"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.strip() == system.boot_identity()


@pytest.mark.parametrize(
    ("path", "shared"),
    [
        ("/home/me/store", False),
        ("/cluster/me/store", True),
        ("/cluster/scratch/store", False),
        ("/clusters/store", False),
        ("/my disk/x", True),
    ],
)
def test_the_nearest_mount_tells_whether_hosts_share_a_path(
    path: str, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = (
        "21 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "22 21 0:40 / /cluster rw,relatime shared:1 - nfs4 server:/ rw\n"
        "23 22 8:2 / /cluster/scratch rw - xfs /dev/sdb rw\n"
        "24 21 0:41 / /my\\040disk rw - fuse.sshfs host: rw\n"
    )
    monkeypatch.setattr(system, "LINUX", True)
    monkeypatch.setattr(system, "read_text", lambda name: mounts)
    assert system.is_network_path(path) is shared


def test_what_was_started_with_a_mark_is_found_and_killed_wherever_it_hangs() -> None:
    sleeper = "import time; time.sleep(1000)"
    mine, other = (
        subprocess.Popen(
            [sys.executable, "-c", sleeper], env={**os.environ, "A_MARK": mark}, start_new_session=True
        )
        for mark in (f"mine {os.getpid()}", f"other {os.getpid()}")
    )
    try:
        system.kill_marked("A_MARK", f"mine {os.getpid()}")
        assert mine.wait(timeout=60) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (mine, other):
            process.kill()
            process.wait()


def test_this_platform_is_named_as_python_names_it() -> None:
    assert system.platform_name() == platform.platform()
    assert system.machine() == platform.machine()


@pytest.mark.parametrize("path", ["a.py", "./a//b.py", "../x/./y.py", "/a/../b.tar.py", ".hidden", "a/"])
def test_a_path_from_the_root_is_what_pathlib_says(path: str) -> None:
    assert system.absolute(path) == str(Path(path).absolute())


def test_asking_for_an_early_write_never_fails() -> None:
    reader, writer = os.pipe()
    system.start_writing(writer, 0, 10)  # a pipe takes no such advice
    for descriptor in (reader, writer):
        os.close(descriptor)
    system.start_writing(writer, 0, 10)
