"""Where the bytes of a store are: what any place must do, and the folder on a disk that does it.

Knows: names, files, what is durable. May not know: what the bytes mean, checksums, the index.

A name is relative, its parts are joined by "/": ``3f/3fa9.npy``. A second kind of place, like an object store, is one
class more; `memento.testing.PlaceContract` has the tests that it must pass.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from memento import faultpoints
from memento.errors import StoreUnwritable
from memento.layout import QUARANTINE, WRITING
from memento.system import fsync_folder, map_private, own_mark, start_writing
from memento.values.buffers import PIECE, Seen, flat, joined, new_memory

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path


class Content(ABC):
    """A content that is open: always the same bytes, also where its name is given to others meanwhile.

    Attributes
    ----------
    size : int
        Its bytes.
    identity : hashable or None, default=None
        Tells this content from all that are written under its name before and after, in any process; None where the
        place cannot tell: then whoever verifies contents does so whenever one is read.
    """

    size: int
    identity: Hashable = None

    @abstractmethod
    def read_into(self, memory: memoryview, at: int) -> int:
        """Read from byte `at` on into memory; return how many bytes, 0 at the end."""

    def between(self, start: int, end: int) -> bytes:
        """Return some of the bytes; fewer where the content ends before."""
        memory = memoryview(bytearray(max(end - start, 0)))
        return bytes(memory[: self._fill(memory, start)])

    def read(self, lengths: Sequence[int] | None = None, seen: Seen | None = None) -> list[memoryview]:
        """Read pieces of these lengths, all by default, into memory of their own.

        A content that ends before is damaged. Where `seen` makes its checksum, that tells, and what is missing is read
        as zeros; where nobody looks, it is an `OSError`.
        """
        # One thread reads: where a grid keeps the cores busy, several take three times as long.
        pieces = [new_memory(length) for length in ([self.size] if lengths is None else lengths)]
        at = 0
        for piece in pieces:
            for start in range(0, piece.nbytes, PIECE):
                part = piece[start : start + PIECE]
                filled = self._fill(part, at)
                if filled < part.nbytes and seen is None:
                    raise OSError(errno.EIO, "it was cut short while it was read")
                part[filled:] = bytes(part.nbytes - filled)
                at += part.nbytes
                if seen is not None:
                    seen(part)
        return pieces

    def pass_through(self, size: int, seen: Seen) -> None:
        """Tell `seen` the first bytes, and keep none."""
        room = new_memory(min(size, PIECE))
        for start in range(0, size, PIECE):
            part = room[: min(PIECE, size - start)]
            filled = self._fill(part, start)
            part[filled:] = bytes(part.nbytes - filled)
            seen(part)

    def _fill(self, memory: memoryview, at: int) -> int:
        """Read until memory is full or the content ends; return how many bytes."""
        filled = 0
        while filled < memory.nbytes and (count := self.read_into(memory[filled:], at + filled)):
            filled += count
        return filled

    def map(self) -> memoryview:
        """Return all of it, read when it is looked at where the place can; what is changed there stays there.

        Each call returns memory that nobody else writes to, valid as long as it is held.
        """
        return self.read()[0]


Cut = Callable[[Content], Sequence[int]]
"""Says into pieces of which lengths a content is to be read."""


class Place(ABC):
    """Where bytes are kept under names; threads and processes may use one place at the same time.

    What cannot be read raises `OSError`: `FileNotFoundError` where there is nothing of that name, `errno.EIO` where the
    bytes are lost, any other where it fails for now. A name that could lead elsewhere is a `ValueError`.

    Attributes
    ----------
    identifies : bool, default=False
        Whether its contents have an identity, so that a large one is verified once a process.
    lists_free : bool, default=True
        Whether a look for a name costs next to nothing; where it is a request, who has several names asks for all.
    """

    identifies = False
    lists_free = True

    @abstractmethod
    def where(self, name: str) -> str:
        """Return a path or an address, for people."""

    @abstractmethod
    def write(self, name: str, buffers: Sequence[Any]) -> None:
        """Write a content; durable on return. A reader, or a crash, finds what was there before or all of the new.

        Raises
        ------
        StoreUnwritable
            It cannot be written; what was there before still is.
        """

    def overwrite(self, name: str, buffers: Sequence[Any]) -> None:
        """Write as `write` does, perhaps over the bytes that are there: a crash may leave it torn."""
        self.write(name, buffers)

    @abstractmethod
    def open(self, name: str) -> AbstractContextManager[Content]:
        """Open a content for reading."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Tell whether there is a content of that name."""

    @abstractmethod
    def names(self, below: str = "") -> Iterator[str]:
        """Yield the names of all that is whole, or of what is below a folder, in order."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a content; nothing happens where there is none."""

    def clear(self, below: str) -> None:
        """Remove all that is below a folder, as far as that can be."""
        for name in list(self.names(below)):
            with contextlib.suppress(OSError):
                self.remove(name)

    @abstractmethod
    def rename(self, name: str, other: str) -> None:
        """Give a content another name, in place of what has that name; raises FileNotFoundError where it is gone."""

    def quarantine(self, name: str) -> str | None:
        """Move a damaged content aside; return its name from now on, None where it is gone."""
        aside = f"{QUARANTINE}/{checked(name).rpartition('/')[2]}"
        try:
            self.rename(name, aside)
        except FileNotFoundError:
            return None
        except OSError as exc:
            why = f"cannot move the damaged file aside ({exc.strerror})."
            raise StoreUnwritable(self.where(name), why) from exc
        return aside


def checked(name: str) -> str:
    """Return a name of a content; raise ValueError where it could lead elsewhere."""
    if not name or any(part in ("", ".", "..") for part in name.split("/")) or set(name) & {"\\", "\0", ":"}:
        raise ValueError(f"{name!r} is no name in a store")
    return name


class LocalFolder(Place):
    """A folder on a disk, made when the first file is written."""

    identifies = True

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.fspath(root)
        self._durable: set[str] = set()  # names that are, so that writing over them need not see to it

    def where(self, name: str) -> str:
        return os.path.join(self.root, *checked(name).split("/"))

    def write(self, name: str, buffers: Sequence[Any]) -> None:
        """Write under a name that says who is at it, and rename: what a crash leaves goes when the next run begins.

        All such files of a place lie in one folder, so that a look for them is a look at one that is mostly empty.
        """
        path = self.where(name)
        views = [flat(buffer) for buffer in buffers]
        folder = os.path.dirname(path)
        writing = os.path.join(self.root, WRITING)
        temporary = os.path.join(writing, f"{own_mark()}-{os.urandom(6).hex()}")
        try:
            # The same content is not written again; its name may not be durable yet, if its writer was killed.
            if not _holds(path, views):
                os.makedirs(folder, exist_ok=True)
                os.makedirs(writing, exist_ok=True)
                try:
                    _write_file(temporary, views, os.O_EXCL)
                    faultpoints.at("payload.written")
                    os.replace(temporary, path)
                    faultpoints.at("payload.named")
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(temporary)
                    raise
            self._make_durable(folder)
        except OSError as exc:
            raise StoreUnwritable(path, f"cannot write the file ({exc.strerror or exc}).") from exc

    def overwrite(self, name: str, buffers: Sequence[Any]) -> None:
        """Write where the file stands: its blocks and cached pages are there, and no third copy needs room."""
        path = self.where(name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _write_file(path, [flat(buffer) for buffer in buffers], 0, "checkpoint.written")
            if name not in self._durable:
                self._make_durable(os.path.dirname(path))
                self._durable.add(name)
        except OSError as exc:
            raise StoreUnwritable(path, f"cannot write the file ({exc.strerror or exc}).") from exc

    def _make_durable(self, folder: str) -> None:
        """Make the names of all folders up to the root durable, the innermost first.

        Always, since whoever made a folder a moment ago may not have got here yet.
        """
        while len(folder) > len(self.root):
            fsync_folder(folder)
            folder = os.path.dirname(folder)
        fsync_folder(self.root)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Content]:
        with open_file(self.where(name)) as file:
            yield _File(file)

    def exists(self, name: str) -> bool:
        return os.path.isfile(self.where(name))

    def names(self, below: str = "") -> Iterator[str]:
        start = self.where(below) if below else self.root
        if os.path.islink(start):  # a link leads elsewhere
            return
        prefix = f"{below}/" if below else ""
        try:
            found = sorted(os.scandir(start), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                yield prefix + entry.name
            elif prefix + entry.name != WRITING:
                yield from self.names(prefix + entry.name)

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.where(name))
        self._durable.discard(name)

    def clear(self, below: str) -> None:
        import shutil  # 2 ms, which a small run need not spend

        shutil.rmtree(self.where(below), ignore_errors=True)
        self._durable.clear()

    def rename(self, name: str, other: str) -> None:
        target = self.where(other)
        if os.path.exists(self.where(name)):
            os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(self.where(name), target)
        self._durable.discard(name)


def open_file(path: str) -> FileIO:
    """Open a file for reading; where there is a pipe or a device, whose opening may wait forever, there is no file."""
    file = open(path, "rb", buffering=0, opener=_at_once)  # noqa: SIM115  # closed by who asked for it
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise FileNotFoundError(errno.ENOENT, "there is something else than a file", path)


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _File(Content):
    """A file that is open."""

    def __init__(self, file: Any) -> None:
        self._file = file
        status = os.fstat(file.fileno())
        self.size = status.st_size
        self.identity = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns

    def read_into(self, memory: memoryview, at: int) -> int:
        return os.preadv(self._file.fileno(), [memory], at)

    def map(self) -> memoryview:
        try:
            return memoryview(map_private(self._file.fileno(), self.size))
        except (OSError, ValueError):
            # Too many mappings or descriptors, a file system that maps nothing, an empty file or one cut short.
            return super().map()


def _holds(path: str, views: Sequence[memoryview]) -> bool:
    """Say whether a file has exactly this content.

    Compared byte by byte: a damaged file is written anew, and equal checksums alone never join two values.
    """
    try:
        if os.stat(path).st_size != sum(v.nbytes for v in views):
            return False
        with open_file(path) as file:
            content, at = _File(file), 0
            for view in views:
                for start in range(0, view.nbytes, PIECE):
                    piece = view[start : start + PIECE]
                    if content.between(at, at + piece.nbytes) != piece:
                        return False
                    at += piece.nbytes
        return True
    except OSError:
        return False


def _write_file(path: str, views: Sequence[memoryview], flags: int, fault_point: str = "") -> None:
    """Write a file from the buffers' own memory, and have the disk keep it.

    In pieces, each of which the disk begins to write while the next is copied: so fsync finds little left to wait for
    (10 MB with fsync: 7 ms instead of 9).
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags | getattr(os, "O_BINARY", 0), 0o666)
    try:
        at = 0
        for view in joined(views):
            while view.nbytes:
                count = os.write(descriptor, view[:PIECE])
                view = view[count:]
                if view.nbytes:
                    start_writing(descriptor, at, count)
                at += count
        if fault_point:
            faultpoints.at(fault_point)
            os.ftruncate(descriptor, at)  # what was there may have been longer
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lost(error: OSError) -> bool:
    """Tell whether a content that cannot be read is gone for good, and not only for now."""
    return (
        isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
        or error.errno == errno.EIO
    )


def entries(folder: Path) -> list[Path]:
    """List a folder; what is no folder of ours (a link leads elsewhere) has nothing."""
    if folder.is_symlink():
        return []
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def below(folder: Path) -> list[Path]:
    """List all that is below a folder; what others remove meanwhile is left out, where `rglob` raises."""
    from pathlib import Path

    return sorted(Path(root, name) for root, folders, files in os.walk(folder) for name in (*folders, *files))
