"""Ask the operating system how much this process may use: cores, descriptors, processes, swap.

Knows: limits of processes, CPU cgroups. May not know: who needs how much.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from memento.system.platform import LINUX, WINDOWS, read_text


def usable_cores(environment: Mapping[str, str], proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> int:
    """Return how many cores this process may use: by its affinity, its cgroup, and what Slurm has given it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cpu_limit(proc, groups)
    told = _cores_of_slurm(environment)
    return max(min(cores, int(limit or cores), told or cores), 1)


def _cores_of_slurm(environment: Mapping[str, str]) -> int | None:
    """Return the cores of this task of a Slurm job; of a batch script, which is no task, those of its node."""
    names = ("SLURM_CPUS_ON_NODE", "SLURM_CPUS_PER_TASK")
    if "SLURM_STEP_ID" in environment:
        names = names[::-1]
    told = (environment.get(name, "") for name in names)
    return next((int(text) for text in told if text.isdecimal() and int(text)), None)


def cpu_limit(proc: str = "/proc", groups: str = "/sys/fs/cgroup") -> float | None:
    """Return how many cores this process' cgroup may use at a time, as containers limit them; None for all."""
    if not LINUX:
        return None
    found = []
    for line in read_text(f"{proc}/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        inside = path.strip("/")
        if number == "0":  # version 2, cgroups(7): "max 100000", or how much of how long
            folders = [groups, *(f"{groups}/{part}" for part in _parts(inside))]
            found += [_share(*read_text(f"{folder}/cpu.max").split()[:2]) for folder in folders]
        elif "cpu" in kinds.split(","):
            for folder in (f"{groups}/cpu", *(f"{groups}/cpu/{part}" for part in _parts(inside))):
                names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
                found.append(_share(*(read_text(f"{folder}/{name}").strip() for name in names)))
    return min((share for share in found if share is not None), default=None)


def _parts(path: str) -> list[str]:
    """Return a group and all that it is in: "a", "a/b", "a/b/c"."""
    names = path.split("/") if path else []
    return ["/".join(names[: count + 1]) for count in range(len(names))]


def _share(quota: str = "", period: str = "") -> float | None:
    if not quota.isdecimal() or not period.isdecimal() or not int(period):
        return None
    return int(quota) / int(period)


def most_open_files() -> int | None:
    """Return how many descriptors this process may have; None for any number, or where nobody says."""
    return _limit("RLIMIT_NOFILE")


def most_processes() -> int | None:
    """Return how many processes and threads this user may have; None for any number, or where nobody says."""
    return _limit("RLIMIT_NPROC")


def _limit(name: str) -> int | None:
    if WINDOWS:
        return None
    import resource

    number = getattr(resource, name, None)
    if number is None:
        return None
    soft: int = resource.getrlimit(number)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def swap() -> tuple[int, int]:
    """Return how many bytes of swap are used, and of how many."""
    import psutil

    told = psutil.swap_memory()
    return int(told.used), int(told.total)
