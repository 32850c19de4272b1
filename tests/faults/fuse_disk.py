"""A disk that fails when it is told to: a folder shown at another place (FUSE), run as a program of its own.

Knows: libfuse, the folder behind it. May not know: Memento.

    python fuse_disk.py FOLDER MOUNT ORDERS

ORDERS is a file that may hold "OPERATION ERROR AFTER": the operations of that name fail from the AFTER-th on, counted
from when that was written there. It ends when it is unmounted.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from typing import Any

import mfusepy


class FailingDisk(mfusepy.Operations):  # type: ignore[misc]  # it has no types
    """Does to the folder what is done to the mount, or fails as ordered."""

    use_ns = True

    def __init__(self, folder: str, orders: str) -> None:
        self._folder, self._orders = os.path.realpath(folder), orders
        self._lock = threading.Lock()
        self._order, self._count = "", 0

    def _place(self, path: str) -> str:
        return self._folder + path

    def _may_fail(self, operation: str) -> None:
        with self._lock:
            try:
                with open(self._orders, encoding="ascii") as file:
                    order = file.read()
            except OSError:
                order = ""
            if order != self._order:
                self._order, self._count = order, 0
            name, error, after = [*order.split(), "", "", ""][:3]
            if name != operation:
                return
            self._count += 1
            if self._count > int(after):
                raise mfusepy.FuseOSError(getattr(errno, error))

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._place(path))
        told = {
            name: getattr(found, name)
            for name in ("st_gid", "st_mode", "st_nlink", "st_size", "st_uid", "st_ino")
        }
        return {
            **told,
            "st_mtime": found.st_mtime_ns,
            "st_atime": found.st_atime_ns,
            "st_ctime": found.st_ctime_ns,
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        self._may_fail("readdir")
        return [".", "..", *os.listdir(self._place(path))]

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._place(path))
        return {
            name: getattr(found, name) for name in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_frsize")
        }

    def open(self, path: str, flags: int) -> int:
        self._may_fail("open")
        return os.open(self._place(path), flags)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._may_fail("create")
        return os.open(self._place(path), os.O_RDWR | os.O_CREAT, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if not path.endswith(
            "-shm"
        ):  # which SQLite maps: a failing page of it is a SIGBUS, as a failing memory is
            self._may_fail("read")
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._may_fail("write")
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self._may_fail("truncate")
        os.truncate(self._place(path), length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._may_fail("fsync")
        os.fsync(fh)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._may_fail("fsyncdir")
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def unlink(self, path: str) -> int:
        self._may_fail("unlink")
        os.unlink(self._place(path))
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        self._may_fail("rename")
        os.rename(self._place(old), self._place(new))
        return 0

    def link(self, target: str, source: str) -> int:
        self._may_fail("link")
        os.link(self._place(source), self._place(target))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        self._may_fail("mkdir")
        os.mkdir(self._place(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._place(path))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._place(path), mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self._place(path), ns=times or (time.time_ns(), time.time_ns()))
        return 0


if __name__ == "__main__":
    FOLDER, MOUNT, ORDERS = sys.argv[1:]
    mfusepy.FUSE(FailingDisk(FOLDER, ORDERS), MOUNT, foreground=True, nothreads=True)
