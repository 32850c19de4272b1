"""Checkpoints: what a task has so far, in two generations, so that one is always whole.

Knows: one task's folder, pickles with arrays beside. May not know: tasks, the index.

Saving writes over the older of two files: a crash at any line leaves the newer one as it was, and the torn one is known
by its digest. Over, not beside: the file's blocks and cached pages are there already, and no third copy needs room.
Each file ends with the versions of the code that came to this state, its generation's number and the digest of all
before it; loading takes the newest that is whole.
Arrays are written from their own memory, and read into the memory that they keep: a mapped file would be there sooner,
but reading from it ends the process once a later save has cut the file short.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from memento.errors import PayloadDamaged, StoreError, UnsavableResult
from memento.layout import GENERATIONS, LOOPS, PAYLOADS, SET_ASIDE
from memento.values import keeping
from memento.values.digests import Digest, digest
from memento.values.files import Cut, PayloadDir, write_over
from memento.values.filling import pass_through, read_whole
from memento.values.framing import apart, framed, read_framed
from memento.values.memory import flat

log = logging.getLogger("memento.store")

_END = struct.Struct("<8sQQ16s")  # magic, number of versions before it, generation, digest of all that
_MAGIC = b"MEMCKPT\x01"
_CODE = 16  # bytes of a version's digest
_MOST_CODES = 1_000  # a number above is none of ours


class Origin:
    """Which versions of the code came to a task's state; its checkpoints share one.

    Parameters
    ----------
    codes : sequence of bytes
        Digest of the task's present version, and of others that count as it. None where nobody asks.
    policy : {"ignore", "warn", "rerun"}
        What to do with a state of another version: take it as one's own, take it and remember, leave it.
    """

    def __init__(self, codes: Sequence[bytes] = (), policy: str = "ignore") -> None:
        self.codes, self.policy = codes, policy
        self.older: tuple[bytes, ...] = ()  # other versions in what was loaded

    def takes(self, codes: Iterable[bytes]) -> bool:
        """Tell whether a state of these versions may be gone on from."""
        return self.policy != "rerun" or set(codes) <= set(self.codes)

    def goes_on_from(self, codes: Iterable[bytes]) -> None:
        """Note that a state of these versions was loaded."""
        if self.policy != "ignore":
            self.older = tuple(dict.fromkeys([*self.older, *(c for c in codes if c not in self.codes)]))

    def marks(self) -> bytes:
        """Return the versions in a state that is saved now."""
        return b"".join([*self.codes[:1], *self.older])


class CheckpointDir:
    """The checkpoints of one task.

    Parameters
    ----------
    root : str or Path
        The store's ``checkpoints`` folder; its sibling ``payloads`` keeps the definitions of the script's classes.
    key_hex : str
        The task's key.
    origin : Origin, optional
        The code that saves, and what becomes of states that other code saved.

    Examples
    --------
    >>> import tempfile
    >>> checkpoints = CheckpointDir(tempfile.mkdtemp() + "/checkpoints", "00ff")
    >>> checkpoints.save(({"epoch": 3},), {})
    >>> checkpoints.load()
    (({'epoch': 3},), {})
    """

    def __init__(self, root: str | os.PathLike[str], key_hex: str, origin: Origin | None = None) -> None:
        self.folder = Path(root) / key_hex
        self._origin = origin or Origin()
        self._payloads = PayloadDir(Path(root).parent / PAYLOADS)
        self._above = list(self.folder.parents)[: key_hex.count("/") + 1]  # up to `root`
        self._named: set[str] = set()  # files whose names are durable
        self._next: tuple[str, int] | None = None  # name and generation of the next save
        self._left = False  # a state is there and is whole, but not to be gone on from
        self._read: _Whole | None = None  # what `exists` found whole, for `load`

    def save(self, state: tuple[Any, ...], extra: dict[str, Any] | None = None) -> None:
        """Save the state; durable on return.

        Parameters
        ----------
        state : tuple
            What the task gave.
        extra : dict, optional
            What goes with it: metrics so far, position of a loop.

        Raises
        ------
        UnsavableResult
            No pickler takes it; names the part that is at fault.
        StoreUnwritable
            It cannot be written; what was saved before is still there.
        """
        name, generation = self._next or self._place()
        try:
            pickled = keeping.dumps_value((state, extra or {}))
        except Exception as exc:
            shown = state[0] if len(state) == 1 else state
            raise UnsavableResult(keeping.explain(shown, exc, "the checkpoint's state")) from exc
        views = framed(pickled, self._payloads)
        codes = self._origin.marks()
        count = len(codes) // _CODE
        number = struct.pack("<QQ", count, generation)
        end = codes + _END.pack(_MAGIC, count, generation, digest([*views, flat(codes + number)]))
        # Once each in this process: whoever made the file may have been killed before its name was durable.
        folders = [] if name in self._named else [self.folder, *self._above]
        write_over(self.folder / name, [*views, flat(end)], folders)
        self._named.add(name)
        self._next = (_other(name), generation + 1)
        self._read = None

    def load(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the newest state that is whole, and what was saved with it.

        Raises
        ------
        KeyError
            There is no checkpoint.
        PayloadDamaged
            There are files, and none is whole.
        StoreError
            They cannot be read now: no permission, too many open files.
        """
        # What `exists` has read and verified is not read again: it may be as large as memory.
        found, self._read = self._read or self._newest(), None
        if found is not None:
            state, extra = read_framed(found.pieces, self._payloads)[0]
            self._origin.goes_on_from(found.codes)
            return state, extra
        if not self._left and self._set_aside():
            raise PayloadDamaged(
                str(self.folder),
                "no checkpoint of this task is whole; they are set aside.",
                "Run the experiment again: the task starts anew.",
            )
        raise KeyError("there is no checkpoint of this task; ask checkpoint_exist() first")

    def exists(self) -> bool:
        """Say whether there is a checkpoint that is whole; damaged ones are set aside, and the task begins anew.

        One of other code may be none to go on from: it stays until the task has saved twice.
        """
        if self._read is None:
            self._read = self._newest()
            if self._read is None and not self._left:
                self._set_aside()
        return self._read is not None

    def drop(self) -> None:
        """Remove all that was saved."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._next = self._read = None
        self._named.clear()

    def _newest(self) -> _Whole | None:
        """Return the content of the newest generation that is whole; the next save goes where the other one stands."""
        self._left = False
        for generation, name in self._generations():
            with _passing_over(self.folder / name):
                found = _verified(self.folder / name, apart)
                if found is not None:
                    self._next = (_other(name), generation + 1)
                    self._left = not self._origin.takes(found.codes)
                    return None if self._left else found
        return None

    def _set_aside(self) -> bool:
        """Rename files of which none is whole; tell whether there were any."""
        found = False
        for name in GENERATIONS:
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.folder / name, self.folder / f"{name}{SET_ASIDE}")
                log.warning("%s is damaged and set aside: the task begins anew", self.folder / name)
                found = True
        return found

    def _place(self) -> tuple[str, int]:
        """Choose where to save: never over the newest one that is whole."""
        for generation, name in self._generations():
            with _passing_over(self.folder / name):
                if is_whole(self.folder / name):
                    return _other(name), generation + 1
        return GENERATIONS[0], 1

    def _generations(self) -> list[tuple[int, str]]:
        """Read the numbers at the files' ends, newest first."""
        found = []
        for name in GENERATIONS:
            with _passing_over(self.folder / name), open(self.folder / name, "rb") as file:
                end = _end_of(file)
                if end is not None:
                    found.append((end[0], name))
        return sorted(found, reverse=True)


class _Whole(NamedTuple):
    """What a file holds that is as it was saved."""

    pieces: list[memoryview]
    codes: list[bytes]  # versions of the code that came to it


def _end_of(file: BinaryIO) -> tuple[int, int, bytes, int] | None:
    """Return the generation, the number of versions, the digest, the size of the content; None where it is torn."""
    size = os.fstat(file.fileno()).st_size - _END.size
    if size <= 0:
        return None
    file.seek(size)
    magic, count, generation, expected = _END.unpack(file.read(_END.size))
    size -= _CODE * min(count, _MOST_CODES)
    return (
        (generation, count, expected, size) if magic == _MAGIC and count <= _MOST_CODES and size > 0 else None
    )


def _other(name: str) -> str:
    return GENERATIONS[1 - GENERATIONS.index(name)]


@contextlib.contextmanager
def _passing_over(path: Path) -> Iterator[None]:
    """Let a file be that is gone or that the disk has lost; raise for one that cannot be read just now.

    A task that has too many files open must not lose its state for that.
    """
    try:
        yield
    except OSError as error:
        gone = isinstance(error, (FileNotFoundError, NotADirectoryError, IsADirectoryError))
        if not gone and error.errno != errno.EIO:
            raise StoreError(
                str(path),
                f"the checkpoint cannot be read now ({error.strerror or error}).",
                "It is kept. Check permissions and the limit of open files (ulimit -n), then run again.",
            ) from error


def is_whole(path: Path) -> bool:
    """Tell whether a file is a checkpoint as it was saved; nothing is unpickled, and little of it held in memory.

    Raises
    ------
    OSError
        It is gone, or cannot be read now.
    """
    return _verified(path, None) is not None


def saved_by(folder: str | os.PathLike[str]) -> tuple[bytes, ...] | None:
    """Return the versions of the code that came to a task's newest states, as their files say; None without any."""
    found: list[bytes] | None = None
    for place in (Path(folder), Path(folder) / LOOPS):
        newest: tuple[int, list[bytes]] = (0, [])
        for name in GENERATIONS:
            with contextlib.suppress(OSError), open(place / name, "rb") as file:
                end = _end_of(file)
                if end is not None and end[0] > newest[0]:
                    file.seek(end[3])
                    newest = (end[0], _cut(file.read(_CODE * end[1])))
        if newest[0]:
            found = [*(found or ()), *newest[1]]
    return None if found is None else tuple(dict.fromkeys(found))


def _cut(codes: bytes) -> list[bytes]:
    return [codes[start : start + _CODE] for start in range(0, len(codes), _CODE)]


def _verified(path: Path, cut: Cut | None) -> _Whole | None:
    """Read what was saved, or None where the end of the file does not fit it; without `cut` nothing of it is kept."""
    with open(path, "rb", buffering=0) as file:
        end = _end_of(file)
        if end is None:
            return None
        generation, count, expected, size = end
        file.seek(0)
        number = struct.pack("<QQ", count, generation)
        seen = Digest(size + _CODE * count + len(number))
        pieces = read_whole(file, cut(file, size), seen) if cut else pass_through(file, size, seen)
        file.seek(size)
        codes = file.read(_CODE * count)
    seen.update(codes + number)
    return _Whole(pieces, _cut(codes)) if seen.value() == expected else None
