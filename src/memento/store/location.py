"""Find a project's store, as git finds its repository.

Knows: folders and two environment variables. May not know: what is in a store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from memento.keys.project_files import PROJECT_MARKS, STORE_FOLDER, with_parents

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = STORE_FOLDER
LEGACY_SUFFIX = ".memento-store"
# 1.2.0 kept everything in one SQLite file, and took its path; these endings say that a file is meant.
_FILE_SUFFIXES = frozenset({".sqlite", ".sqlite3", ".db", ".db3", ".cache"})


def find_store(
    explicit: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
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
        What a relative path begins at; by default the folder that the program is in.
    home : path, optional
        Where to look from, where nothing names a store: a run's is its script's folder. By default the same as `cwd`.

    Returns
    -------
    Path
        The named store; else ``memento-store`` here or in the nearest folder above; else, where there is
        none, beside the nearest ``pyproject.toml`` or ``.git``; else here ("here" is `home`).

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

    return Path(locate(explicit, env, cwd, home))


def is_named(explicit: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None) -> bool:
    """Say whether the user or the environment names the store, so that it is not looked for."""
    environment = os.environ if env is None else env
    return bool(explicit or environment.get("MEMENTO_STORE") or environment.get("MEMENTO_CACHE_PATH"))


def locate(
    explicit: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    home: str | os.PathLike[str] | None = None,
) -> str:
    """Return the same as a text: the import of `pathlib` takes 4 ms, which a cached run need not spend."""
    environment = os.environ if env is None else env
    here = os.path.abspath(os.getcwd() if cwd is None else cwd)
    named = explicit or environment.get("MEMENTO_STORE") or environment.get("MEMENTO_CACHE_PATH")
    if named:
        return _named(os.path.abspath(os.path.join(here, os.path.expanduser(named))))
    here = os.path.abspath(home) if home else here
    above = with_parents(here)
    for folder in above:
        if os.path.isdir(os.path.join(folder, FOLDER)):
            return os.path.join(folder, FOLDER)
    for folder in above:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in PROJECT_MARKS):
            return os.path.join(folder, FOLDER)
    return os.path.join(here, FOLDER)


def _named(path: str) -> str:
    if os.path.isdir(path):
        return path
    if os.path.exists(path) or os.path.splitext(path)[1].lower() in _FILE_SUFFIXES:
        return path + LEGACY_SUFFIX
    return path
