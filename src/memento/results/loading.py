"""Open finished work anywhere: results without the program that made them, without running anything.

Knows: stores, the readable JSON of parameters. May not know: matrices, the user's classes.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

from memento.matrix.arguments import explained
from memento.results.advice import unknown
from memento.results.results import Results
from memento.results.scan import CHUNK
from memento.results.selection import Source
from memento.results.stored_tasks import StoredTasks
from memento.wording import named

if TYPE_CHECKING:
    from memento.store.store import Store


@explained
def load(
    path: str | os.PathLike[str] | None = None,
    experiment: str | None = None,
    trusted: bool = True,
    *,
    mmap: bool = False,
    payloads: str | os.PathLike[str] | None = None,
) -> Results:
    """Open the results in a store.

    Parameters
    ----------
    path : path or address, optional
        The store's folder, or the address of the database with its index; by default the project's, found as a run
        finds it.
    experiment : str, optional
        Which experiment's: its name, or the end of it or of its file's; needed where the store has several.
    trusted : bool
        Whether values that are pickles may be opened. Unpickling runs code: say False for a stranger's store.
    mmap : bool
        Serve large arrays from their files, verified, without copying them into memory: for results that are together
        larger than it. What is changed in one stays in this process. On disks that may fail or go away while
        results are used (a network's), leave it off: the system ends a program whose mapped file cannot be read.
    payloads : path, optional
        With an address: the folder with the values, where this host sees it at another path than the one that had the
        first run.

    Returns
    -------
    Results
        One for each stored task, in the order of the matrix (of the latest one, where values or tasks stand in
        several). Parameters are what the store's readable JSON says: plain values as themselves, classes and
        functions by name; filters and tables know them as after the run. Settings that differ between the tasks
        stand beside the parameters, as `settings.name`.

    Raises
    ------
    NotAStore
        The folder holds something else, or nothing.
    ValueError
        The store has no results, or several experiments and none was named.
    """
    from memento.keys.project_files import script_folder
    from memento.store.location import find_store
    from memento.store.store import Store

    store = Store.open(
        find_store(path, home=script_folder(), payloads=payloads),
        create=False,
        readonly=True,
        trusted=trusted,
        mmap=mmap,
    )
    name = _experiment(experiment, [found for found, _, _ in store.index.experiments()], str(store.location))
    return Results(source_of(store, name))


def source_of(store: Store, experiment: str) -> Source:
    """Return the stored tasks of an experiment, in the order of the matrix."""
    tasks = StoredTasks(experiment, store.index.axes(experiment))
    ids = [row.id for row in store.index.known(experiment)]
    keys, rows = [], []
    for start in range(0, len(ids), CHUNK):
        for record in store.index.records(ids[start : start + CHUNK]):
            tasks.add(record)
            keys.append(record.key)
            rows.append(record.id)
    order = tasks.freeze(keys, store.index.order(experiment)).tolist()
    ordered, found = b"".join([keys[i] for i in order]), array("q", [rows[i] for i in order])
    return Source(store, tasks, ordered, found, bytearray(b"\1") * len(found), experiment)


def _experiment(asked: str | None, names: list[str], path: str) -> str:
    if not names:
        raise ValueError(f"{path} is a store without results")
    if asked is None:
        if len(names) > 1:
            listed = ", ".join(repr(name) for name in names)
            raise ValueError(
                f"{path} has several experiments: {listed}. Name one: load(..., experiment={names[0]!r})"
            )
        return names[0]
    found = named(asked, names)
    if len(found) != 1:
        if found:
            raise ValueError(f"{asked!r} names several experiments of {path}: {', '.join(map(repr, found))}")
        raise ValueError(f"{path}: " + unknown("experiment", asked, names))
    return found[0]
