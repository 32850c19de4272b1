"""Ask the operating system how much memory and processor time processes use, and how much memory is left.

Knows: the kernel's counters, memory cgroups. May not know: limits, tasks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from memento.system.files import out_of_reach
from memento.system.platform import LINUX, MACOS, WINDOWS, read_text
from memento.system.process import asked, descendants


def peak_memory() -> int | None:
    """Return the peak resident bytes of this process since `PeakReset` was last called."""
    if WINDOWS:
        return asked(os.getpid(), lambda process: int(process.memory_info().peak_wset), None)  # type: ignore[attr-defined]  # there only
    import resource

    return peak_of(resource.getrusage(resource.RUSAGE_SELF))


def peak_of(used: Any) -> int:
    """Return the peak resident bytes in what `getrusage` or `wait4` says."""
    return int(used.ru_maxrss) * (1 if MACOS else 1024)  # bytes there, else kilobytes: getrusage(2)


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
    return asked(os.getpid(), lambda process: int(process.memory_info().vms), None)


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


def tree_memory(pid: int) -> int:
    """Return the resident bytes of a process and its descendants; pages that they share count for each."""
    total, tree = 0, (pid, *descendants(pid))
    if not LINUX:
        return sum(asked(member, lambda process: int(process.memory_info().rss), 0) for member in tree)
    for member in tree:
        fields = read_text(f"/proc/{member}/statm").split()
        total += int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0
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


def tree_mapped_memory(pid: int, name: str) -> int:
    """Return how much of that is of mapped files with this in their path, less what is changed in them (Linux)."""
    total = 0
    for member in (pid, *descendants(pid)) if LINUX else ():
        ours = False
        for line in read_text(f"/proc/{member}/smaps").splitlines():
            key, _, rest = line.partition(" ")
            if not key.endswith(":"):  # a mapping: addresses, flags, ..., path
                ours = name in rest
            elif ours and key in ("Pss:", "Anonymous:"):
                total += int(rest.split()[0]) * (1024 if key == "Pss:" else -1024)
    return total


# -- of the machine, or of the cgroup


def memory_left(pid: int, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> tuple[int, int] | None:
    """Return how many bytes may still be used where a process lives, and of how many; None if unknown.

    That is on the machine, or in its memory cgroup where that leaves less. What the kernel can drop, like cached
    files, counts as left.
    """
    machine = _numbers(f"{proc}/meminfo") if LINUX else {}  # proc_meminfo(5): kilobytes
    if "MemAvailable:" not in machine:
        return None
    found = [((machine["MemAvailable:"] + machine.get("SwapFree:", 0)) * 1024, machine["MemTotal:"] * 1024)]
    for folder, version in _memory_groups(pid, proc, groups):
        names = (
            ("memory.max", "memory.current")
            if version == 2
            else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        limit, used = (read_text(f"{folder}/{name}").strip() for name in names)
        if limit.isdecimal() and used.isdecimal() and int(limit) < machine["MemTotal:"] * 1024:
            cached, of = _numbers(f"{folder}/memory.stat"), "" if version == 2 else "total_"
            dropped = sum(cached.get(f"{of}{kind}_file", 0) for kind in ("active", "inactive"))
            found.append((int(limit) - int(used) + dropped, int(limit)))
    return min(found)


def oom_kills(pid: int, proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> int | None:
    """Return how often the kernel ended a process for want of memory, where this process lives; None if unknown.

    That is in its memory cgroup; without one, on the whole machine.
    """
    if not LINUX:
        return None
    files = [
        f"{folder}/memory.events" if version == 2 else f"{folder}/memory.oom_control"
        for folder, version in _memory_groups(pid, proc, groups)
    ]
    counts = (_numbers(file).get("oom_kill") for file in (*files, f"{proc}/vmstat"))
    return next((count for count in counts if count is not None), None)


def _memory_groups(pid: int, proc: str, groups: str) -> Iterator[tuple[str, int]]:
    """Yield the folders of a process' memory cgroup, each with its version: 1 or 2, cgroups(7)."""
    for line in read_text(f"{proc}/{pid}/cgroup").splitlines():
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        if "memory" in kinds.split(","):
            root, version = f"{groups}/memory", 1
        elif number == "0":
            root, version = groups, 2
        else:
            continue
        yield f"{root}/{path.strip('/')}", version
        yield root, version  # in containers that see their own group only


def _numbers(path: str) -> dict[str, int]:
    """Read a file of names and numbers."""
    lines = (line.split() for line in read_text(path).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdecimal()}
