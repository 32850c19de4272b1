"""Ask the operating system; the one file in which operating systems differ (but for mapped files: `values.places`).

Knows: processes, file systems, Linux, macOS, Windows. May not know: anything of ours.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

LINUX = sys.platform.startswith("linux")
MACOS = sys.platform == "darwin"
WINDOWS = sys.platform == "win32"
# Whether other cores see what a core has stored in the order in which it did: x86 promises that, ARM does not.
STORES_IN_ORDER = hasattr(os, "uname") and os.uname().machine in ("x86_64", "amd64", "i686", "i386")


# File systems on which several hosts may write: their locks and shared memory cannot be relied on for WAL.
# From statfs(2), mount(8) and the FUSE clients in use on clusters.
# fmt: off
_NETWORK_TYPES = frozenset(
    (
        "9p", "afs", "afpfs", "beegfs", "ceph", "cephfs", "cifs", "coda", "davfs", "fhgfs",
        "fuse.cephfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs",
        "fuse.mountpoint-s3", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre",
        "moosefs", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "osxfuse.sshfs", "panfs",
        "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "vmhgfs", "webdav", "weka", "wekafs",
    )
)
# fmt: on
_DEAD_STATES = frozenset("ZXx")  # proc(5): zombie, dead, dead


def hostname() -> str:
    """Return this machine's name, for people."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform

    return platform.node()


def platform_name() -> str:
    """Return what `platform.platform()` says; on Linux without its import, and without the process that it starts."""
    if LINUX:
        with contextlib.suppress(ValueError, OSError):  # a C library that has no such name
            name = os.uname()
            library = (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
            if library:
                return f"{name.sysname}-{name.release}-{name.machine}-with-{library}"
    import platform

    return platform.platform()


def machine() -> str:
    """Return the kind of this machine's processor."""
    if hasattr(os, "uname"):
        return os.uname().machine
    import platform

    return platform.machine()


@lru_cache(maxsize=1)
def boot_identity() -> str:
    """Name this boot of this machine and its set of process numbers.

    Two processes with the same answer can look each other up by pid; with different answers they cannot
    (another machine, another boot, or a container with process numbers of its own).
    """
    if LINUX:
        boot = read_text("/proc/sys/kernel/random/boot_id").strip()
        try:
            namespace = os.readlink("/proc/self/ns/pid")
        except OSError:
            namespace = ""
        if boot:
            return f"{boot}/{namespace}"
    import psutil

    # A boot's time is computed from the wall clock and moves with it by a little: coarse on purpose.
    return f"{hostname()} {int(psutil.boot_time()) // 60}"


def process_start(pid: int) -> str | None:
    """Return what tells this process from a later one with the same pid; None when it is gone or a zombie.

    On Linux these are the ticks between boot and the process's start, which no clock change moves.
    """
    if LINUX:
        text = read_text(f"/proc/{pid}/stat")
        # The name, in parentheses, may hold spaces and parentheses: fields count from the last one.
        fields = text[text.rfind(")") + 2 :].split()
        if len(fields) < 20 or fields[0] in _DEAD_STATES:
            return None
        return fields[19]
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return None
        return f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def program_start(now: float) -> float:
    """Return when this process began, on the clock that says `now`: UTC seconds."""
    if LINUX:
        ticks = process_start(os.getpid())
        if ticks is not None:  # psutil takes 15 ms to import
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
            return now - age
    import psutil

    return float(psutil.Process().create_time())


def is_alive(pid: int, started: str) -> bool:
    """Tell whether `pid` is still the process that `process_start` described as `started`."""
    return process_start(pid) == started


def fsync_folder(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable, where the system can."""
    if WINDOWS:
        return  # folders cannot be opened there; NTFS journals names itself
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start_writing(descriptor: int, start: int, size: int) -> None:
    """Let the disk begin to write a part of a file, without waiting for it; where the system has no such call, nothing.

    It promises nothing: fsync does. On Linux "these pages are not needed soon" starts their writing, and drops
    from memory only what the disk has already.
    """
    advise = getattr(os, "posix_fadvise", None)
    if advise is not None:
        with contextlib.suppress(OSError):  # advice that a file system does not take
            advise(descriptor, start, size, os.POSIX_FADV_DONTNEED)


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
    """Tell whether a path, existing or about to be made, lies on a file system that hosts share.

    Examples
    --------
    >>> is_network_path("/")
    False
    """
    target = os.path.realpath(path)
    best, kind = "", ""
    for mount, filesystem in _mounts():
        inside = target == mount or target.startswith(mount.rstrip(os.sep) + os.sep)
        if inside and len(mount) >= len(best):  # later mounts cover earlier ones on the same place
            best, kind = mount, filesystem
    return kind.lower() in _NETWORK_TYPES


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


def read_text(path: str) -> str:
    """Return a file of the system's; "" where it cannot be read. Names in it need not be UTF-8, nor whole."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


# ---------------------------------------------------------------- what a process uses, and whom it leaves behind


def peak_memory() -> int | None:
    """Return the peak resident bytes of this process since `PeakReset` was last called."""
    if WINDOWS:
        import psutil

        return int(psutil.Process().memory_info().peak_wset)  # type: ignore[attr-defined]  # there only
    import resource

    return peak_of(resource.getrusage(resource.RUSAGE_SELF))


def peak_of(used: Any) -> int:
    """Return the peak resident bytes in what `getrusage` or `wait4` says."""
    return (
        int(used.ru_maxrss) if MACOS else int(used.ru_maxrss) * 1024
    )  # bytes there, else kilobytes: getrusage(2)


def cpu_and_peak_reader() -> Callable[[], tuple[float, int]] | None:
    """Return what tells the CPU seconds of this process and its peak resident bytes in one system call (Linux)."""
    if not LINUX:
        return None
    from resource import getrusage

    def read() -> tuple[float, int]:
        used = getrusage(0)  # RUSAGE_SELF
        return used.ru_utime + used.ru_stime, used.ru_maxrss * 1024

    return read


def virtual_memory() -> int | None:
    """Return the peak virtual bytes of this process, or its present ones where the peak is not known."""
    if LINUX:
        for line in read_text("/proc/self/status").splitlines():
            if line.startswith("VmPeak:"):
                return int(line.split()[1]) * 1024
        return None
    import psutil

    return int(psutil.Process().memory_info().vms)


class PeakReset:
    """Sets this process' peak of resident memory back to what it holds now, where the system can (Linux)."""

    def __init__(self) -> None:
        self._file: int | None = None
        if LINUX:
            try:
                self._file = out_of_reach(os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC))
            except OSError:
                self._file = None  # some containers hide it

    def __call__(self) -> None:
        """Set it back."""
        if self._file is not None:
            try:
                os.write(self._file, b"5")  # proc_pid_clear_refs(5)
            except OSError:
                self._file = None

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)


def die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends (Linux); at once where that has happened already."""
    if LINUX:
        _prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: prctl(2)
    if not WINDOWS and os.getppid() != parent:
        os._exit(1)


def outlive_parent() -> None:
    """Undo `die_with`."""
    if LINUX:
        _prctl(1, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parents end (Linux), so that none gets out of sight."""
    if LINUX:
        _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: prctl(2)


def _prctl(option: int, value: int) -> None:
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def has_children() -> bool:
    """Tell whether this process has children, running or not yet waited for; about a microsecond."""
    if _PEEK is None:
        return False
    try:
        os.waitid(os.P_ALL, 0, _PEEK)
    except ChildProcessError:
        return False
    return True


_PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT if hasattr(os, "waitid") else None


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, children before grandchildren."""
    if LINUX:
        found: list[int] = []
        ask = [pid]
        while ask:
            parent = ask.pop()
            try:
                threads = os.listdir(f"/proc/{parent}/task")
            except OSError:
                continue
            for thread in threads:
                children = [
                    int(child) for child in read_text(f"/proc/{parent}/task/{thread}/children").split()
                ]
                found += children
                ask += children
        return found
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def is_resource_tracker(pid: int) -> bool:
    """Tell whether a process is the one that removes what multiprocessing or joblib left in shared memory."""
    if LINUX:
        told = read_text(f"/proc/{pid}/cmdline").split("\0")
    else:
        import psutil

        try:
            told = psutil.Process(pid).cmdline()
        except psutil.Error:
            return False
    return any(
        "resource_tracker import main" in word or "semaphore_tracker import main" in word for word in told
    )


def kill_tree(pid: int, number: int) -> None:
    """Send a signal to a process, its group and its descendants, also those that left the group.

    Who removes what the others leave in shared memory is not killed with them: it does so when they have ended.
    """
    below = descendants(pid)
    spared = {child for child in below if is_resource_tracker(child)} if number == _SIGKILL else set[int]()
    killed = [(child, os.kill) for child in (pid, *below) if child not in spared]
    for target, kill in killed if spared else [(pid, os.killpg), *killed]:
        try:
            kill(target, number)
        except (ProcessLookupError, PermissionError):
            continue


_SIGKILL = 9


def kill_marked(name: str, value: str, mapped: str = "") -> None:
    """Kill every process that was started with an environment in which `name` is `value`, or maps that file.

    It finds what has lost all its parents, which no tree leads to any more. A copy of a process has the environment
    that its original was started with, but what is mapped stays so in its copies.
    """
    import psutil

    for _ in range(10):  # what is killed may just have started others
        found = False
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or not (
                    process.environ().get(name) == value or (mapped and _maps(process.pid, mapped))
                ):
                    continue
                if process.status() != psutil.STATUS_ZOMBIE:
                    process.kill()
                    found = True
            except (psutil.Error, OSError):  # gone by now, or somebody else's
                continue
        if not found:
            return


def _maps(pid: int, file: str) -> bool:
    return LINUX and file in read_text(f"/proc/{pid}/maps")


def is_stopped(pid: int) -> bool:
    """Tell whether a process is suspended (SIGSTOP, a debugger)."""
    if LINUX:
        text = read_text(f"/proc/{pid}/stat")
        return text[text.rfind(")") + 2 :][:1] in {"T", "t"}
    import psutil

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def oom_kills(pid: int, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> int | None:
    """Return how often the kernel ended a process for want of memory, where this process lives; None if unknown.

    That is in its memory cgroup, of version 1 or 2; without one, on the whole machine.
    """
    if not LINUX:
        return None
    files = []
    for line in read_text(f"{proc}/{pid}/cgroup").splitlines():
        number, _, rest = line.partition(":")  # cgroups(7)
        kinds, _, path = rest.partition(":")
        path = path.strip("/")
        if "memory" in kinds.split(","):
            files += [f"{groups}/memory/{path}/memory.oom_control", f"{groups}/memory/memory.oom_control"]
        elif number == "0":
            files += [f"{groups}/{path}/memory.events", f"{groups}/memory.events"]
    for file in (*files, f"{proc}/vmstat"):
        for line in read_text(file).splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                return int(count)
    return None


def memory_left(pid: int, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> tuple[int, int] | None:
    """Return how many bytes may still be used where a process lives, and of how many; None if unknown.

    That is on the machine, or in its memory cgroup (version 1 or 2) where that leaves less. What the kernel can drop,
    like cached files, counts as left.
    """
    if not LINUX:
        return None
    machine = _numbers(f"{proc}/meminfo")  # proc_meminfo(5): kilobytes
    if "MemAvailable:" not in machine:
        return None
    found = [((machine["MemAvailable:"] + machine.get("SwapFree:", 0)) * 1024, machine["MemTotal:"] * 1024)]
    for line in read_text(f"{proc}/{pid}/cgroup").splitlines():
        number, _, rest = line.partition(":")  # cgroups(7)
        kinds, _, path = rest.partition(":")
        if "memory" in kinds.split(","):
            root, names = f"{groups}/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        elif number == "0":
            root, names = groups, ("memory.max", "memory.current", "")
        else:
            continue
        for folder in (
            f"{root}/{path.strip('/')}",
            root,
        ):  # the latter in containers that see their own group only
            limit, used = (read_text(f"{folder}/{name}").strip() for name in names[:2])
            if limit.isdecimal() and used.isdecimal() and int(limit) < machine["MemTotal:"] * 1024:
                cached = _numbers(f"{folder}/memory.stat")
                dropped = sum(cached.get(f"{names[2]}{kind}_file", 0) for kind in ("active", "inactive"))
                found.append((int(limit) - int(used) + dropped, int(limit)))
                break
    return min(found)


def _numbers(path: str) -> dict[str, int]:
    """Read a file of names and numbers."""
    lines = (line.split() for line in read_text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}


def thread_count() -> int:
    """Return how many threads this process has, those of libraries included."""
    import psutil

    return int(psutil.Process().num_threads())


def tree_memory(pid: int) -> int:
    """Return the resident bytes of a process and its descendants; pages that they share count for each."""
    total = 0
    if LINUX:
        page = os.sysconf("SC_PAGE_SIZE")
        for member in (pid, *descendants(pid)):
            fields = read_text(f"/proc/{member}/statm").split()
            total += int(fields[1]) * page if len(fields) > 1 else 0
        return total
    import psutil

    for member in (pid, *descendants(pid)):
        try:
            total += int(psutil.Process(member).memory_info().rss)
        except psutil.Error:
            continue
    return total


def tree_own_memory(pid: int) -> int:
    """Return the bytes of a process and its descendants, shared pages divided by their users; slower."""
    if not LINUX:
        return tree_memory(pid)
    total = 0
    for member in (pid, *descendants(pid)):
        for line in read_text(f"/proc/{member}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
                break
    return total


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


_HIGH = 1_000  # most systems allow 1,024


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


def can_fork() -> bool:
    """Tell whether a process of one thread may be copied: not on macOS, whose own libraries do not survive it."""
    return hasattr(os, "fork") and not MACOS


# --- locks on files ------------------------------------------------------------------------------------


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
