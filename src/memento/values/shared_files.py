"""Have a large value reach a machine once: its memory lies in one file of the run, and each task maps it for itself.

Knows: files, mappings, pieces of bytes. May not know: what pickles are of, tasks, the index.

    coordinator   SharedFiles.put(parts) ──> SharedFile     written once, whoever asks for it
    worker        SharedFile.parts() ──> memory             copy-on-write: what a task writes there it alone sees

A mapping lives as long as the objects that are made of it. The file is, in this order:

    in memory     without a name, where the workers are of this machine and memory is left: `/proc/<pid>/fd/<n>` leads
                  to it. It goes with this process, however that ends, and no size of /dev/shm bounds it.
    on the disk   beside the store: without a name too where that leads there, else work/<run>/values. Its owner has
                  it locked, so that whoever begins a run next knows which ones are left by the dead: `sweep`.
                  Where jobs outlive this process it is work/<run>/values.handed, and goes with what else they were
                  handed.

Workers of another machine map the file beside the store: what they read of it stays in that machine's own memory, for
all of its workers, as long as there is room (`mapped` is the one place that opens files).
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import pickle
import struct
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from memento import system
from memento.errors import StoreError, StoreUnwritable
from memento.layout import SHARED_VALUES, SHARED_VALUES_HANDED, WORK, WRITING, Layout
from memento.values.buffers import new_memory

IN_MEMORY = "memento-values"  # what the system calls a file in memory
LARGE = 1 << 20  # bytes of a value that is worth a file
_LEAST = 1 << 12  # bytes of a buffer that is worth a part of its own
_MAP = 1 << 23  # bytes; less is read, since to touch a page for the first time costs more than to copy it
_ALIGN = 64  # bytes: a line of the processor's cache, and what its widest instructions want
_WRITE = 1 << 30  # bytes of one call
_MARK = 16  # bytes
_MARGIN = 0.1  # share of all memory that stays free
_PACKED = b"\x93memento-parts\x00"  # no pickle starts with it
_HEAD = struct.Struct("<I")


class SharedFile(NamedTuple):
    """Where the parts of a value are: a range of a file, and each part's offset in that and length, in bytes."""

    path: str
    mark: bytes  # with which the file begins
    start: int
    size: int
    extents: tuple[tuple[int, int], ...]

    def parts(self) -> list[memoryview]:
        """Return the parts, in memory that belongs to the caller."""
        memory = mapped(self.path, self.mark, self.start, self.size)
        return [memory[offset : offset + length] for offset, length in self.extents]


def mapped(path: str, mark: bytes, start: int, size: int) -> memoryview:
    """Return a range of a file as memory of the caller's own: nobody sees what is written there.

    Numbers of descriptors and processes are given to others once they are free: so the file has to begin with its mark.
    """
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed below
    except OSError as exc:
        raise _lost(path, exc.strerror or "") from exc
    with file:
        if file.read(_MARK) != mark:
            raise _lost(path, "another file is")
        if size >= _MAP:
            # No descriptor is left, or the file system has no mappings: then it is read.
            with contextlib.suppress(OSError, ValueError):
                return memoryview(system.map_private(file.fileno(), size, start))
        memory, done = new_memory(size), 0
        file.seek(start)
        while done < size:
            count = file.readinto(memory[done:])
            if not count:
                raise StoreError(path, "the values that a run shares with its workers were cut short.")
            done += count
        return memory


def _lost(path: str, why: str) -> StoreError:
    return StoreError(
        path,
        f"the values that a run shares with its workers are not there ({why}): the run has ended, or the program that"
        " began it is out of sight of this one.",
        "Run it again.",
    )


# ---------------------------------------------------------------- a value and its parts as bytes that travel


def beside(parts: list[memoryview]) -> Callable[[pickle.PickleBuffer], bool]:
    """Return what a pickler calls with each buffer: what is worth it is kept in `parts`, the rest in the pickle."""

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            view = buffer.raw()
        except BufferError:  # it is in pieces
            return True
        if view.nbytes < _LEAST:
            return True
        parts.append(view)
        return False

    return keep


def pack(body: bytes, parts: Sequence[memoryview], files: SharedFiles) -> bytes:
    """Return the bytes that travel for a pickle and its buffers, which go into a file; so does a large pickle."""
    inside = len(body) >= LARGE
    file = files.put([memoryview(body), *parts] if inside else parts)
    head = pickle.dumps((tuple(file), inside), protocol=5)
    return b"".join([_PACKED, _HEAD.pack(len(head)), head, b"" if inside else body])


def unpack(data: bytes | bytearray | memoryview) -> tuple[bytes | bytearray | memoryview, list[memoryview]]:
    """Return a pickle and its buffers, which are the caller's own."""
    view = memoryview(data)
    if view[: len(_PACKED)] != _PACKED:
        return data, []
    start = len(_PACKED) + _HEAD.size
    end = start + _HEAD.unpack_from(view, len(_PACKED))[0]
    file, inside = pickle.loads(view[start:end])
    parts = SharedFile(*file).parts()
    return (parts[0], parts[1:]) if inside else (view[end:], parts)


# ---------------------------------------------------------------- the coordinator's side


class _File:
    """A file that grows; `path` leads to it from other processes."""

    def __init__(self, descriptor: int, path: str, name: str = "") -> None:
        self.descriptor, self.path, self._name = descriptor, path, name
        self._mark = os.urandom(_MARK)
        self._size = 0
        # Address and bytes -> whose memory it is, and where in the file that stands.
        self._known: dict[tuple[int, int], tuple[weakref.ref[Any], int]] = {}

    def write(self, parts: Sequence[memoryview]) -> SharedFile:
        """Append what is not in it yet."""
        before, places = self._size, list[tuple[int, int]]()
        try:
            if not before:
                self._size = os.pwrite(self.descriptor, self._mark, 0)
            for part in parts:
                owner, address = _memory_of(part)
                known = self._known.get((address, part.nbytes))
                if known is not None and owner is not None and known[0]() is owner:
                    places.append((known[1], part.nbytes))
                    continue
                at = -(-self._size // _ALIGN) * _ALIGN
                self._write(part, at)
                self._size = at + part.nbytes
                places.append((at, part.nbytes))
                if owner is not None:
                    self._known[address, part.nbytes] = weakref.ref(owner), at
            if self._name and system.is_network_path(self._name):
                os.fsync(self.descriptor)  # other machines see what the server has
        except OSError:
            self._size = before
            self._known = {key: value for key, value in self._known.items() if value[1] < before}
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, before)
            raise
        start = min(at for at, _ in places) // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
        end = max(at + length for at, length in places)
        return SharedFile(
            self.path, self._mark, start, end - start, tuple((at - start, length) for at, length in places)
        )

    def _write(self, part: memoryview, at: int) -> None:
        done = 0
        while done < part.nbytes:
            done += os.pwrite(self.descriptor, part[done : done + _WRITE], at + done)

    def close(self) -> None:
        """Let go of it; mappings that are there keep what they have."""
        os.close(self.descriptor)
        if self._name:
            with contextlib.suppress(OSError):
                os.unlink(self._name)
            with contextlib.suppress(OSError):  # others are in the run's folder
                os.rmdir(os.path.dirname(self._name))


def _memory_of(part: memoryview) -> tuple[Any, int]:
    """Return the array that owns memory, and its address; (None, 0) where nobody can tell how long it stays."""
    array: Any = part.obj
    interface = getattr(array, "__array_interface__", None)
    if interface is None:
        return None, 0
    while hasattr(getattr(array, "base", None), "__array_interface__"):
        array = array.base
    return (array, interface["data"][0]) if getattr(array, "base", array) is None else (None, 0)


class SharedFiles:
    """What a run shares with its workers. Used by the process that made it; its threads may use it at once.

    `same_host`: all workers are of this machine and end with this process; `outlives`: jobs go on when it has ended.
    """

    def __init__(self, store: str, run: str, *, same_host: bool, outlives: bool = False) -> None:
        self._layout, self._run, self._outlives = Layout(store), run, outlives
        self._nameless = same_host and not outlives and hasattr(os, "memfd_create")
        self._pid = os.getpid()
        self._memory: _File | None = None
        self._disk: _File | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def is_ours(self) -> bool:
        """Tell whether this is the process that writes: a copy of it must not."""
        return self._pid == os.getpid()

    def put(self, parts: Sequence[memoryview]) -> SharedFile:
        """Write what is not there yet; raises StoreUnwritable."""
        size = sum(part.nbytes for part in parts)
        with self._lock:
            if self._closed:  # a thread that the run has left to itself goes on
                raise _lost(self._run, "all is closed")
            if self._nameless and _has_room(size):
                with contextlib.suppress(OSError):  # no memory, or no descriptor: then on the disk
                    if self._memory is None:
                        self._memory = _without_name(os.memfd_create(IN_MEMORY))
                    return self._memory.write(parts)
            try:
                if self._disk is None:
                    self._disk = self._on_disk()
                return self._disk.write(parts)
            except OSError as exc:
                folder = os.path.join(self._layout.root, WORK)
                raise StoreUnwritable(
                    folder,
                    f"a value of {size / 1e6:,.0f} MB cannot be written here for the workers to share"
                    f" ({os.strerror(exc.errno or errno.EIO)}), nor is there as much memory.",
                    "Make room, or let each task load it from a file.",
                ) from exc

    def _on_disk(self) -> _File:
        if self._nameless:
            import tempfile

            folder = os.path.join(self._layout.root, WORK)
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file, contextlib.suppress(OSError):
                return _without_name(os.dup(file.fileno()))
        folder = self._layout.work(self._run)
        os.makedirs(folder, exist_ok=True)
        name = os.path.join(folder, SHARED_VALUES_HANDED if self._outlives else SHARED_VALUES)
        # Under its own name it counts as a dead run's until it is locked.
        unlocked = os.path.join(folder, f"{WRITING}-{SHARED_VALUES}")
        descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        with contextlib.suppress(OSError):  # a network's disk without locks: then nobody sweeps it either
            system.try_lock(descriptor)
        os.replace(unlocked, name)
        return _File(descriptor, name, name)

    def close(self) -> None:
        """Remove all of it. Idempotent."""
        with self._lock:
            for file in (self._memory, self._disk):
                if file is not None:
                    file.close()
            self._memory = self._disk = None
            self._closed = True


def _has_room(size: int) -> bool:
    left = system.memory_left(os.getpid())
    return left is None or left[0] - size > _MARGIN * left[1]


def _without_name(descriptor: int) -> _File:
    """Return a nameless file; OSError where no path leads to it."""
    descriptor = system.out_of_reach(descriptor)
    path = f"/proc/{os.getpid()}/fd/{descriptor}"
    try:
        if not os.path.samestat(os.stat(path), os.fstat(descriptor)):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    except OSError:
        os.close(descriptor)
        raise
    return _File(descriptor, path)


def sweep(store: str) -> None:
    """Remove what runs have left that were killed."""
    root = os.path.join(store, WORK)
    try:
        # Tasks' own folders are named by keys. Not ours: to some disks, locks of one process are one.
        runs = [name for name in os.listdir(root) if "-" in name and f"-{os.getpid()}-" not in name]
    except OSError:
        return
    for run in runs:
        name = os.path.join(root, run, SHARED_VALUES)
        with contextlib.suppress(OSError):  # it has none, or it is another user's
            descriptor = os.open(name, os.O_RDWR)
            try:
                if system.try_lock(descriptor):
                    os.unlink(name)
                    os.rmdir(os.path.dirname(name))  # where nothing else is in it
            finally:
                os.close(descriptor)
