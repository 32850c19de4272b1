"""What `memento doctor` looks at of a store: its place, and whether it is whole.

Knows: the store's folder and read side, how a store is made. May not know: who is told.

A trial store beside (or in) the real one shows what a run would meet there; it is removed again.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from memento import system
from memento.cli.machine_checks import OK, PROBLEM, WARNING, Check
from memento.clock import SYSTEM_CLOCK, Clock
from memento.errors import MissingExtra, NotAStore, StoreError, StoreTooNew
from memento.layout import INDEX, INDEX_SUSPECT, PAYLOADS, QUARANTINE
from memento.store.location import Location, StorePath, find_store, is_named
from memento.store.store import Store
from memento.wording import number_of, size_text

_FULL, _LOW = 100_000_000, 2_000_000_000  # bytes free
_SLOW = 0.05  # seconds for a small file to be on the disk
_TRIES = 5
_SKEW = 2.0  # seconds
_CHECKED = 50_000_000  # bytes of an index that is read whole
_RUNS = 50
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_PAST = 1_700_000_000.0  # a clock that says less has not been set


def place(path: StorePath | None) -> Iterator[Check]:
    """Look at where the store is, or will be."""
    location = find_store(path)
    if location.address:
        yield from _in_database(location)
        return
    store = Path(location.root)
    by = "named by --store or the environment" if is_named(path) else "the project's"
    there = (store / INDEX).exists()
    yield Check("place", OK, f"{store} ({by}{'' if there else '; there is none yet'})")
    folder = next(one for one in (store, *store.parents) if one.exists())
    if not folder.is_dir():
        why = "A store is a folder, and needs one to be in."
        yield Check("folder", PROBLEM, f"{folder} is a file", why, "Name another place with --store")
        return
    kind = system.file_system(folder)
    if system.is_network_path(folder):
        why = "Every commit waits for the network, readers for writers; the disk's locks alone keep the index whole."
        fix = (
            "For one machine: export MEMENTO_STORE=/local/disk/memento-store. For several: export"
            " MEMENTO_STORE=postgresql://USER@HOST/DATABASE, and MEMENTO_PAYLOADS=a folder that all see"
        )
        yield Check("file system", WARNING, f"{kind}, on a network", why, fix)
    elif kind in _IN_MEMORY:
        why = "What is in memory is gone when the machine stops."
        yield Check("file system", WARNING, f"{kind}, in memory", why, "Name a folder on a disk")
    else:
        yield Check("file system", OK, kind or "unknown")
    yield from _space(folder)
    yield from trial(folder)


def _in_database(location: Location) -> Iterator[Check]:
    """Look at a store whose index is in a database: whether it answers, and the folder with the rest."""
    yield Check("place", OK, f"{location} (its index is in a database)")
    try:
        with Store.open(location, create=False, trusted=False, readonly=True) as store:
            root, missing = Path(store.root), store.missing
            began = SYSTEM_CLOCK.monotonic()
            store.index.living()
            took = SYSTEM_CLOCK.monotonic() - began
    except NotAStore as error:
        yield Check("database", OK, f"{error.problem} The first run makes it")
        return
    except (StoreError, MissingExtra) as error:
        told, todo = (error.problem, error.todo) if isinstance(error, StoreError) else (str(error), "")
        yield Check("database", PROBLEM, told, "No run could keep its results.", todo)
        return
    yield Check("database", OK, f"it answers within {1_000 * took:.0f} ms")
    if missing:
        why = "Results can be listed, but values cannot be read, and nothing can be computed."
        yield Check("folder", PROBLEM, missing, why, "export MEMENTO_PAYLOADS=FOLDER, as this host sees it")
        return
    kind = system.file_system(root) or "unknown"
    if system.is_network_path(root):
        yield Check("file system", OK, f"{root}: {kind}, on a network")
    else:
        why = "Other hosts cannot read values that are on this machine's own disk."
        fix = "Where there are several hosts, name a shared folder before the first run: payloads= or MEMENTO_PAYLOADS"
        yield Check("file system", OK, f"{root}: {kind}", why, fix)
    yield from _space(root)
    yield from trial(root)


def _space(folder: Path) -> Iterator[Check]:
    free, total = system.disk_space(folder)
    if not total:
        return
    found = f"{size_text(free)} of {size_text(total)} are free"
    if free < _LOW:
        level = PROBLEM if free < _FULL else WARNING
        why = "Where the disk is full, results cannot be kept, and runs end."
        yield Check("space", level, found, why, "memento gc, or free some space")
    else:
        yield Check("space", OK, found)


def trial(folder: Path, clock: Clock = SYSTEM_CLOCK) -> Iterator[Check]:
    """Make a store there, as a run would, and measure how long the disk takes."""
    try:
        with tempfile.TemporaryDirectory(prefix=".memento-doctor-", dir=folder) as name:
            times = [_written(Path(name) / f"{number}", clock) for number in range(_TRIES)]
            skew = os.stat(Path(name) / "0").st_mtime - clock.now()
            with Store.open(Path(name) / "trial") as store:
                store.index.experiments()
            with open(Path(name) / "lock", "w+b") as file:
                locked = system.try_lock(file.fileno())
    except StoreError as error:
        yield Check("writing", PROBLEM, error.problem, "A run could not keep its results.", error.todo)
        return
    except OSError as error:
        why = "A run could not keep its results."
        fix = "Check the folder's permissions and space, or name another: export MEMENTO_STORE=FOLDER"
        yield Check("writing", PROBLEM, f"{folder}: {error.strerror or error}", why, fix)
        return
    if not locked:
        why = "Shared steps would be computed more than once."
        yield Check("locks", WARNING, "files cannot be locked", why, "Name a folder on another disk")
    took = statistics.median(times)
    found = f"a store can be made and written; a commit waits {1_000 * took:.1f} ms for the disk"
    if took > _SLOW:
        why = "Tasks of less than a second wait for that: results are committed in groups, at least every 50 ms."
        yield Check("writing", WARNING, found, why, "Name a folder on a local disk")
    else:
        yield Check("writing", OK, found)
    yield from _clock(skew, clock)


def _written(file: Path, clock: Clock) -> float:
    start = clock.monotonic()
    with open(file, "wb") as stream:
        stream.write(b"0" * 4_096)
        stream.flush()
        os.fsync(stream.fileno())
    return clock.monotonic() - start


def _clock(skew: float, clock: Clock) -> Iterator[Check]:
    if clock.now() < _PAST:
        why = "Times of results, and leases between machines, would be wrong."
        yield Check("clock", WARNING, "it has not been set", why, "timedatectl set-ntp true")
    elif abs(skew) > _SKEW:
        why = "Machines that share the store see each other's times: leases between them may fall early."
        found = f"the disk's clock differs by {skew:+.0f} s from this machine's"
        yield Check("clock", WARNING, found, why, "timedatectl set-ntp true, on both")
    else:
        yield Check("clock", OK, "this machine and the disk agree")


def health(path: StorePath | None) -> Iterator[Check]:
    """Look at what the store has, where there is one."""
    location = find_store(path)
    store = Path(location.root)
    if not location.address and not store.exists():
        return
    if location.address and importlib.util.find_spec("psycopg") is None:
        return  # it was told where the store is
    try:
        with Store.open(location, create=False, trusted=False, readonly=True) as opened:
            store = opened.path
            yield from _index(opened)
            yield from _runs(opened)
            if not opened.missing:
                yield from _garbage(opened)
    except StoreTooNew as error:
        why = "This release cannot read it, and changes nothing in it."
        yield Check("index", PROBLEM, error.problem, why, "pip install -U memento-ml")
    except StoreError as error:
        if location.address:
            return  # it was told where the store is
        why = "Results cannot be read until that is mended."
        yield Check("index", PROBLEM, error.problem, why, f"memento verify --repair --store {location}")
    aside = [file for file in (store / PAYLOADS / QUARANTINE).glob("*") if file.is_file()]
    if aside:
        why = "Their tasks are computed again by the next run."
        fix = "memento verify says which; memento gc --damaged removes them"
        yield Check("damaged", WARNING, f"{number_of(len(aside), 'file')} set aside", why, fix)


def _index(store: Store) -> Iterator[Check]:
    about, fix = "", "memento verify"
    if not store.location.address:
        size = (store.path / INDEX).stat().st_size
        about, fix = f"{size_text(size)}; ", "memento verify --repair"
        if (store.path / INDEX_SUSPECT).exists():
            why = "The next run checks it whole, and rebuilds it if it is damaged."
            yield Check("index", WARNING, "looked damaged", why, fix)
            return
        if size > _CHECKED:
            yield Check("index", OK, f"{about}can be opened (memento verify reads it whole)")
            return
    faults = store.index.faults()
    if faults:
        why = "Results that stand there may be lost."
        yield Check("index", PROBLEM, "; ".join(faults[:3]), why, fix)
    else:
        yield Check("index", OK, f"{about}is whole")


def _runs(store: Store) -> Iterator[Check]:
    runs = store.index.runs(limit=_RUNS)
    running, died = ([run.id for run in runs if run.status == status] for status in ("running", "died"))
    found = f"{number_of(len(running), 'run')} at work"
    if died:
        # What they had claimed is free again: claims fall with the proof of their death.
        found += (
            f"; {number_of(len(died), 'run')} of the last {len(runs)} died, whose tasks the next run computes"
        )
    yield Check("runs", OK, found)


def _garbage(store: Store) -> Iterator[Check]:
    sizes = store.sizes()
    found = f"{size_text(sizes.garbage)} of {size_text(sizes.total)} are needed by no result"
    if sizes.garbage > max(1_000_000_000, sizes.total // 2):
        yield Check("garbage", WARNING, found, "It takes up space.", "memento gc")
    else:
        yield Check("garbage", OK, found)
