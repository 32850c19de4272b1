"""Copy files from one store into another: whole or not at all, durable on return.

Knows: the folders of a store, files, places. May not know: rows, which files are worth copying.

What lies in a folder of a stranger's is copied as far as it is plain files and folders: links lead elsewhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from memento import system
from memento.errors import StoreError, StoreUnwritable
from memento.layout import ARTIFACTS, DEFINITIONS, LOGS, PAYLOADS, STEPS, WRITING, Layout
from memento.records import StepRecord
from memento.store.far import log_of
from memento.store.leftovers import scan
from memento.store.step_records import parsed, record_name
from memento.values.choose_place import far_place, place_of
from memento.values.far_files import bring, files_of, send
from memento.values.payloads import PayloadDir

if TYPE_CHECKING:
    from memento.store.store import Store
    from memento.values.places import Place

_PIECE = 1 << 20
_ALL = 1 << 62  # bytes; no log is longer


def copy_value(source: PayloadDir, target: PayloadDir, ref: str) -> None:
    """Copy a payload, verified; raises StoreError where it is not what was written, or cannot be read."""
    view = source.read(ref, mapped=True)
    target.place.write(ref, [view])


def copy_file(other: str, source: str, target: str, store: str) -> None:
    """Copy a file of another store unless it is there at least as long; nothing where it is gone, or no plain file."""
    if leads_out(other, source) or not os.path.isfile(source) or _size(source) <= _size(target):
        return
    with _explained(target), staged(store) as stage:
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
    with _explained(target), staged(store) as stage:
        _copy_below(source, stage)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with staged(store) as old:
            if os.path.isdir(target):
                os.replace(target, old)
            os.replace(stage, target)
        system.fsync_folder(os.path.dirname(target))


def has_files(pairs: Iterable[tuple[str, str]]) -> bool:
    """Tell of pairs of paths whether each first file that is there is at the second place, too, as long as there."""
    sizes = [(_size(source), _size(target)) for source, target in pairs]
    return all(here == there or there < 0 for there, here in sizes)


@contextmanager
def staged(store: str) -> Iterator[str]:
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


# --- between stores of which one, or both, keep their bytes in an object store


def step_place(store: Store) -> Place:
    """Return where a store has its steps; nothing is copied into the folder of one that is only read."""
    if store.far is not None and store.index.readonly:
        return far_place(store.far.address, STEPS)
    return place_of(store.root, STEPS, store.far.address if store.far is not None else "")


def step_record(key: bytes, place: Place) -> StepRecord | None:
    """Return what is known of a step; None where it is not there, or damaged."""
    try:
        with place.open(record_name(key)) as content:
            return parsed(key, bytes(content.read()[0]))
    except OSError:
        return None


def copy_definitions(other: Store, into: Store) -> None:
    """Copy the definitions that values name inside themselves; what is damaged stays where it is."""
    steps = [PayloadDir(step_place(store), store.root) for store in (other, into)]
    for there, here in ((other.payloads, into.payloads), (steps[0], steps[1])):
        for ref in list(there.place.names(DEFINITIONS)):
            with suppress(StoreError):
                if not here.exists(ref):
                    copy_value(there, here, ref)


def copy_artifacts(other: Store, into: Store, folder: str) -> None:
    """Copy a folder of artifacts; one of an object store's is in the store's folder, too, from then on."""
    here = Layout(into.root).artifacts(folder)
    if other.far is not None:
        bring(far_place(other.far.address, ARTIFACTS), folder, here, into.root)
    else:
        copy_folder(other.root, Layout(other.root).artifacts(folder), here, into.root)
    if into.far is not None and os.path.isdir(here):
        send(here, files_of(here, sorted(os.listdir(here))), far_place(into.far.address, ARTIFACTS), folder)


def copy_log(other: Store, into: Store, there: str, here: str) -> None:
    """Copy a worker's log, by its names in both stores."""
    source, target = Layout(other.root).log(there), Layout(into.root).log(here)
    copy_file(other.root, source, target, into.root)
    if other.far is not None and not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(log_of(other.far, there, 0, _ALL))
    if into.far is not None and os.path.exists(target):
        with open(target, "rb") as file:
            far_place(into.far.address, LOGS).write(f"{here}/{0:015d}", [file.read()])
