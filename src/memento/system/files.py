"""Ask the operating system about files and descriptors.

Knows: file systems, what each system can do with a file. May not know: whose files they are.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from memento.system.platform import LINUX, WINDOWS, read_text

if TYPE_CHECKING:
    import mmap

# File systems on which several hosts may write: their locks and shared memory cannot be relied on for WAL.
# From statfs(2), mount(8) and the FUSE clients in use on clusters.
# fmt: off
_NETWORK_TYPES = frozenset(
    (
        "9p", "afs", "afpfs", "beegfs", "ceph", "cephfs", "cifs", "coda", "davfs", "fhgfs",
        "fuse.ceph-fuse", "fuse.cephfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs",
        "fuse.mountpoint-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre",
        "moosefs", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "osxfuse.sshfs", "panfs",
        "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "vmhgfs", "webdav", "weka", "wekafs",
    )
)
# fmt: on
_HIGH = 1_000  # most systems allow 1,024 descriptors


def fsync_folder(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable, where the system can."""
    if WINDOWS:
        return  # folders cannot be opened there; NTFS journals names itself
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_space(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return how many bytes may still be written where a folder lies, and of how many; 0 where nobody says."""
    try:
        if WINDOWS:
            import shutil

            usage = shutil.disk_usage(path)
            return usage.free, usage.total
        told = os.statvfs(path)
    except OSError:
        return 0, 0
    return told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize


def start_writing(descriptor: int, start: int, size: int) -> None:
    """Let the disk begin to write a part of a file, without waiting for it; where the system has no such call, nothing.

    It promises nothing: fsync does. On Linux "these pages are not needed soon" starts their writing, and drops
    from memory only what the disk has already.
    """
    advise = getattr(os, "posix_fadvise", None)
    if advise is not None:
        with contextlib.suppress(OSError):  # advice that a file system does not take
            advise(descriptor, start, size, os.POSIX_FADV_DONTNEED)


def map_private(descriptor: int, size: int, start: int = 0) -> mmap.mmap:
    """Map an open file, which may be closed then: it is read when it is looked at, and what is changed stays here.

    From `start` on, a multiple of `mmap.ALLOCATIONGRANULARITY`. Valid as long as it is held, also when the file is
    removed meanwhile (POSIX; Windows refuses to remove or replace it). A file that is cut short, a disk that cannot
    read a page, and a file that another machine removes from a network's disk (NFS) end the process that looks at such
    a page with SIGBUS.
    """
    import mmap  # a library, which who maps nothing need not load

    if sys.platform == "win32":
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY, offset=start)
    # No swap is set aside for it: few of its pages are ever written to, and a file may be larger than memory.
    flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_NORESERVE", 0)
    both = mmap.PROT_READ | mmap.PROT_WRITE
    if sys.version_info >= (3, 13):  # before, each mapping holds a descriptor of its own
        return mmap.mmap(descriptor, size, flags, both, offset=start, trackfd=False)
    return mmap.mmap(descriptor, size, flags, both, offset=start)


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Free the blocks of a part of a file, which reads as zeros from then on; OSError where that cannot be."""
    if not LINUX:
        raise OSError("this system frees no parts of files")
    import ctypes

    size = ctypes.c_int64  # off64_t
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    if fallocate(descriptor, 3, size(offset), size(length)):  # PUNCH_HOLE | KEEP_SIZE: fallocate(2)
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this descriptor alone; False where another has it. The kernel releases it at death."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give a lock back, also where a process that was forked meanwhile has the same open file: closing it would not."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_UN)


def out_of_reach(descriptor: int) -> int:
    """Move a descriptor to a high number, closed in programs that are started; return it.

    A task that closes descriptors by number, and then opens a file of its own, would else get ours back for it.
    """
    if WINDOWS:
        return descriptor
    import fcntl
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    lowest = _HIGH if limit == resource.RLIM_INFINITY else min(_HIGH, limit - 24)
    if lowest <= descriptor:
        return descriptor
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
    except OSError:
        return descriptor  # none is free up there
    os.close(descriptor)
    return moved


def absolute(path: str | os.PathLike[str]) -> str:
    """Return what `pathlib.Path(path).absolute()` is as a text, without its import: 4 ms of every start.

    Unlike `os.path.abspath` it leaves ``..`` where it is, since that may lead back through a link.

    Examples
    --------
    >>> absolute("/a/./b//../c")
    '/a/b/../c'
    """
    text = os.fspath(path)
    if WINDOWS:
        from pathlib import Path

        return str(Path(text).absolute())
    steps = (text if text.startswith("/") else f"{os.getcwd()}/{text}").split("/")
    return "/" + "/".join([step for step in steps if step not in ("", ".")])


def is_network_path(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path, existing or about to be made, lies on a file system that hosts share."""
    return file_system(path).lower() in _NETWORK_TYPES


def file_system(path: str | os.PathLike[str]) -> str:
    """Name the type of the file system on which a path, existing or about to be made, lies; "" where nobody says."""
    target = os.path.realpath(path)
    best, kind = "", ""
    for mount, filesystem in _mounts():
        inside = target == mount or target.startswith(mount.rstrip(os.sep) + os.sep)
        if inside and len(mount) >= len(best):  # later mounts cover earlier ones on the same place
            best, kind = mount, filesystem
    return kind


def _mounts() -> list[tuple[str, str]]:
    if LINUX:
        mounts = []
        for line in read_text("/proc/self/mountinfo").splitlines():
            left, _, right = line.partition(" - ")  # proc_pid_mountinfo(5)
            fields = left.split()
            if len(fields) > 4 and right:
                mounts.append((_unescape(fields[4]), right.split()[0]))
        return mounts
    import psutil

    return [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]


def _unescape(text: str) -> str:
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, character)
    return text
