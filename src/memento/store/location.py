"""Find a project's store, as git finds its repository.

Knows: folders and two environment variables. May not know: what is in a store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from memento.hints import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "memento-store"
LEGACY_SUFFIX = ".memento-store"
_PROJECT_MARKS = ("pyproject.toml", ".git")
# 1.2.0 kept everything in one SQLite file, and took its path; these endings say that a file is meant.
_FILE_SUFFIXES = frozenset({".sqlite", ".sqlite3", ".db", ".db3", ".cache"})


def find_store(
    explicit: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Path:
    """Return the folder of the store to use; makes nothing.

    Parameters
    ----------
    explicit : path, optional
        What the user asked for; wins over everything. A path of 1.2.0, which names a *file* (it exists
        and is no folder, or ends in .sqlite, .db or .cache), means the folder of that name with
        ``.memento-store`` added, beside it: scripts for 1.2.0 run unchanged, and their file is left alone.
    env : mapping, optional
        The environment: ``MEMENTO_STORE``, else 1.2.0's ``MEMENTO_CACHE_PATH``, name a store.
    cwd : path, optional
        Where to look from.

    Returns
    -------
    Path
        The named store; else ``memento-store`` here or in the nearest folder above; else, where there is
        none, beside the nearest ``pyproject.toml`` or ``.git``; else here.

    Examples
    --------
    >>> find_store("results/grid", env={}, cwd="/home").as_posix()
    '/home/results/grid'
    >>> find_store("memento.sqlite", env={}, cwd="/home").as_posix()
    '/home/memento.sqlite.memento-store'
    >>> find_store(env={"MEMENTO_STORE": "/data/store"}, cwd="/home").as_posix()
    '/data/store'
    """
    from pathlib import Path

    return Path(locate(explicit, env, cwd))


def locate(
    explicit: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> str:
    """Return the same as a text: the import of `pathlib` takes 4 ms, which a cached run need not spend."""
    environment = os.environ if env is None else env
    here = os.path.abspath(os.getcwd() if cwd is None else cwd)
    named = explicit or environment.get("MEMENTO_STORE") or environment.get("MEMENTO_CACHE_PATH")
    if named:
        return _named(os.path.abspath(os.path.join(here, os.path.expanduser(named))))
    above = list(_with_parents(here))
    for folder in above:
        if os.path.isdir(os.path.join(folder, FOLDER)):
            return os.path.join(folder, FOLDER)
    for folder in above:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in _PROJECT_MARKS):
            return os.path.join(folder, FOLDER)
    return os.path.join(here, FOLDER)


def _with_parents(folder: str) -> Iterator[str]:
    yield folder
    while (parent := os.path.dirname(folder)) != folder:
        folder = parent
        yield folder


def _named(path: str) -> str:
    if os.path.isdir(path):
        return path
    if os.path.exists(path) or os.path.splitext(path)[1].lower() in _FILE_SUFFIXES:
        return path + LEGACY_SUFFIX
    return path
