"""Send files to a far place, bring them back, keep copies near: what many tasks read comes over the network once.

Knows: places, files below a folder. May not know: tasks, what a file holds.

A copy that was brought is whole or not there: it is written beside, and renamed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from memento.layout import PAYLOADS, WRITING
from memento.system import own_mark
from memento.values.places import Content, LocalFolder, Place, checked

if TYPE_CHECKING:
    from memento.values.object_store import ObjectStore

_PIECE = 1 << 20


def send(folder: str, names: Iterable[str], place: Place, below: str) -> None:
    """Send files of a folder, and all files of folders in it, to a place; raises StoreUnwritable."""
    for name in files_of(folder, names):
        path = os.path.join(folder, *name.split("/"))
        with open(path, "rb") as file, contextlib.ExitStack() as stack:
            content = []
            if os.fstat(file.fileno()).st_size:  # what is empty cannot be mapped
                content.append(stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
            place.write(f"{below}/{name}", content)


def files_of(folder: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the names of all files that are named, or below a folder that is; what is a link leads elsewhere."""
    for name in names:
        path = os.path.join(folder, *name.split("/"))
        if os.path.isfile(path):
            yield name
        elif os.path.isdir(path) and not os.path.islink(path):
            yield from files_of(folder, [f"{name}/{one}" for one in sorted(os.listdir(path))])


def bring(place: ObjectStore, below: str, folder: str, root: str) -> None:
    """Bring all that a place has below a name into a folder of the store at `root`, but for what is there as long."""
    for name, size in place.sizes(below):
        path = os.path.join(folder, *checked(name[len(below) + 1 :]).split("/"))
        if not os.path.isfile(path) or os.path.getsize(path) != size:
            with place.open(name) as content:
                save(content, path, root)


def save(content: Content, path: str, root: str) -> None:
    """Write what is open into a file, in place of what is there."""
    writing = os.path.join(root, PAYLOADS, WRITING)
    os.makedirs(writing, exist_ok=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = os.path.join(writing, f"{own_mark()}-{os.urandom(6).hex()}")
    try:
        with open(temporary, "xb") as file:
            room, at = memoryview(bytearray(_PIECE)), 0
            while count := content.read_into(room, at):
                file.write(room[:count])
                at += count
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


class Nearby(Place):
    """A far place, read through a folder, which may be removed at any time.

    For contents that are never changed under their names, as values of shared steps are: what is written goes to the
    far place first, and what the folder lacks is read from there.
    """

    identifies = True

    def __init__(self, far: Place, folder: LocalFolder) -> None:
        self.far, self.folder = far, folder

    def where(self, name: str) -> str:
        return self.far.where(name)

    def write(self, name: str, buffers: Sequence[Any]) -> None:
        self.far.write(name, buffers)
        self.folder.write(name, buffers)

    def open(self, name: str) -> AbstractContextManager[Content]:
        if not self.folder.exists(name):
            with self.far.open(name) as content:
                pieces = content.read()
            self.folder.write(name, pieces)
        return self.folder.open(name)

    def exists(self, name: str) -> bool:
        return self.far.exists(name)

    def names(self, below: str = "") -> Iterator[str]:
        return self.far.names(below)

    def remove(self, name: str) -> None:
        self.far.remove(name)
        self.folder.remove(name)

    def clear(self, below: str) -> None:
        self.far.clear(below)
        self.folder.clear(below)

    def rename(self, name: str, other: str) -> None:
        self.folder.remove(name)
        self.far.rename(name, other)
