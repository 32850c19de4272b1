"""Payload files: bytes that are written once, never changed, and verified when they are read.

Knows: folders, names, digests. May not know: what the bytes mean (that is `formats`), the index.

A file's name is the digest of its content, its suffix the format: ``3f/3fa9….npy`` is a plain NumPy file that
any tool opens. So the name alone tells whether a file is whole, and equal values share one file.
Crash at any line: before the rename there is a temporary file, which `sweep` removes; after it, the whole file.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memento import faultpoints, pages
from memento.errors import PayloadDamaged, StoreError, StoreUnwritable
from memento.layout import DEFINITIONS, QUARANTINE, TEMPORARY
from memento.system import fsync_folder, start_writing
from memento.values.digests import Digest, digest
from memento.values.filling import read_whole
from memento.values.memory import PIECE, flat, joined

_REF = rf"(?:[0-9a-f]{{2}}|{DEFINITIONS})/([0-9a-f]{{32}})(\.[a-z]+)"
if TYPE_CHECKING:
    from pathlib import Path

Cut = Callable[[Any, int], list[int]]
"""Says into pieces of which lengths an open file of a size is to be read; leaves the file at its beginning."""


def _is_ref(ref: str) -> bool:
    import re

    return re.fullmatch(_REF, ref) is not None


def uncut(_: Any, size: int) -> list[int]:
    """Read a file in one piece."""
    return [size]


def entries(folder: Path) -> list[Path]:
    """List a folder; what is no folder of ours (a link leads elsewhere) has nothing."""
    if folder.is_symlink():
        return []
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def temporaries(folder: Path) -> list[Path]:
    """List the half-written files in the folders of a folder."""
    return [path for shard in entries(folder) for path in entries(shard) if path.name.startswith(TEMPORARY)]


def below(folder: Path) -> list[Path]:
    """List all that is below a folder; what others remove meanwhile is left out, where `rglob` raises."""
    from pathlib import Path

    return sorted(Path(root, name) for root, folders, files in os.walk(folder) for name in (*folders, *files))


class PayloadDir:
    """The folder of payload files.

    Parameters
    ----------
    root : str or Path
        The folder; made when the first file is written.

    Examples
    --------
    >>> import tempfile
    >>> payloads = PayloadDir(tempfile.mkdtemp())
    >>> ref = payloads.write([b"some bytes"], ".bin")
    >>> bytes(payloads.read(ref))
    b'some bytes'
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = root
        self.definitions: dict[
            tuple[str, ...], str | None
        ] = {}  # tokens -> ref: written once a process, not once a value

    @cached_property
    def root(self) -> Path:
        """The folder."""
        from pathlib import Path  # 4 ms, which who keeps small values need not spend

        return Path(self._root)

    def path(self, ref: str) -> Path:
        """Return where a payload stands; a name that could point elsewhere is refused."""
        if not _is_ref(ref):
            raise PayloadDamaged(str(self.root), f"{ref!r} is not the name of a payload.", AGAIN)
        return self.root / ref

    def write(self, buffers: Sequence[Any], suffix: str, folder: str | None = None) -> str:
        """Write buffers as one file, durable on return.

        Parameters
        ----------
        buffers : sequence of bytes-like
            The content, in pieces, written from where they are.
        suffix : str
            Of the file's name; says the format.
        folder : str, optional
            Folder instead of the one that the name gives.

        Returns
        -------
        str
            The file's name, relative to the folder.

        Raises
        ------
        StoreUnwritable
            Disk full, read-only or not permitted.
        """
        views = [flat(b) for b in buffers]
        name = digest(views).hex()
        ref = f"{folder or name[:2]}/{name}{suffix}"
        path = self.path(ref)
        if holds(path, views):
            # Whoever wrote it may have been killed before its name was durable.
            fsync_folder(path.parent)
            fsync_folder(self.root)
            return ref
        write_file(path, views)
        return ref

    def read(self, ref: str, *, map_file: bool = False, verify: bool = True) -> memoryview:
        """Read a file whole, and verify it.

        Parameters
        ----------
        ref : str
            What `write` returned.
        map_file : bool
            Map the file into memory instead of copying it there; changes never reach the file.
        verify : bool
            Compare content and name. Mapped, this reads the whole file once.

        Returns
        -------
        memoryview
            The content.

        Raises
        ------
        PayloadDamaged
            The file is gone, torn or altered.
        StoreError
            It cannot be read now: no permission, too many open files.
        """
        (content,) = self.read_pieces(ref, uncut, map_file=map_file, verify=verify)
        return content

    def read_pieces(
        self, ref: str, cut: Cut, *, map_file: bool = False, verify: bool = True
    ) -> list[memoryview]:
        """Read a file as `read` does, in pieces that have memory of their own; a mapped file is one piece."""
        path = self.path(ref)
        try:
            if map_file:
                pieces = [map_whole(path, touch=verify)]
                found = digest(pieces) if verify else b""
            else:
                pieces, found = read_cut(path, cut, verify=verify)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as exc:
            raise PayloadDamaged(str(path), f"the stored value is gone ({exc.strerror}).", AGAIN) from exc
        except OSError as exc:
            if exc.errno == errno.EIO:
                raise PayloadDamaged(str(path), "the disk cannot read the stored value.", AGAIN) from exc
            raise StoreError(
                str(path),
                f"the stored value cannot be read now ({exc.strerror or exc}).",
                "It is kept. Check permissions and the limit of open files (ulimit -n), then try again.",
            ) from exc
        if verify:
            self._compare(ref, found)
        return pieces

    def verify(self, ref: str, views: Sequence[memoryview]) -> None:
        """Raise PayloadDamaged unless this is the content that was written under that name."""
        self._compare(ref, digest(views))

    def _compare(self, ref: str, found: bytes) -> None:
        if found.hex() != ref.rpartition("/")[2][:32]:
            raise PayloadDamaged(str(self.path(ref)), "the stored value is not what was written.", AGAIN)

    def quarantine(self, ref: str) -> Path | None:
        """Move a damaged file aside, to ``damaged/``; None where there is none."""
        path = self.path(ref)
        aside = self.root / QUARANTINE / path.name
        try:
            aside.parent.mkdir(exist_ok=True)
            os.replace(path, aside)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StoreUnwritable(str(path), f"cannot move the damaged file aside ({exc.strerror}).") from exc
        return aside

    def remove(self, ref: str) -> None:
        """Remove a file; nothing happens where it is gone."""
        self.path(ref).unlink(missing_ok=True)

    def refs(self) -> Iterator[str]:
        """Yield the names of all files, those of `classes/` (which values name inside themselves) too."""
        for shard in entries(self.root):
            for path in entries(shard):
                ref = f"{shard.name}/{path.name}"
                if _is_ref(ref):
                    yield ref

    def sweep(self, older_than: float) -> int:
        """Remove temporary files last written before `older_than` (UTC seconds); return how many."""
        gone = 0
        for path in temporaries(self.root):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < older_than:
                    path.unlink()
                    gone += 1
        return gone


AGAIN = "Run the experiment again: the task counts as not done."


def holds(path: Path, views: Sequence[memoryview]) -> bool:
    """Say whether a file has exactly this content.

    Compared byte by byte: a damaged file is written anew, and equal digests alone never join two values.
    """
    try:
        if path.stat().st_size != sum(v.nbytes for v in views):
            return False
        with open(path, "rb", buffering=0) as file:
            for view in views:
                for start in range(0, view.nbytes, 1 << 20):
                    piece = view[start : start + (1 << 20)]
                    if read_up_to(file, piece.nbytes) != piece:
                        return False
        return True
    except OSError:
        return False


def read_up_to(file: Any, size: int) -> bytes:
    """Read `size` bytes, or what there is."""
    parts = []
    while size:
        part = file.read(size)
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def write_file(path: Path, views: Sequence[memoryview]) -> None:
    """Write a file atomically and durably; its folder is made.

    Raises
    ------
    StoreUnwritable
        It cannot be written; nothing of it is left.
    """
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}-{os.urandom(6).hex()}"
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666
            )
            try:
                at = 0
                for view in joined(views):
                    at = write_all(descriptor, view, at)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            faultpoints.at("payload.written")
            os.replace(temporary, path)
            faultpoints.at("payload.named")
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        fsync_folder(path.parent)
        # Always, since whoever made the folder a moment ago may not have got here yet; and last, when the disk has
        # little left to do.
        fsync_folder(path.parent.parent)
    except OSError as exc:
        raise StoreUnwritable(str(path), f"cannot write the file ({exc.strerror or exc}).") from exc


def write_over(path: Path, views: Sequence[memoryview], folders: Sequence[Path]) -> None:
    """Write a file where it stands, durable on return; a crash leaves it torn, so its content must tell.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    views : sequence of memoryview
        The content.
    folders : sequence of Path
        Those whose names must become durable as well, the innermost first; none where they are already.

    Raises
    ------
    StoreUnwritable
        It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            at = 0
            for view in joined(views):
                at = write_all(descriptor, view, at)
            faultpoints.at("checkpoint.written")
            os.ftruncate(descriptor, at)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        for folder in folders:
            fsync_folder(folder)
    except OSError as exc:
        raise StoreUnwritable(str(path), f"cannot write the file ({exc.strerror or exc}).") from exc


def write_all(descriptor: int, view: memoryview, at: int = 0) -> int:
    """Write a buffer from its own memory, to where the file stands, `at`; return where it stands then.

    In pieces, each of which the disk begins to write while the next is copied: so fsync finds little left to wait for
    (10 MB with fsync: 7 ms instead of 9).
    """
    while view.nbytes:
        count = os.write(descriptor, view[:PIECE])
        view = view[count:]
        if view.nbytes:
            start_writing(descriptor, at, count)
        at += count
    return at


def read_cut(path: Path, cut: Cut, *, verify: bool = True) -> tuple[list[memoryview], bytes]:
    """Read a file in pieces; return them and, to verify it, the content's digest."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        seen = Digest(size) if verify else None
        pieces = read_whole(file, cut(file, size), seen)
    return pieces, seen.value() if seen else b""


def map_whole(path: Path, *, touch: bool = True) -> memoryview:
    """Map a file into memory: read when touched, and what is changed there never reaches the file.

    Parameters
    ----------
    path : Path
        The file.
    touch : bool
        Read it at once, all of it: where the disk cannot, that is an OSError, and not the end of this process.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return memoryview(b"")  # an empty file cannot be mapped
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        if touch:
            pages.touch(mapped)
        return memoryview(mapped)
