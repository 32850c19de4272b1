"""Copy files from one store into another: whole or not at all, durable on return.

Knows: the folders of a store, files. May not know: rows, which files are worth copying.

What lies in a folder of a stranger's is copied as far as it is plain files and folders: links lead elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from memento import system
from memento.errors import StoreError, StoreUnwritable
from memento.layout import DEFINITIONS, PAYLOADS, STEPS, WRITING
from memento.store.leftovers import scan
from memento.values.payloads import PayloadDir

_PIECE = 1 << 20


def copy_value(source: PayloadDir, target: PayloadDir, ref: str) -> None:
    """Copy a payload, verified; raises StoreError where it is not what was written, or cannot be read."""
    view = source.read(ref, mapped=True)
    target.place.write(ref, [view])


def copy_definitions(source: str, target: str) -> None:
    """Copy the definitions that values name inside themselves; what is damaged stays where it is."""
    for place in (PAYLOADS, STEPS):
        there, here = PayloadDir(os.path.join(source, place)), PayloadDir(os.path.join(target, place))
        for entry in scan(os.path.join(source, place, DEFINITIONS)):
            ref = f"{DEFINITIONS}/{entry.name}"
            with suppress(StoreError):
                if not here.exists(ref):
                    copy_value(there, here, ref)


def copy_file(other: str, source: str, target: str, store: str) -> None:
    """Copy a file of another store unless it is there at least as long; nothing where it is gone, or no plain file."""
    if leads_out(other, source) or not os.path.isfile(source) or _size(source) <= _size(target):
        return
    with _explained(target), _staged(store) as stage:
        _copy(source, stage)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(stage, target)
        system.fsync_folder(os.path.dirname(target))


def leads_out(store: str, path: str) -> bool:
    """Tell whether a link is on the way from a store to what is in it."""
    while path != store:
        if os.path.islink(path):
            return True
        path = os.path.dirname(path)
    return False


def copy_folder(other: str, source: str, target: str, store: str) -> None:
    """Copy a folder of another store with all below it, in place of what is there; nothing where there is none."""
    if leads_out(other, source) or not os.path.isdir(source):
        return
    with _explained(target), _staged(store) as stage:
        _copy_below(source, stage)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with _staged(store) as old:
            if os.path.isdir(target):
                os.replace(target, old)
            os.replace(stage, target)
        system.fsync_folder(os.path.dirname(target))


def has_files(source: str, target: str, names: Iterable[str]) -> bool:
    """Tell whether files of these names below a folder are below another one, as long as there."""
    sizes = [[_size(os.path.join(folder, name)) for name in names] for folder in (source, target)]
    return all(here == there or there < 0 for there, here in zip(*sizes, strict=True))


@contextmanager
def _staged(store: str) -> Iterator[str]:
    """Name a place on the same disk whose content goes with its writer."""
    folder = os.path.join(store, PAYLOADS, WRITING)
    os.makedirs(folder, exist_ok=True)
    stage = os.path.join(folder, f"{system.own_mark()}-{os.urandom(6).hex()}")
    try:
        yield stage
    finally:
        if os.path.isdir(stage):
            shutil.rmtree(stage, ignore_errors=True)
        with suppress(OSError):
            os.unlink(stage)


@contextmanager
def _explained(target: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreUnwritable(target, f"it cannot be copied ({error.strerror or error}).") from error


def _copy_below(source: str, target: str) -> None:
    os.mkdir(target)
    for entry in scan(source):
        path = os.path.join(target, entry.name)
        if entry.is_dir(follow_symlinks=False):
            _copy_below(entry.path, path)
        elif entry.is_file(follow_symlinks=False):
            _copy(entry.path, path)
    system.fsync_folder(target)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "xb") as writer:
        shutil.copyfileobj(reader, writer, _PIECE)
        writer.flush()
        os.fsync(writer.fileno())


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
