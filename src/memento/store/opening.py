"""Open a store's index, in its folder or in a database; make the folder, or tell whether what is there is one.

Knows: the folder's names, the kinds of indexes. May not know: tasks, runs, how an index is kept. What is not ours is
never touched.
"""

from __future__ import annotations

import os
from contextlib import suppress

from memento import system
from memento.clock import Clock
from memento.errors import NotAStore, StoreError, StoreUnwritable
from memento.index.contract import Index
from memento.index.sqlite.sqlite_index import SqliteIndex
from memento.layout import FOLDERS, IGNORED, INDEX, INDEX_ELSEWHERE, PAYLOADS, PAYLOADS_ELSEWHERE, Layout
from memento.store.location import Location, nearby

_OWN_NAMES = frozenset({*FOLDERS, IGNORED, PAYLOADS_ELSEWHERE, ".DS_Store"})


def open_index(location: Location, *, create: bool, readonly: bool, clock: Clock) -> tuple[Index, str, str]:
    """Open the index of a store; return it, the folder with the rest, and why that is not here where it is not.

    Its notes are logged, and tell also what is gone of the store.
    """
    root = location.root
    try:
        if location.address:
            index, root, missing = _in_database(location, create, readonly, clock)
        else:
            index, missing = _in_folder(root, create, readonly, clock), ""
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreUnwritable(
            root,
            f"it cannot be made or read ({error.strerror or error}).",
            "Choose another place for the store.",
        ) from error
    if index.notes:
        import logging

        for note in index.notes:
            logging.getLogger("memento.store").warning("%s", note)
    return index, root, missing


def kind_of(location: Location) -> type[Index]:
    """Return what keeps the index of a store there: the one place that knows kinds of indexes."""
    if location.address:
        from memento.index.postgres.postgres_index import PostgresIndex

        return PostgresIndex
    return SqliteIndex


def _in_database(location: Location, create: bool, readonly: bool, clock: Clock) -> tuple[Index, str, str]:
    from memento.store.far import own_folder
    from memento.store.shared_folder import existing_folder, new_folder

    index = kind_of(location).open(location.address, create=create, readonly=readonly, clock=clock)
    try:
        own = own_folder(index, location, create=create)
        if own:
            if create:
                _make_folders(own)
            return index, own, ""
        if not create:
            return (index, *existing_folder(index, location))
        root = new_folder(index, location)
        if PAYLOADS in _make_folders(root):
            index.notes += _let_go_of_payloads(index, os.path.join(root, PAYLOADS))
    except BaseException:
        index.close()
        raise
    return index, root, ""


def _in_folder(root: str, create: bool, readonly: bool, clock: Clock) -> Index:
    kind = SqliteIndex
    notes: list[str] = []
    emptied, far = False, Layout(root).payloads_elsewhere
    _check_place(kind, root, create)
    if create:
        indexed = kind.exists(root)
        # An index that is there now is another run's, which has begun meanwhile, as what lies there is.
        if not indexed and _has_payloads(root) and not kind.exists(root):
            notes.append(
                f"{os.path.join(root, INDEX)} was removed, so all tasks count as not computed. `memento gc` removes"
                " what is left of them"
            )
        # Where values are elsewhere, the folder had nothing in it.
        emptied = PAYLOADS in _make_folders(root) and indexed and not os.path.exists(far)
    index = kind.open(root, create=create, readonly=readonly, clock=clock)
    index.notes[:0] = notes
    if emptied:
        index.notes += _let_go_of_payloads(index, os.path.join(root, PAYLOADS))
    return index


def _check_place(kind: type[Index], root: str, create: bool) -> None:
    if not os.path.exists(root):
        if not create:
            meant = nearby(root).strip() or "Check the path, or run an experiment first."
            raise NotAStore(root, "there is no store here.", meant)
        return
    if not os.path.isdir(root):
        raise NotAStore(root, "this is a file; a store is a folder.", "Name a folder.")
    if kind.exists(root):
        return
    if os.path.exists(os.path.join(root, INDEX_ELSEWHERE)):
        from memento.store.shared_folder import index_of

        raise NotAStore(
            root,
            f"this folder has the values of a store whose index is in {index_of(root) or 'a database'}.",
            "Name that: store='postgresql://...' in a script, --store with commands, or MEMENTO_STORE.",
        )
    foreign = sorted(
        name for name in os.listdir(root) if name not in _OWN_NAMES and not name.startswith("index.")
    )
    if kind.exists(root):  # made meanwhile, with all that a store has
        return
    if foreign:
        raise NotAStore(
            root,
            f"this folder is no store: it has no {INDEX}, and holds {', '.join(foreign[:3])}.",
            (not create and nearby(root).strip()) or "Choose a new or an empty folder.",
        )
    if not create:
        raise NotAStore(root, f"this folder is no store: it has no {INDEX}.", "Check the path.")


def _has_payloads(root: str) -> bool:
    folder = os.path.join(root, PAYLOADS)
    return os.path.isdir(folder) and bool(os.listdir(folder))


def _let_go_of_payloads(index: Index, folder: str) -> list[str]:
    """Have the tasks computed again whose values lay in a folder that somebody has removed.

    Another run may have begun meanwhile, and have written some anew: before their rows, which were asked for first.
    """
    ids = index.ids_of_file(None)
    there = {name for _, _, names in os.walk(folder) for name in names}
    if there:
        ids = [one.id for one in index.records(ids) if one.value and _name(one.value.ref) not in there]
    ids = index.discard(ids)
    lost = f"{len(ids):,} result{'s' if len(ids) > 1 else ''}"
    return [f"{folder} was removed: {lost} whose values lay there will be computed again"] if ids else []


def _name(ref: str | None) -> str:
    return (ref or "").rpartition("/")[2]


def _make_folders(root: str) -> list[str]:
    """Make what is missing of a store's folders, and return its names."""
    try:
        os.mkdir(root)  # says what is wrong with a path that is too long; `makedirs` walks up all of it
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(root, exist_ok=True)
    missing = [name for name in FOLDERS if not os.path.isdir(os.path.join(root, name))]
    for name in missing:
        with suppress(FileExistsError):
            os.mkdir(os.path.join(root, name))
    if missing:
        system.fsync_folder(root)
        system.fsync_folder(os.path.dirname(root))
    with suppress(FileExistsError), open(os.path.join(root, IGNORED), "x", encoding="utf-8") as file:
        file.write("*\n")
    return missing
