"""Maintain a store: `memento.verify`, `gc`, `retry`, `forget`; what the commands of these names call.

Knows: where a project's store is. May not know: how the work is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from memento.store.garbage import Collected
from memento.store.location import StorePath, find_store
from memento.store.sizes import Sizes
from memento.store.store import Store
from memento.store.verify import verify
from memento.wording import bytes_of, seconds_of

__all__ = ["forget", "gc", "merge", "retry", "sizes", "verify"]

if TYPE_CHECKING:
    from memento.store.merge import Merged


def gc(
    path: StorePath | None = None,
    *,
    dry_run: bool = False,
    damaged: bool = False,
    unfinished: bool = False,
    steps: bool = False,
    superseded: bool = False,
    older_than: float | str | None = None,
    keep: int | str | None = None,
    results: bool = False,
) -> Collected:
    """Remove what no result needs any more from a store.

    Values that no task has, steps that no result used, checkpoints and folders of tasks that are done, artifacts of
    tasks that are gone, output that belongs to no task. May be called while runs go on: what they may need stays.
    Results go only where `superseded`, `older_than` or `results` says so: their tasks are not computed then.

    Parameters
    ----------
    path : path or address, optional
        The store's folder, or the address of its index; by default the project's.
    dry_run : bool, default=False
        Only say what would go.
    damaged : bool, default=False
        Also what was set aside as damaged.
    unfinished : bool, default=False
        Also checkpoints and folders of tasks that are not done: they will begin anew.
    steps : bool, default=False
        Also steps that results used; whoever asks for one computes it again.
    superseded : bool, default=False
        Also results that an older version of the code computed, where a run has seen a newer one and nobody has
        adopted the change.
    older_than : float or str, optional
        Seconds, or a text like ``"30d"``: also results that were computed longer ago; with `superseded` only those of
        them, with `steps` steps instead.
    keep : int or str, optional
        Bytes, or a text like ``"5GB"``: also what is cheapest to lose, until the store has no more than that: damaged
        files, steps, and if `results` may go too, those of superseded code and then the oldest.
    results : bool, default=False
        Whether results may go for `keep`.

    Returns
    -------
    Collected
        What went, how large it was, and what stays for the runs that go on.

    Raises
    ------
    NotAStore
        There is no store.
    ValueError
        A size or an age is none.

    Examples
    --------
    >>> import memento, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> experiment = memento.Memento(lambda context, config: 1.5, executor="serial", name="e", store=folder)
    >>> results = experiment.run({"parameters": {"x": [1]}})
    >>> memento.gc(folder).removed
    {}
    """
    age = None if older_than is None else seconds_of(older_than, "older_than")
    size = None if keep is None else bytes_of(keep, "keep")
    with Store.open(find_store(path), create=False, readonly=dry_run) as store:
        return store.gc(
            dry_run=dry_run,
            damaged=damaged,
            unfinished=unfinished,
            steps=steps,
            superseded=superseded,
            older_than=age,
            keep=size,
            results=results,
        )


def merge(other: StorePath, into: StorePath | None = None) -> Merged:
    """Take into a store what another one has and it lacks; of two results of a task the newer one.

    Results come with all that belongs to them, tasks that are not done with their checkpoints. The other store is only
    read, and nothing of it is run or unpickled. May be repeated; an interrupted merge is completed by the next one.

    Parameters
    ----------
    other : path or address
        The other store.
    into : path or address, optional
        The store that takes it in; by default the project's.

    Returns
    -------
    Merged
        What was taken, and in which tasks the two differ.

    Raises
    ------
    NotAStore
        One of them is none.
    CannotMerge
        A run of one of them is at work, or they are one store.

    Examples
    --------
    >>> import memento, tempfile
    >>> def square(context, config): return config.x ** 2
    >>> one, other = tempfile.mkdtemp(), tempfile.mkdtemp()
    >>> for folder, numbers in ((one, [1, 2]), (other, [2, 3])):
    ...     runs = memento.Memento(square, executor="serial", name="square", store=folder)
    ...     results = runs.run({"parameters": {"x": numbers}})
    >>> merged = memento.merge(other, into=one)
    >>> merged.results, merged.equal, len(memento.load(one))
    ({'square': 1}, 1, 3)
    """
    from memento.store.merge import merge

    here = find_store(into)
    with (
        Store.open(other, create=False, trusted=False, readonly=True) as source,
        Store.open(here, create=bool(here.address), trusted=False) as target,  # a database may be new
    ):
        return merge(source, target)


def sizes(path: StorePath | None = None) -> Sizes:
    """Say how large a store is, in bytes of each kind, and how much of it `gc` would free.

    May be called while runs go on; nothing is written, and nothing of a value is read.

    Parameters
    ----------
    path : path or address, optional
        The store's folder, or the address of its index; by default the project's.

    Returns
    -------
    Sizes
        What of it is how large, and what is left on the disk.

    Raises
    ------
    NotAStore
        There is no store.

    Examples
    --------
    >>> import memento, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> experiment = memento.Memento(lambda context, config: "x" * 5_000, executor="serial", name="e", store=folder)
    >>> results = experiment.run({"parameters": {"x": [1]}})
    >>> found = memento.sizes(folder)
    >>> found.total == found.values + found.index, found.garbage
    (True, 0)
    """
    with Store.open(find_store(path), create=False, trusted=False, readonly=True) as store:
        return store.sizes()


def retry(
    keys: Iterable[str] | None = None,
    path: StorePath | None = None,
    *,
    experiment: str | None = None,
    from_scratch: bool = False,
) -> int:
    """Let tasks that failed count as not computed yet; the next run computes them as new ones.

    Their failures stay known, as earlier attempts.

    Parameters
    ----------
    keys : iterable of str, optional
        Only these tasks, by their keys.
    path : path or address, optional
        The store's folder, or the address of its index; by default the project's.
    experiment : str, optional
        Only this experiment's tasks.
    from_scratch : bool, default=False
        Remove their checkpoints too, so that they do not go on from where they failed.

    Returns
    -------
    int
        How many tasks.

    Raises
    ------
    NotAStore
        There is no store.

    Examples
    --------
    >>> import memento, tempfile
    >>> def fails(context, config): raise ValueError("no")
    >>> folder = tempfile.mkdtemp()
    >>> runs = memento.Memento(fails, executor="serial", store=folder, on_error="return")
    >>> _ = runs.run({"parameters": {"x": [1, 2]}})
    >>> memento.retry(path=folder)
    2
    """
    wanted = None if keys is None else [bytes.fromhex(key) for key in keys]
    with Store.open(find_store(path), create=False) as store:
        return len(store.retry(wanted, experiment, from_scratch=from_scratch))


def forget(keys: Iterable[str], path: StorePath | None = None) -> int:
    """Remove tasks from a store as if they had never run.

    Parameters
    ----------
    keys : iterable of str
        The tasks' keys.
    path : path or address, optional
        The store's folder, or the address of its index; by default the project's.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    NotAStore
        There is no store.

    Examples
    --------
    >>> import memento, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> runs = memento.Memento(lambda context, config: 1.5, executor="serial", name="e", store=folder)
    >>> results = runs.run({"parameters": {"x": [1, 2]}})
    >>> memento.forget([results[0].key], folder)
    1
    """
    with Store.open(find_store(path), create=False) as store:
        return store.forget(bytes.fromhex(key) for key in keys)
