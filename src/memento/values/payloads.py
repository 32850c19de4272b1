"""Payloads: contents that are written once, never changed, and verified when they are read.

Knows: a place, names, checksums. May not know: what the bytes mean (that is `codecs`), the index.

A payload's name is the checksum of its content, its suffix the format: ``3f/3fa9....npy`` is a plain NumPy file that
any tool opens. So the name alone tells whether it is whole, and equal values share one.

The checksum is XXH3 with 128 bits: 20 GB/s of memory on one core, where SHA-256 reaches 1.8 and pickle to a file with
fsync 2. It is no defence against someone who makes a collision on purpose: a place compares bytes before contents share
a name.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import xxhash

from memento.errors import PayloadDamaged, StoreError
from memento.layout import DEFINITIONS
from memento.values.buffers import flat
from memento.values.places import Content, Cut, LocalFolder, Place, lost

if TYPE_CHECKING:
    from pathlib import Path

_LARGE = 1 << 20  # bytes; smaller files are read and verified in less time than it takes to map one
_MOST_VERIFIED = 10_000
_verified: set[tuple[str, Hashable]] = set()  # large contents that this process has verified, or written
_REF = re.compile(rf"(?:[0-9a-f]{{2}}|{DEFINITIONS})/([0-9a-f]{{32}})(\.[a-z]+)")
AGAIN = "Run the experiment again: the task counts as not done."


def checksum(buffers: Iterable[Any]) -> bytes:
    """Return the 16 bytes that stand for a content; the same however it is cut into buffers."""
    seen = xxhash.xxh3_128()
    for buffer in buffers:
        seen.update(buffer)
    return seen.digest()


class PayloadDir:
    """The payloads of a store."""

    def __init__(self, place: Place | str | os.PathLike[str], store: str = "") -> None:
        self.place = place if isinstance(place, Place) else LocalFolder(place)
        self._store = store
        # Of scripts' definitions, by their tokens: written once a process, not once a value.
        self.definitions: dict[tuple[str, ...], str | None] = {}

    @property
    def store(self) -> str:
        """The folder of the store whose payloads these are, wherever they are; "" where none was told."""
        return self._store or (
            os.path.dirname(self.place.root) if isinstance(self.place, LocalFolder) else ""
        )

    @cached_property
    def root(self) -> Path:
        """The folder, of a store on a disk."""
        from pathlib import Path  # 4 ms, which who keeps small values need not spend

        assert isinstance(self.place, LocalFolder)
        return Path(self.place.root)

    def path(self, ref: str) -> Path:
        """Return where a payload stands, in a store on a disk; a name that could point elsewhere is refused."""
        return self.root / self._checked(ref)

    def write(self, buffers: Sequence[Any], suffix: str, folder: str | None = None) -> str:
        """Write buffers as one payload, durable on return."""
        views = [flat(buffer) for buffer in buffers]
        name = checksum(views).hex()
        ref = self._checked(f"{folder or name[:2]}/{name}{suffix}")
        self.place.write(ref, views)
        if self.place.identifies and sum(view.nbytes for view in views) >= _LARGE:
            with suppress(OSError), self.place.open(ref) as content:
                _remember(ref, content)
        return ref

    def read(self, ref: str, *, mapped: bool = False) -> memoryview:
        """Read a payload whole, verified."""
        return self.read_pieces(ref, None, mapped=mapped)[0]

    def read_pieces(self, ref: str, cut: Cut | None, *, mapped: bool = False) -> list[memoryview]:
        """Read a payload, verified, in pieces that have memory of their own.

        A large one is verified once a process, unless its file has changed. Where it is to be `mapped`, it is one
        piece, of which every call returns another mapping.
        """
        with self._opened(ref) as content:
            known = content.size >= _LARGE and (ref, content.identity) in _verified
            if mapped and content.size >= _LARGE:
                pieces = [content.map()]
                # Read beside the mapping: what the disk cannot read is an error here, and there a SIGBUS.
                found = "" if known else _sum_of(content)
            else:
                seen = xxhash.xxh3_128()
                pieces = content.read(cut(content) if cut else None, None if known else seen.update)
                found = seen.hexdigest()
            if not known:
                self._compare(ref, found)
                _remember(ref, content)
        return pieces

    def verify(self, ref: str) -> int:
        """Read a payload, keep nothing of it, whatever was verified before; return how many bytes it has."""
        with self._opened(ref) as content:
            self._compare(ref, _sum_of(content))
            return content.size

    @contextmanager
    def _opened(self, ref: str) -> Iterator[Content]:
        """Open a payload; say what it means where it cannot be read."""
        name = self._checked(ref)
        try:
            with self.place.open(name) as content:
                yield content
        except OSError as exc:
            raise _explained(self.place.where(name), exc, self.place) from exc

    def _compare(self, ref: str, found: str) -> None:
        if found != _sum_in(ref):
            raise PayloadDamaged(self.place.where(ref), "the stored value is not what was written.", AGAIN)

    def set_aside(self, ref: str, why: str) -> None:
        """Move a damaged payload aside, with the reason; unless somebody has just written it anew."""
        aside = self.place.quarantine(self._checked(ref))
        if aside is None:
            return
        whole = False
        with suppress(OSError), self.place.open(aside) as content:
            whole = _sum_of(content) == _sum_in(ref)
        if whole:
            self.place.rename(aside, ref)
        else:
            self.place.write(f"{aside}.why", [why.encode("utf-8", "backslashreplace")])

    def quarantine(self, ref: str) -> str | None:
        """Move a damaged payload aside; return its new name, None where there is none."""
        return self.place.quarantine(self._checked(ref))

    def exists(self, ref: str) -> bool:
        """Tell whether there is a payload of that name."""
        return self.place.exists(self._checked(ref))

    def refs(self) -> Iterator[str]:
        """Yield the names of all payloads, the definitions (which values name inside themselves) too."""
        return (name for name in self.place.names() if _REF.fullmatch(name))

    def _checked(self, ref: str) -> str:
        if not _REF.fullmatch(ref):
            where = self.place.root if isinstance(self.place, LocalFolder) else self._store or "the store"
            raise PayloadDamaged(where, f"{ref!r} is not the name of a payload.", AGAIN)
        return ref


def is_ref(name: str) -> bool:
    """Tell whether this is the name of a payload."""
    return _REF.fullmatch(name) is not None


def _remember(ref: str, content: Content) -> None:
    """Note that a content is what was written, where its place can tell it from any other of that name."""
    if content.size >= _LARGE and content.identity is not None:
        if len(_verified) >= _MOST_VERIFIED:
            _verified.clear()
        _verified.add((ref, content.identity))


def _sum_of(content: Content) -> str:
    """Read a content and keep nothing of it; return its checksum as it stands in names."""
    seen = xxhash.xxh3_128()
    content.pass_through(content.size, seen.update)
    return seen.hexdigest()


def _sum_in(ref: str) -> str:
    return ref.rpartition("/")[2][:32]


def _explained(where: str, error: OSError, place: Place) -> StoreError:
    """Say what it means that a payload cannot be read."""
    if error.errno == errno.EIO:
        return PayloadDamaged(where, "the disk cannot read the stored value.", AGAIN)
    if lost(error):
        return PayloadDamaged(where, f"the stored value is gone ({error.strerror}).", AGAIN)
    todo = "Check permissions and the limit of open files (ulimit -n), then try again."
    if not isinstance(place, LocalFolder):
        todo = "Try again when its server answers."
    told = f"the stored value cannot be read now ({error.strerror or error})."
    return StoreError(where, told, f"It is kept. {todo}")
