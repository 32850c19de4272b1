"""Copy this process, where a copy is sound: a fork has at hand what the program has imported, for milliseconds.

Knows: threads, descriptors, libraries that do not survive a fork. May not know: tasks, the server, workers.

A copy has one thread. What other threads held or were about to do is gone in it, so it may wait for ever; and what
both write to, or read from, gets mixed up. So there are two looks:

    before  `objection`: what this program has that a copy must not have, in words; "" where nothing is in the way
    after   `fork`: libraries that know of forks end their threads in a handler (OpenBLAS does, and starts them again
            when they are needed); if another thread still stands beside ours, the copy is ended before it does anything

A descriptor that the program has opened must not be shared, and must not be closed either, since something in the
copy may still use its number; so programs that have any, beside those named, are not copied.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from memento import system
from memento.index.heartbeat import foreign_threads, let_go, stand_still

if TYPE_CHECKING:
    import subprocess

# Loaded, these have begun what does not survive a fork, or have read how many threads they may use.
_UNSOUND = (
    "cupy", "eventlet", "gevent", "jax", "mpi4py", "mxnet", "numba", "numexpr", "obstore", "paddle", "pyspark", "ray",
    "tensorflow", "torch",
)  # fmt: skip
_KNOWN_TO_SURVIVE = frozenset({"jemalloc_bg_thd"})  # their library starts them again in a copy, if at all
# Nothing gets mixed up there.
_HARMLESS = ("/dev/null", "/dev/tty", "/dev/pts/", "/dev/random", "/dev/urandom", "/dev/zero")
_GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dxg")  # NVIDIA's, AMD's, Windows' in its Linux
_POOLS = ("openblas", "libgomp", "libiomp", "libomp", "libmkl", "libblis", "flexiblas")
_LARGE = 1 << 30  # bytes; of a larger program each task would seem to hold them
_NAMED = 3  # threads that are told


def objection(store: str) -> str:
    """Say what keeps this program from being copied, files in the store apart; "" where nothing does."""
    if not system.LINUX:
        return "only Linux copies programs safely"
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "a debugger or profiler looks on"
    threads = foreign_threads()
    if threads or threading.current_thread() is not threading.main_thread():
        names = ", ".join(thread.name for thread in threads[:_NAMED])
        return f"it runs several threads ({names}{', ...' if len(threads) > _NAMED else ''})"
    loaded = [name for name in _UNSOUND if name in sys.modules]
    if loaded:
        return f"it has imported {loaded[0]}"
    if _resident() > _LARGE:
        return "it holds much memory"
    foreign = next(_foreign_descriptors(store), None)
    return f"it has opened {foreign[1]}" if foreign else ""


def _descriptors() -> Iterator[tuple[int, str]]:
    """Return what is open beyond the standard streams, and what each leads to."""
    with os.scandir("/proc/self/fd") as entries:
        numbers = [int(entry.name) for entry in entries]
    for number in numbers:
        with contextlib.suppress(OSError):  # the look itself had one open
            if number > 2:
                yield number, os.readlink(f"/proc/self/fd/{number}")


def holds_gpu() -> bool:
    """Tell whether this process has begun to use a GPU: a copy of it cannot, and counts devices as its original did.

    To ask once whether there are any is enough, as `torch.cuda.is_available()` does at the top of many scripts.
    """
    return system.LINUX and any(target.startswith(_GPUS) for _, target in _descriptors())


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(system.read_text("/proc/self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _foreign_descriptors(store: str) -> Iterator[tuple[int, str]]:
    inside = os.path.join(os.path.realpath(store), "")
    own = {number for descriptors in let_go for number in descriptors()}
    for number, target in _descriptors():
        if number in own or target.startswith((inside, "/memfd:memento-", *_HARMLESS)):
            continue
        # What Python opens is closed in programs that are started: a pipe without that mark was here before.
        if not (target.startswith("pipe:") and os.get_inheritable(number)):
            yield number, target


def fork(threads: int | None = None) -> int | None:
    """Fork where the copy has every thread of this process: its number, 0 in the copy, None where it has not.

    In the copy, signals do what they do in a new process, and SIGINT nothing; pools of libraries have so many threads.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it may be closed, or of the program's own making
            stream.flush()
    limits = _limit_pools(threads) if threads is not None else None
    verdict, tell = os.pipe()
    pid, sound = -1, False
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings(), contextlib.suppress(OSError):  # no memory, too many processes
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: we look ourselves
            pid = os.fork()
        if pid == 0:
            os.close(tell)
            if os.read(verdict, 1) != _SOUND:
                os._exit(0)
            _forget_handlers()
            return 0
        sound = pid > 0 and all(name in _KNOWN_TO_SURVIVE for name in _other_threads())
        if sound:
            os.write(tell, _SOUND)
        os.close(tell)
        if pid > 0 and not sound:
            os.waitpid(pid, 0)
        return pid if sound else None
    finally:
        os.close(verdict)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if limits is not None and pid != 0:
            limits.restore_original_limits()


def _other_threads() -> list[str]:
    """Return the names of this process' threads but the main one, and those that stand still."""
    if not system.LINUX:
        return [""] * (system.thread_count() - 1 - len(stand_still))
    names = []
    still = {thread.native_id for thread in stand_still}
    for thread in os.listdir("/proc/self/task"):
        if int(thread) != os.getpid() and int(thread) not in still:
            # A thread that has just ended stays a thread that was there.
            names.append(system.read_text(f"/proc/self/task/{thread}/comm").strip())
    return names


def _limit_pools(threads: int) -> Any:
    """Have pools of threads that libraries made in this process use fewer; returns what undoes it, or None."""
    # An environment variable would come too late for them. Set before the fork, for a pool that is told so later
    # starts its threads first.
    mapped = system.read_text("/proc/self/maps").lower()
    if any(name in mapped for name in _POOLS):
        import threadpoolctl

        return threadpoolctl.threadpool_limits(limits=threads)
    return None


def _forget_handlers() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def start_anew(keep: Iterable[int], output: int | None) -> None:
    """In a copy of the program: let go of all descriptors but some, and print elsewhere, as a process just started."""
    os.setsid()
    kept = set(keep)
    null = os.open(os.devnull, os.O_RDWR)
    for number in [number for number, _ in _descriptors() if number != null]:
        if number not in kept:
            # Not closed: the program's objects still have the number, which must lead nowhere.
            with contextlib.suppress(OSError):
                os.dup2(null, number, inheritable=False)
    os.dup2(null, 0)
    os.close(null)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, f"__{name}__")
        if stream is None or stream.closed or not _writes_to(stream, number):
            stream = open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, f"__{name}__", stream)
        setattr(sys, name, stream)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    gc.enable()


def _writes_to(stream: Any, number: int) -> bool:
    try:
        return bool(stream.fileno() == number)
    except (OSError, ValueError):
        return False


class Copy:
    """The process number of a copy, with the methods of `subprocess.Popen` that its parent needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # the program waits for whatever ends
                self.returncode = -signal.SIGKILL
            else:
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def ends(process: Copy | subprocess.Popen[bytes], within: float) -> bool:
    """Wait so many seconds for a process to end; tell whether it has."""
    for _ in range(int(within / _LOOK)):
        if process.poll() is not None:
            return True
        select.select([], [], [], _LOOK)
    return process.poll() is not None


_SOUND = b"y"
_LOOK = 0.001  # seconds
