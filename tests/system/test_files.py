"""What files and descriptors can do here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memento import system
from memento.system import files


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
    monkeypatch.setattr(files, "LINUX", True)
    monkeypatch.setattr(files, "read_text", lambda name: mounts)
    assert system.is_network_path(path) is shared


@pytest.mark.parametrize("path", ["a.py", "./a//b.py", "../x/./y.py", "/a/../b.tar.py", ".hidden", "a/"])
def test_a_path_from_the_root_is_what_pathlib_says(path: str) -> None:
    assert system.absolute(path) == str(Path(path).absolute())


def test_asking_for_an_early_write_never_fails() -> None:
    reader, writer = os.pipe()
    system.start_writing(writer, 0, 10)  # a pipe takes no such advice
    for descriptor in (reader, writer):
        os.close(descriptor)
    system.start_writing(writer, 0, 10)
