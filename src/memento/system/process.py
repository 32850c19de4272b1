"""Ask the operating system about processes: who lives, who is whose child; end some, adopt some; what this one has.

Knows: process numbers, signals, environment, umask, filters of warnings. May not know: what a process is for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from memento.system.platform import LINUX, MACOS, WINDOWS, boot_identity, read_text

if TYPE_CHECKING:
    import psutil

T = TypeVar("T")
_DEAD_STATES = frozenset("ZXx")  # proc(5): zombie, dead, dead
_SIGKILL = 9
_BETWEEN = "~"  # the parts of a mark
_PEEK = os.WEXITED | os.WNOHANG | os.WNOWAIT if hasattr(os, "waitid") else None


def asked(pid: int, question: Callable[[psutil.Process], T], otherwise: T) -> T:
    """Ask about a process where there is no /proc."""
    import psutil  # 15 ms

    try:
        return question(psutil.Process(pid))
    except psutil.Error:
        return otherwise


def _fields(pid: int) -> list[str]:
    """Return what Linux tells of a process from its state on; nothing where it is gone."""
    text = read_text(f"/proc/{pid}/stat")
    # The name, in parentheses, may hold spaces and parentheses: fields count from the last one.
    return text[text.rfind(")") + 2 :].split()


def process_start(pid: int) -> str | None:
    """Return what tells this process from a later one with the same pid; None when it is gone or a zombie.

    On Linux these are the ticks between boot and the process's start, which no clock change moves.
    """
    if LINUX:
        fields = _fields(pid)
        return fields[19] if len(fields) >= 20 and fields[0] not in _DEAD_STATES else None
    if asked(pid, lambda process: process.status(), "zombie") in ("zombie", "dead"):
        return None
    return asked(pid, lambda process: f"{process.create_time():.2f}", None)


def is_alive(pid: int, started: str) -> bool:
    """Tell whether `pid` is still the process that `process_start` described as `started`."""
    return process_start(pid) == started


def program_start(now: float) -> float:
    """Return when this process began, on the clock that says `now`: UTC seconds."""
    ticks = process_start(os.getpid()) if LINUX else None
    if ticks is not None:
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")
        return now - age
    return asked(os.getpid(), lambda process: float(process.create_time()), now)


def is_stopped(pid: int) -> bool:
    """Tell whether a process is suspended (SIGSTOP, a debugger)."""
    if LINUX:
        return _fields(pid)[:1] in (["T"], ["t"])
    return asked(pid, lambda process: bool(process.status() == "stopped"), False)


def thread_count() -> int:
    """Return how many threads this process has, those of libraries included."""
    return asked(os.getpid(), lambda process: int(process.num_threads()), 1)


def can_fork() -> bool:
    """Tell whether a process of one thread may be copied: not on macOS, whose own libraries do not survive it."""
    return hasattr(os, "fork") and not MACOS


# -- marks: <pid>~<start>~<boot> in a file's name says who is at it; a later process with the pid has another start


def own_mark() -> str:
    """Return this process' mark: letters that any file system takes."""
    return _mark(os.getpid())


@lru_cache(maxsize=1)  # of this process; a copy of it (fork) asks with another pid
def _mark(pid: int) -> str:
    return _BETWEEN.join((str(pid), process_start(pid) or "", _boot()))


def is_marked_gone(mark: str) -> bool | None:
    """Tell whether a marked process is gone; None where that cannot be seen from here, or it is no mark."""
    pid, _, rest = mark.partition(_BETWEEN)
    started, _, boot = rest.partition(_BETWEEN)
    if not pid.isdecimal() or boot != _boot():
        return None
    return not is_alive(int(pid), started)


def _boot() -> str:
    """Return what names this boot of this machine, and its set of process numbers, in 8 characters."""
    from zlib import crc32

    return f"{crc32(boot_identity().encode()):08x}"


# -- parents and children


def has_children() -> bool:
    """Tell whether this process has children, running or not yet waited for; about a microsecond."""
    if _PEEK is None:
        return False
    try:
        os.waitid(os.P_ALL, 0, _PEEK)
    except ChildProcessError:
        return False
    return True


def parent_of(pid: int) -> int | None:
    """Return the process whose child this one is now; None where it is gone."""
    if LINUX:
        fields = _fields(pid)
        return int(fields[1]) if len(fields) > 1 else None
    return asked(pid, lambda process: int(process.ppid()), None)


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, children before grandchildren.

    Some may be missing: while they are looked for, parents end, and their children get others.
    """
    if LINUX:
        found: list[int] = []
        rest = [pid]
        while rest:
            parent = rest.pop()
            try:
                threads = os.listdir(f"/proc/{parent}/task")
            except OSError:
                continue
            for thread in threads:
                children = [
                    int(child) for child in read_text(f"/proc/{parent}/task/{thread}/children").split()
                ]
                found += children
                rest += children
        return found
    return asked(pid, lambda process: [child.pid for child in process.children(recursive=True)], [])


def is_resource_tracker(pid: int) -> bool:
    """Tell whether a process is the one that removes what multiprocessing or joblib left in shared memory."""
    if LINUX:
        told = read_text(f"/proc/{pid}/cmdline").split("\0")
    else:
        told = asked(pid, lambda process: process.cmdline(), [])
    return any(
        "resource_tracker import main" in word or "semaphore_tracker import main" in word for word in told
    )


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


# -- ending


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


def signal_group(group: int, number: int) -> None:
    """Send a signal once to each process of a group, if there are any."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS: only zombies are left
        return


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


# -- what this process has once, for all its threads
#
# Other threads of the program change it meanwhile. And what is put aside and put back takes turns: where two threads of
# ours put it aside at once, the second one finds what the first has set for a moment, and "puts back" that for good.

_turn = threading.RLock()


def _new_turn() -> None:
    """In a copy of a process: whoever had its turn there is not here."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_turn)


def turn() -> AbstractContextManager[object]:
    """Return what a thread of ours holds while it looks at, or puts aside for a moment, what the process has once."""
    return _turn


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore all warnings of what is done in the `with` block, which is short: other threads of ours wait for it."""
    import warnings

    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def environment() -> dict[str, str]:
    """Return a copy of the environment; a variable that another thread removes meanwhile is in it, or is not."""
    found = ((name, os.environ.get(name)) for name in list(os.environ))
    return {name: value for name, value in found if value is not None}


def umask() -> int:
    """Return which permissions new files do not get."""
    told = read_text("/proc/self/status").partition("\nUmask:")[2].split(maxsplit=1)
    if told:
        return int(told[0], 8)
    with _turn:  # here it cannot be asked for without being set
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
