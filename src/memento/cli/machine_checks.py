"""What `memento doctor` looks at on this machine: Python, packages, cores, memory, limits, GPUs, git, variables.

Knows: what the system, the environment and installed packages tell. May not know: stores.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata, util
from typing import NamedTuple

from memento import system
from memento.store.provenance import redact_urls
from memento.suggest import nearest
from memento.system.limits import cpu_limit, most_open_files, most_processes, swap
from memento.wording import number_of, size_text

OK, WARNING, PROBLEM = "ok", "warning", "problem"
_NAME = "memento-ml"
_OLDEST, _NEWEST = (3, 10), (3, 13)  # that are tested
# What is imported of an extra's package, where that is not its name.
_MODULES = {
    "scikit-learn": "sklearn",
    "mlflow-skinny": "mlflow",
    "pyyaml": "yaml",
    "tensorboardx": "tensorboardX",
}
_FILES = 1_024  # descriptors; a run with many workers has three for each
_SHOWN = 16  # GPUs
_A_WORKER = 4  # processes and threads that a worker takes, at least
_LITTLE = 1_000_000_000  # bytes of memory
_OURS = {  # variables, and whether their value is shown
    "MEMENTO_STORE": True,
    "MEMENTO_CACHE_PATH": True,
    "MEMENTO_PAYLOADS": True,
    "MEMENTO_NOTIFY": False,
    "MEMENTO_FAULTS": False,
    "MEMENTO_WORKER_OF": False,
    "MEMENTO_WORDBREAKS": False,
}
_POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    level: str  # OK, WARNING: works, but slowly or not for everything; PROBLEM: will not work
    found: str
    why: str = ""  # it matters
    fix: str = ""  # what mends it


def python() -> Iterator[Check]:
    """Look at the versions."""
    from memento import __version__

    version = sys.version.split()[0]
    found = f"Memento {__version__}, Python {version} ({sys.executable})"
    if sys.version_info[:2] < _OLDEST or sys.version_info[:2] > _NEWEST:
        tested = f"{_OLDEST[0]}.{_OLDEST[1]} to {_NEWEST[0]}.{_NEWEST[1]}"
        yield Check("versions", WARNING, found, f"Memento is tested with Python {tested}.", "")
    else:
        yield Check("versions", OK, found)


def _required() -> dict[str, list[str]]:
    """Return the packages that Memento needs by extra; "" is the base."""
    needed: dict[str, list[str]] = {}
    for line in metadata.requires(_NAME) or []:
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if marker and not extra:
            continue  # of some platforms and versions only
        name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
        if name and name[0].lower() != _NAME:
            needed.setdefault(extra[1] if extra else "", []).append(name[0])
    return needed


def packages() -> Iterator[Check]:
    """Look for what Memento needs."""
    try:
        needed = _required().get("", [])
    except metadata.PackageNotFoundError:
        why = "Extras and versions are not known; all else works."
        yield Check("packages", WARNING, "Memento runs from a source tree", why, "pip install -e .")
        return
    missing = [name for name in needed if not _is_there(name)]
    if missing:
        why = "Memento does not work without them."
        fix = f"pip install {' '.join(missing)}"
        yield Check("packages", PROBLEM, f"missing: {', '.join(missing)}", why, fix)
    else:
        yield Check("packages", OK, ", ".join(f"{name} {_version(name)}" for name in needed))


def extras() -> Iterator[Check]:
    """Say which extras are there."""
    try:
        needed = _required()
    except metadata.PackageNotFoundError:
        return
    known = {extra: all(map(_is_there, names)) for extra, names in needed.items() if extra not in ("", "all")}
    there = [extra for extra, is_there in known.items() if is_there]
    lacking = [extra for extra, is_there in known.items() if not is_there]
    found = ", ".join(sorted(there)) or "none"
    fix = f"not installed: {', '.join(sorted(lacking))} (pip install 'memento-ml[NAME]')" if lacking else ""
    yield Check("extras", OK, f"{found}{f'; {fix}' if fix else ''}")


def _is_there(name: str) -> bool:
    """Whether a package can be imported, without importing it."""
    module = _MODULES.get(name.lower(), name.replace("-", "_"))
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "?"


def cores(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Say how many tasks run at once by default, and what holds that below the machine's cores."""
    from memento.runner.options import default_workers

    workers, allowed = default_workers(1), cpu_limit()
    found = f"{number_of(workers, 'worker')} by default, of {number_of(os.cpu_count() or 1, 'core')}"
    if allowed is not None:
        found += f"; the container may use {allowed:g} of them at a time"
    if "SLURM_JOB_ID" in environment:
        found += "; this is a Slurm job, and counts what it was given"
    if allowed is not None and allowed < 1:
        why = "Tasks, and Memento itself, wait for their turn."
        yield Check("cores", WARNING, found, why, "give the container a core or more")
    else:
        yield Check("cores", OK, found)


def memory() -> Iterator[Check]:
    """Look at what is left of memory, and at swap."""
    left = system.memory_left(os.getpid())
    if left is not None:
        free, total = left
        found = f"{size_text(max(free, 0))} of {size_text(total)} are left"
        if free < _LITTLE:
            why = "Tasks that need more are ended by the system."
            yield Check("memory", WARNING, found, why, "End other programs, or use fewer workers: -j N")
        else:
            yield Check("memory", OK, found)
    used, size = swap()
    found = f"{size_text(used)} of {size_text(size)} are in use" if size else "none"
    if size and used > size // 2 and used > _LITTLE:
        why = "What is swapped out is a thousand times as slow."
        yield Check("swap", WARNING, found, why, "Fewer workers (-j N), or memory_limit= for each task")
    else:
        yield Check("swap", OK, found)


def limits() -> Iterator[Check]:
    """Look at how many files and processes there may be."""
    from memento.runner.options import default_workers

    files, processes = most_open_files(), most_processes()
    needed = 64 + _A_WORKER * default_workers(1)
    for name, limit, enough, option in (
        ("open files", files, _FILES, "-n"),
        ("processes", processes, needed, "-u"),
    ):
        if limit is not None and limit < enough:
            why = f"Many workers need more {name}: the run would not start them, or tasks would fail."
            yield Check(name, WARNING, f"at most {limit:,}", why, f"ulimit {option} {max(enough, 4_096)}")
        else:
            yield Check(name, OK, "no limit" if limit is None else f"at most {limit:,}")


def threads(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Say what holds libraries to fewer threads."""
    told = {name: environment[name] for name in _POOLS if environment.get(name)}
    numbers = {name: text for name, text in told.items() if text.partition(",")[0].strip().isdecimal()}
    odd = sorted(told.keys() - numbers.keys())
    if odd:
        why = "Libraries ignore what is no number. Workers get as many threads as a task has cores."
        yield Check("threads", WARNING, f"no numbers: {', '.join(odd)}", why, f"unset {' '.join(odd)}")
    elif numbers:
        found = ", ".join(f"{name}={text[:20]}" for name, text in numbers.items())
        yield Check("threads", OK, f"{found}; a task gets no more, whatever cpus_per_task is")
    else:
        yield Check("threads", OK, "as many as a task has cores (cpus_per_task), in each worker")


def gpus(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Say which GPUs tasks can have, and why they cannot have others."""
    from memento.executors.gpus import find
    from memento.executors.nvml import is_installed

    found = find(environment)
    devices, count = found.devices, len(found.devices)
    if count:
        yield Check("GPUs", OK, f"{count}; gpus_per_task=1 gives a task one")
    for device in devices[:_SHOWN]:
        memory = "how much memory it has is not known"
        if device.total is not None and device.free is not None:
            memory = f"{size_text(device.free)} of {size_text(device.total)} are free"
        busy = "; others use it, so its turn comes last" if device.busy else ""
        yield Check(device.label, OK, f"{device.name}: {memory}{busy}")
    if count and all(device.total is None for device in devices) and not is_installed():
        why = "gpu_memory='10GB', say, needs to know how much memory is free."
        yield Check("memory of GPUs", WARNING, "not known", why, "pip install 'memento-ml[gpu]'")
    hides = "CUDA_VISIBLE_DEVICES" in environment and not count
    if hides and not find({}).devices:  # there are none to hide
        found = found._replace(left_out=())
    for text in found.left_out:
        fix = "unset CUDA_VISIBLE_DEVICES" if hides else ""
        yield Check("GPUs", WARNING, text, "Tasks do not get it." if count else "Tasks get no GPU.", fix)
    if not count and not found.left_out:
        yield Check("GPUs", OK, "none")


def workers() -> Iterator[Check]:
    """Say how workers start."""
    if system.can_fork():
        yield Check("workers", OK, "start as copies of the program where that is safe, else anew")
    else:
        yield Check("workers", OK, "start anew: this system does not let programs be copied safely")


def git() -> Iterator[Check]:
    """Look for git."""
    if shutil.which("git"):
        yield Check("git", OK, "is there: runs record the commit and uncommitted changes")
    else:
        why = "Runs do not record the commit that they were made with."
        yield Check("git", WARNING, "is not installed", why, "Install git")


def variables(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Look at our variables; values that may be secret are not shown."""
    ours = {name: text for name, text in environment.items() if name.startswith("MEMENTO")}
    for name, text in sorted(ours.items()):
        if name not in _OURS:
            meant = nearest(name, _OURS)
            fix = f"export {meant[0]}=..., and unset {name}" if meant else f"unset {name}"
            yield Check(name, WARNING, "is no variable of Memento", "Nothing reads it.", fix)
        else:
            yield Check(name, OK, redact_urls(text) if _OURS[name] else "is set (its value is not shown)")
    if ours.get("MEMENTO_STORE") and ours.get("MEMENTO_CACHE_PATH"):
        why = "Only MEMENTO_STORE is used."
        yield Check("variables", WARNING, "two name the store", why, "unset MEMENTO_CACHE_PATH")
