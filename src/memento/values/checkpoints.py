"""Checkpoints: what a task has so far, in two generations, so that one is always whole.

Knows: a place, one task's folder in it, pickles with arrays beside. May not know: tasks, the index.

Saving writes over the older of two files: a crash at any line leaves the newer one as it was, and the torn one is known
by its checksum. Over, not beside: the file's blocks and cached pages are there already, and no third copy needs room.
Each file ends with the versions of the code that came to this state, its generation's number and the checksum of all
before it; loading takes the newest that is whole.
Arrays are written from their own memory, and read into the memory that they keep: mapped, they would be there sooner,
but change under the task's hands with the save after next, which writes over that file.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import xxhash

from memento.errors import PayloadDamaged, StoreError, UnsavableResult
from memento.layout import GENERATIONS, LOOPS, PAYLOADS, SET_ASIDE
from memento.values import store_serializer
from memento.values.payloads import PayloadDir, checksum
from memento.values.pickle_codec import apart, framed, read_framed
from memento.values.places import Content, LocalFolder, Place, lost
from memento.values.unpicklable import explain

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("memento.store")

_END = struct.Struct("<8sQQ16s")  # magic, number of versions before it, generation, checksum of all that
_MAGIC = b"MEMCKPT\x01"
_CODE = 16  # bytes of a version's digest
_MOST_CODES = 1_000  # a number above is none of ours

T = TypeVar("T")


class Origin:
    """Which versions of the code came to a task's state; its checkpoints share one.

    `codes` are the digests of the task's present version, and of others that count as it; none where nobody asks. A
    state of another version is taken as one's own ("ignore"), taken and remembered ("warn"), or left ("rerun").
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
    """The checkpoints of one task."""

    def __init__(
        self,
        place: Place | str | os.PathLike[str],
        key_hex: str,
        origin: Origin | None = None,
        payloads: PayloadDir | None = None,
    ) -> None:
        self._place = place if isinstance(place, Place) else LocalFolder(place)
        self._key = key_hex
        self._origin = origin or Origin()
        if payloads is None:
            assert isinstance(self._place, LocalFolder)
            payloads = PayloadDir(os.path.join(os.path.dirname(self._place.root), PAYLOADS))
        self._payloads = payloads
        self._next: tuple[str, int] | None = None  # name and generation of the next save
        self._left = False  # a state is there and is whole, but not to be gone on from
        self._read: _Whole | None = None  # what `exists` found whole, for `load`
        self._there: set[str] | None = None  # what is there, where asking for each file costs a request

    @cached_property
    def folder(self) -> Path:
        """The folder, of a store on a disk."""
        from pathlib import Path

        return Path(self._place.where(self._key))

    def save(self, state: tuple[Any, ...], extra: dict[str, Any] | None = None) -> None:
        """Save the state; durable on return."""
        if self._next is None:
            self._find(keep=False)  # never over the newest one that is whole
        name, generation = self._next or (GENERATIONS[0], 1)
        try:
            pickled = store_serializer.dumps_value((state, extra or {}), store=self._payloads.store)
        except Exception as exc:
            shown = state[0] if len(state) == 1 else state
            raise UnsavableResult(explain(shown, exc, "the checkpoint's state")) from exc
        views = framed(pickled, self._payloads)
        codes = self._origin.marks()
        count = len(codes) // _CODE
        number = struct.pack("<QQ", count, generation)
        end = codes + _END.pack(_MAGIC, count, generation, checksum([*views, codes, number]))
        self._place.overwrite(self._name(name), [*views, end])
        self._next = (_other(name), generation + 1)
        self._read = None
        if self._there is not None:
            self._there.add(self._name(name))

    def load(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the newest state that is whole, and what was saved with it."""
        # What `exists` has read and verified is not read again: it may be as large as memory.
        found, self._read = self._read or self._newest(), None
        if found is not None:
            state, extra = read_framed(found.pieces, self._payloads)[0]
            self._origin.goes_on_from(found.codes)
            return state, extra
        if not self._left and self._set_aside():
            raise PayloadDamaged(
                self._place.where(self._key),
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
        self._place.clear(self._key)
        self._next = self._read = self._there = None

    def _name(self, generation: str) -> str:
        return f"{self._key}/{generation}"

    def _newest(self) -> _Whole | None:
        """Return the content of the newest generation that is whole and may be gone on from."""
        self._left = False
        found = self._find(keep=True)
        if found is not None and not self._origin.takes(found.codes):
            self._left, found = True, None
        return found

    def _find(self, *, keep: bool) -> _Whole | None:
        """Find the newest generation that is whole; the next save goes where the other one stands."""
        for generation, name in self._generations():
            found = self._look(name, lambda content: _verified(content, keep=keep))
            if found is not None:
                self._next = (_other(name), generation + 1)
                return found
        return None

    def _generations(self) -> list[tuple[int, str]]:
        """Read the numbers at the files' ends, newest first."""
        found = []
        for name in GENERATIONS:
            end = self._look(name, _end_of)
            if end is not None:
                found.append((end.generation, name))
        return sorted(found, reverse=True)

    def _look(self, generation: str, look: Callable[[Content], T]) -> T | None:
        """Look at a file; None for one that is gone or that the disk has lost. One that cannot be read now is an error.

        A task that has too many files open must not lose its state for that.
        """
        name = self._name(generation)
        try:
            if not self._may_be_there(name):
                return None
            with self._place.open(name) as content:
                return look(content)
        except OSError as error:
            if lost(error):
                return None
            raise StoreError(
                self._place.where(name),
                f"the checkpoint cannot be read now ({error.strerror or error}).",
                "It is kept. Check permissions and the limit of open files (ulimit -n), then run again."
                if self._place.lists_free
                else "It is kept. Run again when its server answers.",
            ) from error

    def _may_be_there(self, name: str) -> bool:
        """Tell whether it is worth a look; for most tasks nothing is there, which one request tells of all names."""
        if self._place.lists_free:
            return True
        if self._there is None:
            self._there = set(self._place.names(self._key))
        return name in self._there

    def _set_aside(self) -> bool:
        """Rename files of which none is whole; tell whether there were any."""
        found = False
        for name in filter(self._may_be_there, map(self._name, GENERATIONS)):
            with suppress(FileNotFoundError):
                self._place.rename(name, f"{name}{SET_ASIDE}")
                log.warning("%s is damaged and set aside: the task begins anew", self._place.where(name))
                found = True
        return found


class _Whole(NamedTuple):
    """What a file holds that is as it was saved."""

    pieces: list[memoryview]
    codes: list[bytes]  # versions of the code that came to it


class _End(NamedTuple):
    """What a file's end says of the rest."""

    generation: int
    codes: bytes
    checksum: bytes
    size: int  # of the state alone


def _end_of(content: Content) -> _End | None:
    """Read the end of a file; None where it is torn."""
    at = content.size - _END.size
    if at <= 0:
        return None
    end = content.between(at, content.size)
    if len(end) < _END.size:
        return None  # cut short since it was opened
    magic, count, generation, expected = _END.unpack(end)
    size = at - _CODE * min(count, _MOST_CODES)
    if magic != _MAGIC or count > _MOST_CODES or size <= 0:
        return None
    return _End(generation, content.between(size, at), expected, size)


def _verified(content: Content, *, keep: bool) -> _Whole | None:
    """Read what was saved, or None where the end of the file does not fit it; nothing of it is kept without `keep`."""
    end = _end_of(content)
    if end is None:
        return None
    seen = xxhash.xxh3_128()
    pieces: list[memoryview] = []
    if keep:
        pieces = content.read(apart(content, end.size), seen.update)
    else:
        content.pass_through(end.size, seen.update)
    codes = _cut(end.codes)
    seen.update(end.codes + struct.pack("<QQ", len(codes), end.generation))
    return _Whole(pieces, codes) if seen.digest() == end.checksum else None


def _other(name: str) -> str:
    return GENERATIONS[1 - GENERATIONS.index(name)]


def _cut(codes: bytes) -> list[bytes]:
    return [codes[start : start + _CODE] for start in range(0, len(codes), _CODE)]


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a checkpoint as it was saved; nothing is unpickled, and little of it held in memory."""
    folder, name = os.path.split(path)
    with LocalFolder(folder).open(name) as content:
        return _verified(content, keep=False) is not None


def saved_by(folder: str | os.PathLike[str]) -> tuple[bytes, ...] | None:
    """Return the versions of the code that came to a task's newest states, as their files say; None without any."""
    found: list[bytes] | None = None
    place = LocalFolder(folder)
    for prefix in ("", f"{LOOPS}/"):
        newest: _End | None = None
        for name in GENERATIONS:
            with suppress(OSError), place.open(prefix + name) as content:
                end = _end_of(content)
                if end is not None and (newest is None or end.generation > newest.generation):
                    newest = end
        if newest is not None:
            found = [*(found or ()), *_cut(newest.codes)]
    return None if found is None else tuple(dict.fromkeys(found))
